//! The harness itself: what other tests rest on.

use std::fs;

use super::scheduled;
use crate::lab::boot::Boot;
use crate::lab::disk::{discard, scratch};
use crate::lab::drive::Path;
use crate::lab::stage1::Kind;

const MAGIC: u64 = 0x006a_7366_7773_6872;

#[test]
fn a_logged_disk_has_every_write_in_the_log() {
    let disk = scheduled();
    let log = scratch().join(format!("{}.log", std::process::id()));
    fs::write(&log, "").expect("an empty log");
    Boot::plain(Kind::Busybox, &disk).through(Path::Logged(log.clone())).run().sound();
    let bytes = fs::read(&log).expect("the log");
    let field = |at: usize| bytes.get(at..at + 8).and_then(|field| field.try_into().ok());
    let number = |at| u64::from_le_bytes(field(at).expect("a superblock"));
    assert_eq!(number(0), MAGIC, "not a log of dm-log-writes");
    assert!(number(16) > 50, "only {} entries", number(16));
    discard(&log);
}
