//! What engines take as a name, an image, a signal or an address. What none takes is refused where it is written.

use std::net::IpAddr;

/// The rule of [`container_or_volume`], as words.
pub(crate) const NAME_RULE: &str =
    "use two or more letters, digits, '_', '.' and '-', and begin with a letter or a digit";
/// The rule of [`network`], as words.
pub(crate) const NETWORK_RULE: &str =
    "use letters, digits, '_', '.' and '-', and begin with a letter or a digit";

/// A network's name.
pub(crate) fn network(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

/// A container's or a volume's name; Docker refuses one of a single letter.
pub(crate) fn container_or_volume(name: &str) -> bool {
    name.len() > 1 && network(name)
}

/// A hostname by RFC 1123, `_` besides.
pub(crate) fn hostname(name: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    name.len() <= 253 && name.split('.').all(label)
}

/// An alias on a network. It is a part of an option on an engine's command line, where these characters end it.
pub(crate) fn alias(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| matches!(c, ',' | '=' | ':') || c.is_whitespace())
}

/// A host for `/etc/hosts`.
pub(crate) fn host(name: &str) -> bool {
    alias(name) && !name.contains(';')
}

/// An address for `/etc/hosts`.
pub(crate) fn host_address(text: &str) -> bool {
    text == "host-gateway" || text.parse::<IpAddr>().is_ok()
}

/// A hardware address, `02:42:ac:11:65:43`.
pub(crate) fn mac_address(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    parts.len() == 6
        && parts.iter().all(|part| part.len() == 2 && part.chars().all(|c| c.is_ascii_hexdigit()))
}

/// How mounts beneath a bind mount propagate.
pub(crate) const PROPAGATIONS: [&str; 6] = ["private", "rprivate", "shared", "rshared", "slave", "rslave"];

/// Linux's signals, without `SIG`.
const SIGNALS: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// A signal by name, with or without `SIG`, or by number.
pub(crate) fn signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let within = |rest: &str, sign: char, last: u8| {
        rest.is_empty()
            || rest
                .strip_prefix(sign)
                .and_then(|n| n.parse().ok())
                .is_some_and(|n: u8| (1..=last).contains(&n))
    };
    SIGNALS.contains(&name)
        || name.strip_prefix("RTMIN").is_some_and(|rest| within(rest, '+', 15))
        || name.strip_prefix("RTMAX").is_some_and(|rest| within(rest, '-', 14))
}

/// Checks an image by the grammar of distribution's references, `[domain/]path[:tag][@digest]`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn image(text: &str) -> Result<(), String> {
    if text.contains("://") {
        return Err("it is an address; an image begins with its registry's host".into());
    }
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let has_domain = |first: &str| {
        first == "localhost" || first.contains(['.', ':']) || first.chars().any(|c| c.is_ascii_uppercase())
    };
    let (domain, rest) = match name.split_once('/') {
        Some((first, rest)) if has_domain(first) => (Some(first), rest),
        _ => (None, name),
    };
    let (path, tag) = match rest.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
        _ => (rest, None),
    };
    if let Some(domain) = domain.filter(|domain| !is_domain(domain)) {
        return Err(format!("{domain:?} is not the host of a registry"));
    }
    if path.is_empty() {
        return Err("it names no repository".into());
    }
    if path.chars().any(|c| c.is_ascii_uppercase()) {
        return Err(format!("the repository {path:?} must be lowercase"));
    }
    if let Some(part) = path.split('/').find(|part| !is_component(part)) {
        return Err(format!(
            "{part:?} cannot be a part of a repository: lowercase letters and digits, with '.', '_', '__' or '-' between"
        ));
    }
    if domain.map_or(0, |domain| domain.len() + 1) + path.len() > 255 {
        return Err("the repository is longer than 255 characters".into());
    }
    if tag == Some("") {
        return Err("its tag is empty".into());
    }
    if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
        return Err(format!(
            "{tag:?} is not a tag: at most 128 letters, digits, '_', '.' and '-', the first not '.' or '-'"
        ));
    }
    match digest {
        Some(digest) if !is_digest(digest) => {
            Err(format!("{digest:?} is not a digest: sha256: and 64 hexadecimal digits"))
        }
        _ => Ok(()),
    }
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) if address.parse::<std::net::Ipv6Addr>().is_ok() => ("localhost", rest),
        Some(_) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let digits = |port: &str| !port.is_empty() && port.chars().all(|c| c.is_ascii_digit());
    host.split('.').all(label) && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

