//! What every command works with: the settings, the project, the runtime, and the way out.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use longshore::{
    AnyRuntime, Availability, Call, Config, Container, ContainerRuntime, EngineInfo, Error, Event, LoadError,
    LoadOptions, Phase, Project, ProjectName, ResourceKind, RuntimeChoice, RuntimeKind, Subject, Target,
    Work,
    compose_file::{variables, variables_str},
    load, load_str,
};
use serde_json::json;

use crate::{
    again::Again,
    args::{Files, Format, Global},
    exit::Failure,
    host,
    output::Output,
    refusal::Refusal,
    report::{Report, Reporter},
    services,
    signals::{Signal, Signals},
};

/// How long is spent on saying what a cancelled command leaves.
const LEFT_OVER_BUDGET: Duration = Duration::from_secs(3);

/// What every command works with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) global: Global,
    pub(crate) files: Files,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) output: Output,
    pub(crate) reporter: Arc<Reporter>,
    pub(crate) signals: Signals,
    pub(crate) again: Again,
    /// The runtime, once there is one.
    pub(crate) connected: OnceLock<Arc<dyn ContainerRuntime>>,
    /// What has failed, and the sentence that was given as the reason.
    pub(crate) failed: Arc<Mutex<Vec<(Subject, String)>>>,
    /// Whether a machine was booted for this command.
    pub(crate) booted: Arc<AtomicBool>,
    /// The project that this is about, once it is known, and the services of its file.
    pub(crate) loaded: OnceLock<(ProjectName, BTreeSet<String>)>,
}

/// What a command that is cancelled may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    /// More of the project than there was.
    More,
    /// Less of it.
    Less,
    /// Images, which are no part of it.
    Images,
}

/// How much of a call the user is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tells {
    /// All of it.
    All,
    /// All but how far pulls are (`--quiet-pull`).
    AllButPulls,
    /// All but how far images are.
    AllButImages,
    /// Warnings, and what failed.
    WhatMatters,
}

impl Tells {
    pub(crate) fn tells(self, event: &Event) -> bool {
        match (self, &event.phase) {
            (Self::All, _) | (_, Phase::Warning(_) | Phase::Failed { .. }) => true,
            (
                Self::AllButPulls,
                Phase::Began(work) | Phase::Bytes { work, .. } | Phase::Done { work, .. },
            ) => *work != Work::Pull,
            (
                Self::AllButImages,
                Phase::Began(work)
                | Phase::Bytes { work, .. }
                | Phase::Step { work, .. }
                | Phase::Done { work, .. },
            ) => !matches!(work, Work::Pull | Work::Build),
            (Self::AllButPulls | Self::AllButImages, _) => true,
            (Self::WhatMatters, _) => false,
        }
    }
}

/// Which variables of a file are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Interpolate {
    Yes,
    No,
}

impl Context {
    /// The engine's settings: flags, environment, file.
    pub(crate) async fn config(&self) -> Result<Config, Failure> {
        self.config_with(self.global.flags()).await
    }

    /// The same with these in place of the global flags.
    pub(crate) async fn config_with(&self, flags: Config) -> Result<Config, Failure> {
        let (env, file) = (self.env.clone(), self.global.config.clone());
        let config = self.reading_files(move || Ok(Config::load(flags, &env, file.as_deref())?)).await?;
        host::check(&config)?;
        Ok(config)
    }

    /// The runtime that was asked for. In a dry run it only foresees, whatever it is told.
    pub(crate) async fn runtime(&self) -> Result<Arc<dyn ContainerRuntime>, Failure> {
        let config = self.config().await?;
        let mut runtime = self.reading(async { Ok(AnyRuntime::connect(&config).await?) }).await?;
        if self.output.dry_run {
            runtime = runtime.foresee().into();
        }
        self.warn_of_another_engine(&config, runtime.kind()).await?;
        let runtime = self.connected.get_or_init(|| runtime.into()).clone();
        if tracing::enabled!(tracing::Level::DEBUG) {
            self.trace_engine(&*runtime).await?;
        }
        Ok(runtime)
    }

