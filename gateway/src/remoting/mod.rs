//! The Remoting front: frames of classic clients and of `mqadmin`, on the NameServer port and on
//! the broker port.
//!
//! ```text
//! bytes ─► connection ─► frame ─► session ─► route | topic | group | member | ... ─► reply
//! ```
//!
//! What always holds: a connection's requests are answered in the order they came, each in the
//! header encoding it came in and under its own opaque number; nothing is read while a request is
//! being answered, so a connection holds one frame and its replies; a oneway request gets no reply;
//! a code that a port does not serve gets Apache's refusal; a frame that cannot be read ends the
//! connection. What is deliberately not here: sockets and TLS (`listen`), and every rule about
//! topics, groups and queues (the features).
//!
//! # One address, many brokers
//!
//! Each placement group is a broker to clients (`strata-0000`, ...), and all brokers of a gateway
//! answer at one address. Requests of `mqadmin` 5.5.0 do not say which broker they mean, so each
//! answer is chosen such that its sums come out right:
//!
//! - 106, 105 (cluster, routes) are taken as they are: every broker by its own name, all at this
//!   address.
//! - 17, 200, 215, 207 (`updateTopic -c`, `updateSubGroup -c`, `deleteTopic`, `deleteSubGroup -c`)
//!   come once per distinct address: they are about the whole topic or group; `-r` and `-w` are
//!   totals, and asking again changes nothing.
//! - 21, 201, 305 (`exportMetadata -c`) come once per distinct address, 352 as often as somebody
//!   likes: each answer has the settings of every topic or group, with totals as 17 takes them.
//! - 202 (`topicStatus`) comes once per broker of the route, and rows are merged by topic, broker
//!   and queue: each answer has the rows of every broker here, so that merging keeps one of each.
//! - 351 (`topicStatus` again) comes once per broker of the route, and only static mappings are
//!   looked at: the answer is about the whole topic, with totals as 17 takes them.
//! - 300 (`topicList -c`) comes once, to the first broker of the route: the answer has all groups
//!   of the topic.
//! - 203, 204 (`consumerConnection`, `producerConnection`) come once, to any broker: the answer has
//!   every client of the gateway.
//! - 208 (`consumerProgress`) comes once per broker of the retry topic's route. Rows are merged by
//!   topic, broker and queue, so each answer has those of every broker here; rates are added, so
//!   each has an equal share of the group's.
//! - 222 (`resetOffsetByTime`) comes once per broker of the topic's route: the first of such a round
//!   moves the group in every queue, the others are answered the same and move nothing, see
//!   `round`.
//! - 33 (`queryMsgById`) comes once, to the address in the id: positions of different brokers
//!   differ.
//! - 12 (`queryMsgByKey`) comes once per broker of the topic's route, and all that is answered is
//!   listed: the first of such a round has what is in every broker here, the others find nothing.
//! - 26 (`getBrokerConfig -c`) comes once per distinct address: the answer is about the gateway.
//! - 28 (`clusterList`) comes once per broker, by name, one after another on one connection, and
//!   people and exporters add the rows up: each answer has the next broker's own numbers, see
//!   `runtime`.
mod client;
mod config;
mod connection;
mod group;
mod header;
mod member;
mod message;
mod progress;
mod reply;
mod round;
mod route;
mod runtime;
mod session;
mod system;
mod table;
mod topic;
mod view;

pub use connection::{IDLE_MAX, WRITE_TIME_MAX};
pub use session::{Role, serve_connection};
