//! JSON bodies.
#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use protocol::remoting::body::{
    HeartbeatData, SubscriptionGroupConfig, TopicConfig, TopicStatsTable,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn survives<T: Serialize + DeserializeOwned + PartialEq + Debug>(data: &[u8]) {
    if let Ok(value) = serde_json::from_slice::<T>(data) {
        let json = serde_json::to_vec(&value).expect("plain structures");
        assert_eq!(serde_json::from_slice::<T>(&json).expect("ours"), value);
    }
}

fuzz_target!(|data: &[u8]| {
    survives::<HeartbeatData>(data);
    survives::<SubscriptionGroupConfig>(data);
    survives::<TopicConfig>(data);
    if let Ok(table) = TopicStatsTable::decode(data) {
        let again = TopicStatsTable::decode(&table.encode()).expect("ours");
        assert_eq!(again.offset_table, table.offset_table);
    }
});
