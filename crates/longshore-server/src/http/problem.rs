//! Answers that are no success, all of one shape.

use axum::{
    Json,
    extract::rejection::{BytesRejection, JsonRejection, QueryRejection},
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri};

use crate::api::{ErrorAnswer, Fault, Problem};

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (status(&self.code), Json(ErrorAnswer { error: self })).into_response()
    }
}

/// The status of a problem's code.
fn status(code: &str) -> StatusCode {
    match code {
        "invalid" | "invalid_name" | "bad_request" => StatusCode::BAD_REQUEST,
        "token_needed" => StatusCode::UNAUTHORIZED,
        "foreign_origin" => StatusCode::FORBIDDEN,
        "not_found" | "no_such_path" => StatusCode::NOT_FOUND,
        "no_such_method" => StatusCode::METHOD_NOT_ALLOWED,
        "name_taken" | "being_deleted" | "superseded" | "not_running" | "not_proved" | "no_template" => {
            StatusCode::CONFLICT
        }
        "too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "foreign_host" => StatusCode::MISDIRECTED_REQUEST,
        "storage" => StatusCode::INSUFFICIENT_STORAGE,
        "agent_unreachable" | "agent_refused" => StatusCode::BAD_GATEWAY,
        "shutting_down" | "not_installed" | "too_old" | "not_reachable" | "not_permitted" | "no_engine"
        | "machine" | "no_port" | "unsupported" | "timed_out" => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

pub(super) async fn no_such_path(uri: Uri) -> Problem {
    Problem::new("no_such_path", format!("there is nothing at {}", uri.path()))
        .with_help("what there is: /openapi.json")
}

pub(super) async fn no_such_method(uri: Uri, method: http::Method) -> Problem {
    Problem::new("no_such_method", format!("{} cannot be asked with {method}", uri.path()))
        .with_help("what there is: /openapi.json")
}

pub(super) fn too_large() -> Problem {
    Problem::new("too_large", format!("the body is larger than {} MiB", super::LARGEST_BODY >> 20))
}

pub(super) fn not_said_to_be_json() -> Problem {
    Problem::new("bad_request", "the body is not said to be JSON")
        .with_help("send the header `content-type: application/json`")
}

impl From<BytesRejection> for Problem {
    fn from(rejection: BytesRejection) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => too_large(),
            _ => Self::new("bad_request", "the body cannot be read"),
        }
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        match rejection {
            JsonRejection::BytesRejection(rejection) => rejection.into(),
            JsonRejection::MissingJsonContentType(_) => not_said_to_be_json(),
            rejection => {
                let fault = Fault { field: "body".to_owned(), message: rejection.body_text() };
                Self { faults: vec![fault], ..Self::new("bad_request", "the body is not what it should be") }
            }
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self::new("bad_request", rejection.body_text())
    }
}
