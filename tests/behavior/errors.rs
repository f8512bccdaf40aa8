//! Errors say what a caller can do.

use std::{fs, os::unix::fs::PermissionsExt};

use longshore_tests::{Backend, Case, Outcome, Suite, behaviours, refused};
use runtime_core::{Availability, Call, Error, ResourceKind, UpOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_ready_engine_says_who_it_is,
        a_container_name_that_is_none_is_refused,
        an_unknown_service_is_named,
        a_missing_external_network_is_named,
        a_missing_external_volume_is_named,
        a_container_that_is_not_there_is_not_found,
        a_program_that_an_image_has_not_is_told_with_its_container,
    );
    behaviours!(suite, if Backend::runs_a_program; a_program_that_is_no_engine_is_told);
    behaviours!(suite, if Backend::is_real; an_engine_that_is_not_there_is_not_reachable);
}

async fn a_ready_engine_says_who_it_is(case: Case) -> Outcome {
    let info = match case.runtime().availability().await {
        Availability::Ready(info) => info,
        other => return Err(format!("{other:?}").into()),
    };
    assert_eq!(info.kind, case.runtime().kind());
    assert!(!info.name.is_empty() && !info.version.is_empty() && !info.endpoint.is_empty(), "{info:?}");
    assert_eq!(case.runtime().ensure_ready(&Call::default()).await?.version, info.version);
    Ok(())
}

async fn a_container_name_that_is_none_is_refused(case: Case) -> Outcome {
    let mut project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
",
    )?;
    for bad in ["a/b", "-rf", "--help", "a b", "a\nb", "", "../up"] {
        if let Some(web) = project.services.get_mut("web") {
            web.container_name = Some(bad.to_owned());
        }
        let error = refused(case.up(&project).await)?;
        let Error::InvalidName { kind, name, .. } = &error else {
            return Err(format!("{bad:?}: {error:?}").into());
        };
        assert_eq!((*kind, name.as_str()), (ResourceKind::Container, bad));
    }
    assert!(case.things_of(&project.name).await?.is_empty());
    if let Some(mock) = case.mock() {
        assert_eq!(mock.mutations(), 0);
    }
    Ok(())
}

async fn a_program_that_an_image_has_not_is_told_with_its_container(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    entrypoint: [/no-such-program]
",
    )?;
    let error = refused(case.up(&project).await)?.to_string();
    let web = case.container(&project, "web").await?;
    assert!(error.contains("no-such-program") && error.contains(&web.name), "{error}");
    assert!(!error.contains(&web.id.0), "an id says nothing: {error}");
    Ok(())
}

async fn an_unknown_service_is_named(case: Case) -> Outcome {
    let project = case.project("services:\n  web:\n    image: localhost/longshore-fixture:1\n")?;
    let options = longshore_tests::options(|o| o.services = ["nobody".to_owned()].into());
    let error = refused(case.up_with(&project, &options).await)?;
    assert_eq!(error, Error::NotFound { kind: ResourceKind::Service, name: "nobody".to_owned() });
    assert!(case.things_of(&project.name).await?.is_empty());
    Ok(())
}

async fn missing_external(case: &Case, kind: &str, uses: &str) -> Outcome {
    let name = format!("{}-nowhere", case.name());
    let project = case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    {uses}
{kind}:
  theirs:
    external: true
    name: {name}
"
    ))?;
    let error = refused(case.up(&project).await)?;
    assert!(error.to_string().contains(&name), "{error}");
    assert!(case.things_of(&project.name).await?.is_empty(), "it is known before anything is made");
    Ok(())
}

async fn a_missing_external_network_is_named(case: Case) -> Outcome {
    missing_external(&case, "networks", "networks: [theirs]").await
}

async fn a_missing_external_volume_is_named(case: Case) -> Outcome {
    missing_external(&case, "volumes", "volumes: ['theirs:/data']").await
}

async fn a_container_that_is_not_there_is_not_found(case: Case) -> Outcome {
    let name = format!("{}-nobody", case.name());
    let id = runtime_core::ContainerId(name.clone());
    let not_found = |error: Error| assert!(matches!(&error, Error::NotFound { .. }), "{error:?}");
    not_found(refused(case.engine().inspect(&name).await)?);
    not_found(refused(case.engine().start_container(&id).await)?);
    not_found(refused(case.engine().remove_container(&id, runtime_core::AnonymousVolumes::Keep).await)?);
    let network = runtime_core::ResourceName::network(name.clone())?;
    not_found(refused(case.engine().remove_network(&network).await)?);
    let volume = runtime_core::ResourceName::volume(name)?;
    not_found(refused(case.engine().remove_volume(&volume).await)?);
    Ok(())
}

async fn an_engine_that_is_not_there_is_not_reachable(case: Case) -> Outcome {
    let absent = case.backend().somewhere_else(&case.dir().join("nothing"))?;
    let project = case.project("services:\n  web:\n    image: localhost/longshore-fixture:1\n")?;
    let reason = match absent.availability().await {
        Availability::Unavailable(error) => error,
        other => return Err(format!("{other:?}").into()),
    };
    assert!(matches!(reason, Error::NotReachable { .. } | Error::NotInstalled { .. }), "{reason:?}");
    let error = refused(absent.up(&project, &UpOptions::default(), &Call::default()).await)?;
    assert_eq!(error.code(), reason.code());
    assert!(error.help().is_some());
    let error = refused(absent.list_running("").await)?;
    assert_eq!(error.code(), reason.code(), "a list that cannot be read is never an empty list");
    Ok(())
}

async fn a_program_that_is_no_engine_is_told(case: Case) -> Outcome {
    let program = case.dir().join("podman");
    for script in
        ["#!/bin/sh\necho hello\n", "#!/bin/sh\necho broken >&2\nexit 9\n", "#!/bin/sh\necho '{}'\n"]
    {
        fs::write(&program, script)?;
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755))?;
        let odd = case.backend().with_program(&program, std::time::Duration::from_secs(20))?;
        let error = refused(odd.ensure_ready(&Call::default()).await)?;
        assert!(
            matches!(error.code(), "not_installed" | "not_reachable" | "unexpected" | "command" | "too_old"),
            "{script:?}: {error:?}"
        );
        let error = refused(odd.list_running("").await)?;
        assert!(!error.to_string().is_empty(), "{script:?}");
    }
    Ok(())
}
