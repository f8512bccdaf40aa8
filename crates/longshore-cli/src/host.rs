//! Addresses of engines, checked before anybody is asked at them.

use longshore::{Config, RuntimeChoice};

use crate::exit::Failure;

/// Refuses an address that the engine cannot be reached at, whatever is there.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let Some(host) = &config.host else { return Ok(()) };
    let (schemes, socket): (&[&str], _) = match config.runtime.unwrap_or_default() {
        RuntimeChoice::Mock => return Ok(()),
        RuntimeChoice::Podman => (&["unix", "tcp", "ssh"], "unix:///run/podman/podman.sock"),
        _ if cfg!(windows) => (&["npipe", "tcp", "http"], "npipe:////./pipe/docker_engine"),
        _ => (&["unix", "tcp", "http"], "unix:///var/run/docker.sock"),
    };
    let usable = host.split_once("://").is_some_and(|(scheme, rest)| {
        schemes.contains(&scheme) && if scheme == "unix" { rest.starts_with('/') } else { !rest.is_empty() }
    });
    if usable {
        return Ok(());
    }
    let expected: Vec<String> = schemes
        .iter()
        .map(|scheme| match *scheme {
            "unix" => "unix:///PATH".to_owned(),
            "npipe" => "npipe:////./pipe/NAME".to_owned(),
            scheme => format!("{scheme}://ADDRESS"),
        })
        .collect();
    let suggested = match host.trim_start_matches("unix:").trim_start_matches('/') {
        "" => socket.to_owned(),
        path if host.starts_with(['/', '.']) || host.starts_with("unix:") => format!("unix:///{path}"),
        address if !host.contains("://") && address.contains(':') => format!("tcp://{address}"),
        _ => socket.to_owned(),
    };
    Err(Failure::Usage(
        format!("{host:?} is no address of an engine: expected {}", expected.join(", ")),
        Some(format!("for example --host {suggested}")),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(runtime: RuntimeChoice, host: &str) -> Option<String> {
        let mut config = Config::default();
        config.runtime = Some(runtime);
        config.host = Some(host.to_owned());
        match check(&config) {
            Err(Failure::Usage(_, help)) => help,
            _ => None,
        }
    }

    #[cfg(unix)]
    #[test]
    fn what_is_no_address_is_told_with_one() {
        use RuntimeChoice::{Auto, Docker, Mock, Podman};
        for (runtime, host, help) in [
            (Docker, "/run/user/1/docker.sock", "for example --host unix:///run/user/1/docker.sock"),
            (Auto, "unix://run/docker.sock", "for example --host unix:///run/docker.sock"),
            (Auto, "bogus://x", "for example --host unix:///var/run/docker.sock"),
            (Docker, "", "for example --host unix:///var/run/docker.sock"),
            (Docker, "127.0.0.1:2375", "for example --host tcp://127.0.0.1:2375"),
            (Docker, "tcp://", "for example --host unix:///var/run/docker.sock"),
            (Docker, "ssh://me@there", "for example --host unix:///var/run/docker.sock"),
            (Podman, "http://x", "for example --host unix:///run/podman/podman.sock"),
        ] {
            assert_eq!(told(runtime, host).as_deref(), Some(help), "{host:?}");
        }
        for (runtime, host) in [
            (Auto, "unix:///x"),
            (Docker, "tcp://127.0.0.1:1"),
            (Docker, "http://x"),
            (Podman, "ssh://x"),
            (Mock, "x"),
        ] {
            assert_eq!(told(runtime, host), None, "{host:?}");
        }
    }
}
