//! What a container is made from, as podman's arguments. Pure.

use std::collections::BTreeMap;

use compose_file::{HealthTest, NetworkMode, Port, Recursive, RestartPolicy};
use runtime_core::{Attachment, ContainerSpec, MountSourceSpec, MountSpec, NetworkSpec, VolumeSpec};

use crate::{
    command::{Invocation, is_podmans_own},
    confine,
};

/// What becomes of a container that is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Then {
    /// It is there.
    Nothing,
    /// It runs.
    Start,
}

pub(crate) fn container(spec: &ContainerSpec, image: &str, then: Then) -> Invocation {
    let verb: &[&str] = match then {
        Then::Nothing => &["create"],
        Then::Start => &["run", "--detach"],
    };
    // The runtime is a word of podman itself.
    let mut command = Invocation::default()
        .args(spec.keeping.runtime.iter().map(|runtime| format!("--runtime={runtime}")))
        .args(verb.iter().copied())
        .args(["--pull=never", "--name", spec.name.as_str()]);
    for (key, value) in &spec.labels {
        command = command.args(["--label".to_owned(), format!("{key}={value}")]);
    }
    command = environment(command, &spec.environment);
    for port in &spec.ports {
        command = command.args(["--publish".to_owned(), publish(port)]);
    }
    for mount in &spec.mounts {
        command = command.args(mount_words(mount));
    }
    match &spec.network_mode {
        Some(NetworkMode::Host) => command = command.args(["--network=host"]),
        Some(NetworkMode::None) => command = command.args(["--network=none"]),
        Some(NetworkMode::Container(other)) => {
            command = command.args([format!("--network=container:{other}")])
        }
        Some(NetworkMode::Other(name)) => command = command.args([format!("--network={name}")]),
        _ => {}
    }
    for (network, interface) in spec.networks.iter().zip(interfaces(&spec.networks)) {
        let mut options: Vec<String> = network.aliases.iter().map(|alias| format!("alias={alias}")).collect();
        options.extend(network.ipv4_address.map(|address| format!("ip={address}")));
        options.extend(network.ipv6_address.map(|address| format!("ip6={address}")));
        options.extend(network.mac_address.iter().map(|address| format!("mac={address}")));
        options.extend(interface.map(|name| format!("interface_name={name}")));
        let separator = if options.is_empty() { "" } else { ":" };
        command = command.args([format!("--network={}{separator}{}", network.network, options.join(","))]);
    }
    command = health(spec, confine::words(spec, command));
    let restart = match spec.restart {
        RestartPolicy::No => None,
        RestartPolicy::Always => Some("always".to_owned()),
        RestartPolicy::UnlessStopped => Some("unless-stopped".to_owned()),
        RestartPolicy::OnFailure(None) => Some("on-failure".to_owned()),
        RestartPolicy::OnFailure(Some(times)) => Some(format!("on-failure:{times}")),
    };
    let stop_timeout = spec.stop_grace_period.map(|grace| grace.as_millis().div_ceil(1000).to_string());
    for (flag, value) in [
        ("--restart", restart.as_deref()),
        ("--stop-signal", spec.stop_signal.as_deref()),
        ("--stop-timeout", stop_timeout.as_deref()),
        ("--hostname", spec.hostname.as_deref()),
        ("--workdir", spec.working_dir.as_deref()),
        ("--user", spec.user.as_deref()),
    ] {
        if let Some(value) = value {
            command = command.args([format!("{flag}={value}")]);
        }
    }
    for (flag, on) in [
        ("--init", spec.init == Some(true)),
        ("--read-only", spec.read_only),
        ("--rm", spec.auto_remove),
        ("--tty", spec.tty),
        ("--interactive", spec.stdin_open),
        ("--privileged", spec.privileged),
    ] {
        if on {
            command = command.args([flag]);
        }
    }
    command = command.args(spec.cap_add.iter().map(|cap| format!("--cap-add={cap}")));
    command = command.args(spec.cap_drop.iter().map(|cap| format!("--cap-drop={cap}")));
    command =
        command.args(spec.extra_hosts.iter().map(|(host, address)| format!("--add-host={host}:{address}")));
    if let Some(words) = &spec.entrypoint {
        let text = if words.is_empty() { String::new() } else { serde_json::json!(words).to_string() };
        command = command.args([format!("--entrypoint={text}")]);
    }
    command.args(["--", image]).args(spec.command.iter().flatten().cloned())
}

