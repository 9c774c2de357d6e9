//! `etc/os-release`, which the guard reads on somebody else's root; its name is
//! shown on the console.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nixos_lustrate::engine::osrelease::parse;

fuzz_target!(|content: &[u8]| {
    let found = parse(content);
    assert!(!found.name.is_empty());
    for text in found.id.iter().chain([&found.name]) {
        assert!(!text.is_empty() && !text.chars().any(char::is_control));
    }
});
