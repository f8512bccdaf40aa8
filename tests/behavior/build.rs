//! Images that are built.

use compose_file::Project;
use longshore_tests::{Case, Failed, IMAGE, Outcome, Recorder, Suite, behaviours, options, refused};
use runtime_core::{
    BuildOptions, BuildProblem, Building, Call, Error, Phase, PullOptions, PushOptions, RunOptions, RunTalk,
    Work, labels,
};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        an_image_that_is_not_here_is_built_once,
        what_is_up_is_not_built_again,
        a_changed_context_is_built_when_asked_and_recreates,
        an_image_carries_its_projects_labels_and_names,
        an_argument_has_its_value_and_nobody_is_told,
        a_target_is_the_image,
        an_inline_dockerfile_is_in_no_image,
        a_dockerfile_outside_of_its_context,
        what_is_ignored_is_not_copied,
        a_step_that_fails_is_told_with_what_it_said,
        a_dockerfile_that_is_none_is_told,
        what_is_missing_is_told_before_anything_is_made,
        one_image_of_two_services_is_built_once,
        no_build_is_an_error_that_says_so,
        policy_build_builds_always,
        what_cannot_be_pulled_is_built,
        what_can_be_pulled_is_not_built,
        policy_never_builds_and_does_not_pull,
        a_one_off_builds_what_is_not_here,
        a_one_off_builds_what_cannot_be_pulled,
        a_cancelled_build_leaves_nothing,
        what_an_engine_cannot_build_is_refused_by_name,
        a_secret_is_seen_by_its_step_alone,
        an_image_is_made_from_another_services,
        an_image_is_pushed,
    );
}

/// Files of the case's folder.
fn files(case: &Case, files: &[(&str, &str)]) -> Outcome {
    for (name, text) in files {
        let path = case.dir().join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

const DOCKERFILE: &str = "FROM localhost/longshore-fixture:1\nCOPY word /word\n";

/// A service `web` that prints its file `/word` and ends.
fn reader(case: &Case, build: &str) -> Result<Project, Failed> {
    case.project(&format!("services:\n  web:\n    build: {build}\n    command: [read, /word]\n"))
}

fn steps(recorder: &Recorder) -> Vec<String> {
    let step = |event: runtime_core::Event| match event.phase {
        Phase::Step { work: Work::Build, step } => Some(step.instruction),
        _ => None,
    };
    recorder.events().into_iter().filter_map(step).collect()
}

async fn up(case: &Case, project: &Project, building: Building) -> Result<Recorder, Failed> {
    let recorder = Recorder::new();
    case.runtime().up(project, &options(|o| o.build = building), &recorder.call()).await?;
    Ok(recorder)
}

/// An engine whose builder knows what BuildKit does.
fn has_buildkits(case: &Case) -> bool {
    !case.backend().name.starts_with("docker")
}

async fn an_image_that_is_not_here_is_built_once(case: Case) -> Outcome {
    files(&case, &[("app/Dockerfile", DOCKERFILE), ("app/word", "hello\n")])?;
    let project = reader(&case, "./app")?;
    let image = format!("{}-web", case.name());
    let recorder = up(&case, &project, Building::Missing).await?;
    assert_eq!(recorder.all_done(Work::Build), std::slice::from_ref(&image));
    assert!(recorder.all_done(Work::Pull).is_empty());
    // Labels that are given besides are steps of some engines.
    let steps = steps(&recorder);
    assert_eq!(steps[..2], ["FROM localhost/longshore-fixture:1", "COPY word /word"]);
    assert!(steps[2..].iter().all(|step| step.starts_with("LABEL ")), "{steps:?}");
    let created = recorder.began(Work::Create, &format!("{image}-1"));
    assert!(recorder.done(Work::Build, &image) < created);
    assert_eq!(case.output(&project, "web").await?, ["hello"]);
    Ok(())
}

async fn what_is_up_is_not_built_again(case: Case) -> Outcome {
    // Its own word: the layers that others make at the same time are in the cache too.
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", case.name())])?;
    let project = case.project("services:\n  web: {build: ., command: [sleep]}\n")?;
    case.up(&project).await?;
    let before = case.ids(&project).await?;
    let recorder = up(&case, &project, Building::Missing).await?;
    assert!(recorder.all_done(Work::Build).is_empty());
    // Built again to the same image, it is the same container.
    let recorder = up(&case, &project, Building::Always).await?;
    assert_eq!(recorder.all_done(Work::Build), [format!("{}-web", case.name())]);
    if case.backend().name != "docker-over-podman" {
        // Podman's service adds the labels in an order of no kind, and then it may be another image.
        assert_eq!(case.ids(&project).await?, before);
    }
    let plan = case.runtime().plan(&project, &options(|o| o.build = Building::Always)).await?.to_string();
    assert_eq!(plan, format!("build image {}-web (requested)\n", case.name()));
    Ok(())
}

async fn a_changed_context_is_built_when_asked_and_recreates(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "one\n")])?;
    let project = reader(&case, ".")?;
    assert_eq!(case.run(&project, "web").await?, ["one"]);
    files(&case, &[("word", "two\n")])?;
    assert_eq!(case.run(&project, "web").await?.last().map(String::as_str), Some("one"));
    up(&case, &project, Building::Always).await?;
    assert_eq!(case.output(&project, "web").await?, ["two"]);
    let built = case.runtime().build(&project, &BuildOptions::default(), &Call::default()).await?;
    assert_eq!(built, 1);
    Ok(())
}

