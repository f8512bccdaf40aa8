//! What containers read and write.

use std::fs;

use compose_file::Project;
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours, options};
use runtime_core::{
    ContainerId, DownOptions, ExecOutput, ExecSpec, Recreate, RemoveVolumes, ResourceName, Sought,
};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_named_volume_is_shared,
        a_volume_survives_down,
        a_volume_without_a_name_goes_with_down,
        a_volume_without_a_name_outlives_recreation_and_goes_with_down,
        a_volume_without_a_name_is_a_new_one_if_told_so,
        a_folder_of_the_host_is_read,
        a_folder_of_the_host_is_written,
        a_read_only_mount_refuses_writing,
        a_missing_folder_is_made,
        memory_is_writable_and_forgotten,
    );
}

async fn a_named_volume_is_shared(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  writer:
    image: localhost/longshore-fixture:1
    command: [write, /there/word, shared]
    volumes: ['data:/there']
  reader:
    image: localhost/longshore-fixture:1
    command: [read, /here/word]
    volumes: ['data:/here:ro']
    depends_on:
      writer: {condition: service_completed_successfully}
volumes:
  data:
",
    )?;
    assert_eq!(case.run(&project, "reader").await?, ["shared"]);
    Ok(())
}

fn with_volume(command: &str) -> String {
    format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: {command}
    volumes: ['data:/data']
volumes:
  data:
"
    )
}

async fn a_volume_survives_down(case: Case) -> Outcome {
    let project = case.project(&with_volume("[write, /data/word, survived]"))?;
    case.run(&project, "web").await?;
    case.down(&project).await?;
    let project = case.project(&with_volume("[read, /data/word]"))?;
    assert_eq!(case.run(&project, "web").await?, ["survived"]);
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    case.runtime().down(&(&project).into(), &options, &Default::default()).await?;
    case.run(&project, "web").await?;
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(1), "the data is gone");
    Ok(())
}

async fn a_volume_without_a_name_goes_with_down(case: Case) -> Outcome {
    let project = with_a_nameless_volume(&case)?;
    case.up(&project).await?;
    let web = case.container(&project, "web").await?;
    let anonymous = case.engine().inspect(&web.id.0).await?.volumes.ok_or("the engine tells no volumes")?;
    assert_eq!(anonymous.len(), 1, "{anonymous:?}");
    case.wipe(&project.name).await?;
    let mut scope = runtime_core::scope_of_up(&project);
    scope.images.clear();
    scope.volumes = Sought::named(anonymous.into_values());
    let there = case.engine().observe(&scope).await?;
    assert!(there.volumes.is_empty(), "{:?}", there.volumes);
    Ok(())
}

/// A service with a volume that nobody named, at `/precious`.
fn with_a_nameless_volume(case: &Case) -> Result<Project, Failed> {
    case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    volumes: [/precious]
",
    )
}

async fn inside(case: &Case, id: &ContainerId, words: &[&str]) -> runtime_core::Result<ExecOutput> {
    case.engine().exec(id, &ExecSpec::new(words.iter().copied())).await
}

async fn a_volume_without_a_name_outlives_recreation_and_goes_with_down(case: Case) -> Outcome {
    let project = with_a_nameless_volume(&case)?;
    case.up(&project).await?;
    let first = case.container(&project, "web").await?;
    let written = inside(&case, &first.id, &["/fixture", "write", "/precious/word", "kept"]).await?;
    assert_eq!(written.exit_code, 0, "{written:?}");
    case.up_anew(&project).await?;
    case.up_anew(&project).await?;
    let last = case.container(&project, "web").await?;
    assert_ne!(first.id, last.id);
    let read = inside(&case, &last.id, &["/fixture", "read", "/precious/word"]).await?;
    assert_eq!(String::from_utf8_lossy(&read.stdout).trim(), "kept");
    let volumes = case.engine().inspect(&last.id.0).await?.volumes.ok_or("the engine tells no volumes")?;
    assert_eq!(case.up(&project).await?.steps, 0);
    case.wipe(&project.name).await?;
    let mut scope = runtime_core::scope_of_up(&project);
    scope.images.clear();
    scope.volumes = Sought::named(volumes.into_values());
    assert!(case.engine().observe(&scope).await?.volumes.is_empty());
    Ok(())
}

async fn a_volume_without_a_name_is_a_new_one_if_told_so(case: Case) -> Outcome {
    let project = with_a_nameless_volume(&case)?;
    case.up(&project).await?;
    let first = case.container(&project, "web").await?;
    inside(&case, &first.id, &["/fixture", "write", "/precious/word", "kept"]).await?;
    let before = case.engine().inspect(&first.id.0).await?.volumes.ok_or("the engine tells no volumes")?;
    let anew = options(|o| {
        o.recreate = Recreate::Always;
        o.renew_anonymous_volumes = true;
    });
    case.up_with(&project, &anew).await?;
    let last = case.container(&project, "web").await?;
    let read = inside(&case, &last.id, &["/fixture", "read", "/precious/word"]).await?;
    assert_ne!(read.exit_code, 0, "{read:?}");
    // The data of before is still there, for who wants it.
    for name in before.into_values() {
        case.engine().remove_volume(&ResourceName::volume(name)?).await?;
    }
    Ok(())
}

async fn a_folder_of_the_host_is_read(case: Case) -> Outcome {
    fs::create_dir(case.dir().join("in"))?;
    fs::write(case.dir().join("in/word"), "from the host")?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [read, /in/word]
    volumes: ['./in:/in:ro']
",
    )?;
    assert_eq!(case.run(&project, "web").await?, ["from the host"]);
    Ok(())
}

async fn a_folder_of_the_host_is_written(case: Case) -> Outcome {
    fs::create_dir(case.dir().join("out"))?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [write, /out/word, to the host]
    volumes: ['./out:/out']
",
    )?;
    case.run(&project, "web").await?;
    assert_eq!(fs::read_to_string(case.dir().join("out/word"))?, "to the host");
    Ok(())
}

async fn a_read_only_mount_refuses_writing(case: Case) -> Outcome {
    fs::create_dir(case.dir().join("in"))?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [write, /in/word, no]
    volumes:
      - {type: bind, source: ./in, target: /in, read_only: true}
",
    )?;
    case.run(&project, "web").await?;
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(1));
    assert!(!case.dir().join("in/word").exists());
    Ok(())
}

async fn a_missing_folder_is_made(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [write, /out/word, made]
    volumes: ['./new/folder:/out']
",
    )?;
    case.run(&project, "web").await?;
    assert_eq!(fs::read_to_string(case.dir().join("new/folder/word"))?, "made");
    Ok(())
}

async fn memory_is_writable_and_forgotten(case: Case) -> Outcome {
    let text = |command: &str| {
        format!(
            "
services:
  web:
    image: localhost/longshore-fixture:1
    command: {command}
    read_only: true
    tmpfs: [/memory]
"
        )
    };
    let project = case.project(&text("[write, /memory/word, gone soon]"))?;
    case.run(&project, "web").await?;
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(0));
    let project = case.project(&text("[read, /memory/word]"))?;
    case.run(&project, "web").await?;
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(1));
    Ok(())
}
