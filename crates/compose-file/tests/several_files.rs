//! Files that override each other, and how they are found.

mod environment;
mod oracle;

use compose_file::*;
use oracle::Folder;

#[test]
fn every_attribute_merges_as_in_docker_compose() {
    let cases = [
        ("depends_on: {b: {condition: service_healthy, required: false, restart: true}}", "depends_on: [b]"),
        ("networks: {n: {aliases: [q, r]}}", "networks: {n: {aliases: [q, s]}, m: }"),
        ("networks: {n: {aliases: [q]}}", "networks: [n, m]"),
        ("ports: ['8080:80', '90']", "ports: [{target: 80, published: '8080'}, '90', '8080-8081:80-81']"),
        ("ports: ['80:80']", "ports: ['80:80/udp', '127.0.0.1:81:80']"),
        (
            "environment: {A: b}, labels: {q: r}, hostname: h, ports: ['1:1'], init: true",
            "environment: , labels: , hostname: , ports: , init: ",
        ),
        ("healthcheck: {test: q, interval: 3s}, deploy: {replicas: 2}", "healthcheck: , deploy: "),
        ("healthcheck: {test: [CMD, q], interval: 3s}", "healthcheck: {test: [CMD, r], retries: 2}"),
        ("cap_add: [A, B], expose: ['80']", "cap_add: [A, C], cap_drop: [D], expose: ['80', '81']"),
        ("environment: [A=1, B, D=4]", "environment: {A: , B: 2, C: 3}"),
        ("environment: {A: 1}", "environment: [A=2, 'B=']"),
        ("volumes: ['vv:/x/', /y, './a:/z']", "volumes: ['ww:/x', {type: bind, source: ., target: /y}]"),
        ("x-a: {b: c}", "x-a: [d]"),
        (
            "ports: ['1:1'], environment: {A: 1, B: 2}, labels: {q: r}",
            "ports: !reset [], environment: {A: !reset null}, labels: !override {z: y}",
        ),
        ("ports: ['1:1'], command: [a]", "ports: !override ['2:2'], command: !reset null"),
        ("command: [a, b], entrypoint: e", "command: c, entrypoint: [f]"),
        ("tmpfs: /x, extra_hosts: ['h:1.1.1.1']", "tmpfs: [/y], extra_hosts: {h: 1.1.1.2, i: 2.2.2.2}"),
        ("build: ctx", "build: {args: {A: 1}, target: t}"),
        (
            "build: {context: ctx, args: [A=1, B=2], tags: [a, b], labels: {q: r}, extra_hosts: ['a:1.1.1.1'], secrets: [sec], cache_from: [a]}",
            "build: {args: {B: 3}, tags: [b, c], labels: [q=s], extra_hosts: {b: 2.2.2.2}, secrets: [sec2, sec], cache_from: [b], dockerfile: D}",
        ),
        (
            "build: {ssh: [default], ulimits: {nofile: 5}, additional_contexts: [a=/a]}",
            "build: {ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}, platforms: [a/b], additional_contexts: {a: /b}}",
        ),
        ("build: {context: ctx}", "build: !reset null"),
        (
            "deploy: {resources: {limits: {cpus: 1, memory: 1g}}, labels: {a: b}}",
            "deploy: {resources: {limits: {memory: 2g, pids: 3}}, labels: {c: d}}",
        ),
        (
            "deploy: {resources: {reservations: {devices: [{capabilities: [gpu], count: 1}]}}, placement: {constraints: [a]}}",
            "deploy: {resources: {reservations: {devices: [{capabilities: [tpu]}]}}, placement: {constraints: [b]}}",
        ),
        ("logging: {driver: a, options: {x: 1}}", "logging: {options: {y: 2}}"),
        ("logging: {driver: a, options: {x: 1}}", "logging: {driver: b, options: {y: 2}}"),
        ("logging: {options: {x: 1}}", "logging: {driver: b, options: {y: 2}}"),
        (
            "ulimits: {nofile: 5, nproc: {soft: 1, hard: 2}}",
            "ulimits: {nofile: {soft: 1, hard: 2}, nproc: 3}",
        ),
        ("sysctls: {a: 1, b: 2}, annotations: [a=1]", "sysctls: [b=3, c=4], annotations: {b: 2}"),
        (
            "dns: 1.1.1.1, dns_search: a, dns_opt: [x]",
            "dns: [2.2.2.2, 1.1.1.1], dns_search: [a, b], dns_opt: [y]",
        ),
        ("devices: ['/dev/a:/dev/x', '/dev/b']", "devices: ['/dev/c:/dev/x:r', /dev/d]"),
        (
            "secrets: [sec, {source: sec2, target: t}], configs: [conf]",
            "secrets: [{source: sec, mode: 0400}, {source: sec, target: t}], configs: [{source: conf, mode: 0400}, {source: conf, target: /c}]",
        ),
        ("post_start: [{command: a}], links: [b]", "post_start: [{command: b}], links: ['b:q']"),
        ("gpus: all", "gpus: [{count: 1}]"),
        (
            "develop: {watch: [{path: a, action: sync, target: /t}]}",
            "develop: {watch: [{path: b, action: rebuild}, {path: a, action: rebuild}]}",
        ),
        (
            "mem_limit: 1g, cpus: 1, pid: host, ipc: host, storage_opt: {size: 1G}",
            "mem_limit: 2g, cpus: 2, pid: '', ipc: none, storage_opt: {n: 2}",
        ),
        (
            "networks: {n: {driver_opts: {a: b}, link_local_ips: [1.1.1.1], priority: 1}}",
            "networks: {n: {driver_opts: {c: d}, link_local_ips: [2.2.2.2], mac_address: '02:42:ac:11:65:44'}}",
        ),
        (
            "volumes: [{type: volume, source: vv, target: /t, volume: {subpath: a}}]",
            "volumes: [{type: volume, source: vv, target: /t, volume: {nocopy: true}}]",
        ),
        ("command: [a], entrypoint: b", "command: , entrypoint: "),
        ("devices: [a.b/c=d]", "devices: [a.b/c=d]"),
        ("secrets: [sec, {source: sec, mode: 0400}]", "secrets: [sec]"),
        ("healthcheck: {test: [NONE]}", "healthcheck: {disable: false}"),
        ("healthcheck: {test: a, retries: 2}", "healthcheck: {disable: true}"),
        ("deploy: {replicas: 2}, stop_grace_period: 1s", "deploy: {replicas: 3}, stop_grace_period: 2s"),
    ];
    for (base, over) in cases {
        let folder = Folder::new(&[
            (
                "a.yaml",
                &format!(
                    "services: {{a: {{image: x, {base}}}, b: {{image: x}}}}\nnetworks: {{n: , m: }}\nvolumes: {{vv: , ww: }}\nconfigs: {{conf: {{file: f}}}}\nsecrets: {{sec: {{file: f}}, sec2: {{file: f}}}}\n"
                ),
            ),
            ("b.yaml", &format!("services: {{a: {{{over}}}}}\n")),
        ]);
        folder.agrees(&["a.yaml", "b.yaml"]);
    }
}

