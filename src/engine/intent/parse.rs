//! Reading an intent back, trusting nothing in it.

use super::field::{Words, number};
use super::{Intent, MAGIC, VERSION};
use crate::engine::names::{NIXOS_ROOT_TMP, OLD_ROOT, is_numbered, is_reserved};
use crate::engine::time::is_dated;
use crate::fs::name::{RelPath, Shown};

/// Why bytes are not an intent that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIntent {
    /// It does not begin like one.
    #[error("nixos-lustrate did not write it")]
    Foreign,
    /// A later version of the format, or a field of a later program.
    #[error("it has {what}, which this program does not know; use {program}")]
    Newer {
        /// What is newer.
        what: String,
        /// The program that reads it.
        program: String,
    },
    /// Its end is missing.
    #[error("its end is missing")]
    Truncated,
    /// A line that the format does not have.
    #[error("its line {0} is not understood")]
    Line(usize),
    /// A line that must be there is not.
    #[error("it has no line '{0}'")]
    Missing(&'static str),
}

/// Reads an intent or a record, of this version of the format or an earlier one.
///
/// # Errors
/// [`BadIntent`] for anything that [`Intent::to_text`] does not write.
pub fn parse(text: &[u8]) -> Result<Intent, BadIntent> {
    let mut lines = text.split(|&b| b == b'\n');
    let mut first = lines.next().unwrap_or_default().split(|&b| b == b' ');
    if first.next() != Some(MAGIC.as_bytes()) {
        return Err(BadIntent::Foreign);
    }
    match (first.next().and_then(number::<u32>), first.next()) {
        (Some(1..=VERSION), None) => {}
        (Some(version), _) if version > VERSION => {
            let tool = lines.next().and_then(|line| line.strip_prefix(b"tool "));
            return Err(newer(format!("format {version}"), tool.unwrap_or_default()));
        }
        _ => return Err(BadIntent::Foreign),
    }
    let (mut intent, mut seen) = (Intent::default(), 0);
    for (at, line) in lines.enumerate() {
        let at = at + 2;
        if let Some(count) = line.strip_prefix(b"end ") {
            let rest = text.split(|&b| b == b'\n').skip(at);
            let whole = number(count) == Some(at - 1) && rest.eq([b""]);
            return if whole { complete(intent, seen, at) } else { Err(BadIntent::Line(at)) };
        }
        let mut words = line.split((|&b| b == b' ') as fn(&u8) -> bool);
        let key = words.next().unwrap_or_default();
        let is_note = key.starts_with(b"?");
        match intent.take(key, Words(words), &mut seen) {
            Some(Some(())) => {}
            _ if is_note => {}
            None if intent.is_of_another_program() && !key.is_empty() => {
                return Err(newer(format!("a line '{}'", Shown(key)), intent.tool.as_bytes()));
            }
            _ => return Err(BadIntent::Line(at)),
        }
    }
    Err(BadIntent::Truncated)
}

/// What a later program wrote, and who can read it.
fn newer(what: String, tool: &[u8]) -> BadIntent {
    let program = match tool {
        [] => "a newer nixos-lustrate".to_owned(),
        tool => format!("nixos-lustrate {}", Shown(tool)),
    };
    BadIntent::Newer { what, program }
}

impl Intent {
    fn is_of_another_program(&self) -> bool {
        !self.tool.is_empty() && self.tool != env!("CARGO_PKG_VERSION")
    }
}

