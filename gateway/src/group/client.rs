//! What a client says about itself.

use protocol::names::{GroupName, TopicName};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

/// The door that a client came through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Front {
    /// `apache.rocketmq.v2`.
    Grpc,
    /// Classic Remoting.
    Remoting,
}

/// What a client is (proto `ClientType`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Sends.
    Producer,
    /// Receives through callbacks; the gateway renews what it holds.
    PushConsumer,
    /// Receives by asking.
    SimpleConsumer,
    /// Pulls by offset.
    PullConsumer,
    /// A push consumer of lite topics.
    LitePushConsumer,
    /// A simple consumer of lite topics.
    LiteSimpleConsumer,
    /// It did not say, or in a word that is not known here.
    Unknown,
}

/// One thing that a client does. A gRPC client does one, a Remoting client any number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// It may send to `topics` (none when it has not said which). `group` is Remoting's producer
    /// group.
    Producer {
        /// The producer group, which only Remoting has.
        group: Option<GroupName>,
        /// May be empty.
        topics: BTreeSet<TopicName>,
    },
    /// It consumes.
    Consumer(Consumer),
}

/// A client's membership of a consumer group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumer {
    /// The group.
    pub group: GroupName,
    /// What it asked for, in the client's order; may be empty (a consumer that names its topic with
    /// each receive).
    pub subscriptions: Vec<Subscription>,
}

/// A topic and the filter on it, as the client wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The topic.
    pub topic: TopicName,
    /// The filter's text; `*` for everything.
    pub expression: String,
    /// Whether `expression` is SQL92 rather than tags.
    pub sql: bool,
}

/// All that a client says about itself at once; a later one takes the place of an earlier one.
#[derive(Clone, Debug)]
pub struct Registration {
    /// The door.
    pub front: Front,
    /// What it calls itself.
    pub kind: Kind,
    /// What it does.
    pub roles: Vec<Role>,
    /// Where it is, as seen from here.
    pub address: SocketAddr,
    /// Its language as Remoting names languages (`JAVA`, `GO`, ...), or whatever it sent.
    pub language: String,
    /// Its version as it sent it; may be empty.
    pub version: String,
    /// How long it waits for an answer; bounds long polls of old clients (spec B.9).
    pub request_timeout: Duration,
}

impl Registration {
    /// The memberships among its roles.
    pub fn consumers(&self) -> impl Iterator<Item = &Consumer> {
        self.roles.iter().filter_map(|role| match role {
            Role::Consumer(consumer) => Some(consumer),
            Role::Producer { .. } => None,
        })
    }

    /// The topics among its roles that it may send to.
    pub fn publishes(&self) -> impl Iterator<Item = &TopicName> {
        self.roles.iter().flat_map(|role| match role {
            Role::Producer { topics, .. } => topics.iter(),
            Role::Consumer(_) => Default::default(),
        })
    }

    /// Whether it is a producer of the group of this name, or of the topic where it has no group.
    pub(super) fn produces_in(&self, name: &str) -> bool {
        self.roles.iter().any(|role| match role {
            Role::Producer { group: Some(group), .. } => group.as_str() == name,
            Role::Producer { group: None, topics } => {
                topics.iter().any(|topic| topic.as_str() == name)
            }
            Role::Consumer(_) => false,
        })
    }
}
