//! Heartbeat and NotifyClientTermination (spec B.4): a client lives, a client goes.

use super::convert;
use super::refused::Refused;
use crate::group::{ClientId, Clients, Kind};
use protocol::grpc::v2::Resource;

/// What both RPCs check: the client is known, its kind is, and a consumer names its group. The kind
/// is the one of its settings, whatever the request says.
fn check(clients: &Clients, client: &ClientId, group: Option<&Resource>) -> Result<(), Refused> {
    let known = clients.get(client).ok_or(Refused::UnknownClient)?;
    match known.kind {
        Kind::Producer => Ok(()),
        Kind::PushConsumer
        | Kind::SimpleConsumer
        | Kind::PullConsumer
        | Kind::LitePushConsumer
        | Kind::LiteSimpleConsumer => convert::group(group).map(drop),
        Kind::Unknown => Err(Refused::ClientType("CLIENT_TYPE_UNSPECIFIED".to_owned())),
    }
}

/// Takes a sign of life.
///
/// # Errors
/// When the client must send its settings first, or its group is illegal.
pub(super) fn heartbeat(
    clients: &Clients,
    client: &ClientId,
    group: Option<&Resource>,
) -> Result<(), Refused> {
    check(clients, client, group)?;
    if clients.heartbeat(client) { Ok(()) } else { Err(Refused::UnknownClient) }
}

/// Forgets a client that says goodbye.
///
/// # Errors
/// As [`heartbeat`].
pub(super) fn goodbye(
    clients: &Clients,
    client: &ClientId,
    group: Option<&Resource>,
) -> Result<(), Refused> {
    check(clients, client, group)?;
    clients.terminate(client).map(drop).ok_or(Refused::UnknownClient)
}
