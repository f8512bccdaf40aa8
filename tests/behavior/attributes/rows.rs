//! The table: an attribute a row, and what comes of it on Podman, Docker, Docker's API over Podman, and the mock.

use super::{
    Comes::{self, Inside, Kept, NotHere, Refused, Shown, Since, Taken, Warned},
    Elsewhere, Place, Row,
};

pub(super) const HEAD: &str = "\
# Attributes

What comes of each attribute of the Compose Specification's schema. *Applied*: the engine itself shows it. *Taken*: the engine takes it and
shows nothing of it. *Refused*: `up`, `create` and `run` fail before
anything is made, and name service and attribute. *Warned*: it is done without, and told. Where engines are of different versions, the
oldest that are supported are meant (Podman 4.3, Docker 20.10), and what newer ones add is said. The table is that of
`tests/behavior/attributes`, and `LONGSHORE_BLESS=1 cargo test -p longshore-tests --test behavior -- attributes` writes it.

| attribute | Podman | Docker | Docker's API over Podman | mock | tested by | difference |
|---|---|---|---|---|---|---|
";

/// Rows of what version 2 of the kernel's control groups does not have.
pub(super) const NEEDS_CGROUP_1: &[&str] =
    &["mem_swappiness", "oom_kill_disable", "cpu_rt", "device_cgroup_rules"];

type Four = (Comes, Comes, Comes, Comes);

const fn row(
    name: &'static str,
    attributes: &'static [&'static str],
    text: &'static str,
    (podman, docker, over, mock): Four,
    note: &'static str,
) -> Row {
    Row { name, attributes, text, seen: Place::Container, podman, docker, over, mock, note }
}

/// The same on all engines, and how the mock keeps it.
const fn all(at: &'static str, value: &'static str, kept: &'static str) -> Four {
    (Shown(at, value), Shown(at, value), Shown(at, value), Kept(kept))
}

/// As Docker shows it; Podman has other names for it, but over Docker's API.
const fn docker_like(
    at: &'static str,
    podman: &'static str,
    docker: &'static str,
    kept: &'static str,
) -> Four {
    (Shown(at, podman), Shown(at, docker), Shown(at, docker), Kept(kept))
}

/// What engines leave out where the kernel does not have it.
const fn knows_weight(_at: &'static str, _value: &'static str, kept: &'static str) -> Four {
    (Taken, Taken, Taken, Kept(kept))
}

/// What Podman can only where a program of its own is installed.
const fn has_init(at: &'static str, value: &'static str, kept: &'static str) -> Four {
    (NotHere("container-init"), Shown(at, value), NotHere("container-init"), Kept(kept))
}

/// Another value as Podman shows it.
const fn two(at: &'static str, podman: &'static str, docker: &'static str, kept: &'static str) -> Four {
    (Shown(at, podman), Shown(at, docker), Shown(at, podman), Kept(kept))
}

const fn refused(words: &'static str) -> Four {
    (Refused(words), Refused(words), Refused(words), Refused(words))
}

const fn warned(words: &'static str) -> Four {
    (Warned(words), Warned(words), Warned(words), Warned(words))
}

const fn network(
    name: &'static str,
    attributes: &'static [&'static str],
    text: &'static str,
    (podman, docker, over, mock): Four,
    note: &'static str,
) -> Row {
    Row { name, attributes, text, seen: Place::Network, podman, docker, over, mock, note }
}

