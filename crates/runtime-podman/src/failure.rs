//! What podman said of a failure, as an error that a caller can act on. Pure.

use runtime_core::{Error, ResourceKind, RuntimeKind};

use crate::command::Finished;

/// What a command was about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) kind: ResourceKind,
    pub(crate) name: &'a str,
}

/// Reads the error of a command that failed.
pub(crate) fn explain(finished: &Finished, subject: Subject<'_>) -> Error {
    let Subject { kind, name } = subject;
    let name = name.to_owned();
    let text = finished.stderr.join("\n");
    let lower = text.to_lowercase();
    let has = |part: &str| lower.contains(part);
    // The line that says it: the last one that begins with "Error:", for hints come before it.
    let reason = || {
        let line =
            finished.stderr.iter().rev().find(|line| line.starts_with("Error:")).or(finished.stderr.last());
        line.map_or("no reason given".to_owned(), |line| line.trim_start_matches("Error: ").to_owned())
    };
    if has("cannot connect to podman") || has("unable to connect to podman") {
        return Error::NotReachable {
            engine: RuntimeKind::Podman,
            endpoint: "its connection".into(),
            reason: reason(),
        };
    }
    // Podman's last word begins with "Error:". Another program that is asked for its version has words of its own.
    let is_podmans = finished.stderr.iter().any(|line| line.starts_with("Error:"));
    let asked_version = finished.command.split(' ').any(|word| word == "version");
    if kind == ResourceKind::Machine && asked_version && finished.exit_code.is_some() && !is_podmans {
        let said = finished.stderr.first().map_or("nothing", String::as_str);
        let reason = format!("what it says to `version` is not podman's: {said}");
        return Error::NotInstalled { program: name, reason };
    }
    if has("address already in use")
        || has("port is already allocated")
        || has("ports are not available")
        || has("rootlessport") && has("in use")
    {
        return Error::PortInUse { container: name, reason: reason() };
    }
    if has("has dependent containers") {
        return Error::InUse { kind, name, reason: reason() };
    }
    // What already exists for a runtime is what a start that was killed has left.
    if has("is already in use") || has("already exists") && !has("oci runtime") {
        let by = reason()
            .split(" by ")
            .nth(1)
            .map(|by| by.split('.').next().unwrap_or(by).trim_matches('"').to_owned());
        return Error::NameInUse { name, by };
    }
    if has("no such container") || has("no container with name or id") || has("does not exist in database") {
        // Another one, when this one was to share its network.
        let name = named(&reason()).map_or(name, str::to_owned);
        return Error::NotFound { kind: ResourceKind::Container, name };
    }
    if has("network not found") || has("unable to find network") {
        let other = named(&reason()).filter(|_| kind != ResourceKind::Network).map(str::to_owned);
        return Error::NotFound { kind: ResourceKind::Network, name: other.unwrap_or(name) };
    }
    if kind == ResourceKind::Volume && (has("no such volume") || has("no volume with name")) {
        return Error::NotFound { kind, name };
    }
    if has("has associated containers")
        || kind == ResourceKind::Image && has("image is in use by a container")
        || has("is being used")
        || has("network is being used")
        || has("volume is being used")
    {
        return Error::InUse { kind, name, reason: reason() };
    }
    if kind == ResourceKind::Image
        || has("image not known")
        || has("short-name resolution")
        || has("no such image")
    {
        return Error::Image { image: name, reason: reason() };
    }
    if has("permission denied") && kind != ResourceKind::Container {
        return Error::NotPermitted { what: name, reason: reason() };
    }
    Error::Command(finished.failure())
}

/// Whether a command failed because a container that it names has gone.
pub(crate) fn is_gone(finished: &Finished) -> bool {
    finished.stderr.iter().any(|line| line.to_lowercase().contains("no such container"))
}

/// Whether a command that only looks failed for the moment in which it looked.
pub(crate) fn is_passing(finished: &Finished) -> bool {
    // Over a machine's connection podman was seen to end so, without a word, on a computer whose cores were all busy.
    finished.exit_code == Some(125) && finished.stderr.is_empty()
}

/// Whether a start failed for what one that was killed had left with the runtime, in the words of runc and of crun.
pub(crate) fn is_left_by_a_start(finished: &Finished) -> bool {
    finished.stderr.iter().any(|line| line.contains("OCI runtime") && line.contains("already exists"))
}

/// The name in `with name or ID "x" found: …` and `with name or ID x: …`.
fn named(reason: &str) -> Option<&str> {
    let (_, rest) = reason.split_once("with name or ID ")?;
    let name = rest.trim_start_matches('"').split(['"', ':', ' ']).next()?;
    (!name.is_empty()).then_some(name)
}

