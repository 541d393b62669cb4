//! Stored messages and client batches.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::stored::{decode, decode_batch, decode_next, encode_batch};

fuzz_target!(|data: &[u8]| {
    let whole = Bytes::copy_from_slice(data);
    let mut run = whole.clone();
    while let Ok(Some(message)) = decode_next(&mut run) {
        // Properties may be one byte longer when written: the last separator may have been missing.
        if let Ok(encoded) = message.encode() {
            assert_eq!(decode(encoded.to_bytes()).expect("ours"), message);
        }
    }
    if let Ok(parts) = decode_batch(whole)
        && let Ok(bytes) = encode_batch(&parts)
    {
        assert_eq!(decode_batch(bytes).expect("ours"), parts);
    }
});
