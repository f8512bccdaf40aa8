//! Values of the environment reach the process as they are written.

use longshore_tests::{Case, Outcome, Suite, behaviours};

pub(crate) fn tests(suite: &mut Suite) {
    behaviours!(suite;
        spaces_and_quotes_arrive,
        newlines_arrive,
        dollars_arrive,
        unicode_arrives,
        an_equals_sign_and_a_dash_arrive,
        an_empty_value_arrives,
        a_very_long_value_arrives,
        the_file_of_values_is_read,
    );
}

/// Prints the variable `WORD`, which the file gives as the YAML text `written`, and expects `value`.
async fn arrives(case: &Case, written: &str, value: &str) -> Outcome {
    let project = case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [env, WORD]
    environment:
      WORD: {written}
"
    ))?;
    assert_eq!(case.run(&project, "web").await?.join("\n"), value);
    Ok(())
}

async fn spaces_and_quotes_arrive(case: Case) -> Outcome {
    arrives(
        &case,
        r#"'two words, "double" and ''single'' \ back'"#,
        r#"two words, "double" and 'single' \ back"#,
    )
    .await
}

async fn newlines_arrive(case: Case) -> Outcome {
    arrives(&case, r#""one\ntwo\n  three""#, "one\ntwo\n  three").await
}

async fn dollars_arrive(case: Case) -> Outcome {
    arrives(&case, "'$$HOME and $${OTHER} cost 5$$'", "$HOME and ${OTHER} cost 5$").await
}

async fn unicode_arrives(case: Case) -> Outcome {
    arrives(&case, "'Größe 尺寸 🚢'", "Größe 尺寸 🚢").await
}

async fn an_equals_sign_and_a_dash_arrive(case: Case) -> Outcome {
    arrives(&case, "'--flag=a=b'", "--flag=a=b").await
}

async fn an_empty_value_arrives(case: Case) -> Outcome {
    arrives(&case, "''", "").await
}

async fn a_very_long_value_arrives(case: Case) -> Outcome {
    let value = "abcdefghi ".repeat(10_000);
    let value = value.trim_end();
    let project = case.project(&format!(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [env, WORD]
    environment:
      WORD: '{value}'
"
    ))?;
    // A line that long comes in pieces.
    let pieces = case.run(&project, "web").await?;
    assert!(pieces.concat() == value, "{} pieces of {} bytes", pieces.len(), pieces.concat().len());
    Ok(())
}

async fn the_file_of_values_is_read(case: Case) -> Outcome {
    std::fs::write(case.dir().join("values.env"), "WORD=from the file\nOTHER=x\n")?;
    let project = case.project(
        "
services:
  web:
    image: localhost/longshore-fixture:1
    command: [env, WORD]
    env_file: values.env
    environment: {OTHER: y}
",
    )?;
    assert_eq!(case.run(&project, "web").await?, ["from the file"]);
    Ok(())
}
