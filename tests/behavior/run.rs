//! One container of a service beside those of `up`.

use compose_file::Project;
use futures_util::StreamExt;
use longshore_tests::{Backend, Case, Failed, Outcome, Suite, Talked, behaviours, refused};
use runtime_core::{
    Afterwards, Call, Container, ContainerId, ContainerName, ContainerState, Dependencies, Error, OneOff,
    RunOptions, RunPorts, RunTalk, SessionEvent, labels,
};
use tokio::io::AsyncWriteExt;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_command_runs_once_and_its_end_is_told,
        it_has_docker_composes_name_and_labels,
        what_it_depends_on_is_up_before,
        without_dependencies_it_is_alone,
        it_is_removed_if_told_so,
        one_that_is_let_go_of_stays,
        a_detached_one_is_removed_if_told_so,
        it_hears_what_it_is_told,
        variables_labels_user_and_folder_are_its_own,
        ports_are_published_only_if_told_so,
        its_name_may_be_given,
        down_takes_it_away,
        it_does_not_disturb_what_is_up,
        it_has_the_files_of_its_service,
    );
    behaviours!(suite, if Backend::is_real;
        what_the_engine_cannot_do_is_refused_before_anything_is_made,
    );
}

const TEXT: &str = "
services:
  db:
    image: localhost/longshore-fixture:1
    command: [serve, --healthy-after-ms, '300']
    healthcheck: {test: [CMD, /fixture, health], interval: 100ms, timeout: 5s, retries: 100}
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    environment: {COLOUR: red, SHAPE: round}
    ports: ['127.0.0.1::8080']
    restart: always
    depends_on: {db: {condition: service_healthy}}
";

fn web(words: &[&str]) -> RunOptions {
    let mut options = RunOptions::new("web");
    options.command = words.iter().map(|word| (*word).to_owned()).collect();
    options
}

fn alone(words: &[&str]) -> RunOptions {
    let mut options = web(words);
    options.dependencies = Dependencies::Ignore;
    options
}

async fn run(case: &Case, project: &Project, options: &RunOptions) -> runtime_core::Result<OneOff> {
    case.runtime().run(project, options, &Call::default()).await
}

async fn talked(case: &Case, project: &Project, options: &RunOptions) -> Result<Talked, Failed> {
    let once = run(case, project, options).await?;
    Talked::with(once.session.ok_or("nobody talks with it")?, b"").await
}

async fn look(case: &Case, id: &ContainerId) -> runtime_core::Result<Container> {
    case.engine().inspect(&id.0).await
}

async fn a_command_runs_once_and_its_end_is_told(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let words = ["exit", "3", "--out", "first", "--err", "second"];
    let talked = talked(&case, &project, &alone(&words)).await?;
    assert_eq!((talked.exit_code, talked.stdout.trim(), talked.stderr.trim()), (3, "first", "second"));
    Ok(())
}

async fn it_has_docker_composes_name_and_labels(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = alone(&["sleep"]);
    options.talk = RunTalk::Detached;
    let once = run(&case, &project, &options).await?;
    let container = look(&case, &once.id).await?;
    let slug = container.label(labels::SLUG).ok_or("it has no slug")?;
    assert_eq!(slug.len(), 12);
    assert_eq!(
        (once.name.as_str(), &once.name),
        (container.name.as_str(), &format!("{}-web-run-{slug}", case.name()))
    );
    assert_eq!(container.label(labels::ONEOFF), Some("True"));
    assert_eq!(container.service(), Some("web"));
    assert!(case.ps(&project).await?.is_empty(), "it is none of `up`");
    Ok(())
}

async fn what_it_depends_on_is_up_before(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = web(&["fetch", "http://db:8080/health", "--retry", "20"]);
    options.afterwards = Afterwards::Remove;
    let talked = talked(&case, &project, &options).await?;
    assert_eq!((talked.exit_code, talked.stdout.trim()), (0, "healthy"), "{talked:?}");
    let containers = case.ps(&project).await?;
    assert_eq!(containers.iter().filter_map(Container::service).collect::<Vec<_>>(), ["db"]);
    Ok(())
}

