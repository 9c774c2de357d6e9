//! The keep-list: the lines of `/etc/NIXOS_LUSTRATE` and the `--keep` options.
//!
//! Pure. The whole list is read and judged before the first rename, so that a
//! line that cannot be meant stops nothing half-way (I6; users.md 3 and 4 are
//! what happened with a list that was read while it was carried out).

use crate::fs::name::{BadName, Name, RelPath, Shown};

/// The largest keep-list that is accepted, in bytes.
pub(crate) const MAX_LEN: usize = 1 << 20;

/// Why a keep-list is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKeep {
    /// Over [`MAX_LEN`].
    #[error("the keep-list is larger than 1 MiB")]
    TooLong,
    /// A line that names no path below the root.
    #[error("line {line} of the keep-list, '{text}', {why}")]
    Line {
        /// Counted from 1.
        line: usize,
        /// The line as it may be shown.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// Reads a keep-list: one path a line, in bytes.
///
/// White space and `/` around a path, and a byte order mark, do not matter, `.`
/// components drop out, empty lines and lines that begin with `#` are skipped, and the last line
/// needs no newline.
///
/// # Errors
/// [`BadKeep`] for a list that is too long, and for the first line that has a
/// NUL byte or a `..`, is the root itself, or has a name that no file can have.
pub fn parse(list: &[u8]) -> Result<Vec<RelPath>, BadKeep> {
    if list.len() > MAX_LEN {
        return Err(BadKeep::TooLong);
    }
    let mut paths = Vec::new();
    // A byte order mark, as some editors write it.
    let list = list.strip_prefix(b"\xef\xbb\xbf").unwrap_or(list);
    for (at, line) in list.split(|&b| b == b'\n').enumerate() {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        paths.push(parse_path(line).map_err(|why| BadKeep::Line {
            line: at + 1,
            text: Shown(line).to_string(),
            why,
        })?);
    }
    Ok(paths)
}

/// Reads one path of a keep-list, as `--keep` takes it.
///
/// # Errors
/// What is wrong with it, to be put after "the path".
pub fn parse_path(path: &[u8]) -> Result<RelPath, &'static str> {
    let components = path.trim_ascii().split(|&b| b == b'/');
    let names: Result<Vec<Name>, BadName> =
        components.filter(|c| !c.is_empty() && *c != b".").map(Name::new).collect();
    match names {
        Ok(names) => RelPath::new(names).ok_or("is the root itself"),
        Err(BadName::Dots) => Err("has a '..' component"),
        Err(BadName::Long) => Err("has a name of more than 255 bytes"),
        Err(BadName::Byte | BadName::Empty) => Err("has a NUL byte"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(list: &[u8]) -> Vec<String> {
        parse(list).expect("a good list").iter().map(ToString::to_string).collect()
    }

    #[test]
    fn white_space_slashes_and_dots_do_not_matter() {
        let list = b"\n/etc/nixos/\r\n  # a comment\n\t./home//alice/. \n#x\n\nroot/.ssh";
        assert_eq!(shown(list), ["etc/nixos", "home/alice", "root/.ssh"]);
    }

    #[test]
    fn a_byte_order_mark_does_not_matter() {
        assert_eq!(shown(b"\xef\xbb\xbfetc/nixos\nhome"), ["etc/nixos", "home"]);
        assert_eq!(shown(b"\xef\xbb\xbf# kept:\nhome"), ["home"]);
        let inside = parse(b"x\xef\xbb\xbf").expect("a good list");
        assert_eq!(inside[0].to_bytes(), b"x\xef\xbb\xbf");
    }

    #[test]
    fn spaces_inside_a_path_stay() {
        assert_eq!(shown(b"a b/c  d\n"), ["a b/c  d"]);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_its_line() {
        for (list, line, why) in [
            (&b"etc\n../x"[..], 2, "has a '..' component"),
            (b"a/../b", 1, "has a '..' component"),
            (b"/", 1, "is the root itself"),
            (b"x\n\n./.", 3, "is the root itself"),
            (b"a\0b", 1, "has a NUL byte"),
        ] {
            match parse(list) {
                Err(BadKeep::Line { line: l, why: w, .. }) => assert_eq!((l, w), (line, why)),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(parse(&vec![b'#'; MAX_LEN + 1]), Err(BadKeep::TooLong));
        assert!(parse(&vec![b'#'; MAX_LEN]).is_ok());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(list in prop::collection::vec(
            prop::sample::select(&b"/.a#\n\r \t\0\xff"[..]), 0..60)) {
            // The rules again, naively: as text, one line after the other.
            let mut want = Ok(Vec::new());
            for line in list.split(|&b| b == b'\n') {
                let line = line.trim_ascii();
                if line.is_empty() || line[0] == b'#' { continue; }
                let parts: Vec<&[u8]> = line.split(|&b| b == b'/')
                    .filter(|p| !p.is_empty() && *p != b".").collect();
                if parts.is_empty() || parts.contains(&&b".."[..]) || line.contains(&0) {
                    want = Err(());
                    break;
                }
                if let Ok(w) = &mut want { w.push(parts.join(&b'/')); }
            }
            let got = parse(&list).map(|v| v.iter().map(RelPath::to_bytes).collect::<Vec<_>>());
            prop_assert_eq!(got.map_err(|_| ()), want);
        }
    }
}
