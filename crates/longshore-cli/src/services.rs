//! Services that were named on the command line, against those that there are.

use std::collections::{BTreeMap, BTreeSet};

use longshore::{Error, Project, ResourceKind, compose_file::Service};

use crate::{args::UpFlags, exit::Failure};

/// Refuses a name that is no service.
pub(crate) fn check<'a>(
    named: impl IntoIterator<Item = &'a String>,
    known: impl Fn(&str) -> bool,
) -> Result<(), Failure> {
    match named.into_iter().find(|name| !known(name)) {
        Some(name) => Err(Error::NotFound { kind: ResourceKind::Service, name: name.clone() }.into()),
        None => Ok(()),
    }
}

/// Refuses what `up` cannot do with the project, before anything is asked of an engine.
pub(crate) fn check_up(project: &Project, flags: &UpFlags) -> Result<(), Failure> {
    check_selected(project)?;
    check_scale(project, &flags.services, &flags.scale())
}

/// Refuses services that are not in the file, and more containers of one than it can have.
pub(crate) fn check_scale(
    project: &Project,
    named: &[String],
    scale: &BTreeMap<String, u32>,
) -> Result<(), Failure> {
    check(named.iter().chain(scale.keys()), |name| project.services.contains_key(name))?;
    for (name, count) in scale {
        if let Some((why, help)) = project.services.get(name).and_then(|service| obstacle(service, *count)) {
            return Err(Failure::Usage(format!("--scale {name}={count}: {why}"), Some(help.to_owned())));
        }
    }
    Ok(())
}

/// Refuses a project of which no service is enabled.
pub(crate) fn check_selected(project: &Project) -> Result<(), Failure> {
    if !project.services.is_empty() || project.disabled_services.is_empty() {
        return Ok(());
    }
    let profiles: BTreeSet<&str> = project
        .disabled_services
        .values()
        .flat_map(|service| service.profiles.iter().map(String::as_str))
        .collect();
    let flags: Vec<String> = profiles.iter().map(|profile| format!("--profile {profile}")).collect();
    Err(Failure::Usage(
        "no service selected: each belongs to a profile, and none of them is enabled".to_owned(),
        Some(format!("enable one ({}), or name a service", flags.join(", "))),
    ))
}

/// Why there cannot be so many containers of a service, and what to do about it.
fn obstacle(service: &Service, count: u32) -> Option<(String, &'static str)> {
    if count < 2 {
        return None;
    }
    if let Some(name) = &service.container_name {
        let why = format!("{count} containers cannot have one name, and its container_name is {name:?}");
        return Some((why, "take `container_name` away"));
    }
    let help = "publish a range, or leave the host port to the engine";
    service.ports.iter().filter_map(|port| port.published).find_map(|host| {
        let ports = u32::from(host.last() - host.first()) + 1;
        let why = match ports {
            1 => format!("{count} containers cannot all publish port {host} of the host"),
            fewer if fewer < count => {
                format!("{count} containers cannot share the {fewer} ports {host} of the host")
            }
            _ => return None,
        };
        Some((why, help))
    })
}

/// Help for a name that is no service.
pub(crate) fn help(name: &str, known: &BTreeSet<String>) -> Option<String> {
    if known.is_empty() {
        return None;
    }
    let nearest = known.iter().map(|other| (distance(name, other), other)).min();
    let meant = match nearest {
        Some((distance, other)) if distance <= 1 + name.chars().count() / 4 => {
            format!("did you mean {other:?}? ")
        }
        _ => String::new(),
    };
    let list: Vec<&str> = known.iter().map(String::as_str).collect();
    Some(format!("{meant}the services are {}", list.join(", ")))
}

/// How many letters must be added, left out or changed to make the one of the other. The same letters in another order
/// are one slip.
fn distance(a: &str, b: &str) -> usize {
    let sorted = |word: &str| {
        let mut letters: Vec<char> = word.chars().collect();
        letters.sort_unstable();
        letters
    };
    if a != b && sorted(a) == sorted(b) {
        return 1;
    }
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, right) in b.iter().enumerate() {
            let changed = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_near_name_is_suggested() {
        let known = ["db", "web", "worker"].map(str::to_owned).into();
        assert_eq!(
            help("wbe", &known),
            Some("did you mean \"web\"? the services are db, web, worker".to_owned())
        );
        assert_eq!(help("nginx", &known), Some("the services are db, web, worker".to_owned()));
        assert_eq!(
            help("wen", &known),
            Some("did you mean \"web\"? the services are db, web, worker".to_owned())
        );
        assert_eq!(
            help("wrker", &known),
            Some("did you mean \"worker\"? the services are db, web, worker".to_owned())
        );
        assert_eq!(help("x", &BTreeSet::new()), None);
        assert_eq!((distance("", "abc"), distance("kitten", "sitting")), (3, 3));
    }
}
