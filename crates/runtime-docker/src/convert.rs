//! Docker's models and ours, each as the other. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bollard::{
    errors::Error as Bollard,
    models::{
        ContainerCreateBody, ContainerInspectResponse, ContainerSummary, EndpointIpamConfig,
        EndpointSettings, EventMessage, HealthConfig, HostConfig, Ipam, IpamConfig, Mount, MountBindOptions,
        MountImageOptions, MountTmpfsOptions, MountType, MountVolumeOptions, NetworkCreateRequest,
        NetworkingConfig, PortBinding, RestartPolicy as DockerRestart, RestartPolicyNameEnum,
        VolumeCreateRequest,
    },
};
use compose_file::{HealthTest, Healthcheck, NetworkMode, Protocol, Recursive, RestartPolicy};
use runtime_core::{
    Attachment, Container, ContainerId, ContainerSpec, ContainerState, EngineAction, EngineEvent, Health,
    HealthStatus, ImageId, MountSourceSpec, NetworkSpec, PublishedPort, VolumeSpec,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::confine::{self, INTERFACE_NAME};

fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// Whole seconds, rounded up: Docker takes no less.
pub(crate) fn whole_seconds(grace: Duration) -> i32 {
    i32::try_from(grace.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

pub(crate) fn endpoint(attachment: &Attachment) -> EndpointSettings {
    let fixed = attachment.ipv4_address.is_some()
        || attachment.ipv6_address.is_some()
        || !attachment.link_local_ips.is_empty();
    let mut driver_opts: HashMap<String, String> = attachment.driver_opts.clone().into_iter().collect();
    driver_opts
        .extend(attachment.interface_name.iter().map(|name| (INTERFACE_NAME.to_owned(), name.clone())));
    EndpointSettings {
        aliases: Some(attachment.aliases.clone()),
        mac_address: attachment.mac_address.clone(),
        gw_priority: (attachment.gw_priority != 0).then_some(attachment.gw_priority),
        driver_opts: (!driver_opts.is_empty()).then_some(driver_opts),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.map(|address| address.to_string()),
            ipv6_address: attachment.ipv6_address.map(|address| address.to_string()),
            link_local_ips: (!attachment.link_local_ips.is_empty())
                .then(|| attachment.link_local_ips.clone()),
        }),
        ..EndpointSettings::default()
    }
}

fn health(check: &Healthcheck) -> HealthConfig {
    let test = check.test.as_ref().map(|test| match test {
        HealthTest::None => vec!["NONE".to_owned()],
        HealthTest::Exec(words) => std::iter::once("CMD".to_owned()).chain(words.iter().cloned()).collect(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    });
    HealthConfig {
        test,
        interval: check.interval.map(nanos),
        timeout: check.timeout.map(nanos),
        retries: check.retries.map(i64::from),
        start_period: check.start_period.map(nanos),
        start_interval: check.start_interval.map(nanos),
    }
}

/// What a container is created from, on the first of its networks; API 1.41 takes one. `security_opt` is as Docker takes it.
pub(crate) fn body(spec: &ContainerSpec, security_opt: &[String]) -> ContainerCreateBody {
    let mut bindings: HashMap<String, Option<Vec<PortBinding>>> = HashMap::new();
    for port in &spec.ports {
        let host_port = port.published.map(|host| host.to_string());
        let binding = PortBinding { host_ip: port.host_ip.map(|ip| ip.to_string()), host_port };
        let key = format!("{}/{}", port.target, port.protocol.as_str());
        bindings.entry(key).or_default().get_or_insert_default().push(binding);
    }
    let network_mode = match &spec.network_mode {
        Some(NetworkMode::Host) => Some("host".to_owned()),
        Some(NetworkMode::None) => Some("none".to_owned()),
        Some(NetworkMode::Container(other)) => Some(format!("container:{other}")),
        Some(NetworkMode::Other(name)) => Some(name.clone()),
        _ => spec.networks.first().map(|attachment| attachment.network.to_string()),
    };
    // Docker knows links of a container on each network by itself.
    let links: Vec<String> =
        spec.external_links.iter().map(|link| format!("{}:{}", link.container, link.alias)).collect();
    let mut exposed: BTreeSet<String> = bindings.keys().cloned().collect();
    exposed.extend(spec.expose.iter().map(|port| match port.split_once('/') {
        Some(_) => port.clone(),
        None => format!("{port}/tcp"),
    }));
    let networking = spec.networks.first().map(|attachment| NetworkingConfig {
        endpoints_config: Some(HashMap::from([(
            attachment.network.to_string(),
            EndpointSettings { links: (!links.is_empty()).then_some(links), ..endpoint(attachment) },
        )])),
    });
    let (binds, mounts, tmpfs) = mounts(spec);
    let mut host = HostConfig {
        auto_remove: spec.auto_remove.then_some(true),
        binds: Some(binds),
        mounts: Some(mounts),
        tmpfs: Some(tmpfs),
        network_mode,
        restart_policy: Some(restart(spec.restart)),
        init: spec.init,
        readonly_rootfs: Some(spec.read_only),
        privileged: Some(spec.privileged),
        cap_add: Some(spec.cap_add.clone()),
        cap_drop: Some(spec.cap_drop.clone()),
        extra_hosts: Some(
            spec.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect(),
        ),
        port_bindings: Some(bindings),
        ..HostConfig::default()
    };
    confine::fill(spec, security_opt, &mut host);
    ContainerCreateBody {
        hostname: spec.hostname.clone(),
        domainname: spec.domainname.clone(),
        user: spec.user.clone(),
        exposed_ports: Some(exposed.into_iter().collect()),
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        stdin_once: spec.stdin_once.then_some(true),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        cmd: spec.command.clone(),
        healthcheck: spec.healthcheck.as_ref().map(health),
        image: Some(spec.image.clone()),
        working_dir: spec.working_dir.clone(),
        // An empty list is taken as "not given"; one empty word clears the image's.
        entrypoint: spec
            .entrypoint
            .clone()
            .map(|words| if words.is_empty() { vec![String::new()] } else { words }),
        labels: Some(spec.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: spec.stop_grace_period.map(|grace| i64::from(whole_seconds(grace))),
        host_config: Some(host),
        networking_config: networking,
        ..ContainerCreateBody::default()
    }
}

fn mounts(spec: &ContainerSpec) -> (Vec<String>, Vec<Mount>, HashMap<String, String>) {
    let (mut binds, mut mounts, mut tmpfs) = (Vec::new(), Vec::new(), HashMap::new());
    for mount in &spec.mounts {
        let mut out = Mount {
            target: Some(mount.target.clone()),
            read_only: Some(mount.read_only),
            ..Mount::default()
        };
        match &mount.source {
            MountSourceSpec::Volume { name, nocopy, subpath, labels } => {
                out.typ = Some(MountType::VOLUME);
                out.source = Some(name.to_string());
                out.volume_options =
                    (*nocopy || subpath.is_some() || !labels.is_empty()).then(|| MountVolumeOptions {
                        no_copy: nocopy.then_some(true),
                        subpath: subpath.clone(),
                        labels: (!labels.is_empty()).then(|| labels.clone().into_iter().collect()),
                        ..MountVolumeOptions::default()
                    });
            }
            MountSourceSpec::Image { image, subpath } => {
                out.typ = Some(MountType::IMAGE);
                out.source = Some(image.clone());
                out.image_options = subpath.is_some().then(|| MountImageOptions { subpath: subpath.clone() });
            }
            MountSourceSpec::NamedPipe { path } => {
                out.typ = Some(MountType::NPIPE);
                out.source = Some(path.clone());
            }
            // Only the text form knows SELinux's relabelling.
            MountSourceSpec::Bind { path, propagation, selinux: Some(label), .. } => {
                let mut options =
                    vec![label.to_string(), if mount.read_only { "ro" } else { "rw" }.to_owned()];
                options.extend(propagation.clone());
                binds.push(format!("{}:{}:{}", path.display(), mount.target, options.join(",")));
                continue;
            }
            MountSourceSpec::Bind { path, propagation, selinux: None, recursive } => {
                out.typ = Some(MountType::BIND);
                out.source = Some(path.display().to_string());
                let is = |word| (*recursive == Some(word)).then_some(true);
                out.bind_options = (propagation.is_some() || recursive.is_some()).then(|| MountBindOptions {
                    propagation: propagation.as_ref().and_then(|word| word.parse().ok()),
                    non_recursive: is(Recursive::Disabled),
                    read_only_non_recursive: is(Recursive::Writable),
                    read_only_force_recursive: is(Recursive::Readonly),
                    ..MountBindOptions::default()
                });
            }
            MountSourceSpec::Tmpfs { size: None, mode: None } => {
                tmpfs.insert(mount.target.clone(), if mount.read_only { "ro" } else { "" }.to_owned());
                continue;
            }
            MountSourceSpec::Tmpfs { size, mode } => {
                out.typ = Some(MountType::TMPFS);
                out.tmpfs_options = Some(MountTmpfsOptions {
                    size_bytes: size.and_then(|size| i64::try_from(size).ok()),
                    mode: mode.map(i64::from),
                    ..MountTmpfsOptions::default()
                });
            }
            _ => out.typ = Some(MountType::VOLUME),
        }
        mounts.push(out);
    }
    (binds, mounts, tmpfs)
}

fn restart(policy: RestartPolicy) -> DockerRestart {
    let (name, times) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartPolicy::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, times.map(i64::from)),
    };
    DockerRestart { name: Some(name), maximum_retry_count: times }
}

pub(crate) fn network(spec: &NetworkSpec) -> NetworkCreateRequest {
    let pool = |pool: &compose_file::IpamPool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: (!pool.aux_addresses.is_empty())
            .then(|| pool.aux_addresses.clone().into_iter().collect()),
    };
    let has_ipam = !spec.ipam.is_empty() || spec.ipam_driver.is_some() || !spec.ipam_options.is_empty();
    NetworkCreateRequest {
        name: spec.name.to_string(),
        driver: Some(spec.driver.clone().unwrap_or_else(|| "bridge".into())),
        internal: Some(spec.internal),
        enable_ipv6: spec.enable_ipv6.then_some(true),
        attachable: spec.attachable.then_some(true),
        enable_ipv4: spec.enable_ipv4,
        ipam: has_ipam.then(|| Ipam {
            driver: spec.ipam_driver.clone(),
            config: (!spec.ipam.is_empty()).then(|| spec.ipam.iter().map(pool).collect()),
            options: (!spec.ipam_options.is_empty()).then(|| spec.ipam_options.clone().into_iter().collect()),
        }),
        options: Some(spec.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..NetworkCreateRequest::default()
    }
}

pub(crate) fn volume(spec: &VolumeSpec) -> VolumeCreateRequest {
    VolumeCreateRequest {
        name: Some(spec.name.to_string()),
        driver: spec.driver.clone(),
        driver_opts: Some(spec.driver_opts.clone().into_iter().collect()),
        labels: Some(spec.labels.clone().into_iter().collect()),
        ..VolumeCreateRequest::default()
    }
}

/// A time; none for the year 1, by which engines mean never.
pub(crate) fn time(text: &str) -> Option<SystemTime> {
    let parsed = time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    (parsed.year() > 1970).then(|| parsed.into())
}

fn protocol(word: Option<&str>) -> Protocol {
    match word {
        Some("udp") => Protocol::Udp,
        Some("sctp") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}

/// An inspected container. `Err` quotes what cannot be read.
pub(crate) fn inspected(from: ContainerInspectResponse) -> Result<Container, String> {
    let state = from.state.ok_or("no State")?;
    let status = state.status.ok_or("no State.Status")?.to_string();
    let known = ContainerState::parse(&status).ok_or_else(|| format!("the state {status:?}"))?;
    let config = from.config.ok_or("no Config")?;
    let id = ContainerId(from.id.ok_or("no Id")?);
    let name = from.name.ok_or("no Name")?.trim_start_matches('/').to_owned();
    let mut container = Container::new(id, name, config.image.unwrap_or_default(), known);
    container.image_id = from.image.as_deref().filter(|id| !id.is_empty()).map(ImageId::new);
    container.tty = config.tty.unwrap_or_default();
    container.labels = config.labels.unwrap_or_default().into_iter().collect();
    container.exit_code =
        state.exit_code.filter(|_| matches!(known, ContainerState::Exited | ContainerState::Dead));
    container.health = state.health.and_then(|health| {
        let status = HealthStatus::parse(health.status?.as_ref())?;
        let log = health.log.unwrap_or_default().into_iter().filter_map(|entry| entry.output);
        Some(Health { status, log: log.map(|text| text.trim_end().to_owned()).collect() })
    });
    let settings = from.network_settings.unwrap_or_default();
    for (key, bindings) in settings.ports.unwrap_or_default() {
        let (port, word) = key.split_once('/').unwrap_or((&key, "tcp"));
        let target = port.parse().map_err(|_| format!("the port {key:?}"))?;
        for binding in bindings.into_iter().flatten() {
            container.ports.push(PublishedPort {
                target,
                published: binding.host_port.and_then(|port| port.parse().ok()).unwrap_or(0),
                host_ip: binding.host_ip.and_then(|ip| ip.parse().ok()),
                protocol: protocol(Some(word)),
            });
        }
    }
    container.ports.sort();
    container.networks = settings.networks.unwrap_or_default().into_keys().collect();
    let volumes =
        from.mounts.unwrap_or_default().into_iter().filter(|mount| mount.typ.as_deref() == Some("volume"));
    let named = |mount: bollard::models::MountPoint| Some((mount.destination?, mount.name?));
    container.volumes = Some(volumes.filter_map(named).collect::<BTreeMap<_, _>>());
    container.started = state.started_at.as_deref().and_then(time);
    container.finished = state.finished_at.as_deref().and_then(time);
    container.created = from.created.map(|date| date.to_string()).as_deref().and_then(time);
    Ok(container)
}

/// A container as a list has it.
pub(crate) fn listed(from: ContainerSummary) -> Result<Container, String> {
    let state = from.state.ok_or("no State")?.to_string();
    let known = ContainerState::parse(&state).ok_or_else(|| format!("the state {state:?}"))?;
    let id = ContainerId(from.id.ok_or("no Id")?);
    // It has the names too by which it is known to containers that are linked with it: those have two slashes.
    let names = from.names.unwrap_or_default();
    let own = names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
    let name = own.ok_or("no name in Names")?;
    let mut container = Container::new(id, name, from.image.unwrap_or_default(), known);
    container.image_id = from.image_id.as_deref().filter(|id| !id.is_empty()).map(ImageId::new);
    container.labels = labels(from.labels);
    let networks = from.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
    container.networks = networks.into_keys().collect();
    let created = from.created.and_then(|seconds| u64::try_from(seconds).ok());
    container.created = created.map(|seconds| UNIX_EPOCH + Duration::from_secs(seconds));
    Ok(container)
}

pub(crate) fn labels(map: Option<HashMap<String, String>>) -> BTreeMap<String, String> {
    map.unwrap_or_default().into_iter().collect()
}

/// Reads again what could not be read because it says `stopped`, which Podman calls a container that has ended and is
/// being cleaned up. Docker has no such state, and its model no such word.
pub(crate) fn as_docker_says<T: DeserializeOwned>(answer: Result<T, Bollard>) -> Result<T, Bollard> {
    let Err(Bollard::JsonDataError { contents, .. }) = &answer else { return answer };
    let Ok(mut value) = serde_json::from_str::<Value>(contents) else { return answer };
    stopped_to_exited(&mut value);
    serde_json::from_value(value).or(answer)
}

fn stopped_to_exited(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(stopped_to_exited),
        Value::Object(fields) => {
            for key in ["State", "Status"] {
                match fields.get_mut(key) {
                    Some(Value::String(state)) if state == "stopped" => *state = "exited".to_owned(),
                    Some(inner @ Value::Object(_)) => stopped_to_exited(inner),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

/// An event of a container.
pub(crate) fn event(told: EventMessage) -> EngineEvent {
    let actor = told.actor.unwrap_or_default();
    let id = ContainerId(actor.id.unwrap_or_default());
    let mut event = EngineEvent::new(id, told.action.as_deref().unwrap_or_default());
    let at = told.time_nano.and_then(|at| u64::try_from(at).ok());
    event.at = at.map(|at| SystemTime::UNIX_EPOCH + Duration::from_nanos(at));
    event.attributes = labels(actor.attributes);
    // Podman's service has another name for it, and tells it of everything.
    if let Some(exit_code) = event.attributes.remove("containerExitCode")
        && event.action == EngineAction::Died
    {
        event.attributes.insert("exitCode".to_owned(), exit_code);
    }
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ContainerSummary;
    use compose_file::{HostPort, Port};
    use runtime_core::ContainerName;

    #[test]
    fn podmans_stopped_is_dockers_exited() {
        let unread = |contents: &str| Bollard::JsonDataError {
            message: "unknown variant".into(),
            contents: contents.to_owned(),
            column: 1,
        };
        let listed: Result<Vec<ContainerSummary>, _> =
            as_docker_says(Err(unread(r#"[{"Id":"a","State":"stopped","Labels":{"State":"stopped"}}]"#)));
        let listed = listed.unwrap();
        assert_eq!(listed[0].id.as_deref(), Some("a"));
        assert_eq!(listed[0].labels.as_ref().unwrap()["State"], "stopped", "only the state is read so");
        let inspected: Result<ContainerInspectResponse, _> =
            as_docker_says(Err(unread(r#"{"Id":"a","State":{"Status":"stopped","ExitCode":3}}"#)));
        assert_eq!(inspected.unwrap().state.unwrap().exit_code, Some(3));
        let other: Result<Vec<ContainerSummary>, _> = as_docker_says(Err(unread(r#"[{"State":"asleep"}]"#)));
        assert!(matches!(other, Err(Bollard::JsonDataError { .. })));
    }

    #[test]
    fn a_container_as_a_request() {
        let mut spec = ContainerSpec::new(ContainerName::new("p-a-1").unwrap(), "app");
        let mut port = Port::new(80, Protocol::Udp);
        port.published = HostPort::new(8080, 8081);
        spec.ports = vec![port];
        spec.entrypoint = Some(vec![]);
        spec.stop_grace_period = Some(Duration::from_millis(1500));
        let body = body(&spec, &[]);
        assert_eq!(body.stop_timeout, Some(2));
        assert_eq!(body.entrypoint, Some(vec![String::new()]));
        let host = body.host_config.unwrap();
        let bindings = host.port_bindings.unwrap();
        assert_eq!(bindings["80/udp"].as_ref().unwrap()[0].host_port.as_deref(), Some("8080-8081"));
    }
}
