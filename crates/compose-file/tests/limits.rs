//! Files that nobody means: each is refused or loads, in memory that is bounded by its own size. Nothing is timed here, and what took
//! a square of its size would not end.

use allocation_counter::measure;
use compose_file::*;

/// Far below what the bombs here would take, and above what one honest file of the greatest size does.
const MAX_MEMORY: u64 = 1 << 30;

fn options() -> LoadOptions {
    let mut options = LoadOptions::new("/nowhere/shop");
    options.project_name = Some("shop".into());
    options
}

/// What is said of a text first, and how many errors there are.
fn said(text: &str, options: &LoadOptions) -> (String, usize) {
    let mut said = (String::new(), 0);
    let used = measure(|| {
        said = match load_str("compose.yaml", text, options) {
            Ok(_) => (String::new(), 0),
            Err(LoadError::Invalid(found)) => (
                found.errors().next().map(|error| error.message.clone()).unwrap_or_default(),
                found.errors().count(),
            ),
            Err(error) => (error.to_string(), 1),
        };
    });
    assert!(used.bytes_max < MAX_MEMORY, "{} bytes", used.bytes_max);
    said
}

fn refused(text: &str, why: &str) {
    let (said, _) = said(text, &options());
    assert!(said.contains(why), "{said}");
}

/// A text until it is that long.
fn grown(begin: &str, length: usize, part: impl Fn(usize) -> String, end: &str) -> String {
    let mut text = begin.to_owned();
    (0..)
        .take_while(|index| {
            text.push_str(&part(*index));
            text.len() < length
        })
        .for_each(drop);
    text + end
}

#[test]
fn what_repeats_itself_by_aliases_ends() {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..12 {
        let previous = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![previous; 10].join(",")));
    }
    refused(&bomb, "aliases");
    // A long text is few nodes, and as much to copy.
    let long = format!("x-a: &a {}\nx-b: [", "x".repeat(1 << 19));
    refused(&grown(&long, 1 << 20, |_| "*a,".into(), "]\n"), "aliases");
    // An anchor holds all that is in it.
    let nested: String = (0..90).map(|level| format!("&a{level} [")).collect();
    refused(&grown(&format!("x-a: {nested}"), 1 << 20, |_| "x,".into(), &"]".repeat(90)), "anchors");
    refused("a: &a\n  b: *a\n", "alias");
}

#[test]
fn what_is_nested_deeply_ends() {
    for part in ["[", "{", "{a: ", "- ", "? ", "[{"] {
        let (said, errors) = said(&part.repeat(1 << 18), &options());
        assert!(errors > 0, "{part}");
        assert!(
            ["deep", "recursion", "not YAML", "ends"].iter().any(|word| said.contains(word)),
            "{part}: {said}"
        );
    }
    let (_, errors) = said(&format!("services: {{a: {{image: '{}'}}}}", "${A:-".repeat(1 << 16)), &options());
    assert_eq!(errors, 1);
}

#[test]
fn what_makes_much_of_little_ends() {
    let service = |rest: &str, part: &dyn Fn(usize) -> String, length| {
        grown(&format!("services: {{a: {{image: x, {rest}: ["), length, part, "]}}")
    };
    let ranges = |index: usize| format!("'127.0.{}.{}:1-65535:1-65535',", index / 256, index % 256);
    refused(&service("ports", &ranges, 1 << 16), "ports");
    // A long range of them is no mistake.
    assert_eq!(said("services: {a: {image: x, ports: ['1-20000:1-20000']}}", &options()).1, 0);
    let mut bomb = options();
    bomb.env.insert("BIG".into(), "x".repeat(1 << 20));
    let text = service("command", &|_| "$BIG,".into(), 1 << 16);
    assert!(said(&text, &bomb).0.contains("too large"));
    let text = format!("services: {{a: {{image: x, command: ['{}']}}}}", "$BIG".repeat(1 << 12));
    assert!(said(&text, &bomb).0.contains("too large"));
    // What extends a large service is as large.
    let large = format!("services:\n  a: {{image: x, command: [{}]}}\n", "x".repeat(1 << 20));
    refused(&grown(&large, 2 << 20, |index| format!("  b{index}: {{extends: a}}\n"), ""), "too large");
    refused(&format!("? {}\n: x\n", "k".repeat(1 << 20)), "a key of more than 1024");
}

