//! Whole files: what loads, to what, and what is said of those that do not.

use std::collections::BTreeMap;

use compose_file::*;

fn options() -> LoadOptions {
    let mut options = LoadOptions::new("/srv/shop");
    options.env =
        BTreeMap::from([("TAG".to_owned(), "7".to_owned()), ("HOME".to_owned(), "/home/me".to_owned())]);
    options
}

fn ok(text: &str) -> Project {
    load_str("compose.yaml", text, &options()).unwrap_or_else(|error| panic!("{error}"))
}

fn err(text: &str) -> String {
    match load_str("compose.yaml", text, &options()) {
        Ok(_) => panic!("it loaded: {text}"),
        Err(error) => error.to_string(),
    }
}

const FULL: &str = r#"
name: full
x-common: &common
  restart: unless-stopped
  environment: {COMMON: "1"}
services:
  db:
    <<: *common
    image: postgres:${TAG}
    container_name: the-db
    hostname: db.local
    user: "1000:1000"
    working_dir: /data
    init: true
    read_only: true
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    healthcheck: {test: ["CMD", "pg_isready"], interval: 2s, timeout: 1s, retries: 5, start_period: 10s}
    volumes: [data:/var/lib/data, ./conf:/conf:ro, /anon, {type: tmpfs, target: /run, tmpfs: {size: 64m, mode: 0o1777}}]
    labels: [a=b, c]
    networks: {back: {aliases: [database]}}
  web:
    image: nginx
    command: sh -c "echo 'a b' $$HOME"
    entrypoint: ["/entry", "x"]
    environment: [A=1, TAG, NOT_SET, "E="]
    ports: ["127.0.0.1:8080:80", "9000-9001:9000-9001/udp", {target: 53, published: "5353", protocol: udp}]
    depends_on: {db: {condition: service_healthy}, old: {condition: service_started, required: false}}
    networks: [default, back]
    deploy: {replicas: 1}
    volumes: ['shared:/shared']
  debug: {image: busybox, profiles: [debug]}
volumes: {data: , shared: {external: true, name: theirs}}
networks: {back: {internal: true, driver: bridge, ipam: {config: [{subnet: 172.30.0.0/16}]}}, unused: {}}
"#;

#[test]
fn a_full_file_loads_and_its_canonical_form_loads_to_the_same() {
    let project = ok(FULL);
    assert_eq!(project.name.as_str(), "full");
    let db = &project.services["db"];
    assert_eq!(db.image, "postgres:7");
    assert_eq!(db.restart, RestartPolicy::UnlessStopped);
    assert_eq!(db.volumes.len(), 4);
    assert_eq!(db.stop_grace_period, Some(std::time::Duration::from_secs(90)));
    let web = &project.services["web"];
    assert_eq!(web.command.as_deref(), Some(&["sh", "-c", "echo 'a b' $HOME"].map(String::from)[..]));
    assert_eq!(web.environment["TAG"].as_deref(), Some("7"));
    assert_eq!(web.environment["NOT_SET"], None);
    assert_eq!(web.environment["E"].as_deref(), Some(""));
    assert_eq!(web.ports.len(), 4);
    assert!(project.disabled_services.contains_key("debug"));
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["back", "default"]);
    assert_eq!(project.volumes["shared"].name, "theirs");
    insta::assert_snapshot!(to_yaml(&project));
    let again = ok(&to_yaml(&project));
    assert_eq!(again.services, project.services);
    assert_eq!((again.networks, again.volumes), (project.networks, project.volumes));
}

#[test]
fn dollars_are_doubled_in_both_forms_and_kept_where_variables_are_not_replaced() {
    let text = "services: {a: {image: 'x:${TAG}', environment: {A: '${A}', B: '$$b'}}}";
    let project = ok(text);
    assert_eq!(project.services["a"].environment["B"].as_deref(), Some("$b"));
    assert_eq!(to_json(&project)["services"]["a"]["environment"]["B"], "$$b");
    assert!(to_yaml(&project).contains("\"$$b\""));
    let mut options = options();
    options.interpolate = false;
    let project = load_str("compose.yaml", text, &options).unwrap();
    let json = to_json(&project);
    assert_eq!(json["services"]["a"]["image"], "x:${TAG}");
    assert_eq!(json["services"]["a"]["environment"], serde_json::json!({"A": "${A}", "B": "$$b"}));
    assert!(to_yaml(&project).contains("\"${A}\""));
}

