//! `include`: the resources of another project's files, each in its own folder and with its own variables.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use crate::{
    context::Context,
    discover,
    files::{Files, Input},
    findings::{Findings, Place},
    interpolate, merge,
    read::Reader,
    yaml::{Key, Node, Value},
};

/// Deeper than any project includes others.
const MAX_DEPTH: usize = 50;

/// The kinds of what is included. A name, and what is for people, stay with their own file.
const KINDS: [&str; 6] = ["services", "networks", "volumes", "configs", "secrets", "models"];

/// A file that is being included, and where that is said.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) path: PathBuf,
    pub(crate) place: Option<Place>,
}

/// An entry of `include`.
#[derive(Default)]
struct Entry {
    /// The files, the later over the earlier.
    files: Vec<(String, Place)>,
    folder: Option<String>,
    env_files: Vec<(String, Place)>,
}

/// Puts what a file includes beside what it has, in place of its `include`. What is there twice and differs is an error.
pub(crate) fn resolve(
    files: &mut Files<'_>,
    root: &mut Node,
    context: &Rc<Context>,
    path: &Path,
    stack: &mut Vec<Step>,
) {
    let Some(node) = root.get("include").filter(|node| !node.is_reset()).cloned() else { return };
    root.remove("include");
    let Value::List(items) = &node.value else {
        if !node.is_null() {
            Reader::new(files.findings, "include").no_list::<()>(&node);
            files.findings.partial = true;
        }
        return;
    };
    for (index, item) in items.iter().enumerate() {
        let subject = format!("include[{index}]");
        let mut item = item.clone();
        if files.findings.variables_stay {
            // The files must be found also where the variables stay as they are.
            interpolate::tree(&mut item, &subject, &context.env, files.findings);
        }
        let entry = entry(&mut Reader::new(files.findings, &subject), &item);
        let place = entry.as_ref().and_then(|entry| entry.files.first()).map(|(_, place)| *place);
        stack.push(Step { path: path.to_owned(), place });
        let included = entry.and_then(|entry| load(files, &entry, context, &subject, stack));
        stack.pop();
        match included {
            Some(included) => import(root, included, files.findings),
            None => files.findings.partial = true,
        }
    }
}

/// What an entry says; `None`, with an error, where that is not understood.
fn entry(reader: &mut Reader<'_>, item: &Node) -> Option<Entry> {
    let texts = |reader: &mut Reader<'_>, node: &Node| -> Vec<(String, Place)> {
        let found = reader.one_or_spotted(node);
        found.into_iter().map(|(text, spot)| (text, spot.place)).collect()
    };
    let mut entry = Entry::default();
    let Value::Map(entries) = &item.value else {
        entry.files.push((reader.string(item)?, item.place));
        return Some(entry);
    };
    for (key, value) in entries {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "path" => entry.files = texts(&mut reader, value),
            "project_directory" => entry.folder = reader.filled(value),
            "env_file" => entry.env_files = texts(&mut reader, value),
            _ => reader.unknown(key, &["path", "project_directory", "env_file"]),
        }
    }
    if entry.files.is_empty() {
        reader.error_with(item.place, "it does not say which file", "add `path: FILE`");
        return None;
    }
    Some(entry)
}

/// The tree of an entry's files; `None`, with an error, where it cannot be had.
fn load(
    files: &mut Files<'_>,
    entry: &Entry,
    context: &Rc<Context>,
    subject: &str,
    stack: &mut Vec<Step>,
) -> Option<Node> {
    let base = context.base();
    let mut inputs = Vec::new();
    for (name, place) in &entry.files {
        let path = base.resolve(name);
        if let Some(begin) = stack.iter().position(|step| step.path == path) {
            circle(&stack[begin..], &path, *place, subject, files.findings);
            return None;
        }
        if stack.len() > MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} files include each other in a row");
            files.findings.error(*place, subject, message);
            return None;
        }
        // All that is missing is told at once.
        inputs.push(files.referred(&path, *place, subject));
    }
    let inputs = inputs.into_iter().collect::<Option<Vec<_>>>()?;
    let folder = match (&entry.folder, inputs.first().and_then(|input| input.path.parent())) {
        (Some(folder), _) => base.resolve(folder),
        (None, folder) => folder?.to_owned(),
    };
    let mut env_files: Vec<(PathBuf, Place)> =
        entry.env_files.iter().map(|(name, place)| (base.resolve(name), *place)).collect();
    if env_files.is_empty() {
        let file = folder.join(".env");
        let place = entry.files.first().map(|(_, place)| *place)?;
        env_files.extend(file.is_file().then_some((file, place)));
    }
    let with_variables: Vec<Option<Input>> =
        env_files.iter().map(|(path, place)| files.referred(path, *place, subject)).collect();
    let with_variables = with_variables.into_iter().collect::<Option<Vec<_>>>()?;
    let env = discover::variables(&context.env, &with_variables, files.findings, subject);
    let context = Rc::new(Context { folder, env });
    let mut root = files.merged(&inputs, &context, stack)?;
    merge::drop_resets(&mut root);
    Some(root)
}

fn circle(chain: &[Step], again: &Path, place: Place, subject: &str, findings: &mut Findings) {
    let mut steps: Vec<String> = chain
        .iter()
        .map(|step| {
            step.place.map_or_else(|| step.path.display().to_string(), |place| findings.locate(place))
        })
        .collect();
    steps.push(again.display().to_string());
    findings.error(place, subject, format!("files include each other in a circle: {}", steps.join(" -> ")));
}

/// Puts the resources of an included tree into the one that includes it.
fn import(root: &mut Node, included: Node, findings: &mut Findings) {
    let Value::Map(tops) = included.value else { return };
    for (top, node) in tops {
        if !KINDS.contains(&top.text.as_str()) {
            if !matches!(top.text.as_str(), "name" | "version" | "include") {
                let known = [&KINDS[..], &["name", "version", "include"]].concat();
                Reader::new(findings, &top.text).unknown(&top, &known);
            }
            continue;
        }
        match root.get_mut(&top.text) {
            Some(own) if !own.is_null() => match (&mut own.value, node.value) {
                (Value::Map(entries), Value::Map(more)) => add(entries, more, &top.text, findings),
                (Value::Map(_), value) => {
                    Reader::new(findings, &top.text).entries(&Node { value, ..node });
                }
                // What is wrong with the file's own is told when it is read.
                _ => {}
            },
            _ => {
                root.remove(&top.text);
                if let Value::Map(entries) = &mut root.value {
                    entries.push((top, node));
                }
            }
        }
    }
}

fn add(entries: &mut Vec<(Key, Node)>, more: Vec<(Key, Node)>, kind: &str, findings: &mut Findings) {
    let mut known: HashMap<String, usize> =
        entries.iter().enumerate().map(|(index, (key, _))| (key.text.clone(), index)).collect();
    for (key, node) in more {
        let Some((first, own)) = known.get(&key.text).and_then(|index| entries.get(*index)) else {
            known.insert(key.text.clone(), entries.len());
            entries.push((key, node));
            continue;
        };
        // The same words mean other files in another folder, and other values with other variables.
        let alike = findings.context(first.place) == findings.context(key.place);
        if key.text.starts_with("x-")
            || (merge::same(own, &node) && (alike || matches!(kind, "networks" | "volumes")))
        {
            continue;
        }
        let message =
            format!("{:?} is included from {} too, and differs", key.text, findings.locate(key.place));
        let help = "rename one of them, or override it with a file that is given after this one";
        findings.error_with(first.place, &format!("{kind}.{}", key.text), message, help);
    }
}