/// What each network's interface is to be called, where it must be said. Podman keeps networks in no order
/// (containers/podman#12850), so that any of several would become `eth0`: those without a name get the first
/// that is free, in the order of the specification.
pub(crate) fn interfaces(networks: &[Attachment]) -> Vec<Option<String>> {
    let named = |name: &String| networks.iter().any(|one| one.interface_name.as_ref() == Some(name));
    let mut free = (0..).map(|number| format!("eth{number}")).filter(|name| !named(name));
    let mut next = || if networks.len() > 1 { free.next() } else { None };
    networks.iter().map(|network| network.interface_name.clone().or_else(&mut next)).collect()
}

/// Variables of a process in a container.
pub(crate) fn environment(mut command: Invocation, variables: &BTreeMap<String, String>) -> Invocation {
    for (key, value) in variables {
        command = command.args(["--env"]);
        // A name alone takes its value from podman's own environment: nothing stands in the process list.
        command = if is_podmans_own(key) {
            command.secret(key, value)
        } else {
            command.args([key]).env(key, value)
        };
    }
    command
}

fn publish(port: &Port) -> String {
    let address = match port.host_ip {
        None => String::new(),
        Some(std::net::IpAddr::V6(address)) => format!("[{address}]:"),
        Some(address) => format!("{address}:"),
    };
    let host = match port.published {
        None if address.is_empty() => String::new(),
        None => ":".to_owned(),
        Some(host) => format!("{host}:"),
    };
    format!("{address}{host}{}/{}", port.target, port.protocol.as_str())
}

fn mount_words(mount: &MountSpec) -> Vec<String> {
    let target = &mount.target;
    let mut options: Vec<String> = Vec::new();
    if mount.read_only {
        options.push("ro".into());
    }
    let source = match &mount.source {
        MountSourceSpec::Volume { name, nocopy, .. } => {
            if *nocopy {
                options.push("nocopy".into());
            }
            format!("{name}:")
        }
        MountSourceSpec::Bind { path, propagation, selinux, recursive } => {
            if *recursive == Some(Recursive::Disabled) {
                options.push("bind".into());
            }
            options.extend(propagation.clone());
            options.extend(selinux.map(String::from));
            format!("{}:", path.display())
        }
        MountSourceSpec::Tmpfs { size, mode } => {
            options.extend(size.map(|size| format!("size={size}")));
            options.extend(mode.map(|mode| format!("mode={mode:o}")));
            let separator = if options.is_empty() { "" } else { ":" };
            return vec!["--tmpfs".into(), format!("{target}{separator}{}", options.join(","))];
        }
        MountSourceSpec::Image { image, .. } => {
            // The image's files are read-only unless something else is said.
            let writable = if mount.read_only { "" } else { ",rw=true" };
            return vec![
                "--mount".into(),
                format!("type=image,source={image},destination={target}{writable}"),
            ];
        }
        _ => {
            let read_only = if mount.read_only { ",ro=true" } else { "" };
            return vec!["--mount".into(), format!("type=volume,destination={target}{read_only}")];
        }
    };
    let separator = if options.is_empty() { "" } else { ":" };
    vec!["--volume".into(), format!("{source}{target}{separator}{}", options.join(","))]
}

fn health(spec: &ContainerSpec, mut command: Invocation) -> Invocation {
    let Some(check) = &spec.healthcheck else { return command };
    match &check.test {
        Some(HealthTest::None) => return command.args(["--no-healthcheck"]),
        Some(HealthTest::Exec(words)) => {
            command = command.args([format!("--health-cmd={}", serde_json::json!(words))]);
        }
        Some(HealthTest::Shell(line)) => command = command.args([format!("--health-cmd={line}")]),
        None => {}
    }
    let seconds = |time: std::time::Duration| format!("{}ms", time.as_millis());
    for (flag, time) in [
        ("--health-interval", check.interval),
        ("--health-timeout", check.timeout),
        ("--health-start-period", check.start_period),
    ] {
        if let Some(time) = time {
            command = command.args([format!("{flag}={}", seconds(time))]);
        }
    }
    match check.retries {
        Some(retries) => command.args([format!("--health-retries={retries}")]),
        None => command,
    }
}

pub(crate) fn network(spec: &NetworkSpec) -> Invocation {
    let mut command = Invocation::new(["network", "create"]);
    for (key, value) in &spec.labels {
        command = command.args(["--label".to_owned(), format!("{key}={value}")]);
    }
    for (key, value) in &spec.driver_opts {
        // Docker's name for it.
        let key = if key == confine::DOCKERS_MTU { "mtu" } else { key };
        command = command.args(["--opt".to_owned(), format!("{key}={value}")]);
    }
    if let Some(driver) = &spec.driver {
        command = command.args([format!("--driver={driver}")]);
    }
    if spec.internal {
        command = command.args(["--internal"]);
    }
    if spec.enable_ipv6 {
        command = command.args(["--ipv6"]);
    }
    // Docker's word for its own.
    let ipam = spec.ipam_driver.iter().filter(|driver| *driver != "default");
    command = command.args(ipam.map(|driver| format!("--ipam-driver={driver}")));
    for pool in &spec.ipam {
        for (flag, value) in
            [("--subnet", &pool.subnet), ("--gateway", &pool.gateway), ("--ip-range", &pool.ip_range)]
        {
            command = command.args(value.iter().map(|value| format!("{flag}={value}")));
        }
    }
    command.args(["--", spec.name.as_str()])
}