#[test]
fn a_mode_is_printed_as_a_number() {
    let mode = |text: &str| {
        let text = format!(
            "services: {{a: {{image: x, volumes: [{{type: tmpfs, target: /t, tmpfs: {{mode: {text}}}}}]}}}}"
        );
        let project = ok(&text);
        assert_eq!(ok(&to_yaml(&project)).services, project.services);
        to_json(&project)["services"]["a"]["volumes"][0]["tmpfs"]["mode"].clone()
    };
    for text in ["0755", "0o755", "493", "'755'"] {
        assert_eq!(mode(text), 493, "{text}");
    }
}

#[test]
fn every_error_names_its_line() {
    let cases = [
        ("empty", ""),
        ("not yaml", "services: [a"),
        ("not a mapping", "- a\n- b\n"),
        ("misspelt key", "services:\n  web:\n    imag: nginx\n"),
        ("misspelt top key", "service:\n  web: {image: nginx}\n"),
        (
            "wrong types",
            "services:\n  web:\n    image: [a]\n    ports: 80\n    init: maybe\n    environment: text\n    healthcheck: {interval: 5, retries: x}\n",
        ),
        (
            "a cycle",
            "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
        ),
        ("itself", "services:\n  a: {image: x, depends_on: [a]}\n"),
        ("unknown dependency", "services:\n  web: {image: x, depends_on: [bd]}\n  db: {image: x}\n"),
        ("port out of range", "services:\n  web:\n    image: x\n    ports: ['70000:80', '80:x']\n"),
        (
            "port twice",
            "services:\n  a: {image: x, ports: ['8080:80']}\n  b: {image: x, ports: ['127.0.0.1:8080:81']}\n",
        ),
        ("port and scale", "services:\n  a: {image: x, ports: ['8080:80'], scale: 2}\n"),
        ("required variable", "services:\n  a:\n    image: ${IMAGE:?say which}\n"),
        ("bad variable", "services:\n  a:\n    image: ${IMAGE\n"),
        ("duplicate key", "services:\n  a: {image: x}\n  a: {image: y}\n"),
        ("undefined network", "services:\n  a: {image: x, networks: [bak]}\nnetworks: {back: {}}\n"),
        ("undefined volume", "services:\n  a:\n    image: x\n    volumes: [data:/x]\n"),
        ("no image", "services:\n  a: {command: x}\n"),
        ("two documents", "services: {a: {image: x}}\n---\nservices: {}\n"),
        ("no service", "name: x\nservices: {}\n"),
        ("bad name", "name: Not Good\nservices: {a: {image: x}}\n"),
        ("needed later", "services:\n  a: {image: x, extends: {service: b}}\n"),
        ("bad container name", "services:\n  a: {image: x, container_name: a/b}\n"),
        (
            "disabled dependency",
            "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, profiles: [p]}\n",
        ),
        ("bad duration", "services:\n  a: {image: x, stop_grace_period: soon}\n"),
        (
            "mount",
            "services:\n  a:\n    image: x\n    volumes: ['data:relative', {type: bind, target: /x}]\n",
        ),
    ];
    let text: Vec<String> = cases.iter().map(|(name, file)| format!("## {name}\n{}", err(file))).collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn what_engines_are_given_is_no_warning() {
    let project = ok(
        "version: '3'\nservices:\n  a:\n    image: x${NOPE}\n    mem_limit: 1g\n    secrets: [s]\n    deploy: {replicas: 1, resources: {limits: {cpus: 1}}}\n  b:\n    build: .\n    dns: []\nsecrets: {s: {environment: S}}\n",
    );
    insta::assert_snapshot!(Diagnostics(project.warnings).render(false));
}

#[test]
fn variables_and_dollars_are_warned_of_where_they_stand() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "compose.yaml",
        "services:\n  a:\n    image: x\n    user: \"$$NO-${NO:-1}$NO2$NO\"\n    command: |\n      echo $$NO2\n      echo ${NO2} $1\n    environment: {A: 'a$', B: '${NO}', C: '$$'}\n    env_file: a.env\n",
    );
    write("a.env", "A='$X'\nB=\"\n${X}\"\nC=$ {S}\n");
    let project = load(&LoadOptions::new(folder.path())).unwrap();
    let warnings = Diagnostics(project.warnings).render(false);
    insta::assert_snapshot!(warnings.replace(&folder.path().display().to_string(), "."));
    let a = &project.services["a"];
    assert_eq!(a.environment["B"].as_deref(), Some(""));
    assert_eq!(a.environment["C"].as_deref(), Some("$"));
}