#[test]
fn resources_merge_too_and_a_reset_reaches_every_file_before() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "services: {a: {image: x, networks: [n], volumes: ['vol:/v'], ports: ['1:1']}, gone: {image: x}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/8, aux_addresses: {h: 10.0.0.9}}]}, labels: [a=b]}}\nvolumes: {vol: {driver_opts: {o: p}}}\n",
        ),
        (
            "b.yaml",
            "services: {a: {ports: !reset null}, gone: !reset null}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/8, gateway: 10.0.0.1}]}, labels: {a: c, d: e}}}\nvolumes: {vol: {driver_opts: {o: q}, labels: {l: m}}}\n",
        ),
        ("c.yaml", "services: {a: {ports: ['2:2']}}\n"),
    ]);
    let project = folder.agrees(&["a.yaml", "b.yaml", "c.yaml"]);
    assert_eq!(project.services.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(project.services["a"].ports.len(), 1);
    let network = &project.networks["n"];
    assert_eq!(network.ipam.len(), 1);
    assert_eq!(network.ipam[0].gateway.as_deref(), Some("10.0.0.1"));
    assert_eq!(network.ipam[0].aux_addresses["h"], "10.0.0.9");
    assert_eq!(network.labels["a"], "c");
    assert_eq!(project.volumes["vol"].driver_opts["o"], "q");
}

