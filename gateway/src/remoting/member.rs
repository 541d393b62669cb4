//! Who is connected, as `consumerConnection` and `producerConnection` show it: the clients of this
//! gateway, whichever front they came through.

use super::header::Header;
use super::reply::{Answer, Refusal, Reply};
use super::session::Session;
use crate::group::{ClientId, Kind, Registration, Subscription};
use metadata::model::ConsumeFrom;
use protocol::names::GroupName;
use protocol::remoting::body::{
    Connection, ConsumeType, ConsumerConnection, ExpressionType, ProducerConnection,
    SubscriptionData,
};
use protocol::remoting::{Language, VERSION, version_number};
use protocol::stored::java_hash;

/// GET_CONSUMER_CONNECTION_LIST (203).
pub(super) fn consumers(session: &Session<'_>, header: Header<'_>) -> Answer {
    let broker = session.broker;
    let name = header.text("consumerGroup")?;
    let offline = || Refusal::NotOnline(name.to_owned());
    let group = GroupName::parse(name).map_err(|_| offline())?;
    let members = broker.clients.consumers(&group);
    let (_, first) = members.first().ok_or_else(offline)?;
    let from = broker.catalog.group(name).map(|group| group.consume_from());
    let table = broker.clients.subscriptions(&group);
    let table = table.iter().map(|(topic, subscription)| (topic.to_string(), shown(subscription)));
    Ok(Reply::json(ConsumerConnection {
        connection_set: members.iter().map(connection).collect(),
        consume_from_where: from_where(from.unwrap_or_default()).to_owned(),
        consume_type: consume_type(first.kind),
        subscription_table: table.collect(),
        ..ConsumerConnection::default()
    }))
}

/// GET_PRODUCER_CONNECTION_LIST (204).
pub(super) fn producers(session: &Session<'_>, header: Header<'_>) -> Answer {
    let name = header.text("producerGroup")?;
    let members = session.broker.clients.producers_of_group(name);
    if members.is_empty() {
        return Err(Refusal::NoProducers(name.to_owned()));
    }
    let connection_set = members.iter().map(connection).collect();
    Ok(Reply::json(ProducerConnection { connection_set }))
}

fn connection((id, client): &(ClientId, std::sync::Arc<Registration>)) -> Connection {
    Connection {
        client_addr: client.address.to_string(),
        client_id: id.to_string(),
        language: Language::from_name(&client.language).name().to_owned(),
        version: version(&client.version),
    }
}

/// Remoting clients give a number of `MQVersion`, others words. What is neither counts as this
/// broker's own, as Apache's proxy has it.
fn version(text: &str) -> i32 {
    let number = text.parse().ok().filter(|number: &i32| *number >= 0);
    number.or_else(|| version_number(text)).unwrap_or(VERSION)
}

/// As Apache's proxy names the clients of gRPC.
fn consume_type(kind: Kind) -> ConsumeType {
    match kind {
        Kind::SimpleConsumer | Kind::PullConsumer | Kind::LiteSimpleConsumer => {
            ConsumeType::Actively
        }
        Kind::PushConsumer | Kind::LitePushConsumer | Kind::Producer | Kind::Unknown => {
            ConsumeType::Passively
        }
    }
}

/// A group that decides by itself begins at the first message of a young queue and at the end of
/// an old one, which is what Apache's `CONSUME_FROM_LAST_OFFSET` does.
fn from_where(from: ConsumeFrom) -> &'static str {
    match from {
        ConsumeFrom::Auto | ConsumeFrom::Latest => "CONSUME_FROM_LAST_OFFSET",
        ConsumeFrom::Earliest => "CONSUME_FROM_FIRST_OFFSET",
    }
}

fn shown(subscription: &Subscription) -> SubscriptionData {
    let Subscription { topic, expression, sql } = subscription;
    let tags: Vec<&str> = match (sql, expression.as_str()) {
        (true, _) | (false, "*" | "") => Vec::new(),
        (false, tags) => tags.split("||").map(str::trim).filter(|tag| !tag.is_empty()).collect(),
    };
    SubscriptionData {
        topic: topic.to_string(),
        sub_string: expression.clone(),
        expression_type: if *sql { ExpressionType::Sql92 } else { ExpressionType::Tag },
        code_set: tags.iter().map(|tag| java_hash(tag)).collect(),
        tags_set: tags.into_iter().map(str::to_owned).collect(),
        ..SubscriptionData::default()
    }
}