#[test]
fn what_aliases_repeat_is_said_once() {
    let project = ok(
        "x-c: &c {A: 'a$', B: 0644, C: $NO}\nservices:\n  a: {image: x, environment: *c}\n  b: {image: x, environment: *c}\n",
    );
    assert_eq!(project.warnings.len(), 3, "{:?}", project.warnings);
}

#[test]
fn a_required_variable_says_whether_it_is_set() {
    let mut options = options();
    options.env.insert("E".into(), String::new());
    let message = |text: &str| {
        load_str("x", &format!("services: {{a: {{image: '{text}'}}}}"), &options).unwrap_err().to_string()
    };
    assert!(message("${E:?e}").contains("required variable E is set to an empty text: e"));
    assert!(message("${N:?}").contains("required variable N is not set\n"));
}

/// All that is said of a service `a` of each case, errors or warnings.
fn said(cases: &[(&str, &str)]) -> String {
    let say = |service: &str| {
        let text = format!("services:\n  a:\n    image: x\n    {service}\n  b: {{image: x}}\n");
        match load_str("compose.yaml", &text, &options()) {
            Ok(project) => Diagnostics(project.warnings).render(false),
            Err(error) => error.to_string(),
        }
    };
    cases.iter().map(|(name, service)| format!("## {name}\n{}", say(service))).collect::<Vec<_>>().join("\n")
}

#[test]
fn nothing_is_dropped_in_silence() {
    insta::assert_snapshot!(said(&[
        ("tmpfs size", "tmpfs: ['/ok:size=1m,mode=1777', '/x:size=abc', '/y:size=99999999999g']"),
        ("tmpfs mode", "tmpfs: [/ok, '/x:mode=9999', 'rel', '/y:foo']"),
        ("port words", "ports: [{target: 80, mode: host, name: web, app_protocol: http}]"),
        ("port mode", "ports: [{target: 80, mode: foo}]"),
        (
            "blocks of other types",
            "volumes: [{type: bind, source: /s, target: /t, volume: {nocopy: true}, tmpfs: {size: 1}}]"
        ),
        ("a source of memory", "volumes: [{type: tmpfs, source: x, target: /t}]"),
        ("options of other types", "volumes: ['/s:/t:nocopy', '/anon', '/x:/y:foo']"),
        ("two counts", "scale: 2\n    deploy: {replicas: 3}"),
        ("one count", "scale: 2\n    deploy: {replicas: 2}"),
        ("ports of another service", "network_mode: service:b\n    ports: ['80:80']"),
        ("ports of another container", "network_mode: container:c\n    ports: ['80:80']"),
        ("ports of the host", "network_mode: host\n    ports: ['80:80']"),
        ("ports of nobody", "network_mode: none\n    ports: ['80:80']"),
    ]));
}

#[test]
fn ports_that_are_not_published_are_in_nobodys_way() {
    let project = ok(
        "services:\n  a: {image: x, network_mode: host, ports: ['80:80']}\n  b: {image: x, ports: ['80:80']}\n",
    );
    assert_eq!(project.warnings.len(), 1);
}

#[test]
fn what_no_engine_takes_is_refused_at_its_line() {
    let long = format!("labels: {{}}\n  {}: {{image: x}}", "n".repeat(250));
    insta::assert_snapshot!(said(&[
        ("container name", "container_name: c"),
        ("long name", &long),
        ("signal", "stop_signal: SIGFOO"),
        ("signal number", "stop_signal: 65"),
        ("hostname", "hostname: a b"),
        (
            "propagation",
            "volumes: [{type: bind, source: /s, target: /t, bind: {propagation: foo, selinux: q}}]"
        ),
        ("expose", "expose: [80, '53/udp', '1-2', foo, '80/icmp']"),
        ("extra hosts", "extra_hosts: ['a:1.2.3.4', 'b=host-gateway', 'c=[::1]', 'd:x', e, '=1.2.3.4']"),
        ("extra hosts by name", "extra_hosts: {a: 1.2.3.4, b: [1.2.3.4, x]}"),
        ("aliases", "networks: {default: {aliases: [good, 'a,b', 'a=b', 'a:b', 'a b', '']}}"),
        ("too many", "scale: 10001"),
        ("too many replicas", "deploy: {replicas: -1}"),
    ]));
    let images: Vec<String> = ["App", "http://x", "x@sha256:zz", "x:", "a//b"]
        .map(|image| err(&format!("services:\n  a:\n    image: '{image}'\n")))
        .into();
    insta::assert_snapshot!(images.join("\n"));
    insta::assert_snapshot!(err(
        "services:\n  a: {image: x, networks: [n]}\nnetworks:\n  n: {name: 'bad name!'}\nvolumes:\n  v: {name: v}\n  w: {external: {name: 'w/'}}\n"
    ));
}

