//! gRPC messages that a server reads.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use prost::Message;
use protocol::grpc::v2;

fn survives<M: Message + Default>(data: &Bytes) {
    if let Ok(message) = M::decode(data.clone()) {
        let bytes = message.encode_to_vec();
        let again = M::decode(&bytes[..]).expect("ours");
        // Compared as bytes: a number that is not one is not equal to itself.
        assert_eq!(again.encode_to_vec(), bytes);
    }
}

fuzz_target!(|data: &[u8]| {
    let data = Bytes::copy_from_slice(data);
    survives::<v2::SendMessageRequest>(&data);
    survives::<v2::ReceiveMessageRequest>(&data);
    survives::<v2::AckMessageRequest>(&data);
    survives::<v2::TelemetryCommand>(&data);
});
