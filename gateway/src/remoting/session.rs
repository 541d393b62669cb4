//! The requests of one connection, one after another: which code is served on which port, and by
//! whom.

use super::connection::{self, Answers};
use super::header::Header;
use super::reply::{self, Answer, Refusal};
use super::round::Round;
use super::runtime::{self, Turn};
use super::{client, config, group, member, message, progress, route, table, topic};
use crate::broker::Broker;
use crate::group::ClientId;
use crate::listen::{Connection, ConnectionInfo};
use crate::observe::{Request, names, spans};
use crate::settings::HostPort;
use protocol::remoting::{Frame, RequestCode, ResponseCode};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tracing::Instrument;

/// What a port is to its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Routes and cluster info (9876).
    NameServer,
    /// Everything that a broker answers (10911).
    Broker,
}

/// Answers an accepted connection's requests until it ends or the gateway stops. Dropping the
/// future closes the connection; a request that was being answered may then have been carried out
/// or not.
pub async fn serve_connection(connection: Connection, role: Role, broker: Arc<Broker>) {
    let info = connection.info();
    serve(connection, info, role, &broker).await;
}

/// The same over any stream of bytes.
pub(super) async fn serve<C>(connection: C, info: ConnectionInfo, role: Role, broker: &Broker)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let advertised = broker.settings.advertise.remoting.as_ref();
    let mut session = Session {
        broker,
        role,
        peer: info.peer,
        address: broker_address(advertised, info.local, broker.addresses.broker.port()),
        turn: Turn::default(),
        round: Round::default(),
        clients: BTreeSet::new(),
    };
    let end = connection::run(connection, &broker.stop, &mut session).await;
    connection::log(&end, info.peer, role);
    client::disconnected(&session);
}

/// `HOST:PORT` at which every broker of this gateway answers: what the operator advertises, else
/// the address that the client reached.
fn broker_address(advertised: Option<&HostPort>, local: SocketAddr, broker_port: u16) -> String {
    match advertised {
        Some(HostPort { host, port }) => {
            let port = Some(port.unwrap_or(broker_port));
            HostPort { host: host.clone(), port }.to_string()
        }
        None => SocketAddr::new(local.ip().to_canonical(), broker_port).to_string(),
    }
}

/// What a connection has been about so far.
pub(super) struct Session<'a> {
    pub(super) broker: &'a Broker,
    pub(super) role: Role,
    pub(super) peer: SocketAddr,
    /// `HOST:PORT` of the broker role, as this client should see it.
    pub(super) address: String,
    pub(super) turn: Turn,
    pub(super) round: Round,
    /// Clients that sent a heartbeat here; their registration ends with the connection.
    pub(super) clients: BTreeSet<ClientId>,
}

impl Answers for Session<'_> {
    /// No reply is due to a oneway request, nor to a reply to a question that was never asked.
    async fn answer(&mut self, request: Frame) -> Option<Frame> {
        if request.is_response() {
            tracing::debug!(peer = %self.peer, opaque = request.opaque, "reply to no request");
            return None;
        }
        let begin = self.broker.env.monotonic();
        let what = Request::remoting(RequestCode::name(request.code).unwrap_or(names::OTHER));
        let span = spans::request(&what);
        let answer = match self.role {
            Role::NameServer => span.in_scope(|| self.as_name_server(&request)),
            Role::Broker => self.as_broker(&request).instrument(span.clone()).await,
        };
        let code = answer.as_ref().map_or_else(Refusal::code, |_| ResponseCode::SUCCESS);
        let code = ResponseCode::name(code).unwrap_or(names::OTHER);
        spans::answered(&span, code);
        let took = self.broker.env.monotonic().saturating_sub(begin);
        self.broker.stats.count_request(&what, code, took);
        if let Err(refusal) = &answer {
            let (peer, role, code) = (self.peer, self.role, request.code);
            tracing::debug!(%peer, ?role, code, error = %refusal, "request refused");
        }
        (!request.is_oneway()).then(|| reply::frame(&request, answer))
    }
}

