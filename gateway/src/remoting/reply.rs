//! Replies, and the one place where a refusal becomes a response code.

use crate::consume::ResetRefused;
use crate::query::{LookRefused, SearchRefused};
use bytes::Bytes;
use metadata::CatalogError;
use metadata::model::AttributeRefused;
use protocol::names::NameRefused;
use protocol::remoting::{self, ExtFields, Frame, FrameError, ResponseCode};

/// What a request comes to.
pub(super) type Answer = Result<Reply, Refusal>;

/// A success.
#[derive(Clone, Debug, Default)]
pub(super) struct Reply {
    pub(super) body: Bytes,
    pub(super) ext: ExtFields,
}

impl Reply {
    /// Done, and nothing more to say.
    pub(super) fn done() -> Reply {
        Reply::default()
    }

    /// Done, with a JSON body.
    pub(super) fn json(body: impl serde::Serialize) -> Reply {
        let body = serde_json::to_vec(&body).expect("a value of strings, numbers and lists");
        Reply::bytes(body)
    }

    /// Done, with this body.
    pub(super) fn bytes(body: impl Into<Bytes>) -> Reply {
        Reply { body: body.into(), ..Reply::default() }
    }

    /// The same with a field in its header.
    pub(super) fn with(mut self, name: &str, value: impl ToString) -> Reply {
        self.ext.set(name, value.to_string());
        self
    }
}

