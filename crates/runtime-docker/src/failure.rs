//! What Docker said of a failure, as an error that a caller can act on. Pure.

use std::time::Duration;

use bollard::errors::Error as Bollard;
use runtime_core::{Error, ResourceKind, RuntimeKind, hide_values};

/// What a request was about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// What was to be done, like `create container`.
    pub(crate) operation: &'a str,
    pub(crate) kind: ResourceKind,
    pub(crate) name: &'a str,
}

impl Asked<'_> {
    /// The error of a request that took longer than that.
    pub(crate) fn late(&self, after: Duration) -> Error {
        Error::TimedOut { what: format!("{} {}", self.operation, self.name).trim().to_owned(), after }
    }
}

/// Who is asked, as errors name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) engine: RuntimeKind,
    pub(crate) endpoint: String,
}

impl Peer {
    pub(crate) fn unreachable(&self, reason: String) -> Error {
        Error::NotReachable { engine: self.engine, endpoint: self.endpoint.clone(), reason }
    }

    /// The error of an answer that cannot be read.
    pub(crate) fn unexpected(&self, operation: &str, name: &str, quote: &str) -> Error {
        let quote = quote.chars().take(300).collect();
        let operation = format!("{operation} {name}").trim().to_owned();
        Error::Unexpected { engine: self.engine, operation, quote }
    }
}

/// Reads the error of a request.
pub(crate) fn explain(error: &Bollard, asked: Asked<'_>, peer: &Peer) -> Error {
    let Asked { operation, kind, name } = asked;
    match error {
        Bollard::DockerResponseServerError { status_code, message } => {
            refused(*status_code, message, asked, peer.engine)
        }
        Bollard::DockerStreamError { error } if kind == ResourceKind::Image => {
            Error::Image { image: name.to_owned(), reason: said(error) }
        }
        Bollard::SocketNotFoundError(path) => peer.unreachable(format!("there is no socket at {path}")),
        Bollard::JsonDataError { message, .. } => peer.unexpected(operation, name, message),
        Bollard::JsonSerdeError { err } => peer.unexpected(operation, name, &err.to_string()),
        other => {
            let chain = causes(other);
            if chain.iter().any(|cause| cause.contains("Permission denied") || cause.contains("os error 13)"))
            {
                let reason = chain.last().cloned().unwrap_or_default();
                let what = format!("the {} socket at {}", peer.engine, peer.endpoint);
                return Error::NotPermitted { what, reason };
            }
            peer.unreachable(chain.last().cloned().unwrap_or_default())
        }
    }
}

/// The same error without the values of environment variables, which an engine may repeat in what it says of a
/// request that it refuses. Names stay: they are ours, and a caller needs them to act.
pub(crate) fn without_values<'a>(mut error: Error, values: impl Iterator<Item = &'a String>) -> Error {
    if let Error::Api { message: said, .. }
    | Error::Unexpected { quote: said, .. }
    | Error::Image { reason: said, .. }
    | Error::PortInUse { reason: said, .. }
    | Error::InUse { reason: said, .. }
    | Error::NotReachable { reason: said, .. }
    | Error::NotPermitted { reason: said, .. } = &mut error
    {
        *said = hide_values(said, values);
    }
    error
}

/// An error's sentence and those of what caused it.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut all = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        all.push(cause.to_string());
        next = cause.source();
    }
    all
}

/// What an engine said, or that it said nothing.
pub(crate) fn said(message: &str) -> String {
    match message.trim() {
        "" => "the engine gives no reason".to_owned(),
        reason => reason.to_owned(),
    }
}

/// The name in a sentence like `No such container: db`, or `no container with name or ID "db" found: …`.
fn named<'a>(message: &'a str, before: &str) -> Option<&'a str> {
    let at = message.to_lowercase().find(before)? + before.len();
    let rest = message.get(at..)?.trim_start().trim_start_matches('"');
    let name = rest.split(|c: char| c.is_whitespace() || c == '"').next()?;
    (!name.is_empty()).then_some(name)
}

