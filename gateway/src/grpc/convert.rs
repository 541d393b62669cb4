//! Times, names and resources between wire and domain.

use super::refused::Refused;
use prost_types::{Duration as WireDuration, Timestamp as WireTimestamp};
use protocol::grpc::v2::{Endpoints, Resource};
use protocol::names::{GroupName, TopicName};
use std::time::Duration;
use storage::env::Timestamp;

/// The topic that a resource names, if clients may use it (spec B.5, in its order). Namespaces are
/// not part of a name.
pub(super) fn topic(resource: Option<&Resource>, cluster: &str) -> Result<TopicName, Refused> {
    let name = TopicName::parse(resource.map_or("", |resource| resource.name.as_str()))?;
    name.refuse_system(cluster)?;
    Ok(name)
}

/// The consumer group that a resource names, if clients may use it (spec B.5, in its order).
pub(super) fn group(resource: Option<&Resource>) -> Result<GroupName, Refused> {
    let name = GroupName::parse(resource.map_or("", |resource| resource.name.as_str()))?;
    name.refuse_system()?;
    Ok(name)
}

/// `None` where the duration is negative, or no duration at all.
pub(super) fn duration(wire: &WireDuration) -> Option<Duration> {
    Duration::try_from(*wire).ok()
}

/// A duration on the wire; the longest that it can say where ours is longer.
pub(super) fn wire_duration(duration: Duration) -> WireDuration {
    let seconds = i64::try_from(duration.as_secs()).unwrap_or(i64::MAX);
    WireDuration { seconds, nanos: duration.subsec_nanos().cast_signed() }
}

/// Milliseconds since 1970, perhaps negative; saturating.
pub(super) fn millis(wire: &WireTimestamp) -> i64 {
    wire.seconds.saturating_mul(1_000).saturating_add(i64::from(wire.nanos) / 1_000_000)
}

/// A time on the wire from milliseconds since 1970.
pub(super) fn wire_millis(ms: i64) -> WireTimestamp {
    let nanos = i32::try_from(ms.rem_euclid(1_000)).unwrap_or_default() * 1_000_000;
    WireTimestamp { seconds: ms.div_euclid(1_000), nanos }
}

/// A moment on the wire.
pub(super) fn wire_timestamp(at: Timestamp) -> WireTimestamp {
    wire_millis(i64::try_from(at.0).unwrap_or(i64::MAX))
}

/// Whether endpoints say at least one address that can be connected to.
pub(super) fn reachable(endpoints: &Endpoints) -> bool {
    let usable = |host: &str| match host.parse::<std::net::IpAddr>() {
        Ok(ip) => !ip.is_unspecified(),
        Err(_) => !host.is_empty(),
    };
    let addresses = &endpoints.addresses;
    !addresses.is_empty()
        && addresses
            .iter()
            .all(|address| usable(&address.host) && (1..=65_535).contains(&address.port))
}
