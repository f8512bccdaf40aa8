//! What is wished for when an agent is created, and everything that is wrong with it.

use serde_json::Value;

use crate::{
    api::{CreateAgent, Fault, Problem, Wanted},
    name::AgentName,
    settings::Settings,
    store::Record,
};

const FIELDS: [&str; 6] = ["name", "provider", "api_key", "base_url", "model", "template"];

/// Reads what is wished, and everything that is wrong with its shape. No fault quotes a value: it could be the key.
pub(crate) fn read(body: &[u8]) -> Result<(CreateAgent, Vec<Fault>), Problem> {
    let bad = |message: String| Problem::new("bad_request", message);
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        bad(format!("the body is no JSON: it goes wrong at line {}, column {}", error.line(), error.column()))
    })?;
    let Value::Object(mut object) = value else { return Err(bad("the body is no JSON object".to_owned())) };
    let mut faults = Vec::new();
    let mut text = |field: &str| match object.remove(field) {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => Some(text),
        Some(_) => {
            faults.push(Fault { field: field.to_owned(), message: "is not a string".to_owned() });
            None
        }
    };
    let [name, provider, api_key, base_url, model, template] = FIELDS.map(&mut text);
    for field in object.keys() {
        let message = format!("is none of the fields {}", FIELDS.join(", "));
        faults.push(Fault { field: field.chars().take(40).collect(), message });
    }
    let wish = CreateAgent {
        name: name.unwrap_or_default(),
        provider: provider.unwrap_or_default(),
        api_key,
        base_url,
        model: model.unwrap_or_default(),
        template,
    };
    Ok((wish, faults))
}

/// What is to be created, once nothing is wrong with it.
pub(crate) struct Plan {
    pub(crate) record: Record,
    pub(crate) api_key: Option<String>,
}

impl Plan {
    /// `faults` are those that were found before, when it was read.
    ///
    /// # Errors
    /// `invalid`, with all that is wrong.
    pub(crate) fn new(
        wish: CreateAgent,
        mut faults: Vec<Fault>,
        settings: &Settings,
    ) -> Result<Self, Problem> {
        let mut fault = |field: &str, message: String| {
            if !faults.iter().any(|fault| fault.field == field) {
                faults.push(Fault { field: field.to_owned(), message });
            }
        };
        let CreateAgent { name, provider, api_key, base_url, model, template } = wish;
        let name = AgentName::new(name).map_err(|message| fault("name", message)).ok();
        let template = template.unwrap_or_else(|| settings.template.clone());
        let kind = settings.templates.get(&template);
        if kind.is_none() {
            let there: Vec<&str> = settings.templates.keys().map(String::as_str).collect();
            fault("template", format!("{template:?} is none; there are {}", there.join(", ")));
        }
        let api_key = api_key.map(|key| key.trim().to_owned()).filter(|key| !key.is_empty());
        if api_key.as_ref().is_some_and(|key| key.chars().any(char::is_control)) {
            fault("api_key", "holds a character that cannot be in a key".to_owned());
        }
        let base_url = base_url.filter(|url| !url.is_empty());
        if let Some(reason) = base_url.as_deref().and_then(wrong_url) {
            fault("base_url", reason);
        }
        match kind.map(|kind| (kind, kind.about.providers.get(&provider))) {
            None => {}
            Some((kind, None)) => {
                let there: Vec<&str> = kind.about.providers.keys().map(String::as_str).collect();
                fault("provider", format!("{provider:?} is none; {template} has {}", there.join(", ")));
            }
            Some((_, Some(about))) => {
                if about.needs_key && api_key.is_none() {
                    fault("api_key", format!("is missing; {provider} needs one"));
                }
                if about.base_url.is_none() && base_url.is_none() {
                    fault("base_url", format!("is missing; {provider} has no usual place"));
                }
            }
        }
        let model = model.trim().to_owned();
        if model.is_empty() {
            fault("model", "is empty".to_owned());
        } else if model.len() > 200 || model.chars().any(char::is_control) {
            fault("model", "is no name of a model".to_owned());
        }
        let (Some(name), Some(kind), true) = (name, kind, faults.is_empty()) else {
            let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
            let message = format!("the agent cannot be created so: see {}", fields.join(", "));
            return Err(Problem { faults, ..Problem::new("invalid", message) });
        };
        let record = Record {
            template,
            image: kind.about.image.clone(),
            provider,
            model,
            base_url,
            wanted: Wanted::Running,
            pending: true,
            ..Record::new(name)
        };
        Ok(Self { record, api_key })
    }
}

fn wrong_url(text: &str) -> Option<String> {
    let url = match url::Url::parse(text) {
        Ok(url) => url,
        Err(error) => return Some(format!("{error}; it is like https://example.com/v1")),
    };
    if !matches!(url.scheme(), "http" | "https") {
        return Some(format!("{:?} is neither http nor https", url.scheme()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Some("holds a user or a password; that is what api_key is for".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_is_told_and_no_value_is() {
        let body = br#"{"name": 5, "api_key": ["s3cret"], "modle": "s3cret", "base_url": null}"#;
        let (_, faults) = read(body).expect("it is an object");
        let fields: Vec<&str> = faults.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["name", "api_key", "modle"]);
        assert!(!format!("{faults:?}").contains("s3cret"));
        for body in ["", "{\"api_key\": \"s3cret\"", "[\"s3cret\"]", "\"s3cret\""] {
            let problem = read(body.as_bytes()).expect_err("it is none");
            assert!(!problem.message.contains("s3cret"), "{problem:?}");
        }
    }
}
