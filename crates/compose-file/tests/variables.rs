//! Variables in files and in texts, as docker compose reads them.

#[allow(dead_code, reason = "other tests use the rest")]
mod oracle;

use oracle::Folder;

#[test]
fn files_of_variables_say_what_they_say_to_docker_compose() {
    let files = [
        "A=1\nB='x $A'\nC=\"y $A\"\nD=${A}z # c\nE=a#b\nF='m\nn'\nG=\"o\\np\"\n",
        "export A=1\nB: two\nUNSET_NAME\nD=\nE = spaced \n  F=indented\n",
        "B=\"q\\\"r\"\nC='q\\'r'\nD=\"$$x\"\nE=$$x\nF='$$x'\n",
        "A=1\nA\nB=${UNSET_NAME:-d}\nC=${UNSET_NAME-e}\nD=${A:+f}\n",
        "# c\n\nA=1 \t\nB=a b c\nC=\"a # b\" # c\nD='a # b' # c\n",
        "A=\"multi\nline\nend\"\nB=1\r\nC=2\r\n",
        "A.B=1\nA-B=2\nA_B=3\n1A=4\n",
        "A=1=2\nB==\nC=\"\"\nD=''\nE=\" x \"\n",
        "A=\\n\nB=\"\\t\\\\x\"\nC=a\\ b\nD='a\\nb'\n",
        "\u{feff}A=1\n",
        "A={\"x\": 1}\nB=[1]\nC=`x`\nD=$\nE=\"a$\"\n",
    ];
    for text in files {
        let folder = Folder::new(&[
            ("a.yaml", "services: {a: {image: x, env_file: e.env, label_file: e.env}}"),
            ("e.env", text),
        ]);
        folder.agrees(&["a.yaml"]);
    }
}

#[test]
fn a_value_that_goes_on_after_its_quote_is_told() {
    let folder =
        Folder::new(&[("a.yaml", "services: {a: {image: x, env_file: e.env}}"), ("e.env", "\nA='it''s'\n")]);
    let said = folder.errors(&["a.yaml"]);
    assert!(said.contains("e.env:2:1") && said.contains("goes on after its '"), "{said}");
}

#[test]
fn what_stands_after_a_closed_quote_is_told() {
    let folder = Folder::new(&[
        ("a.yaml", "services: {a: {image: x, env_file: e.env}}"),
        ("e.env", "A='x'y\nB=\"z\" # c\nC=\"m\nn\" o\n"),
    ]);
    let project = folder.agrees(&["a.yaml"]);
    let told: Vec<(usize, &str)> = project
        .warnings
        .iter()
        .map(|warning| (warning.location.as_ref().map_or(0, |at| at.line), warning.message.as_str()))
        .collect();
    let dropped = "what stands after the closing quote is dropped";
    assert_eq!(told, [(1, dropped), (4, dropped)]);
}

#[test]
fn texts_are_what_they_are_to_docker_compose() {
    let texts = [
        "$A",
        "${A}",
        "a${A}b",
        "$$A",
        "$$$A",
        "${A:-x}",
        "${E:-x}",
        "${E-x}",
        "${N:-x}",
        "${N-x}",
        "${N-}",
        "${A:+y}",
        "${E:+y}",
        "${E+y}",
        "${N+y}",
        "${A:?}",
        "${E?e}",
        "${N:-${A}}",
        "${N:-${M:-z}}",
        "${N:-a b}",
        "${N:-$$A}",
        "${A:+$A$A}",
        "${N:-}",
        "a$",
        "$1",
        "${A}${N}",
        "${N:-a:b-c?d+e}",
        "$A_B",
        "$A.B",
        "$A-B",
        "${N:-{}",
        "100%",
        "$-",
    ];
    for text in texts {
        let file = format!(
            "services: {{a: {{image: x, labels: {{q: '{text}', r: \"{text}\"}}, command: ['{text}']}}}}\n"
        );
        let folder = Folder::new(&[("a.yaml", &file), (".env", "A=1\nE=\nA_B=2\n")]);
        folder.agrees(&["a.yaml"]);
    }
}