/// Letters and digits with one `.`, one or two `_`, or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let separator = |text: &str| matches!(text, "." | "_" | "__") || text.chars().all(|c| c == '-');
    text.starts_with(word) && text.ends_with(word) && text.split(word).all(separator)
}

fn is_tag(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

fn is_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else { return false };
    let lower = hex.chars().all(|c| c.is_ascii_digit() || matches!(c, 'a'..='f'));
    match algorithm {
        "sha256" => lower && hex.len() == 64,
        "sha384" => lower && hex.len() == 96,
        "sha512" => lower && hex.len() == 128,
        other => {
            let part = |part: &str| {
                part.starts_with(|c: char| c.is_ascii_alphabetic())
                    && part.chars().all(|c| c.is_ascii_alphanumeric())
            };
            other.split(['-', '_', '+', '.']).all(part)
                && hex.len() >= 32
                && hex.chars().all(|c| c.is_ascii_hexdigit())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images() {
        let hex = "0123456789abcdef".repeat(4);
        for good in [
            "x",
            "nginx:1.27",
            "a/b/c:t",
            "localhost:5000/x",
            "localhost/x",
            "Reg.io/x",
            "REG/x",
            "[::1]:5000/x",
            "a__b",
            "a--b",
            "a.b_c-d",
            "x:_t",
            &format!("x@sha256:{hex}"),
            &format!("reg.io:1/x:t@sha256:{hex}"),
            &format!("sha256:{hex}"),
            &hex,
        ] {
            assert_eq!(image(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "X",
            "a/B",
            "http://x",
            "x@sha256:zz",
            "x@",
            "x:",
            "x:a:b",
            "/x",
            "x/",
            "a//b",
            "a b",
            "a___b",
            "a..b",
            "-x",
            "x-",
            "x:.t",
            "x:-t",
            "reg.io:p/x",
            "reg.io:/x",
            "-r.io/x",
            "é",
            &format!("x@sha256:{}", hex.to_uppercase()),
            &format!("x:{}", "t".repeat(129)),
            &"x".repeat(256),
        ] {
            assert!(image(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn signals() {
        for good in ["SIGTERM", "term", "sigusr1", "9", "64", "SIGRTMIN", "SIGRTMIN+3", "RTMAX-14"] {
            assert!(signal(good), "{good}");
        }
        for bad in [
            "",
            "SIG",
            "FOO",
            "0",
            "65",
            "-1",
            "SIGRTMIN+16",
            "SIGRTMIN3",
            "RTMAX-15",
            "SIGSIGTERM",
            "RTMIN+",
        ] {
            assert!(!signal(bad), "{bad}");
        }
    }

    #[test]
    fn names() {
        assert!(network("a") && !container_or_volume("a") && container_or_volume("a.b-c_1"));
        assert!(!network("") && !network("-a") && !container_or_volume("a/b"));
        for good in ["a", "db.local", "a_b", "1-2"] {
            assert!(hostname(good), "{good}");
        }
        for bad in ["", "a b", "a..b", "-a", "a/b", "a.", "é"] {
            assert!(!hostname(bad), "{bad}");
        }
        assert!(
            alias("db.x_1") && !alias("") && !["a,b", "a=b", "a:b", "a b"].iter().any(|name| alias(name))
        );
        assert!(host_address("::1") && host_address("host-gateway") && !host_address("1.2.3"));
    }
}
