//! Builds in memory: the instructions that need no shell, over images that are here.
//!
//! `FROM`, `ARG`, `ENV`, `COPY`, `ADD` of files, `RUN` of the base image's own program in the form of a list, `ENTRYPOINT` and `CMD` do what
//! they do everywhere; what else a Dockerfile has is a step that changes nothing.

use std::{collections::BTreeMap, io, sync::Arc, time::Duration};

use compose_file::{BuildContext, Hidden};
use runtime_core::{
    BuildProblem, BuildSecretSource, BuildSpec, BuildStep, ContainerId, ContainerName, ContainerSpec,
    Dockerfile, Error, ExecSpec, ImageId, Phase, Progress, Result, Subject, Work, hide_values,
};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    engine::{MockEngine, digest},
    program::{Inside, Process, Program},
    world::Layer,
};

/// What each step takes.
const STEP: Duration = Duration::from_millis(100);

/// A stage as far as it is built.
#[derive(Clone, Default)]
struct Stage {
    name: Option<String>,
    /// The image that it is from, whose program it has.
    base: Option<String>,
    program: Option<Arc<dyn Program>>,
    layer: Layer,
    /// What decides its id.
    history: String,
}

/// One instruction: its word, the rest, and all of it as it is written.
struct Instruction {
    word: String,
    rest: String,
    text: String,
}

fn instructions(dockerfile: &str) -> Vec<Instruction> {
    let mut all = Vec::new();
    let mut open = String::new();
    for line in dockerfile.lines().filter(|line| !line.trim_start().starts_with('#')) {
        match line.trim_end().strip_suffix('\\') {
            Some(part) => open.push_str(part),
            None => {
                open.push_str(line.trim_end());
                let text = std::mem::take(&mut open).trim().to_owned();
                let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
                if !word.is_empty() {
                    let (word, rest) = (word.to_uppercase(), rest.trim().to_owned());
                    all.push(Instruction { word, rest, text });
                }
            }
        }
    }
    all
}

/// Variables in their places.
fn filled(text: &str, variables: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        let (name, left) = match after.strip_prefix('{').and_then(|after| after.split_once('}')) {
            Some(parts) => parts,
            None => {
                let end = after.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
                after.split_at(end.unwrap_or(after.len()))
            }
        };
        out.push_str(variables.get(name).map_or("", String::as_str));
        rest = left;
    }
    out + rest
}

/// `["a", "b"]`, or words.
fn list(text: &str) -> Option<Vec<String>> {
    let inner = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let words = inner.split("\",").map(|word| word.trim().trim_matches('"').to_owned());
    Some(words.filter(|word| !word.is_empty()).collect())
}

/// A build under way.
struct Building<'a> {
    engine: &'a MockEngine,
    spec: &'a BuildSpec,
    /// The files of the context, by path.
    context: BTreeMap<String, Vec<u8>>,
    /// `ARG`s before the first stage, and those of the stage.
    arguments: BTreeMap<String, String>,
    stages: Vec<Stage>,
}

/// Why a step failed: what the engine says, and what the step printed.
type Failing = (String, Vec<String>);

fn said(reason: impl Into<String>) -> Failing {
    (reason.into(), Vec::new())
}

/// A container that is there as long as a `RUN` runs.
struct Working<'a>(&'a MockEngine, ContainerId);

impl Drop for Working<'_> {
    fn drop(&mut self) {
        self.0.forget_container(&self.1);
    }
}

impl MockEngine {
    pub(crate) async fn do_build(&self, spec: &BuildSpec, progress: &Progress) -> Result<ImageId> {
        let failed = |step: Option<BuildStep>, (reason, output): Failing| {
            let hide = |text: &str| hide_values(text, spec.hidden());
            let output: Vec<String> = output.iter().map(|line| hide(line)).collect();
            let from = output.len().saturating_sub(BuildProblem::MOST_LINES);
            let problem =
                BuildProblem::Failed { step, reason: hide(&reason), output: output[from..].to_vec() };
            Error::Build { image: spec.image.clone(), problem }
        };
        if let BuildContext::Elsewhere(place) = &spec.context {
            return Err(failed(None, said(format!("nothing in memory is at {place}"))));
        }
        let read = || -> io::Result<(String, BTreeMap<String, Vec<u8>>)> {
            let dockerfile = match (&spec.dockerfile, spec.dockerfile_path()) {
                (Dockerfile::Inline(text), _) => text.clone(),
                (_, Some(path)) => std::fs::read_to_string(path)?,
                (_, None) => String::new(),
            };
            let mut files = BTreeMap::new();
            spec.visit_context(|name, path, found| {
                if found.is_file() {
                    files.insert(name.to_owned(), std::fs::read(path)?);
                }
                Ok(())
            })?;
            Ok((dockerfile, files))
        };
        let (dockerfile, context) = read().map_err(|error| failed(None, said(error.to_string())))?;
        let steps = instructions(&dockerfile);
        let mut building =
            Building { engine: self, spec, context, arguments: BTreeMap::new(), stages: Vec::new() };
        let of = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        for (number, instruction) in (1..).zip(&steps) {
            if instruction.word == "FROM" && building.is_at_target() {
                break;
            }
            let instruction_text = hide_values(&instruction.text, spec.hidden());
            let step = BuildStep { number, of, instruction: instruction_text };
            let phase = Phase::Step { work: Work::Build, step: step.clone() };
            progress.report(Subject::Image(spec.image.clone()), phase);
            sleep(STEP).await;
            building.perform(instruction).await.map_err(|failing| failed(Some(step), failing))?;
        }
        let unknown = spec.target.as_ref().filter(|_| !building.is_at_target());
        if let Some(target) = unknown {
            return Err(failed(None, said(format!("there is no stage {target}"))));
        }
        let Some(stage) = building.stages.pop() else {
            return Err(failed(None, said("the Dockerfile has no FROM")));
        };
        Ok(self.keep_image(spec, stage.program.as_ref(), stage.layer, &stage.history))
    }
}