pub(super) const ROWS: &[Row] = &[
    row(
        "annotations",
        &["S/annotations"],
        "annotations: {com.example.a: b}",
        (
            Shown("/Config/Annotations", r#"{"com.example.a": "b"}"#),
            Comes::Warned("annotations"),
            Warned("annotations"),
            Kept(r#"annotations: {"com.example.a": "b"}"#),
        ),
        "Docker has them from 24 on",
    ),
    row(
        "blkio_rates",
        &[
            "S/blkio_config",
            "S/blkio_config/device_read_bps/**",
            "S/blkio_config/device_read_iops/**",
            "S/blkio_config/device_write_bps/**",
            "S/blkio_config/device_write_iops/**",
        ],
        "blkio_config:\n  device_read_bps: [{path: /dev/vda, rate: 12mb}]\n  device_read_iops: [{path: /dev/vda, rate: 120}]\n  device_write_bps: [{path: /dev/vda, rate: 1024k}]\n  device_write_iops: [{path: /dev/vda, rate: 30}]",
        all(
            "/HostConfig",
            r#"{"BlkioDeviceReadBps": [{"Path": "/dev/vda", "Rate": 12582912}], "BlkioDeviceReadIOps": [{"Path": "/dev/vda", "Rate": 120}], "BlkioDeviceWriteBps": [{"Path": "/dev/vda", "Rate": 1048576}], "BlkioDeviceWriteIOps": [{"Path": "/dev/vda", "Rate": 30}]}"#,
            r#"device_read_bps: [BlkioRate { path: "/dev/vda", rate: Bytes(12582912) }]"#,
        ),
        "",
    ),
    row(
        "blkio_weight",
        &["S/blkio_config/weight", "S/blkio_config/weight_device/**"],
        "blkio_config: {weight: 300, weight_device: [{path: /dev/vda, weight: 400}]}",
        knows_weight(
            "/HostConfig",
            r#"{"BlkioWeight": 300, "BlkioWeightDevice": [{"Path": "/dev/vda", "Weight": 400}]}"#,
            "weight: Some(300)",
        ),
        "the kernel must have it",
    ),
    row(
        "cap_add",
        &["S/cap_add"],
        "cap_add: [NET_ADMIN]",
        docker_like(
            "/HostConfig/CapAdd",
            r#"["CAP_NET_ADMIN"]"#,
            r#"["NET_ADMIN"]"#,
            r#"cap_add: ["NET_ADMIN"]"#,
        ),
        "",
    ),
    row(
        "cap_drop",
        &["S/cap_drop"],
        "cap_drop: [CHOWN]",
        docker_like("/HostConfig/CapDrop", r#"["CAP_CHOWN"]"#, r#"["CHOWN"]"#, r#"cap_drop: ["CHOWN"]"#),
        "",
    ),
    row(
        "cgroup",
        &["S/cgroup"],
        "cgroup: host",
        (
            Shown("/HostConfig/CgroupMode", r#""host""#),
            Shown("/HostConfig/CgroupnsMode", r#""host""#),
            Taken,
            Kept("cgroup: Some(Host)"),
        ),
        "",
    ),
    row(
        "cgroup_parent",
        &["S/cgroup_parent"],
        "cgroup_parent: /longshore-tests",
        all(
            "/HostConfig/CgroupParent",
            r#""/longshore-tests""#,
            r#"cgroup_parent: Some("/longshore-tests")"#,
        ),
        "",
    ),
    row(
        "command",
        &["S/command"],
        "command: [sleep, --x]",
        all("/Config/Cmd", r#"["sleep", "--x"]"#, r#"command: Some(["sleep", "--x"])"#),
        "",
    ),
    row(
        "cpu_count",
        &["S/cpu_count"],
        "cpu_count: 2",
        (Warned("cpu_count"), Warned("cpu_count"), Warned("cpu_count"), Kept("cpu_count: Some(2)")),
        "only Windows has it",
    ),
    row(
        "cpu_percent",
        &["S/cpu_percent"],
        "cpu_percent: 50",
        (Warned("cpu_percent"), Warned("cpu_percent"), Warned("cpu_percent"), Kept("cpu_percent: Some(50)")),
        "only Windows has it",
    ),
    row(
        "cpu_period",
        &["S/cpu_period", "S/cpu_quota"],
        "cpu_period: 50000\ncpu_quota: 25000",
        all(
            "/HostConfig",
            r#"{"CpuPeriod": 50000, "CpuQuota": 25000}"#,
            "cpu_period: Some(50000), cpu_quota: Some(25000)",
        ),
        "",
    ),
    row(
        "cpu_rt",
        &["S/cpu_rt_period", "S/cpu_rt_runtime"],
        "cpu_rt_period: 1000000\ncpu_rt_runtime: 950000",
        all(
            "/HostConfig",
            r#"{"CpuRealtimePeriod": 1000000, "CpuRealtimeRuntime": 950000}"#,
            "cpu_rt_period: Some(1000000), cpu_rt_runtime: Some(950000)",
        ),
        "the kernel must have it",
    ),
    row(
        "cpu_shares",
        &["S/cpu_shares"],
        "cpu_shares: 512",
        all("/HostConfig/CpuShares", "512", "cpu_shares: Some(512)"),
        "",
    ),
    row(
        "cpus",
        &["S/cpus"],
        "cpus: 0.5",
        all("/HostConfig/NanoCpus", "500000000", "cpus: Some(Decimal { nanos: 500000000 })"),
        "",
    ),
    row(
        "cpuset",
        &["S/cpuset"],
        "cpuset: '0'",
        all("/HostConfig/CpusetCpus", r#""0""#, r#"cpuset: Some("0")"#),
        "",
    ),
    row(
        "credential_spec",
        &["S/credential_spec/**"],
        "credential_spec: {file: spec.json}",
        (
            Refused("credential_spec"),
            Refused("credential_spec"),
            Refused("credential_spec"),
            Kept(r#"file: Some("#),
        ),
        "only Windows has it",
    ),
    row(
        "deploy_ignored",
        &[
            "S/deploy",
            "S/deploy/endpoint_mode",
            "S/deploy/labels",
            "S/deploy/mode",
            "S/deploy/placement/**",
            "S/deploy/rollback_config/**",
            "S/deploy/update_config/**",
            "S/deploy/resources/reservations/cpus",
            "S/deploy/resources/reservations/generic_resources/**",
            "S/deploy/restart_policy/delay",
            "S/deploy/restart_policy/window",
        ],
        "deploy: {placement: {constraints: [node.role==manager]}, update_config: {parallelism: 1}, endpoint_mode: vip}",
        warned("deploy.placement is Swarm's"),
        "Swarm's; docker compose ignores it in silence",
    ),
    row(
        "deploy_limits",
        &[
            "S/deploy/resources",
            "S/deploy/resources/limits/**",
            "S/deploy/resources/reservations",
            "S/deploy/resources/reservations/memory",
        ],
        "cpus: 1\nmem_limit: 1g\nmem_reservation: 8m\npids_limit: 9\ndeploy: {resources: {limits: {cpus: '0.25', memory: 64m, pids: 50}, reservations: {memory: 32m}}}",
        all(
            "/HostConfig",
            r#"{"NanoCpus": 250000000, "Memory": 67108864, "MemoryReservation": 33554432, "PidsLimit": 50}"#,
            "memory: Some(67108864), memory_reservation: Some(33554432)",
        ),
        "wins over cpus, mem_limit, mem_reservation and pids_limit, as in docker compose",
    ),
    row(
        "deploy_devices",
        &["S/deploy/resources/reservations/devices/**"],
        "deploy: {resources: {reservations: {devices: [{capabilities: [tpu], driver: acme, count: 1}]}}}",
        (
            Refused("deploy.resources.reservations.devices"),
            Shown(
                "/HostConfig/DeviceRequests",
                r#"[{"Driver": "acme", "Count": 1, "Capabilities": [["tpu"]]}]"#,
            ),
            Refused("deploy.resources.reservations.devices"),
            Kept(r#"capabilities: ["tpu"]"#),
        ),
        "Podman finds graphic cards of NVIDIA alone, as `gpus`",
    ),
    row(
        "deploy_restart",
        &[
            "S/deploy/restart_policy",
            "S/deploy/restart_policy/condition",
            "S/deploy/restart_policy/max_attempts",
        ],
        "restart: always\ndeploy: {restart_policy: {condition: on-failure, max_attempts: 3}}",
        all(
            "/HostConfig/RestartPolicy",
            r#"{"Name": "on-failure", "MaximumRetryCount": 3}"#,
            "OnFailure(Some(3))",
        ),
        "wins over restart",
    ),
    row(
        "device_cgroup_rules",
        &["S/device_cgroup_rules"],
        "device_cgroup_rules: ['c 1:11 mr']",
        (
            Inside("/sys/fs/cgroup/devices/devices.list", "c 1:11 rm"),
            Shown("/HostConfig/DeviceCgroupRules", r#"["c 1:11 mr"]"#),
            Refused("device_cgroup_rules"),
            Kept("c 1:11 mr"),
        ),
        "",
    ),
    row(
        "devices",
        &["S/devices/**"],
        "devices: [{source: /dev/null, target: /dev/nothing, permissions: rw}]",
        all(
            "/HostConfig/Devices",
            r#"[{"PathOnHost": "/dev/null", "PathInContainer": "/dev/nothing"}]"#,
            r#"target: "/dev/nothing""#,
        ),
        "",
    ),
    row(
        "dns",
        &["S/dns"],
        "dns: [192.0.2.53]",
        all("/HostConfig/Dns", r#"["192.0.2.53"]"#, r#"servers: ["192.0.2.53"]"#),
        "",
    ),
    row(
        "dns_opt",
        &["S/dns_opt"],
        "dns_opt: ['ndots:3']",
        all("/HostConfig/DnsOptions", r#"["ndots:3"]"#, r#"options: ["ndots:3"]"#),
        "",
    ),
    row(
        "dns_search",
        &["S/dns_search"],
        "dns_search: [example.com]",
        all("/HostConfig/DnsSearch", r#"["example.com"]"#, r#"search: ["example.com"]"#),
        "",
    ),
    row(
        "domainname",
        &["S/domainname"],
        "domainname: example.com",
        (
            Refused("domainname"),
            Shown("/Config/Domainname", r#""example.com""#),
            Refused("domainname"),
            Kept(r#"domainname: Some("example.com")"#),
        ),
        "",
    ),
    row(
        "entrypoint",
        &["S/entrypoint"],
        "entrypoint: [/fixture, sleep]",
        (
            Shown("/Config/Entrypoint", r#""/fixture sleep""#),
            Shown("/Config/Entrypoint", r#"["/fixture", "sleep"]"#),
            Shown("/Config/Entrypoint", r#"["/fixture", "sleep"]"#),
            Kept(r#"entrypoint: Some(["/fixture", "sleep"])"#),
        ),
        "",
    ),
    row(
        "expose",
        &["S/expose"],
        "expose: ['8081', 8082/udp]",
        (
            Shown("/NetworkSettings/Ports", r#"{"8081/tcp": null, "8082/udp": null}"#),
            Shown("/Config/ExposedPorts", r#"{"8081/tcp": {}, "8082/udp": {}}"#),
            Shown("/Config/ExposedPorts", r#"{"8081/tcp": {}, "8082/udp": {}}"#),
            Kept(r#"expose: ["8081", "8082/udp"]"#),
        ),
        "",
    ),
    row(
        "external_links",
        &["S/external_links"],
        "external_links: ['other:db']",
        (
            Refused("external_links"),
            Shown("/NetworkSettings/Networks/{p}_default/Links", r#"["other:db"]"#),
            Refused("external_links"),
            Kept(r#"alias: "db""#),
        ),
        "Podman finds others by their own names alone",
    ),
    row(
        "extra_hosts",
        &["S/extra_hosts"],
        "extra_hosts: ['db=192.0.2.7']",
        all("/HostConfig/ExtraHosts", r#"["db:192.0.2.7"]"#, r#"extra_hosts: [("db", "192.0.2.7")]"#),
        "",
    ),
    row(
        "gpus",
        &["S/gpus/**"],
        "gpus: all",
        (
            NotHere("nvidia.com/gpu"),
            Shown("/HostConfig/DeviceRequests", r#"[{"Count": -1, "Capabilities": [["gpu"]]}]"#),
            Refused("deploy.resources.reservations.devices"),
            Kept(r#"capabilities: ["gpu"]"#),
        ),
        "on Podman the names that NVIDIA's toolkit gives cards by CDI",
    ),
    row(
        "group_add",
        &["S/group_add"],
        "group_add: ['1234']",
        all("/HostConfig/GroupAdd", r#"["1234"]"#, r#"group_add: ["1234"]"#),
        "",
    ),
    row(
        "start_interval",
        &["S/healthcheck/start_interval"],
        "healthcheck: {test: [CMD, /fixture, health], start_period: 30s, start_interval: 5s}",
        (
            Warned("healthcheck.start_interval"),
            Since((1, 44), "needs Docker 25", "/Config/Healthcheck/StartInterval", "5000000000"),
            Warned("healthcheck.start_interval"),
            Kept("start_interval: Some(5s)"),
        ),
        "Podman checks at `interval` alone; while `up` waits it looks at it",
    ),
    row(
        "healthcheck",
        &[
            "S/healthcheck",
            "S/healthcheck/interval",
            "S/healthcheck/retries",
            "S/healthcheck/start_period",
            "S/healthcheck/test",
            "S/healthcheck/timeout",
        ],
        "healthcheck: {test: [CMD, /fixture, health], interval: 7s, timeout: 2s, retries: 4, start_period: 9s}",
        all(
            "/Config/Healthcheck",
            r#"{"Interval": 7000000000, "Timeout": 2000000000, "Retries": 4, "StartPeriod": 9000000000}"#,
            "interval: Some(7s), timeout: Some(2s), retries: Some(4), start_period: Some(9s)",
        ),
        "",
    ),
    row(
        "healthcheck_disable",
        &["S/healthcheck/disable"],
        "healthcheck: {disable: true}",
        all("/Config/Healthcheck/Test", r#"["NONE"]"#, "test: Some(None)"),
        "",
    ),
    row(
        "hostname",
        &["S/hostname"],
        "hostname: h.example",
        all("/Config/Hostname", r#""h.example""#, r#"hostname: Some("h.example")"#),
        "",
    ),
    row("init", &["S/init"], "init: true", has_init("/HostConfig/Init", "true", "init: Some(true)"), ""),
    row(
        "ipc",
        &["S/ipc"],
        "ipc: host",
        (Taken, Shown("/HostConfig/IpcMode", r#""host""#), Taken, Kept("ipc: Some(Host)")),
        "",
    ),
    row(
        "ipc_of_a_service",
        &[],
        "services:\n  a: {image: 'localhost/longshore-fixture:1', command: [sleep], ipc: shareable}\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], ipc: 'service:a'}\n",
        all("/HostConfig/IpcMode", r#""container:ID(a-1)""#, "ipc: Some(Container("),
        "",
    ),
    row(
        "isolation",
        &["S/isolation"],
        "isolation: hyperv",
        (Refused("isolation"), Refused("isolation"), Refused("isolation"), Kept("hyperv")),
        "only Windows has it; `default` is taken",
    ),
    row(
        "links",
        &["S/links"],
        "services:\n  a: {image: 'localhost/longshore-fixture:1', command: [sleep], links: ['web:db']}\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep]}\n",
        (
            Shown("/NetworkSettings/Networks/{p}_default/Aliases", r#"["db"]"#),
            Shown("/NetworkSettings/Networks/{p}_default/Aliases", r#"["db"]"#),
            Shown("/NetworkSettings/Networks/{p}_default/Aliases", r#"["db"]"#),
            Kept(r#""db""#),
        ),
        "an alias of the other service for all on its networks, from when that one is created",
    ),
    row(
        "logging",
        &["S/logging/**"],
        "logging: {driver: json-file, options: {max-size: 1m}}",
        (
            Shown("/HostConfig/LogConfig", r#"{"Type": "json-file"}"#),
            Shown("/HostConfig/LogConfig", r#"{"Type": "json-file", "Config": {"max-size": "1m"}}"#),
            Shown("/HostConfig/LogConfig", r#"{"Type": "json-file"}"#),
            Kept(r#"driver: Some("json-file")"#),
        ),
        "Podman has json-file, k8s-file, journald, none and passthrough, and refuses others",
    ),
    row(
        "logging_driver_of_docker",
        &[],
        "logging: {driver: syslog}",
        (
            Refused("logging.driver"),
            Shown("/HostConfig/LogConfig/Type", r#""syslog""#),
            Refused("logging.driver"),
            Kept("syslog"),
        ),
        "",
    ),
    row(
        "mac_address",
        &["S/mac_address"],
        "mac_address: 92:d0:c6:0a:29:33",
        (
            Inside("/sys/class/net/eth0/address", "92:d0:c6:0a:29:33"),
            Since((1, 44), "needs Docker 25", "", "{}"),
            Inside("/sys/class/net/eth0/address", "92:d0:c6:0a:29:33"),
            Kept(r#"mac_address: Some("92:d0:c6:0a:29:33")"#),
        ),
        "",
    ),
    row(
        "mem_limit",
        &["S/mem_limit", "S/mem_reservation", "S/memswap_limit"],
        "mem_limit: 64m\nmem_reservation: 32m\nmemswap_limit: 128m",
        all(
            "/HostConfig",
            r#"{"Memory": 67108864, "MemoryReservation": 33554432, "MemorySwap": 134217728}"#,
            "memory: Some(67108864)",
        ),
        "",
    ),
    row(
        "mem_swappiness",
        &["S/mem_swappiness"],
        "mem_swappiness: 10",
        all("/HostConfig/MemorySwappiness", "10", "swappiness: Some(10)"),
        "version 2 of control groups has none",
    ),
    row(
        "models",
        &["/models/**", "S/models/**"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', models: [m]}\nmodels: {m: {model: ai/x}}\n",
        refused("models"),
        "",
    ),
    row(
        "network_mode",
        &["S/network_mode"],
        "network_mode: none",
        all("/HostConfig/NetworkMode", r#""none""#, "network_mode: Some(None)"),
        "",
    ),
    row(
        "oom_kill_disable",
        &["S/oom_kill_disable"],
        "oom_kill_disable: true\nmem_limit: 64m",
        all("/HostConfig/OomKillDisable", "true", "oom_kill_disable: true"),
        "version 2 of control groups has none",
    ),
    row(
        "oom_score_adj",
        &["S/oom_score_adj"],
        "oom_score_adj: 500",
        all("/HostConfig/OomScoreAdj", "500", "oom_score_adj: 500"),
        "",
    ),
    row("pid", &["S/pid"], "pid: host", all("/HostConfig/PidMode", r#""host""#, "pid: Some(Host)"), ""),
    row(
        "pids_limit",
        &["S/pids_limit"],
        "pids_limit: 77",
        all("/HostConfig/PidsLimit", "77", "pids: Some(At(77))"),
        "",
    ),
    row(
        "platform",
        &["S/platform"],
        "platform: linux/amd64",
        (Taken, Shown("/Platform", r#""linux""#), Taken, Kept(r#"platform: Some("linux/amd64")"#)),
        "an image is pulled for the engine's own platform",
    ),
    row(
        "privileged",
        &["S/privileged"],
        "privileged: true",
        all("/HostConfig/Privileged", "true", "privileged: true"),
        "",
    ),
    row(
        "provider",
        &["S/provider/**"],
        "services:\n  web: {provider: {type: x}}\n",
        refused("a provider"),
        "",
    ),
    row(
        "read_only",
        &["S/read_only"],
        "read_only: true",
        all("/HostConfig/ReadonlyRootfs", "true", "read_only: true"),
        "",
    ),
    row(
        "runtime",
        &["S/runtime"],
        "runtime: runc",
        (
            Shown("/OCIRuntime", r#""runc""#),
            Shown("/HostConfig/Runtime", r#""runc""#),
            Refused("runtime"),
            Kept(r#"runtime: Some("runc")"#),
        ),
        "refused for a Podman on another computer",
    ),
    row(
        "security_opt",
        &["S/security_opt"],
        "security_opt: ['no-new-privileges:true']",
        (
            Shown("/HostConfig/SecurityOpt", r#"["no-new-privileges"]"#),
            Shown("/HostConfig/SecurityOpt", r#"["no-new-privileges=true"]"#),
            Shown("/HostConfig/SecurityOpt", r#"["no-new-privileges"]"#),
            Kept("no-new-privileges=true"),
        ),
        "",
    ),
    row(
        "seccomp_profile",
        &[],
        "security_opt: ['seccomp:seccomp.json']",
        (
            Inside("/proc/self/status", "Seccomp:\t2"),
            Inside("/proc/self/status", "Seccomp:\t2"),
            Inside("/proc/self/status", "Seccomp:\t2"),
            Kept("seccomp=/"),
        ),
        "",
    ),
    row(
        "shm_size",
        &["S/shm_size"],
        "shm_size: 128m",
        all("/HostConfig/ShmSize", "134217728", "shm_size: Some(134217728)"),
        "",
    ),
    row(
        "stdin_open",
        &["S/stdin_open"],
        "stdin_open: true",
        all("/Config/OpenStdin", "true", "stdin_open: true"),
        "",
    ),
    row(
        "stop_signal",
        &["S/stop_signal"],
        "stop_signal: SIGUSR1",
        (
            Shown("/Config/StopSignal", "10"),
            Shown("/Config/StopSignal", r#""SIGUSR1""#),
            Shown("/Config/StopSignal", r#""10""#),
            Kept(r#"stop_signal: Some("SIGUSR1")"#),
        ),
        "",
    ),
    row(
        "storage_opt",
        &["S/storage_opt"],
        "storage_opt: {size: 1G}",
        (
            NotHere("storage-opt"),
            NotHere("storage-opt"),
            NotHere("storage-opt"),
            Kept(r#"storage_opt: {"size": "1G"}"#),
        ),
        "the engine's files must be where it can be had",
    ),
    row(
        "sysctls",
        &["S/sysctls"],
        "sysctls: {net.ipv4.ip_default_ttl: 65}",
        (
            Inside("/proc/sys/net/ipv4/ip_default_ttl", "65"),
            Shown("/HostConfig/Sysctls", r#"{"net.ipv4.ip_default_ttl": "65"}"#),
            Inside("/proc/sys/net/ipv4/ip_default_ttl", "65"),
            Kept("net.ipv4.ip_default_ttl"),
        ),
        "",
    ),
    row(
        "tmpfs",
        &["S/tmpfs"],
        "tmpfs: ['/run:size=1m']",
        (
            Inside("/proc/mounts", "size=1024k"),
            Inside("/proc/mounts", "size=1024k"),
            Inside("/proc/mounts", "size=1024k"),
            Kept("Tmpfs { size: Some(1048576)"),
        ),
        "",
    ),
    row("tty", &["S/tty"], "tty: true", all("/Config/Tty", "true", "tty: true"), ""),
    row(
        "ulimits",
        &["S/ulimits/**"],
        "ulimits: {nofile: {soft: 1000, hard: 2000}, nproc: 500}",
        two(
            "/HostConfig/Ulimits",
            r#"[{"Name": "RLIMIT_NOFILE", "Soft": 1000, "Hard": 2000}, {"Name": "RLIMIT_NPROC", "Soft": 500, "Hard": 500}]"#,
            r#"[{"Name": "nofile", "Soft": 1000, "Hard": 2000}, {"Name": "nproc", "Soft": 500, "Hard": 500}]"#,
            "Apart { soft: At(1000), hard: At(2000) }",
        ),
        "",
    ),
    row("use_api_socket", &["S/use_api_socket"], "use_api_socket: true", refused("use_api_socket"), ""),
    row("user", &["S/user"], "user: '7:8'", all("/Config/User", r#""7:8""#, r#"user: Some("7:8")"#), ""),
    row(
        "userns_mode",
        &["S/userns_mode"],
        "userns_mode: host",
        (Taken, Shown("/HostConfig/UsernsMode", r#""host""#), Taken, Kept(r#"user: Some("host")"#)),
        "Docker has `host` alone; Podman keep-id, auto and others too",
    ),
    row("uts", &["S/uts"], "uts: host", all("/HostConfig/UTSMode", r#""host""#, "uts: Some(Host)"), ""),
    row(
        "volumes_from",
        &["S/volumes_from"],
        "services:\n  a: {image: 'localhost/longshore-fixture:1', command: [sleep], volumes: [/data]}\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], volumes_from: ['a:ro']}\n",
        (
            Shown("/Mounts", r#"[{"Destination": "/data", "RW": false}]"#),
            Shown("/HostConfig/VolumesFrom", r#"["ID(a-1):ro"]"#),
            Shown("/Mounts", r#"[{"Destination": "/data", "RW": false}]"#),
            Kept("writable: Some(false)"),
        ),
        "",
    ),
    row(
        "volumes_recursive",
        &["S/volumes/bind/recursive"],
        "volumes: [{type: bind, source: ., target: /x, bind: {recursive: disabled}}]",
        (
            Taken,
            Shown("/HostConfig/Mounts/0/BindOptions/NonRecursive", "true"),
            Taken,
            Kept("recursive: Some(Disabled)"),
        ),
        "`readonly` is refused on Podman, and before Docker 25",
    ),
    row(
        "volumes_image",
        &["S/volumes/image", "S/volumes/image/subpath"],
        "volumes: [{type: image, source: 'localhost/longshore-fixture:1', target: /x}]",
        (
            Inside("/proc/mounts", " /x "),
            Since((1, 48), "needs Docker 28", "/HostConfig/Mounts/0/Type", r#""image""#),
            Inside("/proc/mounts", " /x "),
            Kept("Image { image"),
        ),
        "Podman refuses a subpath",
    ),
    row(
        "volumes_subpath",
        &["S/volumes/volume/subpath"],
        "services:\n  web:\n    image: localhost/longshore-fixture:1\n    volumes: [{type: volume, source: v, target: /x, volume: {subpath: y}}]\nvolumes: {v: }\n",
        (
            Refused("volumes.subpath"),
            Since((1, 45), "needs Docker 26", "/HostConfig/Mounts/0/VolumeOptions/Subpath", r#""y""#),
            Refused("volumes.volume.subpath"),
            Kept(r#"subpath: Some("y")"#),
        ),
        "",
    ),
    row(
        "volumes_labels",
        &["S/volumes/volume/labels"],
        "services:\n  web:\n    image: localhost/longshore-fixture:1\n    volumes: [{type: volume, source: v, target: /x, volume: {labels: {l: m}}}]\nvolumes: {v: }\n",
        (
            Warned("volumes.volume.labels"),
            Shown("/HostConfig/Mounts/0/VolumeOptions/Labels/l", r#""m""#),
            Warned("volumes.volume.labels"),
            Kept(r#"labels: {"l": "m"}"#),
        ),
        "",
    ),
    row(
        "working_dir",
        &["S/working_dir"],
        "working_dir: /tmp",
        all("/Config/WorkingDir", r#""/tmp""#, r#"working_dir: Some("/tmp")"#),
        "",
    ),
    row(
        "secret_of_a_file",
        &[
            "S/secrets",
            "S/secrets/source",
            "S/secrets/target",
            "/secrets",
            "/secrets/*/file",
            "S/configs",
            "S/configs/source",
            "S/configs/target",
            "/configs",
            "/configs/*/file",
        ],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], secrets: [s]}\nsecrets: {s: {file: ./seccomp.json}}\n",
        (
            Inside("/run/secrets/s", "SCMP_ACT_ALLOW"),
            Inside("/run/secrets/s", "SCMP_ACT_ALLOW"),
            Inside("/run/secrets/s", "SCMP_ACT_ALLOW"),
            Inside("/run/secrets/s", "SCMP_ACT_ALLOW"),
        ),
        "mounted read-only, as docker compose does",
    ),
    row(
        "config_of_the_file",
        &["/configs/*/content"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], configs: [{source: c, target: /etc/deep/conf}]}\nconfigs: {c: {content: from the file}}\n",
        (
            Inside("/etc/deep/conf", "from the file"),
            Inside("/etc/deep/conf", "from the file"),
            Inside("/etc/deep/conf", "from the file"),
            Inside("/etc/deep/conf", "from the file"),
        ),
        "written into the container; Docker's API cannot into one that is read_only",
    ),
    row(
        "external_secret",
        &["/secrets/*/external", "/configs/*/external"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', secrets: [s]}\nsecrets: {s: {external: true}}\n",
        refused("external"),
        "Swarm's; docker compose refuses it too",
    ),
    row(
        "secret_of_a_variable_not_set",
        &[],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', secrets: [s]}\nsecrets: {s: {environment: LONGSHORE_TESTS_NOT_SET}}\n",
        refused("LONGSHORE_TESTS_NOT_SET, which is not set"),
        "",
    ),
    row(
        "mode_of_a_file",
        &[],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', secrets: [{source: s, mode: 0440}]}\nsecrets: {s: {file: ./seccomp.json}}\n",
        warned("uid, gid and mode of secret"),
        "",
    ),
    network(
        "network_attachable",
        &["/networks/*/attachable"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {attachable: true}}\n",
        (Taken, Shown("/Attachable", "true"), Taken, Kept("attachable: true")),
        "any container may be attached to Podman's networks",
    ),
    network(
        "network_internal",
        &["/networks/*/internal"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {internal: true}}\n",
        (
            Shown("/internal", "true"),
            Shown("/Internal", "true"),
            Shown("/Internal", "true"),
            Kept("internal: true"),
        ),
        "",
    ),
    network(
        "network_ipam",
        &[
            "/networks/*/ipam",
            "/networks/*/ipam/config",
            "/networks/*/ipam/config/subnet",
            "/networks/*/ipam/config/gateway",
            "/networks/*/ipam/config/ip_range",
        ],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {ipam: {config: [{subnet: 10.199.{n}.0/24, gateway: 10.199.{n}.9, ip_range: 10.199.{n}.64/26}]}}}\n",
        (
            Shown("/subnets/0", r#"{"subnet": "10.199.{n}.0/24", "gateway": "10.199.{n}.9"}"#),
            Shown(
                "/IPAM/Config/0",
                r#"{"Subnet": "10.199.{n}.0/24", "Gateway": "10.199.{n}.9", "IPRange": "10.199.{n}.64/26"}"#,
            ),
            Shown("/IPAM/Config/0", r#"{"Subnet": "10.199.{n}.0/24", "Gateway": "10.199.{n}.9"}"#),
            Kept(r#"gateway: Some("10.199.{n}.9")"#),
        ),
        "",
    ),
    network(
        "network_aux_addresses",
        &["/networks/*/ipam/config/aux_addresses"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {ipam: {config: [{subnet: 10.199.{n}.0/24, aux_addresses: {router: 10.199.{n}.7}}]}}}\n",
        (
            Refused("ipam.config.aux_addresses"),
            Shown("/IPAM/Config/0/AuxiliaryAddresses/router", r#""10.199.{n}.7""#),
            Refused("ipam.config.aux_addresses"),
            Kept("10.199.{n}.7"),
        ),
        "",
    ),
    network(
        "network_ipam_driver",
        &["/networks/*/ipam/driver"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {ipam: {driver: default}}}\n",
        (Taken, Shown("/IPAM/Driver", r#""default""#), Taken, Kept(r#"ipam_driver: Some("default")"#)),
        "Podman has host-local, dhcp and none; `default` is its own",
    ),
    network(
        "network_ipam_options",
        &["/networks/*/ipam/options"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {ipam: {options: {a: b}}}}\n",
        (
            Refused("ipam.options"),
            Shown("/IPAM/Options/a", r#""b""#),
            Refused("ipam.options"),
            Kept(r#"ipam_options: {"a": "b"}"#),
        ),
        "",
    ),
    network(
        "network_without_ipv4",
        &["/networks/*/enable_ipv4"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {enable_ipv4: false}}\n",
        (
            Refused("enable_ipv4"),
            Since((1, 48), "needs Docker 28", "/EnableIPv4", "false"),
            Refused("enable_ipv4"),
            Kept("enable_ipv4: Some(false)"),
        ),
        "`true` is how it is anyway",
    ),
    network(
        "network_options",
        &["/networks/*/driver", "/networks/*/driver_opts"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {driver: bridge, driver_opts: {com.docker.network.driver.mtu: '1400'}}}\n",
        (
            Shown("/options/mtu", r#""1400""#),
            Shown("/Options", r#"{"com.docker.network.driver.mtu": "1400"}"#),
            Shown("/Options", r#"{"mtu": "1400"}"#),
            Kept("com.docker.network.driver.mtu"),
        ),
        "",
    ),
    row(
        "link_local_ips",
        &["S/networks/*/link_local_ips"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: {n: {link_local_ips: [169.254.8.8]}}}\nnetworks: {n: }\n",
        (
            Refused("networks.link_local_ips"),
            Shown("/NetworkSettings/Networks/{p}_n/IPAMConfig/LinkLocalIPs", r#"["169.254.8.8"]"#),
            Refused("networks.link_local_ips"),
            Kept("169.254.8.8"),
        ),
        "",
    ),
    row(
        "gw_priority",
        &["S/networks/*/gw_priority"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: {n: {gw_priority: 3}}}\nnetworks: {n: }\n",
        (
            Refused("networks.gw_priority"),
            Since((1, 48), "needs Docker 28", "", "{}"),
            Refused("networks.gw_priority"),
            Kept("gw_priority: 3"),
        ),
        "",
    ),
    row(
        "interface_name",
        &["S/networks/*/interface_name"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], networks: {n: {interface_name: net7}}}\nnetworks: {n: }\n",
        (
            Inside("/proc/net/dev", "net7"),
            Since((1, 49), "needs Docker 28.1", "", "{}"),
            Refused("networks.interface_name"),
            Kept(r#"interface_name: Some("net7")"#),
        ),
        "",
    ),
    row(
        "endpoint_driver_opts",
        &["S/networks/*/driver_opts"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: {n: {driver_opts: {a: b}}}}\nnetworks: {n: }\n",
        (
            Refused("networks.driver_opts"),
            Shown("/NetworkSettings/Networks/{p}_n/DriverOpts", r#"{"a": "b"}"#),
            Refused("networks.driver_opts"),
            Kept(r#"driver_opts: {"a": "b"}"#),
        ),
        "",
    ),
    row(
        "mac_address_of_a_network",
        &["S/networks/*/mac_address"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: {n: {mac_address: '92:d0:c6:0a:29:34'}}}\nnetworks: {n: }\n",
        (
            Inside("/sys/class/net/eth0/address", "92:d0:c6:0a:29:34"),
            Since((1, 44), "needs Docker 25", "", "{}"),
            Inside("/sys/class/net/eth0/address", "92:d0:c6:0a:29:34"),
            Kept(r#"mac_address: Some("92:d0:c6:0a:29:34")"#),
        ),
        "",
    ),
    row(
        "build_secrets",
        &["S/build/secrets", "S/build/secrets/source", "S/build/secrets/target"],
        "services:\n  web: {build: {context: ., secrets: [{source: s, target: t}]}, command: [sleep]}\nsecrets: {s: {environment: LONGSHORE_TESTS_SECRET}}\n",
        (Taken, Refused("build.secrets"), Refused("build.secrets"), Taken),
        "BuildKit's, which Docker's API does not reach",
    ),
    row(
        "build_secrets_of_an_owner",
        &["S/build/secrets/uid", "S/build/secrets/gid", "S/build/secrets/mode"],
        "services:\n  web: {build: {context: ., secrets: [{source: s, uid: '1', gid: '1', mode: 0o400}]}, command: [sleep]}\nsecrets: {s: {environment: LONGSHORE_TESTS_SECRET}}\n",
        (
            Warned("uid, gid and mode"),
            Refused("build.secrets"),
            Refused("build.secrets"),
            Warned("uid, gid and mode"),
        ),
        "ignored, as BuildKit does",
    ),
    row(
        "build_ssh",
        &["S/build/ssh"],
        "services:\n  web: {build: {context: ., ssh: ['key=/nonexistent']}, command: [sleep]}\n",
        (NotHere("image"), Refused("build.ssh"), Refused("build.ssh"), Taken),
        "BuildKit's, which Docker's API does not reach",
    ),
    row(
        "build_additional_contexts",
        &["S/build/additional_contexts"],
        "services:\n  web: {build: {context: ., additional_contexts: {more: .}}, command: [sleep]}\n",
        (Taken, Refused("build.additional_contexts"), Refused("build.additional_contexts"), Taken),
        "BuildKit's, which Docker's API does not reach",
    ),
    row(
        "build_entitlements",
        &["S/build/entitlements"],
        "services:\n  web: {build: {context: ., entitlements: [security.insecure]}, command: [sleep]}\n",
        (Refused("build.entitlements"), Refused("build.entitlements"), Refused("build.entitlements"), Taken),
        "",
    ),
    row(
        "build_privileged",
        &["S/build/privileged"],
        "services:\n  web: {build: {context: ., privileged: true}, command: [sleep]}\n",
        (Refused("build.privileged"), Refused("build.privileged"), Refused("build.privileged"), Taken),
        "",
    ),
    row(
        "build_isolation",
        &["S/build/isolation"],
        "services:\n  web: {build: {context: ., isolation: hyperv}, command: [sleep]}\n",
        (Refused("build.isolation"), Refused("build.isolation"), Refused("build.isolation"), Taken),
        "",
    ),
    row(
        "build_platforms",
        &["S/build/platforms"],
        "services:\n  web: {build: {context: ., platforms: [linux/amd64, linux/arm64]}, command: [sleep]}\n",
        (Refused("build.platforms"), Refused("build.platforms"), Refused("build.platforms"), Taken),
        "one is applied",
    ),
    row(
        "build_ulimits",
        &["S/build/ulimits", "S/build/ulimits/*/soft", "S/build/ulimits/*/hard"],
        "services:\n  web: {build: {context: ., ulimits: {nofile: {soft: 1000, hard: 2000}}}, command: [sleep]}\n",
        (Taken, Refused("build.ulimits"), Refused("build.ulimits"), Taken),
        "",
    ),
    row(
        "build_extra_hosts",
        &["S/build/extra_hosts"],
        "services:\n  web: {build: {context: ., extra_hosts: ['a=10.0.0.1']}, command: [sleep]}\n",
        (Taken, Taken, Taken, Taken),
        "several are refused on Docker",
    ),
    row(
        "build_network",
        &["S/build/network"],
        "services:\n  web: {build: {context: ., network: none}, command: [sleep]}\n",
        (Taken, Taken, Taken, Taken),
        "",
    ),
    row(
        "build_shm_size",
        &["S/build/shm_size"],
        "services:\n  web: {build: {context: ., shm_size: 64m}, command: [sleep]}\n",
        (Taken, Taken, Taken, Taken),
        "",
    ),
    row(
        "build_no_cache",
        &["S/build/no_cache"],
        "services:\n  web: {build: {context: ., no_cache: true}, command: [sleep]}\n",
        (Taken, Taken, Taken, Taken),
        "",
    ),
    row(
        "build_pull",
        &["S/build/pull"],
        "services:\n  web: {build: {context: ., pull: true}, command: [sleep]}\n",
        (NotHere("image"), NotHere("image"), NotHere("image"), Taken),
        "",
    ),
    row(
        "build_cache_from",
        &["S/build/cache_from"],
        "services:\n  web: {build: {context: ., cache_from: ['type=local,src=x']}, command: [sleep]}\n",
        (Warned("build.cache_from"), Warned("build.cache_from"), Warned("build.cache_from"), Taken),
        "images and registries are applied",
    ),
    row(
        "build_cache_to",
        &["S/build/cache_to"],
        "services:\n  web: {build: {context: ., cache_to: ['type=local,dest=x']}, command: [sleep]}\n",
        (Warned("build.cache_to"), Warned("build.cache_to"), Warned("build.cache_to"), Taken),
        "registries are applied on Podman",
    ),
    row(
        "build_provenance",
        &["S/build/provenance"],
        "services:\n  web: {build: {context: ., provenance: 'mode=max'}, command: [sleep]}\n",
        (Warned("build.provenance"), Warned("build.provenance"), Warned("build.provenance"), Taken),
        "",
    ),
    row(
        "build_sbom",
        &["S/build/sbom"],
        "services:\n  web: {build: {context: ., sbom: 'true'}, command: [sleep]}\n",
        (Warned("build.sbom"), Warned("build.sbom"), Warned("build.sbom"), Taken),
        "",
    ),
    row(
        "secret_of_a_variable",
        &["/secrets/*/environment", "/configs/*/environment"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], secrets: [s]}\nsecrets: {s: {environment: LONGSHORE_TESTS_SECRET}}\n",
        (
            Inside("/run/secrets/s", "hunter2"),
            Inside("/run/secrets/s", "hunter2"),
            Inside("/run/secrets/s", "hunter2"),
            Inside("/run/secrets/s", "hunter2"),
        ),
        "written into the container; its value stands in no argument, label or error",
    ),
    row(
        "secret_where_nothing_can_be_written",
        &[],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', command: [sleep], read_only: true, configs: [{source: c, target: /conf}]}\nconfigs: {c: {content: from the file}}\n",
        (
            Inside("/conf", "from the file"),
            Refused("read_only"),
            Refused("read_only"),
            Inside("/conf", "from the file"),
        ),
        "",
    ),
    Row {
        seen: Place::Volume,
        ..row(
            "volume",
            &[
                "/volumes",
                "/volumes/*/driver",
                "/volumes/*/driver_opts",
                "/volumes/*/labels",
                "/volumes/*/name",
            ],
            "services:\n  web: {image: 'localhost/longshore-fixture:1', volumes: ['v:/x']}\nvolumes: {v: {driver: local, driver_opts: {type: tmpfs, device: tmpfs}, labels: {l: m}}}\n",
            all(
                "",
                r#"{"Driver": "local", "Options": {"type": "tmpfs", "device": "tmpfs"}, "Labels": {"l": "m"}}"#,
                r#""device": "tmpfs""#,
            ),
            "",
        )
    },
    network(
        "network_labels",
        &["/networks", "/networks/*/labels", "/networks/*/name"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {labels: {l: m}}}\n",
        (
            Shown("/labels", r#"{"l": "m"}"#),
            Shown("/Labels", r#"{"l": "m"}"#),
            Shown("/Labels", r#"{"l": "m"}"#),
            Kept(r#""l": "m""#),
        ),
        "",
    ),
    network(
        "network_ipv6",
        &["/networks/*/enable_ipv6"],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {enable_ipv6: true, ipam: {config: [{subnet: 'fd00:199:{n}::/64'}]}}}\n",
        (
            Shown("/ipv6_enabled", "true"),
            Shown("/EnableIPv6", "true"),
            Shown("/EnableIPv6", "true"),
            Kept("enable_ipv6: true"),
        ),
        "",
    ),
    network(
        "network_option_of_docker",
        &[],
        "services:\n  web: {image: 'localhost/longshore-fixture:1', networks: [n]}\nnetworks: {n: {driver_opts: {com.docker.network.bridge.enable_icc: 'false'}}}\n",
        (
            Refused("driver_opts"),
            Shown("/Options", r#"{"com.docker.network.bridge.enable_icc": "false"}"#),
            NotHere("option"),
            Kept("enable_icc"),
        ),
        "",
    ),
];

const LOADER: &str = "`crates/compose-file/tests/attributes.rs`";
const AT_LOAD: &str = "read when it loads";
const APPLIED: &str = "applied";
const IGNORED: &str = "ignored";

const fn elsewhere(
    attributes: &'static [&'static str],
    comes: &'static str,
    by: &'static str,
    note: &'static str,
) -> Elsewhere {
    Elsewhere { attributes, comes, by, note }
}

pub(super) const ELSEWHERE: &[Elsewhere] = &[
    elsewhere(&["S/attach"], APPLIED, "`crates/longshore-cli/tests/cli.rs`", ""),
    elsewhere(
        &[
            "/name",
            "/version",
            "/include/**",
            "/services",
            "S/extends/**",
            "S/env_file/**",
            "S/label_file",
            "S/profiles",
        ],
        AT_LOAD,
        LOADER,
        "",
    ),
    elsewhere(
        &[
            "/configs/*/external/name",
            "/networks/*/external/name",
            "/secrets/*/external/name",
            "/volumes/*/external/name",
            "/secrets/*/name",
            "/configs/*/name",
        ],
        AT_LOAD,
        LOADER,
        "the name of an external thing; secrets and configs have none on an engine",
    ),
    elsewhere(
        &[
            "/configs/*/labels",
            "/configs/*/template_driver",
            "/secrets/*/labels",
            "/secrets/*/driver",
            "/secrets/*/driver_opts",
            "/secrets/*/template_driver",
        ],
        IGNORED,
        LOADER,
        "Swarm's; what is a file in a container has none",
    ),
    elsewhere(
        &[
            "S/secrets/uid",
            "S/secrets/gid",
            "S/secrets/mode",
            "S/configs/uid",
            "S/configs/gid",
            "S/configs/mode",
        ],
        APPLIED,
        "`secrets::a_secret_is_its_owners`",
        "warned where the content is a file of the host, as in docker compose",
    ),
    elsewhere(&["S/build/**"], APPLIED, "`build`", ""),
    elsewhere(&["S/develop/**"], APPLIED, "`develop`", "by `watch` and `up --watch`"),
    elsewhere(&["S/environment"], APPLIED, "`environment`", ""),
    elsewhere(&["S/labels", "S/container_name"], APPLIED, "`labels`", ""),
    elsewhere(&["S/depends_on/**"], APPLIED, "`depends_on`", ""),
    elsewhere(&["S/deploy/replicas", "S/scale"], APPLIED, "`scale`", ""),
    elsewhere(&["S/image", "S/pull_policy"], APPLIED, "`pull`", "policies by age are taken as `missing`"),
    elsewhere(&["S/pull_refresh_after"], IGNORED, LOADER, "policies by age are taken as `missing`"),
    elsewhere(
        &[
            "S/networks",
            "S/networks/*/aliases",
            "S/networks/*/ipv4_address",
            "S/networks/*/ipv6_address",
            "/networks/*/external",
        ],
        APPLIED,
        "`networks`",
        "",
    ),
    elsewhere(
        &["S/networks/*/priority"],
        APPLIED,
        "`networks::the_network_of_the_highest_priority_is_the_first`",
        "the first has the default route on Docker before 28 and on Podman",
    ),
    elsewhere(
        &["S/ports", "S/ports/host_ip", "S/ports/protocol", "S/ports/published", "S/ports/target"],
        APPLIED,
        "`ports`",
        "",
    ),
    elsewhere(
        &["S/ports/app_protocol", "S/ports/mode", "S/ports/name"],
        IGNORED,
        LOADER,
        "they say something to people, and to Swarm",
    ),
    elsewhere(&["S/post_start/**", "S/pre_stop/**"], APPLIED, "`hooks`", ""),
    elsewhere(&["S/restart", "S/stop_grace_period"], APPLIED, "`stop`", ""),
    elsewhere(
        &["S/volumes/**", "/volumes/*/external"],
        APPLIED,
        "`volumes`",
        "cluster volumes are Swarm's and refused; named pipes are Windows' and refused elsewhere; `consistency` means nothing",
    ),
];
