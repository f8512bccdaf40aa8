//! Commands in running containers, and talking with what runs there.

use std::collections::BTreeSet;

use compose_file::Project;
use futures_util::StreamExt;
use longshore_tests::{Backend, Case, Failed, Outcome, Suite, Talked, behaviours, refused};
use runtime_core::{
    Container, ContainerState, DetachKeys, Error, ExecSpec, LogOptions, LogSource, Member, Session,
    SessionEvent, SessionInput, TalkOptions, Target, TerminalSize,
};
use tokio::io::AsyncWriteExt;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_commands_words_and_exit_code_come_back,
        both_outputs_are_told_apart,
        stdin_is_given_on_to_its_end,
        user_folder_and_variables_are_the_commands,
        the_first_container_is_meant_or_the_one_that_is_named,
        what_does_not_run_runs_no_command,
        a_detached_command_runs_by_itself,
        a_session_that_is_dropped_leaves_the_container,
        the_own_process_is_talked_with,
        no_value_of_a_variable_is_in_an_error,
        keys_let_go_of_a_terminal,
        keys_that_are_switched_off_are_the_processs,
        keys_let_go_of_the_own_process,
    );
    behaviours!(suite, if Backend::is_real;
        a_terminal_is_a_terminal,
        a_program_that_is_not_there_is_told,
        much_output_waits_for_its_reader,
    );
}

const TEXT: &str = "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    environment: {COLOUR: red}
    scale: 2
  off: {image: 'localhost/longshore-fixture:1', command: [exit, '0']}
";

async fn up(case: &Case) -> Result<Project, Failed> {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    Ok(project)
}

fn fixture(words: &[&str]) -> ExecSpec {
    ExecSpec::new(["/fixture"].iter().chain(words).copied())
}

async fn exec(case: &Case, project: &Project, spec: &ExecSpec) -> Result<Talked, Failed> {
    Talked::with(case.runtime().exec(&project.name, &Member::first("web"), spec).await?, b"").await
}

async fn a_commands_words_and_exit_code_come_back(case: Case) -> Outcome {
    let project = up(&case).await?;
    let talked = exec(&case, &project, &fixture(&["exit", "7", "--out", "a b"])).await?;
    assert_eq!((talked.exit_code, talked.stdout.as_str()), (7, "a b\n"));
    Ok(())
}

async fn both_outputs_are_told_apart(case: Case) -> Outcome {
    let project = up(&case).await?;
    let talked = exec(&case, &project, &fixture(&["exit", "0", "--out", "out", "--err", "err"])).await?;
    assert_eq!((talked.stdout.as_str(), talked.stderr.as_str()), ("out\n", "err\n"));
    Ok(())
}

async fn stdin_is_given_on_to_its_end(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut spec = fixture(&["read", "/dev/stdin"]);
    spec.stdin = true;
    let said = "one\ntwo\n".repeat(20_000);
    let session = case.runtime().exec(&project.name, &Member::first("web"), &spec).await?;
    let talked = Talked::with(session, said.as_bytes()).await?;
    assert_eq!((talked.exit_code, talked.stdout.len()), (0, said.len()));
    assert!(talked.stdout == said);
    Ok(())
}

async fn user_folder_and_variables_are_the_commands(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut spec = fixture(&["env", "COLOUR"]);
    assert_eq!(exec(&case, &project, &spec).await?.stdout, "red\n");
    spec.environment = [("COLOUR", "green blue"), ("PATH", "/x")].map(|(k, v)| (k.into(), v.into())).into();
    assert_eq!(exec(&case, &project, &spec).await?.stdout, "green blue\n");
    let mut spec = fixture(&["id"]);
    spec.user = Some("1000:1000".to_owned());
    assert_eq!(exec(&case, &project, &spec).await?.stdout, "1000:1000\n");
    let mut spec = fixture(&["cwd"]);
    spec.working_dir = Some("/proc".to_owned());
    assert_eq!(exec(&case, &project, &spec).await?.stdout, "/proc\n");
    Ok(())
}

async fn the_first_container_is_meant_or_the_one_that_is_named(case: Case) -> Outcome {
    let project = up(&case).await?;
    let ids = case.ids(&project).await?;
    for (index, number) in [(None, 1), (Some(1), 1), (Some(2), 2)] {
        let member = Member { service: "web".to_owned(), index };
        let session = case.runtime().exec(&project.name, &member, &fixture(&["hostname"])).await?;
        let talked = Talked::with(session, b"").await?;
        let id = &ids[&format!("{}-web-{number}", case.name())];
        assert_eq!(talked.stdout.trim(), id.short());
    }
    Ok(())
}

