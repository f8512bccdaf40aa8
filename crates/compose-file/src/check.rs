//! What must hold across a whole project: references, cycles, ports that two want.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
};

use crate::{
    Condition, HostPort, MountSource, NetworkMode, Project, Protocol, Service, Severity,
    findings::{Findings, Place, Spot},
    grammar, normalize,
    service::Entries,
    yaml::{Node, Value},
};

/// The nodes that things came from, to point at.
pub(crate) struct Places<'a> {
    root: &'a Node,
    /// The services of the root: a mapping would be searched for each.
    services: HashMap<&'a str, (Place, &'a Node)>,
    /// By service.
    entries: &'a BTreeMap<String, Entries>,
}

impl<'a> Places<'a> {
    pub(crate) fn new(root: &'a Node, entries: &'a BTreeMap<String, Entries>) -> Self {
        let services = match root.get("services").map(|node| &node.value) {
            Some(Value::Map(entries)) => {
                entries.iter().map(|(key, node)| (key.text.as_str(), (key.place, node))).collect()
            }
            _ => HashMap::new(),
        };
        Self { root, services, entries }
    }

    /// The node at a path of mappings.
    fn node(&self, path: &[&str]) -> Option<&Node> {
        let (from, path) = match path {
            ["services", name, rest @ ..] => (self.services.get(name)?.1, rest),
            _ => (self.root, path),
        };
        path.iter().try_fold(from, |node, part| node.get(part))
    }

    /// Where an entry of a service's list stands: the list's key for an entry that no file has.
    fn entry(&self, service: &str, list: &str, index: usize) -> Spot {
        let found = self.entries.get(service).and_then(|entries| match list {
            "ports" => entries.ports.get(index),
            _ => entries.volumes.get(index),
        });
        found.cloned().unwrap_or_else(|| Spot {
            place: self.find(&["services", service, list]),
            path: format!("services.{service}.{list}"),
        })
    }

    /// Where a service says that it depends on another, and in which attribute: what is wrong with a dependency that something
    /// implies is wrong with that.
    fn dependency(&self, service: &Service, name: &str) -> (&'static str, Place) {
        let list = ["services", &service.name, "depends_on"];
        let written = self.find(&["services", &service.name, "depends_on", name]);
        let implying = normalize::implied(service).into_iter().find(|one| one.service == name);
        let Some(one) = implying.filter(|_| written == self.find(&list)) else {
            return ("depends_on", written);
        };
        let node = self.node(&["services", &service.name, one.attribute]);
        let is_it = |item: &&Node| item.text().is_some_and(|text| text.split(':').next() == Some(name));
        let item = match node.map(|node| &node.value) {
            Some(Value::List(items)) => items.iter().find(is_it),
            _ => None,
        };
        (one.attribute, item.or(node).map_or(written, |node| node.place))
    }

    /// The place of a name in a list of names, or of mappings with a `source`, at a path or below it.
    fn granted(&self, path: &[&str], name: &str) -> Place {
        let is_it = |item: &&Node| item.text().or_else(|| item.get("source")?.text()) == Some(name);
        let node = self.node(path);
        let list = node.map(|node| node.get("secrets").unwrap_or(node));
        match list.map(|node| &node.value) {
            Some(Value::List(items)) => {
                items.iter().find(is_it).map_or_else(|| self.find(path), |item| item.place)
            }
            _ => self.find(&[path, &[name]].concat()),
        }
    }

    /// The place of the deepest node on a path that is there.
    fn find(&self, path: &[&str]) -> Place {
        let (mut node, mut place, mut path) = (self.root, self.root.place, path);
        if let ["services", name, rest @ ..] = path
            && let Some((key, service)) = self.services.get(name)
        {
            (node, place, path) = (service, *key, rest);
        }
        for part in path {
            let Value::Map(entries) = &node.value else {
                if let Value::List(items) = &node.value {
                    let is_part =
                        |item: &&Node| matches!(&item.value, Value::Scalar { text, .. } if text == part);
                    return items.iter().find(is_part).map_or(place, |item| item.place);
                }
                return place;
            };
            let Some((key, value)) = entries.iter().find(|(key, _)| key.text == *part) else { return place };
            place = key.place;
            node = value;
        }
        place
    }
}

pub(crate) fn check(project: &Project, places: &Places<'_>, findings: &mut Findings) {
    for service in project.services.values() {
        references(project, service, places, findings);
        container_name(project, service, places, findings);
    }
    cycles(project, places, findings);
    ports(project, places, findings);
    names(project, places, findings);
}

