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
        ("deploy: {replicas: 2}, stop_grace_period: 1s", "deploy: {replicas: 3}, stop_grace_period: 2s"),
    ];
    for (base, over) in cases {
        let folder = Folder::new(&[
            (
                "a.yaml",
                &format!(
                    "services: {{a: {{image: x, {base}}}, b: {{image: x}}}}\nnetworks: {{n: , m: }}\nvolumes: {{vv: , ww: }}\n"
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
            "services: {a: {image: x, networks: [n], volumes: ['vol:/v'], ports: ['1:1']}, gone: {image: x}}\nnetworks: {n: {ipam: {config: [{subnet: 10.0.0.0/8}]}, labels: [a=b]}}\nvolumes: {vol: {driver_opts: {o: p}}}\n",
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
