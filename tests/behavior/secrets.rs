//! No value of the environment is in an event, an error or a label.

use std::sync::Arc;

use longshore_tests::{Case, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{ExecSpec, Target, UpOptions};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        nothing_tells_a_value,
        an_error_of_the_engine_tells_no_value,
        an_unhealthy_container_tells_no_value,
        a_secret_is_its_owners,
    );
}

const SECRET: &str = "hunter2-Zx9";

fn text(rest: &str) -> String {
    format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    environment:
      PASSWORD: {SECRET}
{rest}
"
    )
}

fn tells_nothing(what: &str, text: &str) {
    assert!(!text.contains(SECRET), "{what}: {text}");
}

async fn nothing_tells_a_value(case: Case) -> Outcome {
    let project = case.project(&text(""))?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?;
    tells_nothing("the plan", &plan.to_string());
    tells_nothing("the plan as JSON", &serde_json::to_string(&plan)?);
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    case.runtime().down(&Target::from(&project), &Default::default(), &recorder.call()).await?;
    tells_nothing("an event", &format!("{:?}", recorder.events()));
    case.up(&project).await?;
    tells_nothing("a list", &format!("{:?}", case.ps(&project).await?));
    let changed = case.project(&text("").replace("PASSWORD", "TOKEN"))?;
    let plan = case.runtime().plan(&changed, &UpOptions::default()).await?;
    tells_nothing("a plan of a change", &format!("{plan} {}", serde_json::to_string(&plan)?));
    tells_nothing("the runtime", &format!("{:?}", Arc::clone(case.runtime())));
    Ok(())
}

async fn an_error_of_the_engine_tells_no_value(case: Case) -> Outcome {
    for broken in
        ["    entrypoint: [/no/such/program]", "    user: nobody-of-that-name", "    image: localhost:1/no:1"]
    {
        let whole = if broken.contains("image") {
            text("").replace("    image: localhost/longshore-fixture:1", broken)
        } else {
            text(broken)
        };
        let project = case.project(&whole)?;
        let recorder = Recorder::new();
        // An engine in memory has no users to look up.
        if let Err(error) = case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await {
            tells_nothing("the error", &error.to_string());
            tells_nothing("the error's fields", &format!("{error:?}"));
        }
        tells_nothing("an event", &format!("{:?}", recorder.events()));
    }
    Ok(())
}

async fn a_secret_is_its_owners(case: Case) -> Outcome {
    std::fs::write(case.dir().join(".env"), format!("FROM_OUTSIDE={SECRET}\n"))?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    user: '7:8'
    secrets:
      - {source: s, target: mine, uid: '7', gid: '8', mode: 0400}
      - {source: s, target: theirs, uid: '9', gid: '9', mode: 0400}
    configs: [{source: c, target: /etc/of/the/group, uid: '9', gid: '8', mode: 0440}]
secrets: {s: {environment: FROM_OUTSIDE}}
configs: {c: {environment: FROM_OUTSIDE}}
",
    )?;
    let plan = case.runtime().plan(&project, &UpOptions::default()).await?;
    tells_nothing("the plan", &format!("{plan} {plan:?} {}", serde_json::to_string(&plan)?));
    tells_nothing("the project", &format!("{project:?}"));
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    tells_nothing("an event", &format!("{:?}", recorder.events()));
    let web = case.container(&project, "web").await?;
    tells_nothing("what the engine shows", &format!("{:?}", case.inspected("container", &web.id.0).await?));
    for (path, is_readable) in [
        ("/run/secrets/mine", true),
        ("/etc/of/the/group", true),
        // An engine in memory has no owners.
        ("/run/secrets/theirs", !case.backend().is_real()),
    ] {
        let command = ExecSpec::new(["/fixture", "read", path]);
        let output = case.engine().exec(&web.id, &command).await?;
        let read = String::from_utf8_lossy(&output.stdout);
        assert_eq!(read.trim() == SECRET, is_readable, "{path}: {output:?}");
    }
    Ok(())
}

async fn an_unhealthy_container_tells_no_value(case: Case) -> Outcome {
    let check =
        "    healthcheck: {test: [CMD, /fixture, exit, '1'], interval: 200ms, timeout: 5s, retries: 1}";
    let project = case.project(&text(check))?;
    let recorder = Recorder::new();
    let wait = longshore_tests::options(|o| o.wait = runtime_core::Wait::Healthy { timeout: None });
    let error = refused(case.runtime().up(&project, &wait, &recorder.call()).await)?;
    tells_nothing("the error", &format!("{error} {error:?}"));
    tells_nothing("an event", &format!("{:?}", recorder.events()));
    Ok(())
}
