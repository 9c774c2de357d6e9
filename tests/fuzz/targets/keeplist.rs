//! The keep-list: whatever is in it, the paths read from it lead nowhere but
//! below the root (I2).

#![no_main]

use libfuzzer_sys::fuzz_target;
use nixos_lustrate::engine::keeplist;
use nixos_lustrate::fs::name::RelPath;

fn check(path: &RelPath) {
    assert!(!path.names().is_empty());
    for name in path.names() {
        let name = name.as_bytes();
        assert!(!matches!(name, b"" | b"." | b"..") && name.len() <= 255);
        assert!(!name.iter().any(|b| matches!(b, 0 | b'/' | b'\n')));
    }
    assert_eq!(RelPath::parse(&path.to_bytes()).as_ref(), Ok(path));
}

fuzz_target!(|list: &[u8]| {
    match keeplist::parse(list) {
        Ok(paths) => paths.iter().for_each(check),
        Err(why) => assert!(!why.to_string().contains('\n')),
    }
    // The option takes a name with a newline in it; a list cannot have one.
    let line = list.split(|b| *b == b'\n').next().unwrap_or_default();
    let _ = keeplist::parse_path(list);
    if let Ok(path) = keeplist::parse_path(line) {
        check(&path);
        // The same path in both places.
        if !line.trim_ascii().starts_with(b"#") {
            assert_eq!(keeplist::parse(line), Ok(vec![path]));
        }
    }
});
