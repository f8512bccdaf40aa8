//! Devices, and the limits of those that hold files.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    attribute::{Attribute, nonzero, record},
    quantity::{Bytes, Count, Limit},
    read::Reader,
    yaml::{self, Node},
};

/// A device of the host that is there inside too.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Device {
    /// Its path on the host, or its name by the Container Device Interface (`vendor.com/class=name`).
    pub source: String,
    /// Its path inside.
    pub target: String,
    /// What may be done with it: letters of `rwm`; `None` is all.
    pub permissions: Option<String>,
}

record! {
    /// The long form.
    LongDevice needs ["source"] {
        /// As of [`Device`].
        "source" pub source: String,
        /// As of [`Device`].
        "target" pub target: Option<String>,
        /// As of [`Device`].
        "permissions" pub permissions: Option<String>,
    }
}

impl Attribute for Device {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        let device = if matches!(node.value, yaml::Value::Map(_)) {
            let long = LongDevice::read(reader, node)?;
            let target = long.target.unwrap_or_else(|| long.source.clone());
            Self { source: long.source, target, permissions: long.permissions }
        } else {
            let text = reader.string(node)?;
            let parts: Vec<&str> = text.split(':').collect();
            let (source, target, permissions) = match parts.as_slice() {
                [source] => (*source, *source, "rwm"),
                [source, target] => (*source, *target, "rwm"),
                [source, target, permissions] => (*source, *target, *permissions),
                _ => return reader.wrong(node, "a device, like /dev/sda:/dev/xvda:rwm"),
            };
            Self {
                source: source.to_owned(),
                target: target.to_owned(),
                permissions: Some(permissions.to_owned()),
            }
        };
        if let Some(letters) = &device.permissions
            && reader.is_whole(letters)
            && (letters.is_empty() || letters.contains(|c| !matches!(c, 'r' | 'w' | 'm')))
        {
            reader.error_with(
                node.place,
                format!("{letters:?} are not permissions of a device"),
                "use letters of rwm",
            );
        }
        Some(device)
    }

    fn show(&self) -> Value {
        let mut entries = json!({ "source": self.source, "target": self.target });
        if let Some(permissions) = &self.permissions {
            entries["permissions"] = json!(permissions);
        }
        entries
    }
}

record! {
    /// Devices that the engine chooses, graphic cards mostly.
    pub DeviceRequest {
        /// What they must be able to, like `gpu`.
        "capabilities" pub capabilities: Vec<String>,
        /// Whose they are, like `nvidia`.
        "driver" pub driver: Option<String>,
        /// How many.
        "count" pub count: Option<Count>,
        /// Which of them, by name.
        "device_ids" pub device_ids: Vec<String>,
        /// What is said to the driver.
        "options" pub options: BTreeMap<String, String>,
    }
}

impl DeviceRequest {
    /// As it is meant: all, where neither a count nor names are given.
    pub(crate) fn normalize(&mut self) {
        if self.count.is_none() && self.device_ids.is_empty() {
            self.count = Some(Count::All);
        }
    }
}

/// `gpus`: a list, or the word `all`.
pub(crate) fn gpus(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<DeviceRequest>> {
    match node.text() {
        Some("all") => Some(vec![DeviceRequest { count: Some(Count::All), ..DeviceRequest::default() }]),
        Some(_) if !node.is_null() => reader.wrong(node, "all, or a list"),
        _ => Attribute::read(reader, node),
    }
}

record! {
    /// Limits of devices that hold files.
    pub BlkioConfig {
        /// The share of what there is, 10 to 1000.
        "weight" pub weight: Option<u32> = nonzero,
        /// The share of one device.
        "weight_device" pub weight_device: Vec<BlkioWeight>,
        /// Bytes a second that are read.
        "device_read_bps" pub device_read_bps: Vec<BlkioRate>,
        /// Reads a second.
        "device_read_iops" pub device_read_iops: Vec<BlkioRate>,
        /// Bytes a second that are written.
        "device_write_bps" pub device_write_bps: Vec<BlkioRate>,
        /// Writes a second.
        "device_write_iops" pub device_write_iops: Vec<BlkioRate>,
    }
}

record! {
    /// The share of one device.
    pub BlkioWeight {
        /// The device, like `/dev/sda`.
        "path" pub path: String,
        /// Its share, 10 to 1000.
        "weight" pub weight: u32,
    }
}

record! {
    /// The rate of one device.
    pub BlkioRate {
        /// The device, like `/dev/sda`.
        "path" pub path: String,
        /// So much a second.
        "rate" pub rate: Bytes,
    }
}

/// A limit of each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ulimit {
    /// One that no process can raise.
    Both(Limit),
    /// One that a process can raise itself.
    Apart {
        /// What holds.
        soft: Limit,
        /// To what it can be raised.
        hard: Limit,
    },
}

impl Attribute for Ulimit {
    fn read(reader: &mut Reader<'_>, node: &Node) -> Option<Self> {
        if !matches!(node.value, yaml::Value::Map(_)) {
            return Limit::read(reader, node).map(Self::Both);
        }
        let (mut soft, mut hard) = (None, None);
        for (key, value) in reader.entries(node) {
            let mut reader = reader.at(&key.text);
            match key.text.as_str() {
                "soft" => soft = Some(Limit::read(&mut reader, value)?),
                "hard" => hard = Some(Limit::read(&mut reader, value)?),
                _ => reader.unknown(key, &["soft", "hard"]),
            }
        }
        match (soft, hard) {
            (Some(soft), Some(hard)) => Some(Self::Apart { soft, hard }),
            _ => {
                reader.error(node.place, "a limit needs both \"soft\" and \"hard\"");
                None
            }
        }
    }

    fn show(&self) -> Value {
        match self {
            Self::Both(limit) => limit.show(),
            Self::Apart { soft, hard } => json!({ "soft": soft.show(), "hard": hard.show() }),
        }
    }
}
