//! What the journal has on disk: headers, records, the store's own records.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| storage::format::read_everything(data));
