//! Who reaches whom.

use longshore_tests::{Case, Outcome, Seen, Suite, behaviours};
use runtime_core::ExecSpec;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        a_service_is_found_by_its_name,
        a_service_is_found_by_an_alias,
        a_container_is_found_by_its_name,
        a_recreated_service_is_found_again,
        a_service_on_two_networks_is_found_on_both,
        a_service_on_another_network_is_not_found,
        networks_have_their_names,
        without_a_network_nobody_is_found,
        a_network_is_shared_with_another_service,
        who_shares_a_network_is_recreated_with_its_owner,
        the_network_of_the_host_is_shared,
        the_network_of_the_highest_priority_is_the_first,
    );
}

const SERVER: &str = "
services:
  server:
    image: localhost/longshore-fixture:1
    command: [serve, --body, hello]
    healthcheck: {test: [CMD, /fixture, health], interval: 200ms, timeout: 5s, retries: 50}
";

/// A client that asks `host` once the server is healthy.
fn client(name: &str, host: &str, rest: &str) -> String {
    format!(
        "
  {name}:
    image: localhost/longshore-fixture:1
    command: [fetch, 'http://{host}:8080/', --retry, '20']
    depends_on:
      server: {{condition: service_healthy}}
{rest}
"
    )
}

async fn a_service_is_found_by_its_name(case: Case) -> Outcome {
    let project = case.project(&format!("{SERVER}{}", client("client", "server", "")))?;
    assert_eq!(case.run(&project, "client").await?, ["hello"]);
    Ok(())
}

async fn a_service_is_found_by_an_alias(case: Case) -> Outcome {
    let networks = "    networks:
      default:
        aliases: [friend, other-friend]
";
    let project = case.project(&format!("{SERVER}{networks}{}", client("client", "other-friend", "")))?;
    assert_eq!(case.run(&project, "client").await?, ["hello"]);
    Ok(())
}

async fn a_container_is_found_by_its_name(case: Case) -> Outcome {
    let fixed = format!("{}-fixed", case.name());
    let named = format!("{SERVER}    container_name: {fixed}\n");
    let project = case.project(&format!("{named}{}", client("client", &fixed, "")))?;
    assert_eq!(case.run(&project, "client").await?, ["hello"]);
    assert_eq!(case.container(&project, "server").await?.name, fixed);
    let other = case.project_named(
        "-b",
        &format!("{SERVER}{}", client("client", &format!("{}-b-server-1", case.name()), "")),
    )?;
    assert_eq!(case.run(&other, "client").await?, ["hello"]);
    Ok(())
}

async fn a_recreated_service_is_found_again(case: Case) -> Outcome {
    let first = case.project(&format!("{SERVER}{}", client("client", "server", "")))?;
    case.run(&first, "client").await?;
    let server = SERVER.replace("hello", "again");
    let name = format!("{}-server-1", case.name());
    let second = case.project(&format!("{server}{}", client("client", &name, "")))?;
    case.up(&second).await?;
    let lines = case.output(&second, "client").await?;
    assert_eq!(lines.last().map(String::as_str), Some("again"), "{lines:?}");
    Ok(())
}

const TWO_NETWORKS: &str = "
networks:
  left:
  right:
";

async fn a_service_on_two_networks_is_found_on_both(case: Case) -> Outcome {
    let server = format!("{SERVER}    networks: [left, right]\n");
    let left = client("lefty", "server", "    networks: [left]");
    let right = client("righty", "server", "    networks: [right]");
    let project = case.project(&format!("{server}{left}{right}{TWO_NETWORKS}"))?;
    case.up(&project).await?;
    for service in ["lefty", "righty"] {
        assert_eq!(case.output(&project, service).await?, ["hello"], "{service}");
    }
    assert_eq!(case.container(&project, "server").await?.networks.len(), 2);
    Ok(())
}

async fn a_service_on_another_network_is_not_found(case: Case) -> Outcome {
    let server = format!("{SERVER}    networks: [left]\n");
    let right = client("righty", "server", "    networks: [right]").replace("'20'", "'2'");
    let project = case.project(&format!("{server}{right}{TWO_NETWORKS}"))?;
    let lines = case.run(&project, "righty").await?;
    assert!(!lines.iter().any(|line| line == "hello"), "{lines:?}");
    assert_eq!(case.container(&project, "righty").await?.exit_code, Some(1));
    Ok(())
}