/// What is not there: it need not be what was asked about.
fn missing(message: &str, Asked { kind, name, .. }: Asked<'_>) -> Error {
    if kind != ResourceKind::Container {
        return Error::NotFound { kind, name: name.to_owned() };
    }
    let network = named(message, "network ").filter(|_| message.ends_with("not found"));
    if let Some(network) = network {
        return Error::NotFound { kind: ResourceKind::Network, name: network.to_owned() };
    }
    let other = named(message, "no such container:").or_else(|| named(message, "with name or id "));
    Error::NotFound { kind, name: other.unwrap_or(name).to_owned() }
}

/// Whether a request about the thing of that name, or about all of a kind, failed because something else went meanwhile.
pub(crate) fn has_gone_meanwhile(error: &Error, name: &str) -> bool {
    const GONE: [&str; 4] =
        ["no such volume", "network not found", "no such container", "no such network interface"];
    match error {
        Error::NotFound { .. } => name.is_empty(),
        // It looks at all images that have the layers of one.
        Error::Image { reason, .. } => {
            reason.contains("locating image with ID") || reason.contains("locating item named")
        }
        Error::Api { message, .. } => GONE.iter().any(|words| message.contains(words)),
        _ => false,
    }
}

/// Whether a start failed for what a `podman start` that was killed had left with the runtime, in the words of runc and of crun.
pub(crate) fn is_left_by_a_start(error: &Error) -> bool {
    matches!(error, Error::Api { message, .. } if message.contains("OCI runtime") && message.contains("already exists"))
}

