//! What containers printed.

use std::{collections::BTreeMap, time::Duration};

use compose_file::Project;
use futures_util::{StreamExt, TryStreamExt};
use longshore_tests::{Backend, Case, Failed, IMAGE, Outcome, Suite, behaviours, refused};
use runtime_core::{
    Attached, ContainerName, ContainerRuntime, ContainerSpec, Error, LogOptions, LogSource, ProjectLogs,
    ServiceLine, Target,
};

use crate::watch::over_a_connection;

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        both_outputs_are_told_apart,
        lines_keep_their_order,
        the_tail_is_the_last_lines,
        the_tail_of_a_log_written_in_halves_is_whole,
        since_leaves_out_what_was_before,
        times_are_given_if_asked_for,
        following_ends_with_the_container,
        following_goes_on_while_it_runs,
        several_containers_are_one_stream,
        a_container_that_starts_later_joins,
        a_container_that_starts_again_goes_on,
        following_goes_on_over_recreation,
        following_outlives_the_file_of_the_events,
        attached_shows_what_was_started_and_what_comes,
        attached_shows_the_last_run_of_what_has_ended,
        services_can_be_chosen,
        ten_thousand_lines_arrive,
        a_huge_line_arrives,
        a_line_without_an_end_arrives,
        a_slow_reader_loses_nothing,
        a_stopped_container_has_its_log,
        nothing_there_is_an_error,
    );
    behaviours!(suite, if Backend::runs_a_program;
        over_a_connection_it_is_the_same,
    );
}

fn follow() -> LogOptions {
    LogOptions { follow: true, ..LogOptions::default() }
}

fn program(case: &Case, command: &str) -> Result<Project, Failed> {
    let head = "services:\n  web:\n    image: localhost/longshore-fixture:1\n";
    case.project(&format!("{head}    command: {command}\n"))
}

fn numbered(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|number| format!("line {number}")).collect()
}

async fn both_outputs_are_told_apart(case: Case) -> Outcome {
    let project = program(&case, "[log, '4', --both]")?;
    case.run(&project, "web").await?;
    let lines = case.lines(&project, &LogOptions::default()).await?;
    let of = |stream: LogSource| -> Vec<&str> {
        lines.iter().filter(|line| line.line.stream == stream).map(|line| line.line.text.as_str()).collect()
    };
    assert_eq!(of(LogSource::Stdout), ["out 1", "out 3"]);
    assert_eq!(of(LogSource::Stderr), ["err 2", "err 4"]);
    assert!(
        lines.iter().all(|line| line.service == "web" && line.container == format!("{}-web-1", case.name()))
    );
    assert!(lines.iter().all(|line| line.line.time.is_none()));
    Ok(())
}

async fn lines_keep_their_order(case: Case) -> Outcome {
    let project = program(&case, "[log, '200']")?;
    assert_eq!(case.run(&project, "web").await?, numbered(1..=200));
    Ok(())
}

async fn the_tail_is_the_last_lines(case: Case) -> Outcome {
    let project = program(&case, "[log, '50']")?;
    case.run(&project, "web").await?;
    let tail = |count| LogOptions { tail: Some(count), ..LogOptions::default() };
    let texts = async |count| -> Result<Vec<String>, Error> {
        Ok(case.lines(&project, &tail(count)).await?.into_iter().map(|line| line.line.text).collect())
    };
    assert_eq!(texts(3).await?, numbered(48..=50));
    assert_eq!(texts(1000).await?, numbered(1..=50));
    assert!(texts(0).await?.is_empty());
    Ok(())
}

/// Podman 4.3 reads 8 KiB at once, and makes halves of the line that does not fit; `podman logs --tail` joins them wrongly.
async fn the_tail_of_a_log_written_in_halves_is_whole(case: Case) -> Outcome {
    let project = program(&case, "[log, '1000', --length, '90']")?;
    case.run(&project, "web").await?;
    let lines = async |tail| -> Result<Vec<String>, Error> {
        let options = LogOptions { tail, ..LogOptions::default() };
        Ok(case.lines(&project, &options).await?.into_iter().map(|line| line.line.text).collect())
    };
    let whole = lines(None).await?;
    let expected: Vec<String> = (1..=1000).map(|number| format!("line {number}{}", "x".repeat(90))).collect();
    assert!(whole == expected, "{} lines", whole.len());
    for tail in (1..=4).chain(78..=88).chain([500]) {
        let last = lines(Some(u64::try_from(tail)?)).await?;
        assert!(last == whole[whole.len() - tail..], "the last {tail} begin with {:?}", last.first());
    }
    Ok(())
}

