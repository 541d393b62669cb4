//! Property strings, as clients send them and as messages hold them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::stored::Properties;

fuzz_target!(|text: &str| {
    let read = Properties::decode(text);
    let written = read.encode();
    assert_eq!(written.len(), read.encoded_len());
    assert_eq!(Properties::decode(&written), read);

    // Setting arbitrary text never makes more than one property.
    let mut one = Properties::new();
    one.set(text.to_owned(), text);
    assert!(Properties::decode(&one.encode()).len() <= 1);
});
