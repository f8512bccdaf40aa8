//! `up`, `plan`, `create` and `scale`.

use std::{collections::BTreeSet, time::Duration};

use longshore::{
    ContainerRuntime, Dependencies, Orphans, Project, Recreate, RuntimeKind, Start, Target, UpOptions, Wait,
    selected_services,
};

use super::{attached, watch};
use crate::{
    args::{CreateContainers, Format, InForeground, Plan, Pulling, Scale, Up, UpFlags},
    context::{Context, Leaves, Tells},
    exit::{ExitCode, Failure},
    report::Report,
    services,
};

/// Makes the engine's state the file's. Attached, it shows logs until the containers end or the user stops them.
pub(crate) async fn up(args: &Up, context: &Context) -> Result<ExitCode, Failure> {
    let flags = &args.flags;
    let mut project = context.project(&flags.services).await?;
    services::check_up(&project, flags)?;
    pull_as(&mut project, flags.pull);
    let options = options(flags);
    let taken = selected_services(&project, &options.services, options.dependencies)?;
    services::check(args.foreground.services(), |name| project.services.contains_key(name))?;
    if let Some(other) = args.foreground.services().find(|name| !taken.contains(*name)) {
        let help = "name it too, or name no service";
        return Err(Failure::Usage(
            format!("this command does not start service {other:?}"),
            Some(help.to_owned()),
        ));
    }
    // That there is nothing to watch is said before anything is made.
    let watch = args.foreground.watch.then(|| watch::beside_up(&project, &options)).transpose()?;
    let runtime = context.runtime().await?;
    if tracing::enabled!(tracing::Level::DEBUG) {
        trace_plan(&*runtime, &project, &options, context).await?;
    }
    let call = context.call_that(flags.images.tells());
    let work = runtime.up(&project, &options, &call);
    if flags.detach || flags.wait || flags.no_start || context.output.dry_run {
        context.changing(&*runtime, &project.name, Leaves::More, &call, work).await?;
        if runtime.kind() == RuntimeKind::Mock {
            context.reporter.note("the mock engine ends with this command: nothing remains of it");
        }
        return Ok(ExitCode::Ok);
    }
    let shown = shown(&project, args, &taken);
    let target = Target::from(&project).services(taken);
    let timeout = flags.timeout.map(Duration::from_secs);
    let attached =
        attached::Command { runtime: &*runtime, target, shown, context, args: &args.foreground, timeout };
    let outcome = context.cancelling(&call, work).await;
    context.reporter.finish();
    match outcome {
        Ok(outcome) => attached.follow(&outcome?.started, watch.as_ref()).await,
        Err(signal) => {
            let stopped = attached.stop(Some(signal)).await;
            let Err(Failure::Silent(_)) = stopped else { return stopped };
            let left = context.left(&*runtime, &project.name, Leaves::More).await;
            Err(Failure::Signal(signal, Some(left)))
        }
    }
}

/// What is about to be done, and why. That it cannot be told yet, of a machine that is off for one, is no failure.
async fn trace_plan(
    runtime: &dyn ContainerRuntime,
    project: &Project,
    options: &UpOptions,
    context: &Context,
) -> Result<(), Failure> {
    match context.reading(async { Ok(runtime.plan(project, options).await) }).await? {
        Ok(plan) => {
            tracing::debug!(steps = plan.steps.len(), unchanged = plan.unchanged.len(), "the plan");
            for step in plan.to_string().lines() {
                tracing::debug!("{step}");
            }
        }
        Err(error) => tracing::debug!(%error, "there is no plan yet"),
    }
    Ok(())
}

/// Shows what `up` would do, and why.
pub(crate) async fn plan(args: &Plan, context: &Context) -> Result<ExitCode, Failure> {
    let mut project = context.project(&args.flags.services).await?;
    services::check_up(&project, &args.flags)?;
    pull_as(&mut project, args.flags.pull);
    let options = options(&args.flags);
    let runtime = context.runtime().await?;
    let plan = context.reading(async { Ok(runtime.plan(&project, &options).await?) }).await?;
    match context.output.format {
        Format::Json => context.output.json(&plan)?,
        Format::Text => {
            let text = plan.to_string();
            if !text.is_empty() {
                context.output.line(text.trim_end())?;
            }
            if plan.is_empty() {
                context.reporter.note("nothing to do");
            }
        }
    }
    Ok(if plan.is_empty() { ExitCode::Ok } else { ExitCode::PlanHasSteps })
}