async fn since_leaves_out_what_was_before(case: Case) -> Outcome {
    let project = program(&case, "[log, '3', --then-sleep]")?;
    case.up(&project).await?;
    case.says(&project, "web", "sleeping").await?;
    let started = case.container(&project, "web").await?.started.ok_or("it has no time of start")?;
    let since = |since| LogOptions { since: Some(since), ..LogOptions::default() };
    let all = case.lines(&project, &since(started - Duration::from_secs(60))).await?;
    assert_eq!(all.len(), 4);
    let none = case.lines(&project, &since(started + Duration::from_secs(600))).await?;
    assert!(none.is_empty(), "{none:?}");
    Ok(())
}

async fn times_are_given_if_asked_for(case: Case) -> Outcome {
    let project = program(&case, "[log, '2']")?;
    case.run(&project, "web").await?;
    let lines = case.lines(&project, &LogOptions { timestamps: true, ..LogOptions::default() }).await?;
    let texts: Vec<&str> = lines.iter().map(|line| line.line.text.as_str()).collect();
    assert_eq!(texts, ["line 1", "line 2"], "the time is not in the text");
    for line in &lines {
        let time = line.line.time.as_deref().unwrap_or_default();
        assert!(time.len() >= 20 && time.as_bytes()[10] == b'T', "{time:?}");
    }
    Ok(())
}

async fn following_ends_with_the_container(case: Case) -> Outcome {
    let project = program(&case, "[log, '5', --every-ms, '100']")?;
    case.up(&project).await?;
    let lines = case.lines(&project, &follow()).await?;
    let texts: Vec<String> = lines.into_iter().map(|line| line.line.text).collect();
    assert_eq!(texts, numbered(1..=5));
    assert_eq!(case.container(&project, "web").await?.exit_code, Some(0));
    Ok(())
}

async fn following_goes_on_while_it_runs(case: Case) -> Outcome {
    let project = program(&case, "[sleep]")?;
    case.up(&project).await?;
    let mut stream = case.runtime().logs(&Target::from(&project), &follow()).await?;
    let first = stream.try_next().await?.ok_or("it ended")?;
    assert_eq!(first.line.text, "sleeping");
    let (rest, stopped) = tokio::join!(stream.try_collect::<Vec<_>>(), case.stop(&project));
    stopped?;
    let texts: Vec<String> = rest?.into_iter().map(|line| line.line.text).collect();
    assert_eq!(texts, ["stopping"]);
    Ok(())
}

const THREE: &str = "
services:
  a:
    image: localhost/longshore-fixture:1
    command: [log, '20', --every-ms, '5']
    scale: 2
  b:
    image: localhost/longshore-fixture:1
    command: [log, '20', --every-ms, '5']
";

async fn several_containers_are_one_stream(case: Case) -> Outcome {
    let project = case.project(THREE)?;
    case.up(&project).await?;
    let mut by_container: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in case.lines(&project, &follow()).await? {
        by_container.entry(line.container).or_default().push(line.line.text);
    }
    assert_eq!(by_container.len(), 3);
    for (container, texts) in by_container {
        assert_eq!(texts, numbered(1..=20), "{container}");
    }
    Ok(())
}

async fn a_container_that_starts_later_joins(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  first:
    image: localhost/longshore-fixture:1
    command: [sleep]
  second:
    image: localhost/longshore-fixture:1
    command: [log, '3', --then-sleep]
",
    )?;
    case.up_with(&project, &longshore_tests::options(|o| o.services = ["first".to_owned()].into())).await?;
    let mut stream = case.runtime().logs(&Target::from(&project), &follow()).await?;
    assert_eq!(stream.try_next().await?.map(|line| line.service), Some("first".to_owned()));
    let read = async {
        let mut texts = Vec::new();
        while let Some(line) = stream.try_next().await? {
            if line.service == "second" {
                texts.push(line.line.text);
            }
            if texts.len() == 4 {
                break;
            }
        }
        Ok::<_, Error>(texts)
    };
    let (texts, up) = tokio::join!(read, case.up(&project));
    up?;
    assert_eq!(texts?, ["line 1", "line 2", "line 3", "sleeping"]);
    Ok(())
}

const TWO: &str = "
services:
  first:
    image: localhost/longshore-fixture:1
    command: [sleep]
  second:
    image: localhost/longshore-fixture:1
    command: [sleep]
";

/// The next line of a service; `None` at the end of all.
async fn next_of(stream: &mut ProjectLogs, service: &str) -> Result<Option<String>, Error> {
    while let Some(line) = stream.try_next().await? {
        if line.service == service {
            return Ok(Some(line.line.text));
        }
    }
    Ok(None)
}

