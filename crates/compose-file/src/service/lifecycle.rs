//! When a service is there: what it waits for, whether it is well, how often it is there.

use std::{collections::BTreeMap, time::Duration};

use crate::{
    Condition, Dependency, HealthTest, Healthcheck, PullPolicy, RestartPolicy,
    quantity::parse_duration,
    read::Reader,
    written::Written,
    yaml::{Node, Value},
};

/// More containers of one service than anybody means; planning them would take all memory.
const MAX_SCALE: u32 = 10_000;

pub(crate) fn scale(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    let expected = format!("a number of containers from 0 to {MAX_SCALE}");
    let count: u32 = reader.number(node, &expected)?;
    if count > MAX_SCALE { reader.wrong(node, &expected) } else { Some(count) }
}

pub(super) fn depends_on(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<String, Dependency> {
    let plain = Dependency::on(Condition::ServiceStarted);
    let mut out = BTreeMap::new();
    let Value::Map(entries) = &node.value else {
        out.extend(reader.strings(node).into_iter().map(|name| (name, plain.clone())));
        return out;
    };
    for (key, value) in entries {
        let mut dependency = plain.clone();
        let mut reader = reader.at(&key.text);
        for (inner, value) in reader.entries(value) {
            let mut reader = reader.at(&inner.text);
            match inner.text.as_str() {
                "condition" => match reader.string(value).as_deref() {
                    Some("service_started") => dependency.condition = Condition::ServiceStarted,
                    Some("service_healthy") => dependency.condition = Condition::ServiceHealthy,
                    Some("service_completed_successfully") => {
                        dependency.condition = Condition::ServiceCompletedSuccessfully
                    }
                    _ => {
                        let words = ["service_started", "service_healthy", "service_completed_successfully"];
                        reader.none_of::<()>(value, &words);
                    }
                },
                "restart" => dependency.restart = reader.bool(value).unwrap_or_default(),
                "required" => dependency.required = reader.bool(value).unwrap_or(true),
                _ => reader.unknown(inner, &["condition", "restart", "required"]),
            }
        }
        out.insert(key.text.clone(), dependency);
    }
    out
}

pub(super) fn healthcheck(
    reader: &mut Reader<'_>,
    written: &mut Written,
    node: &Node,
) -> Option<Healthcheck> {
    let mut check = Healthcheck::default();
    let mut disabled = false;
    for (key, value) in reader.entries(node) {
        let mut reader = reader.at(&key.text);
        match key.text.as_str() {
            "test" => check.test = health_test(&mut reader, value),
            "interval" => check.interval = reader.duration(value),
            "timeout" => check.timeout = reader.duration(value),
            "start_period" => check.start_period = reader.duration(value),
            "start_interval" => check.start_interval = reader.duration(value),
            "retries" => check.retries = reader.number(value, "a number of tries"),
            "disable" => disabled = reader.bool(value).unwrap_or_default(),
            _ => reader.unknown(
                key,
                &["test", "interval", "timeout", "start_period", "start_interval", "retries", "disable"],
            ),
        }
    }
    let said = (check != Healthcheck::default()).then_some(check);
    if disabled {
        written.disabled = said;
        return Some(Healthcheck { test: Some(HealthTest::None), ..Healthcheck::default() });
    }
    written.test_none = said.as_ref().is_some_and(|check| check.test == Some(HealthTest::None));
    written.empty_healthcheck = said.is_none() && !node.is_null();
    said
}

fn health_test(reader: &mut Reader<'_>, node: &Node) -> Option<HealthTest> {
    if let Value::Scalar { text, .. } = &node.value {
        return if node.is_null() { None } else { Some(HealthTest::Shell(text.clone())) };
    }
    let words = reader.strings(node);
    match words.split_first() {
        None => None,
        Some((word, [])) if word == "NONE" => Some(HealthTest::None),
        Some((word, rest)) if word == "CMD" && !rest.is_empty() => Some(HealthTest::Exec(rest.to_vec())),
        Some((word, rest)) if word == "CMD-SHELL" && rest.len() == 1 => {
            Some(HealthTest::Shell(rest[0].clone()))
        }
        _ => reader.wrong(node, "a text, or a list that begins with CMD, CMD-SHELL or NONE"),
    }
}

pub(super) fn restart(reader: &mut Reader<'_>, node: &Node) -> RestartPolicy {
    let Some(text) = reader.string(node) else { return RestartPolicy::No };
    match text.as_str() {
        "no" | "false" | "" => RestartPolicy::No,
        "always" => RestartPolicy::Always,
        "unless-stopped" => RestartPolicy::UnlessStopped,
        "on-failure" => RestartPolicy::OnFailure(None),
        other => match other.strip_prefix("on-failure:").and_then(|times| times.parse().ok()) {
            Some(times) => RestartPolicy::OnFailure(Some(times)),
            None => reader
                .none_of(node, &["no", "always", "unless-stopped", "on-failure", "on-failure:TIMES"])
                .unwrap_or_default(),
        },
    }
}

pub(super) fn pull_policy(reader: &mut Reader<'_>, node: &Node) -> PullPolicy {
    let every = |text: &str| parse_duration(text.strip_prefix("every_")?).filter(|age| *age > Duration::ZERO);
    let policy = match reader.string(node).as_deref() {
        Some("missing" | "if_not_present") => PullPolicy::Missing,
        Some("always") => PullPolicy::Always,
        Some("never") => PullPolicy::Never,
        Some("build") => PullPolicy::Build,
        Some("refresh") => PullPolicy::Refresh,
        Some("daily") => PullPolicy::Daily,
        Some("weekly") => PullPolicy::Weekly,
        Some(other) => match every(other) {
            Some(age) => PullPolicy::Every(age),
            None => {
                return reader
                    .wrong(node, "missing, always, never, build, refresh, daily, weekly or every_12h")
                    .unwrap_or_default();
            }
        },
        None => return PullPolicy::Missing,
    };
    if matches!(policy, PullPolicy::Refresh | PullPolicy::Daily | PullPolicy::Weekly | PullPolicy::Every(_)) {
        reader.warning(node.place, "how old an image is is not looked at yet: this is taken as missing");
    }
    policy
}
