//! `deploy`: how many containers, how large, and what is said to Swarm.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    attribute::{Attribute, record, words},
    devices::DeviceRequest,
    quantity::{Bytes, Decimal, Limit, decimal, limit, size},
    read::Reader,
    service::scale,
    yaml::Node,
};

record! {
    /// How a service is deployed. The count is [`crate::Service::scale`].
    pub Deploy {
        /// `replicated` or `global`, which is Swarm's.
        "mode" pub mode: Option<String>,
        "replicas" pub(crate) replicas: Option<u32> = replicas,
        /// Labels of the service, not of its containers.
        "labels" pub labels: BTreeMap<String, String>,
        /// How an update goes.
        "update_config" pub update_config: Option<UpdateConfig>,
        /// How an update is undone.
        "rollback_config" pub rollback_config: Option<UpdateConfig>,
        /// What it may use, and what is kept for it.
        "resources" pub resources: Resources,
        /// When a container is started again.
        "restart_policy" pub restart_policy: Option<DeployRestart>,
        /// Which machines of a swarm it may be on.
        "placement" pub placement: Placement,
        /// `vip` or `dnsrr`, which is Swarm's.
        "endpoint_mode" pub endpoint_mode: Option<String>,
    }
}

fn replicas(reader: &mut Reader<'_>, node: &Node) -> Option<Option<u32>> {
    if node.is_null() { Some(None) } else { scale(reader, node).map(Some) }
}

words! {
    /// Which container is first when one takes the place of another.
    pub UpdateOrder {
        /// The new one starts, then the old one stops.
        StartFirst = "start-first",
        /// The old one stops, then the new one starts.
        StopFirst = "stop-first",
    }
}

record! {
    /// How containers take the place of others.
    pub UpdateConfig {
        /// So many at a time; 0 is all of them.
        "parallelism" pub parallelism: Option<u64>,
        /// The time between them.
        "delay" pub delay: Option<Duration> = some_time,
        /// What a failure leads to: `pause`, `continue` or `rollback`.
        "failure_action" pub failure_action: Option<String>,
        /// For so long a failure counts.
        "monitor" pub monitor: Option<Duration> = some_time,
        /// That part of them may fail.
        "max_failure_ratio" pub max_failure_ratio: Option<Decimal> = decimal,
        /// Which is first.
        "order" pub order: Option<UpdateOrder>,
    }
}

/// A duration of which 0 says nothing.
fn some_time(reader: &mut Reader<'_>, node: &Node) -> Option<Option<Duration>> {
    let found: Option<Duration> = Attribute::read(reader, node)?;
    Some(found.filter(|duration| !duration.is_zero()))
}

record! {
    /// What containers may use, and what is kept for them.
    pub Resources {
        /// At most that.
        "limits" pub limits: Option<ResourceLimits>,
        /// At least that.
        "reservations" pub reservations: Option<Reservations>,
    }
}

record! {
    /// At most that.
    pub ResourceLimits {
        /// CPUs.
        "cpus" pub cpus: Option<Decimal> = decimal,
        /// Memory.
        "memory" pub memory: Option<Bytes> = size,
        /// Processes.
        "pids" pub pids: Option<Limit> = limit,
    }
}

record! {
    /// At least that.
    pub Reservations {
        /// CPUs.
        "cpus" pub cpus: Option<Decimal> = decimal,
        /// Memory.
        "memory" pub memory: Option<Bytes> = size,
        /// Devices.
        "devices" pub devices: Vec<DeviceRequest> = devices,
        /// What a swarm's machines say that they have.
        "generic_resources" pub generic_resources: Vec<GenericResource>,
    }
}

fn devices(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<DeviceRequest>> {
    if let crate::yaml::Value::List(items) = &node.value {
        for (index, item) in items.iter().enumerate().filter(|(_, item)| item.get("capabilities").is_none()) {
            reader.item(index).error(item.place, "\"capabilities\" is missing");
        }
    }
    Attribute::read(reader, node)
}

record! {
    /// What a swarm's machines say that they have.
    pub GenericResource {
        /// So many of a kind.
        "discrete_resource_spec" pub discrete_resource_spec: Option<DiscreteResource>,
    }
}

record! {
    /// So many of a kind.
    pub DiscreteResource {
        /// The kind.
        "kind" pub kind: String,
        /// How many.
        "value" pub value: i64,
    }
}

record! {
    /// When a container is started again, in Swarm's words.
    pub DeployRestart {
        /// `none`, `on-failure` or `any`.
        "condition" pub condition: Option<String>,
        /// The time between tries.
        "delay" pub delay: Option<Duration>,
        /// So many tries.
        "max_attempts" pub max_attempts: Option<u64>,
        /// For so long it must run to have started.
        "window" pub window: Option<Duration>,
    }
}

record! {
    /// Which machines of a swarm a service may be on.
    pub Placement {
        /// What must hold of a machine, like `node.role==manager`.
        "constraints" pub constraints: Vec<String>,
        /// Over what containers are spread.
        "preferences" pub preferences: Vec<Preference>,
        /// So many on one machine.
        "max_replicas_per_node" pub max_replicas_per_node: Option<u64> = crate::attribute::nonzero,
    }
}

record! {
    /// Over what containers are spread.
    pub Preference {
        /// A label of the machines, like `node.labels.zone`.
        "spread" pub spread: Option<String>,
    }
}
