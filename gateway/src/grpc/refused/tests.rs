use super::*;
use crate::consume::handle::HandleRefused;
use crate::consume::state::ClaimRefused;
use crate::history::LoadFailed;
use crate::produce::MessageKind;
use metadata::model::TopicKind;
use protocol::stored::StoredError;
use storage::PgId;

fn sent(refused: SendRefused) -> Code {
    code(&refused.into())
}

#[test]
fn sends_are_refused_in_the_codes_of_the_spec() {
    let pg = PgId::new(1).unwrap();
    let conflict = KindRefused::Conflict { expected: TopicKind::Normal, actual: MessageKind::Fifo };
    for (refused, expected) in [
        (SendRefused::NoMessage, Code::MessageCorrupted),
        (SendRefused::Kind(conflict), Code::MessagePropertyConflictWithType),
        (SendRefused::Kind(KindRefused::NotServed(MessageKind::Fifo)), Code::NotImplemented),
        (SendRefused::NoWritableQueue, Code::Forbidden),
        (SendRefused::Full { used: 1, capacity: 1 }, Code::TooManyRequests),
        (SendRefused::IndexFull { used: 1, limit: 1 }, Code::TooManyRequests),
        (SendRefused::DiskFull, Code::TooManyRequests),
        (SendRefused::Busy, Code::TooManyRequests),
        (SendRefused::TooLarge { bytes: 2, limit: 1 }, Code::PayloadTooLarge),
        (SendRefused::Unstorable(StoredError::Magic(0)), Code::PayloadTooLarge),
        (SendRefused::NotServedHere(pg), Code::HaNotAvailable),
        (SendRefused::Moved, Code::HaNotAvailable),
        (SendRefused::OutcomeUnknown, Code::MasterPersistenceTimeout),
    ] {
        assert_eq!(sent(refused.clone()), expected, "{refused:?}");
    }
}

#[test]
fn messages_are_refused_in_the_codes_of_the_spec() {
    let too_large = MessageRefused::PropertiesTooLarge { bytes: 2, limit: 1 };
    for (refused, expected) in [
        (MessageRefused::BodyEmpty, Code::MessageBodyEmpty),
        (MessageRefused::BodyTooLarge(9), Code::MessageBodyTooLarge),
        (MessageRefused::TooManyProperties(9), Code::MessagePropertiesTooLarge),
        (too_large, Code::MessagePropertiesTooLarge),
        (MessageRefused::MessageId, Code::IllegalMessageId),
        (MessageRefused::RecoveryTooLong, Code::BadRequest),
        (MessageRefused::DeliveryTime, Code::IllegalDeliveryTime),
        (MessageRefused::Priority(-1), Code::BadRequest),
        (MessageRefused::Durability, Code::IllegalMessagePropertyKey),
        (MessageRefused::TraceContext, Code::IllegalMessagePropertyKey),
    ] {
        assert_eq!(sent(refused.clone().into()), expected, "{refused:?}");
    }
}

#[test]
fn names_are_refused_in_the_code_of_what_they_name() {
    for (noun, expected) in [
        (Noun::Topic, Code::IllegalTopic),
        (Noun::Group, Code::IllegalConsumerGroup),
        (Noun::Tag, Code::IllegalMessageTag),
        (Noun::Key, Code::IllegalMessageKey),
        (Noun::MessageGroup, Code::IllegalMessageGroup),
        (Noun::LiteTopic, Code::IllegalLiteTopic),
        (Noun::Property, Code::IllegalMessagePropertyKey),
    ] {
        assert_eq!(code(&NameRefused::Blank { noun }.into()), expected, "{noun}");
    }
}

#[test]
fn receives_are_refused_in_the_codes_of_the_spec() {
    for (refused, expected) in [
        (ReceiveRefused::NotServedHere, Code::HaNotAvailable),
        (ReceiveRefused::PollingFull, Code::TooManyRequests),
        (ReceiveRefused::NotLoaded(LoadFailed::Slow), Code::TooManyRequests),
        (ReceiveRefused::Write(WriteRefused::Busy), Code::TooManyRequests),
    ] {
        assert_eq!(code(&Refused::from(refused.clone())), expected, "{refused:?}");
    }
    assert_eq!(ReceiveRefused::PollingFull.to_string(), "polling full");
}

