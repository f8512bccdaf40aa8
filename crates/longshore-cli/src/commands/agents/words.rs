//! The words for agents.

use longshore_server::api::{Agent, AgentProgress, ProgressPhase, RuntimeStatus};

/// How far it is: `pulling example/agent:1 … 34 of 120 MB`.
pub(crate) fn step(progress: &AgentProgress) -> String {
    let subject = &progress.subject;
    let doing = match progress.phase {
        ProgressPhase::Queued => "waiting for its turn".to_owned(),
        ProgressPhase::MachineBusy => "waiting for another longshore at the machine".to_owned(),
        ProgressPhase::MachineDownload => "downloading the machine's image".to_owned(),
        ProgressPhase::MachineInit => "creating the machine".to_owned(),
        ProgressPhase::MachineBoot => "booting the machine".to_owned(),
        ProgressPhase::Engine => "waiting for the engine".to_owned(),
        ProgressPhase::Pull => format!("pulling {subject}"),
        ProgressPhase::Create => format!("creating {subject}"),
        ProgressPhase::Start => format!("starting {subject}"),
        ProgressPhase::Health => "waiting until it is well".to_owned(),
        ProgressPhase::Stop => format!("stopping {subject}"),
        ProgressPhase::Remove => format!("removing {subject}"),
    };
    match progress.bytes {
        Some(bytes) => format!("{doing} … {}", amount(bytes, progress.total_bytes)),
        None => doing,
    }
}

/// `34 of 120 MB`.
fn amount(bytes: u64, total: Option<u64>) -> String {
    let (unit, size) = match total.unwrap_or(bytes) {
        0..1_000_000 => ("kB", 1_000),
        _ => ("MB", 1_000_000),
    };
    match total {
        Some(total) => format!("{} of {} {unit}", bytes / size, total / size),
        None => format!("{} {unit}", bytes / size),
    }
}

/// Which engine a server has: `podman 5.4.2`.
pub(crate) fn engine(status: &RuntimeStatus) -> String {
    let after = match &status.version {
        Some(version) => format!(" {version}"),
        None if status.needs_setup => {
            ", once its machine is made ready, which the first agent does".to_owned()
        }
        None => String::new(),
    };
    format!("{}{after}", status.backend)
}

/// What the machine is doing.
pub(crate) fn machine(word: &str) -> &str {
    match word {
        "not_needed" => "not needed",
        "absent" => "there is none; it is made when it is needed",
        "stopped" => "stopped; it is started when it is needed",
        "not_answering" => "running, and its engine does not answer",
        other => other,
    }
}

/// What became of the machine.
pub(crate) fn machine_end(word: &str) -> &str {
    match word {
        "not_needed" => "there is none",
        "already_off" => "was off",
        "stopped" => "stopped",
        "kept_as_told" => "stays up, as told",
        "kept_not_started_by_us" => "stays up: somebody else started it",
        "kept_in_use" => "stays up: other containers run in it",
        "kept_unreadable" => "stays up: it does not say what runs in it",
        other => other,
    }
}

/// All that is known of an agent, a line each.
pub(crate) fn all(agent: &Agent) -> String {
    let mut lines = vec![("name", agent.name.clone())];
    let doing = agent.progress.as_ref().map(|progress| format!(", {}", step(progress))).unwrap_or_default();
    lines.push(("state", format!("{}{doing}", agent.state.as_str())));
    if let Some(error) = &agent.error {
        lines.push(("error", error.message.trim_end().to_owned()));
        lines.extend(error.help.clone().map(|help| ("help", help)));
    }
    lines.extend(agent.notice.clone().map(|notice| ("notice", notice)));
    lines.push(("model", format!("{} of {}", agent.model, agent.provider)));
    lines.extend(agent.base_url.clone().map(|url| ("base url", url)));
    lines.extend(agent.port.map(|port| ("address", format!("http://127.0.0.1:{port}"))));
    lines.push(("template", agent.template.clone()));
    lines.push(("image", agent.image.clone()));
    lines.push(("project", agent.project.clone()));
    lines.push(("created", agent.created_at.clone()));
    lines.extend(agent.started_at.clone().map(|time| ("started", time)));
    for container in &agent.containers {
        let health = container.health.as_ref().map(|health| format!(" ({health})")).unwrap_or_default();
        let code = container.exit_code.map(|code| format!(" ({code})")).unwrap_or_default();
        lines.push(("container", format!("{} {}{health}{code}", container.name, container.state)));
    }
    // What follows in a text of several lines stands under its first.
    let told = |(name, text): (&str, String)| format!("{name:9} {}", text.replace('\n', "\n          "));
    lines.into_iter().map(told).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_says_how_much_of_it_is_done() {
        let pull = |bytes, total_bytes| {
            let subject = "example/agent:1".to_owned();
            step(&AgentProgress { phase: ProgressPhase::Pull, subject, bytes, total_bytes })
        };
        assert_eq!(pull(None, None), "pulling example/agent:1");
        assert_eq!(pull(Some(34_500_000), Some(120_000_000)), "pulling example/agent:1 … 34 of 120 MB");
        assert_eq!(pull(Some(0), Some(2_000)), "pulling example/agent:1 … 0 of 2 kB");
        assert_eq!(pull(Some(5_000_000), None), "pulling example/agent:1 … 5 MB");
    }
}
