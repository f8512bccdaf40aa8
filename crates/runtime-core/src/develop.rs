//! What files ask for that change while somebody works on a service (`develop.watch`), by docker compose's rules. Pure: `files` is
//! who looks at them.

mod files;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component, Path, PathBuf},
};

use compose_file::{Hook, MountSource, Project, ProjectName, Service, Watch, WatchAction};

pub(crate) use self::files::Listening;
use crate::{
    Building, Cause, Container, ContainerRef, Dependencies, Error, Ignored, OnFailure, Plan, Replica, Result,
    UpOptions, reconcile,
};

/// How [`crate::ContainerRuntime::develop`] goes about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct DevelopOptions {
    /// Only these services and what they depend on; empty is all.
    pub services: BTreeSet<String>,
    /// Whether the dependencies of the named services are watched too.
    pub dependencies: Dependencies,
    /// How the project is brought up before; `None` leaves it as it is (`--no-up`). Images of services that are watched are built
    /// then, as docker compose does, because they may be older than the files.
    pub up: Option<UpOptions>,
    /// Which images may be built: with [`Building::Never`] a rule that builds is an error.
    pub building: Building,
    /// What becomes of the images whose names a build takes away.
    pub replaced: ReplacedImages,
}

/// What becomes of images of a project that have no name any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ReplacedImages {
    /// They stay.
    #[default]
    Keep,
    /// They are removed once no container needs them (`--prune`).
    Remove,
}

/// What are temporary files of editors, and the folder of git: nobody wants those in a container. As docker compose has it.
const NEVER: [&str; 14] = [
    "**/.git",
    "**/*___jb_old___",
    "**/*___jb_tmp___",
    "**/.idea/**",
    "**/.#*",
    "**/#*#",
    "**/4913",
    "**/*~",
    "**/.*.swp",
    "**/.*.swx",
    "**/.*.swo",
    "**/.*.swn",
    "**/.*.kate-swp",
    "**/*-go-tmp-umask",
];

/// What happens to a service when certain files change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rule {
    service: String,
    /// Its place in the service's `develop.watch`.
    number: usize,
    path: PathBuf,
    /// Whether the path is known to be no folder.
    is_file: bool,
    does: Does,
    initial: bool,
    /// Only these, by pattern; `None` is all.
    included: Option<Ignored>,
    ignored: Ignored,
    never: Ignored,
    /// The folder that the image is made from, and what is left out of it.
    context: Option<(PathBuf, Ignored)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Does {
    /// The files are copied to a path in the containers.
    Sync {
        to: String,
        /// Whether that is the folder that a file is copied into, and not the file's own name there.
        is_folder: bool,
        then: Then,
    },
    Rebuild,
    Restart,
}

/// What is done once files are copied.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Then {
    Nothing,
    Restart,
    Run(Hook),
}

/// What is now at a path at which something has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Now {
    Nothing,
    /// A folder that was not there, or that nobody knows how it was. What is in it has changed too.
    Folder,
    /// A file, or what else is no folder.
    File,
}

/// Paths of this computer at which something has changed.
pub(crate) type Batch = BTreeMap<PathBuf, Now>;

/// What a batch asks for, by service.
pub(crate) type Updates = BTreeMap<String, Update>;

/// What is to be done to a service, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Update {
    /// Its image is made again, and its containers from that.
    pub(crate) rebuild: bool,
    /// What is removed in its containers.
    pub(crate) removed: BTreeSet<String>,
    /// The same of what is no folder here: what may be one inside is left.
    pub(crate) removed_files: BTreeSet<String>,
    /// What is copied into its containers, and where to.
    pub(crate) copied: BTreeMap<String, PathBuf>,
    /// Its containers are restarted.
    pub(crate) restart: bool,
    /// What is run in its containers, by the rule that says it.
    pub(crate) hooks: BTreeMap<usize, Hook>,
}

impl Update {
    /// How many files are copied or removed.
    pub(crate) fn files(&self) -> usize {
        self.removed.len() + self.removed_files.len() + self.copied.len()
    }
}

/// What is watched of a project, and what is to be known about that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) rules: Vec<Rule>,
    pub(crate) warnings: Vec<String>,
}

/// The services of a project that [`crate::ContainerRuntime::develop`] would watch.
///
/// # Errors
/// [`Error::NotFound`] for an unknown service; [`Error::InvalidProject`] when there is nothing to watch, in docker compose's words, or
/// a rule cannot be followed.
pub fn watched_services(project: &Project, options: &DevelopOptions) -> Result<BTreeSet<String>> {
    Ok(rules(project, options)?.rules.into_iter().map(|rule| rule.service).collect())
}