fn references(project: &Project, service: &Service, places: &Places<'_>, findings: &mut Findings) {
    if findings.is_full(Severity::Error) {
        return;
    }
    let path = format!("services.{}", service.name);
    for (name, dependency) in &service.depends_on {
        let at = || {
            let (attribute, place) = places.dependency(service, name);
            (attribute, place, format!("{path}.{attribute}"))
        };
        if let Some(needed) = project.services.get(name) {
            if needed.name == service.name {
                let (_, place, path) = at();
                findings.error(place, &path, "a service cannot depend on itself");
            }
            let unchecked =
                needed.healthcheck.as_ref().is_some_and(|check| check.test == Some(crate::HealthTest::None));
            if dependency.condition == Condition::ServiceHealthy && unchecked {
                let (_, place, path) = at();
                let message =
                    format!("it waits for {name:?} to be healthy, whose healthcheck is switched off");
                findings.error(place, &path, message);
            }
        } else if let Some(disabled) = project.disabled_services.get(name) {
            if dependency.required {
                let (attribute, place, path) = at();
                let message = format!(
                    "service {name:?} is left out by its profiles ({})",
                    disabled.profiles.join(", ")
                );
                let profile = disabled.profiles.first().map_or("", String::as_str);
                let or = if attribute == "depends_on" { ", or set `required: false`" } else { "" };
                let help = format!("enable it with --profile {profile}{or}");
                findings.error_with(place, &path, message, help);
            }
        } else if dependency.required {
            let (_, place, path) = at();
            unknown(findings, place, &path, "service", name, project.services.keys());
        }
    }
    for name in service.networks.keys().filter(|name| !project.networks.contains_key(*name)) {
        let place = places.find(&["services", &service.name, "networks", name]);
        // Those that nobody uses are not in the project.
        let declared = match places.root.get("networks").map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.as_slice(),
            _ => &[],
        };
        let known = declared.iter().map(|(key, _)| &key.text);
        unknown(findings, place, &format!("{path}.networks"), "network", name, known);
    }
    granted(project, service, places, findings);
    let mut targets = BTreeSet::new();
    for (index, mount) in service.volumes.iter().enumerate() {
        let spot = || places.entry(&service.name, "volumes", index);
        if let MountSource::Volume { key, .. } = &mount.source
            && !project.volumes.contains_key(key)
        {
            let Spot { place, path } = spot();
            unknown(findings, place, &path, "volume", key, project.volumes.keys());
        }
        if !targets.insert(&mount.target) {
            let Spot { place, path } = spot();
            findings.error(place, &path, format!("two mounts at {:?}", mount.target));
        }
    }
}

/// Secrets, configs and models that a service has are there.
fn granted(project: &Project, service: &Service, places: &Places<'_>, findings: &mut Findings) {
    let of_build = service.build.iter().flat_map(|build| &build.secrets);
    let grants = [
        ("secrets", "secret", service.secrets.iter().map(|grant| &grant.source).collect::<Vec<_>>()),
        ("build", "secret", of_build.map(|grant| &grant.source).collect()),
        ("configs", "config", service.configs.iter().map(|grant| &grant.source).collect()),
        ("models", "model", service.models.keys().collect()),
    ];
    for (attribute, kind, names) in grants {
        let is_known = |name: &String| match kind {
            "secret" => project.secrets.contains_key(name),
            "config" => project.configs.contains_key(name),
            _ => project.models.contains_key(name),
        };
        // An empty name is one that could not be read, which is told.
        for name in names.into_iter().filter(|name| !name.is_empty() && !is_known(name)) {
            let path = ["services", &service.name, attribute];
            let place = places.granted(&path, name);
            let known: Vec<&String> = match kind {
                "secret" => project.secrets.keys().collect(),
                "config" => project.configs.keys().collect(),
                _ => project.models.keys().collect(),
            };
            unknown(findings, place, &path.join("."), kind, name, known.into_iter());
        }
    }
}

fn unknown<'a>(
    findings: &mut Findings,
    place: Place,
    path: &str,
    kind: &str,
    name: &str,
    known: impl Iterator<Item = &'a String>,
) {
    if findings.partial || (findings.variables_stay && name.contains('$')) {
        return;
    }
    let message = format!("there is no {kind} {name:?}");
    match (findings.meant(name, known.map(String::as_str)), kind) {
        (Some(meant), _) => findings.error_with(place, path, message, format!("did you mean {meant:?}?")),
        (None, "service") => findings.error(place, path, message),
        (None, kind) => {
            findings.error_with(place, path, message, format!("declare it under the top-level `{kind}s:`"))
        }
    }
}

/// The longest name of a container that engines take.
const MAX_NAME: usize = 255;

fn container_name(project: &Project, service: &Service, places: &Places<'_>, findings: &mut Findings) {
    let name = match &service.container_name {
        Some(name) => name.clone(),
        None => format!("{}-{}-{}", project.name, service.name, service.scale.max(1)),
    };
    if name.len() > MAX_NAME {
        let path: &[&str] = match service.container_name {
            Some(_) => &["services", &service.name, "container_name"],
            None => &["services", &service.name],
        };
        let message =
            format!("the name of its container has {} characters, more than {MAX_NAME}", name.len());
        findings.error(places.find(path), &path.join("."), message);
    }
    if service.container_name.is_some() && service.scale > 1 {
        let place = places.find(&["services", &service.name, "container_name"]);
        let message = format!("{} containers cannot have one name", service.scale);
        findings.error(place, &format!("services.{}.container_name", service.name), message);
    }
}

