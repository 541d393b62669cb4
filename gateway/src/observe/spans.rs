//! The spans of traces and their fields. One span is open for each request, at the boundary.
//!
//! Spans are of level debug and of the target [`TARGET`], so that the log, which is at info, does
//! not pay for them: a span that nobody asked for costs a look at a flag. Who wants traces asks for
//! the target, and samples.

use super::Request;
use tracing::Span;
use tracing::field::Empty;

/// The target of all spans.
pub const TARGET: &str = "stratamq::request";

/// The span of a request, for as long as it is answered.
pub fn request(request: &Request) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "request",
        otel.name = request.code,
        otel.kind = "server",
        rpc.system = request.protocol.as_str(),
        rpc.method = request.code,
        topic = Empty,
        consumer_group = Empty,
        response_code = Empty,
    )
}

/// Says in the current request's span whom it is about.
pub fn about(topic: &str, group: Option<&str>) {
    let span = Span::current();
    if !span.is_disabled() {
        span.record("topic", topic);
        if let Some(group) = group {
            span.record("consumer_group", group);
        }
    }
}

/// Says in a request's span what came of it.
pub fn answered(span: &Span, response: &str) {
    if !span.is_disabled() {
        span.record("response_code", response);
    }
}
