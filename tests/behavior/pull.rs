//! Images.

use longshore_tests::{Case, Outcome, Recorder, Suite, behaviours, refused};
use runtime_core::{Call, Error, Phase, PullOptions, Subject, UpOptions, Work};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        an_image_is_pulled_with_progress,
        an_image_of_many_services_is_pulled_once,
        what_is_here_is_not_pulled_if_told_so,
        a_failed_pull_is_only_told_if_told_so,
        up_pulls_what_policy_always_asks_for,
        up_does_not_pull_what_is_there,
        up_pulls_for_what_it_starts_alone,
        an_image_that_is_nowhere_is_named,
        a_failed_pull_leaves_nothing_running,
        policy_never_does_not_pull,
    );
}

fn with_image(image: &str, rest: &str) -> String {
    format!(
        "
services:
  web:
    image: {image}
    command: [sleep]
{rest}
"
    )
}

async fn an_image_is_pulled_with_progress(case: Case) -> Outcome {
    let image = case.remote_image()?;
    let project = case.project(&with_image(&image, ""))?;
    let recorder = Recorder::new();
    case.runtime().pull(&project, &PullOptions::default(), &recorder.call()).await?;
    assert!(recorder.began(Work::Pull, &image) < recorder.done(Work::Pull, &image));
    let subject = Subject::Image(image.clone());
    assert!(recorder.events().iter().all(|event| event.subject == subject), "{:#?}", recorder.events());
    for event in recorder.events() {
        if let Phase::Bytes { done, total: Some(total), .. } = event.phase {
            assert!(done <= total, "{done} of {total}");
        }
    }
    case.up(&project).await?;
    assert!(case.container(&project, "web").await?.state.is_running());
    Ok(())
}

async fn an_image_of_many_services_is_pulled_once(case: Case) -> Outcome {
    let image = case.remote_image()?;
    let more = format!("  other:\n    image: {image}\n    command: [sleep]\n");
    let project = case.project(&with_image(&image, &more))?;
    let recorder = Recorder::new();
    case.runtime().pull(&project, &PullOptions::default(), &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Pull), [image]);
    Ok(())
}

async fn what_is_here_is_not_pulled_if_told_so(case: Case) -> Outcome {
    let image = case.remote_image()?;
    let project = case.project(&with_image(&image, ""))?;
    let mut options = PullOptions::default();
    options.only_missing = true;
    case.runtime().pull(&project, &PullOptions::default(), &Call::default()).await?;
    let recorder = Recorder::new();
    case.runtime().pull(&project, &options, &recorder.call()).await?;
    assert!(recorder.all_done(Work::Pull).is_empty(), "{image} was here");
    Ok(())
}

async fn a_failed_pull_is_only_told_if_told_so(case: Case) -> Outcome {
    let image = case.remote_image()?;
    let more = "  nowhere: {image: 'localhost/longshore-nowhere:1'}\n";
    let project = case.project(&with_image(&image, more))?;
    let mut options = PullOptions::default();
    options.ignore_failures = true;
    let recorder = Recorder::new();
    case.runtime().pull(&project, &options, &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Pull), [image]);
    let is_warning = |event: &runtime_core::Event| matches!(event.phase, Phase::Warning(_));
    let warned: Vec<String> = recorder
        .events()
        .into_iter()
        .filter(is_warning)
        .map(|event| event.subject.name().to_owned())
        .collect();
    assert_eq!(warned, ["localhost/longshore-nowhere:1"]);
    Ok(())
}

async fn up_pulls_what_policy_always_asks_for(case: Case) -> Outcome {
    let image = case.remote_image()?;
    let project = case.project(&with_image(&image, "    pull_policy: always"))?;
    case.up(&project).await?;
    let before = case.ids(&project).await?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    assert_eq!(recorder.all_done(Work::Pull), [image]);
    assert_eq!(case.ids(&project).await?, before, "the same image recreates nothing");
    Ok(())
}

async fn up_does_not_pull_what_is_there(case: Case) -> Outcome {
    let project = case.project(&with_image(longshore_tests::IMAGE, ""))?;
    let recorder = Recorder::new();
    case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await?;
    assert!(recorder.all_done(Work::Pull).is_empty());
    Ok(())
}

async fn up_pulls_for_what_it_starts_alone(case: Case) -> Outcome {
    let other = format!("  other:\n    image: {NOWHERE}\n    pull_policy: always\n");
    let scaled = format!("  scaled:\n    image: {NOWHERE}\n    pull_policy: always\n    scale: 0\n");
    let project = case.project(&with_image(longshore_tests::IMAGE, &format!("{other}{scaled}")))?;
    for service in ["web", "scaled"] {
        let recorder = Recorder::new();
        let only = longshore_tests::options(|o| o.services = [service.to_owned()].into());
        case.runtime().up(&project, &only, &recorder.call()).await?;
        assert!(!recorder.has_begun(Work::Pull, NOWHERE));
    }
    let mut once = runtime_core::RunOptions::new("web");
    once.talk = runtime_core::RunTalk::Detached;
    let recorder = Recorder::new();
    case.runtime().run(&project, &once, &recorder.call()).await?;
    assert!(!recorder.has_begun(Work::Pull, NOWHERE));
    assert_eq!(refused(case.up(&project).await)?.code(), "image");
    Ok(())
}

/// Nobody listens on port 1.
const NOWHERE: &str = "localhost:1/no/such-image:9";

async fn an_image_that_is_nowhere_is_named(case: Case) -> Outcome {
    let project = case.project(&with_image(NOWHERE, ""))?;
    let error = refused(case.runtime().pull(&project, &PullOptions::default(), &Call::default()).await)?;
    let Error::Image { image, reason } = &error else { return Err(format!("{error:?}").into()) };
    assert_eq!(image, NOWHERE);
    assert!(!reason.is_empty());
    let error = refused(case.up(&project).await)?;
    assert!(matches!(&error, Error::Image { image, .. } if image == NOWHERE), "{error:?}");
    Ok(())
}

async fn a_failed_pull_leaves_nothing_running(case: Case) -> Outcome {
    let other =
        "  other:\n    image: localhost/longshore-fixture:1\n    command: [sleep]\n    depends_on: [web]\n";
    let project = case.project(&with_image(NOWHERE, other))?;
    assert_eq!(refused(case.up(&project).await)?.code(), "image");
    assert!(case.ps(&project).await?.iter().all(|container| !container.state.is_running()));
    let mended = case.project(&with_image(longshore_tests::IMAGE, other))?;
    case.up(&mended).await?;
    assert_eq!(case.ps(&mended).await?.iter().filter(|container| container.state.is_running()).count(), 2);
    Ok(())
}

async fn policy_never_does_not_pull(case: Case) -> Outcome {
    let project = case.project(&with_image(NOWHERE, "    pull_policy: never"))?;
    let recorder = Recorder::new();
    let error = refused(case.runtime().up(&project, &UpOptions::default(), &recorder.call()).await)?;
    assert!(matches!(&error, Error::Image { image, .. } if image == NOWHERE), "{error:?}");
    assert!(!recorder.has_begun(Work::Pull, NOWHERE));
    assert!(case.things_of(&project.name).await?.is_empty(), "it is known before anything is made");
    Ok(())
}
