//! Who calls, from where, and for how long they wait: what a request says beside its message (spec
//! B.1).

use super::refused::Refused;
use crate::group::ClientId;
use crate::listen::ConnectionInfo;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tonic::Request;
use tonic::metadata::MetadataMap;

const CLIENT_ID: &str = "x-mq-client-id";
const LANGUAGE: &str = "x-mq-language";
const VERSION: &str = "x-mq-client-version";
/// The deadline as gRPC sends it: at most eight digits and a unit.
const TIMEOUT: &str = "grpc-timeout";

/// The version from which clients know ILLEGAL_POLLING_TIME, compared as text as Apache does (spec
/// B.1).
const KNOWS_POLLING_TIME: &str = "5.0.3";

/// The client's name for itself: the first check of every RPC (spec B.0).
pub(super) fn client<T>(request: &Request<T>) -> Result<ClientId, Refused> {
    text(request.metadata(), CLIENT_ID).and_then(ClientId::parse).ok_or(Refused::ClientIdRequired)
}

/// Its language, in whatever words; empty when it does not say.
pub(super) fn language<T>(request: &Request<T>) -> String {
    text(request.metadata(), LANGUAGE).unwrap_or_default().to_owned()
}

/// Its version; empty when it does not say.
pub(super) fn version<T>(request: &Request<T>) -> String {
    text(request.metadata(), VERSION).unwrap_or_default().to_owned()
}

/// Whether it is from before ILLEGAL_POLLING_TIME.
pub(super) fn is_old<T>(request: &Request<T>) -> bool {
    text(request.metadata(), VERSION).unwrap_or_default() < KNOWS_POLLING_TIME
}

/// How long it waits for the answer; `None` when it does not say, or not in gRPC's form.
pub(super) fn deadline<T>(request: &Request<T>) -> Option<Duration> {
    timeout(text(request.metadata(), TIMEOUT)?)
}

/// The connection's two ends. In-process callers have none and count as local.
pub(super) fn connection<T>(request: &Request<T>) -> ConnectionInfo {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let inside = ConnectionInfo { peer: nowhere, local: nowhere, tls: false };
    request.extensions().get::<ConnectionInfo>().copied().unwrap_or(inside)
}

fn text<'a>(metadata: &'a MetadataMap, key: &str) -> Option<&'a str> {
    metadata.get(key)?.to_str().ok()
}

fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 3_600)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_read_in_every_unit_of_grpc() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3_600))),
            ("2M", Some(Duration::from_secs(120))),
            ("3S", Some(Duration::from_secs(3))),
            ("20000m", Some(Duration::from_secs(20))),
            ("99999999u", Some(Duration::from_micros(99_999_999))),
            ("5n", Some(Duration::from_nanos(5))),
            ("", None),
            ("S", None),
            ("123456789S", None),
            ("-1S", None),
            ("1.5S", None),
            ("5s", None),
            ("5é", None),
        ] {
            assert_eq!(timeout(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_client_must_say_who_it_is() {
        let mut request = Request::new(());
        assert!(matches!(client(&request), Err(Refused::ClientIdRequired)));
        request.metadata_mut().insert(CLIENT_ID, "  ".parse().unwrap());
        assert!(matches!(client(&request), Err(Refused::ClientIdRequired)));
        request.metadata_mut().insert(CLIENT_ID, "host@1@0@x".parse().unwrap());
        assert_eq!(client(&request).unwrap().as_str(), "host@1@0@x");
    }

    #[test]
    fn old_clients_are_told_by_comparing_versions_as_text() {
        for (version, old) in [("5.0.2", true), ("5.0.3", false), ("5.2.0", false), ("", true)] {
            let mut request = Request::new(());
            request.metadata_mut().insert(VERSION, version.parse().unwrap());
            assert_eq!(is_old(&request), old, "{version}");
        }
    }
}