async fn without_dependencies_it_is_alone(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    assert_eq!(talked(&case, &project, &alone(&["exit", "0"])).await?.exit_code, 0);
    assert!(case.ps(&project).await?.is_empty());
    Ok(())
}

async fn it_is_removed_if_told_so(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    for (afterwards, stays) in [(Afterwards::Keep, true), (Afterwards::Remove, false)] {
        let mut options = alone(&["exit", "4"]);
        options.afterwards = afterwards;
        let mut once = run(&case, &project, &options).await?;
        let session = once.session.take().ok_or("nobody talks with it")?;
        assert_eq!(Talked::with(session, b"").await?.exit_code, 4);
        assert_eq!(look(&case, &once.id).await.is_ok(), stays);
    }
    Ok(())
}

async fn one_that_is_let_go_of_stays(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = alone(&["sleep"]);
    (options.tty, options.stdin, options.afterwards) = (true, true, Afterwards::Remove);
    options.detach_keys = "ctrl-x,ctrl-y".parse()?;
    let mut once = run(&case, &project, &options).await?;
    let mut session = once.session.take().ok_or("nobody talks with it")?;
    let mut said = String::new();
    while !said.contains("sleeping") {
        match session.output.next().await.ok_or("it ended")?? {
            SessionEvent::Wrote { bytes, .. } => said.push_str(&String::from_utf8_lossy(&bytes)),
            other => return Err(format!("{other:?} after {said:?}").into()),
        }
    }
    let mut input = session.input.take().ok_or("it has no stdin")?;
    input.write_all(b"\x18\x19").await?;
    while let Some(event) = session.output.next().await {
        let event = event?;
        assert!(matches!(event, SessionEvent::Wrote { .. }), "{event:?}");
    }
    drop((session, input));
    assert_eq!(look(&case, &once.id).await?.state, ContainerState::Running);
    Ok(())
}

async fn a_detached_one_is_removed_if_told_so(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = alone(&["exit", "0"]);
    (options.afterwards, options.talk) = (Afterwards::Remove, RunTalk::Detached);
    let mut events = case.engine().events(Some(&project.name)).await?;
    let once = run(&case, &project, &options).await?;
    assert!(once.session.is_none());
    let id = once.id;
    while !matches!(look(&case, &id).await, Err(Error::NotFound { .. })) {
        events.next().await.ok_or("the engine ended its events")??;
    }
    Ok(())
}

async fn it_hears_what_it_is_told(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = alone(&["read", "/dev/stdin"]);
    options.stdin = true;
    let once = run(&case, &project, &options).await?;
    let talked = Talked::with(once.session.ok_or("nobody talks with it")?, b"one\ntwo\n").await?;
    assert_eq!((talked.exit_code, talked.stdout.as_str()), (0, "one\ntwo\n"));
    Ok(())
}

async fn variables_labels_user_and_folder_are_its_own(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = alone(&["env", "COLOUR"]);
    options.environment = [("COLOUR".to_owned(), "green".to_owned())].into();
    assert_eq!(talked(&case, &project, &options).await?.stdout.trim(), "green");
    options.command = vec!["env".to_owned(), "SHAPE".to_owned()];
    assert_eq!(talked(&case, &project, &options).await?.stdout.trim(), "round");
    options.command = vec!["id".to_owned()];
    options.user = Some("1000:1000".to_owned());
    assert_eq!(talked(&case, &project, &options).await?.stdout.trim(), "1000:1000");
    options.command = vec!["cwd".to_owned()];
    options.working_dir = Some("/proc".to_owned());
    options.labels = [("colour".to_owned(), "blue".to_owned())].into();
    let mut once = run(&case, &project, &options).await?;
    let session = once.session.take().ok_or("nobody talks with it")?;
    assert_eq!(Talked::with(session, b"").await?.stdout.trim(), "/proc");
    assert_eq!(look(&case, &once.id).await?.label("colour"), Some("blue"));
    options.entrypoint = Some(["/fixture", "exit"].map(str::to_owned).to_vec());
    options.command = vec!["9".to_owned()];
    assert_eq!(talked(&case, &project, &options).await?.exit_code, 9);
    Ok(())
}

