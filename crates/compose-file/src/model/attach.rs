//! What a service is attached to: ports of the host, files, networks.

use std::{collections::BTreeMap, path::PathBuf};

use serde::Serialize;

use crate::attribute::words;

/// One published port.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Port {
    /// The port inside, 1 to 65535.
    pub target: u16,
    /// The port on the host; `None` lets the engine choose.
    pub published: Option<HostPort>,
    /// The host's address; `None` is every one.
    pub host_ip: Option<std::net::IpAddr>,
    /// The protocol.
    pub protocol: Protocol,
}

impl Port {
    /// A port of the container, published at one of the engine's choice on every address of the host.
    pub fn new(target: u16, protocol: Protocol) -> Self {
        Self { target, published: None, host_ip: None, protocol }
    }
}

/// A port, or a range of which the engine takes one that is free; none is 0. Shown as `8080` or `8080-8081`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostPort {
    first: u16,
    last: u16,
}

impl HostPort {
    /// The ports from `first` to `last`, with both of them; `None` when there are none, or when one is 0.
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (0 < first && first <= last).then_some(Self { first, last })
    }

    /// The first port that may be taken.
    pub fn first(self) -> u16 {
        self.first
    }

    /// The last one.
    pub fn last(self) -> u16 {
        self.last
    }

    /// The port where there is no choice; `None` for a range.
    pub fn only(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.only() {
            Some(port) => write!(f, "{port}"),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// One mount of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// The absolute path inside.
    pub target: String,
    /// Whether writing is refused.
    pub read_only: bool,
}

impl Mount {
    /// A mount that can be written to, at an absolute path inside.
    pub fn new(source: MountSource, target: impl Into<String>) -> Self {
        Self { source, target: target.into(), read_only: false }
    }
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum MountSource {
    /// A volume of the project, by its key in [`Project::volumes`](crate::Project::volumes).
    Volume {
        /// The key.
        key: String,
        /// Whether the image's files are not copied into a new volume.
        nocopy: bool,
        /// The folder of the volume that is shown, in place of all of it.
        subpath: Option<String>,
        /// Labels of a volume that is made for it.
        labels: BTreeMap<String, String>,
    },
    /// A volume without a name, which goes with its container.
    Anonymous,
    /// A file or folder of the host.
    Bind {
        /// Its absolute path.
        path: PathBuf,
        /// Whether a missing folder is made, as the short form does.
        create_host_path: bool,
        /// How mounts beneath propagate (`rprivate`, `rshared`, …), as written.
        propagation: Option<String>,
        /// The SELinux relabelling, `z` or `Z`.
        selinux: Option<char>,
        /// Whether mounts beneath come too.
        recursive: Option<Recursive>,
    },
    /// Memory.
    Tmpfs {
        /// At most that many bytes.
        size: Option<u64>,
        /// Permission bits, like `0o1777`.
        mode: Option<u32>,
    },
    /// The files of an image.
    Image {
        /// The image.
        image: String,
        /// The folder of it that is shown, in place of all of it.
        subpath: Option<String>,
    },
    /// A named pipe, on Windows.
    NamedPipe {
        /// Its path, as written.
        path: String,
    },
    /// A volume of a swarm, by its key or by `group:` and its group's name.
    Cluster {
        /// The key.
        key: String,
    },
}

words! {
    /// Whether mounts beneath a bind mount come too.
    pub Recursive {
        /// They do, and are read-only as the mount is where the kernel can do that.
        Enabled = "enabled",
        /// They do not.
        Disabled = "disabled",
        /// They do, and may be written to though the mount is read-only.
        Writable = "writable",
        /// They do, and are read-only, or the mount fails.
        Readonly = "readonly",
    }
}

/// How a service is on a network.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ServiceNetwork {
    /// Names by which it is found there, besides its service name.
    pub aliases: Vec<String>,
    /// A fixed address.
    pub ipv4_address: Option<std::net::Ipv4Addr>,
    /// A fixed address.
    pub ipv6_address: Option<std::net::Ipv6Addr>,
    /// Addresses that are good on the link alone.
    pub link_local_ips: Vec<String>,
    /// A fixed hardware address.
    pub mac_address: Option<String>,
    /// Options of the network's driver.
    pub driver_opts: BTreeMap<String, String>,
    /// The network with the highest is connected first.
    pub priority: i64,
    /// The network with the highest has the default gateway.
    pub gw_priority: i64,
    /// The interface's name inside.
    pub interface_name: Option<String>,
    /// Whether it is written as a mapping though nothing is in it.
    pub(crate) block: bool,
}

/// What stands in for networks.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NetworkMode {
    /// The host's own network.
    Host,
    /// No network.
    None,
    /// The engine's default bridge.
    Bridge,
    /// The network of another service's container.
    Service(String),
    /// The network of a container by name or id.
    Container(String),
    /// A network of the engine by its name there, or a word that is one engine's own.
    Other(String),
}
