//! `extends`: a service over another one, of its own file or of another.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    rc::Rc,
};

use crate::{
    context::Context,
    files::Files,
    findings::Place,
    interpolate, merge,
    read::Reader,
    yaml::{Node, Value},
};

/// A longer chain than anybody writes.
const MAX_CHAIN: usize = 100;
/// So many nodes that come from bases are more than a project has without a bomb of them.
const MAX_INHERITED: usize = 500_000;

/// A service of one of the files that a file's services extend: 0 is the file itself.
type Origin = (usize, String);

/// A file that services are extended from.
struct File {
    path: Option<PathBuf>,
    /// Its services as written; `None` for a file that cannot be read.
    services: Option<HashMap<String, Node>>,
    context: Rc<Context>,
}

/// The services of a file by name: a list of them would be searched for each.
fn services(root: &Node) -> HashMap<String, Node> {
    match root.get("services").map(|node| &node.value) {
        Some(Value::Map(entries)) => {
            entries.iter().map(|(key, node)| (key.text.clone(), node.clone())).collect()
        }
        _ => HashMap::new(),
    }
}

/// What one service says that it extends.
struct Reference {
    service: String,
    place: Place,
    file: Option<(String, Place)>,
}

struct Resolver<'a, 'f> {
    files: &'a mut Files<'f>,
    read: Vec<File>,
    done: HashMap<Origin, Node>,
    /// Those of which it is told already that they cannot be.
    failed: HashSet<Origin>,
    inherited: usize,
}

/// Puts under each service of a file what it extends. One that cannot have it keeps its `extends`, and the error is told.
pub(crate) fn resolve(files: &mut Files<'_>, root: &mut Node, context: &Rc<Context>) {
    let extends = |node: &Node| matches!(&node.value, Value::Map(all) if all.iter().any(|(_, service)| service.get("extends").is_some()));
    if !root.get("services").is_some_and(extends) {
        return;
    }
    let own = File { path: None, services: Some(services(root)), context: Rc::clone(context) };
    let Some(Node { value: Value::Map(entries), .. }) = root.get_mut("services") else { return };
    let mut resolver =
        Resolver { files, read: vec![own], done: HashMap::new(), failed: HashSet::new(), inherited: 0 };
    for (key, service) in entries.iter_mut().filter(|(_, service)| service.get("extends").is_some()) {
        if let Some(resolved) = resolver.service((0, key.text.clone())) {
            *service = resolved;
        }
    }
}

impl Resolver<'_, '_> {
    /// A service with all that it inherits.
    fn service(&mut self, first: Origin) -> Option<Node> {
        let mut chain = Vec::new();
        let resolved = self.chain(first, &mut chain);
        if resolved.is_none() {
            self.failed.extend(chain.into_iter().map(|(origin, ..)| origin));
        }
        resolved
    }

    /// As [`Resolver::service`]; `chain` is what the chain went through, so far as it went.
    fn chain(&mut self, first: Origin, chain: &mut Vec<(Origin, Node, Option<Place>)>) -> Option<Node> {
        // What is too large already is told, and is no project.
        if self.inherited > MAX_INHERITED {
            return None;
        }
        // The chain is walked first and merged then, without recursion: it may be long.
        let mut at = first;
        let mut resolved = loop {
            if let Some(node) = self.done.get(&at) {
                break node.clone();
            }
            if self.failed.contains(&at) {
                return None;
            }
            let node = self.written(&at)?;
            let Some(extends) = node.get("extends").filter(|extends| !extends.is_reset()) else { break node };
            let reference = self.reference(&at, extends);
            let Some(reference) = reference else {
                chain.push((at, node, None));
                return None;
            };
            let place = reference.place;
            chain.push((at.clone(), node, Some(place)));
            let next = self.base(&at, reference)?;
            if let Some(begin) = chain.iter().position(|(origin, ..)| *origin == next) {
                self.circle(&chain[begin..], &next);
                return None;
            }
            if chain.len() > MAX_CHAIN {
                let path = format!("services.{}.extends", at.1);
                self.files.findings.error(
                    place,
                    &path,
                    format!("more than {MAX_CHAIN} services in a row extend each other"),
                );
                return None;
            }
            at = next;
        };
        while let Some((origin, mut over, place)) = chain.pop() {
            self.inherited += resolved.size();
            if self.inherited > MAX_INHERITED {
                let path = format!("services.{}.extends", origin.1);
                let place = place.unwrap_or(over.place);
                self.files.findings.error(
                    place,
                    &path,
                    "what the services of this file extend makes it too large",
                );
                return None;
            }
            over.remove("extends");
            if resolved.is_null() {
                resolved = over;
            } else {
                let place = over.place;
                merge::extend(&origin.1, &mut resolved, over, self.files.findings);
                resolved.place = place;
            }
            self.done.insert(origin, resolved.clone());
        }
        Some(resolved)
    }