/// The intent, if nothing is missing in it; `end` is its last line.
fn complete(intent: Intent, seen: u32, end: usize) -> Result<Intent, BadIntent> {
    // Sorted and without repetition: what follows searches in it. No intent can
    // have moved what never moves, what is renamed to `old-root` is an older one of
    // ours, and a home has no name of another's (I2).
    let sorted =
        intent.old.is_sorted_by(|a, b| a < b) && intent.pinned.is_sorted_by(|(a, _), (b, _)| a < b);
    let entries = intent.old.iter().chain(&intent.copies);
    let entries = entries.chain(intent.keepers.iter().chain(&intent.links).map(RelPath::entry));
    let mut entries = entries.chain(intent.aside.iter().flat_map(|(name, dated)| [name, dated]));
    let dated = intent.rotated.as_ref().is_none_or(|name| is_dated(name, &OLD_ROOT));
    let home = intent.incoming.as_ref().is_none_or(|name| is_numbered(name, &NIXOS_ROOT_TMP));
    let bad = !sorted || !dated || !home || entries.any(is_reserved);
    drop(entries);
    if bad {
        return Err(BadIntent::Line(end));
    }
    Intent::missing(seen).map_or(Ok(intent), |key| Err(BadIntent::Missing(key)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::intent::{Direction, Flagged, Pin, RootLook};
    use crate::engine::time::Timestamp;
    use crate::fs::name::Name;
    use proptest::collection::{btree_map, btree_set, vec};
    use proptest::prelude::*;

    fn name() -> impl Strategy<Value = Name> {
        vec(any::<u8>(), 1..8)
            .prop_filter_map("no name", |b| Name::new(&b).ok().filter(|n| !is_reserved(n)))
    }

    fn nested() -> impl Strategy<Value = RelPath> {
        vec(name(), 2..5).prop_filter_map("no path", RelPath::new)
    }

    prop_compose! {
        fn intent()(
            (tool, boot_id, revert, started, anchor) in
                ("\\PC{1,9}", "[0-9a-f-]{1,36}", any::<bool>(), any::<u64>(), any::<u64>()),
            (etc, boot_bak, rotated) in
                (any::<Option<u64>>(), any::<Option<u64>>(), any::<Option<u64>>()),
            pinned in
                btree_map(name(), prop::sample::select(Pin::ALL.map(|(p, _)| p).to_vec()), 0..4),
            (keepers, links) in (vec(nested(), 0..4), vec(nested(), 0..3)),
            flags in vec((prop::option::of(nested()), any::<u64>(), any::<u32>()), 0..3),
            (copies, old) in (vec(name(), 0..3), btree_set(name(), 0..9)),
            (warnings, finished) in (vec("(?s).{1,9}", 0..3), any::<Option<u64>>()),
            (older, aside, incoming) in
                (any::<Option<(u64, u64)>>(), vec((name(), any::<u64>()), 0..2), any::<Option<u32>>()),
            look in any::<Option<(u32, u32, u32, (i64, u32), (i64, u32))>>(),
        ) -> Intent {
            let flags = flags.into_iter();
            Intent {
                tool, boot_id, anchor, etc, boot_bak, keepers, links, copies,
                pinned: pinned.into_iter().collect(),
                rotated: rotated.map(|time| Timestamp(time).dated(&OLD_ROOT)),
                direction: if revert { Direction::Revert } else { Direction::Lustrate },
                started: Timestamp(started),
                flags: flags.map(|(path, inode, flags)| Flagged { path, inode, flags }).collect(),
                old: old.into_iter().collect(),
                warnings,
                aside: aside.into_iter().map(|(n, t)| (n.clone(), Timestamp(t).dated(&n))).collect(),
                incoming: incoming.map(|at| NIXOS_ROOT_TMP.numbered(at)),
                older: older.map(|(inode, time)| (inode, Timestamp(time))),
                finished: finished.map(Timestamp),
                look: look.map(|(mode, uid, gid, accessed, modified)| {
                    RootLook { mode, uid, gid, accessed, modified }
                }),
            }
        }
    }

    proptest! {
        #[test]
        fn an_intent_is_read_back_as_written(intent in intent()) {
            let text = intent.to_text();
            prop_assert!(text.iter().all(|b| matches!(b, b'\n' | b' '..=b'~')));
            prop_assert_eq!(parse(&text), Ok(intent));
        }

        #[test]
        fn a_truncated_intent_is_refused(intent in intent(), at in any::<prop::sample::Index>()) {
            let text = intent.to_text();
            prop_assert!(parse(&text[..at.index(text.len())]).is_err());
        }

        /// What is read is what would be written: no second spelling.
        #[test]
        fn an_edited_intent_is_refused_or_means_what_it_says(
            intent in intent(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
        ) {
            let mut text = intent.to_text();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(read) = parse(&text) {
                prop_assert_eq!(parse(&read.to_text()), Ok(read));
            }
        }

        #[test]
        fn any_bytes_are_refused(bytes in vec(any::<u8>(), 0..100)) {
            prop_assert!(parse(&bytes).is_err());
        }
    }

    #[test]
    fn a_newer_format_names_the_program_that_reads_it() {
        let told = |text: &str| parse(text.as_bytes()).expect_err("newer").to_string();
        let this = env!("CARGO_PKG_VERSION");
        for (text, what, tool) in [
            ("3\nwhatever\n", "format 3", "a newer nixos-lustrate"),
            ("3\ntool 7.0\n", "format 3", "nixos-lustrate 7.0"),
            ("2\ntool 7.0\nfrob x\nend 3\n", "a line 'frob'", "nixos-lustrate 7.0"),
        ] {
            let text = told(&format!("nixos-lustrate-intent {text}"));
            let want = format!("it has {what}, which this program does not know; use {tool}");
            assert_eq!(text, want);
        }
        // Of this very program it is no newer field, but a mistake.
        let ours = format!("nixos-lustrate-intent 2\ntool {this}\nfrob x\nend 3\n");
        assert_eq!(parse(ours.as_bytes()), Err(BadIntent::Line(3)));
        assert_eq!(
            parse(b"nixos-lustrate-intent 1\ntool x\nend 2\n"),
            Err(BadIntent::Missing("direction"))
        );
    }

    #[test]
    fn a_note_that_is_unknown_is_passed_over() {
        let intent = Intent { tool: "7.0".to_owned(), ..Intent::default() };
        let text = String::from_utf8(intent.to_text()).expect("ASCII");
        let lines = text.lines().count();
        let text = text.replace(&format!("end {}", lines - 1), &format!("end {}", lines + 1));
        let text = text.replace("\nend", "\n?weather rain and \\ wind\n?root in a new way\nend");
        assert_eq!(parse(text.as_bytes()), Ok(intent));
        let needed = text.replace("?weather", "weather");
        assert!(matches!(parse(needed.as_bytes()), Err(BadIntent::Newer { .. })), "{needed}");
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        for line in ["keeper ../x", "keeper a//b", "keeper /a/b", "old ..", "old a/b", "old \\x2e"]
        {
            let text = format!("nixos-lustrate-intent 1\n{line}\nend 2\n");
            assert_eq!(parse(text.as_bytes()), Err(BadIntent::Line(2)), "{line}");
        }
        let homes = ["incoming nix", "incoming nixos-root.tmp-x", "aside nix nix-1"];
        for line in ["rotated nix", "rotated old-root", "old nix"].into_iter().chain(homes) {
            let text = format!("nixos-lustrate-intent 1\n{line}\nend 2\n");
            assert_eq!(parse(text.as_bytes()), Err(BadIntent::Line(3)), "{line}");
        }
    }
}
