//! How some of a service was written where that makes no other container: docker compose prints it, and hashes it.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Healthcheck, MountSource, Port};

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Written {
    /// `restart: "no"`, which is what no word means too.
    pub(crate) restart_no: bool,
    /// `test: [NONE]` where `disable: true` says the same.
    pub(crate) test_none: bool,
    /// What is said of a healthcheck that is switched off.
    pub(crate) disabled: Option<Healthcheck>,
    /// `healthcheck: {}`, which says nothing.
    pub(crate) empty_healthcheck: bool,
    /// `pull_policy: missing`, which is what no word means too.
    pub(crate) pull_missing: bool,
    /// `scale: 1`, which no word means too, or `scale` beside a deployment.
    pub(crate) scale: bool,
    /// No `image`: it is called after the project and the service.
    pub(crate) image_implied: bool,
    /// The `consistency` of mounts, by the path inside.
    pub(crate) consistency: BTreeMap<String, String>,
    /// What ports have besides what they are.
    pub(crate) ports: BTreeMap<Port, PortWords>,
    /// The entries of `tmpfs`, by the path inside.
    pub(crate) tmpfs: BTreeMap<String, String>,
    /// The paths inside of mounts whose block (`bind`, `volume`, `tmpfs`) is there or not against the habit of
    /// [`has_block`].
    pub(crate) unusual: BTreeSet<String>,
}

/// The words of a port that are Swarm's, or for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct PortWords {
    pub(crate) name: Option<String>,
    pub(crate) app_protocol: Option<String>,
    /// `mode: host`, in place of `ingress`.
    pub(crate) host_mode: bool,
    /// `published: 0`, in place of nothing.
    pub(crate) zero: bool,
}

/// Whether a mount is written with the block of its type where nobody said how: as the short form does.
pub(crate) fn has_block(source: &MountSource) -> bool {
    !matches!(
        source,
        MountSource::Tmpfs { size: None, mode: None }
            | MountSource::Image { subpath: None, .. }
            | MountSource::NamedPipe { .. }
            | MountSource::Cluster { .. }
    )
}
