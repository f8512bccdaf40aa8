//! From files to a [`Project`]: read, parse, interpolate, merge, normalize, check.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    Diagnostics, Project, ProjectName,
    check::{self, Places},
    context::Context,
    discover::{DEFAULT_FILES, default_files, dot_env, folder_of, named_files},
    files::{Files, Input, read_text},
    findings::{Findings, Place},
    grant::{FileSource, Hidden},
    interpolate, merge,
    mount::Base,
    normalize,
    read::Reader,
    yaml::{self, Key, Node, Value},
};

/// What to load, and under which circumstances. The library reads no environment of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoadOptions {
    /// The files, in order of overriding; empty takes those of `COMPOSE_FILE`, or searches for the default ones.
    pub files: Vec<PathBuf>,
    /// The folder that relative paths start from; `None` is the first file's.
    pub project_directory: Option<PathBuf>,
    /// A name that wins over every other.
    pub project_name: Option<String>,
    /// Profiles to enable; `*` enables all. Empty takes those of `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// The process's environment, which wins over `.env`.
    pub env: BTreeMap<String, String>,
    /// Files in place of `.env`; empty takes those of `COMPOSE_ENV_FILES`. `COMPOSE_DISABLE_ENV_FILE` in the environment
    /// leaves `.env` out.
    pub env_files: Vec<PathBuf>,
    /// Whether variables are replaced. Where they are not, an attribute that a variable hides the type of, as in `mem_limit: $M`, is
    /// in the canonical form as it is written, and not in the model.
    pub interpolate: bool,
    /// The absolute folder where the search for default files begins if there is no project directory, and that relative paths in these options start from.
    pub working_dir: PathBuf,
}

impl LoadOptions {
    /// Loads the default files of that folder or the nearest one above it.
    pub fn new(working_dir: impl Into<PathBuf>) -> Self {
        Self {
            files: Vec::new(),
            project_directory: None,
            project_name: None,
            profiles: Vec::new(),
            env: BTreeMap::new(),
            env_files: Vec::new(),
            interpolate: true,
            working_dir: working_dir.into(),
        }
    }
}

/// Why there is no project.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// No file was given, and none of the default ones is there.
    #[error("no compose file in {} or any folder above it (looked for {})", .folder.display(), DEFAULT_FILES.join(", "))]
    NotFound {
        /// Where the search began.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The files are read, and something in them is wrong.
    #[error("{0}")]
    Invalid(Diagnostics),
}

/// Loads a project from files.
///
/// # Errors
/// [`LoadError::NotFound`] and [`LoadError::Unreadable`] for the files themselves, and [`LoadError::Invalid`] with everything that
/// is wrong in them at once.
pub fn load(options: &LoadOptions) -> Result<Project, LoadError> {
    let Found { inputs, options, env, findings } = find(options)?;
    assemble(&inputs, &options, &env, findings)
}

/// The variables that the files of a project may hold, with their values: the environment's, those of `.env` or the files in its
/// place, and the name of the project. What is included may have more.
///
/// # Errors
/// As [`load`]: there are none of files that are no project.
pub fn variables(options: &LoadOptions) -> Result<BTreeMap<String, String>, LoadError> {
    let Found { inputs, options, mut env, findings } = find(options)?;
    let project = assemble(&inputs, &options, &env, findings)?;
    env.insert(PROJECT_NAME.to_owned(), project.name.into());
    Ok(env)
}

/// As [`variables`], for a text as [`load_str`] has it.
///
/// # Errors
/// As [`load`].
pub fn variables_str(
    name: &str,
    text: &str,
    options: &LoadOptions,
) -> Result<BTreeMap<String, String>, LoadError> {
    let project = load_str(name, text, options)?;
    let mut env = dot_env(options, &folder_of(options), &mut Findings::default())?;
    env.insert(PROJECT_NAME.to_owned(), project.name.into());
    Ok(env)
}

/// The variable that holds the project's name.
const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";

/// The files of a project, and what they depend on.
struct Found {
    inputs: Vec<Input>,
    options: LoadOptions,
    env: BTreeMap<String, String>,
    findings: Findings,
}

fn find(options: &LoadOptions) -> Result<Found, LoadError> {
    let mut options = options.clone();
    let mut findings = Findings::default();
    let early = folder_of(&options);
    let mut env = dot_env(&options, &early, &mut findings)?;
    let mut files = options.files.clone();
    if files.is_empty() {
        files = named_files(&env);
    }
    if files.is_empty() {
        files = default_files(&early, &mut findings)?;
    }
    let base = Base { folder: &options.working_dir.clone(), home: None };
    let files: Vec<PathBuf> = files.iter().map(|file| base.resolve(&file.to_string_lossy())).collect();
    if options.project_directory.is_none() {
        options.project_directory = files.first().and_then(|file| file.parent()).map(Path::to_owned);
        let folder = options.project_directory.clone().unwrap_or_default();
        if folder != early {
            env = dot_env(&options, &folder, &mut findings)?;
        }
    }
    let inputs = files
        .into_iter()
        .map(|path| Ok(Input { text: read_text(&path)?, path }))
        .collect::<Result<Vec<_>, LoadError>>()?;
    Ok(Found { inputs, options, env, findings })
}

