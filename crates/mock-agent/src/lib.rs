//! An AI agent that answers without a model, for programs that want to test what they do with agents.
//!
//! It speaks the part of OpenAI's API that a chat needs: `GET /v1/models` and `POST /v1/chat/completions`, whole or as a stream, with
//! a bearer token; and `GET /healthz` without one. It answers `echo: ` and the last message of the user.
//!
//! # Behaviours
//!
//! How it fares is written behind the name of its model, as `echo?start-after-ms=500&unhealthy`. Times count from the start:
//!
//! | flag | what it does |
//! |---|---|
//! | `start-after-ms=N` | until then connections are closed at once, as an engine's proxy does where nobody listens yet |
//! | `healthy-after-ms=N` | `/healthz` is 503 until then |
//! | `unhealthy` | `/healthz` is 503 |
//! | `crash-after-ms=N` | ends then, with 3 |
//! | `flood=N` | logs so many lines at the start |
//! | `flood-bytes-per-s=N` | logs so much, always |
//! | `ignore-term` | does not stop when it is told to |
//! | `stop-after-ms=N` | stops so long after it was told to, and answers until then |
//! | `delay-ms=N` | waits so long between the words of a stream |
//!
//! # Commands
//!
//! These messages are not echoed but done:
//!
//! | message | what it does |
//! |---|---|
//! | `!crash [CODE]` | ends, with 3 or that code, once the head of the answer is sent |
//! | `!flood N` | logs so many lines, then answers |
//! | `!flood-rate BYTES_PER_S SECONDS` | answers, and logs so much for that time |
//! | `!count N` | answers `1 2 3 …`, up to a million |
//! | `!unhealthy`, `!healthy` | decides what `/healthz` says from now on |
//! | `!hang` | never answers |
//! | `!env NAME` | answers a variable of [`Options::environment`], unless the token is in it |
//! | `!clients` | answers how many chats are open besides this one |
//!
//! # Logs
//!
//! What it is told and its token are in none of its lines. A client that goes away before it has its answer is logged as
//! `chat cancelled`.

mod agent;
mod chat;
mod command;
mod flood;
mod http;
mod options;

pub use agent::{Line, serve};
pub use options::{Options, OptionsError};
