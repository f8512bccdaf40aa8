//! Commands in containers after they start and before they stop.

use longshore_tests::{Case, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{Error, ExecSpec, RestartOptions, RunOptions, RunTalk, Target, UpOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_dependent_starts_when_the_hooks_are_over,
        hooks_run_again_when_a_container_is_started_again,
        hooks_run_when_a_container_is_restarted,
        a_one_off_has_none,
        a_hook_before_the_stop_is_run,
        a_hook_that_fails_is_told_with_what_it_said,
        a_hook_that_fails_does_not_keep_a_container_up,
        a_command_runs_as_it_is_told,
    );
}

const IMAGE: &str = "localhost/longshore-fixture:1";

async fn a_dependent_starts_when_the_hooks_are_over(case: Case) -> Outcome {
    let project = case.project(&format!(
        "
services:
  web:
    image: {IMAGE}
    command: [sleep]
    volumes: ['v:/data']
    post_start:
      - command: [/fixture, write, first, one]
        working_dir: /data
      - command: [/fixture, write, /data/word, hooked]
  after:
    image: {IMAGE}
    command: [read, /data/word]
    volumes: ['v:/data']
    depends_on: [web]
volumes: {{v: }}
"
    ))?;
    assert_eq!(case.run(&project, "after").await?, ["hooked"]);
    Ok(())
}

async fn hooks_run_again_when_a_container_is_started_again(case: Case) -> Outcome {
    let text = |word: &str| {
        format!(
            "
services:
  web:
    image: {IMAGE}
    command: [sleep]
    volumes: ['v:/data']
    post_start: [{{command: [/fixture, write, /data/word, {word}]}}]
volumes: {{v: }}
"
        )
    };
    let project = case.project(&text("first"))?;
    case.up(&project).await?;
    case.stop(&project).await?;
    // The file says something else by now; the container is the same.
    let project = case.project(&text("second"))?;
    case.start(&project).await?;
    let web = case.container(&project, "web").await?;
    let read = ExecSpec::new(["/fixture", "read", "/data/word"]);
    let output = case.engine().exec(&web.id, &read).await?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "second");
    Ok(())
}

async fn hooks_run_when_a_container_is_restarted(case: Case) -> Outcome {
    let text = |before: &str, after: &str| {
        format!(
            "
services:
  web:
    image: {IMAGE}
    command: [sleep]
    volumes: ['v:/data']
    post_start: [{{command: [/fixture, write, /data/after, {after}]}}]
    pre_stop: [{{command: [/fixture, write, /data/before, {before}]}}]
volumes: {{v: }}
"
        )
    };
    case.up(&case.project(&text("one", "two"))?).await?;
    let project = case.project(&text("three", "four"))?;
    let target = Target::from(&project);
    case.runtime().restart(&target, &RestartOptions::default(), &Default::default()).await?;
    let web = case.container(&project, "web").await?;
    for (path, word) in [("/data/before", "three"), ("/data/after", "four")] {
        let output = case.engine().exec(&web.id, &ExecSpec::new(["/fixture", "read", path])).await?;
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), word, "{path}");
    }
    Ok(())
}

async fn a_one_off_has_none(case: Case) -> Outcome {
    let project = case.project(&format!(
        "
services:
  web:
    image: {IMAGE}
    command: [sleep]
    post_start: [{{command: [/fixture, exit, '3']}}]
    pre_stop: [{{command: [/fixture, exit, '4']}}]
"
    ))?;
    let mut options = RunOptions::new("web");
    options.talk = RunTalk::Detached;
    case.runtime().run(&project, &options, &Default::default()).await?;
    case.down(&project).await?;
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn a_hook_before_the_stop_is_run(case: Case) -> Outcome {
    let text = |command: &str| {
        format!(
            "
services:
  web:
    image: {IMAGE}
    command: {command}
    volumes: ['v:/data']
    pre_stop: [{{command: [/fixture, write, /data/word, farewell]}}]
volumes: {{v: }}
"
        )
    };
    let project = case.project(&text("[sleep]"))?;
    case.up(&project).await?;
    case.down(&project).await?;
    let project = case.project(&text("[read, /data/word]"))?;
    assert_eq!(case.run(&project, "web").await?, ["farewell"]);
    Ok(())
}

async fn a_hook_that_fails_is_told_with_what_it_said(case: Case) -> Outcome {
    let project = case.project(&format!(
        "
services:
  web:
    image: {IMAGE}
    command: [sleep]
    post_start: [{{command: [/fixture, exit, '3', --out, it is no good of hunter2-Zx9], environment: {{A: hunter2-Zx9}}}}]
  after: {{image: '{IMAGE}', command: [sleep], depends_on: [web]}}
"
    ))?;
    let recorder = Recorder::new();
    let error = refused(case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await)?;
    let text = error.to_string();
    for words in ["post_start[0] of service web", "exit code 3", "it is no good"] {
        assert!(text.contains(words), "{text}");
    }
    assert!(!format!("{error:?} {:?}", recorder.events()).contains("hunter2-Zx9"), "rule 9");
    let after = case.container(&project, "after").await?;
    assert!(!after.state.is_running());
    Ok(())
}

async fn a_hook_that_fails_does_not_keep_a_container_up(case: Case) -> Outcome {
    let project = case.project(&format!(
        "services: {{web: {{image: '{IMAGE}', command: [sleep], pre_stop: [{{command: [/fixture, exit, '4']}}]}}}}"
    ))?;
    case.up(&project).await?;
    let outcome =
        case.runtime().stop(&Target::from(&project), &Default::default(), &Default::default()).await;
    match refused(outcome)? {
        Error::Command(failure) => assert_eq!(failure.command, "pre_stop[0] of service web"),
        other => return Err(other.into()),
    }
    assert!(!case.container(&project, "web").await?.state.is_running());
    Ok(())
}

async fn a_command_runs_as_it_is_told(case: Case) -> Outcome {
    let project = case.sleeper("")?;
    case.up(&project).await?;
    let web = case.container(&project, "web").await?;
    for (words, said) in
        [(&["id"][..], "7:8"), (&["cwd"], "/proc"), (&["env", "WORD"], "a b"), (&["env", "PATH"], "/x")]
    {
        let mut spec = ExecSpec::new(["/fixture"].iter().chain(words).copied());
        spec.user = Some("7:8".to_owned());
        spec.working_dir = Some("/proc".to_owned());
        spec.environment =
            [("WORD", "a b"), ("PATH", "/x")].map(|(key, value)| (key.to_owned(), value.to_owned())).into();
        let output = case.engine().exec(&web.id, &spec).await?;
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), said, "{words:?}");
    }
    Ok(())
}
