//! Choosing an engine.

use longshore::{AnyRuntime, Config, ContainerRuntime, Error, RuntimeChoice, RuntimeKind};

#[cfg(all(feature = "podman", feature = "docker"))]
#[tokio::test]
async fn auto_with_nothing_there_lists_every_reason() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.podman.program = Some(folder.path().join("no-podman"));
    config.docker.host = Some(format!("unix://{}", folder.path().join("no-docker.sock").display()));
    let error = AnyRuntime::connect(&config).await.unwrap_err();
    let Error::NoEngine(attempts) = &error else { panic!("{error}") };
    let kinds: Vec<RuntimeKind> = attempts.iter().map(|(kind, _)| *kind).collect();
    assert_eq!(kinds, [RuntimeKind::Podman, RuntimeKind::Docker]);
    let text = error.to_string();
    assert!(text.contains("no-podman") && text.contains("no-docker.sock"), "{text}");
    assert!(error.help().is_some());
}

#[tokio::test]
async fn a_named_engine_is_made_without_looking_for_it() {
    let mut config = Config::default();
    config.podman.program = Some("/nonexistent/podman".into());
    config.docker.host = Some("unix:///nonexistent/docker.sock".to_owned());
    for choice in [RuntimeChoice::Podman, RuntimeChoice::Docker, RuntimeChoice::Mock] {
        config.runtime = Some(choice);
        match AnyRuntime::connect(&config).await {
            Ok(runtime) => assert_eq!(Some(runtime.kind()), choice.kind()),
            Err(error) => assert_eq!(error.code(), "unsupported", "only what is not compiled in: {error}"),
        }
    }
}

#[cfg(feature = "mock")]
#[tokio::test]
async fn the_enum_and_the_object_are_one_runtime() {
    use std::sync::Arc;

    let mut config = Config::default();
    config.runtime = Some(RuntimeChoice::Mock);
    let runtime = AnyRuntime::connect(&config).await.unwrap();
    let object: Arc<dyn ContainerRuntime> = runtime.into();
    assert_eq!(AnyRuntime::from(object).kind(), RuntimeKind::Mock);
}
