//! Files that are watched while somebody works on them.

use std::{convert::Infallible, fs};

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Suite, Talked, behaviours, options, refused};
use runtime_core::{
    Call, ContainerId, DevelopOptions, Error, Event, ExecSpec, Member, Phase, ReplacedImages, ResourceKind,
    Subject, UpOptions, Work,
};
use tokio::{
    sync::mpsc::{self, UnboundedReceiver},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        what_changes_is_synced_to_all_replicas,
        what_is_removed_is_removed_inside,
        what_is_ignored_is_not_synced,
        a_file_has_its_targets_name,
        a_restart_comes_after_the_sync,
        a_restart_alone_copies_nothing,
        a_rebuild_makes_image_and_containers_anew,
        a_command_runs_after_the_sync,
        what_is_there_is_synced_first,
        a_build_that_fails_is_told_and_watching_goes_on,
        a_sync_that_fails_is_told_and_watching_goes_on,
        what_is_watched_is_built_before,
        a_project_is_left_as_it_is_at_the_end,
        what_is_not_configured_is_told_before_anything_is_made,
    );
}

/// Somebody who watches, and what they are told.
struct Watching {
    events: UnboundedReceiver<Event>,
    cancel: CancellationToken,
    task: JoinHandle<Result<Infallible, Error>>,
}

impl Watching {
    /// Brings a project up and watches it; returns once it is watched.
    async fn begin(case: &Case, project: &Project) -> Result<Self, Failed> {
        let mut options = DevelopOptions::default();
        options.up = Some(UpOptions::default());
        Self::begin_with(case, project, options).await
    }

    async fn begin_with(case: &Case, project: &Project, options: DevelopOptions) -> Result<Self, Failed> {
        let (sender, events) = mpsc::unbounded_channel();
        let call = Call::reporting(move |event| drop(sender.send(event)));
        let cancel = call.cancel.clone();
        let (runtime, project) = (case.runtime().clone(), project.clone());
        let task = tokio::spawn(async move { runtime.develop(&project, &options, &call).await });
        let mut watching = Self { events, cancel, task };
        watching.until(|event| event.phase == Phase::Began(Work::Watch)).await?;
        Ok(watching)
    }

    /// Waits until something is told.
    async fn until(&mut self, is: impl Fn(&Event) -> bool) -> Result<Event, Failed> {
        while let Some(event) = self.events.recv().await {
            if is(&event) {
                return Ok(event);
            }
            if let (Subject::Service(name), Phase::Failed { reason, .. }) = (&event.subject, &event.phase) {
                return Err(format!("{name}: {reason}").into());
            }
        }
        Err("it ended before".into())
    }

    /// Waits until something is done to `web`.
    async fn does(&mut self, is: impl Fn(Work) -> bool) -> Outcome {
        let is_it = |event: &Event| {
            event.subject == Subject::Service("web".to_owned())
                && matches!(event.phase, Phase::Done { work, .. } if is(work))
        };
        self.until(is_it).await.map(|_| ())
    }

    async fn syncs(&mut self) -> Outcome {
        self.does(|work| matches!(work, Work::Sync(_))).await
    }

    /// Waits until files read so in the first `web`, looking again after each sync: several changes may come as one or as more.
    async fn until_read(&mut self, case: &Case, project: &Project, files: &[(&str, &str)]) -> Outcome {
        loop {
            self.syncs().await?;
            let mut missing = 0;
            for (path, text) in files {
                missing += usize::from(read(case, project, 1, path).await? != *text);
            }
            if missing == 0 {
                return Ok(());
            }
        }
    }

    /// Waits until something fails that was to be done to `web`, and returns why.
    async fn fails(&mut self) -> Result<String, Failed> {
        let is_it = |event: &Event| {
            event.subject == Subject::Service("web".to_owned()) && matches!(event.phase, Phase::Failed { .. })
        };
        match self.until(is_it).await?.phase {
            Phase::Failed { reason, .. } => Ok(reason),
            other => Err(format!("{other:?}").into()),
        }
    }

    async fn end(self) -> Outcome {
        self.cancel.cancel();
        let ended = self.task.await?;
        assert_eq!(ended, Err(Error::Cancelled));
        Ok(())
    }
}

/// Writes files of the case's folder.
fn write(case: &Case, files: &[(&str, &str)]) -> Outcome {
    for (name, text) in files {
        let path = case.dir().join(name);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// A service `web` that sleeps, with these rules.
fn sleeper(case: &Case, watch: &str) -> Result<Project, Failed> {
    case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    scale: 2
    develop: {{watch: [{watch}]}}
"
    ))
}

