//! What the bucket holds: the parts of objects and of manifests, and their names.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    storage::format::object::read_everything(data);
    storage::tier::manifest::read_everything(data);
    storage::tier::proof::read_everything(data);
    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(name) = text.parse::<storage::tier::ObjectName>()
    {
        assert_eq!(name.to_string(), text);
    }
});
