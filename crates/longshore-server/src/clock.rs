//! The time, as answers have it.

use std::time::SystemTime;

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A moment as RFC 3339 has it.
pub(crate) fn text(at: SystemTime) -> String {
    OffsetDateTime::from(at).format(&Rfc3339).unwrap_or_default()
}

/// Now.
pub(crate) fn now() -> String {
    text(SystemTime::now())
}