#[test]
fn an_error_points_at_the_entry() {
    insta::assert_snapshot!(said(&[
        ("a port twice", "ports: ['80:80', '81:81', '80:82']"),
        ("an unknown volume", "volumes: ['/ok', 'data:/x']"),
        ("two mounts", "volumes: ['/x', '/y']\n    tmpfs: [/z, /x/]"),
    ]));
}

#[test]
fn one_mistake_is_one_error() {
    let one = |text: &str| match load_str("compose.yaml", text, &options()) {
        Err(LoadError::Invalid(found)) => {
            assert_eq!(found.errors().count(), 1, "{found}");
            found.to_string()
        }
        other => panic!("{text}: {other:?}"),
    };
    let texts = [
        "services:\n  a: {image: x, network_mode: 'service:zz'}\n",
        "services:\n  a: {image: x, network_mode: 'service:b'}\n  b: {image: x, profiles: [p]}\n",
        "services:\n  a: {image: x, env_file: [{path: no.env, required: maybe}]}\n",
        "services:\n  a: {image: x, volumes: ['da ta:/x']}\nvolumes: {da ta: }\n",
        "services:\n  a: {image: x, networks: ['n!']}\nnetworks: {n!: }\n",
    ];
    insta::assert_snapshot!(texts.map(one).join("\n"));
}

#[test]
fn what_waits_for_a_variable_is_not_judged() {
    let mut options = options();
    options.interpolate = false;
    let text = "services:\n  a:\n    image: ${REG}/App:${TAG}\n    container_name: ${N}\n    hostname: ${H}\n    stop_signal: ${S}\n    expose: ['${P}']\n    extra_hosts: ['h:${A}']\n    tmpfs: '/x:size=${Z}'\n    networks: {n: {aliases: ['${X:-a}']}}\nnetworks: {n: {name: '${NET}'}}\n";
    let project = load_str("compose.yaml", text, &options).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(to_json(&project)["services"]["a"]["stop_signal"], "${S}");
}

#[test]
fn what_a_variable_hides_is_kept_as_it_is_written() {
    let mut options = options();
    options.interpolate = false;
    let text = "
services:
  a:
    image: x
    ports: ['${P:-80}:80', '81']
    mem_limit: ${M}
    init: $I
    stop_grace_period: ${S}
    deploy: {replicas: '${R:-1}'}
    volumes: ['${V}:/v', '${W:-./w}:/w']
    networks: {n: {ipv4_address: '${A}'}}
    secrets: [{source: s, mode: '${M}'}]
    links: ['${L}']
networks: {n: {internal: '${I}', name: nn}}
secrets: {s: {file: '${F}'}}
";
    let project = load_str("compose.yaml", text, &options).unwrap_or_else(|error| panic!("{error}"));
    let json = to_json(&project);
    let a = &json["services"]["a"];
    assert_eq!(a["ports"], serde_json::json!(["${P:-80}:80", "81"]));
    assert_eq!((&a["mem_limit"], &a["init"]), (&"${M}".into(), &"$I".into()));
    assert_eq!(a["deploy"], serde_json::json!({"replicas": "${R:-1}"}));
    assert_eq!(a["volumes"][1], "${W:-./w}:/w");
    assert_eq!(json["networks"]["n"], serde_json::json!({"internal": "${I}", "name": "nn"}));
    // It is as good as the file: with the variables it loads.
    let env = ["M=400", "I=true", "S=1s", "V=/v", "A=10.0.0.2", "L=b", "F=f"];
    options.env =
        env.iter().filter_map(|pair| pair.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect();
    options.interpolate = true;
    let with_b = |text: &str| text.replace("services:\n", "services:\n  b: {image: x}\n");
    let load = |text: &str| {
        load_str("compose.yaml", &with_b(text), &options).unwrap_or_else(|error| panic!("{error}"))
    };
    assert_eq!(load(&to_yaml(&project)).services["a"].ports, load(text).services["a"].ports);
    // What is wrong without any variable is wrong.
    options.interpolate = false;
    let error = load_str("x", "services: {a: {image: x, mem_limit: lots, cpus: $C}}", &options).unwrap_err();
    assert!(error.to_string().contains("lots"));
}

#[cfg(unix)]
#[test]
fn an_endless_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = LoadOptions::new(folder.path());
    options.files = vec!["/dev/zero".into()];
    let error = load(&options).unwrap_err().to_string();
    assert!(error.contains("larger than 16 MiB"), "{error}");
    std::fs::write(folder.path().join("c.yaml"), "services: {a: {image: x, env_file: /dev/zero}}").unwrap();
    options.files = vec!["c.yaml".into()];
    let error = load(&options).unwrap_err().to_string();
    assert!(error.contains("larger than 16 MiB") && error.contains("c.yaml:1:36"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_pipe_is_read_as_far_as_a_file_may_go() {
    use std::io::Write;
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut options = LoadOptions::new(folder.path());
    options.files = vec![pipe.clone()];
    let write = |text: &'static str, times: usize| {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let mut pipe = std::fs::OpenOptions::new().write(true).open(pipe).unwrap();
            (0..times).take_while(|_| pipe.write_all(text.as_bytes()).is_ok()).count()
        })
    };
    let writer = write("services: {a: {image: x}}", 1);
    assert_eq!(load(&options).unwrap().services["a"].image, "x");
    assert_eq!(writer.join().unwrap(), 1);
    // It ends when nobody reads on.
    let writer = write("# nothing, and so on\n", usize::MAX);
    assert!(load(&options).unwrap_err().to_string().contains("larger than 16 MiB"));
    assert!(writer.join().unwrap() > 0);
}

