//! What the file says of a container is so.

use longshore_tests::{Backend, Case, Failed, Outcome, Suite, behaviours, refused};
use runtime_core::{ExecSpec, LogOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_command_is_a_list,
        a_command_is_a_text,
        an_entrypoint_replaces_the_images,
        a_user_is_used,
        a_working_folder_is_used,
        a_hostname_is_used,
        a_read_only_root_refuses_writing,
        an_extra_host_is_found,
        a_container_that_fails_is_started_again,
        a_fixed_name_is_used,
        a_fixed_name_that_is_taken_is_an_error,
        a_program_that_is_not_in_the_image_is_an_error,
    );
    behaviours!(suite, if Backend::is_real; an_init_process_is_pid_one);
}

/// Runs the program with these lines of the file and returns what it prints.
async fn printed(case: &Case, lines: &str) -> Result<Vec<String>, Failed> {
    let text = format!("services:\n  web:\n    image: localhost/longshore-fixture:1\n{lines}");
    let project = case.project(&text)?;
    Ok(case.run(&project, "web").await?)
}

async fn a_command_is_a_list(case: Case) -> Outcome {
    let lines = printed(&case, "    command: [exit, '0', --out, 'two  words']\n").await?;
    assert_eq!(lines, ["two  words"]);
    Ok(())
}

async fn a_command_is_a_text(case: Case) -> Outcome {
    let lines = printed(&case, "    command: exit 0 --out \"two  words\"\n").await?;
    assert_eq!(lines, ["two  words"]);
    Ok(())
}

async fn an_entrypoint_replaces_the_images(case: Case) -> Outcome {
    let lines =
        printed(&case, "    entrypoint: [/fixture, exit]\n    command: ['0', --out, replaced]\n").await?;
    assert_eq!(lines, ["replaced"]);
    Ok(())
}

async fn a_user_is_used(case: Case) -> Outcome {
    assert_eq!(printed(&case, "    command: [id]\n    user: '1234:2345'\n").await?, ["1234:2345"]);
    Ok(())
}

async fn a_working_folder_is_used(case: Case) -> Outcome {
    assert_eq!(printed(&case, "    command: [cwd]\n    working_dir: /tmp\n").await?, ["/tmp"]);
    Ok(())
}

async fn a_hostname_is_used(case: Case) -> Outcome {
    assert_eq!(printed(&case, "    command: [hostname]\n    hostname: lighthouse\n").await?, ["lighthouse"]);
    Ok(())
}

async fn a_read_only_root_refuses_writing(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [write, /word, no]
    read_only: true
",
    )?;
    case.run(&project, "web").await?;
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(1));
    Ok(())
}

async fn an_init_process_is_pid_one(case: Case) -> Outcome {
    let text = |init: bool| {
        format!(
            "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [read, /proc/1/cmdline]
    init: {init}
"
        )
    };
    let without = case.run(&case.project(&text(false))?, "web").await?.concat();
    assert!(without.starts_with("/fixture"), "{without:?}");
    let project = case.project(&text(true))?;
    let with = case.run(&project, "web").await;
    match with {
        Ok(lines) => assert!(!lines.concat().starts_with("/fixture"), "{lines:?}"),
        // The engine's init program is a package of its own, and need not be there.
        Err(error) => assert!(error.to_string().contains("init"), "{error}"),
    }
    Ok(())
}

async fn an_extra_host_is_found(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  server:
    image: localhost/longshore-fixture:1
    command: [serve, --body, hello]
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}
  client:
    image: localhost/longshore-fixture:1
    command: [fetch, 'http://harbour:8080/']
    network_mode: 'service:server'
    depends_on:
      server: {condition: service_healthy}
",
    )?;
    case.up(&project).await?;
    case.output(&project, "client").await?;
    assert_eq!(case.container(&project, "client").await?.exit_code, Some(1), "it is not found");
    case.down(&project).await?;
    let project = case.project(
        "
services:
  server:
    image: localhost/longshore-fixture:1
    command: [serve, --body, hello]
    healthcheck: {test: [CMD, /fixture, health, --port, '8080'], interval: 200ms, timeout: 5s, retries: 50}
    extra_hosts: ['harbour=127.0.0.1']
",
    )?;
    case.up_wait(&project).await?;
    let server = case.container(&project, "server").await?;
    let command = ["/fixture", "fetch", "http://harbour:8080/"];
    let output = case.engine().exec(&server.id, &ExecSpec::new(command)).await?;
    assert_eq!((output.exit_code, String::from_utf8_lossy(&output.stdout).trim()), (0, "hello"));
    Ok(())
}

async fn a_container_that_fails_is_started_again(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [exit, '3', --out, tried]
    restart: 'on-failure:2'
",
    )?;
    case.up(&project).await?;
    // Followed, the log ends when the engine has given up.
    case.output(&project, "web").await?;
    let lines = case.lines(&project, &LogOptions::default()).await?;
    assert_eq!(lines.iter().filter(|line| line.line.text == "tried").count(), 3);
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(3));
    Ok(())
}

async fn a_fixed_name_is_used(case: Case) -> Outcome {
    let name = format!("{}.fixed_name", case.name());
    let text = format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    container_name: {name}
"
    );
    let project = case.project(&text)?;
    case.up(&project).await?;
    assert_eq!(case.container(&project, "web").await?.name, name);
    assert_eq!(case.up(&project).await?.steps, 0);
    Ok(())
}

async fn a_fixed_name_that_is_taken_is_an_error(case: Case) -> Outcome {
    let name = format!("{}-taken", case.name());
    let text = format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    container_name: {name}
"
    );
    let first = case.project_named("-a", &text)?;
    let second = case.project_named("-b", &text)?;
    case.up(&first).await?;
    let error = refused(case.up(&second).await)?;
    let runtime_core::Error::NameInUse { name: taken, .. } = &error else {
        return Err(format!("{error:?}").into());
    };
    assert_eq!(taken, &name);
    assert!(case.container(&first, "web").await?.state.is_running());
    case.wipe(&second.name).await?;
    assert!(case.container(&first, "web").await?.state.is_running(), "it is not ours to remove");
    Ok(())
}

async fn a_program_that_is_not_in_the_image_is_an_error(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    entrypoint: [/no/such/program]
",
    )?;
    let error = refused(case.up(&project).await)?;
    assert!(error.to_string().contains("/no/such/program"), "{error}");
    assert!(!case.container(&project, "web").await?.state.is_running());
    case.wipe(&project.name).await
}
