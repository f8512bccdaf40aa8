//! The labels of `docker compose`, by which it sees our projects and we see its, and ours besides.
//!
//! Seen on docker compose 2.26: a container without [`CONFIG_HASH`] is in none of its lists, and one without
//! [`ONEOFF`] is left behind by its `down`.

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
/// On a container of ours: a short hash for each attribute it was made from, so that a plan can name what changed.
pub const PARTS: &str = "io.longshore.config-parts";
