//! Values as YAML.

use serde_json::Value;

pub(super) fn write_yaml(value: &Value, indent: usize, out: &mut String) {
    let pad = "  ".repeat(indent);
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                out.push_str(&format!("{pad}{}:", yaml_text(key)));
                write_inner(value, indent, out);
            }
        }
        Value::Array(items) => {
            for item in items {
                match item {
                    Value::Object(map) if !map.is_empty() => {
                        let mut inner = String::new();
                        write_yaml(item, indent + 1, &mut inner);
                        out.push_str(&format!("{pad}- {}", inner.trim_start_matches(' ')));
                    }
                    item => {
                        out.push_str(&format!("{pad}-"));
                        write_inner(item, indent, out);
                    }
                }
            }
        }
        _ => {}
    }
}

fn write_inner(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            write_yaml(value, indent + 1, out);
        }
        Value::Array(items) if !items.is_empty() => {
            out.push('\n');
            write_yaml(value, indent + 1, out);
        }
        Value::String(text) => out.push_str(&format!(" {}\n", yaml_text(text))),
        other => out.push_str(&format!(" {other}\n")),
    }
}

/// A text as YAML: plain where nothing can be misread, else in double quotes, which take JSON's escapes.
fn yaml_text(text: &str) -> String {
    let plain = text.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '.' | '_' | '-'))
        && !matches!(
            text.to_ascii_lowercase().as_str(),
            "true" | "false" | "yes" | "no" | "on" | "off" | "y" | "n" | "null"
        );
    if plain { text.to_owned() } else { Value::String(text.to_owned()).to_string() }
}