/// The same of an image that is built in `app`.
fn built(case: &Case, watch: &str) -> Result<Project, Failed> {
    case.project(&format!(
        "services: {{web: {{build: ./app, command: [sleep], develop: {{watch: [{watch}]}}}}}}"
    ))
}

/// What a program in a container of `web` reads; empty if nothing is there.
async fn read(case: &Case, project: &Project, index: u32, path: &str) -> Result<String, Failed> {
    let member = Member { service: "web".to_owned(), index: Some(index) };
    let spec = ExecSpec::new(["/fixture", "read", path]);
    let session = case.runtime().exec(&project.name, &member, &spec).await?;
    Ok(Talked::with(session, b"").await?.stdout)
}

async fn what_changes_is_synced_to_all_replicas(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n")])?;
    let project = sleeper(&case, "{path: src, action: sync, target: /app/src}")?;
    let mut watching = Watching::begin(&case, &project).await?;
    assert_eq!(read(&case, &project, 1, "/app/src/a").await?, "", "nothing has changed yet");
    write(&case, &[("src/a", "two\n"), ("src/new/deep/b", "three\n"), ("other/c", "four\n")])?;
    let files = [("/app/src/a", "two\n"), ("/app/src/new/deep/b", "three\n")];
    watching.until_read(&case, &project, &files).await?;
    for (path, text) in files {
        assert_eq!(read(&case, &project, 2, path).await?, text);
    }
    write(&case, &[("src/new/deep/c", "five\n")])?;
    watching.syncs().await?;
    assert_eq!(read(&case, &project, 2, "/app/src/new/deep/c").await?, "five\n");
    watching.end().await
}

/// An image with an `rm`, which the test image has not.
fn with_rm(case: &Case) -> Outcome {
    write(case, &[("app/Dockerfile", "FROM localhost/longshore-fixture:1\nCOPY rm /rm\n")])?;
    if case.mock().is_some() {
        return write(case, &[("app/rm", "")]);
    }
    // A busybox that is called so is one.
    fs::copy("/bin/busybox", case.dir().join("app/rm"))?;
    Ok(())
}

async fn what_is_removed_is_removed_inside(case: Case) -> Outcome {
    with_rm(&case)?;
    write(&case, &[("src/a", "a\n"), ("src/b/c", "c\n"), ("src/b/d", "d\n"), ("src/e", "e\n")])?;
    let project = built(&case, "{path: src, action: sync, target: /app, initial_sync: true}")?;
    let mut watching = Watching::begin(&case, &project).await?;
    assert_eq!(read(&case, &project, 1, "/app/b/c").await?, "c\n");
    fs::remove_file(case.dir().join("src/a"))?;
    fs::remove_dir_all(case.dir().join("src/b"))?;
    fs::rename(case.dir().join("src/e"), case.dir().join("src/f"))?;
    let removed = [("/app/a", ""), ("/app/b/c", ""), ("/app/b/d", ""), ("/app/e", ""), ("/app/f", "e\n")];
    watching.until_read(&case, &project, &removed).await?;
    // What is watched may go as a whole, and takes nothing with it that was there before.
    fs::rename(case.dir().join("src"), case.dir().join("gone"))?;
    write(&case, &[("src/g", "g\n")])?;
    watching.until_read(&case, &project, &[("/app/f", "e\n"), ("/app/g", "g\n")]).await?;
    watching.end().await
}

async fn what_is_ignored_is_not_synced(case: Case) -> Outcome {
    let dockerfile = ("app/Dockerfile", "FROM localhost/longshore-fixture:1\n");
    write(&case, &[dockerfile, ("app/.dockerignore", "src/tmp\n"), ("app/src/a.js", "")])?;
    let rule = "{path: app/src, action: sync, target: /app, ignore: [lib/], include: '**/*.js'}";
    let project = built(&case, rule)?;
    let mut watching = Watching::begin(&case, &project).await?;
    let left_out =
        ["app/src/lib/x.js", "app/src/tmp/x.js", "app/src/x.ts", "app/src/.git/x.js", "app/src/.x.js.swp"];
    for name in left_out {
        write(&case, &[(name, "x\n")])?;
    }
    write(&case, &[("app/src/a.js", "a\n")])?;
    watching.until_read(&case, &project, &[("/app/a.js", "a\n")]).await?;
    for name in left_out {
        let path = name.replace("app/src", "/app");
        assert_eq!(read(&case, &project, 1, &path).await?, "", "{path}");
    }
    watching.end().await
}