async fn networks_have_their_names(case: Case) -> Outcome {
    let name = case.name();
    let project = case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    networks: [front, back]
networks:
  front:
  back:
    name: {name}-named
"
    ))?;
    case.up(&project).await?;
    let web = case.container(&project, "web").await?;
    assert!(web.networks.contains(&format!("{name}_front")), "{:?}", web.networks);
    assert!(web.networks.contains(&format!("{name}-named")), "{:?}", web.networks);
    let things = case.things_of(&project.name).await?;
    assert!(!things.contains(&format!("network {name}_default")), "nobody uses it: {things:?}");
    case.wipe(&project.name).await
}

async fn without_a_network_nobody_is_found(case: Case) -> Outcome {
    let alone = client("client", "server", "    network_mode: none").replace("'20'", "'2'");
    let project = case.project(&format!("{SERVER}{alone}"))?;
    let lines = case.run(&project, "client").await?;
    assert!(!lines.iter().any(|line| line == "hello"), "{lines:?}");
    assert_eq!(case.container(&project, "client").await?.exit_code, Some(1));
    Ok(())
}

async fn a_network_is_shared_with_another_service(case: Case) -> Outcome {
    let beside = client("client", "127.0.0.1", "    network_mode: 'service:server'");
    let project = case.project(&format!("{SERVER}{beside}"))?;
    assert_eq!(case.run(&project, "client").await?, ["hello"]);
    Ok(())
}

async fn who_shares_a_network_is_recreated_with_its_owner(case: Case) -> Outcome {
    let text = |body: &str| {
        format!(
            "
services:
  owner:
    image: localhost/longshore-fixture:1
    command: [serve, --body, {body}]
  sidecar:
    image: localhost/longshore-fixture:1
    command: [sleep]
    network_mode: 'service:owner'
"
        )
    };
    case.up(&case.project(&text("first"))?).await?;
    let project = case.project(&text("second"))?;
    let before = case.ids(&project).await?;
    case.up(&project).await?;
    let after = case.ids(&project).await?;
    assert!(before.keys().eq(after.keys()) && before.iter().all(|(name, id)| after[name] != *id));
    let sidecar = case.container(&project, "sidecar").await?;
    let command = ["/fixture", "fetch", "http://127.0.0.1:8080/", "--retry", "50"];
    let output = case.engine().exec(&sidecar.id, &ExecSpec::new(command)).await?;
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "second");
    case.down(&project).await?;
    assert!(case.ps(&project).await?.is_empty());
    Ok(())
}

async fn the_network_of_the_highest_priority_is_the_first(case: Case) -> Outcome {
    let number = case.number();
    let project = case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    networks: {{a: {{priority: 1}}, b: {{priority: 7}}}}
networks: {{a: , b: {{ipam: {{config: [{{subnet: 10.199.{number}.0/24, gateway: 10.199.{number}.1}}]}}}}}}
"
    ))?;
    case.up(&project).await?;
    let web = case.container(&project, "web").await?;
    assert_eq!(web.networks.len(), 2);
    match case.mock() {
        Some(mock) => {
            let spec = mock.container_spec(&web.id.0).ok_or("it is not there")?;
            assert_eq!(spec.networks[0].network.as_str(), format!("{}_b", project.name));
        }
        None => {
            let web = case.container(&project, "web").await?;
            if let Seen::Json(seen) = case.inspected("container", &web.id.0).await?
                && seen["HostConfig"]["NetworkMode"] == format!("{}_b", project.name)
            {
                // Docker's word for it.
                return Ok(());
            }
            // The first network is that of the first interface.
            let command = ExecSpec::new(["/fixture", "read", "/proc/net/route"]);
            let output = case.engine().exec(&web.id, &command).await?;
            let routes = String::from_utf8_lossy(&output.stdout).into_owned();
            let subnet = format!("00{number:02X}C70A");
            let first =
                routes.lines().filter(|line| line.starts_with("eth0\t")).any(|line| line.contains(&subnet));
            assert!(first, "{routes}");
        }
    }
    Ok(())
}

async fn the_network_of_the_host_is_shared(case: Case) -> Outcome {
    let port = longshore_tests::free_port()?;
    let project = case.project(&format!(
        "
services:
  server:
    image: localhost/longshore-fixture:1
    command: [serve, --body, hello, --port, '{port}']
    network_mode: host
    healthcheck:
      test: [CMD, /fixture, health, --port, '{port}']
      interval: 200ms
  client:
    image: localhost/longshore-fixture:1
    command: [fetch, 'http://127.0.0.1:{port}/']
    network_mode: host
    depends_on:
      server:
        condition: service_healthy
"
    ))?;
    assert_eq!(case.run(&project, "client").await?, ["hello"]);
    assert!(case.things_of(&project.name).await?.iter().all(|thing| !thing.starts_with("network")));
    Ok(())
}
