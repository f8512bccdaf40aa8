//! The labels of `docker compose`, by which it sees our projects and we see its, and ours besides.
//!
//! Seen on docker compose 2.26: a container without [`CONFIG_HASH`] is in none of its lists, and one without
//! [`ONEOFF`] is left behind by its `down`.

use compose_file::{Condition, ProjectName};

/// The label of a project's things as engines' filters name it.
pub fn of_project(project: &ProjectName) -> String {
    format!("{PROJECT}={project}")
}

/// The project's name.
pub const PROJECT: &str = "com.docker.compose.project";
/// The service's name.
pub const SERVICE: &str = "com.docker.compose.service";
/// The version of the program that made it.
pub const VERSION: &str = "com.docker.compose.version";
/// Which replica it is, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// Whether it is a run of `run` (`True`) or of `up` (`False`).
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// On a run of `run`: the number that is its alone.
pub const SLUG: &str = "com.docker.compose.slug";
/// The hash of what it was made from.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// The image's id when it was made.
pub const IMAGE: &str = "com.docker.compose.image";
/// What it depends on: `dep:condition:restart`, joined by commas.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The project's folder.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The project's files, absolute, joined by commas.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// On a container that replaces another: the id of that one.
pub const REPLACE: &str = "com.docker.compose.replace";
/// On a network: its key in the file.
pub const NETWORK: &str = "com.docker.compose.network";
/// On a volume: its key in the file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// Which program of ours owns it; everything that we make carries it.
pub const OWNER: &str = "io.longshore.owner";
/// On a container of ours: a short hash for each attribute that its service says something of, so that a plan can name what changed.
pub const PARTS: &str = "io.longshore.config-parts";

/// Whether a label is docker compose's or ours, and no user's.
pub(crate) fn is_own(name: &str) -> bool {
    name.starts_with("com.docker.compose.") || name.starts_with("io.longshore.")
}

/// A service that a container's label [`DEPENDS_ON`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needed<'a> {
    /// Its name.
    pub service: &'a str,
    /// What is waited for.
    pub condition: Condition,
    /// Whether both are restarted together.
    pub restart: bool,
}

/// What a label [`DEPENDS_ON`] says, in its order. A condition that is not known is that of `docker compose` without one.
pub fn depends_on(label: &str) -> impl Iterator<Item = Needed<'_>> {
    label.split(',').filter_map(|part| {
        let mut fields = part.split(':').map(str::trim);
        let service = fields.next().filter(|name| !name.is_empty())?;
        let condition = match fields.next() {
            Some("service_healthy") => Condition::ServiceHealthy,
            Some("service_completed_successfully") => Condition::ServiceCompletedSuccessfully,
            _ => Condition::ServiceStarted,
        };
        Some(Needed { service, condition, restart: fields.next() == Some("true") })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_names_what_is_needed() {
        let needed = |service, condition, restart| Needed { service, condition, restart };
        let all: Vec<Needed<'_>> =
            depends_on("db:service_healthy:true,a:service_started:false,b,,c:odd").collect();
        assert_eq!(
            all,
            [
                needed("db", Condition::ServiceHealthy, true),
                needed("a", Condition::ServiceStarted, false),
                needed("b", Condition::ServiceStarted, false),
                needed("c", Condition::ServiceStarted, false),
            ]
        );
        assert_eq!(depends_on("").count(), 0);
    }
}
