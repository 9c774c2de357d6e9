//! Texts that earlier versions wrote, byte for byte, each with every field: an old
//! root is revertible for ever, so whatever comes later reads them, and takes them
//! for what they meant. Add a set when the format changes; change none.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use nixos_lustrate::engine::intent::{Direction, Flagged, Intent, Pin, parse};
use nixos_lustrate::engine::time::Timestamp;
use nixos_lustrate::fs::name::{Name, RelPath};

const V1_INTENT_LUSTRATE: &[u8] = include_bytes!("fixtures/v1-intent-lustrate");
const V1_INTENT_REVERT: &[u8] = include_bytes!("fixtures/v1-intent-revert");
const V1_RECORD_LUSTRATED: &[u8] = include_bytes!("fixtures/v1-record-lustrated");
const V1_RECORD_REVERTED: &[u8] = include_bytes!("fixtures/v1-record-reverted");

fn name(bytes: &[u8]) -> Name {
    Name::new(bytes).unwrap()
}

fn path(bytes: &[u8]) -> RelPath {
    RelPath::parse(bytes).unwrap()
}

/// What the texts of version 1 say.
fn version_1(direction: Direction) -> Intent {
    Intent {
        tool: "0.1.0".to_owned(),
        direction,
        started: Timestamp(1_700_000_000),
        boot_id: "6f1c2f0e-58c6-4e2b-9d1c-2f3b1a0d9e77".to_owned(),
        anchor: 1234,
        etc: Some(17),
        boot_bak: Some(18),
        rotated: Some(name(b"old-root-20231114T221319Z")),
        pinned: vec![
            (name(b"boot"), Pin::Protected),
            (name(b"data"), Pin::Mount),
            (name(b"home"), Pin::Kept),
            (name(b"nix"), Pin::Protected),
            (name(b"snap"), Pin::ReadOnly),
        ],
        keepers: vec![path(b"etc/ssh/key"), path(b"root/.ssh"), path(b"var/lib/a b\\\xff\n")],
        links: vec![path(b"srv"), path(b"var/www")],
        flags: vec![
            Flagged { path: None, inode: 2, flags: 0x10 },
            Flagged { path: Some(path(b"var/lib")), inode: 99, flags: 0x2000_0020 },
        ],
        copies: vec![name(b"usr")],
        old: [&b" odd\xfe"[..], b"boot.bak", b"etc", b"root", b"usr", b"var"].map(name).to_vec(),
        older: None,
        warnings: vec![
            "'x' is in the keep-list but not there".to_owned(),
            "gr\u{fc}n\nzwei".to_owned(),
        ],
        finished: None,
        ..Intent::default()
    }
}

#[test]
fn an_intent_of_version_1_is_followed() {
    assert_eq!(parse(V1_INTENT_LUSTRATE), Ok(version_1(Direction::Lustrate)));
    assert_eq!(parse(V1_INTENT_REVERT), Ok(version_1(Direction::Revert)));
}

#[test]
fn a_record_of_version_1_is_followed() {
    let finished = Some(Timestamp(1_700_000_060));
    let lustrated = Intent { finished, ..version_1(Direction::Lustrate) };
    assert_eq!(parse(V1_RECORD_LUSTRATED), Ok(lustrated));
    let older = Some((55, Timestamp(1_600_000_000)));
    let reverted = Intent { finished, older, ..version_1(Direction::Revert) };
    assert_eq!(parse(V1_RECORD_REVERTED), Ok(reverted));
}

/// What was read is written in the newest version, and means the same.
#[test]
fn what_version_1_said_is_not_lost_when_it_is_written_again() {
    for text in [V1_INTENT_LUSTRATE, V1_INTENT_REVERT, V1_RECORD_LUSTRATED, V1_RECORD_REVERTED] {
        let read = parse(text).unwrap();
        assert_eq!(parse(&read.to_text()), Ok(read));
    }
}
