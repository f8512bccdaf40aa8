//! How long files take to load: those of awesome-compose, and projects of 1,000 and 10,000 services, beside what docker compose takes for
//! the same. What a service takes in memory is a test of its own (`tests/limits.rs`).

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use compose_file::{LoadOptions, load, load_str};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A project of services that each have a little of everything.
fn project(services: usize) -> String {
    let service = |index: usize| {
        let needs = if index == 0 { String::new() } else { format!("    depends_on: [s{}]\n", index - 1) };
        format!(
            "  s{index}:\n    image: \"reg.io/team/app:1.{index}\"\n    command: [serve, --port, \"80\"]\n    environment: {{A: a, B: \"${{B:-b}}\", C: c}}\n    ports: [\"80\"]\n    volumes: [data:/data, ./conf:/conf:ro]\n    labels: [a=b]\n    restart: always\n{needs}"
        )
    };
    format!("services:\n{}volumes: {{data: }}\n", (0..services).map(service).collect::<String>())
}

/// The folders of awesome-compose beside this checkout; none where they are not.
fn examples() -> Vec<PathBuf> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/compose/awesome-compose");
    let Ok(entries) = std::fs::read_dir(shared) else {
        eprintln!("the shared compose files do not stand beside this checkout");
        return Vec::new();
    };
    let mut folders: Vec<_> = entries.filter_map(|entry| entry.ok()?.path().canonicalize().ok()).collect();
    folders.sort();
    folders
}

fn options(folder: &Path) -> LoadOptions {
    let mut options = LoadOptions::new(folder);
    options.env.extend(std::env::var("HOME").map(|home| ("HOME".to_owned(), home)));
    options
}

/// `docker compose config`, which starts a process for it.
fn docker_compose(folder: &Path, file: Option<&str>) -> bool {
    let mut command = Command::new("docker");
    command.arg("compose").args(file.iter().flat_map(|file| ["-f", file])).args(["config", "--quiet"]);
    let status = command.current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

fn usual(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("awesome-compose");
    group.measurement_time(Duration::from_millis(500)).warm_up_time(Duration::from_millis(100));
    let folders = examples();
    for folder in &folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let options = options(folder);
        group.bench_function(BenchmarkId::new("longshore", name), |bencher| {
            bencher.iter(|| load(&options).expect("it loads"));
        });
    }
    group.sample_size(10);
    if let Some(folder) = folders.first().filter(|folder| docker_compose(folder, None)) {
        group.bench_function("docker compose", |bencher| bencher.iter(|| docker_compose(folder, None)));
    }
}

fn large(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("services");
    group.sample_size(10).warm_up_time(Duration::from_millis(500));
    let folder = tempfile::tempdir().expect("it works here");
    for services in [1_000, 10_000] {
        let text = project(services);
        let file = format!("{services}.yaml");
        std::fs::write(folder.path().join(&file), &text).expect("it works here");
        group.throughput(Throughput::Elements(services as u64));
        let options = options(folder.path());
        group.bench_function(BenchmarkId::new("longshore", services), |bencher| {
            bencher.iter(|| load_str(&file, &text, &options).expect("it loads"));
        });
        let both = [folder.path().join(&file), folder.path().join(&file)];
        let mut over = options.clone();
        over.files = both.to_vec();
        group.bench_function(BenchmarkId::new("longshore, over itself", services), |bencher| {
            bencher.iter(|| load(&over).expect("it loads"));
        });
        // Its growth is its own affair; ours is what is looked at.
        if services == 1_000 && docker_compose(folder.path(), Some(&file)) {
            group.bench_function(BenchmarkId::new("docker compose", services), |bencher| {
                bencher.iter(|| docker_compose(folder.path(), Some(&file)));
            });
        }
    }
}

criterion_group!(benches, usual, large);
criterion_main!(benches);