/// Finds one cycle, if there is any, without recursion: a chain may be long.
fn cycles(project: &Project, places: &Places<'_>, findings: &mut Findings) {
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for root in project.services.keys() {
        let mut path: Vec<(&str, Vec<&String>)> = Vec::new();
        let mut on_path: HashMap<&str, usize> = HashMap::new();
        let mut enter = Some(root.as_str());
        loop {
            if let Some(name) = enter.take() {
                if let Some(&begin) = on_path.get(name) {
                    let mut names: Vec<&str> = path[begin..].iter().map(|(name, _)| *name).collect();
                    names.push(name);
                    if names.len() > 2 {
                        let last = project.services.get(names[names.len() - 2]);
                        let place =
                            last.map_or(places.root.place, |service| places.dependency(service, name).1);
                        let message =
                            format!("services depend on each other in a circle: {}", names.join(" -> "));
                        findings.error(place, "", message);
                    }
                    return;
                }
                if !done.contains(name)
                    && let Some(service) = project.services.get(name)
                {
                    on_path.insert(name, path.len());
                    path.push((name, service.depends_on.keys().filter(|needed| **needed != name).collect()));
                }
            }
            let Some((name, left)) = path.last_mut() else { break };
            match left.pop() {
                Some(next) => enter = Some(next),
                None => {
                    done.insert(name);
                    on_path.remove(name);
                    path.pop();
                }
            }
        }
    }
}

/// The services that publish a port of the host, each with the first one at an address; no address is all of them.
#[derive(Default)]
struct Users<'a> {
    first: Option<&'a str>,
    by_address: HashMap<Option<IpAddr>, &'a str>,
}

impl<'a> Users<'a> {
    /// Who is in the way of one at that address.
    fn overlapping(&self, address: Option<IpAddr>) -> Option<&'a str> {
        match address {
            None => self.first,
            Some(_) => self.by_address.get(&address).or_else(|| self.by_address.get(&None)).copied(),
        }
    }
}

fn ports(project: &Project, places: &Places<'_>, findings: &mut Findings) {
    let mut taken: HashMap<(u16, Protocol), Users<'_>> = HashMap::new();
    let publishes = |service: &&Service| {
        service.scale > 0 && matches!(service.network_mode, None | Some(NetworkMode::Bridge))
    };
    for service in project.services.values().filter(publishes) {
        for (index, port) in service.ports.iter().enumerate() {
            let Some(host) = port.published.and_then(HostPort::only) else { continue };
            let spot = || places.entry(&service.name, "ports", index);
            if service.scale > 1 {
                let Spot { place, path } = spot();
                let message =
                    format!("{} containers cannot all publish port {} of the host", service.scale, host);
                findings.error_with(
                    place,
                    &path,
                    message,
                    "publish a range, or leave the host port to the engine",
                );
                continue;
            }
            let users = taken.entry((host, port.protocol)).or_default();
            // An address that is none is all of them.
            let address = port.host_ip.filter(|address| !address.is_unspecified());
            if let Some(other) = users.overlapping(address) {
                let who = if other == service.name {
                    "twice by this service".to_owned()
                } else {
                    format!("by service {other:?} too")
                };
                let Spot { place, path } = spot();
                findings.error(
                    place,
                    &path,
                    format!("port {}/{} of the host is published {who}", host, port.protocol.as_str()),
                );
            }
            users.first.get_or_insert(&service.name);
            users.by_address.entry(address).or_insert(&service.name);
        }
    }
}

fn names(project: &Project, places: &Places<'_>, findings: &mut Findings) {
    let networks = project.networks.iter().map(|(key, network)| ("networks", key, &network.name));
    let volumes = project.volumes.iter().map(|(key, volume)| ("volumes", key, &volume.name));
    for (kind, key, name) in networks.chain(volumes) {
        let (good, rule) = match kind {
            "networks" => (grammar::network(name), grammar::NETWORK_RULE),
            _ => (grammar::container_or_volume(name), grammar::NAME_RULE),
        };
        if good || (project.variables_stay && name.contains('$')) {
            continue;
        }
        let written = [vec![kind, key, "name"], vec![kind, key, "external", "name"]];
        let node = written.iter().find_map(|path| places.node(path));
        let place = node.map_or_else(|| places.find(&[kind, key]), |node| node.place);
        let path = format!("{kind}.{key}{}", if node.is_some() { ".name" } else { "" });
        findings.error_with(place, &path, format!("{name:?} is a name that no engine takes"), rule);
    }
    let mut containers: BTreeMap<&str, &str> = BTreeMap::new();
    for service in project.services.values() {
        if let Some(name) = &service.container_name
            && let Some(other) = containers.insert(name, &service.name)
        {
            let place = places.find(&["services", &service.name, "container_name"]);
            let message = format!("service {other:?} has the container name {name:?} too");
            findings.error(place, &format!("services.{}.container_name", service.name), message);
        }
    }
}