async fn an_image_carries_its_projects_labels_and_names(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let other = format!("localhost/{}-other:2", case.name());
    let project = case.project(&format!(
        "services:\n  web:\n    image: localhost/{}-named:1\n    build: {{context: ., tags: ['{other}'], labels: {{our.label: x}}}}\n    command: [sleep]\n",
        case.name()
    ))?;
    case.up(&project).await?;
    let image = format!("localhost/{}-named:1", case.name());
    assert_eq!(case.engine().image(&other).await?.id, case.engine().image(&image).await?.id);
    let found = match case.mock() {
        Some(mock) => serde_json::to_value(mock.image_labels(&image))?,
        None => {
            let inspected = match case.inspected("image", &image).await? {
                longshore_tests::Seen::Json(json) => json,
                longshore_tests::Seen::Debug(text) => return Err(text.into()),
            };
            inspected["Config"]["Labels"].clone()
        }
    };
    assert_eq!(found[labels::PROJECT], case.name());
    assert_eq!(found[labels::SERVICE], "web");
    assert!(found[labels::VERSION].is_string());
    assert_eq!(found["our.label"], "x");
    Ok(())
}

async fn an_argument_has_its_value_and_nobody_is_told(case: Case) -> Outcome {
    files(
        &case,
        &[(
            "Dockerfile",
            "FROM localhost/longshore-fixture:1\nARG TOKEN\nENV WORD=$TOKEN\nRUN [\"/fixture\", \"env\", \"TOKEN\"]\n",
        )],
    )?;
    let project = case.project(
        "services:\n  web:\n    build: {context: ., args: {TOKEN: hunter2-of-build}}\n    command: [env, WORD]\n",
    )?;
    let recorder = up(&case, &project, Building::Missing).await?;
    assert_eq!(case.output(&project, "web").await?, ["hunter2-of-build"]);
    assert!(!format!("{:?}", recorder.events()).contains("hunter2"), "rule 9");
    let mut over = BuildOptions::default();
    over.args.insert("TOKEN".to_owned(), compose_file::Hidden("another-one".to_owned()));
    case.runtime().build(&project, &over, &Call::default()).await?;
    up(&case, &project, Building::Missing).await?;
    assert_eq!(case.output(&project, "web").await?, ["another-one"]);
    files(
        &case,
        &[(
            "Dockerfile",
            "FROM localhost/longshore-fixture:1\nARG TOKEN\nENV WORD=$TOKEN\nRUN [\"/fixture\", \"env\", \"TOKEN\"]\nRUN [\"/fixture\", \"exit\", \"4\", \"--out\", \"hunter2-of-build\"]\n",
        )],
    )?;
    let failing = case.runtime().build(&project, &BuildOptions::default(), &Call::default()).await;
    let error = refused(failing)?;
    assert!(!format!("{error} {error:?}").contains("hunter2"), "rule 9: {error}");
    Ok(())
}