fn refused(
    status: u16,
    message: &str,
    asked @ Asked { operation, kind, name }: Asked<'_>,
    engine: RuntimeKind,
) -> Error {
    let lower = message.to_lowercase();
    let has = |part: &str| lower.contains(part);
    let owned = name.to_owned();
    let reason = said(message);
    if has("port is already allocated") || has("address already in use") || has("ports are not available") {
        return Error::PortInUse { container: owned, reason };
    }
    if has("no such image") || has("image not known") || (kind == ResourceKind::Image) {
        return Error::Image { image: owned, reason };
    }
    // Podman says of such a container that it "already exists" too.
    if has("dependent containers") {
        return Error::InUse { kind, name: owned, reason };
    }
    // What already exists for a runtime is what a start of Podman's that was killed has left.
    if has("is already in use") || has("already exists") && !has("oci runtime") {
        let by = reason
            .split(" by ")
            .nth(1)
            .map(|by| by.trim_start_matches("container ").split(['.', ' ']).next().unwrap_or(by));
        return Error::NameInUse { name: owned, by: by.map(|by| by.trim_matches('"').to_owned()) };
    }
    if has("has active endpoints")
        || has("being used")
        || has("volume is in use")
        || has("associated containers")
    {
        return Error::InUse { kind, name: owned, reason };
    }
    // Podman's service answers so when it is removed while it is looked at, and Docker when its log is read then.
    let is_gone =
        kind == ResourceKind::Container && (has("no such container") || has("dead or marked for removal"));
    match status {
        _ if is_gone => missing(&reason, asked),
        // What is missing is a driver, not what was to be made with it.
        404 if !has("plugin") => missing(&reason, asked),
        400 if has("client version") && has("too") => {
            Error::TooOld { what: "Docker".into(), found: reason, needed: "API 1.41".into() }
        }
        _ => Error::Api {
            engine,
            operation: format!("{operation} {name}"),
            status: Some(status),
            message: reason,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ResourceKind::{Container, Image, Network, Volume};

    fn explained(kind: ResourceKind, status_code: u16, message: &str) -> Error {
        let error = Bollard::DockerResponseServerError { status_code, message: message.to_owned() };
        let peer = Peer { engine: RuntimeKind::Docker, endpoint: "unix:///x".to_owned() };
        explain(&error, Asked { operation: "do", kind, name: "x" }, &peer)
    }

    #[test]
    fn an_engine_that_repeats_a_value_is_not_quoted() {
        let error = explained(Container, 500, "bad argument s3cret-and-more, s3cret: in A=ab");
        let values = ["s3cret".to_owned(), "s3cret-and-more".to_owned(), "ab".to_owned()];
        let Error::Api { message, .. } = without_values(error, values.iter()) else { panic!("another kind") };
        assert_eq!(message, "bad argument ***, ***: in A=ab");
    }

    #[test]
    fn what_goes_meanwhile_is_no_fault_of_what_was_asked() {
        let interface = explained(Network, 500, "route ip+net: no such network interface");
        assert!(has_gone_meanwhile(&interface, "x"));
        let volume = explained(Volume, 500, "getting volume abc: no such volume");
        assert!(has_gone_meanwhile(&volume, ""));
        let container =
            explained(Container, 500, "container abc does not exist in database: no such container");
        assert!(has_gone_meanwhile(&container, "") && !has_gone_meanwhile(&container, "x"));
        assert!(!has_gone_meanwhile(&explained(Network, 500, "subnet is already used"), "x"));
    }

    #[test]
    fn what_engines_were_seen_to_say() {
        let gone = "container abc does not exist in database: no such container";
        assert_eq!(explained(Container, 500, gone), Error::NotFound { kind: Container, name: "x".into() });
        let conflict = "Conflict. The container name \"/x\" is already in use by container \"abc\". You have to remove (or rename) that container";
        assert_eq!(
            explained(Container, 409, conflict),
            Error::NameInUse { name: "x".into(), by: Some("abc".into()) }
        );
        let port = "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:80 failed: port is already allocated";
        assert!(matches!(explained(Container, 500, port), Error::PortInUse { .. }));
        assert!(matches!(explained(Container, 404, "No such image: x:latest"), Error::Image { .. }));
        assert!(matches!(
            explained(Container, 404, "No such container: x"),
            Error::NotFound { kind: Container, .. }
        ));
        assert!(matches!(
            explained(Network, 409, "network with name x already exists"),
            Error::NameInUse { .. }
        ));
        assert!(matches!(
            explained(Network, 403, "error while removing network: network x has active endpoints"),
            Error::InUse { .. }
        ));
        assert!(matches!(explained(Volume, 409, "remove x: volume is in use - [1]"), Error::InUse { .. }));
        assert!(matches!(explained(Image, 500, "manifest unknown"), Error::Image { .. }));
        assert!(matches!(explained(Container, 500, "other"), Error::Api { status: Some(500), .. }));
    }

    #[test]
    fn what_is_missing_is_named() {
        let gone = |kind, name: &str| Error::NotFound { kind, name: name.to_owned() };
        assert_eq!(explained(Container, 404, "No such container: other"), gone(Container, "other"));
        let podmans = "looking up container to share net namespace with: no container with name or ID \"other\" found: no such container";
        assert_eq!(explained(Container, 404, podmans), gone(Container, "other"));
        assert_eq!(explained(Container, 404, "network other not found"), gone(Network, "other"));
        assert_eq!(explained(Network, 404, "network other not found"), gone(Network, "x"));
        let log = "can not get logs from container which is dead or marked for removal";
        assert_eq!(explained(Container, 409, log), gone(Container, "x"));
        for message in [
            "plugin \"nope\" not found",
            "create x: error looking up volume plugin nope: plugin \"nope\" not found",
        ] {
            for kind in [Network, Volume] {
                let Error::Api { message: said, .. } = explained(kind, 404, message) else {
                    panic!("{message}")
                };
                assert_eq!(said, message);
            }
        }
        let silent = explained(Image, 500, " ");
        assert_eq!(silent.to_string(), "image x: the engine gives no reason");
    }
}