/// Creates containers without starting them.
pub(crate) async fn create(args: &CreateContainers, context: &Context) -> Result<ExitCode, Failure> {
    let mut project = context.project(&args.services).await?;
    services::check_selected(&project)?;
    let scale = args.scale.iter().cloned().collect();
    services::check_scale(&project, &args.services, &scale)?;
    pull_as(&mut project, args.pull);
    let mut options = UpOptions::default();
    options.services = args.services.iter().cloned().collect();
    options.scale = scale;
    options.start = Start::No;
    options.build = args.images.building();
    renew(&mut options, args.force_recreate, args.no_recreate, args.remove_orphans);
    bring_up(&project, &options, args.images.tells(), context).await
}

/// Changes how many containers of a service run.
pub(crate) async fn scale(args: &Scale, context: &Context) -> Result<ExitCode, Failure> {
    let services: Vec<String> = args.scale.iter().map(|(name, _)| name.clone()).collect();
    let project = context.project(&services).await?;
    let scale = args.scale.iter().cloned().collect();
    services::check_scale(&project, &services, &scale)?;
    let mut options = UpOptions::default();
    options.services = services.into_iter().collect();
    options.scale = scale;
    if args.no_deps {
        options.dependencies = Dependencies::Ignore;
    }
    bring_up(&project, &options, Tells::All, context).await
}

async fn bring_up(
    project: &Project,
    options: &UpOptions,
    tells: Tells,
    context: &Context,
) -> Result<ExitCode, Failure> {
    let runtime = context.runtime().await?;
    let call = context.call_that(tells);
    let work = runtime.up(project, options, &call);
    context.changing(&*runtime, &project.name, Leaves::More, &call, work).await?;
    Ok(ExitCode::Ok)
}

/// Whether images are fetched, in place of what the file says.
fn pull_as(project: &mut Project, when: Option<Pulling>) {
    let Some(when) = when else { return };
    for service in project.services.values_mut() {
        service.pull_policy = when.policy();
    }
}

/// What becomes of containers that are there.
fn renew(options: &mut UpOptions, force_recreate: bool, no_recreate: bool, remove_orphans: bool) {
    if force_recreate {
        options.recreate = Recreate::Always;
    } else if no_recreate {
        options.recreate = Recreate::Never;
    }
    if remove_orphans {
        options.orphans = Orphans::Remove;
    }
}

fn options(flags: &UpFlags) -> UpOptions {
    let mut options = UpOptions::default();
    options.services = flags.services.iter().cloned().collect();
    options.scale = flags.scale();
    options.build = flags.images.building();
    options.timeout = flags.timeout.map(Duration::from_secs);
    if flags.no_deps {
        options.dependencies = Dependencies::Ignore;
    }
    renew(&mut options, flags.force_recreate, flags.no_recreate, flags.remove_orphans);
    if flags.always_recreate_deps {
        options.recreate_dependencies = Recreate::Always;
    }
    options.renew_anonymous_volumes = flags.renew_anon_volumes;
    if flags.wait {
        options.wait = Wait::Healthy { timeout: flags.wait_timeout.map(Duration::from_secs) };
    }
    if flags.no_start {
        options.start = Start::No;
    }
    options
}

/// The services whose containers an `up` in the foreground shows, and with which it ends: the named ones, as docker compose has it.
fn shown(project: &Project, args: &Up, taken: &BTreeSet<String>) -> BTreeSet<String> {
    let InForeground { attach, no_attach, attach_dependencies, .. } = &args.foreground;
    if !attach.is_empty() {
        return attach.iter().cloned().collect();
    }
    let named = &args.flags.services;
    let is_shown = |name: &&String| {
        let is_wanted = named.is_empty() || *attach_dependencies || named.contains(name);
        let wants = project.services.get(*name).is_none_or(|service| service.attach != Some(false));
        is_wanted && wants && !no_attach.contains(name)
    };
    taken.iter().filter(is_shown).cloned().collect()
}