/// Why a request was not carried out. `Display` is the remark that the client shows to its user.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// A code that this port does not serve; Apache's words, with the blank that they begin with.
    #[error(" request type {0} not supported")]
    Unsupported(i32),
    #[error("the custom field <{0}> is null")]
    FieldMissing(&'static str),
    #[error("the custom field <{0}> cannot be read")]
    FieldMalformed(&'static str),
    #[error("the request's body cannot be read: {0}")]
    Body(String),
    #[error("No topic route info in name server for the topic: {0}")]
    NoRoute(String),
    #[error("topic[{0}] not exist")]
    NoTopic(String),
    #[error("{0}")]
    Name(#[from] NameRefused),
    #[error("The topic[{0}] is conflict with system topic.")]
    SystemTopic(String),
    #[error("The specified topic is blank.")]
    TopicBlank,
    /// To who asks for its settings.
    #[error("No group in this broker")]
    NoGroup,
    #[error("the consumer group[{0}] not online")]
    NotOnline(String),
    #[error("the producer group[{0}] not exist")]
    NoProducers(String),
    /// To who moves a group.
    #[error("Topic {0} does not exist")]
    ResetTopic(String),
    /// To who moves a group.
    #[error("Group {0} does not exist")]
    ResetGroup(String),
    #[error("Target offset {offset} not in consume queue range [{first}-{end}]")]
    ResetRange { offset: i64, first: u64, end: u64 },
    #[error("the group was not moved in every queue: {0}; asking again is safe")]
    Reset(#[from] ResetRefused),
    #[error("can not find message by the offset, {0}")]
    NothingAt(i64),
    #[error("can not find message, maybe time range not correct")]
    NothingFound,
    /// Milliseconds since 1970.
    #[error(
        "can not find message, maybe time range not correct: what was stored before {0} was not \
         looked at, ask for it with that as the end"
    )]
    NothingFoundSince(u64),
    #[error(transparent)]
    Look(#[from] LookRefused),
    #[error(transparent)]
    Search(#[from] SearchRefused),
    #[error(
        "a broker's settings are fixed at its start: start it anew with the flag that `stratamq \
         serve --help` tells (`stratamq config show` tells what it runs with); what topics and \
         groups have of their own is changed with updateTopic and updateSubGroup"
    )]
    FixedSettings,
    #[error("{0}")]
    Parameter(String),
    #[error("unsupported key: {0}")]
    AttributeUnknown(String),
    #[error("{0}")]
    Busy(String),
    #[error("{0}")]
    Catalog(CatalogError),
}

impl From<CatalogError> for Refusal {
    /// Some refusals have words of Apache's that scripts look for.
    fn from(error: CatalogError) -> Refusal {
        if let CatalogError::SystemTopic(name) = &error {
            return Refusal::SystemTopic(name.as_str().to_owned());
        }
        if let CatalogError::Attribute(AttributeRefused::Unknown(key)) = &error {
            return Refusal::AttributeUnknown(key.clone());
        }
        Refusal::Catalog(error)
    }
}

impl From<AttributeRefused> for Refusal {
    fn from(refused: AttributeRefused) -> Refusal {
        Refusal::from(CatalogError::from(refused))
    }
}

impl Refusal {
    /// The response code (spec C.2), as `AdminBrokerProcessor` and `DefaultRequestProcessor` of
    /// Apache 5.5.0 choose it.
    pub(super) fn code(&self) -> i32 {
        match self {
            Refusal::Unsupported(_) => ResponseCode::REQUEST_CODE_NOT_SUPPORTED,
            // Exceptions of header and body decoding, and of `AttributeUtil`.
            Refusal::FieldMissing(_)
            | Refusal::FieldMalformed(_)
            | Refusal::Body(_)
            | Refusal::AttributeUnknown(_)
            | Refusal::NoProducers(_)
            | Refusal::ResetRange { .. }
            | Refusal::NothingAt(_)
            | Refusal::Look(_)
            | Refusal::Search(SearchRefused::Look(_) | SearchRefused::Broke(_)) => {
                ResponseCode::SYSTEM_ERROR
            }
            Refusal::NothingFound | Refusal::NothingFoundSince(_) => ResponseCode::QUERY_NOT_FOUND,
            // What Apache answers for settings that must not be changed.
            Refusal::FixedSettings => ResponseCode::NO_PERMISSION,
            Refusal::NoRoute(_) | Refusal::NoTopic(_) | Refusal::ResetTopic(_) => {
                ResponseCode::TOPIC_NOT_EXIST
            }
            Refusal::Name(_)
            | Refusal::SystemTopic(_)
            | Refusal::TopicBlank
            | Refusal::Parameter(_) => ResponseCode::INVALID_PARAMETER,
            Refusal::NoGroup | Refusal::ResetGroup(_) => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
            Refusal::NotOnline(_) => ResponseCode::CONSUMER_NOT_ONLINE,
            Refusal::Busy(_) | Refusal::Reset(_) | Refusal::Search(SearchRefused::Busy) => {
                ResponseCode::SYSTEM_BUSY
            }
            Refusal::Catalog(error) => catalog_code(error),
        }
    }
}

fn catalog_code(error: &CatalogError) -> i32 {
    match error {
        CatalogError::TopicExists(_) => ResponseCode::TOPIC_EXIST_ALREADY,
        CatalogError::TopicNotFound(_) => ResponseCode::TOPIC_NOT_EXIST,
        CatalogError::GroupNotFound(_) => ResponseCode::SUBSCRIPTION_GROUP_NOT_EXIST,
        CatalogError::SystemTopic(_)
        | CatalogError::ImpliedTopic(_)
        | CatalogError::SystemGroup(_)
        | CatalogError::Queues(_)
        | CatalogError::Shrink { .. }
        | CatalogError::Locked { .. }
        | CatalogError::LockedUntil { .. }
        | CatalogError::NoLocks(_)
        | CatalogError::OriginTooLarge { .. }
        | CatalogError::OriginTooDeep(_)
        | CatalogError::RetryPolicy(_)
        | CatalogError::MaxAttempts(_)
        | CatalogError::JobExists(_)
        | CatalogError::JobNotFound(_)
        | CatalogError::TooManyJobs
        | CatalogError::TooManyReplayed(_) => ResponseCode::INVALID_PARAMETER,
        CatalogError::Contended(_) => ResponseCode::SYSTEM_BUSY,
        CatalogError::Attribute(_) | CatalogError::Store(_) => ResponseCode::SYSTEM_ERROR,
    }
}

/// The reply frame to `request`.
pub(super) fn frame(request: &Frame, answer: Answer) -> Frame {
    match answer {
        Ok(Reply { body, ext }) => {
            Frame { body, ext, ..Frame::reply_to(request, ResponseCode::SUCCESS) }
        }
        Err(refusal) => {
            Frame { remark: Some(refusal.to_string()), ..Frame::reply_to(request, refusal.code()) }
        }
    }
}

/// A reply's bytes. One that would be larger than a client takes becomes a refusal that says so.
pub(super) fn encode(reply: &Frame) -> Result<Bytes, FrameError> {
    remoting::encode(reply).or_else(|error| {
        let refusal = Frame {
            code: ResponseCode::SYSTEM_ERROR,
            remark: Some(format!("the answer cannot be sent: {error}")),
            body: Bytes::new(),
            ..reply.clone()
        };
        remoting::encode(&refusal)
    })
}