/// The rules of the selected services, with paths as they are written. Those that would copy what the containers see anyway are left
/// out with a warning.
pub(crate) fn rules(project: &Project, options: &DevelopOptions) -> Result<Rules> {
    let selected = reconcile::selected_services(project, &options.services, options.dependencies)?;
    let mut all = Rules { rules: Vec::new(), warnings: Vec::new() };
    for service in selected.iter().filter_map(|name| project.services.get(name)) {
        for (number, watch) in service.develop.iter().flat_map(|develop| &develop.watch).enumerate() {
            let does = does(service, number, watch, options.building)?;
            if matches!(does, Does::Sync { .. }) && is_mounted(service, &watch.path) {
                all.warnings.push(format!(
                    "path '{}' also declared by a bind mount volume, this path won't be monitored!",
                    watch.path.display()
                ));
                continue;
            }
            all.rules.push(Rule {
                service: service.name.clone(),
                number,
                path: watch.path.clone(),
                is_file: false,
                initial: watch.initial_sync && matches!(does, Does::Sync { .. }),
                does,
                included: match watch.include.as_slice() {
                    [] => None,
                    patterns => Some(Ignored::of(patterns.iter().map(String::as_str))),
                },
                ignored: Ignored::of(watch.ignore.iter().map(String::as_str)),
                never: Ignored::of(NEVER),
                context: None,
            });
        }
    }
    if all.rules.is_empty() {
        return Err(Error::InvalidProject(
            "none of the selected services is configured for watch, consider setting a 'develop' section"
                .to_owned(),
        ));
    }
    Ok(all)
}

fn does(service: &Service, number: usize, watch: &Watch, building: Building) -> Result<Does> {
    let name = &service.name;
    let wrong = Error::InvalidProject;
    let to = || match watch.target.as_deref() {
        None | Some("") => Err(wrong(format!(
            "service {name:?}: develop.watch[{number}] has no target, and its action copies files"
        ))),
        Some(target) => Ok((joined(target, ""), target.ends_with('/'))),
    };
    let sync = |(to, is_folder), then| Does::Sync { to, is_folder, then };
    match watch.action {
        Some(WatchAction::Sync) => Ok(sync(to()?, Then::Nothing)),
        Some(WatchAction::SyncRestart) => Ok(sync(to()?, Then::Restart)),
        Some(WatchAction::SyncExec) if watch.exec.command.iter().all(Vec::is_empty) => {
            Err(wrong(format!("can't watch with action \"sync+exec\" on service {name} without a command")))
        }
        Some(WatchAction::SyncExec) => Ok(sync(to()?, Then::Run(watch.exec.clone()))),
        Some(WatchAction::Restart) => Ok(Does::Restart),
        Some(WatchAction::Rebuild) if service.build.is_none() => {
            Err(wrong(format!("can't watch service {name:?} with action rebuild without a build context")))
        }
        Some(WatchAction::Rebuild) if building == Building::Never => {
            Err(wrong(format!("--no-build is incompatible with watch action rebuild in service {name}")))
        }
        Some(WatchAction::Rebuild) => Ok(Does::Rebuild),
        _ => Err(wrong(format!("service {name:?}: develop.watch[{number}] has no action that is known"))),
    }
}

/// Whether the service's containers see the path anyway.
fn is_mounted(service: &Service, path: &Path) -> bool {
    service.volumes.iter().any(
        |mount| matches!(&mount.source, MountSource::Bind { path: mounted, .. } if path.starts_with(mounted)),
    )
}