async fn a_file_has_its_targets_name(case: Case) -> Outcome {
    write(&case, &[("here.conf", "one\n")])?;
    let project = sleeper(&case, "{path: here.conf, action: sync, target: /conf/there.conf}")?;
    let mut watching = Watching::begin(&case, &project).await?;
    // As editors do: another file takes its place.
    write(&case, &[("new", "two\n")])?;
    fs::rename(case.dir().join("new"), case.dir().join("here.conf"))?;
    watching.syncs().await?;
    assert_eq!(read(&case, &project, 2, "/conf/there.conf").await?, "two\n");
    watching.end().await
}

/// How often `web` was started, of one container.
async fn starts(case: &Case, project: &Project) -> Result<usize, Failed> {
    let lines = case.lines(project, &Default::default()).await?;
    let first = format!("{}-web-1", case.name());
    Ok(lines.iter().filter(|line| line.container == first && line.line.text == "sleeping").count())
}

async fn a_restart_comes_after_the_sync(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n")])?;
    let project = sleeper(&case, "{path: src, action: sync+restart, target: /app}")?;
    let mut watching = Watching::begin(&case, &project).await?;
    case.says(&project, "web", "sleeping").await?;
    let before = case.ids(&project).await?;
    write(&case, &[("src/a", "two\n")])?;
    watching.syncs().await?;
    watching.does(|work| work == Work::Restart).await?;
    assert_eq!(read(&case, &project, 1, "/app/a").await?, "two\n");
    assert_eq!(case.ids(&project).await?, before, "they are the same");
    let stopped = case.lines(&project, &Default::default()).await?;
    assert_eq!(stopped.iter().filter(|line| line.line.text == "stopping").count(), 2);
    watching.end().await
}

async fn a_restart_alone_copies_nothing(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n")])?;
    let project = sleeper(&case, "{path: src, action: restart, target: /app}")?;
    let mut watching = Watching::begin(&case, &project).await?;
    write(&case, &[("src/a", "two\n")])?;
    watching.does(|work| work == Work::Restart).await?;
    assert_eq!(read(&case, &project, 1, "/app/a").await?, "");
    watching.end().await
}

async fn a_rebuild_makes_image_and_containers_anew(case: Case) -> Outcome {
    write(
        &case,
        &[
            ("app/Dockerfile", "FROM localhost/longshore-fixture:1\nCOPY word /word\n"),
            ("app/word", &format!("one {}\n", case.name())),
        ],
    )?;
    let project = built(&case, "{path: app, action: rebuild}")?;
    let mut develop = DevelopOptions::default();
    develop.up = Some(options(|o| o.scale = [("web".to_owned(), 2)].into()));
    develop.replaced = ReplacedImages::Remove;
    let mut watching = Watching::begin_with(&case, &project, develop).await?;
    let before = case.container(&project, "web").await?;
    let two = format!("two {}\n", case.name());
    write(&case, &[("app/word", &two)])?;
    watching.does(|work| work == Work::Rebuild).await?;
    let ids = case.ids(&project).await?;
    assert_eq!(ids.len(), 2, "there are as many as there were: {ids:?}");
    assert!(ids.values().all(|id| *id != before.id), "{ids:?}");
    for index in [1, 2] {
        assert_eq!(read(&case, &project, index, "/word").await?, two);
    }
    // The image that has lost its name goes when that is over; another change is done after it.
    write(&case, &[("app/word", &format!("three {}\n", case.name()))])?;
    watching.does(|work| work == Work::Rebuild).await?;
    if let Some(mock) = case.mock() {
        assert!(mock.built_images(case.name()) <= 2);
    } else if let Some(image) = &before.image_id {
        let gone = refused(case.engine().image(image.as_str()).await)?;
        assert!(
            matches!(gone, Error::NotFound { kind: ResourceKind::Image, .. } | Error::Image { .. }),
            "{gone:?}"
        );
    }
    watching.end().await
}

async fn a_command_runs_after_the_sync(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n")])?;
    let exec = "{command: [/fixture, write, /app/out, done]}";
    let project = sleeper(&case, &format!("{{path: src, action: sync+exec, target: /app, exec: {exec}}}"))?;
    let mut watching = Watching::begin(&case, &project).await?;
    write(&case, &[("src/a", "two\n")])?;
    watching.does(|work| work == Work::RunHook).await?;
    for index in [1, 2] {
        assert_eq!(read(&case, &project, index, "/app/a").await?, "two\n");
        assert_eq!(read(&case, &project, index, "/app/out").await?.trim(), "done");
    }
    watching.end().await
}