#[test]
fn every_handle_that_decides_nothing_is_an_invalid_receipt_handle() {
    let pg = PgId::new(1).unwrap();
    for (refused, expected) in [
        (HandleRefused::Undecodable.into(), Code::InvalidReceiptHandle),
        (HandleRefused::Version(9).into(), Code::InvalidReceiptHandle),
        (HandleRefused::Foreign.into(), Code::InvalidReceiptHandle),
        (ClaimRefused::Expired.into(), Code::InvalidReceiptHandle),
        (ClaimRefused::Earlier.into(), Code::InvalidReceiptHandle),
        (ClaimRefused::Unknown.into(), Code::InvalidReceiptHandle),
        (ClaimRefused::Acknowledged.into(), Code::InvalidReceiptHandle),
        (ClaimRefused::Reset.into(), Code::InvalidReceiptHandle),
        (AckRefused::NotServedHere(pg), Code::HaNotAvailable),
        (AckRefused::Unreadable, Code::InternalServerError),
        (AckRefused::NotLoaded(LoadFailed::Busy), Code::TooManyRequests),
        (WriteRefused::Full { used: 1, capacity: 1 }.into(), Code::TooManyRequests),
        (WriteRefused::IndexFull { used: 1, limit: 1 }.into(), Code::TooManyRequests),
        (WriteRefused::DiskFull.into(), Code::TooManyRequests),
        (WriteRefused::Moved.into(), Code::HaNotAvailable),
        (WriteRefused::OutcomeUnknown.into(), Code::MasterPersistenceTimeout),
    ] {
        let refused: AckRefused = refused;
        assert_eq!(code(&refused.clone().into()), expected, "{refused:?}");
    }
    assert_eq!(ClaimRefused::Expired.to_string(), "receipt handle is expired");
}

#[test]
fn requests_are_refused_in_the_codes_of_the_spec() {
    let group = || GroupName::parse("g").unwrap();
    let topic = || TopicName::parse("t").unwrap();
    let polling = |old_client| Refused::PollingTime { least: Duration::ZERO, old_client };
    let (least, most, asked) = Default::default();
    for (refused, expected) in [
        (Refused::ClientIdRequired, Code::ClientIdRequired),
        (Refused::UnknownClient, Code::UnrecognizedClientType),
        (Refused::ClientType("X".into()), Code::UnrecognizedClientType),
        (Refused::NothingInSettings, Code::BadRequest),
        (Refused::ClientProperties, Code::InvalidClientProperties),
        (Refused::TopicNotFound(topic()), Code::TopicNotFound),
        (Refused::GroupNotFound(group()), Code::ConsumerGroupNotFound),
        (Refused::GroupUnknownInSettings(group()), Code::IllegalConsumerGroup),
        (Refused::LiteMismatch(group()), Code::IllegalConsumerGroup),
        (Refused::LiteTopicNotBound { bound: "b".into(), asked: topic() }, Code::IllegalTopic),
        (Refused::ConsumeDisabled(group()), Code::Forbidden),
        (Refused::NoReadableQueue, Code::Forbidden),
        (Refused::MixedTopics, Code::MessageCorrupted),
        (polling(true), Code::BadRequest),
        (polling(false), Code::IllegalPollingTime),
        (Refused::InvisibleTime { least, most, asked }, Code::IllegalInvisibleTime),
        (Refused::InvisibleTimeNegative, Code::IllegalInvisibleTime),
        (Refused::Filter(FilterRefused::Sql), Code::IllegalFilterExpression),
        (Refused::Filter(FilterRefused::NoTag), Code::IllegalFilterExpression),
        (Refused::NoEntries, Code::BadRequest),
        (Refused::Register(RegisterRefused::Full), Code::TooManyRequests),
        (Refused::Register(RegisterRefused::TooManyTopics(9)), Code::BadRequest),
    ] {
        assert_eq!(code(&refused), expected, "{refused:?}");
    }
}

#[test]
fn the_texts_that_clients_and_users_know_are_apaches() {
    for (refused, text) in [
        (Refused::ClientIdRequired, "client id cannot be empty"),
        (Refused::UnknownClient, "cannot find client settings for this client"),
        (Refused::NothingInSettings, "there is no publishing or subscription data in settings"),
        (Refused::NoReadableQueue, "no readable queue"),
        (Refused::Send(SendRefused::NoWritableQueue), "no writable queue"),
        (Refused::Send(SendRefused::NoMessage), "no message to send"),
        (Refused::Name(NameRefused::SystemTopic), "cannot access system topic"),
        (Refused::Name(NameRefused::SystemGroup), "cannot use system consumer group"),
    ] {
        assert_eq!(refused.to_string(), text);
    }
}