async fn a_container_that_starts_again_goes_on(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up(&project).await?;
    let mut stream = case.runtime().logs(&Target::from(&project), &follow()).await?;
    let second = Target::from(&project).services(["second"]);
    let mut next = async || next_of(&mut stream, "second").await;
    assert_eq!(next().await?.as_deref(), Some("sleeping"));
    case.stop(second.clone()).await?;
    assert_eq!(next().await?.as_deref(), Some("stopping"));
    case.start(second).await?;
    assert_eq!(next().await?.as_deref(), Some("sleeping"));
    Ok(())
}

async fn following_goes_on_over_recreation(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  other:
    image: localhost/longshore-fixture:1
    command: [sleep]
  web:
    image: localhost/longshore-fixture:1
    command: [sleep]
    stop_grace_period: 2s
",
    )?;
    case.up(&project).await?;
    let mut stream = case.runtime().logs(&Target::from(&project).services(["web"]), &follow()).await?;
    let first = stream.try_next().await?.ok_or("it ended")?;
    assert_eq!(first.line.text, "sleeping");
    let anew = longshore_tests::options(|o| {
        o.services = ["web".to_owned()].into();
        o.recreate = runtime_core::Recreate::Always;
    });
    let recreated = async {
        for _ in 0..3 {
            case.up_with(&project, &anew).await?;
        }
        case.says(&project, "web", "sleeping").await?;
        Ok::<_, Failed>(case.stop(&project).await?)
    };
    let (lines, recreated) = tokio::join!(stream.try_collect::<Vec<_>>(), recreated);
    recreated?;
    // Those in between may be gone before they are seen.
    assert!(lines?.iter().any(|line| line.line.text == "sleeping"), "the last one was heard");
    Ok(())
}

async fn following_outlives_the_file_of_the_events(case: Case) -> Outcome {
    let project = case.project(TWO)?;
    case.up_with(&project, &longshore_tests::options(|o| o.services = ["first".to_owned()].into())).await?;
    let mut stream = case.runtime().logs(&Target::from(&project), &follow()).await?;
    assert_eq!(next_of(&mut stream, "first").await?.as_deref(), Some("sleeping"));
    // Podman keeps its events in a file of a megabyte at most, labels and all, and ends who reads it when it is full.
    let mut spec = ContainerSpec::new(ContainerName::new(format!("{}-talks", case.name()))?, IMAGE);
    spec.command = Some(vec!["exit".to_owned(), "0".to_owned()]);
    spec.labels.insert("padding".to_owned(), "x".repeat(30_000));
    let talker = case.foreign_container(&spec).await?;
    for _ in 0..8 {
        let ends = case.engine().logs(&talker, &follow()).await?;
        assert_eq!(ends.count().await, 0);
        case.engine().start_container(&talker).await?;
    }
    // What starts is known by an event alone.
    case.up(&project).await?;
    assert_eq!(next_of(&mut stream, "second").await?.as_deref(), Some("sleeping"));
    Ok(())
}

/// What an attached `up` is told, by service.
fn told(all: Vec<Attached>) -> Vec<(String, String)> {
    let text = |one| match one {
        Attached::Line(line) => Some((line.service, line.line.text)),
        Attached::Ended { service, exit_code, .. } => Some((service, format!("ended with {exit_code}"))),
        _ => None,
    };
    all.into_iter().filter_map(text).collect()
}

async fn attached_shows_what_was_started_and_what_comes(case: Case) -> Outcome {
    let project = case.project(
        "
services:
  old:
    image: localhost/longshore-fixture:1
    command: [sleep]
  new:
    image: localhost/longshore-fixture:1
    command: [log, '3', --then-sleep]
",
    )?;
    case.up_with(&project, &longshore_tests::options(|o| o.services = ["old".to_owned()].into())).await?;
    case.says(&project, "old", "sleeping").await?;
    let outcome = case.up(&project).await?;
    assert_eq!(outcome.started, [format!("{}-new-1", case.name())].into());
    case.says(&project, "new", "sleeping").await?;
    let stream = case.runtime().attach(&Target::from(&project), &outcome.started).await?;
    let (lines, stopped) = tokio::join!(stream.try_collect::<Vec<_>>(), case.stop(&project));
    stopped?;
    let told = told(lines?);
    let of = |name: &str| -> Vec<&str> {
        told.iter().filter(|(service, _)| service == name).map(|(_, text)| text.as_str()).collect()
    };
    assert_eq!(of("old"), ["stopping", "ended with 0"], "what it said before is not shown");
    assert_eq!(of("new"), ["line 1", "line 2", "line 3", "sleeping", "stopping", "ended with 0"]);
    Ok(())
}

