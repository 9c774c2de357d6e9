//! Reading an intent back, trusting nothing in it.

use super::{Direction, Flagged, Intent, MAGIC, Pin, VERSION, direction_word};
use crate::engine::names::{NIXOS_ROOT_TMP, OLD_ROOT, is_numbered, is_reserved};
use crate::engine::time::{Timestamp, is_dated};
use crate::fs::name::{Name, RelPath};

/// Why bytes are not an intent that can be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadIntent {
    /// It does not begin like one.
    #[error("nixos-lustrate did not write it")]
    Foreign,
    /// A later version of the format.
    #[error("it has format {0}, and this nixos-lustrate reads format 1 only; use a newer one")]
    Newer(u32),
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

/// Reads an intent or a record.
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
        (Some(VERSION), None) => {}
        (Some(version), _) if version > VERSION => return Err(BadIntent::Newer(version)),
        _ => return Err(BadIntent::Foreign),
    }
    let mut draft = Draft::default();
    for (at, line) in lines.enumerate() {
        let at = at + 2;
        if let Some(count) = line.strip_prefix(b"end ") {
            let rest = text.split(|&b| b == b'\n').skip(at);
            let whole = number(count) == Some(at - 1) && rest.eq([b""]);
            return if whole { draft.complete(at) } else { Err(BadIntent::Line(at)) };
        }
        draft.take(line).ok_or(BadIntent::Line(at))?;
    }
    Err(BadIntent::Truncated)
}

#[derive(Default)]
struct Draft {
    tool: Option<String>,
    direction: Option<Direction>,
    started: Option<Timestamp>,
    boot_id: Option<String>,
    anchor: Option<u64>,
    etc: Option<u64>,
    boot_bak: Option<u64>,
    rotated: Option<Name>,
    pinned: Vec<(Name, Pin)>,
    keepers: Vec<RelPath>,
    links: Vec<RelPath>,
    flags: Vec<Flagged>,
    copies: Vec<Name>,
    old: Vec<Name>,
    aside: Vec<(Name, Name)>,
    incoming: Option<Name>,
    older: Option<(u64, Timestamp)>,
    warnings: Vec<String>,
    finished: Option<Timestamp>,
}

impl Draft {
    /// Takes one line; `None` if it is not understood, or there twice.
    fn take(&mut self, line: &[u8]) -> Option<()> {
        let mut fields = line.split(|&b| b == b' ');
        let (key, value) = (fields.next()?, unescape(fields.next()?)?);
        match (key, fields.next(), fields.next(), fields.next()) {
            (b"tool", None, ..) => once(&mut self.tool, String::from_utf8(value).ok()?)?,
            (b"direction", None, ..) => {
                let directions = [Direction::Lustrate, Direction::Revert];
                let word = |d: &Direction| direction_word(*d).as_bytes() == value;
                once(&mut self.direction, directions.into_iter().find(word)?)?;
            }
            (b"started", None, ..) => once(&mut self.started, Timestamp(number(&value)?))?,
            (b"finished", None, ..) => once(&mut self.finished, Timestamp(number(&value)?))?,
            (b"boot-id", None, ..) => once(&mut self.boot_id, String::from_utf8(value).ok()?)?,
            (b"anchor", None, ..) => once(&mut self.anchor, number(&value)?)?,
            (b"etc", None, ..) => once(&mut self.etc, number(&value)?)?,
            (b"boot-bak", None, ..) => once(&mut self.boot_bak, number(&value)?)?,
            (b"rotated", None, ..) => {
                // It is renamed to `old-root`: nothing else may be (I2).
                let name = Name::new(&value).ok().filter(|name| is_dated(name, &OLD_ROOT))?;
                once(&mut self.rotated, name)?;
            }
            (b"pinned", Some(name), None, _) => {
                let (pin, _) = Pin::ALL.into_iter().find(|(_, w)| w.as_bytes() == value)?;
                self.pinned.push((Name::new(&unescape(name)?).ok()?, pin));
            }
            (b"keeper", None, ..) => self.keepers.push(path(&value)?),
            (b"link", None, ..) => self.links.push(path(&value)?),
            (b"flags", Some(flags), Some(whose), None) => {
                let whose = unescape(whose)?;
                let path = if whose == b"/" { None } else { Some(path(&whose)?) };
                let (inode, flags) = (number(&value)?, number(flags)?);
                self.flags.push(Flagged { path, inode, flags });
            }
            (b"copy", None, ..) => self.copies.push(Name::new(&value).ok()?),
            (b"old", None, ..) => self.old.push(Name::new(&value).ok()?),
            (b"aside", Some(dated), None, _) => {
                let (name, dated) = (Name::new(&value).ok()?, Name::new(&unescape(dated)?).ok()?);
                let moves = !is_reserved(&name) && !is_reserved(&dated);
                self.aside.push(moves.then_some((name, dated))?);
            }
            (b"incoming", None, ..) => {
                let name =
                    Name::new(&value).ok().filter(|name| is_numbered(name, &NIXOS_ROOT_TMP))?;
                once(&mut self.incoming, name)?;
            }
            (b"older", Some(time), None, _) => {
                once(&mut self.older, (number(&value)?, Timestamp(number(time)?)))?;
            }
            (b"warning", None, ..) => self.warnings.push(String::from_utf8(value).ok()?),
            _ => return None,
        }
        Some(())
    }