async fn a_target_is_the_image(case: Case) -> Outcome {
    let dockerfile =
        "FROM localhost/longshore-fixture:1 AS one\nENV WORD=one\n\nFROM one AS two\nENV WORD=two\n";
    files(&case, &[("Dockerfile", dockerfile)])?;
    let project = case.project(
        "services:\n  web: {build: {context: ., target: one}, command: [env, WORD]}\n  last: {build: ., command: [env, WORD]}\n",
    )?;
    case.up(&project).await?;
    assert_eq!(case.output(&project, "web").await?, ["one"]);
    assert_eq!(case.output(&project, "last").await?, ["two"]);
    Ok(())
}

async fn an_inline_dockerfile_is_in_no_image(case: Case) -> Outcome {
    files(&case, &[("app/word", "inline\n"), ("app/.dockerignore", "nothing\n")])?;
    let project = case.project(
        "
services:
  web:
    build:
      context: ./app
      dockerfile_inline: |
        FROM localhost/longshore-fixture:1
        COPY . /app
    command: [read, /app/word]
  other:
    image: localhost/longshore-fixture:1
    command: [sleep]
",
    )?;
    assert_eq!(case.run(&project, "web").await?, ["inline"]);
    let mut options = RunOptions::new("web");
    options.talk = RunTalk::Detached;
    options.command = vec!["read".to_owned(), "/app/.longshore.dockerfile".to_owned()];
    let one_off = case.runtime().run(&project, &options, &Call::default()).await?;
    assert_eq!(case.engine().wait_container(&one_off.id).await?, 1, "there is no such file");
    Ok(())
}

async fn a_dockerfile_outside_of_its_context(case: Case) -> Outcome {
    files(&case, &[("app/word", "outside\n"), ("docker/Web.Dockerfile", DOCKERFILE)])?;
    let project = reader(&case, "{context: ./app, dockerfile: ../docker/Web.Dockerfile}")?;
    assert_eq!(case.run(&project, "web").await?, ["outside"]);
    Ok(())
}

async fn what_is_ignored_is_not_copied(case: Case) -> Outcome {
    files(
        &case,
        &[
            ("Dockerfile", "FROM localhost/longshore-fixture:1\nCOPY . /app/\n"),
            (".dockerignore", "# all but\n*\n!word\n!deep\ndeep/*.tmp\nDockerfile\n"),
            ("word", "kept\n"),
            ("secret", "x\n"),
            ("deep/kept", "deep\n"),
            ("deep/a.tmp", "x\n"),
        ],
    )?;
    let project = case.project(
        "
services:
  word: {image: localhost/lst-ignored-NAME, build: ., command: [read, /app/word]}
  deep: {image: localhost/lst-ignored-NAME, build: ., command: [read, /app/deep/kept]}
  secret: {image: localhost/lst-ignored-NAME, build: ., command: [read, /app/secret]}
  tmp: {image: localhost/lst-ignored-NAME, build: ., command: [read, /app/deep/a.tmp]}
"
        .replace("NAME", case.name())
        .as_str(),
    )?;
    case.up(&project).await?;
    assert_eq!(case.output(&project, "word").await?, ["kept"]);
    assert_eq!(case.output(&project, "deep").await?, ["deep"]);
    for service in ["secret", "tmp"] {
        let container = case.container(&project, service).await?;
        assert_eq!(case.engine().wait_container(&container.id).await?, 1, "{service} is not there");
    }
    Ok(())
}