async fn what_does_not_run_runs_no_command(case: Case) -> Outcome {
    let project = up(&case).await?;
    case.output(&project, "off").await?;
    for (service, index) in [("off", None), ("web", Some(3)), ("nobody", None)] {
        let member = Member { service: service.to_owned(), index };
        let error = refused(case.runtime().exec(&project.name, &member, &fixture(&["id"])).await.map(drop))?;
        assert_eq!(error, Error::NotRunning { service: service.to_owned(), index });
        let detached = case.runtime().exec_detached(&project.name, &member, &fixture(&["id"])).await;
        assert_eq!(refused(detached)?, error);
    }
    Ok(())
}

async fn a_detached_command_runs_by_itself(case: Case) -> Outcome {
    let project = up(&case).await?;
    let web = Member::first("web");
    case.runtime().exec_detached(&project.name, &web, &fixture(&["write", "/tmp-of-exec", "here"])).await?;
    // Nothing tells when it is done, but that it is.
    loop {
        let talked = exec(&case, &project, &fixture(&["read", "/tmp-of-exec"])).await?;
        if talked.stdout.trim() == "here" {
            return Ok(());
        }
        tokio::task::yield_now().await;
    }
}

async fn a_session_that_is_dropped_leaves_the_container(case: Case) -> Outcome {
    let project = up(&case).await?;
    let spec = fixture(&["log", "1", "--then-sleep"]);
    let mut session = case.runtime().exec(&project.name, &Member::first("web"), &spec).await?;
    session.output.next().await.ok_or("it said nothing")??;
    drop(session);
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    assert_eq!(exec(&case, &project, &fixture(&["exit", "3"])).await?.exit_code, 3);
    Ok(())
}

async fn the_own_process_is_talked_with(case: Case) -> Outcome {
    let project = up(&case).await?;
    let (container, session) =
        talk(&case, &project, &Member { service: "web".into(), index: Some(2) }, TalkOptions::default())
            .await?;
    assert_eq!(container.name, format!("{}-web-2", case.name()));
    // Each ends well only once it listens to signals.
    let options = LogOptions { follow: true, ..LogOptions::default() };
    let mut lines = case.runtime().logs(&Target::from(&project).services(["web"]), &options).await?;
    let mut sleeping = BTreeSet::new();
    while sleeping.len() < 2 {
        let line = lines.next().await.ok_or("its log ended")??;
        if line.line.text == "sleeping" {
            sleeping.insert(line.container);
        }
    }
    drop(lines);
    let (talked, stopped) = tokio::join!(Talked::with(session, b""), case.stop(&project));
    stopped?;
    let talked = talked?;
    assert_eq!(talked.exit_code, 0);
    assert!(talked.stdout.contains("stopping"), "{talked:?}");
    Ok(())
}

async fn talk(
    case: &Case,
    project: &Project,
    member: &Member,
    options: TalkOptions,
) -> runtime_core::Result<(Container, Session)> {
    case.runtime().talk(&project.name, member, &options).await
}

/// Types a line and waits until the terminal has repeated it; the engine in memory has none that would.
async fn type_line(case: &Case, session: &mut Session, input: &mut SessionInput) -> Outcome {
    input.write_all(b"hello\r").await?;
    input.flush().await?;
    let mut said = String::new();
    while case.backend().is_real() && !said.contains("hello\r\n") {
        match session.output.next().await.ok_or("it ended")?? {
            SessionEvent::Wrote { bytes, .. } => said.push_str(&String::from_utf8_lossy(&bytes)),
            other => return Err(format!("{other:?} after {said:?}").into()),
        }
    }
    Ok(())
}

/// Listens until nothing more comes, and tells how the process ended, if it did.
async fn end(mut session: Session) -> Result<Option<i64>, Failed> {
    while let Some(event) = session.output.next().await {
        if let SessionEvent::Ended { exit_code } = event? {
            return Ok(Some(exit_code));
        }
    }
    Ok(None)
}

async fn keys_let_go_of_a_terminal(case: Case) -> Outcome {
    let project = up(&case).await?;
    let others: DetachKeys = "ctrl-x,d".parse()?;
    for (keys, typed) in [(DetachKeys::default(), &b"\x10\x11"[..]), (others, b"\x18y\x18d")] {
        let mut spec = fixture(&["read", "/dev/stdin"]);
        (spec.tty, spec.stdin, spec.detach_keys) = (true, true, keys);
        let mut session = case.runtime().exec(&project.name, &Member::first("web"), &spec).await?;
        let mut input = session.input.take().ok_or("it has no stdin")?;
        type_line(&case, &mut session, &mut input).await?;
        input.write_all(typed).await?;
        assert_eq!(end(session).await?, None, "it runs on");
    }
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    Ok(())
}