impl Session<'_> {
    fn as_name_server(&self, request: &Frame) -> Answer {
        let header = Header::of(request);
        match request.code {
            RequestCode::GET_ROUTEINFO_BY_TOPIC => route::of_topic(self, header),
            RequestCode::GET_BROKER_CLUSTER_INFO => route::cluster_info(self),
            RequestCode::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => topic::list(self),
            RequestCode::GET_TOPICS_BY_CLUSTER => table::topics_of_cluster(self, header),
            RequestCode::DELETE_TOPIC_IN_NAMESRV => topic::delete_route(header),
            RequestCode::DELETE_KV_CONFIG => topic::delete_pair(header),
            code => Err(Refusal::Unsupported(code)),
        }
    }

    async fn as_broker(&mut self, request: &Frame) -> Answer {
        let header = Header::of(request);
        match request.code {
            RequestCode::UPDATE_AND_CREATE_TOPIC => topic::put(self, header).await,
            RequestCode::DELETE_TOPIC_IN_BROKER => topic::delete(self, header).await,
            RequestCode::GET_TOPIC_CONFIG => topic::config(self, header),
            RequestCode::GET_ALL_TOPIC_CONFIG => table::topics(self, header),
            RequestCode::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => table::system_topics(self),
            RequestCode::GET_TOPIC_STATS_INFO => topic::stats(self, header).await,
            RequestCode::QUERY_TOPIC_CONSUME_BY_WHO => topic::consumers(self, header),
            RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => {
                group::put(self, &request.body).await
            }
            RequestCode::DELETE_SUBSCRIPTIONGROUP => group::delete(self, header).await,
            RequestCode::GET_SUBSCRIPTIONGROUP_CONFIG => group::config(self, header),
            RequestCode::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => table::groups(self, header),
            RequestCode::GET_CONSUMER_CONNECTION_LIST => member::consumers(self, header),
            RequestCode::GET_PRODUCER_CONNECTION_LIST => member::producers(self, header),
            RequestCode::GET_CONSUME_STATS => progress::stats(self, header).await,
            RequestCode::INVOKE_BROKER_TO_RESET_OFFSET => progress::reset(self, request).await,
            RequestCode::VIEW_MESSAGE_BY_ID => message::view(self, header).await,
            RequestCode::QUERY_MESSAGE => message::search(self, request).await,
            RequestCode::GET_BROKER_CONFIG => config::show(self),
            RequestCode::UPDATE_BROKER_CONFIG => config::update(),
            RequestCode::GET_BROKER_RUNTIME_INFO => runtime::info(self),
            RequestCode::HEART_BEAT => client::heartbeat(self, request).await,
            RequestCode::UNREGISTER_CLIENT => client::unregister(self, header),
            code => Err(Refusal::Unsupported(code)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(advertised: Option<&str>, local: &str) -> String {
        let advertised = advertised.map(|text| text.parse().unwrap());
        broker_address(advertised.as_ref(), local.parse().unwrap(), 10911)
    }

    #[test]
    fn brokers_are_where_the_client_reached_the_name_server() {
        assert_eq!(address(None, "10.0.0.7:9876"), "10.0.0.7:10911");
        assert_eq!(address(None, "[::ffff:10.0.0.7]:9876"), "10.0.0.7:10911");
        assert_eq!(address(None, "[2001:db8::1]:9876"), "[2001:db8::1]:10911");
    }

    #[test]
    fn an_advertised_address_wins() {
        assert_eq!(address(Some("mq.example.org"), "10.0.0.7:9876"), "mq.example.org:10911");
        assert_eq!(address(Some("mq.example.org:80"), "10.0.0.7:9876"), "mq.example.org:80");
        assert_eq!(address(Some("2001:db8::1"), "10.0.0.7:9876"), "[2001:db8::1]:10911");
    }
}
