//! From a tree to a project: what every part means without saying it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Condition, Dependency, MountSource, MountsOwner, Namespace, Network, NetworkMode, Project, Service,
    ServiceNetwork,
    attribute::Attribute,
    config_hash,
    findings::Findings,
    grant,
    read::Reader,
    resource, scalar,
    service::{self, Entries},
    yaml::{Key, Node},
};

const TOP: &[&str] =
    &["name", "version", "services", "networks", "volumes", "configs", "secrets", "models", "include"];

/// More services than any engine could run.
const MAX_SERVICES: usize = 100_000;

/// Reads a whole tree into a project, and tells where the entries of its services' lists stand.
pub(crate) fn read(
    project: &mut Project,
    root: &Node,
    profiles: &BTreeSet<String>,
    findings: &mut Findings,
) -> BTreeMap<String, Entries> {
    let name = project.name.to_string();
    let mut declared: BTreeMap<String, Network> = BTreeMap::new();
    let mut reader = Reader::new(findings, "");
    let (mut services, mut places) = (Vec::new(), BTreeMap::new());
    for (key, value) in reader.entries(root) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "name" | "include" => {}
            "version" => reader.warning(key.place, "it is obsolete and ignored"),
            "services" => {
                for (key, value) in keyed(&mut reader, value, "service") {
                    if services.len() == MAX_SERVICES {
                        reader.error(key.place, format!("a project of more than {MAX_SERVICES} services"));
                        break;
                    }
                    // Its variables are those of the file that begins it.
                    let context = reader.findings.context(key.place);
                    let file = service::read(&mut reader.at(&key.text), &name, &key.text, value, &context);
                    services.push(file.service);
                    places.insert(key.text.clone(), file.entries);
                }
            }
            "networks" => {
                for (key, value) in keyed(&mut reader, value, "network") {
                    kept(&mut reader.at(&key.text), &["networks", &key.text], value, |reader| {
                        let network = resource::network(reader, &name, &key.text, value);
                        declared.insert(key.text.clone(), network);
                    });
                }
            }
            "volumes" => {
                for (key, value) in keyed(&mut reader, value, "volume") {
                    kept(&mut reader.at(&key.text), &["volumes", &key.text], value, |reader| {
                        let volume = resource::volume(reader, &name, &key.text, value);
                        project.volumes.insert(key.text.clone(), volume);
                    });
                }
            }
            "configs" | "secrets" => {
                let (kind, is_config) = (key.text.as_str(), key.text == "configs");
                let objects = if is_config { &mut project.configs } else { &mut project.secrets };
                for (key, value) in keyed(&mut reader, value, if is_config { "config" } else { "secret" }) {
                    kept(&mut reader.at(&key.text), &[kind, &key.text], value, |reader| {
                        let object = grant::object(reader, is_config, &name, &key.text, value);
                        objects.insert(key.text.clone(), object);
                    });
                }
            }
            "models" => {
                for (key, value) in keyed(&mut reader, value, "model") {
                    kept(&mut reader.at(&key.text), &["models", &key.text], value, |reader| {
                        let model = Attribute::read(reader, value);
                        project.models.extend(model.map(|model| (key.text.clone(), model)));
                    });
                }
            }
            other if other.starts_with("x-") => {
                project.extensions.insert(other.to_owned(), scalar::value(value));
            }
            _ if value.get("image").or(value.get("build")).is_some() => {
                let message = format!("{:?} is a service, and stands outside of `services:`", key.text);
                reader.error_with(key.place, message, "indent it");
            }
            _ => reader.unknown(key, TOP),
        }
    }
    if services.is_empty() && !findings.has_errors() {
        let help = "add one under `services:`";
        findings.error_with(root.place, "services", "the project has no service", help);
    }
    let mut used = BTreeSet::new();
    for mut service in services {
        imply(&mut service, project.variables_stay);
        service.config_hash = config_hash(&service);
        let enabled = service.profiles.is_empty()
            || profiles.contains("*")
            // As in docker compose, one without a name is enabled where no other is.
            || (profiles.is_empty() && service.profiles.iter().any(String::is_empty))
            || service.profiles.iter().any(|profile| profiles.contains(profile));
        if enabled {
            used.extend(service.networks.keys().cloned());
            project.services.insert(service.name.clone(), service);
        } else {
            project.disabled_services.insert(service.name.clone(), service);
        }
    }
    if used.contains("default") {
        let name = format!("{name}_default");
        declared.entry("default".to_owned()).or_insert_with(|| Network { name, ..Network::default() });
    }
    // A network that nobody uses is not made.
    declared.retain(|key, _| used.contains(key));
    project.networks = declared;
    places
}

