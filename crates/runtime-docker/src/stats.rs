//! What containers use, by the counters that the engine tells.

use std::collections::{BTreeMap, BTreeSet};

use bollard::{
    Docker,
    errors::Error as Bollard,
    models::{ContainerCpuStats, ContainerMemoryStats, ContainerStatsResponse},
    query_parameters::StatsOptionsBuilder,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use runtime_core::{ContainerId, ResourceKind, Result, Usage, Usages};

use crate::failure::{Asked, Peer, explain};

/// What is told of one container; `None` is its end.
type Samples = BoxStream<'static, (ContainerId, Option<Result<ContainerStatsResponse, Bollard>>)>;

/// The containers that are looked at, each told by itself.
struct Looking {
    samples: SelectAll<Samples>,
    peer: Peer,
    left: BTreeSet<ContainerId>,
    newest: BTreeMap<ContainerId, Usage>,
    /// Of which something was told since all were.
    fresh: BTreeSet<ContainerId>,
}

/// Tells of all of them each time when something new is known of each.
pub(crate) fn follow(docker: &Docker, peer: Peer, ids: &[ContainerId]) -> Usages {
    let each = ids.iter().map(|id| {
        let query = StatsOptionsBuilder::new().stream(true).build();
        let (told, ended) = (id.clone(), id.clone());
        let samples = docker.stats(&id.0, Some(query)).map(move |sample| (told.clone(), Some(sample)));
        samples.chain(stream::once(async move { (ended, None) })).boxed()
    });
    let looking = Looking {
        samples: each.collect(),
        peer,
        left: ids.iter().cloned().collect(),
        newest: BTreeMap::new(),
        fresh: BTreeSet::new(),
    };
    let usages = stream::unfold(Some(looking), |looking| async move {
        let mut looking = looking?;
        match looking.next().await? {
            Ok(usages) => Some((Ok(usages), Some(looking))),
            Err(error) => Some((Err(error), None)),
        }
    });
    usages.boxed()
}

impl Looking {
    async fn next(&mut self) -> Option<Result<BTreeMap<ContainerId, Usage>>> {
        loop {
            let (id, sample) = self.samples.next().await?;
            match sample {
                Some(Err(error)) => {
                    let operation = "look what is used by";
                    let asked = Asked { operation, kind: ResourceKind::Container, name: &id.0 };
                    return Some(Err(explain(&error, asked, &self.peer)));
                }
                // Docker goes on telling nothing of what has ended.
                Some(Ok(sample)) if has_ended(&sample) => self.end(&id),
                Some(Ok(sample)) => {
                    if let Some(usage) = usage(&sample)
                        && self.left.contains(&id)
                    {
                        self.newest.insert(id.clone(), usage);
                        self.fresh.insert(id);
                    }
                }
                None => self.end(&id),
            }
            if self.left.is_empty() {
                return None;
            }
            if self.fresh.is_superset(&self.left) {
                self.fresh.clear();
                return Some(Ok(self.newest.clone()));
            }
        }
    }

    fn end(&mut self, id: &ContainerId) {
        self.left.remove(id);
        self.newest.remove(id);
        self.fresh.remove(id);
    }
}

fn has_ended(sample: &ContainerStatsResponse) -> bool {
    let processes = sample.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default();
    let memory = sample.memory_stats.as_ref().and_then(|memory| memory.usage).unwrap_or_default();
    processes == 0 && memory == 0
}

/// What the counters say, as Docker's command line reads them. `None` when nothing was told before, to which processors' time
/// could be compared.
fn usage(sample: &ContainerStatsResponse) -> Option<Usage> {
    let cpu_percent = cpu_percent(sample.precpu_stats.as_ref()?, sample.cpu_stats.as_ref()?)?;
    let mut usage = Usage { cpu_percent, ..Usage::default() };
    if let Some(memory) = &sample.memory_stats {
        usage.memory = memory_used(memory);
        usage.memory_limit = memory.limit.unwrap_or_default();
    }
    for network in sample.networks.iter().flat_map(|networks| networks.values()) {
        usage.net_in += network.rx_bytes.unwrap_or_default();
        usage.net_out += network.tx_bytes.unwrap_or_default();
    }
    let blocks = sample.blkio_stats.as_ref().and_then(|all| all.io_service_bytes_recursive.as_ref());
    for entry in blocks.into_iter().flatten() {
        let bytes = entry.value.unwrap_or_default();
        match entry.op.as_deref().map(str::to_ascii_lowercase).as_deref() {
            Some("read") => usage.block_in += bytes,
            Some("write") => usage.block_out += bytes,
            _ => {}
        }
    }
    usage.pids = sample.pids_stats.as_ref().and_then(|pids| pids.current).unwrap_or_default();
    Some(usage)
}

fn cpu_percent(before: &ContainerCpuStats, now: &ContainerCpuStats) -> Option<f64> {
    let used = |stats: &ContainerCpuStats| stats.cpu_usage.as_ref().and_then(|usage| usage.total_usage);
    let passed = now.system_cpu_usage?.checked_sub(before.system_cpu_usage?)?;
    let used = used(now)?.saturating_sub(used(before).unwrap_or_default());
    let listed = now.cpu_usage.as_ref().and_then(|usage| usage.percpu_usage.as_ref()).map_or(0, Vec::len);
    let processors = now.online_cpus.map_or(listed as f64, f64::from);
    Some(if passed == 0 { 0.0 } else { used as f64 / passed as f64 * processors * 100.0 })
}

/// Without what is only a cache, as far as the engine tells: the first version of cgroups has another name for it than the
/// second.
fn memory_used(memory: &ContainerMemoryStats) -> u64 {
    let usage = memory.usage.unwrap_or_default();
    let stats = memory.stats.iter();
    let cache =
        stats.flat_map(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")));
    let cache = cache.copied().next().unwrap_or_default();
    if cache < usage { usage - cache } else { usage }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(text: &str) -> ContainerStatsResponse {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn counters_are_read_as_dockers_command_line_reads_them() {
        let sample = sample(
            r#"{"pids_stats":{"current":3},
            "blkio_stats":{"io_service_bytes_recursive":[{"op":"Read","value":5},{"op":"write","value":7},{"op":"Total","value":12}]},
            "cpu_stats":{"cpu_usage":{"total_usage":300,"percpu_usage":[1,2]},"system_cpu_usage":2000,"online_cpus":2},
            "precpu_stats":{"cpu_usage":{"total_usage":100},"system_cpu_usage":1000},
            "memory_stats":{"usage":1000,"limit":4000,"stats":{"total_inactive_file":400,"inactive_file":100}},
            "networks":{"eth0":{"rx_bytes":10,"tx_bytes":20},"eth1":{"rx_bytes":1,"tx_bytes":2}}}"#,
        );
        let usage = usage(&sample).unwrap();
        assert_eq!(
            usage,
            Usage {
                cpu_percent: 40.0,
                memory: 600,
                memory_limit: 4000,
                net_in: 11,
                net_out: 22,
                block_in: 5,
                block_out: 7,
                pids: 3
            }
        );
        assert!(!has_ended(&sample));
    }

    #[test]
    fn the_first_sample_says_nothing_of_processors_and_an_ended_container_nothing() {
        let first = r#"{"pids_stats":{"current":1},"cpu_stats":{"cpu_usage":{"total_usage":3},"system_cpu_usage":20},
            "precpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{"usage":1}}"#;
        assert_eq!(usage(&sample(first)), None);
        // Docker 20.10's, shortened.
        let ended = r#"{"read":"0001-01-01T00:00:00Z","pids_stats":{},"cpu_stats":{"cpu_usage":{"total_usage":0}},
            "precpu_stats":{"cpu_usage":{"total_usage":0}},"memory_stats":{}}"#;
        assert!(has_ended(&sample(ended)));
    }
}