impl Building<'_> {
    fn is_at_target(&self) -> bool {
        let last = self.stages.last().and_then(|stage| stage.name.as_deref());
        self.spec.target.is_some() && self.spec.target.as_deref() == last
    }

    /// What variables mean in the stage.
    fn variables(&self) -> BTreeMap<String, String> {
        let mut variables = self.arguments.clone();
        variables.extend(self.stages.last().map(|stage| stage.layer.environment.clone()).unwrap_or_default());
        variables
    }

    async fn perform(&mut self, instruction: &Instruction) -> std::result::Result<(), Failing> {
        let Instruction { word, rest, text } = instruction;
        let variables = self.variables();
        match word.as_str() {
            "ARG" => {
                let (name, default) =
                    rest.split_once('=').map_or((rest.as_str(), None), |(a, b)| (a, Some(b)));
                let given = self.spec.args.get(name).map(|Hidden(value)| value.clone());
                if let Some(value) = given.or_else(|| default.map(|text| filled(text, &variables))) {
                    self.arguments.insert(name.to_owned(), value.trim_matches('"').to_owned());
                }
            }
            "FROM" => {
                let mut words = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                let base = filled(words.next().unwrap_or_default(), &variables);
                let name = words.nth(1).map(str::to_owned);
                let stage = self.from(&base)?;
                self.stages.push(Stage { name, ..stage });
            }
            _ if self.stages.is_empty() => return Err(said(format!("{word} before the first FROM"))),
            "ENV" => {
                let pairs: Vec<(String, String)> = match rest.split_once('=') {
                    Some(_) => rest
                        .split_whitespace()
                        .filter_map(|pair| pair.split_once('='))
                        .map(|(name, value)| (name.to_owned(), filled(value.trim_matches('"'), &variables)))
                        .collect(),
                    None => rest
                        .split_once(' ')
                        .map(|(name, value)| (name.to_owned(), filled(value, &variables)))
                        .into_iter()
                        .collect(),
                };
                self.layer()?.environment.extend(pairs);
            }
            "COPY" | "ADD" => self.copy(&filled(rest, &variables))?,
            "RUN" => self.run(rest, variables).await?,
            "ENTRYPOINT" => {
                let layer = self.layer()?;
                (layer.entrypoint, layer.command) = (list(rest), None);
            }
            "CMD" => self.layer()?.command = list(rest),
            "LABEL" | "WORKDIR" | "USER" | "EXPOSE" | "VOLUME" | "STOPSIGNAL" | "SHELL" | "HEALTHCHECK"
            | "MAINTAINER" | "ONBUILD" => {}
            _ => return Err(said(format!("unknown instruction: {word}"))),
        }
        let arguments = format!("{:?}", self.arguments);
        if let Some(stage) = self.stages.last_mut() {
            stage.history.push_str(&format!("{text}\n{arguments}\n"));
        }
        Ok(())
    }

    fn layer(&mut self) -> std::result::Result<&mut Layer, Failing> {
        self.stages.last_mut().map(|stage| &mut stage.layer).ok_or_else(|| said("there is no FROM"))
    }

    fn from(&self, base: &str) -> std::result::Result<Stage, Failing> {
        if let Some(stage) = self.stages.iter().find(|stage| stage.name.as_deref() == Some(base)) {
            return Ok(stage.clone());
        }
        let base = match self.spec.contexts.get(base) {
            Some(BuildContext::Elsewhere(image)) => image.strip_prefix("docker-image://").unwrap_or(image),
            _ => base,
        };
        if base == "scratch" {
            return Ok(Stage::default());
        }
        let (id, program, layer) =
            self.engine.image_to_build_on(base).ok_or_else(|| said(format!("{base}: no such image")))?;
        let history = format!("{}\n", id.as_str());
        Ok(Stage { name: None, base: Some(base.to_owned()), program: Some(program), layer, history })
    }

    fn copy(&mut self, rest: &str) -> std::result::Result<(), Failing> {
        let mut words: Vec<&str> = rest.split_whitespace().collect();
        let from = words.iter().find_map(|word| word.strip_prefix("--from="));
        words.retain(|word| !word.starts_with("--"));
        let target = words.pop().unwrap_or_default();
        let files: BTreeMap<String, Vec<u8>> = match from {
            None => self.context.clone(),
            Some(name) => {
                let files = self.from(name)?.layer.files.into_iter();
                files.map(|(path, bytes)| (path.trim_start_matches('/').to_owned(), bytes)).collect()
            }
        };
        for source in words {
            let source = source.trim_start_matches("./").trim_matches('/');
            let folder = if matches!(source, "." | "") { String::new() } else { format!("{source}/") };
            let base = target.trim_end_matches('/');
            let mut found: Vec<(String, Vec<u8>)> = Vec::new();
            for (path, bytes) in &files {
                if path == source {
                    let own = path.rsplit('/').next().unwrap_or(path);
                    let to = if target.ends_with('/') { format!("{base}/{own}") } else { target.to_owned() };
                    found.push((to, bytes.clone()));
                } else if let Some(inside) = path.strip_prefix(&folder) {
                    found.push((format!("{base}/{inside}"), bytes.clone()));
                }
            }
            if found.is_empty() && !folder.is_empty() {
                return Err(said(format!("{source}: no such file or directory")));
            }
            let digests: String = found.iter().map(|(path, bytes)| format!("{path} {bytes:?}\n")).collect();
            self.layer()?.files.extend(found);
            if let Some(stage) = self.stages.last_mut() {
                stage.history.push_str(&digest(&digests));
            }
        }
        Ok(())
    }

    /// Runs the base's program in a container of its own.
    async fn run(
        &mut self,
        rest: &str,
        variables: BTreeMap<String, String>,
    ) -> std::result::Result<(), Failing> {
        let (flags, rest): (Vec<&str>, &str) = match rest.find('[') {
            Some(at) => (rest[..at].split_whitespace().collect(), &rest[at..]),
            None => (Vec::new(), rest),
        };
        let argv = list(rest).unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned(), rest.to_owned()]);
        let Some(stage) = self.stages.last() else { return Err(said("there is no FROM")) };
        let program = stage.program.clone();
        let program = program.filter(|program| argv.first().is_some_and(|word| program.has(word)));
        let Some(program) = program else {
            return Err(said(format!("exec {:?}: no such file or directory", argv.first())));
        };
        let base = stage.base.clone().unwrap_or_default();
        let mut files = stage.layer.files.clone();
        for secret in &self.spec.secrets {
            let is_it = |flag: &&str| flag.starts_with("--mount=type=secret") && flag.contains(&secret.id);
            let target = flags.iter().any(is_it).then(|| format!("/run/secrets/{}", secret.id));
            let bytes = match &secret.source {
                BuildSecretSource::File(path) => std::fs::read(path).map_err(|e| said(e.to_string()))?,
                BuildSecretSource::Value(Hidden(text)) => text.clone().into_bytes(),
            };
            files.extend(target.map(|target| (target, bytes)));
        }
        let name = format!("build-{}", digest(&self.spec.image).split_at(12).0);
        let name = ContainerName::new(name).map_err(|error| said(error.to_string()))?;
        let container = ContainerSpec::new(name, base);
        let id = self.engine.working_container(container, files);
        let working = Working(self.engine, id.clone());
        let (printed, mut lines) = mpsc::unbounded_channel();
        let mut exec = ExecSpec::new(argv.clone());
        exec.environment = variables;
        let inside = Some(Inside { spec: exec, printed });
        let process = Process {
            inner: self.engine.inner().clone(),
            id: id.0.clone(),
            argv,
            inside,
            stdin: Default::default(),
        };
        let code = program.exec(process).await;
        let mut output = Vec::new();
        while let Ok((_, line)) = lines.try_recv() {
            output.push(line);
        }
        if code != 0 {
            return Err((format!("it ended with exit code {code}"), output));
        }
        let mut written = self.engine.files_of(&id);
        written.retain(|path, _| !path.starts_with("/run/secrets/"));
        drop(working);
        self.layer()?.files = written;
        Ok(())
    }
}