async fn a_step_that_fails_is_told_with_what_it_said(case: Case) -> Outcome {
    let dockerfile = "FROM localhost/longshore-fixture:1\nENV A=b\nRUN [\"/fixture\", \"exit\", \"3\", \"--out\", \"some words\", \"--err\", \"an error\"]\n";
    files(&case, &[("Dockerfile", dockerfile)])?;
    let project = case.project("services:\n  web: {build: ., command: [sleep]}\n")?;
    let error = refused(case.up(&project).await)?;
    let Error::Build { image, problem: BuildProblem::Failed { step: Some(step), reason, output } } = &error
    else {
        return Err(format!("{error:?}").into());
    };
    assert_eq!(*image, format!("{}-web", case.name()));
    assert!(step.number == 3 && step.of >= 3, "{step}");
    assert!(step.instruction.starts_with("RUN ") && step.instruction.contains("exit"), "{step}");
    assert!(reason.contains('3'), "{reason}");
    assert!(output.contains(&"some words".to_owned()), "{output:?}");
    assert!(output.contains(&"an error".to_owned()), "{output:?}");
    assert_eq!(error.code(), "build");
    assert!(case.ps(&project).await?.is_empty());
    Ok(())
}

async fn a_dockerfile_that_is_none_is_told(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", "FROM localhost/longshore-fixture:1\nRUX something\n")])?;
    let project = case.project("services:\n  web: {build: ., command: [sleep]}\n")?;
    let error = refused(case.up(&project).await)?;
    let Error::Build { problem: BuildProblem::Failed { reason, .. }, .. } = &error else {
        return Err(format!("{error:?}").into());
    };
    assert!(reason.to_lowercase().contains("unknown instruction"), "{reason}");
    Ok(())
}

async fn what_is_missing_is_told_before_anything_is_made(case: Case) -> Outcome {
    files(&case, &[("app/word", "x")])?;
    let missing = |build: &str| {
        case.project(&format!(
            "services:\n  other: {{image: '{IMAGE}', command: [sleep]}}\n  web: {{build: {build}, command: [sleep]}}\n"
        ))
    };
    let project = missing("./nowhere")?;
    let error = refused(case.up(&project).await)?;
    let no_context = |problem: &BuildProblem| matches!(problem, BuildProblem::NoContext(path) if path.ends_with("nowhere"));
    assert!(matches!(&error, Error::Build { problem, .. } if no_context(problem)), "{error:?}");
    let error = refused(case.up(&missing("./app")?).await)?;
    let no_file = |problem: &BuildProblem| matches!(problem, BuildProblem::NoDockerfile(path) if path.ends_with("app/Dockerfile"));
    assert!(matches!(&error, Error::Build { problem, .. } if no_file(problem)), "{error:?}");
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn one_image_of_two_services_is_built_once(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let image = format!("localhost/{}-shared:1", case.name());
    let project = case.project(&format!(
        "services:\n  a: {{image: '{image}', build: ., command: [sleep]}}\n  b: {{image: '{image}', build: ., command: [sleep]}}\n  c: {{image: '{image}', command: [sleep]}}\n"
    ))?;
    let recorder = up(&case, &project, Building::Missing).await?;
    assert_eq!(recorder.all_done(Work::Build), [image]);
    assert_eq!(case.ps(&project).await?.len(), 3);
    Ok(())
}

async fn no_build_is_an_error_that_says_so(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let project = reader(&case, ".")?;
    let error = refused(up_without(&case, &project).await)?;
    assert!(matches!(&error, Error::Image { reason, .. } if reason.contains("--no-build")), "{error:?}");
    assert!(case.things_of(&project.name).await?.is_empty());
    case.runtime().build(&project, &BuildOptions::default(), &Call::default()).await?;
    up_without(&case, &project).await?;
    assert_eq!(case.output(&project, "web").await?, ["hello"]);
    Ok(())
}

async fn up_without(case: &Case, project: &Project) -> runtime_core::Result<runtime_core::UpOutcome> {
    case.up_with(project, &options(|o| o.build = Building::Never)).await
}

async fn policy_build_builds_always(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "one\n")])?;
    let file = "services:\n  web: {build: ., pull_policy: build, command: [read, /word]}\n";
    let project = case.project(file)?;
    assert_eq!(case.run(&project, "web").await?, ["one"]);
    files(&case, &[("word", "two\n")])?;
    let recorder = up(&case, &project, Building::Missing).await?;
    assert_eq!(recorder.all_done(Work::Build).len(), 1);
    assert_eq!(case.output(&project, "web").await?, ["two"]);
    Ok(())
}

