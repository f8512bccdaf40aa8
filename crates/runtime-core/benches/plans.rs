//! How long plans take: `cargo bench -p runtime-core`. Projects of services in chains of ten, and of as many in one chain.

use std::hint::black_box;

use compose_file::{LoadOptions, Project, load_str};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use runtime_core::{
    Action, Container, ContainerId, ContainerState, Desired, DownOptions, ImageId, Observed, Plan, Recreate,
    Resource, StopOptions, Target, UpOptions, plan_down, plan_stop, plan_up,
};

/// Services of which each waits for the one before it, in chains of that length.
fn project(services: usize, chain: usize) -> Project {
    let service = |index: usize| {
        let needs = if index.is_multiple_of(chain) {
            String::new()
        } else {
            format!(", depends_on: [s{}]", index - 1)
        };
        format!("  s{index}: {{image: app{needs}}}\n")
    };
    let services: String = (0..services).map(service).collect();
    let text = format!("name: bench\nservices:\n{services}");
    load_str("compose.yaml", &text, &LoadOptions::new("/bench")).expect("it loads")
}

fn up(project: &Project, recreate: Recreate, observed: &Observed) -> Plan {
    let mut options = UpOptions::default();
    options.recreate = recreate;
    plan_up(Desired { project, options: &options, owner: "longshore" }, observed).expect("it can be planned")
}

/// What is there when that plan has been done.
fn done(plan: &Plan) -> Observed {
    let mut observed = Observed::default();
    for step in &plan.steps {
        match &step.action {
            Action::CreateContainer(creation) => {
                let (name, spec) = (&creation.final_name, &creation.spec);
                let id = ContainerId(format!("id-{name}"));
                let mut container = Container::new(id, name, &spec.image, ContainerState::Running);
                container.labels = spec.labels.clone();
                container.networks = spec.networks.iter().map(|one| one.network.to_string()).collect();
                observed.containers.push(container);
            }
            Action::CreateNetwork(spec) => {
                let (name, driver, labels) =
                    (spec.name.to_string(), "bridge".to_owned(), spec.labels.clone());
                observed.networks.insert(name.clone(), Resource { name, driver, labels });
            }
            Action::PullImage(image) => {
                observed.images.insert(image.clone(), ImageId::new("0123456789ab"));
            }
            _ => {}
        }
    }
    observed
}

fn plans(criterion: &mut Criterion) {
    for (kind, chain) in [("chains of ten", 10), ("one chain", usize::MAX)] {
        let mut group = criterion.benchmark_group(kind);
        group.sample_size(20);
        for services in [1_000, 10_000] {
            group.throughput(Throughput::Elements(services as u64));
            let project = project(services, chain);
            let nothing = Observed::default();
            let all = done(&up(&project, Recreate::Changed, &nothing));
            assert!(up(&project, Recreate::Changed, &all).is_empty(), "nothing is to be done");
            let target = Target::from(&project);
            for (what, recreate, observed) in [
                ("up", Recreate::Changed, &nothing),
                ("up again", Recreate::Changed, &all),
                ("recreate", Recreate::Always, &all),
            ] {
                group.bench_function(BenchmarkId::new(what, services), |bencher| {
                    bencher.iter_with_large_drop(|| up(black_box(&project), recreate, observed));
                });
            }
            group.bench_function(BenchmarkId::new("stop", services), |bencher| {
                bencher.iter_with_large_drop(|| plan_stop(&target, &StopOptions::default(), black_box(&all)));
            });
            group.bench_function(BenchmarkId::new("down", services), |bencher| {
                bencher.iter_with_large_drop(|| plan_down(&target, &DownOptions::default(), black_box(&all)));
            });
        }
    }
}

criterion_group!(benches, plans);
criterion_main!(benches);
