//! What containers use.

use futures_util::TryStreamExt;
use longshore_tests::{Case, Failed, Outcome, Suite, behaviours, refused};
use runtime_core::{Container, Error, ProjectStats, ResourceKind, StatsOptions, Target, Usage};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        what_runs_uses_something,
        what_does_not_run_is_told_if_it_is_asked_for,
        who_comes_later_joins_and_who_ends_leaves,
        nobody_who_runs_is_told_at_once,
        an_unknown_service_uses_nothing,
    );
    behaviours!(suite, if |backend| !backend.is_real();
        it_is_what_was_said,
    );
}

const TEXT: &str = "
services:
  db: {image: 'localhost/longshore-fixture:1', command: [sleep]}
  web: {image: 'localhost/longshore-fixture:1', command: [sleep], scale: 2}
";

type Table = Vec<(Container, Option<Usage>)>;

async fn once(case: &Case, target: Target, all: bool) -> Result<Table, Failed> {
    let stats = case.runtime().stats(&target, &StatsOptions { follow: false, all }).await?;
    let mut tables: Vec<Table> = stats.try_collect().await?;
    assert_eq!(tables.len(), 1);
    Ok(tables.remove(0))
}

fn names(case: &Case, table: &Table) -> Vec<String> {
    let prefix = format!("{}-", case.name());
    table.iter().map(|(container, _)| container.name.trim_start_matches(&prefix).to_owned()).collect()
}

async fn what_runs_uses_something(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let table = once(&case, Target::from(&project), false).await?;
    assert_eq!(names(&case, &table), ["db-1", "web-1", "web-2"]);
    for (container, usage) in &table {
        let usage = usage.ok_or("it runs")?;
        assert!(usage.memory > 0 && usage.memory < usage.memory_limit, "{}: {usage:?}", container.name);
        assert!(usage.pids > 0, "{}: {usage:?}", container.name);
        assert!(usage.cpu_percent.is_finite() && usage.cpu_percent >= 0.0, "{}: {usage:?}", container.name);
    }
    let table = once(&case, Target::from(&project).services(["web"]), false).await?;
    assert_eq!(names(&case, &table), ["web-1", "web-2"]);
    Ok(())
}

async fn what_does_not_run_is_told_if_it_is_asked_for(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    case.stop(Target::from(&project).services(["db"])).await?;
    let table = once(&case, Target::from(&project), false).await?;
    assert_eq!(names(&case, &table), ["web-1", "web-2"]);
    let table = once(&case, Target::from(&project), true).await?;
    assert_eq!(names(&case, &table), ["db-1", "web-1", "web-2"]);
    let running: Vec<bool> = table.iter().map(|(_, usage)| usage.is_some()).collect();
    assert_eq!(running, [false, true, true]);
    Ok(())
}

/// Reads until those containers, and no others, are told.
async fn until(case: &Case, stats: &mut ProjectStats, wanted: &[&str]) -> Outcome {
    loop {
        let table = stats.try_next().await?.ok_or("it ended")?;
        if names(case, &table) == wanted {
            return Ok(());
        }
    }
}

async fn who_comes_later_joins_and_who_ends_leaves(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let follow = StatsOptions { follow: true, all: false };
    let mut stats = case.runtime().stats(&Target::from(&project), &follow).await?;
    until(&case, &mut stats, &[]).await?;
    case.up(&project).await?;
    until(&case, &mut stats, &["db-1", "web-1", "web-2"]).await?;
    case.stop(Target::from(&project).services(["web"])).await?;
    until(&case, &mut stats, &["db-1"]).await?;
    case.start(&project).await?;
    until(&case, &mut stats, &["db-1", "web-1", "web-2"]).await?;
    case.down(&project).await?;
    until(&case, &mut stats, &[]).await
}

async fn nobody_who_runs_is_told_at_once(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    assert!(once(&case, Target::from(&project), true).await?.is_empty());
    case.up(&project).await?;
    case.stop(&project).await?;
    assert!(once(&case, Target::from(&project), false).await?.is_empty());
    assert_eq!(once(&case, Target::from(&project), true).await?.len(), 3);
    Ok(())
}

async fn an_unknown_service_uses_nothing(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    let nobody = Target::from(&project).services(["nobody"]);
    let error = refused(case.runtime().stats(&nobody, &StatsOptions::default()).await.map(drop))?;
    assert_eq!(error, Error::NotFound { kind: ResourceKind::Service, name: "nobody".to_owned() });
    Ok(())
}

async fn it_is_what_was_said(case: Case) -> Outcome {
    let project = case.project(TEXT)?;
    case.up(&project).await?;
    let said = Usage { cpu_percent: 150.0, memory: 7, memory_limit: 8, pids: 9, ..Usage::default() };
    case.mock().ok_or("it is the one in memory")?.uses(&format!("{}-db-1", case.name()), said);
    let table = once(&case, Target::from(&project).services(["db"]), false).await?;
    assert_eq!(table[0].1, Some(said));
    Ok(())
}