async fn a_one_off_builds_what_is_not_here(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let project = reader(&case, ".")?;
    let recorder = Recorder::new();
    let mut options = RunOptions::new("web");
    options.talk = RunTalk::Detached;
    let one_off = case.runtime().run(&project, &options, &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Build).len(), 1);
    assert_eq!(case.engine().wait_container(&one_off.id).await?, 0);
    Ok(())
}

async fn what_cannot_be_pulled_is_built(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "built\n")])?;
    // Nobody listens on port 1.
    let image = format!("localhost:1/{}:1", case.name());
    let project = case.project(&format!(
        "services:\n  web: {{image: '{image}', build: ., command: [read, /word]}}\n  other: {{image: '{image}', build: ., command: [sleep]}}\n"
    ))?;
    let plan = case.runtime().plan(&project, &options(|_| {})).await?.to_string();
    let of_images: Vec<&str> = plan.lines().filter(|line| line.contains("image")).collect();
    assert_eq!(
        of_images,
        [format!("pull image {image} (not there)"), format!("build image {image} (if it cannot be pulled)")]
    );
    let recorder = up(&case, &project, Building::Missing).await?;
    assert!(recorder.all_done(Work::Pull).is_empty());
    assert_eq!(recorder.all_done(Work::Build), std::slice::from_ref(&image));
    assert!(recorder.began(Work::Pull, &image) < recorder.began(Work::Build, &image));
    let warnings = recorder.warnings();
    assert!(warnings.iter().any(|warning| warning.contains(&image)), "{warnings:?}");
    let failed = |event: &runtime_core::Event| matches!(event.phase, Phase::Failed { .. });
    assert!(!recorder.events().iter().any(failed), "{:#?}", recorder.events());
    assert_eq!(case.output(&project, "web").await?, ["built"]);
    let recorder = up(&case, &project, Building::Missing).await?;
    assert!(!recorder.has_begun(Work::Pull, &image) && recorder.all_done(Work::Build).is_empty());
    // What is here will do, if it is only to be the newest and that cannot be had.
    let always = case.project(&format!(
        "services:\n  web: {{image: '{image}', pull_policy: always, build: ., command: [read, /word]}}\n"
    ))?;
    let recorder = up(&case, &always, Building::Missing).await?;
    assert!(recorder.has_begun(Work::Pull, &image) && recorder.all_done(Work::Build).is_empty());
    let mut nowhere = always.clone();
    for service in nowhere.services.values_mut() {
        service.image = format!("localhost:1/{}:2", case.name());
    }
    let recorder = up(&case, &nowhere, Building::Missing).await?;
    assert_eq!(recorder.all_done(Work::Build), [format!("localhost:1/{}:2", case.name())]);
    Ok(())
}

async fn what_can_be_pulled_is_not_built(case: Case) -> Outcome {
    let image = case.remote_image()?;
    // There is nothing that it could be built from, which nobody looks for.
    let project = |policy: &str| {
        case.project(&format!(
            "services:\n  web: {{image: '{image}', pull_policy: {policy}, build: ./nowhere, command: [sleep]}}\n"
        ))
    };
    let recorder = up(&case, &project("missing")?, Building::Missing).await?;
    assert!(recorder.all_done(Work::Build).is_empty());
    assert!(case.container(&project("missing")?, "web").await?.state.is_running());
    let recorder = up(&case, &project("always")?, Building::Missing).await?;
    assert_eq!(recorder.all_done(Work::Pull), std::slice::from_ref(&image));
    assert!(recorder.all_done(Work::Build).is_empty());
    Ok(())
}

