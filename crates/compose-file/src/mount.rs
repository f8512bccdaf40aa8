//! Mounts of a service, short and long.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    Mount, MountSource, Recursive,
    attribute::Attribute,
    findings::Spot,
    grammar,
    read::{Reader, labels},
    written::has_block,
    yaml::{Node, Value},
};

/// Where relative paths start, and the home folder for `~`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) home: Option<&'a str>,
}

impl Base<'_> {
    /// An absolute path without `.` and `..`.
    pub(crate) fn resolve(&self, text: &str) -> PathBuf {
        let path = match (text.strip_prefix('~'), self.home) {
            (Some(rest), Some(home)) if rest.is_empty() || rest.starts_with('/') => {
                PathBuf::from(home).join(rest.trim_start_matches('/'))
            }
            _ => self.folder.join(text),
        };
        let mut out = PathBuf::new();
        for part in path.components() {
            match part {
                std::path::Component::ParentDir => {
                    out.pop();
                }
                std::path::Component::CurDir => {}
                part => out.push(part),
            }
        }
        out
    }

    /// The source of a bind mount. Docker compose leaves an absolute path as written, and its hash knows every slash.
    pub(crate) fn source(&self, text: &str) -> PathBuf {
        if Path::new(text).is_absolute() { PathBuf::from(text) } else { self.resolve(text) }
    }
}

/// A path inside without `.`, `..` and slashes that mean nothing.
pub(crate) fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

/// The path inside of a short form.
pub(crate) fn target(text: &str) -> Option<String> {
    let anywhere = Base { folder: Path::new("/"), home: None };
    short(text, anywhere).ok().map(|(mount, _)| mount.target)
}

/// An entry of `volumes`.
pub(crate) struct Entry {
    pub(crate) mount: Mount,
    /// Whether the block of its type is there, or not, against the habit.
    pub(crate) unusual: bool,
    /// Its `consistency`, of the long form.
    pub(crate) consistency: Option<String>,
    pub(crate) spot: Spot,
}

pub(crate) fn read(reader: &mut Reader<'_>, node: &Node) -> Vec<Entry> {
    let Value::List(items) = &node.value else {
        if !node.is_null() {
            reader.no_list::<()>(node);
        }
        return Vec::new();
    };
    let mut mounts = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let mut reader = reader.item(index);
        let spot = reader.spot(item);
        // An entry may come from a file in another folder.
        let context = reader.findings.context(item.place);
        let base = context.base();
        match &item.value {
            Value::Map(_) => {
                let consistency = item.get("consistency").and_then(Node::text).map(str::to_owned);
                mounts.extend(long(&mut reader, item, base).map(|(mount, block)| {
                    let unusual = block != has_block(&mount.source);
                    Entry { mount, unusual, consistency, spot }
                }));
            }
            Value::Scalar { text, .. } if !item.is_null() => match short(text, base) {
                Ok((mount, unused)) => {
                    for what in unused {
                        reader.warning(item.place, what);
                    }
                    // Docker compose gives up early on a text as short as `/t`, and makes no block.
                    let unusual = text.len() <= 2;
                    mounts.push(Entry { mount, unusual, consistency: None, spot });
                }
                Err(why) => reader.error_with(
                    item.place,
                    format!("{text:?} is not a mount: {why}"),
                    "write [volume or path:]path inside[:ro]",
                ),
            },
            _ => {
                reader.wrong::<()>(item, "a mount, like \"data:/var/lib/data\", or a mapping");
            }
        }
    }
    mounts
}

fn is_path(source: &str) -> bool {
    source.starts_with(['.', '/', '~', '\\']) || is_windows_drive(source)
}

fn is_windows_drive(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 3 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' && matches!(bytes[2], b'\\' | b'/')
}

/// Reads the short form of a mount, `[SOURCE:]PATH[:OPTIONS]`. Relative paths start at the folder, `~` is the home.
///
/// # Errors
/// Why it is none, as a part of a sentence; an option that is not used is an error too.
pub fn short_mount(text: &str, folder: &Path, home: Option<&str>) -> Result<Mount, String> {
    let (mount, unused) = short(text, Base { folder, home })?;
    match unused.into_iter().next() {
        Some(why) => Err(why),
        None => Ok(mount),
    }
}

