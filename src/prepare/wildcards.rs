//! The paths of `--keep`, with wildcards expanded against the root as it is. The
//! default keepers are in [`crate::machine::identity`], where `check` has them too.

use crate::error::OpError;
use crate::fs::name::{Name, RelPath, Shown};
use crate::fs::tree::Tree;

/// Whether a name has a wildcard.
fn is_pattern(name: &Name) -> bool {
    name.as_bytes().iter().any(|b| b"*?[".contains(b))
}

/// Whether a name matches a pattern: `*`, `?`, `[abc]`, `[a-z]`, `[!a]`. As in a
/// shell, a leading dot is matched by a dot only.
#[must_use]
pub(crate) fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let hidden = name.first() == Some(&b'.') && pattern.first() != Some(&b'.');
    !hidden && matches_rest(pattern, name)
}

fn matches_rest(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => {
            (0..=name.len()).any(|skip| matches_rest(rest, name.get(skip..).unwrap_or_default()))
        }
        ([b'?', rest @ ..], [_, name @ ..]) => matches_rest(rest, name),
        ([b'[', rest @ ..], [first, name @ ..]) => match class(rest, *first) {
            Some((is_in, rest)) => is_in && matches_rest(rest, name),
            None => *first == b'[' && matches_rest(rest, name),
        },
        ([p, rest @ ..], [first, name @ ..]) => p == first && matches_rest(rest, name),
        _ => false,
    }
}

/// Whether a byte is in a `[…]`, and what follows that; `None` when it has no end.
fn class(pattern: &[u8], byte: u8) -> Option<(bool, &[u8])> {
    let (not, body) = match pattern {
        [b'!' | b'^', body @ ..] => (true, body),
        body => (false, body),
    };
    let end = body.iter().skip(1).position(|&b| b == b']')? + 1;
    let (list, rest) = (body.get(..end)?, body.get(end + 1..)?);
    let mut found = false;
    let mut at = list;
    while let Some((&low, tail)) = at.split_first() {
        if let [b'-', high, after @ ..] = tail {
            found |= (low..=*high).contains(&byte);
            at = after;
        } else {
            found |= low == byte;
            at = tail;
        }
    }
    Some((found != not, rest))
}

/// The paths that a pattern means; without a wildcard, itself.
pub(crate) fn expand<T: Tree>(
    tree: &T,
    root: &T::Dir,
    pattern: &RelPath,
) -> Result<Vec<RelPath>, OpError> {
    if !pattern.names().iter().any(is_pattern) {
        return Ok(vec![pattern.clone()]);
    }
    let mut found: Vec<Vec<Name>> = vec![Vec::new()];
    for part in pattern.names() {
        let mut next = Vec::new();
        for path in found {
            let Some(dir) = tree.open(root, &path)? else { continue };
            let names = if is_pattern(part) {
                let names = tree.list(&dir)?.into_iter();
                names.filter(|name| matches(part.as_bytes(), name.as_bytes())).collect()
            } else {
                tree.stat(&dir, part)?.map(|_| part.clone()).into_iter().collect::<Vec<_>>()
            };
            next.extend(names.into_iter().map(|name| [path.clone(), vec![name]].concat()));
        }
        found = next;
    }
    Ok(found.into_iter().filter_map(RelPath::new).collect())
}

/// Why a path cannot be a line of a keep-list.
#[must_use]
pub(crate) fn unwritable(path: &RelPath) -> Option<String> {
    let bytes = path.to_bytes();
    let bad = bytes.contains(&b'\n') || bytes.trim_ascii() != bytes || bytes.starts_with(b"#");
    bad.then(|| {
        format!(
            "the path '{}' of --keep cannot be a line of a keep-list: it has a newline, white \
             space at an end, or begins with #. Keep the directory that it is in",
            Shown(&bytes)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, name, is) in [
            ("ssh_host_*_key*", "ssh_host_rsa_key", true),
            ("ssh_host_*_key*", "ssh_host_ed25519_key.pub", true),
            ("ssh_host_*_key*", "ssh_config", false),
            ("*", ".hidden", false),
            (".*", ".hidden", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[]x]", "]", true),
            ("[ab", "[ab", true),
            ("a*b*c", "a1b2b3c", true),
            ("a*b*c", "a1b2b3", false),
        ] {
            assert_eq!(matches(pattern.as_bytes(), name.as_bytes()), is, "{pattern} {name}");
        }
    }

    #[test]
    fn what_cannot_be_a_line_is_refused() {
        for (path, bad) in
            [("a b", false), ("a\nb", true), (" a", true), ("#a", true), ("a#", false)]
        {
            let path = RelPath::parse(path.as_bytes()).expect("a path");
            assert_eq!(unwritable(&path).is_some(), bad, "{path}");
        }
    }
}
