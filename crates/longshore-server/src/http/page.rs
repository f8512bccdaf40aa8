//! The page, and signing in to it.

use std::sync::{Mutex, PoisonError};

use axum::{
    Extension,
    extract::{Path, Query, State},
    response::{IntoResponse, Redirect, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{App, guard::Trusted};
use crate::api::Problem;

/// Nothing from elsewhere, nothing inline, and in nobody's frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; \
    base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The files of the page. They are in the program, so that there is nothing to install beside it.
const FILES: [(&str, &str, &str); 16] = [
    ("index.html", "text/html; charset=utf-8", include_str!("../../page/index.html")),
    ("icon.svg", "image/svg+xml", include_str!("../../page/icon.svg")),
    ("style.css", "text/css; charset=utf-8", include_str!("../../page/style.css")),
    ("main.js", SCRIPT, include_str!("../../page/main.js")),
    ("agents.js", SCRIPT, include_str!("../../page/agents.js")),
    ("ansi.js", SCRIPT, include_str!("../../page/ansi.js")),
    ("api.js", SCRIPT, include_str!("../../page/api.js")),
    ("boot.js", SCRIPT, include_str!("../../page/boot.js")),
    ("chat.js", SCRIPT, include_str!("../../page/chat.js")),
    ("dom.js", SCRIPT, include_str!("../../page/dom.js")),
    ("known.js", SCRIPT, include_str!("../../page/known.js")),
    ("log.js", SCRIPT, include_str!("../../page/log.js")),
    ("markdown.js", SCRIPT, include_str!("../../page/markdown.js")),
    ("projects.js", SCRIPT, include_str!("../../page/projects.js")),
    ("runtime.js", SCRIPT, include_str!("../../page/runtime.js")),
    ("words.js", SCRIPT, include_str!("../../page/words.js")),
];
const SCRIPT: &str = "text/javascript; charset=utf-8";

fn file(name: &str, headers: &HeaderMap) -> Option<Response> {
    let (_, kind, text) = FILES.iter().find(|(known, ..)| *known == name)?;
    let digest: String = Sha256::digest(text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let tag = format!("\"{digest}\"");
    let head = [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        // Asked for each time, and answered with nothing when it is the same.
        (header::CACHE_CONTROL, "no-cache"),
    ];
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|sent| sent.as_bytes() == tag.as_bytes());
    let tag = [(header::ETAG, HeaderValue::from_str(&tag).ok()?)];
    Some(if known {
        (StatusCode::NOT_MODIFIED, head, tag).into_response()
    } else {
        (head, tag, *text).into_response()
    })
}

pub(super) async fn index(headers: HeaderMap) -> Response {
    file("index.html", &headers).unwrap_or_else(|| StatusCode::NOT_FOUND.into_response())
}

pub(super) async fn part(Path(name): Path<String>, headers: HeaderMap) -> Result<Response, Problem> {
    file(&name, &headers)
        .ok_or_else(|| Problem::new("no_such_path", format!("there is nothing at /page/{name}")))
}

/// The cookie of who has signed in.
#[derive(Debug, Clone)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
}

impl Cookie {
    /// The same for as long as the token is, so that a page that is open outlives the server. Browsers send a cookie to every port of a
    /// host: servers at different ones have different names for theirs.
    pub(crate) fn new(token: &str, port: u16) -> Self {
        let digest = Sha256::digest(format!("the page of {token}"));
        Self {
            name: format!("longshore-{port}"),
            value: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}

/// The link that signs in, once.
#[derive(Debug)]
pub(crate) struct SignIn {
    /// The digest of the code, until it is used.
    code: Mutex<Option<[u8; 32]>>,
    /// What a browser shows that has signed in.
    cookie: Cookie,
}

impl SignIn {
    pub(crate) fn new(code: &str, cookie: Cookie) -> Self {
        Self { code: Mutex::new(Some(Sha256::digest(code).into())), cookie }
    }

    fn uses(&self, code: &str) -> bool {
        let mut known = self.code.lock().unwrap_or_else(PoisonError::into_inner);
        let right = *known == Some(Sha256::digest(code).into());
        if right {
            *known = None;
        }
        right
    }

    fn cookie(&self) -> Option<HeaderValue> {
        // Pages of other sites do not send it, and no script reads it.
        let Cookie { name, value } = &self.cookie;
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age=31536000");
        HeaderValue::from_str(&text).ok()
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Code {
    code: String,
}

/// By the link. One that was used leads to the page, where the token can be given.
pub(super) async fn by_link(State(app): State<App>, Query(Code { code }): Query<Code>) -> Response {
    let mut response = Redirect::to("/").into_response();
    if app.sign_in.uses(&code)
        && let Some(cookie) = app.sign_in.cookie()
    {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// By the token.
pub(super) async fn by_token(State(app): State<App>, Extension(_): Extension<Trusted>) -> Response {
    // The guard lets nobody come here without it.
    let cookie = app.sign_in.cookie().map(|cookie| [(header::SET_COOKIE, cookie)]);
    (cookie, axum::Json(serde_json::json!({ "ok": true }))).into_response()
}