    /// Who names a podman does not expect another engine: says why that podman was not taken.
    async fn warn_of_another_engine(&self, config: &Config, taken: RuntimeKind) -> Result<(), Failure> {
        let Some(program) = &config.podman.program else { return Ok(()) };
        let is_auto = config.runtime.unwrap_or_default() == RuntimeChoice::Auto;
        if !is_auto || config.host.is_some() || taken == RuntimeKind::Podman {
            return Ok(());
        }
        let look = async {
            let podman = AnyRuntime::construct(RuntimeKind::Podman, config)?;
            Ok(tokio::time::timeout(LEFT_OVER_BUDGET, podman.availability()).await)
        };
        let why = match self.reading(look).await? {
            Ok(Availability::Unavailable(error)) => Refusal::from(error).message(),
            _ => format!("{} does not answer", program.display()),
        };
        self.reporter.warn(&format!("{taken} is used, because {why}"));
        Ok(())
    }

    async fn trace_engine(&self, runtime: &dyn ContainerRuntime) -> Result<(), Failure> {
        let kind = runtime.kind();
        match self.reading(async { Ok(runtime.availability().await) }).await? {
            Availability::Ready(EngineInfo { name, version, endpoint, .. }) => {
                tracing::debug!(runtime = %kind, engine = name, version, endpoint, "the engine answers");
            }
            Availability::NeedsMachine(status) => {
                tracing::debug!(runtime = %kind, ?status, "the engine's machine is not ready");
            }
            Availability::Unavailable(error) => {
                tracing::debug!(runtime = %kind, %error, "the engine cannot be used");
            }
        }
        Ok(())
    }

    /// The project of the files. A service that is named is enabled, whatever its profiles.
    pub(crate) async fn project(&self, services: &[String]) -> Result<Project, Failure> {
        let mut options = self.load_options(Interpolate::Yes)?;
        let services = services.to_vec();
        let load = move || {
            let source = Source::of(&options)?;
            let project = source.load(&options)?;
            let profiles: Vec<String> = services
                .iter()
                .filter_map(|name| project.disabled_services.get(name))
                .flat_map(|service| service.profiles.iter().cloned())
                .collect();
            if profiles.is_empty() {
                return Ok(project);
            }
            options.profiles.extend(profiles);
            Ok(source.load(&options)?)
        };
        let project = self.reading_files(load).await?;
        self.warn(&project);
        self.loaded.get_or_init(|| (project.name.clone(), project.services.keys().cloned().collect()));
        Ok(project)
    }

    /// The project as its files have it, variables replaced or not.
    pub(crate) async fn project_as_written(&self, interpolate: Interpolate) -> Result<Project, Failure> {
        let options = self.load_options(interpolate)?;
        let project = self.reading_files(move || Ok(Source::of(&options)?.load(&options)?)).await?;
        self.warn(&project);
        self.loaded.get_or_init(|| (project.name.clone(), project.services.keys().cloned().collect()));
        Ok(project)
    }

    /// What the variables of the files are replaced with.
    pub(crate) async fn variables(&self) -> Result<BTreeMap<String, String>, Failure> {
        let options = self.load_options(Interpolate::Yes)?;
        self.reading_files(move || Ok(Source::of(&options)?.variables(&options)?)).await
    }

