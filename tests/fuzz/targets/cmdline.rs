//! The kernel command line, which the boot loader or its user wrote.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nixos_lustrate::stage1::cmdline::{Asked, parse};

fuzz_target!(|line: &[u8]| {
    let found = parse(line);
    let has = |word: &[u8]| line.windows(word.len()).any(|w| w == word) || line.contains(&b'"');
    assert!(has(b"lustrate=") || (found.asked == Asked::Nothing && found.unknown.is_none()));
    assert!(has(b"init=") || found.init.is_none());
    if let Some(value) = found.unknown {
        assert!(!matches!(&value[..], b"off" | b"plan" | b"revert"));
    }
});
