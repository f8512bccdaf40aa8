//! Where settings come from, and which wins.

use std::{collections::BTreeMap, path::Path};

use longshore::{Config, ConfigError, PodmanVia, RuntimeChoice};

fn env<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(
        &file,
        "runtime = 'podman'\nowner = 'file'\nhost = 'tcp://file'\n[podman]\nprogram = '/file/podman'\n",
    )
    .unwrap();
    let env = env([("LONGSHORE_RUNTIME", "docker"), ("LONGSHORE_HOST", "tcp://env")]);
    let mut flags = Config::default();
    flags.runtime = Some(RuntimeChoice::Mock);
    let config = Config::load(flags, &env, Some(&file)).unwrap();
    assert_eq!(config.runtime, Some(RuntimeChoice::Mock), "the flag");
    assert_eq!(config.host.as_deref(), Some("tcp://env"), "the environment");
    assert_eq!(config.owner.as_deref(), Some("file"), "the file");
    assert_eq!(config.podman.program.as_deref(), Some(Path::new("/file/podman")), "the file");
    assert_eq!(config.docker.host, None, "the default");
}

#[test]
fn the_default_file_may_be_missing_and_a_named_one_may_not() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().to_str().unwrap();
    let unset = Config::load(Config::default(), &env([("XDG_CONFIG_HOME", home)]), None).unwrap();
    assert_eq!(unset, Config::default(), "no folder for the state is known either");

    let missing = folder.path().join("missing.toml");
    let named = env([("LONGSHORE_CONFIG", missing.to_str().unwrap())]);
    let error = Config::load(Config::default(), &named, None).unwrap_err();
    assert!(matches!(&error, ConfigError::Unreadable { path, .. } if *path == missing), "{error}");

    std::fs::create_dir(folder.path().join("longshore")).unwrap();
    std::fs::write(folder.path().join("longshore/config.toml"), "runtime = 'docker'").unwrap();
    let found = Config::load(Config::default(), &env([("XDG_CONFIG_HOME", home)]), None).unwrap();
    assert_eq!(found.runtime, Some(RuntimeChoice::Docker));
}

#[test]
fn a_misspelt_key_is_an_error_with_its_line() {
    let error = Config::from_toml("runtime = 'podman'\nhots = 'x'\n").unwrap_err().to_string();
    assert!(error.contains("line 2") && error.contains("hots"), "{error}");
}

#[test]
fn variables_of_the_engines_are_known() {
    let config = Config::from_env(&env([
        ("DOCKER_HOST", "unix:///d.sock"),
        ("CONTAINER_HOST", "unix:///p.sock"),
        ("LONGSHORE_PODMAN", "/opt/podman"),
        ("LONGSHORE_RUNTIME", ""),
    ]))
    .unwrap();
    assert_eq!(config.docker.host.as_deref(), Some("unix:///d.sock"));
    assert_eq!(config.podman.url.as_deref(), Some("unix:///p.sock"));
    assert_eq!(config.podman.program.as_deref(), Some(Path::new("/opt/podman")));
    assert_eq!(config.runtime, None, "an empty value is none");

    let error = Config::from_env(&env([("LONGSHORE_RUNTIME", "dokcer")])).unwrap_err();
    assert!(error.to_string().starts_with("LONGSHORE_RUNTIME: "), "{error}");
}

#[test]
fn the_higher_source_says_where_podman_is() {
    let file = Config::from_toml("[podman]\nconnection = 'build'\n").unwrap();
    let environment = Config::from_env(&env([("CONTAINER_HOST", "unix:///p.sock")])).unwrap();
    let config = environment.merge(file);
    assert_eq!(config.podman.connection, None, "it would contradict the URL");
    assert_eq!(config.podman.url.as_deref(), Some("unix:///p.sock"));
}

#[test]
fn how_podman_is_called_is_configured_from_everywhere() {
    let file = Config::from_toml("[podman]\nvia = 'api'\n").unwrap();
    assert_eq!(file.podman.via, Some(PodmanVia::Api));
    let environment = Config::from_env(&env([("LONGSHORE_PODMAN_VIA", "cli")])).unwrap();
    assert_eq!(
        environment.merge(file).podman.via,
        Some(PodmanVia::Cli),
        "the environment wins over the file"
    );
    let error = Config::from_env(&env([("LONGSHORE_PODMAN_VIA", "ssh")])).unwrap_err().to_string();
    assert_eq!(
        error,
        "LONGSHORE_PODMAN_VIA: \"ssh\": \"ssh\" is no way to call Podman; use auto, cli or api"
    );
    assert!(Config::from_toml("[podman]\nvia = 'ssh'\n").is_err());
}

#[test]
fn a_machine_is_configured_from_everywhere() {
    let env = env([
        ("LONGSHORE_MACHINE", "always"),
        ("LONGSHORE_MACHINE_NAME", "m1"),
        ("LONGSHORE_MACHINE_MEMORY", "1536"),
        ("XDG_STATE_HOME", "/state"),
    ]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, "[machine]\nname = 'other'\ncpus = 1\ndisk = 6\nstart_timeout = 90\n").unwrap();
    let config = Config::load(Config::default(), &env, Some(&file)).unwrap();
    let machine = &config.machine;
    assert_eq!(machine.when, Some(longshore::MachineChoice::Always));
    assert_eq!(machine.name.as_deref(), Some("m1"), "the environment wins over the file");
    assert_eq!((machine.cpus, machine.memory, machine.disk), (Some(1), Some(1536), Some(6)));
    assert_eq!(machine.start_timeout, Some(90));
    assert_eq!(machine.state.as_deref(), Some(Path::new("/state/longshore")));
}

#[test]
fn what_no_machine_can_be_is_refused_by_name() {
    let wrong = [
        ("name = 'a b'", "machine.name"),
        ("name = '-x'", "machine.name"),
        ("name = 'a/b'", "machine.name"),
        ("name = \"a\\nb\"", "machine.name"),
        ("cpus = 0", "machine.cpus"),
        ("cpus = 100000", "machine.cpus"),
        ("memory = 1", "machine.memory"),
        ("memory = 100000000", "machine.memory"),
        ("disk = 1", "machine.disk"),
        ("image = '--help'", "machine.image"),
        ("helpers = 'relative'", "machine.helpers"),
        ("state = 'relative'", "machine.state"),
    ];
    for (line, setting) in wrong {
        let config = Config::from_toml(&format!("[machine]\n{line}\n")).unwrap();
        let error = config.check().unwrap_err();
        assert!(
            matches!(&error, ConfigError::Setting { setting: which, .. } if *which == setting),
            "{line}: {error}"
        );
    }
    let sometimes = env([("LONGSHORE_MACHINE", "sometimes")]);
    let error = Config::from_env(&sometimes).unwrap_err().to_string();
    assert!(error.contains("LONGSHORE_MACHINE") && error.contains("sometimes"), "{error}");
}
