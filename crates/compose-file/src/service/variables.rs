//! Variables and labels that stand in files of their own.

use std::{collections::BTreeMap, io};

use crate::{
    LoadError,
    context::Context,
    discover::assignments,
    files::read_text,
    findings::Place,
    read::Reader,
    yaml::{Node, Value},
};

/// So much is more than the files with variables of any project say, to all its services together.
const MAX_ASSIGNED: usize = 256 << 20;
/// What an assignment takes besides its text, and a file besides its assignments.
const ENTRY: usize = 64;

/// An entry of `env_file`: its path, whether it must be there, whether it is read without variables.
#[derive(Debug, Clone)]
pub(super) struct EnvFile {
    path: String,
    required: bool,
    raw: bool,
    place: Place,
}

pub(super) fn env_files(reader: &mut Reader<'_>, node: &Node) -> Vec<EnvFile> {
    let items: Vec<&Node> = match &node.value {
        Value::List(items) => items.iter().collect(),
        _ if node.is_null() => return Vec::new(),
        _ => vec![node],
    };
    let mut files = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let mut reader = reader.item(index);
        let mut file = EnvFile { path: String::new(), required: true, raw: false, place: item.place };
        // Of an entry that is wrong itself, it is not asked whether the file is there.
        let mut whole = true;
        match &item.value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    let mut reader = reader.at(&key.text);
                    match key.text.as_str() {
                        "path" => file.path = reader.string(value).unwrap_or_default(),
                        "required" => match reader.bool(value) {
                            Some(required) => file.required = required,
                            None => whole = false,
                        },
                        "format" => match reader.filled(value).as_deref() {
                            Some("raw") => file.raw = true,
                            Some(_) => whole = reader.wrong::<()>(value, "raw, or no format").is_some(),
                            None => {}
                        },
                        _ => reader.unknown(key, &["path", "required", "format"]),
                    }
                }
            }
            _ => file.path = reader.string(item).unwrap_or_default(),
        }
        if whole && !file.path.is_empty() {
            files.push(file);
        }
    }
    files
}

/// `env_file` under `environment`; a name alone is inherited, or is not there.
pub(super) fn environment(
    reader: &mut Reader<'_>,
    files: &[EnvFile],
    own: BTreeMap<String, Option<String>>,
    context: &Context,
) -> BTreeMap<String, Option<String>> {
    let mut all: BTreeMap<String, Option<String>> = BTreeMap::new();
    for file in files {
        let found = pairs(&mut reader.at("env_file"), file, context);
        all.extend(found.into_iter().map(|(key, value)| (key, Some(value))));
    }
    all.extend(own);
    let inherited = |(key, value): (String, Option<String>)| {
        let value = value.or_else(|| context.env.get(&key).cloned());
        (key, value)
    };
    all.into_iter().map(inherited).collect()
}

/// Labels of files, the later over the earlier.
pub(super) fn label_files(
    reader: &mut Reader<'_>,
    node: &Node,
    context: &Context,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for file in env_files(reader, node) {
        labels.extend(pairs(reader, &file, context));
    }
    labels
}

/// What one file says; a name alone is inherited, and one that is not set is not there.
fn pairs(reader: &mut Reader<'_>, file: &EnvFile, context: &Context) -> Vec<(String, String)> {
    if reader.findings.assigned > MAX_ASSIGNED {
        return Vec::new();
    }
    let path = reader.findings.context(file.place).base().resolve(&file.path);
    let text = match read_text(&path) {
        Ok(text) => text,
        Err(LoadError::Unreadable { source, .. })
            if source.kind() == io::ErrorKind::NotFound && !file.required =>
        {
            return Vec::new();
        }
        Err(error) => {
            reader.error(file.place, error.to_string());
            return Vec::new();
        }
    };
    reader.findings.assigned += text.len() + ENTRY;
    if reader.findings.assigned > MAX_ASSIGNED {
        reader.error(file.place, "too much text in the files with variables of this project");
        return Vec::new();
    }
    let found: Vec<(String, Option<String>)> = if file.raw {
        let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        lines
            .map(|line| match line.split_once('=') {
                Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
                None => (line.to_owned(), None),
            })
            .collect()
    } else {
        assignments(&path, &text, &context.env, reader.findings, &reader.path)
    };
    reader.findings.assigned += found.len() * ENTRY;
    let inherited = |(key, value): (String, Option<String>)| {
        let value = value.or_else(|| context.env.get(&key).cloned())?;
        Some((key, value))
    };
    found.into_iter().filter_map(inherited).collect()
}
