//! What a container is made from, as Podman's own API takes it: a `SpecGenerator` for `libpod/containers/create`. Pure.
//!
//! Docker's API of the same service (4.3) drops parts of what it is told in silence, the words of a health check and `nocopy` among
//! them. Here only what most containers have is said; one that has anything else is made by a command, which can say all.

use std::time::Duration;

use compose_file::{HealthTest, Healthcheck, HostPort, NetworkMode, RestartPolicy};
use runtime_core::{Attachment, ContainerSpec, MountSourceSpec, MountSpec};
use serde_json::{Map, Value, json};

use crate::create::interfaces;

/// What Podman's command takes where a health check does not say it.
const INTERVAL: Duration = Duration::from_secs(30);
const TIMEOUT: Duration = Duration::from_secs(30);
const RETRIES: u32 = 3;

/// The request but for its image; `None` where a command has to say it.
pub(crate) fn container(spec: &ContainerSpec) -> Option<Map<String, Value>> {
    if *spec != what_can_be_said(spec) {
        return None;
    }
    let mut body = Map::new();
    let mut say = |key: &str, value: Option<Value>| {
        body.extend(value.map(|value| (key.to_owned(), value)));
    };
    let on = |is: bool| is.then_some(Value::Bool(true));
    say("name", Some(json!(spec.name.as_str())));
    // Podman's own word for none.
    say(
        "entrypoint",
        spec.entrypoint.as_ref().map(|words| if words.is_empty() { json!([""]) } else { json!(words) }),
    );
    say("command", spec.command.as_ref().filter(|words| !words.is_empty()).map(|words| json!(words)));
    say("env", Some(json!(spec.environment)));
    say("labels", Some(json!(spec.labels)));
    say("portmappings", Some(ports(spec)?));
    let mut mounts = Mounts::default();
    for mount in &spec.mounts {
        mounts.add(mount)?;
    }
    say("volumes", Some(json!(mounts.volumes)));
    say("mounts", Some(json!(mounts.others)));
    say("netns", Some(namespace(spec)?));
    let networks: Option<Map<String, Value>> = (spec.networks.iter().zip(interfaces(&spec.networks)))
        .map(|(one, interface)| Some((one.network.to_string(), network(one, interface)?)))
        .collect();
    say("Networks", Some(Value::Object(networks?)));
    say("healthconfig", spec.healthcheck.as_ref().map(health).map_or(Some(None), |said| said.map(Some))?);
    let (restart, times) = match spec.restart {
        RestartPolicy::No => (None, None),
        RestartPolicy::Always => (Some("always"), None),
        RestartPolicy::UnlessStopped => (Some("unless-stopped"), None),
        RestartPolicy::OnFailure(times) => (Some("on-failure"), times),
    };
    say("restart_policy", restart.map(Value::from));
    say("restart_tries", times.map(Value::from));
    let grace = spec.stop_grace_period.map(|grace| grace.as_millis().div_ceil(1000));
    say("stop_timeout", grace.map(|seconds| json!(seconds)));
    say("hostname", spec.hostname.clone().map(Value::from));
    say("work_dir", spec.working_dir.clone().map(Value::from));
    say("user", spec.user.clone().map(Value::from));
    say("read_only_filesystem", on(spec.read_only));
    say("terminal", on(spec.tty));
    say("stdin", on(spec.stdin_open));
    say("privileged", on(spec.privileged));
    say("remove", on(spec.auto_remove));
    say("cap_add", Some(json!(spec.cap_add)));
    say("cap_drop", Some(json!(spec.cap_drop)));
    let hosts: Vec<String> =
        spec.extra_hosts.iter().map(|(host, address)| format!("{host}:{address}")).collect();
    say("hostadd", Some(json!(hosts)));
    // What the command says where nobody says otherwise.
    say("httpproxy", on(true));
    say("systemd", Some(json!("true")));
    say("sdnotifyMode", Some(json!("container")));
    Some(body)
}

/// The same specification without what is not said here. What is added to specifications is for the command, until it is added here.
fn what_can_be_said(spec: &ContainerSpec) -> ContainerSpec {
    let all = spec.clone();
    let mut said = ContainerSpec::new(all.name, all.image);
    said.entrypoint = all.entrypoint;
    said.command = all.command;
    said.environment = all.environment;
    said.labels = all.labels;
    said.ports = all.ports;
    said.mounts = all.mounts;
    said.networks = all.networks;
    said.network_mode = all.network_mode;
    said.healthcheck = all.healthcheck;
    said.restart = all.restart;
    said.stop_grace_period = all.stop_grace_period;
    said.hostname = all.hostname;
    said.working_dir = all.working_dir;
    said.user = all.user;
    // The engine's default is without one.
    said.init = all.init.filter(|is_wanted| !is_wanted);
    said.read_only = all.read_only;
    said.tty = all.tty;
    said.stdin_open = all.stdin_open;
    said.privileged = all.privileged;
    said.cap_add = all.cap_add;
    said.cap_drop = all.cap_drop;
    said.extra_hosts = all.extra_hosts;
    said.auto_remove = all.auto_remove;
    // Podman has neither, and both ways leave it out.
    said.stdin_once = all.stdin_once;
    said.external_links = all.external_links;
    said
}

fn ports(spec: &ContainerSpec) -> Option<Value> {
    let port = |port: &compose_file::Port| {
        let host = match port.published {
            None => 0,
            Some(host) => HostPort::only(host)?,
        };
        let address = port.host_ip.map(|address| address.to_string()).unwrap_or_default();
        Some(json!({ "host_ip": address, "host_port": host, "container_port": port.target,
            "protocol": port.protocol.as_str() }))
    };
    spec.ports.iter().map(port).collect()
}

