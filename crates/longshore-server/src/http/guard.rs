//! Who may call: clients of this computer, and pages that are ours.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, header};
use sha2::{Digest, Sha256};

use super::{LARGEST_BODY, page::Cookie, problem::too_large};
use crate::api::Problem;

/// Whether the caller has the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trusted(pub(crate) bool);

/// What is asked of callers.
#[derive(Debug)]
pub(crate) struct Guard {
    /// Of the token, so that comparing takes the same time for all that is wrong.
    token: [u8; 32],
    /// The name of the cookie of who has signed in to the page, and its value's digest.
    cookie: (String, [u8; 32]),
    remote: bool,
    hosts: Vec<String>,
    origins: Vec<String>,
}

impl Guard {
    pub(crate) fn new(
        token: &str,
        cookie: &Cookie,
        remote: bool,
        hosts: Vec<String>,
        origins: Vec<String>,
    ) -> Self {
        let digest = |text: &str| Sha256::digest(text).into();
        Self {
            token: digest(token),
            cookie: (cookie.name.clone(), digest(&cookie.value)),
            remote,
            hosts,
            origins,
        }
    }

    pub(crate) fn origins(&self) -> &[String] {
        &self.origins
    }

    /// Whether a request may come in, and whether it has the token.
    ///
    /// # Errors
    /// Why not.
    fn admit(&self, method: &Method, path: &str, headers: &HeaderMap) -> Result<Trusted, Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        // A page elsewhere can make its own name lead here, but not make a browser say another one.
        if !host.is_some_and(|host| self.knows(host)) {
            let host = host.unwrap_or_default();
            return Err(Problem::new("foreign_host", format!("{host:?} is no name of this server"))
                .with_help("call it as localhost, or give it the name (serve.hosts)"));
        }
        let origin = headers.get(header::ORIGIN);
        if let Some(origin) = origin {
            let origin = origin.to_str().unwrap_or_default();
            let own = origin.strip_prefix("http://").is_some_and(|origin| Some(origin) == host);
            if !own && !self.origins.iter().any(|known| known == origin) {
                return Err(Problem::new(
                    "foreign_origin",
                    format!("pages of {origin:?} may not call this server"),
                )
                .with_help("if it is a page of yours, give its origin to the server (serve.origins)"));
            }
        }
        // What a browser sends without an origin, a picture for one, says where it comes from.
        let site = headers.get("sec-fetch-site").and_then(|site| site.to_str().ok());
        if origin.is_none() && matches!(site, Some("cross-site" | "same-site")) {
            return Err(Problem::new("foreign_origin", "pages of other sites may not call this server"));
        }
        // A browser sends the cookie by itself, so that what changes something must say that it is of the page.
        let of_the_page = origin.is_some() || is_reading(method);
        let trusted = self.has_token(headers) || (of_the_page && self.has_cookie(headers));
        if !trusted && self.needs_token(method, path) {
            return Err(Problem::new("token_needed", "this needs the server's token")
                .with_help("send `Authorization: Bearer TOKEN`; it is in the file `token` in the folder of the server's state"));
        }
        Ok(Trusted(trusted))
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|value| {
            let (scheme, token) = value.split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
        });
        // Of equal length whatever was sent, and nothing of it can be learned from where they differ.
        token.is_some_and(|token| <[u8; 32]>::from(Sha256::digest(token)) == self.token)
    }

    fn has_cookie(&self, headers: &HeaderMap) -> bool {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let mut values = cookies.flat_map(|cookies| cookies.split(';')).filter_map(|cookie| {
            let (name, value) = cookie.trim().split_once('=')?;
            (name == self.cookie.0).then_some(value)
        });
        values.any(|value| <[u8; 32]>::from(Sha256::digest(value)) == self.cookie.1)
    }

    fn needs_token(&self, method: &Method, path: &str) -> bool {
        let tells_what_agents_say = path.starts_with("/agents/") && path.ends_with("/logs");
        // The page's own files say nothing; it asks for the token itself.
        let is_open = path == "/healthz" || path == "/" || path == "/sign-in" || path.starts_with("/page/");
        !is_reading(method) || tells_what_agents_say || (self.remote && !is_open)
    }

    /// Whether a `Host` is a name of ours. With the token on every call any will do.
    fn knows(&self, host: &str) -> bool {
        if self.remote {
            return true;
        }
        let name = match host.parse::<SocketAddr>() {
            Ok(address) => return address.ip().is_loopback(),
            Err(_) => {
                host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok()).map_or(host, |(n, _)| n)
            }
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost")
            || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

fn is_reading(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// What says itself that it is too large need not be read to be refused.
fn is_too_large(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > LARGEST_BODY)
}

pub(super) async fn check(State(guard): State<Arc<Guard>>, mut request: Request, next: Next) -> Response {
    let mut response = match guard.admit(request.method(), request.uri().path(), request.headers()) {
        Ok(_) if is_too_large(request.headers()) => too_large().into_response(),
        Ok(trusted) => {
            request.extensions_mut().insert(trusted);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if response.status() == http::StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(remote: bool) -> Guard {
        Guard::new(
            "t0ken",
            &Cookie { name: "longshore-1".to_owned(), value: "c00kie".to_owned() },
            remote,
            vec!["box.lan".to_owned()],
            vec!["http://localhost:5173".to_owned()],
        )
    }

    fn asked(guard: &Guard, method: &Method, path: &str, headers: &[(&str, &str)]) -> String {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: http::HeaderName = name.parse().expect("a name");
            map.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        match guard.admit(method, path, &map) {
            Ok(Trusted(trusted)) => format!("in, trusted: {trusted}"),
            Err(problem) => problem.code,
        }
    }

    #[test]
    fn only_its_own_names_lead_to_it() {
        let guard = guard(false);
        for (host, answer) in [
            ("localhost", "in, trusted: false"),
            ("LOCALHOST:9105", "in, trusted: false"),
            ("127.0.0.1:9105", "in, trusted: false"),
            ("127.5.5.5", "in, trusted: false"),
            ("[::1]:9105", "in, trusted: false"),
            ("[::1]", "in, trusted: false"),
            ("box.lan:1", "in, trusted: false"),
            ("evil.example", "foreign_host"),
            ("localhost.evil.example", "foreign_host"),
            ("127.0.0.1.evil.example:9105", "foreign_host"),
            ("192.168.1.2", "foreign_host"),
            ("0.0.0.0:9105", "foreign_host"),
            ("", "foreign_host"),
        ] {
            assert_eq!(asked(&guard, &Method::GET, "/agents", &[("host", host)]), answer, "{host:?}");
        }
        assert_eq!(asked(&guard, &Method::GET, "/agents", &[]), "foreign_host");
    }

    #[test]
    fn only_pages_of_ours_may_call() {
        let guard = guard(false);
        for (origin, answer) in [
            ("http://localhost:9105", "in, trusted: false"),
            ("http://localhost:5173", "in, trusted: false"),
            ("http://localhost:5174", "foreign_origin"),
            ("http://127.0.0.1:9105", "foreign_origin"),
            ("https://localhost:9105", "foreign_origin"),
            ("https://evil.example", "foreign_origin"),
            ("null", "foreign_origin"),
        ] {
            let headers = [("host", "localhost:9105"), ("origin", origin)];
            assert_eq!(asked(&guard, &Method::GET, "/agents", &headers), answer, "{origin:?}");
        }
        for (site, answer) in [
            ("same-origin", "in, trusted: false"),
            ("none", "in, trusted: false"),
            ("same-site", "foreign_origin"),
            ("cross-site", "foreign_origin"),
        ] {
            let headers = [("host", "localhost"), ("sec-fetch-site", site)];
            assert_eq!(asked(&guard, &Method::GET, "/agents", &headers), answer, "{site:?}");
        }
    }

    #[test]
    fn what_changes_something_or_tells_what_agents_say_needs_the_token() {
        let right = [("host", "localhost"), ("authorization", "Bearer t0ken")];
        for (method, path) in [
            (Method::POST, "/agents/create"),
            (Method::POST, "/agents/a/start"),
            (Method::DELETE, "/agents/a"),
            (Method::POST, "/shutdown"),
            (Method::GET, "/agents/a/logs"),
            (Method::POST, "/agents/a/chat"),
            (Method::PUT, "/x"),
        ] {
            let guard = guard(false);
            for wrong in ["", "Bearer", "Bearer ", "Bearer t0ke", "Bearer t0kenn", "Basic t0ken", "t0ken"] {
                let headers = [("host", "localhost"), ("authorization", wrong)];
                assert_eq!(asked(&guard, &method, path, &headers), "token_needed", "{path} {wrong:?}");
            }
            assert_eq!(asked(&guard, &method, path, &right), "in, trusted: true");
        }
    }

    #[test]
    fn the_cookie_of_the_page_is_for_the_page_alone() {
        let guard = guard(false);
        let cookie = ("cookie", "other=1; longshore-1=c00kie");
        let own = ("origin", "http://localhost:9105");
        let host = ("host", "localhost:9105");
        assert_eq!(asked(&guard, &Method::GET, "/agents/a/logs", &[host, cookie]), "in, trusted: true");
        assert_eq!(asked(&guard, &Method::POST, "/agents/create", &[host, cookie, own]), "in, trusted: true");
        // A form of another page of this computer sends the cookie too.
        assert_eq!(asked(&guard, &Method::POST, "/agents/create", &[host, cookie]), "token_needed");
        let other = ("origin", "http://localhost:3000");
        assert_eq!(asked(&guard, &Method::POST, "/agents/create", &[host, cookie, other]), "foreign_origin");
        for wrong in ["longshore-1=", "longshore-1=c00ki", "longshor=c00kie", "c00kie", "xlongshore-1=c00kie"]
        {
            assert_eq!(
                asked(&guard, &Method::GET, "/agents/a/logs", &[host, ("cookie", wrong)]),
                "token_needed"
            );
        }
    }

    #[test]
    fn where_others_reach_it_everything_needs_the_token() {
        let guard = guard(true);
        let elsewhere = [("host", "192.168.1.2:9105")];
        assert_eq!(asked(&guard, &Method::GET, "/agents", &elsewhere), "token_needed");
        assert_eq!(asked(&guard, &Method::GET, "/events", &elsewhere), "token_needed");
        assert_eq!(asked(&guard, &Method::GET, "/healthz", &elsewhere), "in, trusted: false");
    }
}
