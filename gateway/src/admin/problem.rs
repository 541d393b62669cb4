//! Refusals as HTTP answers.

use super::api::ErrorBody;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use metadata::model::AttributeRefused;
use metadata::{Advice, Applied, CatalogError};
use serde::de::DeserializeOwned;

/// Why a request was not carried out. Its status says whose affair it is, its text what to do.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) body: ErrorBody,
}

impl Problem {
    fn new(status: StatusCode, error: impl Into<String>) -> Problem {
        Problem { status, body: ErrorBody { error: error.into(), hint: String::new() } }
    }

    /// The body is not JSON.
    pub(super) fn malformed(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, error)
    }

    /// It does not exist.
    pub(super) fn missing(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, error)
    }

    /// It exists, and this cannot be done to it.
    pub(super) fn method(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::METHOD_NOT_ALLOWED, error)
    }

    /// What exists stands in the way.
    pub(super) fn conflict(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, error)
    }

    /// It is asked for under a name that is not this server's.
    pub(super) fn misdirected(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::MISDIRECTED_REQUEST, error)
    }

    /// What there is is not what the request expects there to be.
    pub(super) fn condition(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PRECONDITION_FAILED, error)
    }

    /// It can never be.
    pub(super) fn invalid(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error)
    }

    /// It may be asked again.
    pub(super) fn unavailable(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, error)
    }

    /// The server is at fault.
    pub(super) fn internal(error: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error)
    }

    /// The same, with what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.body.hint = hint.into();
        self
    }
}

impl From<AttributeRefused> for Problem {
    fn from(refused: AttributeRefused) -> Problem {
        Problem::invalid(refused.to_string())
    }
}

/// The one place where the catalog's refusals become statuses.
impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Problem {
        let text = error.to_string();
        match error {
            CatalogError::TopicExists(_) => Problem::condition(text),
            CatalogError::TopicNotFound(_) | CatalogError::GroupNotFound(_) => {
                Problem::missing(text)
            }
            CatalogError::ImpliedTopic(_) => Problem::conflict(text)
                .hint("a group's %RETRY% and %DLQ% topics come and go with it: see /v1/groups"),
            CatalogError::Shrink { .. } => Problem::conflict(text).hint(
                "messages may be in any queue: ask for at least as many, or make a new topic",
            ),
            CatalogError::LockedUntil { .. } => Problem::conflict(text).hint(
                "nobody can delete it before; without new messages it can be deleted then: PUT it with permission r",
            ),
            CatalogError::NoLocks(_) => Problem::invalid(text).hint(
                "locked topics need a bucket with Object Lock: stratamq store create --object-lock makes one",
            ),
            CatalogError::OriginTooLarge { .. } => Problem::invalid(text)
                .hint("fewer queues with smaller offsets fit; a replay copies messages instead"),
            CatalogError::OriginTooDeep(_) => Problem::invalid(text)
                .hint("clone one of the topics that it was cloned from"),
            CatalogError::SystemTopic(_) | CatalogError::SystemGroup(_) => {
                Problem::invalid(text).hint("choose another name")
            }
            CatalogError::Queues(_)
            | CatalogError::Locked { .. }
            | CatalogError::Attribute(_)
            | CatalogError::MaxAttempts(_) => Problem::invalid(text),
            CatalogError::RetryPolicy(_) => Problem::invalid(text).hint(
                "customized has 1 to 64 delays; exponential has a multiplier of at least 1 and a \
                 maximum not below its initial delay",
            ),
            CatalogError::JobExists(_) => {
                Problem::conflict(text).hint("choose another name; GET /v1/replays lists them")
            }
            CatalogError::JobNotFound(_) => {
                Problem::missing(text).hint("GET /v1/replays lists what there is")
            }
            CatalogError::TooManyJobs => Problem::conflict(text)
                .hint("wait until one is over, or cancel one: DELETE /v1/replays/NAME"),
            CatalogError::TooManyReplayed(_) => Problem::conflict(text)
                .hint("deleting a topic, or the group, makes room; or replay into a topic"),
            CatalogError::Contended(_) => Problem::unavailable(text).hint("ask again"),
            CatalogError::Store(error) => store(&error, text),
        }
    }
}

fn store(error: &metadata::Error, text: String) -> Problem {
    match (error.advice(), error.applied()) {
        (Advice::Retry { .. } | Advice::Refresh, Applied::No) => {
            Problem::unavailable(text).hint("nothing was changed; ask again")
        }
        (Advice::Retry { .. } | Advice::Refresh, Applied::Unknown) => Problem::unavailable(text)
            .hint("it may have been done: look, then ask again; a PUT may be repeated"),
        (Advice::Fix, _) => Problem::invalid(text),
        (Advice::Stop, _) => Problem::internal(text).hint("the gateway's log says more"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// The name in the path, or several, with `%xx` decoded.
pub(super) struct Name<T = String>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Name<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Name<T>, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Name(name)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())
                .hint("a name in a path is UTF-8, with other characters as %xx")),
        }
    }
}

/// What follows the question mark.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params<T>, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(rejection) => Err(Problem::malformed(rejection.body_text())
                .hint("GET /openapi.json says which parameters there are")),
        }
    }
}

/// A request's body, read whatever its content type says; nothing at all means `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        match Bytes::from_request(request, state).await {
            Ok(bytes) => read(&bytes).map(Body),
            Err(rejection) => Err(Problem::new(rejection.status(), rejection.body_text())),
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes).map_err(|error| {
        let text = format!("the body cannot be read: {error}");
        if error.is_data() {
            Problem::invalid(text)
        } else {
            Problem::malformed(text).hint("send a JSON object, such as {\"queues\": 8}")
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::api::TopicPut;

    #[test]
    fn a_body_that_is_no_json_differs_from_one_that_says_nonsense() {
        let status = |text: &'static str| {
            read::<TopicPut>(text.as_bytes()).err().map(|problem| problem.status)
        };
        assert_eq!(status(""), None);
        assert_eq!(status("{}"), None);
        assert_eq!(status("{"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(status("queues=8"), Some(StatusCode::BAD_REQUEST));
        assert_eq!(status(r#"{"queues":"many"}"#), Some(StatusCode::UNPROCESSABLE_ENTITY));
        assert_eq!(status(r#"{"colour":"red"}"#), Some(StatusCode::UNPROCESSABLE_ENTITY));
    }
}
