//! `build`, `push` and `pull`.

use longshore::{
    BuildOptions, Dependencies, Project, PullOptions, PushOptions,
    compose_file::{Hidden, SshKey},
    selected_services,
};

use crate::{
    args::{Build, Pull, PullingNow, Push, Telling},
    context::{Context, Leaves, Tells},
    exit::{ExitCode, Failure},
    report::Report,
    services,
};

/// Builds the images of the named services, or of all.
pub(crate) async fn build(args: &Build, context: &Context) -> Result<ExitCode, Failure> {
    let refused = [
        (
            "--builder",
            args.builder.is_some(),
            "images are built by the engine itself, not by a builder of BuildKit's",
        ),
        ("--memory", args.memory.is_some(), "no builder is told how much memory a build may take"),
    ];
    if let Some((flag, _, why)) = refused.into_iter().find(|(_, is_given, _)| *is_given) {
        return Err(Failure::Usage(format!("{flag}: {why}"), Some(format!("leave {flag} out"))));
    }
    let mut project = named(&args.services, context).await?;
    for build in project.services.values_mut().filter_map(|service| service.build.as_mut()) {
        build.ssh.extend(args.ssh.iter().map(|key| SshKey::parse(key)));
    }
    let mut options = BuildOptions::default();
    options.services = args.services.iter().cloned().collect();
    options.with_dependencies = args.with_dependencies;
    options.no_cache = args.no_cache;
    options.pull = args.pull;
    let given = args.build_args.iter().filter_map(|argument| argument.value(&context.env));
    options.args = given.map(|(name, value)| (name, Hidden(value))).collect();
    let runtime = context.runtime().await?;
    let quiet = args.quiet || args.progress == Telling::Quiet;
    let call = context.call_that(if quiet { Tells::WhatMatters } else { Tells::All });
    let work = runtime.build(&project, &options, &call);
    let built = context.changing(&*runtime, &project.name, Leaves::Images, &call, work).await?;
    if built == 0 {
        context.reporter.note("no service to build");
    }
    if args.push {
        let mut options = PushOptions::default();
        options.services = args.services.iter().cloned().collect();
        options.with_dependencies = args.with_dependencies;
        let work = runtime.push(&project, &options, &call);
        context.changing(&*runtime, &project.name, Leaves::Images, &call, work).await?;
    }
    Ok(ExitCode::Ok)
}

/// Gives the images of the named services, or of all, to their registries.
pub(crate) async fn push(args: &Push, context: &Context) -> Result<ExitCode, Failure> {
    let project = named(&args.services, context).await?;
    let mut options = PushOptions::default();
    options.services = args.services.iter().cloned().collect();
    options.with_dependencies = args.include_deps;
    options.ignore_failures = args.ignore_push_failures;
    let runtime = context.runtime().await?;
    let call = context.call_that(if args.quiet { Tells::WhatMatters } else { Tells::All });
    let work = runtime.push(&project, &options, &call);
    let pushed = context.changing(&*runtime, &project.name, Leaves::Images, &call, work).await?;
    if pushed == 0 {
        context.reporter.note("nothing to push: no service has both `build` and `image`");
    }
    Ok(ExitCode::Ok)
}

/// Fetches the images of the named services, or of all.
pub(crate) async fn pull(args: &Pull, context: &Context) -> Result<ExitCode, Failure> {
    let mut project = named(&args.services, context).await?;
    let wanted = args.services.iter().cloned().collect();
    let dependencies = if args.include_deps { Dependencies::Include } else { Dependencies::Ignore };
    let wanted = selected_services(&project, &wanted, dependencies)?;
    project.services.retain(|name, _| wanted.contains(name));
    if args.ignore_buildable {
        project.services.retain(|_, service| service.build.is_none());
    }
    let mut options = PullOptions::default();
    options.only_missing = args.policy == Some(PullingNow::Missing);
    options.ignore_failures = args.ignore_pull_failures;
    let runtime = context.runtime().await?;
    let call = context.call_that(if args.quiet { Tells::WhatMatters } else { Tells::All });
    let work = runtime.pull(&project, &options, &call);
    context.changing(&*runtime, &project.name, Leaves::Images, &call, work).await?;
    Ok(ExitCode::Ok)
}

/// The project, which has those services.
async fn named(services: &[String], context: &Context) -> Result<Project, Failure> {
    let project = context.project(services).await?;
    services::check_selected(&project)?;
    services::check(services, |name| project.services.contains_key(name))?;
    Ok(project)
}
