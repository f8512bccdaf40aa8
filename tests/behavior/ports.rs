//! Ports of the host.

use std::net::TcpListener;

use compose_file::Protocol;
use longshore_tests::{Backend, Case, Failed, Outcome, Suite, behaviours, free_port, refused};
use runtime_core::{ContainerState, Error};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_port_that_the_engine_chose_answers,
        a_fixed_port_answers,
        each_replica_has_a_port_of_its_own,
        a_stopped_container_does_not_answer,
        several_ports_and_udp_are_listed,
        replicas_share_a_range,
        two_services_with_one_port_do_not_load,
        a_port_of_another_container_is_in_use,
        a_replaced_service_hands_its_port_on,
    );
    behaviours!(suite, if Backend::is_real; a_port_of_another_program_is_in_use);
}

fn server(published: &str, rest: &str) -> String {
    format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [serve, --body, hello]
    ports: ['127.0.0.1:{published}:8080']
    healthcheck: {{test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}}
{rest}
"
    )
}

async fn a_port_that_the_engine_chose_answers(case: Case) -> Outcome {
    let project = case.project(&server("", ""))?;
    case.up_wait(&project).await?;
    let port = case.published(&case.container(&project, "web").await?, 8080)?;
    assert_eq!(case.get(port, "/").await?, "hello");
    assert_eq!(case.get(port, "/health").await?, "healthy");
    Ok(())
}

async fn a_fixed_port_answers(case: Case) -> Outcome {
    let port = free_port()?;
    let project = case.project(&server(&port.to_string(), ""))?;
    case.up_wait(&project).await?;
    assert_eq!(case.published(&case.container(&project, "web").await?, 8080)?, port);
    assert_eq!(case.get(port, "/").await?, "hello");
    Ok(())
}

async fn each_replica_has_a_port_of_its_own(case: Case) -> Outcome {
    let project = case.project(&server("", "    scale: 3"))?;
    case.up_wait(&project).await?;
    let mut ports = Vec::new();
    for container in case.ps(&project).await? {
        let port = case.published(&container, 8080)?;
        assert_eq!(case.get(port, "/").await?, "hello");
        ports.push(port);
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 3);
    Ok(())
}

async fn a_stopped_container_does_not_answer(case: Case) -> Outcome {
    let project = case.project(&server("", ""))?;
    case.up_wait(&project).await?;
    let port = case.published(&case.container(&project, "web").await?, 8080)?;
    case.stop(&project).await?;
    assert!(case.get(port, "/").await.is_err());
    Ok(())
}

async fn several_ports_and_udp_are_listed(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [serve]
    ports: ['127.0.0.1::8080', '127.0.0.1::9000', '127.0.0.1::53/udp']
",
    )?;
    case.up(&project).await?;
    let web = case.container(&project, "web").await?;
    let mut listed: Vec<(u16, Protocol)> =
        web.ports.iter().map(|port| (port.target, port.protocol)).collect();
    listed.sort_unstable();
    assert_eq!(listed, [(53, Protocol::Udp), (8080, Protocol::Tcp), (9000, Protocol::Tcp)]);
    assert!(web.ports.iter().all(|port| port.published != 0), "{:?}", web.ports);
    Ok(())
}

async fn replicas_share_a_range(case: Case) -> Outcome {
    let first = free_port()?.min(65_000);
    let range = format!("{first}-{}", first + 20);
    let project = case.project(&server(&range, "    scale: 2"))?;
    case.up_wait(&project).await?;
    let mut ports = Vec::new();
    for container in case.ps(&project).await? {
        let port = case.published(&container, 8080)?;
        assert!((first..=first + 20).contains(&port), "{port} is not in {range}");
        assert_eq!(case.get(port, "/").await?, "hello");
        ports.push(port);
    }
    assert_ne!(ports[0], ports[1]);
    Ok(())
}

async fn two_services_with_one_port_do_not_load(case: Case) -> Outcome {
    let port = free_port()?;
    let other = format!(
        "
  other:
    image: localhost/longshore-fixture:1
    command: [serve]
    ports: ['127.0.0.1:{port}:8080']
"
    );
    let error = refused(case.project(&server(&port.to_string(), &other)))?;
    assert!(error.message().contains(&port.to_string()), "{}", error.message());
    Ok(())
}

fn port_in_use(error: Error) -> Result<(String, String), Failed> {
    match error {
        Error::PortInUse { container, reason } => Ok((container, reason)),
        other => Err(format!("expected PortInUse, got {other:?}").into()),
    }
}

async fn a_port_of_another_container_is_in_use(case: Case) -> Outcome {
    let port = free_port()?;
    let first = case.project_named("-first", &server(&port.to_string(), ""))?;
    let second = case.project_named("-second", &server(&port.to_string(), ""))?;
    case.up_wait(&first).await?;
    let (container, _) = port_in_use(refused(case.up(&second).await)?)?;
    assert_eq!(container, format!("{}-second-web-1", case.name()));
    assert_ne!(case.container(&second, "web").await?.state, ContainerState::Running);
    assert_eq!(case.get(port, "/").await?, "hello");
    case.down(&first).await?;
    case.up_wait(&second).await?;
    assert_eq!(case.get(port, "/").await?, "hello");
    case.wipe(&second.name).await
}

async fn a_port_of_another_program_is_in_use(case: Case) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let port = listener.local_addr()?.port();
    let project = case.project(&server(&port.to_string(), ""))?;
    let (container, reason) = port_in_use(refused(case.up(&project).await)?)?;
    assert_eq!(container, format!("{}-web-1", case.name()));
    assert!(reason.contains(&port.to_string()), "{reason}");
    drop(listener);
    case.up_wait(&project).await?;
    assert_eq!(case.get(port, "/").await?, "hello");
    Ok(())
}

async fn a_replaced_service_hands_its_port_on(case: Case) -> Outcome {
    let port = free_port()?;
    let first = case.project(&server(&port.to_string(), ""))?;
    case.up_wait(&first).await?;
    let renamed = server(&port.to_string(), "").replace("  web:", "  site:").replace("hello", "moved");
    let second = case.project(&renamed)?;
    let take_over = longshore_tests::options(|o| {
        o.orphans = runtime_core::Orphans::Remove;
        o.wait = runtime_core::Wait::Healthy { timeout: None };
    });
    case.up_with(&second, &take_over).await?;
    assert_eq!(case.get(port, "/").await?, "moved");
    Ok(())
}
