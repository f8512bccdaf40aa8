//! Columns, and the words in them.

use std::time::{Duration, SystemTime};

use longshore::{Container, ContainerState, PublishedPort};
use serde::Serialize;

/// Rows under a head, each column as wide as it needs to be. The last column is not padded.
pub(crate) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    lines(&head, rows)
}

/// The same of columns whose number only the engine knows.
pub(crate) fn lines(head: &[impl AsRef<str>], rows: &[impl AsRef<[String]>]) -> String {
    let cell = |row: &[String], column: usize| row.get(column).cloned().unwrap_or_default();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| cell(row.as_ref(), column).chars().count());
        cells.chain([head[column].as_ref().chars().count()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("   ").trim_end().to_owned()
    };
    let mut lines = vec![line(head.iter().map(|title| title.as_ref().to_owned()).collect())];
    lines.extend(
        rows.iter().map(|row| line((0..head.len()).map(|column| cell(row.as_ref(), column)).collect())),
    );
    lines.join("\n")
}

/// A container in `ps`.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    id: String,
    name: String,
    image: String,
    service: String,
    state: ContainerState,
    health: Option<&'static str>,
    exit_code: Option<i64>,
    status: String,
    ports: Vec<PublishedPort>,
}

impl Row {
    pub(crate) fn of(container: &Container, now: SystemTime) -> Self {
        Self {
            id: container.id.0.clone(),
            name: container.name.clone(),
            image: container.image.clone(),
            service: container.service().unwrap_or_default().to_owned(),
            state: container.state,
            health: container.health_status().map(|health| health.as_str()),
            exit_code: container.exit_code.filter(|_| !container.state.is_running()),
            status: status(container, now),
            ports: container.ports.clone(),
        }
    }

    pub(crate) const HEAD: [&str; 5] = ["NAME", "IMAGE", "SERVICE", "STATUS", "PORTS"];

    pub(crate) fn cells(&self) -> [String; 5] {
        [self.name.clone(), self.image.clone(), self.service.clone(), self.status.clone(), ports(&self.ports)]
    }
}

/// `running (healthy) 3m`, `exited (1)`.
fn status(container: &Container, now: SystemTime) -> String {
    let mut words = vec![container.state.as_str().to_owned()];
    if container.state.is_running() {
        words.extend(container.health_status().map(|health| format!("({})", health.as_str())));
        let up = container.started.and_then(|started| now.duration_since(started).ok());
        words.extend(up.map(rough));
    } else if container.state == ContainerState::Exited {
        words.extend(container.exit_code.map(|code| format!("({code})")));
    }
    words.join(" ")
}

/// A duration in its largest unit: `45s`, `3m`, `5h`, `2d`.
fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86400),
    }
}

/// `127.0.0.1:8080->80/tcp`; the same port on IPv4 and IPv6 once.
pub(crate) fn ports(ports: &[PublishedPort]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for port in ports {
        let inside = format!("{}/{}", port.target, port.protocol.as_str());
        let text = match (port.published, port.host_ip) {
            (0, _) => inside,
            (published, Some(ip)) if !ip.is_unspecified() => {
                format!("{}->{inside}", std::net::SocketAddr::new(ip, published))
            }
            (published, _) => format!("{published}->{inside}"),
        };
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use longshore::{ContainerId, Health, HealthStatus};

    use super::*;

    fn container(state: ContainerState) -> Container {
        Container::new(ContainerId("4f".to_owned()), "shop-web-1", "localhost/web:1", state)
    }

    #[test]
    fn a_status_says_health_and_age_while_it_runs_and_its_code_afterwards() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut web = container(ContainerState::Running);
        web.started = Some(now - Duration::from_secs(200));
        assert_eq!(status(&web, now), "running 3m");
        web.health = Some(Health { status: HealthStatus::Healthy, log: Vec::new() });
        assert_eq!(status(&web, now), "running (healthy) 3m");
        web.state = ContainerState::Exited;
        web.exit_code = Some(1);
        assert_eq!(status(&web, now), "exited (1)");
        assert_eq!(status(&container(ContainerState::Created), now), "created");
    }

    #[test]
    fn ports_are_told_once() {
        let port = |ip: Option<&str>| PublishedPort {
            target: 80,
            published: 8080,
            host_ip: ip.map(|ip| ip.parse().unwrap()),
            protocol: Default::default(),
        };
        assert_eq!(ports(&[port(Some("0.0.0.0")), port(Some("::"))]), "8080->80/tcp");
        assert_eq!(ports(&[port(Some("127.0.0.1"))]), "127.0.0.1:8080->80/tcp");
        assert_eq!(ports(&[port(Some("::1"))]), "[::1]:8080->80/tcp");
    }

    #[test]
    fn columns_are_as_wide_as_they_need_to_be() {
        let rows = [["a".to_owned(), String::new()], ["longer".to_owned(), "b".to_owned()]];
        assert_eq!(table(["NAME", "X"], &rows), "NAME     X\na\nlonger   b");
    }
}