    /// Does what may wait for a terminal or a pipe, where a signal ends it.
    pub(crate) async fn reading_files<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let work = tokio::task::spawn_blocking(work);
        self.reading(async { work.await.map_err(io::Error::other)? }).await
    }

    fn warn(&self, project: &Project) {
        for warning in &project.warnings {
            match self.output.format {
                Format::Text => {
                    self.reporter.note(warning.render(self.output.stderr_colors).trim_end());
                }
                Format::Json => self.output.note(&json!({ "warning": warning }).to_string()),
            }
        }
        let (services, files) = (project.services.len(), &project.config_files);
        tracing::debug!(project = %project.name, services, ?files, "the compose files are read");
    }

    fn load_options(&self, interpolate: Interpolate) -> Result<LoadOptions, Failure> {
        let mut options = LoadOptions::new(std::env::current_dir()?);
        options.files = self.files.files.clone();
        options.project_directory = self.global.project_directory.clone();
        if let Some(folder) = options.project_directory.as_ref().filter(|folder| !folder.is_dir()) {
            let message = format!("--project-directory {}: there is no such folder", folder.display());
            return Err(Failure::Usage(message, None));
        }
        options.project_name = self.global.project_name.clone();
        options.profiles = self.files.with.profiles.clone();
        options.env_files = self.files.with.env_files.clone();
        options.env = self.env.clone();
        options.interpolate = interpolate == Interpolate::Yes;
        Ok(options)
    }

    /// The project of the files; or what has the name that was given, if no file was.
    pub(crate) async fn target(&self, services: &[String]) -> Result<Target, Failure> {
        let target = match (&self.global.project_name, self.files.files.is_empty()) {
            (Some(name), true) => Target::name(
                ProjectName::new(name.as_str()).map_err(|error| Failure::Usage(error.to_string(), None))?,
            ),
            _ => Target::from(self.project(services).await?),
        };
        self.loaded.get_or_init(|| (target.name.clone(), BTreeSet::new()));
        Ok(target.services(services.iter().cloned()))
    }

    /// Tells in a dry run what no event tells.
    pub(crate) fn would(&self, what: &str) {
        if self.output.dry_run {
            self.reporter.note(&format!("{}{what}", self.output.mode()));
        }
    }

    /// A call whose events the user is told.
    pub(crate) fn call(&self) -> Call {
        self.call_that(Tells::All)
    }

    /// A call of whose events the user is told so much.
    pub(crate) fn call_that(&self, tells: Tells) -> Call {
        let (reporter, failed, booted) = (self.reporter.clone(), self.failed.clone(), self.booted.clone());
        Call::reporting(move |event| {
            if event.phase == Phase::Began(Work::Boot) {
                booted.store(true, Ordering::Relaxed);
            }
            if let Phase::Failed { reason, .. } = &event.phase {
                let mut failed = failed.lock().unwrap_or_else(PoisonError::into_inner);
                failed.push((event.subject.clone(), reason.clone()));
            }
            if tells.tells(&event) {
                reporter.event(&event);
            }
        })
    }

    /// A failure with all that can be known of it.
    pub(crate) async fn explained(&self, failure: Failure) -> Failure {
        let Failure::Runtime(mut refusal) = failure else { return failure };
        let sentence = refusal.error.to_string();
        let failed = std::mem::take(&mut *self.failed.lock().unwrap_or_else(PoisonError::into_inner));
        refusal.about =
            failed.into_iter().find(|(_, reason)| *reason == sentence).map(|(subject, _)| subject);
        if is_no_word_of_podmans(&refusal.error)
            && let Some(runtime) = self.connected.get()
            && let Ok(Availability::Unavailable(error)) =
                tokio::time::timeout(LEFT_OVER_BUDGET, runtime.availability()).await
            && matches!(error, Error::NotInstalled { .. } | Error::TooOld { .. })
        {
            return error.into();
        }
        match &refusal.error {
            Error::NotFound { kind: ResourceKind::Service, name } => {
                refusal.help = services::help(name, &self.services().await);
            }
            Error::NotFound { kind: ResourceKind::Project, .. } => {
                refusal.help = Some(format!("{} creates it", self.again.other("up")));
            }
            _ => {}
        }
        Failure::Runtime(refusal)
    }

    /// The services that the project has in its file and on the engine, as far as they can be known.
    async fn services(&self) -> BTreeSet<String> {
        let Some((project, in_file)) = self.loaded.get() else { return BTreeSet::new() };
        let mut services = in_file.clone();
        if let Some(runtime) = self.connected.get()
            && let Ok(Ok(containers)) = tokio::time::timeout(LEFT_OVER_BUDGET, runtime.ps(project)).await
        {
            services.extend(containers.iter().filter_map(Container::service).map(str::to_owned));
        }
        services
    }

    /// Awaits something that changes nothing: a signal simply ends it.
    pub(crate) async fn reading<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            outcome = work => outcome,
            signal = self.signals.nth(1) => Err(Failure::Signal(signal, None)),
        }
    }

    /// Awaits something that changes the project. A signal cancels it and it is let end; a second one does not wait.
    /// The outcome of a cancelled call says what is left.
    pub(crate) async fn changing<T>(
        &self,
        runtime: &dyn ContainerRuntime,
        project: &ProjectName,
        leaves: Leaves,
        call: &Call,
        work: impl Future<Output = longshore::Result<T>>,
    ) -> Result<T, Failure> {
        let outcome = self.cancelling(call, work).await;
        self.reporter.finish();
        match outcome {
            Ok(outcome) => Ok(outcome?),
            Err(signal) => Err(Failure::Signal(signal, Some(self.left(runtime, project, leaves).await))),
        }
    }

    /// What a cancelled command leaves of a project, and what to do about it.
    pub(crate) async fn left(
        &self,
        runtime: &dyn ContainerRuntime,
        project: &ProjectName,
        leaves: Leaves,
    ) -> String {
        let mut advice = format!("{} completes it", self.again.same());
        match leaves {
            Leaves::Images => return advice,
            Leaves::Less => {}
            Leaves::More => advice.push_str(&format!(", {} removes it", self.again.other("down"))),
        }
        let containers = tokio::time::timeout(LEFT_OVER_BUDGET, runtime.ps(project)).await;
        let Ok(Ok(containers)) = containers else { return advice };
        if containers.is_empty() {
            return format!("no container of the project is left\n{advice}");
        }
        let list: Vec<String> = containers
            .iter()
            .map(|container| format!("{} ({})", container.name, container.state.as_str()))
            .collect();
        format!("left as they are: {}\n{advice}", list.join(", "))
    }

    /// Awaits a call, which a signal cancels. The outer error is the signal.
    pub(crate) async fn cancelling<T>(
        &self,
        call: &Call,
        work: impl Future<Output = longshore::Result<T>>,
    ) -> Result<longshore::Result<T>, Signal> {
        let mut work = std::pin::pin!(work);
        let signal = tokio::select! {
            outcome = &mut work => return Ok(outcome),
            signal = self.signals.nth(1) => signal,
        };
        call.cancel.cancel();
        tokio::select! {
            outcome = work => match outcome {
                Err(Error::Cancelled) => Err(signal),
                // It ended by itself before it was told.
                outcome => Ok(outcome),
            },
            _ = self.signals.nth(2) => Err(signal),
        }
    }
}

