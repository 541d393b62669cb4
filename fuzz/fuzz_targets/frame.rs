//! Remoting frames: several in one buffer, as a connection reads them.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use protocol::remoting::{FRAME_BYTES_MAX, decode, encode};

fuzz_target!(|data: &[u8]| {
    let mut input = BytesMut::from(data);
    while let Ok(Some(frame)) = decode(&mut input) {
        // A header may grow when it is written in full; it cannot grow without bound from this input.
        let bytes = encode(&frame).expect("what was small enough to read is small enough to write");
        assert!(bytes.len() <= FRAME_BYTES_MAX);
        let again = decode(&mut BytesMut::from(&bytes[..])).expect("ours").expect("whole");
        assert_eq!(again, frame);
    }
});