#[derive(Default)]
struct Mounts {
    volumes: Vec<Value>,
    others: Vec<Value>,
}

impl Mounts {
    fn add(&mut self, mount: &MountSpec) -> Option<()> {
        let target = &mount.target;
        let mut options: Vec<String> = Vec::new();
        if mount.read_only {
            options.push("ro".into());
        }
        match &mount.source {
            MountSourceSpec::Volume { name, nocopy, subpath: None, .. } => {
                if *nocopy {
                    options.push("nocopy".into());
                }
                self.volumes.push(json!({ "Name": name.as_str(), "Dest": target, "Options": options }));
            }
            MountSourceSpec::Bind { path, propagation: None, selinux: None, recursive: None } => {
                options.push("rbind".into());
                self.others.push(json!({ "type": "bind", "source": path.to_str()?, "destination": target,
                    "options": options }));
            }
            MountSourceSpec::Tmpfs { size, mode } => {
                options.extend(size.map(|size| format!("size={size}")));
                options.extend(mode.map(|mode| format!("mode={mode:o}")));
                self.others.push(json!({ "type": "tmpfs", "source": "tmpfs", "destination": target,
                    "options": options }));
            }
            _ => return None,
        }
        Some(())
    }
}

fn namespace(spec: &ContainerSpec) -> Option<Value> {
    match &spec.network_mode {
        None if !spec.networks.is_empty() => Some(json!({ "nsmode": "bridge" })),
        Some(NetworkMode::Host) => Some(json!({ "nsmode": "host" })),
        Some(NetworkMode::None) => Some(json!({ "nsmode": "none" })),
        Some(NetworkMode::Container(other)) => Some(json!({ "nsmode": "container", "value": other })),
        _ => None,
    }
}

fn network(one: &Attachment, interface: Option<String>) -> Option<Value> {
    let mut plain = Attachment::new(one.network.clone());
    (plain.aliases, plain.interface_name) = (one.aliases.clone(), one.interface_name.clone());
    (plain.ipv4_address, plain.ipv6_address) = (one.ipv4_address, one.ipv6_address);
    let mut addresses: Vec<String> = one.ipv4_address.iter().map(ToString::to_string).collect();
    addresses.extend(one.ipv6_address.iter().map(ToString::to_string));
    let mut said = json!({ "aliases": one.aliases, "static_ips": addresses });
    if let Some(name) = interface {
        said["interface_name"] = name.into();
    }
    (plain == *one).then_some(said)
}

fn health(check: &Healthcheck) -> Option<Value> {
    let words = match check.test.as_ref()? {
        HealthTest::None => return Some(json!({ "Test": ["NONE"] })),
        HealthTest::Exec(words) => [&["CMD".to_owned()], &words[..]].concat(),
        HealthTest::Shell(line) => vec!["CMD-SHELL".to_owned(), line.clone()],
    };
    let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).ok();
    Some(json!({
        "Test": words,
        "Interval": nanoseconds(check.interval.unwrap_or(INTERVAL))?,
        "Timeout": nanoseconds(check.timeout.unwrap_or(TIMEOUT))?,
        "StartPeriod": nanoseconds(check.start_period.unwrap_or_default())?,
        "Retries": check.retries.unwrap_or(RETRIES),
    }))
}

#[cfg(test)]
mod tests {
    use runtime_core::{ContainerName, ResourceName};

    use super::*;

    fn spec() -> ContainerSpec {
        let mut spec = ContainerSpec::new(ContainerName::new("p-web-1").unwrap(), "web:1");
        spec.networks = vec![Attachment::new(ResourceName::network("p_default").unwrap())];
        spec
    }

    #[test]
    fn what_most_containers_have_is_said() {
        let mut spec = spec();
        spec.environment.insert("A".into(), "1".into());
        spec.entrypoint = Some(Vec::new());
        spec.restart = RestartPolicy::OnFailure(Some(2));
        spec.stop_grace_period = Some(Duration::from_millis(1500));
        spec.networks[0].aliases = vec!["web".into()];
        spec.networks[0].ipv4_address = Some([10, 0, 0, 9].into());
        spec.networks.push(Attachment::new(ResourceName::network("p_back").unwrap()));
        spec.mounts = vec![
            MountSpec {
                source: MountSourceSpec::Volume {
                    name: ResourceName::volume("data").unwrap(),
                    nocopy: true,
                    subpath: None,
                    labels: Default::default(),
                },
                target: "/data".into(),
                read_only: true,
            },
            MountSpec {
                source: MountSourceSpec::Tmpfs { size: Some(64), mode: Some(0o1777) },
                target: "/t".into(),
                read_only: false,
            },
        ];
        let mut check = Healthcheck::default();
        check.test = Some(HealthTest::Exec(vec!["true".into()]));
        check.interval = Some(Duration::from_secs(1));
        spec.healthcheck = Some(check);
        let said = Value::Object(container(&spec).expect("it can be said"));
        insta::assert_snapshot!(serde_json::to_string_pretty(&said).unwrap());
    }

    #[test]
    fn what_is_rare_is_for_the_command() {
        let rare: [fn(&mut ContainerSpec); 6] = [
            |spec| spec.resources.memory = Some(1),
            |spec| spec.init = Some(true),
            |spec| spec.networks[0].mac_address = Some("02:00:00:00:00:01".into()),
            |spec| spec.networks.clear(),
            |spec| spec.security_opt = vec!["label=disable".into()],
            |spec| spec.healthcheck = Some(Healthcheck::default()),
        ];
        for make_rare in rare {
            let mut spec = spec();
            assert!(container(&spec).is_some());
            make_rare(&mut spec);
            assert!(container(&spec).is_none(), "{spec:?}");
        }
    }
}