#[test]
fn an_alias_bomb_and_deep_nesting_end() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(",")));
    }
    assert!(err(&bomb).contains("aliases"), "{}", err(&bomb));
    let deep = err(&"[".repeat(5000));
    assert!(deep.contains("deep") || deep.contains("recursion"), "{deep}");
    assert!(err("a: &a\n  b: *a\n").contains("alias"));
}

#[test]
fn files_override_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "compose.yaml",
        "services:\n  a:\n    image: x\n    command: [a]\n    ports: ['1:1']\n    environment: [A=1, B=2]\n    volumes: ['v:/v', 'w:/w']\n    depends_on: [b]\n  b: {image: x}\nvolumes: {v: , w: , z: }\n",
    );
    write(
        "compose.override.yaml",
        "services:\n  a:\n    command: [b]\n    ports: ['2:2']\n    environment: {B: '3'}\n    volumes: ['z:/v']\n    depends_on: {b: {condition: service_healthy}}\n  b: {image: !reset null, build: ., healthcheck: {test: x}}\n",
    );
    write(".env", "COMPOSE_PROJECT_NAME=from-env\n");
    let b = &load(&LoadOptions::new(folder.path())).unwrap().services["b"];
    assert!(b.is_only_built() && b.image == "from-env-b");
    write(
        "compose.override.yaml",
        "services:\n  a:\n    command: [b]\n    ports: ['2:2']\n    environment: {B: '3'}\n    volumes: ['z:/v/']\n    depends_on: {b: {condition: service_healthy}}\n  b: {healthcheck: {test: x}}\n",
    );
    std::fs::create_dir(folder.path().join("inner")).unwrap();
    let project = load(&LoadOptions::new(folder.path().join("inner"))).unwrap();
    assert_eq!(project.name.as_str(), "from-env");
    let a = &project.services["a"];
    assert_eq!(a.command.as_deref(), Some(&["b".to_owned()][..]));
    assert_eq!(a.ports.len(), 2);
    assert_eq!(a.environment["A"].as_deref(), Some("1"));
    assert_eq!(a.environment["B"].as_deref(), Some("3"));
    assert_eq!(a.volumes.len(), 2);
    assert_eq!(a.depends_on["b"].condition, Condition::ServiceHealthy);
    assert_eq!(project.config_files.len(), 2);
    assert_eq!(project.working_dir, folder.path());
}

#[test]
fn a_host_may_have_addresses_in_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("compose.yaml", "services: {a: {image: x, extra_hosts: ['b:1.1.1.1', 'a=9.9.9.9', 'c:::1']}}");
    write("compose.override.yaml", "services: {a: {extra_hosts: {a: [1.1.1.1, 9.9.9.9], d: 2.2.2.2}}}");
    let project = load(&LoadOptions::new(folder.path())).unwrap();
    let hosts: Vec<String> =
        project.services["a"].extra_hosts.iter().map(|(host, address)| format!("{host}={address}")).collect();
    assert_eq!(hosts, ["a=1.1.1.1", "a=9.9.9.9", "b=1.1.1.1", "c=::1", "d=2.2.2.2"]);
}

