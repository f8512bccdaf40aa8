//! Does what files ask for that change. Dumb: `crate::develop` has decided it.

use std::{
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    path::PathBuf,
};

use compose_file::{Hook, Project, PullPolicy};

use super::Compose;
use crate::{
    Building, Call, Container, ContainerRuntime, Dependencies, DevelopOptions, Error, ExecOutput, ExecSpec,
    Orphans, Phase, Recreate, ReplacedImages, RestartOptions, Result, Subject, Target, UpOptions, Work, copy,
    develop::{self, Listening, Rules, Update, Updates},
    execute::{Execution, execute, failed_inside},
    plan_restart,
};

/// A command line is not longer than that.
const MOST_WORDS: usize = 64 << 10;

impl Compose {
    /// Listens outside of the gate, so that no shutdown waits for files to change; whatever is done goes through it.
    pub(super) async fn develop_outside(
        &self,
        project: &Project,
        options: &DevelopOptions,
        call: &Call,
    ) -> Result<Infallible> {
        let Rules { rules, warnings } = develop::rules(project, options)?;
        let listening = self.unless_cancelled(call, Listening::begin(project, rules)).await?;
        let subject = Subject::Project(project.name.to_string());
        for warning in warnings {
            call.progress.report(subject.clone(), Phase::Warning(warning));
        }
        let begin = |call: Call| {
            let (listening, options) = (&listening, options);
            async move {
                match &options.up {
                    Some(up) => drop(self.up_watched(project, options, up, &call).await?),
                    None => self.ready(&call).await?,
                }
                let initial = develop::initial(listening.rules(), &listening.initial().await?);
                for (service, update) in initial {
                    self.sync(project, &service, update, &call).await?;
                }
                Ok(())
            }
        };
        self.shared.gate.within(call, begin).await?;
        // It is over when the call is; nobody has to be told.
        let _watching = call.progress.begin(subject.clone(), Work::Watch);
        loop {
            let (batch, problems) = self.unless_cancelled(call, listening.batch()).await?;
            for problem in problems {
                call.progress.report(subject.clone(), Phase::Warning(problem));
            }
            let updates = develop::updates(listening.rules(), &batch);
            if !updates.is_empty() {
                let work = |call: Call| async move { self.update(project, options, updates, &call).await };
                self.shared.gate.within(call, work).await?;
            }
        }
    }

    /// Brings it up; what is watched and can be built is built.
    async fn up_watched(
        &self,
        project: &Project,
        options: &DevelopOptions,
        up: &UpOptions,
        call: &Call,
    ) -> Result<()> {
        let watched = develop::watched_services(project, options)?;
        let mut project = project.clone();
        for service in project.services.values_mut() {
            if watched.contains(&service.name) && service.build.is_some() {
                service.pull_policy = PullPolicy::Build;
            }
        }
        self.up_inside(&project, up, call).await.map(|_| ())
    }

    /// Does what a batch asks for. What fails is told, and ends what is done to its service.
    async fn update(
        &self,
        project: &Project,
        options: &DevelopOptions,
        updates: Updates,
        call: &Call,
    ) -> Result<()> {
        // Images first, as docker compose does: a container that is made anew gets its files after that.
        let mut left = Updates::new();
        let mut has_rebuilt = false;
        for (service, update) in updates {
            if update.rebuild {
                let work = self.rebuild(project, &service, call);
                if !self.told(&service, Work::Rebuild, call, work).await? {
                    continue;
                }
                has_rebuilt = true;
            }
            left.insert(service, update);
        }
        if has_rebuilt
            && options.replaced == ReplacedImages::Remove
            && let Err(error) =
                self.unless_cancelled(call, self.shared.engine.remove_replaced_images(&project.name)).await
        {
            let warning = format!("images that a build has replaced are not removed: {error}");
            call.progress.report(Subject::Project(project.name.to_string()), Phase::Warning(warning));
        }
        for (service, update) in left {
            self.update_service(project, &service, update, call).await?;
        }
        Ok(())
    }

    async fn update_service(
        &self,
        project: &Project,
        service: &str,
        mut update: Update,
        call: &Call,
    ) -> Result<()> {
        let (files, restart, hooks) = (update.files(), update.restart, std::mem::take(&mut update.hooks));
        if files > 0 {
            let work = self.sync(project, service, update, call);
            if !self.told(service, Work::Sync(files), call, work).await? {
                return Ok(());
            }
        }
        if restart {
            let target = Target::from(project).services([service]);
            let work = self.change_inside(&target, call, |observed| {
                plan_restart(&target, &RestartOptions::default(), observed)
            });
            if !self.told(service, Work::Restart, call, async { work.await.map(|_| ()) }).await? {
                return Ok(());
            }
        }
        if !hooks.is_empty() {
            let work = self.run_hooks(project, service, &hooks, call);
            self.told(service, Work::RunHook, call, work).await?;
        }
        Ok(())
    }

