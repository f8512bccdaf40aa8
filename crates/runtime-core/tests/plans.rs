//! Plans as text: observed and wanted, in; the plan's lines, out.

use std::collections::BTreeMap;

use compose_file::{
    Build, BuildContext, Condition, Dependency, Network, Project, ProjectName, PullPolicy, Service,
    ServiceNetwork,
};
use runtime_core::{
    Action, Building, Container, ContainerId, ContainerState, Desired, DownOptions, Error, ImageId, Need,
    Observed, Orphans, Plan, Recreate, RemoveImages, RemoveVolumes, Resource, RestartOptions, StopOptions,
    Target, UpOptions, labels, plan_down, plan_restart, plan_stop, plan_up,
};

/// A name, an image, and what it depends on.
type Line<'a> = (&'a str, &'a str, &'a [(&'a str, Condition)]);

fn project(services: &[Line<'_>]) -> Project {
    let mut project = Project::new(ProjectName::new("p").expect("a name"), "/p");
    let mut network = Network::default();
    network.name = "p_default".into();
    project.networks.insert("default".into(), network);
    for (name, image, dependencies) in services {
        let mut service = Service::new(*name, *image);
        service.networks.insert("default".into(), ServiceNetwork::default());
        for (needed, condition) in *dependencies {
            let dependency = Dependency::on(*condition);
            service.depends_on.insert((*needed).into(), dependency);
        }
        service.config_hash = compose_file::config_hash(&service);
        project.services.insert((*name).into(), service);
    }
    project
}

/// What is there after the project went up.
fn observed(project: &Project) -> Observed {
    let mut observed = Observed::default();
    for network in project.networks.values() {
        let labels = BTreeMap::from([(labels::PROJECT.to_owned(), project.name.to_string())]);
        observed.networks.insert(
            network.name.clone(),
            Resource { name: network.name.clone(), labels, ..Resource::default() },
        );
    }
    for service in project.services.values() {
        let image = ImageId::new(&format!("{:0>64}", service.image.len()));
        observed.images.insert(service.image.clone(), image.clone());
        for number in 1..=service.scale {
            let name = format!("p-{}-{number}", service.name);
            let id = ContainerId(format!("{:a<64}", name.replace('-', "")));
            let mut container = Container::new(id, name, &service.image, ContainerState::Running);
            container.image_id = Some(image.clone());
            container.networks.insert("p_default".into());
            let depends_on: Vec<String> = service
                .depends_on
                .iter()
                .map(|(n, d)| format!("{n}:{}:false", d.condition.as_str()))
                .collect();
            for (label, value) in [
                (labels::PROJECT, "p".to_owned()),
                (labels::SERVICE, service.name.clone()),
                (labels::NUMBER, number.to_string()),
                (labels::ONEOFF, "False".to_owned()),
                (labels::CONFIG_HASH, service.config_hash.clone()),
                (labels::DEPENDS_ON, depends_on.join(",")),
            ] {
                container.labels.insert(label.to_owned(), value);
            }
            observed.containers.push(container);
        }
    }
    observed
}

fn up_with(project: &Project, options: &UpOptions, observed: &Observed) -> Result<Plan, Error> {
    plan_up(Desired { project, options, owner: "test" }, observed)
}

fn up(project: &Project, observed: &Observed) -> String {
    up_with(project, &UpOptions::default(), observed).expect("a plan").to_string()
}

/// The lines of a plan about images.
fn builds(project: &Project, building: Building, observed: &Observed) -> Result<Vec<String>, Error> {
    let mut options = UpOptions::default();
    options.build = building;
    let plan = up_with(project, &options, observed)?.to_string();
    Ok(plan.lines().filter(|line| line.contains("image")).map(str::to_owned).collect())
}

#[test]
fn images_are_built_that_are_not_there_each_after_those_it_is_made_from() {
    let mut project = project(&[("web", "p-web", &[]), ("zbase", "p-zbase", &[]), ("other", "x", &[])]);
    let mut build = Build::default();
    build.context = BuildContext::Folder("/p".into());
    project.services.get_mut("zbase").expect("it").build = Some(build.clone());
    build.additional_contexts.insert("base".into(), BuildContext::Elsewhere("service:zbase".into()));
    project.services.get_mut("web").expect("it").build = Some(build.clone());
    // As one that the file names no image of: nobody can pull it.
    for name in ["web", "zbase"] {
        project.services.get_mut(name).expect("it").pull_policy = PullPolicy::Never;
    }
    let nothing = Observed { networks: observed(&project).networks, ..Observed::default() };
    let lines = builds(&project, Building::Missing, &nothing).unwrap();
    assert_eq!(
        lines,
        ["build image p-zbase (not there)", "build image p-web (not there)", "pull image x (not there)"]
    );
    let all = observed(&project);
    assert!(builds(&project, Building::Missing, &all).unwrap().is_empty());
    // What comes of it is not known, so no container is recreated for it.
    let lines = builds(&project, Building::Always, &all).unwrap();
    assert_eq!(lines, ["build image p-zbase (requested)", "build image p-web (requested)"]);
    build.additional_contexts.insert("base".into(), BuildContext::Elsewhere("service:other".into()));
    project.services.get_mut("web").expect("it").build = Some(build);
    let error = builds(&project, Building::Missing, &nothing).unwrap_err().to_string();
    assert_eq!(error, "service \"web\" is made from the image of service \"other\", which has no build");
}

#[test]
fn what_has_a_name_is_pulled_and_built_with_what_it_is_made_from_only_if_that_fails() {
    let mut project =
        project(&[("web", "shop/web", &[]), ("zbase", "shop/base", &[]), ("other", "shop/other", &[])]);
    let mut build = Build::default();
    build.context = BuildContext::Folder("/p".into());
    project.services.get_mut("zbase").expect("it").build = Some(build.clone());
    project.services.get_mut("other").expect("it").build = Some(build.clone());
    build.additional_contexts.insert("base".into(), BuildContext::Elsewhere("service:zbase".into()));
    project.services.get_mut("web").expect("it").build = Some(build);
    project.services.get_mut("other").expect("it").pull_policy = PullPolicy::Never;
    let nothing = Observed { networks: observed(&project).networks, ..Observed::default() };
    let mut options = UpOptions::default();
    options.services = ["web".to_owned(), "other".to_owned()].into();
    let plan = up_with(&project, &options, &nothing).unwrap();
    let images: Vec<String> = plan.steps.iter().take(4).map(ToString::to_string).collect();
    assert_eq!(
        images,
        [
            "pull image shop/web (not there)",
            "build image shop/other (not there)",
            "build image shop/base (needed by web)",
            "build image shop/web (if it cannot be pulled)",
        ]
    );
    // The base is built for the build alone, so the pull decides of both.
    let needs = |step: usize| plan.steps[step].after.iter().map(|after| (after.step.0, after.need));
    assert_eq!(needs(2).collect::<Vec<_>>(), [(0, Need::Failure)]);
    assert_eq!(needs(3).collect::<Vec<_>>(), [(2, Need::Success), (0, Need::Failure)]);
    let lines = builds(&project, Building::Never, &nothing).unwrap_err().to_string();
    assert!(lines.contains("--no-build"), "{lines}");
    let lines = builds(&project, Building::Always, &nothing).unwrap();
    assert!(lines.iter().all(|line| line.starts_with("build ")), "{lines:?}");
}

fn chain() -> Project {
    project(&[
        ("db", "db:1", &[]),
        ("migrate", "app:1", &[("db", Condition::ServiceHealthy)]),
        (
            "web",
            "app:1",
            &[("db", Condition::ServiceStarted), ("migrate", Condition::ServiceCompletedSuccessfully)],
        ),
    ])
}

#[test]
fn from_nothing_everything_is_created_and_started_in_order() {
    insta::assert_snapshot!(up(&chain(), &Observed::default()), @r"
    create network p_default (not there)
    pull image db:1 (not there)
    pull image app:1 (not there)
    create container p-db-1 (not there)
    create container p-migrate-1 (not there)
    create container p-web-1 (not there)
    start container p-db-1 (not there)
    wait until healthy: container p-db-1 (needed by migrate)
    start container p-migrate-1 (not there)
    wait until completed: container p-migrate-1 (needed by web)
    start container p-web-1 (not there)
    ");
}

#[test]
fn what_is_as_it_should_be_gives_no_step() {
    let project = chain();
    let mut there = observed(&project);
    for container in &mut there.containers {
        if container.service() == Some("migrate") {
            container.state = ContainerState::Exited;
            container.exit_code = Some(0);
        }
    }
    assert_eq!(up(&project, &there), "");
}

#[test]
fn a_changed_image_recreates_its_service_alone() {
    let there = observed(&project(&[("a", "app:1", &[]), ("b", "b:1", &[])]));
    let mut there2 = there.clone();
    there2.images.insert("app:22".into(), ImageId::new(&"2".repeat(64)));
    insta::assert_snapshot!(up(&project(&[("a", "app:22", &[]), ("b", "b:1", &[])]), &there2), @r"
    recreate container p-a-1 (image changed from app:1 to app:22)
    stop container p-a-1 (replaced by a new one)
    remove container p-a-1 (replaced by a new one)
    rename container p-a-1 (takes the old one's place)
    start container p-a-1 (takes the old one's place)
    ");
}

#[test]
fn a_newer_image_of_the_same_name_recreates() {
    let project = project(&[("a", "app:1", &[])]);
    let mut there = observed(&project);
    there.images.insert("app:1".into(), ImageId::new(&"f".repeat(64)));
    assert!(up(&project, &there).starts_with("recreate container p-a-1 (app:1 is a newer image now)\n"));
}

#[test]
fn scaling_keeps_numbers_fills_gaps_and_removes_the_highest() {
    let mut project = project(&[("a", "app:1", &[])]);
    project.services.get_mut("a").unwrap().scale = 3;
    let mut there = observed(&project);
    there.containers.remove(1);
    insta::assert_snapshot!(up(&project, &there), @r"
    create container p-a-2 (not there)
    start container p-a-2 (not there)
    ");
    project.services.get_mut("a").unwrap().scale = 1;
    insta::assert_snapshot!(up(&project, &there), @r"
    stop container p-a-3 (scaled to 1)
    remove container p-a-3 (scaled to 1)
    ");
}

#[test]
fn an_interrupted_recreation_is_finished() {
    let project = project(&[("a", "app:1", &[])]);
    let mut there = observed(&project);
    let mut half = there.containers[0].clone();
    half.id = ContainerId("b".repeat(64));
    half.name = "aaaaaaaaaaaa_p-a-1".into();
    half.state = ContainerState::Created;
    half.labels.insert(labels::REPLACE.into(), "a".repeat(64));
    there.containers.push(half.clone());
    insta::assert_snapshot!(up(&project, &there), @"remove container aaaaaaaaaaaa_p-a-1 (left by an interrupted recreation)");
    there.containers = vec![half];
    insta::assert_snapshot!(up(&project, &there), @r"
    rename container p-a-1 (left by an interrupted recreation)
    start container p-a-1 (it is created)
    ");
}

#[test]
fn orphans_are_warned_of_and_removed_on_request() {
    let there = observed(&project(&[("a", "app:1", &[]), ("old", "old:1", &[])]));
    let project = project(&[("a", "app:1", &[])]);
    assert!(
        up(&project, &there)
            .starts_with("warning: containers of this project whose service is not in the file: p-old-1")
    );
    let mut options = UpOptions::default();
    options.orphans = Orphans::Remove;
    insta::assert_snapshot!(up_with(&project, &options, &there).unwrap(), @r"
    stop container p-old-1 (its service is not in the file)
    remove container p-old-1 (its service is not in the file)
    ");
}

#[test]
fn a_forced_recreation_of_one_service_leaves_its_dependencies() {
    let project = project(&[("a", "app:1", &[]), ("b", "b:1", &[("a", Condition::ServiceStarted)])]);
    let mut options = UpOptions::default();
    options.recreate = Recreate::Always;
    options.services.insert("b".into());
    let plan = up_with(&project, &options, &observed(&project)).unwrap().to_string();
    assert!(plan.starts_with("recreate container p-b-1 (requested)\n") && !plan.contains("p-a-1"), "{plan}");
}

#[test]
fn dependencies_are_made_anew_if_that_is_asked_for() {
    let project = project(&[("a", "app:1", &[]), ("b", "b:1", &[("a", Condition::ServiceStarted)])]);
    let mut options = UpOptions::default();
    options.recreate_dependencies = Recreate::Always;
    options.services.insert("b".into());
    let recreated = |options: &UpOptions| {
        let plan = up_with(&project, options, &observed(&project)).unwrap();
        let lines = plan.steps.iter().map(ToString::to_string);
        lines.filter(|line| line.starts_with("recreate ")).collect::<Vec<_>>()
    };
    assert_eq!(recreated(&options), ["recreate container p-a-1 (requested)"]);
    options.recreate = Recreate::Always;
    assert_eq!(recreated(&options).len(), 2);
    options.recreate = Recreate::Never;
    assert!(recreated(&options).is_empty());
}

#[test]
fn the_images_that_go_are_those_that_are_here_and_meant() {
    let mut project = project(&[("a", "app:1", &[]), ("b", "p-b", &[]), ("c", "gone:1", &[])]);
    let mut there = observed(&project);
    there.images.remove("gone:1");
    let removed = |target: &Target, images: RemoveImages, there: &Observed| {
        let mut options = DownOptions::default();
        options.images = images;
        let plan = plan_down(target, &options, there).unwrap();
        let lines = plan.steps.iter().map(ToString::to_string);
        lines.filter(|line| line.contains(" image ")).collect::<Vec<_>>()
    };
    let all = ["remove image app:1 (requested)", "remove image p-b (requested)"];
    let target = Target::from(&project);
    assert!(removed(&target, RemoveImages::No, &there).is_empty());
    assert_eq!(removed(&target, RemoveImages::All, &there), all);
    assert_eq!(removed(&target.clone().services(["a"]), RemoveImages::All, &there), all[..1]);
    // No service of this file is only built, whatever its image is called.
    assert!(removed(&target, RemoveImages::Local, &there).is_empty());
    // Without a file the name tells, as engines write it.
    project.services.get_mut("c").expect("it").image = "localhost/p-c:latest".into();
    let there = observed(&project);
    let target = Target::name(project.name.clone());
    assert_eq!(
        removed(&target, RemoveImages::Local, &there),
        ["remove image localhost/p-c:latest (requested)", "remove image p-b (requested)"]
    );
    assert_eq!(removed(&target, RemoveImages::All, &there).len(), 3);
}

#[test]
fn images_go_one_after_the_other() {
    let project = project(&[("a", "a:1", &[]), ("b", "b:1", &[]), ("c", "c:1", &[])]);
    let mut options = DownOptions::default();
    options.images = RemoveImages::All;
    let plan = plan_down(&Target::from(&project), &options, &observed(&project)).unwrap();
    let removals: Vec<usize> = (0..plan.steps.len())
        .filter(|step| matches!(plan.steps[*step].action, Action::RemoveImage(_)))
        .collect();
    assert_eq!(removals.len(), 3);
    for pair in removals.windows(2) {
        assert!(plan.steps[pair[1]].after.iter().any(|after| after.step.0 == pair[0]), "{plan}");
    }
}

#[test]
fn a_cycle_and_an_unknown_service_are_errors() {
    let cycle = project(&[
        ("a", "x", &[("b", Condition::ServiceStarted)]),
        ("b", "x", &[("a", Condition::ServiceStarted)]),
    ]);
    let error = up_with(&cycle, &UpOptions::default(), &Observed::default()).unwrap_err();
    assert!(matches!(error, Error::InvalidProject(_)), "{error}");
    let mut options = UpOptions::default();
    options.services.insert("nobody".into());
    let error = up_with(&chain(), &options, &Observed::default()).unwrap_err();
    assert_eq!(error.to_string(), "no such service: nobody");
}

#[test]
fn down_goes_in_reverse_order_by_labels_alone_and_leaves_what_is_not_ours() {
    let mut there = observed(&chain());
    there.networks.insert("p_other".into(), Resource { name: "p_other".into(), ..Resource::default() });
    let target = Target::name(ProjectName::new("p").unwrap());
    let mut options = DownOptions::default();
    options.volumes = RemoveVolumes::Yes;
    insta::assert_snapshot!(plan_down(&target, &options, &there).unwrap(), @r"
    stop container p-web-1 (requested)
    remove container p-web-1 (requested)
    stop container p-migrate-1 (requested)
    remove container p-migrate-1 (requested)
    stop container p-db-1 (requested)
    remove container p-db-1 (requested)
    remove network p_default (requested)
    ");
}

#[test]
fn stop_of_a_service_leaves_its_dependents() {
    let there = observed(&chain());
    let target = Target::name(ProjectName::new("p").unwrap()).services(["db"]);
    insta::assert_snapshot!(plan_stop(&target, &StopOptions::default(), &there), @"stop container p-db-1 (requested)");
}

#[test]
fn ten_thousand_services_are_planned() {
    let mut project = project(&[("s0", "app:1", &[])]);
    let first = project.services["s0"].clone();
    for index in 1..10_000 {
        let mut service = first.clone();
        service.name = format!("s{index}");
        let dependency = Dependency::on(Condition::ServiceStarted);
        service.depends_on.insert(format!("s{}", index - 1), dependency);
        project.services.insert(service.name.clone(), service);
    }
    let plan = up_with(&project, &UpOptions::default(), &Observed::default()).unwrap();
    assert_eq!(plan.steps.len(), 20_002);
    for (index, step) in plan.steps.iter().enumerate() {
        assert!(step.after.iter().all(|after| after.step.0 < index));
    }
}

#[test]
fn what_a_service_would_not_do_without_is_refused_by_name() {
    let mut project = project(&[("a", "x", &[])]);
    let service = project.services.get_mut("a").expect("it is there");
    service.use_api_socket = true;
    let options = UpOptions::default();
    let error = plan_up(Desired { project: &project, options: &options, owner: "me" }, &Observed::default());
    assert!(error.expect_err("it is refused").to_string().contains("service \"a\" has use_api_socket"));
}

#[test]
fn rule_7_what_never_ran_and_may_lack_its_files_is_made_anew() {
    let mut project = project(&[("a", "x", &[])]);
    let mut config = compose_file::FileObject::default();
    config.source = compose_file::FileSource::Content("text".into());
    project.configs.insert("c".into(), config);
    let mut grant = compose_file::Grant::default();
    grant.source = "c".into();
    project.services.get_mut("a").expect("it is there").configs.push(grant);
    let mut there = observed(&project);
    assert_eq!(up(&project, &there), "");
    there.containers[0].state = ContainerState::Created;
    assert!(up(&project, &there).starts_with("recreate container p-a-1 (it is created)"));
}

#[test]
fn hooks_are_steps_between_a_start_and_who_waits_for_it() {
    let mut project = project(&[("a", "x", &[]), ("b", "x", &[("a", Condition::ServiceStarted)])]);
    let mut hook = compose_file::Hook::default();
    hook.command = Some(vec!["/x".into()]);
    let service = project.services.get_mut("a").expect("it is there");
    service.post_start = vec![hook.clone()];
    service.pre_stop = vec![hook];
    let plan = up_with(&project, &UpOptions::default(), &Observed::default()).expect("a plan");
    let at = |verb: &str, name: &str| {
        let is = |step: &runtime_core::Step| step.verb() == verb && step.action.subject().name() == name;
        plan.steps.iter().position(is).expect("it is there")
    };
    let (hook, start_b) = (at("run a hook in", "p-a-1"), at("start", "p-b-1"));
    assert!(plan.steps[hook].after.iter().any(|after| after.step.0 == at("start", "p-a-1")));
    assert!(plan.steps[start_b].after.iter().any(|after| after.step.0 == hook));
    let stop = plan_stop(&Target::from(&project), &StopOptions::default(), &observed(&project)).to_string();
    let lines: Vec<&str> = stop.lines().collect();
    assert_eq!(
        lines[1..],
        ["run a hook in container p-a-1 (requested)", "stop container p-a-1 (requested)",]
    );
    let mut there = observed(&project);
    there.containers.retain(|container| container.service() == Some("a"));
    let again = plan_restart(&Target::from(&project), &RestartOptions::default(), &there).to_string();
    assert_eq!(
        again.lines().collect::<Vec<_>>(),
        [
            "run a hook in container p-a-1 (requested)",
            "stop container p-a-1 (requested)",
            "start container p-a-1 (requested)",
            "run a hook in container p-a-1 (requested)",
        ]
    );
    there.containers[0].labels.insert(labels::ONEOFF.to_owned(), "True".to_owned());
    let down = plan_down(&Target::from(&project), &DownOptions::default(), &there).expect("a plan");
    assert!(!down.to_string().contains("hook"), "a one-off runs something else: {down}");
}