/// An answer that cannot be read.
pub(crate) fn unexpected(operation: &str, quote: impl std::fmt::Display) -> Error {
    let quote: String = quote.to_string().chars().take(300).collect();
    Error::Unexpected { engine: RuntimeKind::Podman, operation: operation.to_owned(), quote }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(kind: ResourceKind, stderr: &str) -> Error {
        let stderr = stderr.lines().map(str::to_owned).collect();
        let finished = Finished { exit_code: Some(125), stdout: vec![], stderr, command: "podman x".into() };
        explain(&finished, Subject { kind, name: "x" })
    }

    #[test]
    fn what_podman_was_seen_to_say() {
        use ResourceKind::{Container, Image, Network, Volume};
        let taken = explained(
            Container,
            "Error: creating container storage: the container name \"x\" is already in use by abc123. You have to remove that container to be able to reuse that name: that name is already in use",
        );
        assert_eq!(taken, Error::NameInUse { name: "x".into(), by: Some("abc123".into()) });
        let port = explained(
            Container,
            "Error: unable to start container \"1\": cannot listen on the TCP port: listen tcp4 127.0.0.1:80: bind: address already in use",
        );
        assert!(matches!(port, Error::PortInUse { .. }));
        assert!(matches!(
            explained(Container, "Error: no container with name or ID \"x\" found: no such container"),
            Error::NotFound { .. }
        ));
        let shared = "Error: looking up container to share net namespace with: no container with name or ID \"other\" found: no such container";
        assert_eq!(explained(Container, shared), Error::NotFound { kind: Container, name: "other".into() });
        let network = "Error: unable to find network with name or ID other: network not found";
        assert_eq!(explained(Container, network), Error::NotFound { kind: Network, name: "other".into() });
        assert!(matches!(
            explained(Network, "Error: unable to find network with name or ID x: network not found"),
            Error::NotFound { kind: Network, .. }
        ));
        assert!(matches!(
            explained(
                Network,
                "Error: \"x\" has associated containers with it. Use -f to forcibly delete containers and pods: network is being used"
            ),
            Error::InUse { .. }
        ));
        assert!(matches!(
            explained(
                Volume,
                "Error: volume x is being used by the following container(s): 1: volume is being used"
            ),
            Error::InUse { .. }
        ));
        assert!(matches!(
            explained(
                Image,
                "Error: initializing source docker://x: pinging container registry: connection refused"
            ),
            Error::Image { .. }
        ));
        assert!(matches!(explained(Container, "Error: x: image not known"), Error::Image { .. }));
        let away = "Cannot connect to Podman. Please verify your connection to the Linux system using `podman system connection list`\nError: unable to connect to Podman socket: refused";
        assert!(matches!(explained(Container, away), Error::NotReachable { .. }));
        assert!(matches!(explained(Container, "Error: something else"), Error::Command(_)));
    }

    #[test]
    fn a_container_whose_storage_is_damaged_can_be_removed() {
        let damaged = "Error: getting graph driver info \"b534\": readlink /home/core/.local/share/containers/storage/overlay: invalid argument";
        let help = explained(ResourceKind::Container, damaged).help();
        assert!(help.is_some_and(|help| help.contains("`podman rm --force`")));
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        let is_passing = |exit_code, stderr: &[&str]| {
            let stderr = stderr.iter().map(|line| (*line).to_owned()).collect();
            super::is_passing(&Finished { exit_code, stdout: vec![], stderr, command: "podman x".into() })
        };
        assert!(is_passing(Some(125), &[]));
        assert!(!is_passing(Some(125), &["Error: no such container \"x\""]));
        assert!(!is_passing(None, &[]));
        assert!(!is_passing(Some(0), &[]));
    }

    #[test]
    fn another_programs_words_are_told_from_podmans() {
        let asked = |stderr: &[&str]| {
            let stderr = stderr.iter().map(|line| (*line).to_owned()).collect();
            let command = "ls version --format json".into();
            let finished = Finished { exit_code: Some(2), stdout: vec![], stderr, command };
            explain(&finished, Subject { kind: ResourceKind::Machine, name: "/bin/ls" })
        };
        let ls = asked(&["/bin/ls: invalid argument 'json' for '--format'", "Valid arguments are:"]);
        assert_eq!(
            ls.to_string(),
            "/bin/ls cannot be used as Podman: what it says to `version` is not podman's: /bin/ls: invalid argument 'json' for '--format'"
        );
        assert!(matches!(asked(&[]), Error::NotInstalled { .. }));
        assert!(matches!(asked(&["Error: no space left"]), Error::Command(_)));
    }
}