async fn attached_shows_the_last_run_of_what_has_ended(case: Case) -> Outcome {
    let project = program(&case, "[log, '3']")?;
    let started = case.up(&project).await?.started;
    assert_eq!(case.output(&project, "web").await?.len(), 3);
    let stream = case.runtime().attach(&Target::from(&project), &started).await?;
    let texts: Vec<String> = told(stream.try_collect().await?).into_iter().map(|(_, text)| text).collect();
    let mut expected = numbered(1..=3);
    expected.push("ended with 0".to_owned());
    assert_eq!(texts, expected);
    Ok(())
}

async fn services_can_be_chosen(case: Case) -> Outcome {
    let project = case.project(THREE)?;
    case.up(&project).await?;
    let lines = case.lines(Target::from(&project).services(["b"]), &follow()).await?;
    assert_eq!(lines.len(), 20);
    assert!(lines.iter().all(|line| line.service == "b"));
    Ok(())
}

async fn ten_thousand_lines_arrive(case: Case) -> Outcome {
    let project = program(&case, "[log, '10000']")?;
    let lines = case.run(&project, "web").await?;
    let expected = numbered(1..=10_000);
    let other = lines.iter().zip(&expected).position(|(line, expected)| line != expected);
    assert_eq!((lines.len(), other), (expected.len(), None), "{:?}", other.map(|at| &lines[at]));
    let again: Vec<String> =
        case.lines(&project, &LogOptions::default()).await?.into_iter().map(|line| line.line.text).collect();
    assert!(again == numbered(1..=10_000));
    Ok(())
}

async fn a_huge_line_arrives(case: Case) -> Outcome {
    let project = program(&case, "[log, '1', --length, '300000']")?;
    let pieces = case.run(&project, "web").await?;
    let expected = format!("line 1{}", "x".repeat(300_000));
    assert!(pieces.concat() == expected, "{} pieces, {} bytes", pieces.len(), pieces.concat().len());
    assert!(pieces.iter().all(|piece| piece.len() <= 64 * 1024));
    Ok(())
}

async fn a_line_without_an_end_arrives(case: Case) -> Outcome {
    std::fs::write(case.dir().join("text"), "first\nlast, without an end")?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [read, /text]
    volumes: ['./text:/text:ro']
",
    )?;
    assert_eq!(case.run(&project, "web").await?, ["first", "last, without an end"]);
    Ok(())
}

async fn a_slow_reader_loses_nothing(case: Case) -> Outcome {
    let project = program(&case, "[log, '3000']")?;
    case.up(&project).await?;
    let mut stream = case.runtime().logs(&Target::from(&project), &follow()).await?;
    let first = stream.try_next().await?.map(|line| line.line.text);
    assert_eq!(first.as_deref(), Some("line 1"));
    // Meanwhile others read it all: the container is not held up by one that does not.
    assert_eq!(case.output(&project, "web").await?.len(), 3000);
    assert_eq!(stream.filter(|line| std::future::ready(line.is_ok())).count().await, 2999);
    Ok(())
}

async fn a_stopped_container_has_its_log(case: Case) -> Outcome {
    let project = program(&case, "[sleep]")?;
    case.up(&project).await?;
    case.says(&project, "web", "sleeping").await?;
    case.stop(&project).await?;
    let lines = case.lines(Target::name(project.name.clone()), &follow()).await?;
    let texts: Vec<String> = lines.into_iter().map(|line| line.line.text).collect();
    assert_eq!(texts, ["sleeping", "stopping"]);
    Ok(())
}

async fn nothing_there_is_an_error(case: Case) -> Outcome {
    let project = program(&case, "[sleep]")?;
    let error = refused(case.lines(&project, &LogOptions::default()).await)?;
    assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
    Ok(())
}

/// Here podman's files are read, and there podman is asked, which (4.3) tells whole seconds there: each output has its order.
async fn over_a_connection_it_is_the_same(case: Case) -> Outcome {
    let project = program(&case, "[log, '200', --both]")?;
    case.run(&project, "web").await?;
    let elsewhere = over_a_connection()?;
    let asked = async |options: &LogOptions| -> Result<Vec<_>, Error> {
        elsewhere.logs(&Target::from(&project), options).await?.try_collect().await
    };
    let of = |stream: LogSource, lines: &[ServiceLine]| -> Vec<String> {
        lines.iter().filter(|one| one.line.stream == stream).map(|one| one.line.text.clone()).collect()
    };
    let here = case.lines(&project, &LogOptions::default()).await?;
    for options in [LogOptions::default(), follow()] {
        let there = asked(&options).await?;
        for stream in [LogSource::Stdout, LogSource::Stderr] {
            assert_eq!(of(stream, &there), of(stream, &here), "{options:?}");
            assert_eq!(of(stream, &there).len(), 100, "{options:?}");
        }
    }
    assert_eq!(asked(&LogOptions { tail: Some(7), ..LogOptions::default() }).await?.len(), 7);
    Ok(())
}