async fn policy_never_builds_and_does_not_pull(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "never\n")])?;
    let image = format!("localhost:1/{}:1", case.name());
    let project = case.project(&format!(
        "services:\n  web: {{image: '{image}', pull_policy: never, build: ., command: [read, /word]}}\n"
    ))?;
    let error = refused(up_without(&case, &project).await)?;
    assert!(matches!(&error, Error::Image { reason, .. } if reason.contains("--no-build")), "{error:?}");
    let recorder = up(&case, &project, Building::Missing).await?;
    assert!(!recorder.has_begun(Work::Pull, &image));
    assert_eq!(recorder.all_done(Work::Build), [image]);
    assert_eq!(case.output(&project, "web").await?, ["never"]);
    Ok(())
}

async fn a_one_off_builds_what_cannot_be_pulled(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let image = format!("localhost:1/{}:1", case.name());
    let project = case.project(&format!(
        "services:\n  web: {{image: '{image}', pull_policy: always, build: ., command: [read, /word]}}\n"
    ))?;
    let recorder = Recorder::new();
    let mut options = RunOptions::new("web");
    options.talk = RunTalk::Detached;
    let one_off = case.runtime().run(&project, &options, &recorder.call()).await?;
    assert!(recorder.began(Work::Pull, &image) < recorder.began(Work::Build, &image));
    assert_eq!(recorder.all_done(Work::Build), [image]);
    assert_eq!(case.engine().wait_container(&one_off.id).await?, 0);
    Ok(())
}

async fn a_cancelled_build_leaves_nothing(case: Case) -> Outcome {
    // Podman's service ends a build that nobody listens to only when its step is over.
    let lasting = match case.backend().name {
        "docker-over-podman" => r#""exit", "0", "--after-ms", "2000""#,
        _ => r#""sleep""#,
    };
    let text = format!(
        "FROM localhost/longshore-fixture:1\nRUN [\"/fixture\", {lasting}, \"--name\", \"{}\"]\n",
        case.name()
    );
    files(&case, &[("Dockerfile", &text)])?;
    let project = case.project("services:\n  web: {build: ., command: [sleep]}\n")?;
    let call = Call::default();
    let (begun, mut wait) = tokio::sync::mpsc::unbounded_channel();
    let progress = runtime_core::Progress::new(move |event| {
        if matches!(&event.phase, Phase::Step { step, .. } if step.instruction.starts_with("RUN")) {
            let _ = begun.send(());
        }
    });
    let call = Call { progress, ..call };
    let cancel = async {
        wait.recv().await;
        if case.backend().is_real() {
            until(&case, true).await;
        }
        call.cancel.cancel();
    };
    let up_options = options(|_| {});
    let (outcome, ()) = tokio::join!(case.runtime().up(&project, &up_options, &call), cancel);
    assert_eq!(outcome, Err(Error::Cancelled));
    if case.backend().is_real() {
        until(&case, false).await;
    } else {
        let all = runtime_core::ContainerFilter::default();
        assert!(case.engine().list(&all).await?.is_empty());
    }
    assert!(case.ps(&project).await?.is_empty());
    Ok(())
}

