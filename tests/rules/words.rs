//! Rules 9 and 10: what is told, and what engines are asked.

use std::sync::{Arc, Mutex, PoisonError};

use compose_file::{LoadOptions, Project, ProjectName, load_str};
use runtime_core::{
    Call, ContainerName, ContainerRuntime, DownOptions, Error, MachineName, ResourceName, RuntimeKind,
    ShutdownOptions, Target, UpOptions,
};
use runtime_mock::Fault;

use crate::seeds::{Dice, World, call, play};

fn load(text: &str) -> Option<Project> {
    let mut options = LoadOptions::new("/srv");
    options.project_name = Some("shop".to_owned());
    load_str("compose.yaml", text, &options).ok()
}

/// A project whose containers get a secret, one of which may never be healthy.
fn with_secret(secret: &str, dice: &mut Dice) -> Project {
    let check = if dice.flip() { "[CMD, /fixture, health]" } else { "[CMD, /fixture, exit, '1']" };
    let image = if dice.roll(4) == 0 { "nowhere/app" } else { "app" };
    let text = format!(
        "
services:
  db:
    image: app
    environment: {{PASSWORD: {secret}}}
    healthcheck: {{test: {check}, interval: 1s, retries: 2, timeout: 1s}}
  web:
    image: {image}
    environment: [\"TOKEN={secret}\"]
    depends_on: {{db: {{condition: service_healthy}}}}
"
    );
    load(&text).expect("the text is right")
}

fn fail_somewhere(world: &mut World) {
    const CALLS: [&str; 10] = [
        "observe",
        "list",
        "inspect",
        "pull",
        "create_network",
        "create_container",
        "start_container",
        "stop_container",
        "remove_container",
        "rename_container",
    ];
    for _ in 0..world.dice.roll(4) {
        let at = usize::try_from(world.dice.roll(CALLS.len() as u64)).unwrap_or_default();
        let nth = 1 + usize::try_from(world.dice.roll(3)).unwrap_or_default();
        let error = Error::NotReachable {
            engine: RuntimeKind::Mock,
            endpoint: "memory".to_owned(),
            reason: "it went".to_owned(),
        };
        let fault = match world.dice.roll(3) {
            0 => Fault::Fail(error),
            1 => Fault::DoneAndFail(error),
            _ => Fault::Hang,
        };
        world.engine.script(CALLS[at], nth, fault);
    }
}

#[test]
fn rule_9_no_value_of_the_environment_is_told_whatever_goes_wrong() {
    play(&[], |mut world| async move {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        let tell = move |what: String| kept.lock().unwrap_or_else(PoisonError::into_inner).push(what);
        let listen = tell.clone();
        let call = Call::reporting(move |event| listen(format!("{event:?}")));
        let runtime = world.process();
        let of_error = |error: &Error| format!("{error:?} {error} {:?}", error.help());
        for round in 0..2 {
            let project = with_secret(&format!("hunter-{round}-Zx9"), &mut world.dice);
            fail_somewhere(&mut world);
            match runtime.plan(&project, &UpOptions::default()).await {
                Ok(plan) => tell(format!("{plan} {}", serde_json::to_string(&plan).unwrap_or_default())),
                Err(error) => tell(of_error(&error)),
            }
            match runtime.up(&project, &UpOptions::default(), &call).await {
                Ok(outcome) => tell(format!("{outcome:?}")),
                Err(error) => tell(of_error(&error)),
            }
            tell(format!("{:?}", runtime.ps(&project.name).await));
            tell(format!("{:?}", runtime.projects().await));
            if world.dice.flip() {
                let target = Target::from(&project);
                tell(format!("{:?}", runtime.down(&target, &DownOptions::default(), &call).await));
            }
        }
        tell(format!("{:?}", runtime.shutdown(&ShutdownOptions::default(), &call).await));
        tell(format!("{runtime:?} {:?}", world.engine.journal()));
        let told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let leaks: Vec<&String> = told.iter().filter(|what| what.contains("hunter-")).collect();
        assert!(leaks.is_empty(), "{leaks:#?}");
    });
}

/// A name that somebody may try.
fn attempt(dice: &mut Dice) -> String {
    const PARTS: [&str; 16] =
        ["a", "web", "Z", "7", "-", "--rm", "/", "..", "\n", " ", "\0", "é", "_", ".", "$(x)", ";"];
    let parts = 1 + dice.roll(4);
    (0..parts).map(|_| PARTS[usize::try_from(dice.roll(PARTS.len() as u64)).unwrap_or_default()]).collect()
}

/// What engines take: a word that no program reads as a flag, a path or two words.
fn is_harmless(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'))
}

#[test]
fn rule_10_a_name_that_could_surprise_is_refused_before_anything_is_asked() {
    play(&[], |mut world| async move {
        let runtime = world.process();
        assert!(world.engine.journal().is_empty(), "making a runtime asks nobody");
        let name = attempt(&mut world.dice);
        let harmless = is_harmless(&name);
        assert_eq!(ContainerName::new(name.as_str()).is_ok(), harmless, "{name:?}");
        assert_eq!(ResourceName::network(name.as_str()).is_ok(), harmless, "{name:?}");
        assert_eq!(ResourceName::volume(name.as_str()).is_ok(), harmless, "{name:?}");
        assert_eq!(MachineName::new(name.as_str()).is_ok(), harmless, "{name:?}");
        assert!(harmless || ProjectName::new(name.as_str()).is_err(), "{name:?}");
        let quoted = serde_json::to_string(&name).expect("text is JSON");
        let text = match world.dice.roll(3) {
            0 => format!("services:\n  web:\n    image: app\n    container_name: {quoted}\n"),
            1 => format!(
                "services:\n  web:\n    image: app\n    volumes: ['data:/data']\nvolumes:\n  data:\n    name: {quoted}\n"
            ),
            _ => format!("services:\n  web:\n    image: app\nnetworks:\n  default:\n    name: {quoted}\n"),
        };
        // What cannot be such a name may be refused where it is read; Docker takes none of one letter for a container.
        let Some(project) = load(&text) else {
            assert!(!harmless || name.len() == 1, "{name:?} is a name");
            return;
        };
        match runtime.up(&project, &UpOptions::default(), &call()).await {
            Ok(_) => assert!(harmless, "{name:?} came to the engine: {:#?}", world.engine.journal()),
            Err(error) => {
                assert!(!harmless, "{name:?}: {error:?}");
                assert!(matches!(error, Error::InvalidName { .. }), "{error:?}");
                assert!(!world.engine.journal().iter().any(|line| line.contains("create_")), "{name:?}");
            }
        }
    });
}