pub(crate) fn volume(spec: &VolumeSpec) -> Invocation {
    let mut command = Invocation::new(["volume", "create"]);
    for (key, value) in &spec.labels {
        command = command.args(["--label".to_owned(), format!("{key}={value}")]);
    }
    for (key, value) in &spec.driver_opts {
        command = command.args(["--opt".to_owned(), format!("{key}={value}")]);
    }
    if let Some(driver) = &spec.driver {
        command = command.args([format!("--driver={driver}")]);
    }
    command.args(["--", spec.name.as_str()])
}

/// The names under which an image may be here, the one to pull first: `nginx` is `docker.io/library/nginx:latest`
/// as Docker has it, or one that was built here.
pub(crate) fn image_names(reference: &str) -> Vec<String> {
    if reference.starts_with("sha256:")
        || (reference.len() == 64 && reference.bytes().all(|b| b.is_ascii_hexdigit()))
    {
        return vec![reference.to_owned()];
    }
    let (name, digest) =
        reference.split_once('@').map_or((reference, None), |(name, digest)| (name, Some(digest)));
    let has_tag = name.rsplit('/').next().is_some_and(|last| last.contains(':'));
    let tail = match digest {
        Some(digest) => format!("@{digest}"),
        None if has_tag => String::new(),
        None => ":latest".to_owned(),
    };
    match name.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => vec![format!("{name}{tail}")],
        Some(_) => vec![format!("docker.io/{name}{tail}"), format!("localhost/{name}{tail}")],
        None => vec![format!("docker.io/library/{name}{tail}"), format!("localhost/{name}{tail}")],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use compose_file::{HostPort, Protocol};
    use runtime_core::{ContainerName, ResourceName};

    #[test]
    fn a_container_as_arguments() {
        let mut spec = ContainerSpec::new(ContainerName::new("p-a-1").unwrap(), "app");
        spec.environment = [("A", "x y"), ("PATH", "/bin")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
        let (mut web, mut names) = (Port::new(80, Protocol::Tcp), Port::new(53, Protocol::Udp));
        web.published = HostPort::new(8080, 8080);
        web.host_ip = Some("::1".parse().unwrap());
        names.host_ip = Some("127.0.0.1".parse().unwrap());
        spec.ports = vec![web, names];
        spec.networks = vec![Attachment {
            aliases: vec!["a".into(), "b".into()],
            ..Attachment::new(ResourceName::network("n").unwrap())
        }];
        spec.entrypoint = Some(vec![]);
        spec.command = Some(vec!["-x".into()]);
        let command = container(&spec, "docker.io/library/app:latest", Then::Nothing);
        let expected = "create --pull=never --name p-a-1 --env A --env PATH=/bin --publish [::1]:8080:80/tcp \
                        --publish 127.0.0.1::53/udp --network=n:alias=a,alias=b --entrypoint= -- docker.io/library/app:latest -x";
        assert_eq!(command.words().join(" "), expected);
        assert!(!format!("{:?}", command.words()).contains("x y"));
    }

    #[test]
    fn of_several_networks_the_first_is_the_first_interface() {
        let on = |name: Option<&str>| Attachment {
            interface_name: name.map(str::to_owned),
            ..Attachment::new(ResourceName::network("n").unwrap())
        };
        let said = |networks: &[Attachment]| {
            interfaces(networks).into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(said(&[on(None)]), "");
        assert_eq!(said(&[on(None), on(None)]), "eth0 eth1");
        assert_eq!(said(&[on(None), on(Some("eth0")), on(Some("in")), on(None)]), "eth1 eth0 in eth2");
    }

    #[test]
    fn names_of_images() {
        assert_eq!(image_names("nginx")[0], "docker.io/library/nginx:latest");
        assert_eq!(image_names("a/b:1"), ["docker.io/a/b:1", "localhost/a/b:1"]);
        assert_eq!(image_names("localhost:5000/a"), ["localhost:5000/a:latest"]);
        assert_eq!(image_names("ghcr.io/a/b@sha256:00"), ["ghcr.io/a/b@sha256:00"]);
    }
}