/// Looks until a process of the case runs on this computer, or none does: what engines run in builds they tell nobody.
async fn until(case: &Case, runs: bool) {
    let is_its = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        line.starts_with("/fixture") && line.contains(case.name())
    };
    loop {
        let there = std::fs::read_dir("/proc").is_ok_and(|all| all.flatten().any(is_its));
        if there == runs {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn what_an_engine_cannot_build_is_refused_by_name(case: Case) -> Outcome {
    if case.mock().is_some() {
        return Ok(());
    }
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let project = reader(&case, "{context: ., privileged: true, provenance: 'mode=max'}")?;
    let error = refused(case.up(&project).await)?;
    let Error::Unsupported { what, .. } = &error else { return Err(format!("{error:?}").into()) };
    assert!(what.starts_with("service \"web\": build.privileged: "), "{what}");
    let project = reader(&case, "{context: ., provenance: 'mode=max'}")?;
    let recorder = up(&case, &project, Building::Missing).await?;
    assert!(
        recorder.warnings().iter().any(|text| text.contains("build.provenance")),
        "{:?}",
        recorder.warnings()
    );
    Ok(())
}

async fn a_secret_is_seen_by_its_step_alone(case: Case) -> Outcome {
    files(
        &case,
        &[
            (
                "Dockerfile",
                "FROM localhost/longshore-fixture:1\nRUN --mount=type=secret,id=key [\"/fixture\", \"read\", \"/run/secrets/key\"]\n",
            ),
            (".env", "LONGSHORE_TESTS_KEY=hunter2-of-secret\n"),
        ],
    )?;
    let project = case.project(
        "services:\n  web:\n    build: {context: ., secrets: [key]}\n    command: [read, /run/secrets/key]\nsecrets:\n  key: {environment: LONGSHORE_TESTS_KEY}\n",
    )?;
    if !has_buildkits(&case) {
        let error = refused(case.up(&project).await)?;
        assert!(error.to_string().contains("build.secrets"), "{error}");
        return Ok(());
    }
    let recorder = up(&case, &project, Building::Missing).await?;
    let container = case.container(&project, "web").await?;
    assert_eq!(case.engine().wait_container(&container.id).await?, 1, "it is in no image");
    assert!(!format!("{:?}", recorder.events()).contains("hunter2"), "rule 9");
    Ok(())
}

async fn an_image_is_made_from_another_services(case: Case) -> Outcome {
    files(
        &case,
        &[
            ("base/Dockerfile", "FROM localhost/longshore-fixture:1\nENV WORD=base\n"),
            ("app/Dockerfile", "FROM base\n"),
        ],
    )?;
    let project = case.project(
        "
services:
  app: {build: {context: ./app, additional_contexts: {base: 'service:zbase'}}, command: [env, WORD]}
  zbase: {build: ./base, command: [sleep]}
",
    )?;
    if !has_buildkits(&case) {
        let error = refused(case.up(&project).await)?;
        assert!(error.to_string().contains("build.additional_contexts"), "{error}");
        return Ok(());
    }
    let only = options(|o| o.services = ["app".to_owned()].into());
    let recorder = Recorder::new();
    case.runtime().up(&project, &only, &recorder.call()).await?;
    let name = case.name();
    assert_eq!(recorder.all_done(Work::Build), [format!("{name}-zbase"), format!("{name}-app")]);
    assert_eq!(case.output(&project, "app").await?, ["base"]);
    Ok(())
}

async fn an_image_is_pushed(case: Case) -> Outcome {
    files(&case, &[("Dockerfile", DOCKERFILE), ("word", "hello\n")])?;
    let registry = case.remote_image()?;
    let (registry, _) = registry.split_once('/').ok_or("no registry")?;
    let image = format!("{registry}/{}:1", case.name());
    let project = case.project(&format!(
        "services:\n  web: {{image: '{image}', build: ., command: [sleep]}}\n  only: {{build: ., command: [sleep]}}\n"
    ))?;
    case.runtime().build(&project, &BuildOptions::default(), &Call::default()).await?;
    let recorder = Recorder::new();
    let pushed = case.runtime().push(&project, &PushOptions::default(), &recorder.call()).await?;
    assert_eq!(pushed, 1, "what has no name of its own is pushed nowhere");
    assert_eq!(recorder.all_done(Work::Push), std::slice::from_ref(&image));
    case.runtime()
        .pull(
            &case.project(&format!("services:\n  web: {{image: '{image}'}}\n"))?,
            &PullOptions::default(),
            &Call::default(),
        )
        .await?;
    let nowhere = case.project("services:\n  web: {image: 'localhost:1/no/where:1', build: .}\n")?;
    case.runtime().build(&nowhere, &BuildOptions::default(), &Call::default()).await?;
    let error = refused(case.runtime().push(&nowhere, &PushOptions::default(), &Call::default()).await)?;
    assert!(matches!(&error, Error::Image { image, .. } if image == "localhost:1/no/where:1"), "{error:?}");
    let mut ignoring = PushOptions::default();
    ignoring.ignore_failures = true;
    let recorder = Recorder::new();
    case.runtime().push(&nowhere, &ignoring, &recorder.call()).await?;
    assert_eq!(recorder.warnings().len(), 1);
    Ok(())
}