#[test]
fn values_that_hold_the_values_before_them_end() {
    let folder = tempfile::tempdir().expect("it works here");
    let names: Vec<String> = (0..40).map(|index| format!("A{index}")).collect();
    let doubled = names.windows(2).map(|pair| format!("{}=${}${}\n", pair[1], pair[0], pair[0]));
    let text = "A0=0123456789\n".to_owned() + &doubled.collect::<String>();
    std::fs::write(folder.path().join(".env"), &text).expect("it works here");
    std::fs::write(folder.path().join("e.env"), &text).expect("it works here");
    let mut options = LoadOptions::new(folder.path());
    for (env, file) in [("", ""), ("COMPOSE_DISABLE_ENV_FILE", "env_file: e.env")] {
        options.env.insert(env.into(), "1".into());
        let (said, errors) = said(&format!("services: {{a: {{image: x, {file}}}}}"), &options);
        assert_eq!(errors, 1);
        assert!(said.contains("too large"), "{said}");
    }
}

#[test]
fn all_that_is_wrong_is_told_up_to_a_number() {
    let wrong = grown("services: {a: {", 1 << 16, |index| format!("k{index}: 1,"), "}}");
    let (said, errors) = said(&wrong, &options());
    assert_eq!((said.as_str(), errors), ("\"k0\" is not known here", 501));
    let Err(LoadError::Invalid(found)) = load_str("x", &wrong, &options()) else { panic!("it is wrong") };
    assert_eq!(
        found.0.last().map(|last| last.message.as_str()),
        Some("there are more than these 500 errors")
    );
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_unread() {
    let folder = tempfile::tempdir().expect("it works here");
    let path = folder.path().join("compose.yaml");
    // It has no blocks on the disk.
    std::fs::File::create(&path).and_then(|file| file.set_len(100 << 20)).expect("it works here");
    let mut said = String::new();
    let used = measure(|| {
        said = load(&LoadOptions::new(folder.path())).err().map(|error| error.to_string()).unwrap_or_default()
    });
    assert!(said.contains("larger than 16 MiB"), "{said}");
    assert!(used.bytes_max < 64 << 20, "{} bytes", used.bytes_max);
}

#[test]
fn files_that_include_and_extend_each_other_end() {
    let folder = tempfile::tempdir().expect("it works here");
    let write =
        |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("it works here");
    write("compose.yaml", "include: [a.yaml]\nservices: {a: {image: x}}\n");
    write("a.yaml", "include: [b.yaml]\n");
    write("b.yaml", "include: [./../x/../compose.yaml, a.yaml]\n");
    let said =
        |folder: &std::path::Path| load(&LoadOptions::new(folder)).expect_err("it is wrong").to_string();
    assert!(said(folder.path()).contains("circle") || said(folder.path()).contains("cannot read"));
    write("b.yaml", "include: [compose.yaml]\n");
    assert!(said(folder.path()).contains("circle"));
    // Each of a row of files includes the next one twice, which is a power of two of files.
    write("compose.yaml", "include: [0.yaml]\nservices: {a: {image: x}}\n");
    for index in 0..40 {
        write(&format!("{index}.yaml"), &format!("include: [{0}.yaml, ./{0}.yaml]\n", index + 1));
    }
    write("40.yaml", "services: {b: {image: x}}\n");
    assert!(said(folder.path()).contains("too many files"));
    write("compose.yaml", "services: {a: {extends: {file: o.yaml, service: a}}}\n");
    write("o.yaml", "services: {a: {extends: {file: compose.yaml, service: a}}}\n");
    assert!(said(folder.path()).contains("circle"));
}

/// As many services, each with a little of everything.
fn services(count: usize) -> String {
    let service = |index: usize| {
        format!(
            "  s{index}:\n    image: \"reg.io/team/app:1.{index}\"\n    command: [serve, --port, \"80\"]\n    environment: {{A: a, B: \"$B\", C: c}}\n    ports: [\"80\"]\n    volumes: [data:/data, ./conf:/conf:ro]\n    depends_on: [s{}]\n    labels: [a=b]\n    restart: always\n",
            if index == 0 { count } else { index - 1 }
        )
    };
    let all: String = (0..count).map(service).collect();
    format!("services:\n{all}  s{count}: {{image: x}}\nvolumes: {{data: }}\n")
}

#[test]
fn ten_times_the_services_take_ten_times_the_memory() {
    let used = |count: usize| {
        let text = services(count);
        let used = measure(|| {
            load_str("compose.yaml", &text, &options()).unwrap_or_else(|error| panic!("{error}"));
        });
        (used.count_total / count as u64, used.bytes_max / count as u64)
    };
    let (few, many) = (used(100), used(1000));
    eprintln!("{few:?} {many:?} allocations and bytes a service");
    assert!(many.0 <= few.0 + 10 && many.1 <= few.1 * 5 / 4, "{few:?} {many:?}");
    assert!(many.0 < 500, "{many:?}");
}
