//! What went wrong, as RFC 9457 says it: one shape for every error this server answers with.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{AppError, Failure};

/// When a caller is told to come back, in seconds, where nothing better is known.
const RETRY_AFTER: u32 = 5;

/// A problem document.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is. `about:blank`: the status says it all.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: String,
    /// The HTTP status.
    #[schema(value_type = u16, example = 404)]
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    /// What happened and what to do.
    detail: String,
    /// What is wrong with the request, one by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    #[serde(skip)]
    retry_after: Option<u32>,
    #[serde(skip)]
    challenge: Option<&'static str>,
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// Where, as a JSON pointer (RFC 6901) into the body, or the name of a parameter.
    #[schema(example = "/name")]
    pub pointer: String,
    /// What is wrong, and what would do.
    pub detail: String,
}

impl Problem {
    /// A problem in a sentence a person can act on.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after: None,
            challenge: None,
        }
    }

    /// The request was understood and does not hold.
    pub fn invalid(errors: Vec<Fault>) -> Self {
        let detail = "the request does not hold; see errors";
        Self {
            errors,
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
        }
    }

    /// One thing does not hold.
    pub fn fault(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::invalid(vec![Fault {
            pointer: pointer.into(),
            detail: detail.into(),
        }])
    }

    /// There is no such thing.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{what} not found"))
    }

    /// Says how to authenticate.
    #[must_use]
    pub fn challenge(mut self, scheme: &'static str) -> Self {
        self.challenge = Some(scheme);
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after = Some(seconds);
        self
    }
}

impl From<AppError> for Problem {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(what) => Self::not_found(what),
            AppError::Conflict(why) => Self::new(StatusCode::CONFLICT, why.to_string()),
            AppError::Offline => Self::new(
                StatusCode::CONFLICT,
                "the station's charger is not connected; send the command when it is",
            ),
            AppError::Disabled(detail) => Self::new(StatusCode::FORBIDDEN, detail),
            AppError::Forgotten(detail) => Self::new(StatusCode::GONE, detail),
            // Said of chargers' connections, which are answered by being closed.
            AppError::Superseded => Self::new(StatusCode::CONFLICT, error.to_string()),
            AppError::Unreachable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the charger is connected to another node, which cannot be reached now; try again \
                 soon, or at that node",
            )
            .retry_after(RETRY_AFTER),
            AppError::PreconditionFailed => Self::new(
                StatusCode::PRECONDITION_FAILED,
                "the resource changed since it was read; read it again and repeat the change",
            ),
            AppError::Unprocessable(why) => Self::fault(why.pointer(), why.to_string()),
            AppError::Busy => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too much is waiting; try again soon",
            )
            .retry_after(1),
            AppError::Unavailable => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database does not answer; try again soon",
            )
            .retry_after(RETRY_AFTER),
            AppError::InDoubt => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "the database went away in the middle, so this may have been done or not; look \
                 before you repeat it, or repeat it with the same Idempotency-Key",
            )
            .retry_after(RETRY_AFTER),
            AppError::Analysis(failure) => of_analysis(&failure),
            // The one place where it is handled, so the one place where it is logged. The caller
            // gets the request id with it, and none of the inner text.
            AppError::Internal(inner) => {
                tracing::error!(error = inner, "request failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the server failed; its log has the reason under this answer's x-request-id",
                )
            }
        }
    }
}

/// What the language model did wrong: a fault of what stands behind this server, never of the
/// caller.
fn of_analysis(failure: &Failure) -> Problem {
    tracing::warn!(%failure, "no analysis");
    if let Some(after) = failure.retry_after() {
        let detail = format!("{failure}; try again later");
        // At least the second that was begun.
        let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        let seconds = u32::try_from(seconds).unwrap_or(u32::MAX).max(1);
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).retry_after(seconds);
    }
    match failure {
        Failure::TimedOut => {
            let detail = format!("{failure}; try again later");
            Problem::new(StatusCode::GATEWAY_TIMEOUT, detail)
        }
        _ => Problem::new(
            StatusCode::BAD_GATEWAY,
            format!("Analysis failed: {failure}"),
        ),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        let headers = response.headers_mut();
        let kind = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, kind);
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(scheme) = self.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
        }
        response
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_u16(status.as_u16())
}