async fn ports_are_published_only_if_told_so(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let given = compose_file::short_port("127.0.0.1::9090")?;
    for (ports, published) in
        [(RunPorts::None, vec![]), (RunPorts::Service, vec![8080]), (RunPorts::These(given), vec![9090])]
    {
        let mut options = alone(&["sleep"]);
        (options.ports, options.talk) = (ports, RunTalk::Detached);
        let once = run(&case, &project, &options).await?;
        let container = look(&case, &once.id).await?;
        let targets: Vec<u16> = container.ports.iter().map(|port| port.target).collect();
        assert_eq!(targets, published);
    }
    Ok(())
}

async fn its_name_may_be_given(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let name = format!("{}-once", case.name());
    let mut options = alone(&["sleep"]);
    (options.name, options.talk) = (Some(ContainerName::new(&*name)?), RunTalk::Detached);
    assert_eq!(run(&case, &project, &options).await?.name, name);
    let error = refused(run(&case, &project, &options).await.map(drop))?;
    assert!(matches!(error, Error::NameInUse { .. }), "{error:?}");
    Ok(())
}

async fn down_takes_it_away(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let mut options = alone(&["sleep"]);
    options.talk = RunTalk::Detached;
    run(&case, &project, &options).await?;
    case.down(&project).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn it_does_not_disturb_what_is_up(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let before = case.ids(&project).await?;
    assert_eq!(talked(&case, &project, &web(&["exit", "0"])).await?.exit_code, 0);
    assert_eq!(case.ids(&project).await?, before);
    let containers = case.ps(&project).await?;
    assert!(containers.iter().all(|one| one.state == ContainerState::Running), "{containers:#?}");
    assert_eq!(case.up(&project).await?.steps, 0);
    Ok(())
}

async fn it_has_the_files_of_its_service(case: Case) -> Outcome {
    std::fs::write(case.dir().join(".env"), "FROM_OUTSIDE=of the variable\n")?;
    std::fs::write(case.dir().join("word.txt"), "of the host\n")?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    secrets: [outside]
    configs: [{source: inline, target: /etc/inline}, {source: host, target: /etc/host}]
secrets: {outside: {environment: FROM_OUTSIDE}}
configs: {inline: {content: of the file}, host: {file: ./word.txt}}
",
    )?;
    let mut files = vec![("/run/secrets/outside", "of the variable"), ("/etc/inline", "of the file")];
    // The engine in memory has no files of the host.
    files.extend(case.backend().is_real().then_some(("/etc/host", "of the host")));
    for (path, said) in files {
        let talked = talked(&case, &project, &web(&["read", path])).await?;
        assert_eq!((talked.exit_code, talked.stdout.trim()), (0, said), "{path}: {talked:?}");
    }
    Ok(())
}

async fn what_the_engine_cannot_do_is_refused_before_anything_is_made(case: Case) -> Outcome {
    let project = case.project(&TEXT.replace("    restart: always\n", "    isolation: hyperv\n"))?;
    match refused(run(&case, &project, &web(&["exit", "0"])).await.map(drop))? {
        Error::Unsupported { what, .. } => assert!(what.contains("service \"web\": isolation"), "{what}"),
        other => return Err(other.into()),
    }
    let left = case.things_of(&project.name).await?;
    assert!(left.is_empty(), "it was refused too late: {left:?}");
    Ok(())
}