    /// Tells how something went that is done to a service; whether it is done. That the call is over is no failure of it.
    async fn told(
        &self,
        service: &str,
        work: Work,
        call: &Call,
        doing: impl Future<Output = Result<()>>,
    ) -> Result<bool> {
        let ongoing = call.progress.begin(Subject::Service(service.to_owned()), work);
        match doing.await {
            Err(_) if call.cancel.is_cancelled() => Err(Error::Cancelled),
            outcome => {
                ongoing.ended(&outcome);
                Ok(outcome.is_ok())
            }
        }
    }

    /// Makes a service's image and as many containers from it as there are.
    async fn rebuild(&self, project: &Project, service: &str, call: &Call) -> Result<()> {
        let count = self.containers_now(project, service).await?.len();
        let mut project = project.clone();
        if let Some(service) = project.services.get_mut(service) {
            // It is what was just built.
            service.pull_policy = PullPolicy::Missing;
        }
        let mut up = UpOptions {
            services: [service.to_owned()].into(),
            dependencies: Dependencies::Ignore,
            build: Building::Always,
            recreate: Recreate::Always,
            orphans: Orphans::Ignore,
            ..UpOptions::default()
        };
        if let Ok(count) = u32::try_from(count)
            && count > 0
        {
            up.scale.insert(service.to_owned(), count);
        }
        self.up_inside(&project, &up, call).await.map(|_| ())
    }

    /// Copies what has changed into a service's containers, and removes there what was removed here.
    async fn sync(&self, project: &Project, service: &str, update: Update, call: &Call) -> Result<()> {
        let containers = self.containers_now(project, service).await?;
        if containers.is_empty() {
            return Err(Error::NotRunning { service: service.to_owned(), index: None });
        }
        let Update { removed, removed_files, copied, .. } = update;
        let work = async {
            for (how, paths) in [("-rf", &removed), ("-f", &removed_files)] {
                let removals =
                    containers.iter().map(|container| self.remove_files(container, how, paths, call));
                futures_util::future::join_all(removals).await;
            }
            self.copy_files(&containers, copied).await
        };
        self.unless_cancelled(call, self.asking(work)).await
    }

    async fn copy_files(&self, containers: &[Container], files: BTreeMap<String, PathBuf>) -> Result<()> {
        let ids: Vec<_> = containers.iter().map(|container| container.id.clone()).collect();
        copy::copy_files_to(&*self.shared.engine, &ids, files).await
    }

    /// Removes files in a container. That it cannot be done is told, and keeps nobody from copying: editors make files that go again at
    /// once, and not every image has an `rm`.
    async fn remove_files(&self, container: &Container, how: &str, paths: &BTreeSet<String>, call: &Call) {
        if paths.is_empty() {
            return;
        }
        let why = match container.state.is_running() {
            true => self.run_rm(container, how, paths).await.err().map(|error| error.to_string()),
            false => Some(format!("{} does not run", container.name)),
        };
        if let Some(why) = why {
            let service = container.service().unwrap_or_default().to_owned();
            let subject = Subject::Container { service, name: container.name.clone() };
            call.progress.report(subject, Phase::Warning(format!("what was removed stays there: {why}")));
        }
    }

    /// No engine removes files: the container's own `rm` does, as with docker compose. It is run by root, as whom engines copy.
    async fn run_rm(&self, container: &Container, how: &str, paths: &BTreeSet<String>) -> Result<()> {
        let paths: Vec<&String> = paths.iter().collect();
        let mut rest = paths.as_slice();
        while !rest.is_empty() {
            let mut length = 0;
            let fits = |path: &&&String| {
                length += path.len() + 1;
                length <= MOST_WORDS
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            rest = later;
            let mut spec = ExecSpec::new(["rm", how].into_iter().chain(now.iter().map(|path| path.as_str())));
            spec.user = Some("0:0".to_owned());
            let output = self.shared.engine.exec(&container.id, &spec).await;
            let ExecOutput { exit_code, stdout, stderr } =
                output.map_err(|error| error.with_name_for(&container.id.0, &container.name))?;
            if exit_code != 0 {
                let said = [stdout, stderr].concat();
                return Err(failed_inside(
                    format!("rm in {}", container.name),
                    exit_code,
                    &String::from_utf8_lossy(&said),
                ));
            }
        }
        Ok(())
    }

    /// Runs commands in the running containers of a service, those of a container one after the other.
    async fn run_hooks(
        &self,
        project: &Project,
        service: &str,
        hooks: &BTreeMap<usize, Hook>,
        call: &Call,
    ) -> Result<()> {
        let containers = self.containers_now(project, service).await?;
        let plan = develop::plan_hooks(&project.name, hooks, &containers);
        let engine = &*self.shared.engine;
        self.asking(execute(engine, &plan, call, Execution::default())).await.map(|_| ())
    }

    async fn containers_now(&self, project: &Project, service: &str) -> Result<Vec<Container>> {
        let mut containers = self.ps(&project.name).await?;
        containers.retain(|container| container.service() == Some(service));
        Ok(containers)
    }
}