#[test]
fn a_missing_file_says_what_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(&LoadOptions::new(folder.path())).unwrap_err();
    assert!(matches!(error, LoadError::NotFound { .. }) && error.to_string().contains("docker-compose.yml"));
    let mut options = LoadOptions::new(folder.path());
    options.files = vec!["nope.yaml".into()];
    assert!(matches!(load(&options).unwrap_err(), LoadError::Unreadable { .. }));
}

#[test]
fn the_hash_is_of_what_makes_a_container() {
    let hash = |text: &str| {
        ok(&format!("services: {{a: {{image: x, {text}}}, b: {{image: x}}}}")).services["a"]
            .config_hash
            .clone()
    };
    let plain = hash("");
    assert_eq!(plain.len(), 64);
    assert_eq!(plain, hash("scale: 3"));
    assert_eq!(plain, hash("pull_policy: always"));
    assert_ne!(plain, hash("environment: {A: '1'}"));
    assert_ne!(plain, hash("command: x"));
}

/// What docker compose 2.26.1 says of a service (`config --hash a`), which is `image: x` and this.
const HASHES: &[(&str, &str)] = &[
    ("depends_on: [b]", "bed0abdc90a9e19c94d3fae34ea706a5f79affeae478914223781285bb94572d"),
    (
        "depends_on: {b: {condition: service_healthy, restart: true}}",
        "9f912d5e98e1d4e109c93014f7dffeb66451647931a23dba3ff76a49641c2104",
    ),
    (
        "depends_on: {b: {condition: service_completed_successfully, required: false}}",
        "0d4409720309eb657fe87ecd101c7bbe99fc4138fca0fe2dd25bb8020f88e7b1",
    ),
    (r#"network_mode: "service:b""#, "6b443e10317e8b17e8bb77fcc0111547e0e82686e5cd0e691221605d713a4af0"),
    ("profiles: [p]", "990eed1cd9045d63f9ccec2421cf084a7693d090bac2528606e114f0e010dbc9"),
    ("scale: 3", "d5457d0b2799957b606d2ac4ed52d85a1e75799490e56229948300b9a59e8953"),
    ("pull_policy: always", "d5457d0b2799957b606d2ac4ed52d85a1e75799490e56229948300b9a59e8953"),
    ("deploy: {}", "44afd1045bf833334d45f6fe848d207c5338c9e318b0126c9f1427c9cc291b8e"),
    ("deploy: {replicas: 1}", "44afd1045bf833334d45f6fe848d207c5338c9e318b0126c9f1427c9cc291b8e"),
    ("deploy: {replicas: 2}", "44afd1045bf833334d45f6fe848d207c5338c9e318b0126c9f1427c9cc291b8e"),
    ("deploy: {replicas: 2}, scale: 2", "44afd1045bf833334d45f6fe848d207c5338c9e318b0126c9f1427c9cc291b8e"),
    (r#"restart: "no""#, "453cb45cfedc7c65e14d7ab25b8e1019d819fb6323374e68b7c207f0ed9de5ef"),
    ("restart: no", "453cb45cfedc7c65e14d7ab25b8e1019d819fb6323374e68b7c207f0ed9de5ef"),
    (r#"restart: "on-failure:3""#, "552487661239cd16756bb933a916ac0a36e822a3e8ad3c9beb154375ad30007c"),
    ("tmpfs: /x", "aa3be3a590faded8283bf7ea57faa2c587bb0817bb6e902d73c16c85d99cf937"),
    (
        r#"tmpfs: [/y, "/x:size=64m,mode=1777"]"#,
        "d7547fce93099f54f7f5ab24783986c617db5922c3db431bb533a73557201cca",
    ),
    (r#"tmpfs: /x, volumes: ["/v"]"#, "6972c4b600b6622a9880538532b50d0b42c60f944ef067aaa4e5c43312abb0db"),
    (
        "volumes: [{type: bind, source: /s, target: /t}]",
        "18fb7e231486ea652b53ae514f3068e3b0a1bddbda57d9bbf63720704d6f57d6",
    ),
    (
        "volumes: [{type: bind, source: /s, target: /t, bind: {}}]",
        "c57b6b603aab1e76fd6163564820897cdbfeb5b09700ca9d911da1ed90ffb8fb",
    ),
    (
        "volumes: [{type: bind, source: /s, target: /t, bind: {create_host_path: false}}]",
        "c57b6b603aab1e76fd6163564820897cdbfeb5b09700ca9d911da1ed90ffb8fb",
    ),
    (
        "volumes: [{type: bind, source: /s, target: /t, read_only: true, bind: {create_host_path: true}}]",
        "344604dfd9da8f7aa6a6f2ca65ccc2b7bf9545e24f6f8605d0c9e98bde38db1e",
    ),
    (
        "volumes: [{type: bind, source: /s, target: /t, bind: {propagation: rshared, selinux: Z}}]",
        "800ffbd84f185c1d1023216e88724b8bad4174bc944879416c8c0024f25cbdc0",
    ),
    (r#"volumes: ["/s:/t:z"]"#, "113f6251fd7c1fdbede4bb0b027d40339bb0d0b3160df1ed3758ddfd1cb16275"),
    (r#"volumes: ["/s:/t:ro,rslave"]"#, "5867254dfb765d2b54f244b978d2c2318854afc14901572d8374cd507025cb9e"),
    ("volumes: [/t]", "6527548926564ee3c1b8c75b31477ff662d163fb1c70909854a54d24572b1db0"),
    (r#"volumes: [/anon]"#, "c7e4cd071fd778979136eda1e8dfc92aa457e56c53422a6f78eb479e4d333541"),
    (
        r#"volumes: ["/etc/x/:/etc//y/../x/", {type: bind, source: /s//, target: /p/./q/}], tmpfs: /m/, working_dir: /w/"#,
        "2777ec064dce4d1f261560873e4eb2a23002e12411969d2f98add1e05c7541c1",
    ),
    (
        "volumes: [{type: volume, target: /t}, {type: volume, target: /u, volume: {}}]",
        "978405157fda47c2869dfae687228423e8aa1c54ac44990725ce7641337d1ed2",
    ),
    (
        r#"volumes: ["vv:/t", {type: volume, source: vv, target: /u}, {type: volume, source: vv, target: /w, volume: {nocopy: true}}]"#,
        "01e7bc7e828f4c7b073571927aacf79fbfb2b87d4a09b8451ed5bc758269af80",
    ),
    (
        "volumes: [{type: tmpfs, target: /t}, {type: tmpfs, target: /u, tmpfs: {}}]",
        "bf5972d551c9b686e3ddc39251fc70322a34584dce6655f76f0bf3b4a44a0fce",
    ),
    (
        "volumes: [{type: tmpfs, target: /t, tmpfs: {size: 64m, mode: 0755}}]",
        "b2bc6436d4bf77087c2f2a3868ec48657a5d996d7837987a2ea5ebf88ffb74a4",
    ),
    (r#"environment: {A: "<a & b>$$c"}"#, "203a68367609cd6fd03232f576fcd9cfccb9389df5279272f560202a4a1ddb78"),
    ("environment: [A=0644, B=1.0]", "56101470dc6863b0c5d45a83d63c1112e993a619291378513a789db4ada89683"),
    ("healthcheck: {test: [NONE]}", "546682d849ab9dc6ecfc978b619c8cdd1f144f88e5da2ac121816de9abef9ada"),
    (
        "healthcheck: {test: [NONE], interval: 3s}",
        "2a515cea3c102076c8f1eee5c59189955e709e020bdfb9dd34d9d8d1fdbe6262",
    ),
    ("healthcheck: {disable: true}", "ad3610d7beb23355e78761b6705a30bbeac00a7e3efdbfc08ec2a18d3b9de524"),
    (
        "healthcheck: {test: exit 0, interval: 1m30s, timeout: 500ms, retries: 2, start_period: 1h, start_interval: 1s}",
        "746e37ea787572addb5f203bea8552ea95e8f0a276ecbd9a68df3e243106e13a",
    ),
    (
        r#"ports: ["80", "8080-8081:81", "127.0.0.1:53:53/udp"]"#,
        "9c1f0de74db728821e44434ef88da579c2ab179c3fb72a25371d651f5e2fa064",
    ),
    (r#"ports: ["0:80"]"#, "0770821cdfe8e11d3a5d6d4c9936a6ec6fb6b859684a3a4e15cdfd5882a1a272"),
    (
        "ports: [{target: 80, published: 0}]",
        "0770821cdfe8e11d3a5d6d4c9936a6ec6fb6b859684a3a4e15cdfd5882a1a272",
    ),
    (
        "ports: [{target: 80, published: 8080, mode: host, name: n, app_protocol: http}]",
        "4680115f079624560ed7cbbbfb6785c32e1345c8784ced7144b964ce0a5e18b9",
    ),
    ("expose: [80, 53/udp]", "09e5b829d2e2ae4530e5004689554702770e4f2909cd5e52fc544703fc611132"),
    (
        r#"extra_hosts: ["a:1.2.3.4", "b=::1", "c=[::2]"]"#,
        "61fc65ab40ec0f4e2c0b8c2800a3282d5b7660a3b333f68b75cd353d2d5b8f10",
    ),
    (
        "networks: {default: {aliases: [x], ipv4_address: 1.2.3.4}}",
        "1e465146fdf625a0ac0667a9d2d45c1a52a69043a61fad0ebebcc75f5d3349b8",
    ),
    (r#"command: "", entrypoint: []"#, "251ca35baceb22da5e8eb0ba9b302c39f202c921bed5c9cafa92f853feca86b1"),
    (
        r#"user: "", hostname: h, healthcheck: {test: x}, init: true, tty: true, stdin_open: true, read_only: true, privileged: true, stop_signal: SIGINT, stop_grace_period: 1s, working_dir: /w, cap_add: [A], cap_drop: [B], tmpfs: [/x], container_name: cn"#,
        "1007477fdb5fa43e5e4f4ff09cce92b8ac7f8cd2f0001e6e1642974ef98d9e5e",
    ),
    (
        r#"extra_hosts: {b: 1.1.1.1, a: [2.2.2.2, 1.1.1.1]}"#,
        "85904f19b159ca1395a6028ad7f4e03c3e019eb6d92a1b8bf75306ae34895c8f",
    ),
    (
        r#"extra_hosts: ["b:::1", "a:1.1.1.1", "a-b=1.1.1.1"]"#,
        "7be5645977694f1b400a4a24e2bc32222c237beaedfa20ff234577d417da386d",
    ),
    (
        r#"cap_add: [B, A], expose: [90, 80]"#,
        "0412edb803af8cb88877d3009277563b233e03e7caf2fb34e30a2c188aa51163",
    ),
];

#[test]
fn the_hash_is_docker_composes() {
    let mut options = options();
    options.profiles = vec!["p".into()];
    let load = |text: &str| load_str("x", text, &options).unwrap_or_else(|error| panic!("{error}"));
    let mut wrong = Vec::new();
    for (service, hash) in HASHES {
        let text = format!("services: {{a: {{image: x, {service}}}, b: {{image: x}}}}\nvolumes: {{vv: }}\n");
        let project = load(&text);
        if project.services["a"].config_hash != *hash {
            wrong.push((service, to_json(&project)["services"]["a"].to_string()));
        }
        assert_eq!(load(&to_yaml(&project)).services, project.services, "{service}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_plain_scalar_stays_as_written_and_is_warned_of_where_docker_compose_changes_it() {
    let text = "services: {a: {image: x, environment: {A: 0644, B: 3.10, C: 2020-01-01, D: TRUE}}}";
    let project = load_str("compose.yaml", text, &LoadOptions::new("/p")).expect("it is right");
    let value = |name: &str| project.services["a"].environment[name].clone().unwrap_or_default();
    assert_eq!(["A", "B", "C", "D"].map(value), ["0644", "3.10", "2020-01-01", "TRUE"]);
    insta::assert_snapshot!(said(&[
        ("numbers", "environment: {A: 0644, B: 1, C: '0644', D: yes, E: 1.0, F: TRUE}"),
        ("a list", "environment: [A=0644]"),
    ]));
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "(?s).{0,200}", yaml in "(services|image|ports|build|deploy|secrets|ulimits|gpus|develop|watch|ipam|a|b|:|\\$|\\{|\\}|\\[|\\]|-|\n| |'|\"|&a|\\*a|!reset|<<|80){0,60}") {
        let _ = load_str("x", &text, &options());
        let _ = load_str("x", &yaml, &options());
    }

    #[test]
    fn canonical_forms_load_again(command in proptest::collection::vec("[ -~]{0,20}", 1..4), value in "(?s)[ -~\n\t]{0,40}", port in 1u16.., scale in 0u32..3) {
        let mut service = Service::new("a", "img:1");
        service.command = Some(command);
        service.environment.insert("V".into(), Some(value));
        service.ports.push(Port::new(port, Protocol::Udp));
        service.scale = scale;
        service.networks.insert("default".into(), ServiceNetwork::default());
        service.config_hash = config_hash(&service);
        let mut project = Project::new(ProjectName::new("shop").unwrap(), "/srv/shop");
        project.services.insert("a".into(), service);
        let again = load_str("x", &to_yaml(&project), &options()).map_err(|error| proptest::test_runner::TestCaseError::fail(error.to_string()))?;
        proptest::prop_assert_eq!(again.services, project.services);
    }
}
