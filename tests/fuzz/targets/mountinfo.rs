//! The mount table: the kernel writes it, but the names in it are anybody's.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nixos_lustrate::fs::mounts::{Table, overlay_redirects};

fuzz_target!(|info: &[u8]| {
    for root in [&b"/sysroot"[..], b"/", b""] {
        let table = Table::new(info, root, Some(26));
        let _ = table.binds();
        let mounts = table.mounts();
        for (at, mount) in mounts.iter().enumerate() {
            assert!(mounts.iter().skip(at + 1).all(|other| other.point != mount.point));
        }
        for name in mounts.iter().flat_map(|m| m.point.names()) {
            assert!(!matches!(name.as_bytes(), b"" | b"." | b".."));
        }
    }
    let _ = overlay_redirects(info, 26);
});