/// Whether a program that is not podman may have said it.
fn is_no_word_of_podmans(error: &Error) -> bool {
    match error {
        Error::Command(failure) => !failure.stderr.iter().any(|line| line.starts_with("Error:")),
        Error::Unexpected { engine, .. } => *engine == RuntimeKind::Podman,
        _ => false,
    }
}

/// Where the text of the project is.
#[derive(Debug)]
enum Source {
    Files,
    /// It can be read only once.
    Stdin(String),
}

impl Source {
    fn of(options: &LoadOptions) -> Result<Self, Failure> {
        let is_stdin = |file: &PathBuf| file == Path::new("-");
        match options.files.as_slice() {
            [only] if is_stdin(only) => {
                let mut text = String::new();
                io::stdin().lock().read_to_string(&mut text)?;
                Ok(Self::Stdin(text))
            }
            files if files.iter().any(is_stdin) => {
                Err(Failure::Usage("`-` (stdin) cannot be merged with other compose files".to_owned(), None))
            }
            _ => Ok(Self::Files),
        }
    }

    fn variables(&self, options: &LoadOptions) -> Result<BTreeMap<String, String>, LoadError> {
        match self {
            Self::Files => variables(options),
            Self::Stdin(text) => {
                let mut options = options.clone();
                options.files.clear();
                variables_str("<stdin>", text, &options)
            }
        }
    }

    fn load(&self, options: &LoadOptions) -> Result<Project, LoadError> {
        match self {
            Self::Files => load(options),
            Self::Stdin(text) => {
                let mut options = options.clone();
                options.files.clear();
                let mut project = load_str("<stdin>", text, &options)?;
                // It is no file that could be found again.
                project.config_files.clear();
                Ok(project)
            }
        }
    }
}