/// Loads a project from a text, which is called `name` in errors.
///
/// # Errors
/// As [`load`].
pub fn load_str(name: &str, text: &str, options: &LoadOptions) -> Result<Project, LoadError> {
    let mut findings = Findings::default();
    let env = dot_env(options, &folder_of(options), &mut findings)?;
    let input = Input { path: PathBuf::from(name), text: text.to_owned() };
    assemble(&[input], options, &env, findings)
}

fn assemble(
    inputs: &[Input],
    options: &LoadOptions,
    env: &BTreeMap<String, String>,
    mut findings: Findings,
) -> Result<Project, LoadError> {
    let base = Base { folder: &options.working_dir, home: None };
    let folder = match &options.project_directory {
        Some(folder) => base.resolve(&folder.to_string_lossy()),
        None => options.working_dir.clone(),
    };
    findings.variables_stay = !options.interpolate;
    let mut variables = env.clone();
    if let Some(name) = early_name(inputs, options, env, &folder) {
        variables.insert(PROJECT_NAME.to_owned(), name.to_string());
    }
    let context = Rc::new(Context { folder: folder.clone(), env: variables });
    let config_files = inputs.iter().map(|input| base.resolve(&input.path.to_string_lossy())).collect();
    let root = Files::new(&mut findings).merged(inputs, &context, &mut Vec::new());
    let Some(mut root) = root else { return Err(LoadError::Invalid(Diagnostics(findings.into_list()))) };
    merge::drop_resets(&mut root);
    let name = project_name(&root, options, env, &folder, &mut findings);
    let mut project = Project::new(name, folder);
    project.config_files = config_files;
    project.variables_stay = !options.interpolate;
    let entries = normalize::read(&mut project, &root, &profiles(options, env), &mut findings);
    check::check(&project, &Places::new(&root, &entries), &mut findings);
    normalize::drop_unused(&mut project);
    let files = project.secrets.values().chain(project.configs.values());
    let named = files.filter_map(|file| match &file.source {
        FileSource::Environment(name) => Some((name.clone(), Hidden(env.get(name)?.clone()))),
        _ => None,
    });
    project.variables = named.collect();
    project.kept = std::mem::take(&mut findings.kept);
    if findings.has_errors() {
        return Err(LoadError::Invalid(Diagnostics(findings.into_list())));
    }
    project.warnings = findings.into_list();
    Ok(project)
}

/// The name before anything is loaded, since it is a variable too. What is wrong with it is told later.
fn early_name(
    inputs: &[Input],
    options: &LoadOptions,
    env: &BTreeMap<String, String>,
    folder: &Path,
) -> Option<ProjectName> {
    let mut unsaid = Findings::default();
    let mut entries: Vec<(Key, Node)> = Vec::new();
    // Only a file that may have a name is read for it.
    let may_have = |text: &str| {
        text.lines().any(|line| {
            line.starts_with("name") || line.starts_with(['"', '\'', '{', '?', '&', '!', '\u{feff}'])
        })
    };
    for (source, input) in inputs.iter().enumerate().filter(|(_, input)| may_have(&input.text)) {
        let Ok(Some(root)) = yaml::parse(&input.text, source, &mut unsaid) else { continue };
        if let (Some(key), Some(node)) = (root.key("name"), root.get("name")) {
            let mut node = node.clone();
            interpolate::tree(&mut node, "name", env, &mut unsaid);
            entries = vec![(key.clone(), node)];
        }
    }
    let place = Place { source: 0, line: 1, column: 1, length: 1 };
    let root = Node { value: Value::Map(entries), place, tag: None };
    let mut unsaid = Findings::default();
    let name = project_name(&root, options, env, folder, &mut unsaid);
    (!unsaid.has_errors()).then_some(name)
}

/// The name: given, from the environment, from the files, from the folder.
fn project_name(
    root: &Node,
    options: &LoadOptions,
    env: &BTreeMap<String, String>,
    folder: &Path,
    findings: &mut Findings,
) -> ProjectName {
    let given = options
        .project_name
        .clone()
        .or_else(|| env.get(PROJECT_NAME).cloned().filter(|name| !name.is_empty()));
    if let Some(name) = given {
        return ProjectName::new(name).unwrap_or_else(|error| {
            findings.error_anywhere(error.to_string(), None);
            ProjectName::placeholder()
        });
    }
    if let Some(node) = root.get("name") {
        let mut reader = Reader::new(findings, "name");
        return match reader.string(node).map(ProjectName::new) {
            Some(Ok(name)) => name,
            Some(Err(error)) => {
                reader.error(node.place, error.to_string());
                ProjectName::placeholder()
            }
            None => ProjectName::placeholder(),
        };
    }
    let folder_name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    ProjectName::normalize(&folder_name).unwrap_or_else(|| {
        let help = "name the project with -p, COMPOSE_PROJECT_NAME or a top-level `name:`";
        findings
            .error_anywhere(format!("the folder {folder_name:?} gives no project name"), Some(help.into()));
        ProjectName::placeholder()
    })
}

fn profiles(options: &LoadOptions, env: &BTreeMap<String, String>) -> BTreeSet<String> {
    let mut profiles: BTreeSet<String> = options.profiles.iter().cloned().collect();
    if profiles.is_empty()
        && let Some(list) = env.get("COMPOSE_PROFILES")
    {
        profiles.extend(list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned));
    }
    profiles
}