/// A path beneath one in a container, from its root folder.
fn joined(folder: &str, beneath: &str) -> String {
    let mut names: Vec<&str> = Vec::new();
    for name in folder.split('/').chain(beneath.split('/')) {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/"))
}

/// The path beneath a folder, with slashes; empty for the folder itself. What is no text has no name in an archive.
fn beneath(folder: &Path, path: &Path) -> Option<String> {
    let mut names = Vec::new();
    for part in path.strip_prefix(folder).ok()?.components() {
        match part {
            Component::Normal(name) => names.push(name.to_str()?),
            _ => return None,
        }
    }
    Some(names.join("/"))
}

impl Rule {
    /// The path beneath the rule's own of something that it is about, as long as nothing is said of which files are included.
    fn concerns(&self, path: &Path) -> Option<String> {
        let own = beneath(&self.path, path)?;
        let name = match own.as_str() {
            "" => path.file_name()?.to_str()?,
            own => own,
        };
        let is_left_out = self.never.has(name) || (!own.is_empty() && self.ignored.has(&own));
        let is_out_of_context = self.context.as_ref().is_some_and(|(folder, left_out)| {
            beneath(folder, path).is_some_and(|path| !path.is_empty() && left_out.has(&path))
        });
        (!is_left_out && !is_out_of_context).then_some(own)
    }

    /// A file that is copied into a folder keeps its name.
    fn name_in_folder(&mut self) {
        let name = self.path.file_name().and_then(|name| name.to_str());
        if let (true, Does::Sync { to, is_folder, .. }, Some(name)) = (self.is_file, &mut self.does, name)
            && std::mem::take(is_folder)
        {
            *to = joined(to, name);
        }
    }

    /// Whether something in a folder may be what it is about.
    fn may_concern_in(&self, folder: &Path) -> bool {
        if self.path.starts_with(folder) || self.concerns(folder).is_some() {
            return true;
        }
        let Some(own) = beneath(&self.path, folder).filter(|own| !self.never.has(own)) else { return false };
        let in_context = self.context.as_ref().and_then(|(context, left_out)| {
            let path = beneath(context, folder)?;
            Some(left_out.may_be_in(&path))
        });
        self.ignored.may_be_in(&own) || in_context.unwrap_or_default()
    }

    /// The path beneath the rule's own of something that it is about.
    fn matches(&self, path: &Path) -> Option<String> {
        let own = self.concerns(path)?;
        let is_included = self.included.as_ref().is_none_or(|included| own.is_empty() || included.has(&own));
        is_included.then_some(own)
    }
}

/// What a batch asks for.
pub(crate) fn updates<'r>(rules: impl IntoIterator<Item = &'r Rule>, batch: &Batch) -> Updates {
    let mut updates = Updates::new();
    for rule in rules {
        for (path, now) in batch {
            let Some(own) = rule.matches(path) else { continue };
            let update = updates.entry(rule.service.clone()).or_default();
            match &rule.does {
                Does::Rebuild => update.rebuild = true,
                Does::Restart => update.restart = true,
                Does::Sync { to, then, .. } => {
                    rule.sync(update, joined(to, &own), &own, path, *now);
                    match then {
                        Then::Nothing => {}
                        Then::Restart => update.restart = true,
                        Then::Run(hook) => drop(update.hooks.insert(rule.number, hook.clone())),
                    }
                }
            }
        }
    }
    for update in updates.values_mut() {
        // What one rule copies no other one removes; what is removed with its folder need not be named.
        let Update { removed, copied, .. } = update;
        let is_in_one = |path: &String| path.match_indices('/').any(|(at, _)| removed.contains(&path[..at]));
        let named = removed.iter().filter(|path| !copied.contains_key(*path) && !is_in_one(path));
        update.removed = named.cloned().collect();
        update.removed_files.retain(|path| !update.copied.contains_key(path));
        // New containers are started anyway; what is copied into them they have not seen.
        update.restart &= !update.rebuild || !update.copied.is_empty();
    }
    updates.retain(|_, update| *update != Update::default());
    updates
}

/// What is copied before the first change: all that a batch has, by the rules that say so. Nothing is done after that.
pub(crate) fn initial(rules: &[Rule], batch: &Batch) -> Updates {
    let mut updates = updates(rules.iter().filter(|rule| rule.initial), batch);
    for update in updates.values_mut() {
        *update = Update { copied: std::mem::take(&mut update.copied), ..Update::default() };
    }
    updates.retain(|_, update| *update != Update::default());
    updates
}

impl Rule {
    fn sync(&self, update: &mut Update, inside: String, own: &str, path: &Path, now: Now) {
        match now {
            // The folder itself may have been there before, with more in it than was copied.
            Now::Nothing | Now::Folder if own.is_empty() && !self.is_file => {}
            Now::Nothing if inside == "/" => {}
            Now::Nothing if self.is_file => drop(update.removed_files.insert(inside)),
            Now::Nothing => drop(update.removed.insert(inside)),
            Now::File | Now::Folder => drop(update.copied.insert(inside, path.to_owned())),
        }
    }
}

/// Decides what is run in those of these containers that run: in each one command after the other.
pub(crate) fn plan_hooks(
    project: &ProjectName,
    hooks: &BTreeMap<usize, Hook>,
    containers: &[Container],
) -> Plan {
    let mut plan = Plan::new(project.clone(), OnFailure::Continue);
    for container in containers.iter().filter(|container| container.state.is_running()) {
        let replica = Replica {
            service: container.service().unwrap_or_default().to_owned(),
            name: container.name.clone(),
            container: ContainerRef::Existing(container.id.clone()),
        };
        let mut after = None;
        for (number, hook) in hooks {
            let hook = ("develop.watch", *number, hook);
            after = Some(plan.push_hook(hook, &replica, Cause::Requested, after).succeeded());
        }
    }
    plan
}

#[cfg(test)]
mod tests;
