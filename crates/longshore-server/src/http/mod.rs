//! The server's face: routes, and what stands before them.

mod agents;
mod chat;
mod guard;
mod logs;
mod metrics;
mod news;
mod openapi;
mod page;
mod problem;
mod serve;

pub(crate) use guard::Guard;
pub use openapi::document;
pub(crate) use page::{Cookie, SignIn};
pub(crate) use serve::serve;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware};
use tokio_util::sync::CancellationToken;
use tower_http::{cors, timeout::RequestBodyTimeoutLayer};

use crate::fleet::Fleet;

/// The largest body: a conversation with pictures in it.
const LARGEST_BODY: usize = 16 << 20;
/// How long a client may be silent in the middle of its body.
const SILENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// What handlers are given.
#[derive(Debug, Clone)]
pub(crate) struct App {
    pub(crate) fleet: Fleet,
    /// Distinguishes the events of this start of the server from those of others.
    pub(crate) epoch: Arc<str>,
    /// How many logs are read from the engine at once.
    pub(crate) readings: Arc<tokio::sync::Semaphore>,
    pub(crate) sign_in: Arc<SignIn>,
    /// Cancelled when the server is to end.
    pub(crate) ending: CancellationToken,
    /// Cancelled when it is not to wait.
    pub(crate) hurry: CancellationToken,
}

/// All routes, behind the guard.
pub(crate) fn router(app: App, guard: Guard) -> Router {
    let (routes, document) = openapi::routes();
    let origins: Vec<_> = guard.origins().iter().filter_map(|origin| origin.parse().ok()).collect();
    let cors = cors::CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([http::Method::GET, http::Method::POST, http::Method::DELETE])
        .allow_headers([
            http::header::AUTHORIZATION,
            http::header::CONTENT_TYPE,
            http::HeaderName::from_static("last-event-id"),
        ]);
    let document = Arc::<str>::from(document);
    routes
        .route("/openapi.json", axum::routing::get(move || openapi::answer(document.clone())))
        .route("/", axum::routing::get(page::index))
        .route("/page/{file}", axum::routing::get(page::part))
        .route("/sign-in", axum::routing::get(page::by_link).post(page::by_token))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(RequestBodyTimeoutLayer::new(SILENCE))
        .layer(middleware::from_fn_with_state(Arc::new(guard), guard::check))
        .layer(cors)
        .with_state(app)
}
