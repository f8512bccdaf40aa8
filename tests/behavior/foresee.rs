//! What would be done, without doing it.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::StreamExt;
use longshore_tests::{Case, Outcome, Recorder, Suite, Talked, behaviours, options, refused};
use runtime_core::{
    BuildOptions, Building, Call, Compose, ContainerRuntime, ContainerState, CopyOptions, CopySource,
    DownOptions, Error, ExecSpec, KillOptions, MachineProblem, MachineStop, Member, Pause, PullOptions,
    PushOptions, RemoveOptions, RemoveVolumes, RestartOptions, RunOptions, Running, ShutdownOptions,
    SignalName, StopOptions, TalkOptions, Target, UpOptions, Work,
};
use runtime_mock::MockEngine;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        what_is_not_there_is_foreseen_and_not_made,
        what_is_there_stays_as_it_is,
        what_cannot_be_is_foreseen_too,
    );
    behaviours!(suite, if |backend| !backend.is_real();
        a_machine_is_looked_at_and_not_started,
    );
}

/// All that a foreseen engine asks of the real one. What is not here would be a change, or may be one.
const READS: [&str; 12] = [
    "copy_from",
    "events",
    "image",
    "info",
    "inspect",
    "list",
    "logs",
    "machine_status",
    "observe",
    "stats",
    "top",
    "wait_container",
];

const TEXT: &str = "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [serve]
    healthcheck: {test: [CMD, /fixture, health], interval: 1h}
    volumes: ['data:/data', './made:/made']
    post_start: [{command: [/fixture, exit, '1']}]
  once:
    image: localhost/longshore-fixture:1
    command: [exit, '1']
  web:
    build: ./app
    image: localhost/longshore-foreseen:1
    pull_policy: build
    command: [sleep]
    depends_on: {db: {condition: service_healthy}, once: {condition: service_completed_successfully}}
volumes: {data: }
";

/// What of the engine in memory was called that changes something, or may.
fn told(case: &Case) -> BTreeSet<String> {
    let calls = case.mock().map(|mock| mock.calls()).unwrap_or_default();
    calls.into_keys().filter(|method| !READS.contains(&method.as_str())).collect()
}

/// Everything that can be said of a project to a runtime.
async fn all_that_changes(case: &Case, dry: &dyn ContainerRuntime, text: &str) -> Outcome {
    let project = case.project(text)?;
    let (target, call) = (Target::from(&project), Call::default());
    let (name, first) = (&project.name, Member::first("db"));
    let up = options(|options| {
        options.build = Building::Always;
        options.scale = [("web".to_owned(), 2)].into();
    });
    dry.up(&project, &up, &call).await?;
    dry.pull(&project, &PullOptions::default(), &call).await?;
    dry.build(&project, &BuildOptions::default(), &call).await?;
    dry.push(&project, &PushOptions::default(), &call).await?;
    dry.pause(&target, Pause::Freeze, &call).await?;
    dry.pause(&target, Pause::GoOn, &call).await?;
    dry.restart(&target, &RestartOptions::default(), &call).await?;
    dry.exec_detached(name, &first, &ExecSpec::new(["/fixture", "sleep"])).await?;
    let session = dry.exec(name, &first, &ExecSpec::new(["/fixture", "exit", "3"])).await?;
    assert_eq!(Talked::with(session, b"").await?.exit_code, 0, "nothing has run");
    let (container, session) = dry.talk(name, &first, &TalkOptions::default()).await?;
    assert_eq!(Talked::with(session, b"").await?.exit_code, 0);
    dry.signal(&container.id, &SignalName::kill()).await?;
    dry.start(&target, &call).await?;
    let source = CopySource::Path(case.dir().join("app/word"));
    dry.copy_to(name, &first, "/etc", source, &CopyOptions::default(), &call).await.ok();
    let mut once = RunOptions::new("web");
    once.afterwards = runtime_core::Afterwards::Remove;
    let session = dry.run(&project, &once, &call).await?.session.ok_or("a session")?;
    assert_eq!(Talked::with(session, b"").await?.exit_code, 0);
    assert!(dry.kill(&target, &KillOptions::default(), &call).await? > 0);
    dry.start(&target, &call).await?;
    dry.stop(&target, &StopOptions::default(), &call).await?;
    let mut remove = RemoveOptions::default();
    remove.running = Running::Stop;
    dry.remove(&target.clone().services(["once"]), &remove, &call).await?;
    dry.up(&project, &UpOptions::default(), &call).await?;
    let mut down = DownOptions::default();
    down.volumes = RemoveVolumes::Yes;
    dry.down(&target, &down, &call).await?;
    assert!(dry.ps(name).await?.is_empty());
    dry.up(&project, &UpOptions::default(), &call).await?;
    dry.shutdown(&ShutdownOptions::default(), &call).await?;
    Ok(())
}

fn app(case: &Case) -> Outcome {
    std::fs::create_dir_all(case.dir().join("app"))?;
    std::fs::write(case.dir().join("app/word"), "hello\n")?;
    std::fs::write(case.dir().join("app/Dockerfile"), "FROM localhost/longshore-fixture:1\n")?;
    Ok(())
}