async fn what_is_there_is_synced_first(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n"), ("src/left/b", "x\n"), ("src/sub/c", "two\n")])?;
    let rule = "{path: src, action: sync+restart, target: /app, ignore: [left], initial_sync: true}";
    let project = sleeper(&case, rule)?;
    let watching = Watching::begin(&case, &project).await?;
    for index in [1, 2] {
        assert_eq!(read(&case, &project, index, "/app/a").await?, "one\n");
        assert_eq!(read(&case, &project, index, "/app/sub/c").await?, "two\n");
        assert_eq!(read(&case, &project, index, "/app/left/b").await?, "");
    }
    case.says(&project, "web", "sleeping").await?;
    assert!(starts(&case, &project).await? <= 1, "that is no change");
    watching.end().await
}

async fn a_build_that_fails_is_told_and_watching_goes_on(case: Case) -> Outcome {
    let dockerfile = |word: &str| format!("FROM localhost/longshore-fixture:1\nCOPY {word} /word\n");
    write(&case, &[("app/Dockerfile", &dockerfile("word")), ("app/word", "one\n")])?;
    let project = built(&case, "{path: app, action: rebuild}")?;
    let mut watching = Watching::begin(&case, &project).await?;
    let before = case.ids(&project).await?;
    write(&case, &[("app/Dockerfile", &dockerfile("missing"))])?;
    let reason = watching.fails().await?;
    assert!(reason.contains("missing"), "{reason}");
    assert_eq!(case.ids(&project).await?, before);
    write(&case, &[("app/Dockerfile", &dockerfile("word")), ("app/word", "two\n")])?;
    // As one change or as two.
    watching.does(|work| work == Work::Rebuild).await?;
    while read(&case, &project, 1, "/word").await? != "two\n" {
        watching.does(|work| work == Work::Rebuild).await?;
    }
    watching.end().await
}

async fn a_sync_that_fails_is_told_and_watching_goes_on(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n")])?;
    let project = sleeper(&case, "{path: src, action: sync+restart, target: /app}")?;
    // Nobody has brought it up.
    let mut watching = Watching::begin_with(&case, &project, DevelopOptions::default()).await?;
    write(&case, &[("src/a", "two\n")])?;
    let reason = watching.fails().await?;
    assert_eq!(reason, Error::NotRunning { service: "web".to_owned(), index: None }.to_string());
    case.up(&project).await?;
    write(&case, &[("src/a", "three\n")])?;
    watching.does(|work| work == Work::Restart).await?;
    assert_eq!(read(&case, &project, 1, "/app/a").await?, "three\n");
    watching.end().await
}

async fn what_is_watched_is_built_before(case: Case) -> Outcome {
    let dockerfile = ("app/Dockerfile", "FROM localhost/longshore-fixture:1\nCOPY word /word\n");
    write(&case, &[dockerfile, ("app/word", "one\n")])?;
    let project = built(&case, "{path: app, action: rebuild}")?;
    case.up(&project).await?;
    write(&case, &[("app/word", "two\n")])?;
    let watching = Watching::begin(&case, &project).await?;
    assert_eq!(read(&case, &project, 1, "/word").await?, "two\n");
    watching.end().await
}

async fn a_project_is_left_as_it_is_at_the_end(case: Case) -> Outcome {
    write(&case, &[("src/a", "one\n")])?;
    let project = sleeper(&case, "{path: src, action: sync, target: /app}")?;
    let watching = Watching::begin(&case, &project).await?;
    let before: Vec<ContainerId> = case.ids(&project).await?.into_values().collect();
    watching.end().await?;
    let containers = case.ps(&project).await?;
    assert!(containers.iter().all(|one| one.state.is_running() && before.contains(&one.id)));
    assert_eq!(containers.len(), 2);
    Ok(())
}

async fn what_is_not_configured_is_told_before_anything_is_made(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    let mut options = DevelopOptions::default();
    options.up = Some(UpOptions::default());
    let error = refused(case.runtime().develop(&project, &options, &Call::default()).await)?;
    assert!(
        error.to_string().starts_with("none of the selected services is configured for watch"),
        "{error}"
    );
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}