    /// The whole intent, if nothing is missing in it; `end` is its last line.
    fn complete(self, end: usize) -> Result<Intent, BadIntent> {
        // Sorted and without repetition: what follows searches in it. And no
        // intent can have moved what never moves (I2).
        let sorted =
            self.old.is_sorted_by(|a, b| a < b) && self.pinned.is_sorted_by(|(a, _), (b, _)| a < b);
        let entries = self.old.iter().chain(&self.copies);
        let mut entries = entries.chain(self.keepers.iter().chain(&self.links).map(RelPath::entry));
        if !sorted || entries.any(is_reserved) {
            return Err(BadIntent::Line(end));
        }
        Ok(Intent {
            tool: self.tool.ok_or(BadIntent::Missing("tool"))?,
            direction: self.direction.ok_or(BadIntent::Missing("direction"))?,
            started: self.started.ok_or(BadIntent::Missing("started"))?,
            boot_id: self.boot_id.ok_or(BadIntent::Missing("boot-id"))?,
            anchor: self.anchor.ok_or(BadIntent::Missing("anchor"))?,
            etc: self.etc,
            boot_bak: self.boot_bak,
            rotated: self.rotated,
            pinned: self.pinned,
            keepers: self.keepers,
            links: self.links,
            flags: self.flags,
            copies: self.copies,
            old: self.old,
            aside: self.aside,
            incoming: self.incoming,
            older: self.older,
            warnings: self.warnings,
            finished: self.finished,
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    slot.replace(value).is_none().then_some(())
}

/// Decimal digits, the way that they are written: no sign, no leading zero.
fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    let canonical = matches!(digits, [b'0'] | [b'1'..=b'9', ..]);
    std::str::from_utf8(digits).ok().filter(|_| canonical)?.parse().ok()
}

/// A path exactly as it is written: no empty components.
fn path(bytes: &[u8]) -> Option<RelPath> {
    RelPath::parse(bytes).ok().filter(|p| p.to_bytes() == bytes)
}

/// Undoes the escape; `None` where a byte stands that would have been escaped.
fn unescape(value: &[u8]) -> Option<Vec<u8>> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        match first {
            b'\\' => {
                let [b'x', high, low, after @ ..] = tail else { return None };
                let byte = digit(*high)? << 4 | digit(*low)?;
                if byte != b'\\' && (b'!'..=b'~').contains(&byte) {
                    return None;
                }
                bytes.push(byte);
                rest = after;
            }
            b'!'..=b'~' => bytes.push(first),
            _ => return None,
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn a_newer_format_says_so() {
        assert_eq!(parse(b"nixos-lustrate-intent 2\nwhatever\n"), Err(BadIntent::Newer(2)));
        assert_eq!(
            parse(b"nixos-lustrate-intent 1\ntool x\nend 2\n"),
            Err(BadIntent::Missing("direction"))
        );
    }

    #[test]
    fn a_path_that_leads_elsewhere_is_refused() {
        let old = ["old ..", "old a/b", "old \\x2e", "rotated nix", "rotated old-root"];
        let old = old.into_iter().chain(["incoming nix", "incoming nixos-root.tmp-x"]);
        for line in ["keeper ../x", "keeper a//b", "keeper /a/b"].into_iter().chain(old) {
            let text = format!("nixos-lustrate-intent 1\n{line}\nend 2\n");
            assert_eq!(parse(text.as_bytes()), Err(BadIntent::Line(2)), "{line}");
        }
    }
}
