//! Errors as HTTP tells them: `application/problem+json` of RFC 9457, with a sentence that helps.

use crate::reply::{Reply, json_reply};
use hyper::StatusCode;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;

/// Methods of everything that can be read.
pub(crate) const READ_METHODS: &str = "GET, HEAD, OPTIONS";

/// A refusal.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: String,
    retry_after_seconds: Option<u64>,
}

impl Problem {
    /// The request is malformed; `detail` says where and what is allowed.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad Request", detail)
    }

    /// There is no such thing; `detail` says where to look.
    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found", detail)
    }

    /// The method does not exist here; the answer names those that do.
    pub(crate) fn method_not_allowed(method: &hyper::Method) -> Self {
        let detail = format!("{} is not possible here; use one of {READ_METHODS}.", shortened(method.as_str()));
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed", detail)
    }

    /// The body is larger than `max` bytes.
    pub(crate) fn too_large(max: usize) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "Payload Too Large", format!("A body may have {max} bytes at most."))
    }

    /// Not now, perhaps in a second.
    pub(crate) fn busy(detail: impl Into<String>) -> Self {
        let retry_after_seconds = Some(1);
        Self { retry_after_seconds, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable", detail) }
    }

    /// Login is needed and not set up.
    pub(crate) fn auth_disabled(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "auth disabled", detail)
    }

    /// A fault of ours; the cause is in the log.
    pub(crate) fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error", detail)
    }

    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self { status, title, detail: detail.into(), retry_after_seconds: None }
    }

    /// The answer to send.
    pub(crate) fn into_reply(self) -> Reply {
        let body =
            Body { r#type: "about:blank", title: self.title, status: self.status.as_u16(), detail: &self.detail };
        let mut reply = json_reply(self.status, &body);
        reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after_seconds {
            reply.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            reply.headers_mut().insert(ALLOW, HeaderValue::from_static(READ_METHODS));
        }
        reply
    }
}

#[derive(Serialize)]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
}

/// Text of a client, short enough to be told back.
pub(crate) fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 128;
    let mut short: String = text.chars().take(CHARACTERS_MAX).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