async fn keys_that_are_switched_off_are_the_processs(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut spec = fixture(&["read", "/dev/stdin"]);
    (spec.tty, spec.stdin, spec.detach_keys) = (true, true, "".parse()?);
    let mut session = case.runtime().exec(&project.name, &Member::first("web"), &spec).await?;
    let mut input = session.input.take().ok_or("it has no stdin")?;
    type_line(&case, &mut session, &mut input).await?;
    input.write_all(b"\x10\x11").await?;
    type_line(&case, &mut session, &mut input).await?;
    // Ctrl-D is the end of what is typed.
    input.write_all(b"\x04").await?;
    input.flush().await?;
    if case.mock().is_some() {
        drop(input);
    }
    assert_eq!(end(session).await?, Some(0));
    Ok(())
}

async fn keys_let_go_of_the_own_process(case: Case) -> Outcome {
    let project = case.project(
        "services:\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], tty: true, stdin_open: true}\n",
    )?;
    case.up(&project).await?;
    case.says(&project, "web", "sleeping").await?;
    for (keys, typed) in [("ctrl-p,ctrl-q", &b"\x10\x11"[..]), ("q", b"q")] {
        let mut options = TalkOptions::default();
        (options.stdin, options.detach_keys) = (true, keys.parse()?);
        let (container, mut session) = talk(&case, &project, &Member::first("web"), options).await?;
        assert!(container.tty);
        let mut input = session.input.take().ok_or("it has no stdin")?;
        input.write_all(typed).await?;
        assert_eq!(end(session).await?, None, "it runs on");
    }
    assert_eq!(case.container(&project, "web").await?.state, ContainerState::Running);
    Ok(())
}

async fn no_value_of_a_variable_is_in_an_error(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut spec = fixture(&["id"]);
    spec.environment = [("TOKEN".to_owned(), "s3cret-value".to_owned())].into();
    spec.user = Some("no-such-user-here".to_owned());
    match exec(&case, &project, &spec).await {
        Ok(talked) => assert!(!format!("{talked:?}").contains("s3cret"), "{talked:?}"),
        Err(failed) => assert!(!failed.message().contains("s3cret"), "{}", failed.message()),
    }
    Ok(())
}

async fn a_terminal_is_a_terminal(case: Case) -> Outcome {
    let project = up(&case).await?;
    let mut spec = fixture(&["read", "/dev/stdin"]);
    (spec.tty, spec.stdin) = (true, true);
    let mut session = case.runtime().exec(&project.name, &Member::first("web"), &spec).await?;
    session.size.send(TerminalSize { rows: 33, columns: 77 })?;
    let mut input = session.input.take().ok_or("it has no stdin")?;
    // A terminal repeats what is typed, and Ctrl-D is its end.
    input.write_all(b"hello\r").await?;
    let mut said = String::new();
    while !said.contains("hello\r\n") {
        match session.output.next().await.ok_or("it ended")?? {
            SessionEvent::Wrote { source, bytes } => {
                assert_eq!(source, LogSource::Stdout);
                said.push_str(&String::from_utf8_lossy(&bytes));
            }
            other => return Err(format!("{other:?} after {said:?}").into()),
        }
    }
    input.write_all(b"\x04").await?;
    loop {
        match session.output.next().await.ok_or("it did not end")?? {
            SessionEvent::Wrote { .. } => {}
            SessionEvent::Ended { exit_code } => {
                assert_eq!(exit_code, 0);
                return Ok(());
            }
            other => return Err(format!("{other:?}").into()),
        }
    }
}

async fn a_program_that_is_not_there_is_told(case: Case) -> Outcome {
    let project = up(&case).await?;
    match exec(&case, &project, &ExecSpec::new(["/nope"])).await {
        Ok(talked) => {
            assert!(matches!(talked.exit_code, 126 | 127), "{talked:?}");
            assert!(format!("{talked:?}").contains("no such file"), "{talked:?}");
        }
        Err(failed) => {
            assert!(failed.message().to_lowercase().contains("no such file"), "{}", failed.message())
        }
    }
    Ok(())
}

async fn much_output_waits_for_its_reader(case: Case) -> Outcome {
    let project = up(&case).await?;
    let spec = fixture(&["log", "100000", "--length", "100"]);
    let talked = exec(&case, &project, &spec).await?;
    assert_eq!((talked.exit_code, talked.stdout.lines().count()), (0, 100_000));
    Ok(())
}
