//! The intent and the record: what is read is what would be written, so that
//! no text has two meanings; nothing reserved moves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nixos_lustrate::engine::names::is_reserved;
use nixos_lustrate::engine::intent::{Intent, parse};

fn check(text: &[u8]) {
    let Ok(intent) = parse(text) else { return };
    assert!(!intent.old.iter().any(is_reserved));
    let written: Intent = intent;
    assert_eq!(parse(&written.to_text()), Ok(written));
}

/// The same lines with a head and an end that fit: a mutation of a line alone
/// would always fail at the count in the last one.
fn framed(lines: &[u8]) -> Vec<u8> {
    let mut text = b"nixos-lustrate-intent 1\n".to_vec();
    text.extend_from_slice(lines);
    if !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    let count = text.split(|b| *b == b'\n').count() - 1;
    text.extend_from_slice(format!("end {count}\n").as_bytes());
    text
}

fuzz_target!(|text: &[u8]| {
    check(text);
    check(&framed(text));
});
