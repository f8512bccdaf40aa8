//! Files that are wrong as users make them wrong, and what is said of each.

#[allow(dead_code, reason = "other tests use the rest")]
mod oracle;

use oracle::Folder;

#[test]
fn a_user_is_told_what_is_wrong_and_where() {
    let service = |attributes: &str| format!("services:\n  web:\n    image: nginx\n{attributes}");
    let cases: Vec<(&str, String)> = vec![
        ("a tab", "services:\n\tweb:\n\t\timage: nginx\n".into()),
        ("a key without a colon", "services:\n  web\n    image: nginx\n".into()),
        ("a missing space", "services:\n  web:\n    image:nginx\n".into()),
        ("indented too little", "services:\nweb:\n  image: nginx\n".into()),
        ("a quote that is open", service("    command: \"echo\n    init: true\n")),
        ("a bracket that is open", service("    ports: [\"80:80\"\n    init: true\n")),
        ("the singular", service("    port: [\"80:80\"]\n    volume: [a:/a]\n")),
        ("another word", service("    env: {A: b}\n    depends-on: [db]\n    restart_policy: always\n")),
        ("capitals", service("    Environment: {A: b}\n")),
        ("a list that is a text", service("    ports: 80:80\n    volumes: ./a:/a\n    cap_add: NET_ADMIN\n")),
        ("a mapping in a list", service("    environment:\n      - A: b\n")),
        ("a list in a mapping", service("    healthcheck:\n      - test: x\n")),
        ("a port without quotes", service("    ports:\n      - 22:22\n      - 80:80:80\n      - http\n")),
        ("a restart policy", service("    restart: allways\n")),
        ("a condition", service("    depends_on: {db: {condition: healthy}}\n  db: {image: x}\n")),
        ("a duration without a unit", service("    healthcheck: {test: x, interval: 30, timeout: 5 sec}\n")),
        ("a size", service("    mem_limit: 512 megs\n    shm_size: -1\n")),
        ("a boolean", service("    privileged: yess\n    tty: 1\n")),
        ("a volume that is not declared", service("    volumes: [data:/data]\nvolumes: {date: }\n")),
        ("a network that is not declared", service("    networks: [backend]\nnetworks: {back-end: }\n")),
        ("a secret that is not declared", service("    secrets: [token]\nsecrets: {tokens: {file: t}}\n")),
        ("resources under a service", service("    deploy: {resources: {limit: {cpu: 1}}}\n")),
        ("a name with a space", "services:\n  my web: {image: nginx}\n".into()),
        ("an image with capitals", "services:\n  web: {image: MyApp}\n".into()),
        ("a service that is empty", "services:\n  web:\n  db: {image: x}\n".into()),
        ("services as a list", "services:\n  - web: {image: nginx}\n".into()),
        ("an anchor that is not there", service("    environment: *common\n")),
        (
            "wrong through an anchor",
            "x-c: &c {restart: allways}\nservices:\n  a: {<<: *c, image: x}\n  b: {<<: *c, image: y}\n"
                .into(),
        ),
        ("a variable that is not closed", service("    command: echo ${A\n    user: ${1}\n")),
        ("all at once", service("    imag: x\n    ports: [a]\n    restart: x\n    init: x\n")),
    ];
    let folder = Folder::new(&[]);
    let said: Vec<String> = cases
        .iter()
        .map(|(name, text)| {
            std::fs::write(folder.path().join("compose.yaml"), text).expect("it works here");
            format!("## {name}\n{}", folder.errors(&["compose.yaml"]))
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn what_is_wrong_is_told_where_its_text_is_whatever_it_went_through() {
    let folder = Folder::new(&[
        (
            "compose.yaml",
            "include: [inc.yaml]\nservices:\n  web: {extends: {file: base.yaml, service: base}}\n",
        ),
        ("over.yaml", "services:\n  web:\n    ports: ['80:http']\n"),
        ("base.yaml", "services:\n  base:\n    image: x\n    restart: allways\n"),
        ("inc.yaml", "x-c: &c {init: maybe}\nservices:\n  job: {image: y, <<: *c}\n"),
    ]);
    insta::assert_snapshot!(folder.errors(&["compose.yaml", "over.yaml"]));
}
