//! What agents are asked, at the port that they are published at.

use std::time::Duration;

use reqwest::{Client, StatusCode};

use crate::template::About;

/// How long an agent may take to say that it is there.
const ANSWER: Duration = Duration::from_secs(5);
/// How long connecting to a port of this computer may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Talks to agents. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    client: Client,
}

/// Why an agent is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unproved {
    /// Nothing answers, or not as it should yet, and how.
    NotYet(String),
    /// Somebody else answers at its port.
    SomebodyElse(String),
}

impl Gateway {
    pub(crate) fn new() -> reqwest::Result<Self> {
        // Agents are on this computer, wherever a proxy is.
        let client = Client::builder()
            .no_proxy()
            .connect_timeout(CONNECT)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self { client })
    }

    fn url(port: u16, path: &str) -> String {
        format!("http://127.0.0.1:{port}{path}")
    }

    async fn status(&self, port: u16, path: &str, token: Option<&str>) -> Result<StatusCode, Unproved> {
        let mut request = self.client.get(Self::url(port, path)).timeout(ANSWER);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await;
        // What the error says of the address everybody knows.
        answer
            .map(|answer| answer.status())
            .map_err(|error| Unproved::NotYet(format!("{path}: {}", cause(&error.without_url()))))
    }

    /// Whether the agent with that token answers at the port: it is well, knows its token, and knows no other. An answer alone
    /// proves nothing, because a forward that is left over from another agent answers too.
    pub(crate) async fn prove(&self, port: u16, about: &About, token: &str) -> Result<(), Unproved> {
        match self.status(port, &about.health, None).await? {
            status if status.is_success() => {}
            status => return Err(Unproved::NotYet(format!("{} answers {status}", about.health))),
        }
        match self.status(port, &about.proof, Some(token)).await? {
            status if status.is_success() => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(Unproved::SomebodyElse(format!(
                    "{} answers {status} to the agent's own token",
                    about.proof
                )));
            }
            status => return Err(Unproved::NotYet(format!("{} answers {status}", about.proof))),
        }
        // One that takes every token would take it for anybody's.
        match self.status(port, &about.proof, Some("this-is-nobodys-token")).await? {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Ok(()),
            status => Err(Unproved::SomebodyElse(format!(
                "{} answers {status} to a token that is nobody's",
                about.proof
            ))),
        }
    }

    /// Passes a message on. The answer has come as far as its head.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub(crate) async fn chat(
        &self,
        port: u16,
        about: &About,
        token: &str,
        message: Vec<u8>,
    ) -> reqwest::Result<reqwest::Response> {
        self.client
            .post(Self::url(port, &about.chat))
            .bearer_auth(token)
            .header(reqwest::header::CONTENT_TYPE, "application/json")
            .body(message)
            .send()
            .await
    }
}

/// The innermost cause, which is what says something.
pub(crate) fn cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(below) = cause.source() {
        cause = below;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use axum::{Router, routing::get};
    use tokio::net::TcpListener;

    use super::*;
    use crate::template::Template;

    async fn listener() -> (TcpListener, u16) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let port = listener.local_addr().expect("its address").port();
        (listener, port)
    }

    async fn proved(port: u16, token: &str) -> Result<(), Unproved> {
        let about = Template::openclaw().expect("it is whole").about;
        Gateway::new().expect("a client").prove(port, &about, token).await
    }

    #[tokio::test]
    async fn another_agent_at_the_port_is_told_from_the_one_that_is_meant() {
        let (listener, port) = listener().await;
        let options = mock_agent::Options::parse("its-own", "echo").expect("options");
        let agent = tokio::spawn(mock_agent::serve(listener, options, |_| {}, std::future::pending()));
        assert_eq!(proved(port, "its-own").await, Ok(()));
        assert!(matches!(proved(port, "another's").await, Err(Unproved::SomebodyElse(_))));
        agent.abort();
    }

    #[tokio::test]
    async fn one_that_takes_every_token_proves_nothing() {
        let (listener, port) = listener().await;
        let answer = || async { "yes" };
        let open = Router::new().route("/healthz", get(answer)).route("/v1/models", get(answer));
        let server = tokio::spawn(async move { axum::serve(listener, open).await });
        assert!(matches!(proved(port, "any").await, Err(Unproved::SomebodyElse(_))));
        server.abort();
    }

    #[tokio::test]
    async fn one_that_is_not_well_is_not_there_yet() {
        let (listener, port) = listener().await;
        let options = mock_agent::Options::parse("its-own", "echo?unhealthy").expect("options");
        let agent = tokio::spawn(mock_agent::serve(listener, options, |_| {}, std::future::pending()));
        let Err(Unproved::NotYet(why)) = proved(port, "its-own").await else { panic!("it was proved") };
        assert!(why.contains("503"), "{why}");
        agent.abort();
        let _ = agent.await;
        let Err(Unproved::NotYet(why)) = proved(port, "its-own").await else { panic!("it was proved") };
        assert!(why.contains("refused"), "{why}");
    }
}