    /// A service as its file has it, with its variables replaced.
    fn written(&mut self, (file, name): &Origin) -> Option<Node> {
        let File { services, context, .. } = self.read.get(*file)?;
        let mut node = services.as_ref()?.get(name)?.clone();
        if *file > 0 && !self.files.findings.variables_stay {
            // Of another file only what is extended is read, so that what is wrong with the rest does not matter.
            let context = Rc::clone(context);
            interpolate::tree(&mut node, &format!("services.{name}"), &context.env, self.files.findings);
        }
        Some(node)
    }

    /// What `extends` says; `None`, with an error, where that is not understood.
    fn reference(&mut self, (_, name): &Origin, node: &Node) -> Option<Reference> {
        let mut reader = Reader::new(self.files.findings, format!("services.{name}.extends"));
        let Value::Map(entries) = &node.value else {
            let service = reader.string(node)?;
            return Some(Reference { service, place: node.place, file: None });
        };
        let (mut service, mut file) = (None, None);
        for (key, value) in entries {
            let mut reader = reader.at(&key.text);
            match key.text.as_str() {
                "service" => service = Some((reader.string(value)?, value.place)),
                "file" => file = Some((reader.string(value)?, value.place)),
                _ => reader.unknown(key, &["service", "file"]),
            }
        }
        let Some((service, place)) = service else {
            reader.error_with(node.place, "it does not say which service", "add `service: NAME`");
            return None;
        };
        Some(Reference { service, place, file })
    }

    /// Where the base of a service is; `None`, with an error, where there is none.
    fn base(&mut self, (from, name): &Origin, reference: Reference) -> Option<Origin> {
        let path = format!("services.{name}.extends");
        let file = match &reference.file {
            Some((file, place)) => self.open(*from, file, *place, &format!("{path}.file"))?,
            None => *from,
        };
        let services = self.read.get(file)?.services.as_ref()?;
        if services.contains_key(&reference.service) {
            return Some((file, reference.service));
        }
        let within = match self.read.get(file).and_then(|file| file.path.as_ref()) {
            Some(path) => format!(" in {}", path.display()),
            None => String::new(),
        };
        let message = format!("there is no service {:?}{within}", reference.service);
        let known = services.keys().map(String::as_str).filter(|known| known != name);
        let findings = &mut self.files.findings;
        match findings.meant(&reference.service, known) {
            Some(meant) => {
                findings.error_with(reference.place, &path, message, format!("did you mean {meant:?}?"))
            }
            None => findings.error(reference.place, &path, message),
        }
        None
    }

    /// The file of that name, which is read once.
    fn open(&mut self, from: usize, name: &str, place: Place, subject: &str) -> Option<usize> {
        let context = Rc::clone(&self.read.get(from)?.context);
        let mut text = name.to_owned();
        if self.files.findings.variables_stay {
            // The file must be found also where the variables stay as they are.
            let value = Value::Scalar { text, plain: false };
            let mut node = Node { value, place, tag: None };
            interpolate::tree(&mut node, subject, &context.env, self.files.findings);
            text = node.text().unwrap_or_default().to_owned();
        }
        let path = context.base().resolve(&text);
        let is_it = |file: &File| file.path.as_ref() == Some(&path);
        if let Some(index) = self.read.iter().position(is_it) {
            return self.read[index].services.is_some().then_some(index);
        }
        let context = Rc::new(context.beside(&path));
        let input = self.files.referred(&path, place, subject);
        let services = input.and_then(|input| self.files.tree(&input, &context)).map(|root| services(&root));
        let found = services.is_some();
        self.read.push(File { path: Some(path), services, context });
        found.then_some(self.read.len() - 1)
    }

    fn circle(&mut self, chain: &[(Origin, Node, Option<Place>)], again: &Origin) {
        let findings = &mut self.files.findings;
        let steps = chain.iter().map(|((_, name), node, place)| {
            format!("{name} ({})", findings.locate(place.unwrap_or(node.place)))
        });
        let steps: Vec<String> = steps.chain([again.1.clone()]).collect();
        let message = format!("services extend each other in a circle: {}", steps.join(" -> "));
        if let Some(((_, name), node, place)) = chain.last() {
            findings.error(place.unwrap_or(node.place), &format!("services.{name}.extends"), message);
        }
    }
}