async fn what_is_not_there_is_foreseen_and_not_made(case: Case) -> Outcome {
    app(&case)?;
    let project = case.project(TEXT)?;
    let dry = case.runtime().foresee();
    let recorder = Recorder::new();
    let outcome = dry.up(&project, &UpOptions::default(), &recorder.call()).await?;
    assert_eq!(outcome.started.len(), 3);
    let web = format!("{}-web-1", case.name());
    let healthy = Work::Wait(compose_file::Condition::ServiceHealthy);
    assert!(recorder.done(healthy, &format!("{}-db-1", case.name())) < recorder.began(Work::Start, &web));
    assert_eq!(recorder.all_done(Work::Build), ["localhost/longshore-foreseen:1"]);
    assert_eq!(recorder.all_done(Work::RunHook).len(), 1);
    // It remembers, for as long as it is there.
    let containers = dry.ps(&project.name).await?;
    assert!(containers.len() == 3 && containers.iter().all(|one| one.state == ContainerState::Running));
    let volumes = dry.volumes(&Target::from(&project)).await?;
    assert_eq!(volumes.len(), 1);
    assert!(case.runtime().foresee().ps(&project.name).await?.is_empty());
    all_that_changes(&case, &*dry, TEXT).await?;
    assert_eq!(told(&case), BTreeSet::new());
    assert!(case.things_of(&project.name).await?.is_empty());
    assert!(!case.dir().join("made").exists(), "nor on this computer");
    assert!(case.engine().image("localhost/longshore-foreseen:1").await.is_err());
    Ok(())
}

async fn what_is_there_stays_as_it_is(case: Case) -> Outcome {
    app(&case)?;
    let text = "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep], volumes: ['data:/data']}
  once: {image: 'localhost/longshore-fixture:1', command: [exit, '0']}
  web: {image: 'localhost/longshore-fixture:1', command: [sleep]}
volumes: {data: }
";
    let project = case.project(text)?;
    case.up(&project).await?;
    let once = case.container(&project, "once").await?;
    case.engine().wait_container(&once.id).await?;
    let before = (case.ids(&project).await?, case.things_of(&project.name).await?);
    let told_before = told(&case);
    let dry = case.runtime().foresee();
    let target = Target::from(&project);
    assert_eq!(dry.ps(&project.name).await?.len(), 3, "what is there is seen");
    // What is run and removed besides, as it would be.
    let changed = text.replace("[sleep]}", "[sleep, '1']}");
    let outcome = dry.up(&case.project(&changed)?, &UpOptions::default(), &Call::default()).await?;
    assert!(outcome.started.contains(&format!("{}-web-1", case.name())), "{outcome:?}");
    let recorder = Recorder::new();
    let mut down = DownOptions::default();
    down.volumes = RemoveVolumes::Yes;
    dry.down(&target, &down, &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Stop).len(), 3, "what had ended would have been started");
    assert_eq!(recorder.all_done(Work::Remove).len(), 3 + 2, "a network and a volume too");
    all_that_changes(&case, &*case.runtime().foresee(), TEXT).await?;
    assert_eq!(told(&case), told_before);
    assert_eq!((case.ids(&project).await?, case.things_of(&project.name).await?), before);
    for service in ["db", "web"] {
        assert_eq!(case.container(&project, service).await?.state, ContainerState::Running);
    }
    Ok(())
}

async fn what_cannot_be_is_foreseen_too(case: Case) -> Outcome {
    let dry = case.runtime().foresee();
    let text = "services:\n  web: {build: ./nowhere, command: [sleep]}\n";
    let project = case.project(text)?;
    let error = refused(dry.up(&project, &UpOptions::default(), &Call::default()).await)?;
    assert_eq!(error.code(), "build", "there is nothing to build from");
    let error = refused(dry.start(&Target::from(&project), &Call::default()).await)?;
    assert_eq!(error.code(), "not_found");
    let external = case.project(
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {external: true, name: no-such-network}}\n",
    )?;
    let error = refused(dry.up(&external, &UpOptions::default(), &Call::default()).await)?;
    assert!(matches!(error, Error::InvalidProject(_)), "{error:?}");
    let mut logs = dry.events(&Target::name(project.name.clone())).await?;
    assert!(futures_util::poll!(logs.next()).is_pending(), "it listens");
    Ok(())
}

async fn a_machine_is_looked_at_and_not_started(case: Case) -> Outcome {
    let engine = MockEngine::new();
    engine.fixture_image("localhost/longshore-fixture:1");
    let machine = engine.in_machine("m1");
    let real = Compose::new(engine.clone()).with_machine(Arc::new(machine));
    let call = Call::default();
    let project = case.sleeper("machine")?;
    let target = Target::from(&project);
    let problem = |error: Error| match error {
        Error::Machine { problem, .. } => Ok(problem),
        other => Err(format!("{other:?}")),
    };
    let dry = real.foresee();
    let up = dry.up(&project, &UpOptions::default(), &call).await;
    assert_eq!(problem(refused(up)?)?, MachineProblem::Missing);
    dry.down(&target, &DownOptions::default(), &call).await?;
    assert!(refused(dry.machine_init(&call).await).is_ok());
    real.machine_init(&call).await?;
    let up = dry.up(&project, &UpOptions::default(), &call).await;
    assert_eq!(problem(refused(up)?)?, MachineProblem::Stopped);
    assert!(refused(dry.machine_start(&call).await).is_ok());
    dry.stop(&target, &StopOptions::default(), &call).await?;
    assert_eq!(engine.count("machine_start m1"), 0);
    real.ensure_ready(&call).await?;
    dry.up(&project, &UpOptions::default(), &call).await?;
    dry.machine_stop(MachineStop::Always, &call).await?;
    dry.shutdown(&ShutdownOptions::default(), &call).await?;
    assert_eq!(engine.count("machine_stop m1"), 0);
    assert!(real.ps(&project.name).await?.is_empty());
    Ok(())
}
