//! Names, ids and hashes from arbitrary text.
#![no_main]

use std::num::NonZeroUsize;

use libfuzzer_sys::fuzz_target;
use protocol::names::{
    GroupName, LiteTopic, MessageGroup, MessageKey, Tag, TopicName, check_user_property,
};
use protocol::stored::{
    ClassicId, GrpcId, java_hash, offset_message_id, ordered_queue, parse_offset_message_id,
};

fuzz_target!(|text: &str| {
    if let Ok(topic) = TopicName::parse(text) {
        assert_eq!(topic.as_str(), text);
        assert_eq!(TopicName::parse_stored(text), Ok(topic.clone()));
        let implied = topic.as_retry().map(|group| TopicName::retry_of(&group));
        let implied = implied.or(topic.as_dead_letter().map(|g| TopicName::dead_letter_of(&g)));
        assert!(implied.is_none_or(|implied| implied == topic));
        let _ = (topic.is_system("DefaultCluster"), topic.is_sendable());
    }
    if let Ok(group) = GroupName::parse(text) {
        assert_eq!(TopicName::retry_of(&group).as_retry(), Some(group));
    }
    let _ = (Tag::parse(text), MessageKey::parse(text), MessageGroup::parse(text));
    let _ = (LiteTopic::parse(text), check_user_property(text, text), java_hash(text));
    assert!(ordered_queue(text, NonZeroUsize::new(7).expect("seven")) < 7);

    let upper = text.to_ascii_uppercase();
    if let Some((host, offset)) = parse_offset_message_id(text) {
        assert_eq!(offset_message_id(host, offset), upper);
    }
    assert!(GrpcId::parse(text).is_none_or(|id| id.to_string() == upper));
    assert!(ClassicId::parse(text).is_none_or(|id| id.to_string() == upper));
});