/// The mount, and what of its options is not used.
fn short(text: &str, base: Base<'_>) -> Result<(Mount, Vec<String>), String> {
    // `v:/data` is a volume of one letter; `c:/data:/data` begins with a drive.
    let skip = if is_windows_drive(text) && text.matches(':').count() > 1 { 2 } else { 0 };
    let mut parts: Vec<&str> = Vec::new();
    let mut from = 0;
    for (index, _) in text.match_indices(':').filter(|(index, _)| *index >= skip) {
        parts.push(&text[from..index]);
        from = index + 1;
    }
    parts.push(&text[from..]);
    let (source, target, options) = match parts.as_slice() {
        [target] => (None, *target, ""),
        [source, target] => (Some(*source), *target, ""),
        [source, target, options] => (Some(*source), *target, *options),
        _ => return Err("too many colons".into()),
    };
    if !target.starts_with('/') {
        return Err(format!("the path inside, {target:?}, is not absolute"));
    }
    let (mut read_only, mut nocopy, mut selinux, mut propagation) = (false, false, None, None);
    // Words of another kind of mount, each with that kind.
    let (mut of_binds, mut of_volumes, mut unused) = (Vec::new(), Vec::new(), Vec::new());
    for word in options.split(',').filter(|word| !word.is_empty()) {
        match word {
            "ro" => read_only = true,
            "rw" => read_only = false,
            "z" | "Z" => {
                selinux = word.chars().next();
                of_binds.push(word);
            }
            "nocopy" => {
                nocopy = true;
                of_volumes.push(word);
            }
            word if grammar::PROPAGATIONS.contains(&word) => {
                propagation = Some(word.to_owned());
                of_binds.push(word);
            }
            "cached" | "delegated" | "consistent" => {}
            other => unused.push(format!("the mount option {other:?} is not known, and is ignored")),
        }
    }
    let source = match source {
        None => MountSource::Anonymous,
        Some("") => return Err("nothing stands before the first colon".into()),
        Some(source) if is_path(source) => MountSource::Bind {
            path: base.source(source),
            create_host_path: true,
            propagation,
            selinux,
            recursive: None,
        },
        Some(key) => {
            MountSource::Volume { key: key.to_owned(), nocopy, subpath: None, labels: BTreeMap::new() }
        }
    };
    let (kind, others) = match &source {
        MountSource::Bind { .. } => ("volumes", of_volumes),
        _ => ("bind mounts", of_binds),
    };
    unused
        .extend(others.iter().map(|word| format!("the mount option {word:?} is for {kind}: it is not used")));
    Ok((Mount { source, target: clean(target), read_only }, unused))
}

const KNOWN: &[&str] =
    &["type", "source", "target", "read_only", "consistency", "bind", "volume", "tmpfs", "image"];

/// The types of mounts.
const TYPES: [&str; 6] = ["bind", "volume", "tmpfs", "image", "npipe", "cluster"];