/// As [`Findings::or_keep`], for a reader.
fn kept(reader: &mut Reader<'_>, path: &[&str], node: &Node, read: impl FnOnce(&mut Reader<'_>)) {
    let place = reader.path.clone();
    reader.findings.or_keep(path, node, |findings| read(&mut Reader::new(findings, place)));
}

/// The entries of a mapping whose keys are names.
fn keyed<'n>(reader: &mut Reader<'_>, node: &'n Node, kind: &str) -> Vec<&'n (Key, Node)> {
    let mut out = Vec::new();
    for entry in reader.entries(node) {
        let key = &entry.0;
        let good = !key.text.is_empty()
            && key.text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
        if key.text.starts_with("x-") && kind != "service" {
            continue;
        }
        // One that is refused is there all the same, or who uses it would be told that it is not.
        out.push(entry);
        if !good {
            let message =
                format!("{:?} cannot name a {kind}: use letters, digits, '.', '_' and '-'", key.text);
            reader.error(key.place, message);
        }
    }
    out
}

/// A dependency that another attribute implies.
pub(crate) struct Implied<'s> {
    pub(crate) service: &'s str,
    /// The attribute.
    pub(crate) attribute: &'static str,
    /// Whether the dependent is restarted with it.
    restart: bool,
}

/// On whom a service depends without saying it in `depends_on`: on those by whose names it calls others, and whose network,
/// namespaces and mounts it shares.
pub(crate) fn implied(service: &Service) -> Vec<Implied<'_>> {
    let mut all: Vec<Implied<'_>> = Vec::new();
    let mut add = |service, attribute, restart| all.push(Implied { service, attribute, restart });
    for link in &service.links {
        add(&link.name, "links", true);
    }
    if let Some(NetworkMode::Service(name)) = &service.network_mode {
        add(name, "network_mode", true);
    }
    for (attribute, namespace) in [("ipc", &service.ipc), ("pid", &service.pid), ("uts", &service.uts)] {
        if let Some(Namespace::Service(name)) = namespace {
            add(name, attribute, true);
        }
    }
    for from in &service.volumes_from {
        if let MountsOwner::Service(name) = &from.owner {
            add(name, "volumes_from", false);
        }
    }
    all
}

/// Adds what a service means without saying it: the default network, and what it depends on.
fn imply(service: &mut Service, variables_stay: bool) {
    if service.networks.is_empty() && service.network_mode.is_none() && service.provider.is_none() {
        service.networks.insert("default".to_owned(), ServiceNetwork::default());
    }
    let needed: Vec<(String, bool)> =
        implied(service).into_iter().map(|one| (one.service.to_owned(), one.restart)).collect();
    // A name that a variable hides is nobody's.
    for (name, restart) in needed.into_iter().filter(|(name, _)| !(variables_stay && name.contains('$'))) {
        let dependency = Dependency { condition: Condition::ServiceStarted, restart, required: true };
        service.depends_on.entry(name).or_insert(dependency);
    }
}

/// Leaves out volumes, configs and secrets that no service has: nobody makes them.
pub(crate) fn drop_unused(project: &mut Project) {
    let services = project.services.values();
    let mut volumes = BTreeSet::new();
    let (mut configs, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    for service in services {
        volumes.extend(service.volumes.iter().filter_map(|mount| match &mount.source {
            MountSource::Volume { key, .. } => Some(key.clone()),
            _ => None,
        }));
        configs.extend(service.configs.iter().map(|grant| grant.source.clone()));
        let of_build = service.build.iter().flat_map(|build| &build.secrets);
        secrets.extend(service.secrets.iter().chain(of_build).map(|grant| grant.source.clone()));
    }
    project.volumes.retain(|key, _| volumes.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
}