#[test]
fn what_cannot_be_merged_is_told_with_both_places() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "services:\n  a:\n    image: x\n    environment: text\n    healthcheck: {test: q}\n    ports: ['1:1']\n    labels: {a: b}\n",
        ),
        (
            "b.yaml",
            "services:\n  a:\n    environment: {A: b}\n    healthcheck: [q]\n    ports: {a: b}\n    labels: z\n    imag: y\n",
        ),
    ]);
    insta::assert_snapshot!(folder.errors(&["a.yaml", "b.yaml"]));
}

#[test]
fn a_tag_that_is_misspelt_is_told() {
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {image: x, ports: ['1:1']}}\n"),
        ("b.yaml", "services:\n  a:\n    ports: !overide ['2:2']\n    labels: !foo {a: b}\n"),
    ]);
    let project = folder.load(&["a.yaml", "b.yaml"]);
    assert_eq!(project.services["a"].ports.len(), 2);
    let warnings = Diagnostics(project.warnings).render(false);
    insta::assert_snapshot!(warnings.replace(&format!("{}/", folder.path().display()), ""));
}

/// A service's attribute in each form of the cases of one that has it, under each other form.
#[test]
#[ignore = "it asks docker compose some 2,500 times, which takes minutes"]
fn every_form_of_an_attribute_merges_over_every_other() {
    let mut forms: std::collections::BTreeMap<&str, Vec<&str>> = std::collections::BTreeMap::new();
    for line in include_str!("attributes/services.yaml").lines().filter(|line| line.starts_with("  ")) {
        let body = line.split_once(": {").and_then(|(_, body)| body.strip_suffix('}'));
        let body = body.expect("each is a mapping on its line");
        let body = body.strip_prefix("image: x, ").unwrap_or(body);
        let attribute = body.split(':').next().unwrap_or_default();
        // What refers to another case, is an image of its own, or differs by itself has no place here.
        let alone =
            !["annotations", "mem_swappiness", "image", "extends", "links", "depends_on", "volumes_from"]
                .contains(&attribute);
        if alone && !body.contains("service:") && !body.contains("image: x") && !body.contains("mode: \"") {
            forms.entry(attribute).or_default().push(body);
        }
    }
    let mut wrong = Vec::new();
    for (base, over) in
        forms.values().flat_map(|all| all.iter().flat_map(|a| all.iter().map(move |b| (a, b))))
    {
        let folder = Folder::new(&[
            (
                "a.yaml",
                &format!(
                    "services: {{a: {{image: x, {base}}}}}\nnetworks: {{one: , two: }}\nvolumes: {{vol: }}\nconfigs: {{conf: {{file: f}}}}\nsecrets: {{sec: {{file: f}}, sec2: {{file: f}}}}\n"
                ),
            ),
            ("b.yaml", &format!("services: {{a: {{{over}}}}}\n")),
            ("l.labels", "l=m\n"),
            ("e.env", "A=1\n"),
        ]);
        let mut options = folder.options(&["a.yaml", "b.yaml"]);
        options.env = std::env::vars().collect();
        options.profiles = vec!["*".to_owned()];
        let words = ["-p", "p", "--profile", "*", "-f", "a.yaml", "-f", "b.yaml"];
        // What it refuses for being there twice is once in ours.
        let theirs = std::panic::catch_unwind(|| oracle::docker_compose(folder.path(), &words, &options.env));
        let (Ok(Some(theirs)), Ok(project)) = (theirs, load(&options)) else { continue };
        // It repeats what a build has in both, and its JSON has keys with capitals.
        let lower = |project: &serde_json::Value| -> serde_json::Value {
            serde_json::from_str(&project["services"]["a"].to_string().to_lowercase()).expect("it was JSON")
        };
        let (ours, theirs) = (lower(&to_json(&project)), lower(&theirs));
        if ours != theirs && !(base == over && base.starts_with("build")) {
            wrong.push(format!("{base} + {over}\n    {ours}\n    {theirs}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