/// The mount, and whether it has the block of its type.
fn long(reader: &mut Reader<'_>, node: &Node, base: Base<'_>) -> Option<(Mount, bool)> {
    let mut block = false;
    let (mut kind, mut source, mut target, mut read_only) = (String::new(), None, None, false);
    let (mut create, mut propagation, mut selinux, mut nocopy, mut size, mut mode) =
        (false, None, None, false, None, None);
    let (mut recursive, mut subpath, mut of_volume) = (None, None, BTreeMap::new());
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "type" => kind = reader.string(value)?,
            "source" => source = reader.filled(value),
            "target" => target = reader.string(value),
            "read_only" => read_only = reader.bool(value)?,
            "bind" | "volume" | "tmpfs" | "image" => {
                let of = node.get("type").and_then(|node| node.text()).unwrap_or_default();
                if of != key.text && TYPES.contains(&of) {
                    reader.warning(
                        key.place,
                        format!("{:?} is for mounts of that type: it is not used", key.text),
                    );
                    continue;
                }
                block = !value.is_null();
                for (inner, value) in reader.entries(value) {
                    let mut reader = reader.at(&inner.text);
                    match (key.text.as_str(), inner.text.as_str()) {
                        ("bind", "create_host_path") => create = reader.bool(value)?,
                        ("bind", "propagation") => {
                            let good = |text: &str| grammar::PROPAGATIONS.contains(&text);
                            let rule = format!("use {}", grammar::PROPAGATIONS.join(", "));
                            propagation = reader.filled_if(value, good, "is not a propagation", &rule);
                        }
                        ("bind", "selinux") => match reader.string(value)?.as_str() {
                            "z" => selinux = Some('z'),
                            "Z" => selinux = Some('Z'),
                            _ => reader.wrong(value, "z or Z")?,
                        },
                        ("volume", "nocopy") => nocopy = reader.bool(value)?,
                        ("bind", "recursive") => {
                            recursive = Recursive::read(&mut reader, value);
                        }
                        ("volume" | "image", "subpath") => {
                            subpath = reader.filled(value);
                        }
                        ("volume", "labels") => {
                            of_volume = labels(&mut reader, value);
                        }
                        ("tmpfs", "size") => size = reader.bytes(value),
                        ("tmpfs", "mode") => mode = Some(octal(&mut reader, value)?),
                        ("bind", _) => reader
                            .unknown(inner, &["create_host_path", "propagation", "selinux", "recursive"]),
                        ("volume", _) => reader.unknown(inner, &["nocopy", "subpath", "labels"]),
                        ("image", _) => reader.unknown(inner, &["subpath"]),
                        _ => reader.unknown(inner, &["size", "mode"]),
                    }
                }
            }
            "consistency" => {}
            _ => reader.unknown(key, KNOWN),
        }
    }
    let Some(target) = target else {
        reader.error(node.place, "a mount needs its target, the path inside");
        return None;
    };
    if !target.starts_with('/') && kind != "npipe" && reader.is_whole(&target) {
        reader.error(node.place, format!("the path inside, {target:?}, is not absolute"));
        return None;
    }
    if let ("tmpfs", Some(key)) = (kind.as_str(), node.key("source")) {
        reader.at("source").warning(key.place, "memory has no source: it is not used");
    }
    let source = match (kind.as_str(), source) {
        ("bind", Some(source)) => {
            let path = base.source(&source);
            MountSource::Bind { path, create_host_path: create, propagation, selinux, recursive }
        }
        ("bind", None) => {
            reader.error(node.place, "a bind mount needs its source, the path on the host");
            return None;
        }
        ("volume", Some(key)) => MountSource::Volume { key, nocopy, subpath, labels: of_volume },
        ("volume", None) => MountSource::Anonymous,
        ("tmpfs", _) => MountSource::Tmpfs { size, mode },
        ("image", Some(image)) => MountSource::Image { image, subpath },
        ("npipe", Some(path)) => MountSource::NamedPipe { path },
        ("cluster", Some(key)) => MountSource::Cluster { key },
        ("image" | "npipe" | "cluster", None) => {
            reader.error(node.place, format!("a mount of type {kind} needs its source"));
            return None;
        }
        ("", _) => {
            reader.error(node.place, format!("a mount needs its type: {}", TYPES.join(", ")));
            return None;
        }
        (other, _) => {
            let place = node.get("type").map_or(node.place, |node| node.place);
            reader.error(place, format!("{other:?} is not a type of mounts: use {}", TYPES.join(", ")));
            return None;
        }
    };
    let target = if kind == "npipe" { target } else { clean(&target) };
    Some((Mount { source, target, read_only }, block))
}

/// All permission bits there are.
const MAX_MODE: u32 = 0o7777;

/// A mode is octal with a leading zero, or in quotes; else decimal, as YAML has it.
pub(crate) fn octal(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let Value::Scalar { text, plain } = &node.value else {
        return reader.wrong(node, "permission bits like 0o755");
    };
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0').filter(|rest| !rest.is_empty()));
    let parsed = match digits {
        Some(digits) => u32::from_str_radix(digits, 8),
        None if *plain => text.parse(),
        None => u32::from_str_radix(text, 8),
    };
    match parsed {
        Ok(mode) if mode <= MAX_MODE => Some(mode),
        _ => reader.wrong(node, "permission bits like 0o755"),
    }
}

/// The `tmpfs` attribute: a path, or a list of them, each with options.
pub(crate) fn read_tmpfs(reader: &mut Reader<'_>, node: &Node) -> Vec<(Mount, String, Spot)> {
    let mut mounts = Vec::new();
    for (text, spot) in reader.one_or_spotted(node) {
        let mut reader = Reader::new(reader.findings, &spot.path);
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        let (mut size, mut mode, mut read_only) = (None, None, false);
        for option in options.split(',').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("size", value)) => {
                    size = crate::quantity::parse_bytes(value);
                    if size.is_none() && reader.is_whole(value) {
                        reader.error(spot.place, format!("{value:?} is not a size like 64m or 1gb"));
                    }
                }
                Some(("mode", value)) => {
                    mode = u32::from_str_radix(value, 8).ok().filter(|mode| *mode <= MAX_MODE);
                    if mode.is_none() && reader.is_whole(value) {
                        reader
                            .error(spot.place, format!("{value:?} is not permission bits like 755 or 1777"));
                    }
                }
                None if option == "ro" => read_only = true,
                None if option == "rw" => read_only = false,
                _ => reader
                    .warning(spot.place, format!("the tmpfs option {option:?} is not known, and is ignored")),
            }
        }
        if !target.starts_with('/') && reader.is_whole(target) {
            reader.error(spot.place, format!("the path inside, {target:?}, is not absolute"));
            continue;
        }
        let source = MountSource::Tmpfs { size, mode };
        mounts.push((Mount { source, target: clean(target), read_only }, text, spot));
    }
    mounts
}
