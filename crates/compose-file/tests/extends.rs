//! Services that extend others.

mod oracle;

use oracle::Folder;

#[test]
fn what_is_inherited_is_what_docker_compose_inherits() {
    let cases = [
        "services: {a: {extends: b, hostname: h}, b: {image: x, depends_on: [c], ports: ['1'], environment: {A: 1}}, c: {image: x}}",
        "services: {a: {extends: {service: b}, networks: [m]}, b: {extends: c, networks: [n]}, c: {image: x, command: [a], labels: [q=r], cap_add: [A]}}\nnetworks: {n: , m: }",
        "services: {a: {extends: b, ports: !reset [], environment: !override {B: 2}}, b: {image: x, ports: ['1:1'], environment: {A: 1}}}",
        "services: {a: {extends: b, volumes: ['ww:/v']}, b: {image: x, volumes: ['vv:/v'], healthcheck: {test: q}, restart: always}}\nvolumes: {vv: , ww: }",
        "services: {a: {extends: b, healthcheck: {interval: 1s}}, b: {image: x, healthcheck: {test: q}, network_mode: none}}",
    ];
    for text in cases {
        Folder::new(&[("a.yaml", text)]).agrees(&["a.yaml"]);
    }
}

#[test]
fn another_files_paths_begin_in_its_folder() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "services: {a: {extends: {service: q, file: o/o.yaml}, volumes: ['./t:/t'], environment: [V]}}",
        ),
        (
            "o/o.yaml",
            "services: {q: {image: 'x:${V}', volumes: ['./r:/r', {type: bind, source: ../u, target: /u}], env_file: e.env, extends: {service: z, file: '../${Z}.yaml'}}}",
        ),
        ("z.yaml", "services: {z: {hostname: z, labels: {l: m}, volumes: ['./s:/s'], env_file: [z.env]}}"),
        ("o/e.env", "E=1\n"),
        ("z.env", "F=${V}\n"),
        (".env", "V=7\nZ=z\n"),
    ]);
    let a = &folder.agrees(&["a.yaml"]).services["a"];
    assert_eq!((a.image.as_str(), a.environment["F"].as_deref()), ("x:7", Some("7")));
}

#[test]
fn files_override_what_is_extended_already() {
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {extends: b}, b: {image: x, ports: ['1:1'], healthcheck: {test: q}}}"),
        ("b.yaml", "services: {a: {ports: !reset [], healthcheck: !reset null}, b: {hostname: over}}"),
    ]);
    let project = folder.agrees(&["a.yaml", "b.yaml"]);
    assert_eq!(project.services["a"].hostname, None);
    // A reset in a service that extends reaches the files before it too.
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {image: x, ports: ['1:1']}}"),
        ("b.yaml", "services: {a: {extends: b, ports: !reset []}, b: {image: y, ports: ['2:2']}}"),
    ]);
    assert!(folder.agrees(&["a.yaml", "b.yaml"]).services["a"].ports.is_empty());
}

#[test]
fn of_another_file_only_what_is_extended_is_read() {
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {extends: {service: q, file: b.yaml}}}"),
        ("b.yaml", "services: {q: {image: x}, bad: {image: '${NOPE:?x}', extends: nobody, foo: bar}}"),
    ]);
    assert!(folder.load(&["a.yaml"]).warnings.is_empty());
    // A base with nothing in it adds nothing.
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {extends: {service: q, file: b.yaml}, image: x}}"),
        ("b.yaml", "services: {q: }"),
    ]);
    assert_eq!(folder.load(&["a.yaml"]).services["a"].image, "x");
}

#[test]
fn variables_that_stay_do_not_hide_a_file() {
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {extends: {service: q, file: '${F:-b}.yaml'}, command: '$F'}}"),
        ("b.yaml", "services: {q: {image: 'x:${T}'}}"),
    ]);
    let mut options = folder.options(&["a.yaml"]);
    options.interpolate = false;
    let project = compose_file::load(&options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(project.services["a"].image, "x:${T}");
}

#[test]
fn every_error_names_its_file_and_line() {
    let folder = Folder::new(&[
        (
            "a.yaml",
            "services:\n  gone: {extends: {service: x, file: no.yaml}}\n  round:\n    extends: other\n  other: {extends: round}\n  itself: {extends: itself}\n  far: {extends: {service: far, file: b.yaml}}\n  misspelt: {extends: itsel}\n  elsewhere: {extends: {service: bse, file: b.yaml}}\n  keys: {extends: {service: fine, fil: b.yaml}}\n  nothing: {extends: {file: b.yaml}}\n  empty: {extends: }\n  list: {extends: [a]}\n  bad: {extends: {service: base, file: b.yaml}, labels: text}\n  fine: {image: x, depends_on: [gone]}\n  noservices: {extends: {service: a, file: c.yaml}}\n  noyaml: {extends: {service: a, file: d.yaml}}\n",
        ),
        (
            "b.yaml",
            "services:\n  far:\n    extends: {service: far, file: ./a.yaml}\n  base:\n    image: x\n    imag: y\n    labels: {a: b}\n    environment: {A: '${NO:?say}'}\n",
        ),
        ("c.yaml", "networks: {n: }\n"),
        ("d.yaml", "services: [a\n"),
    ]);
    insta::assert_snapshot!(folder.errors(&["a.yaml"]));
}

#[test]
fn long_chains_and_wide_inheritance_end() {
    let chain: String =
        (1..5000).map(|n| format!("  s{n}: {{extends: s{}}}\n", n + 1)).collect::<Vec<_>>().concat();
    let folder = Folder::new(&[("a.yaml", &format!("services:\n{chain}  s5000: {{image: x}}\n"))]);
    assert!(folder.errors(&["a.yaml"]).contains("more than 100 services in a row"));
    let labels: String = (0..20_000).map(|n| format!("l{n}: v, ")).collect();
    let wide: String = (0..30).map(|n| format!("  w{n}: {{extends: base}}\n")).collect();
    let folder =
        Folder::new(&[("a.yaml", &format!("services:\n  base: {{image: x, labels: {{{labels}}}}}\n{wide}"))]);
    assert!(folder.errors(&["a.yaml"]).contains("too large"));
}
