//! Reads tables of an `SQLite` database, and nothing else: no locks, no journal is
//! made. Nix's own programs open its database for writing, even to ask.
//!
//! Format: <https://www.sqlite.org/fileformat2.html>. What is still in the
//! write-ahead log counts as far as it is committed.

use std::collections::HashMap;

mod record;

pub(crate) use record::Value;
use record::{number, value, varint};

/// The pages of a database.
#[derive(Debug)]
pub(crate) struct Database<'a> {
    file: &'a [u8],
    size: usize,
    usable: usize,
    log: HashMap<u32, &'a [u8]>,
}

/// What is wrong, in a sentence.
pub(crate) type Result<T> = std::result::Result<T, String>;

const DEEPEST: usize = 40;

impl<'a> Database<'a> {
    /// Opens it, with its write-ahead log, which may be empty.
    ///
    /// # Errors
    /// When it is no database.
    pub(crate) fn open(file: &'a [u8], log: &'a [u8]) -> Result<Self> {
        if !file.starts_with(b"SQLite format 3\0") || file.len() < 100 {
            return Err("it is no SQLite database".to_owned());
        }
        let size = match number(file, 16, 2)? {
            1 => 65_536,
            size => size,
        };
        if !size.is_power_of_two() || size < 512 {
            return Err(format!("it has pages of {size} bytes"));
        }
        if number(file, 56, 4)? > 1 {
            return Err("its texts are not in UTF-8".to_owned());
        }
        let usable = size - number(file, 20, 1)?;
        let log = frames(log, size).unwrap_or_default();
        Ok(Self { file, size, usable, log })
    }

    fn page(&self, page: usize) -> Result<&'a [u8]> {
        let known = u32::try_from(page).ok().and_then(|page| self.log.get(&page)).copied();
        let start = page.checked_sub(1).and_then(|page| page.checked_mul(self.size));
        let in_file = || self.file.get(start?..start?.checked_add(self.size)?);
        known.or_else(in_file).ok_or_else(|| format!("its page {page} is missing"))
    }

    /// Calls `row` for each row of a table, with the row's number.
    ///
    /// # Errors
    /// When the database is damaged, or has no such table.
    pub(crate) fn table(&self, name: &str, mut row: impl FnMut(i64, &[Value])) -> Result<()> {
        let mut root = None;
        self.walk(1, 0, &mut |_, values| {
            // type, name, tbl_name, rootpage, sql
            let text = |at: usize| match values.get(at) {
                Some(Value::Bytes(bytes)) => Some(bytes.as_slice()),
                _ => None,
            };
            if let (Some(b"table"), Some(found), Some(Value::Integer(page))) =
                (text(0), text(1), values.get(3))
                && found == name.as_bytes()
            {
                root = usize::try_from(*page).ok();
            }
        })?;
        let root = root.ok_or_else(|| format!("it has no table {name}"))?;
        self.walk(root, 0, &mut row)
    }

    fn walk(&self, page: usize, depth: usize, row: &mut impl FnMut(i64, &[Value])) -> Result<()> {
        if depth > DEEPEST {
            return Err("its pages form a loop".to_owned());
        }
        let bytes = self.page(page)?;
        let start = if page == 1 { 100 } else { 0 };
        let kind = number(bytes, start, 1)?;
        let cells = number(bytes, start + 3, 2)?;
        let pointers = start + if kind == 5 { 12 } else { 8 };
        for cell in 0..cells {
            let at = number(bytes, pointers + cell * 2, 2)?;
            match kind {
                5 => self.walk(number(bytes, at, 4)?, depth + 1, row)?,
                13 => self.leaf(bytes, at, row)?,
                _ => return Err(format!("its page {page} is of the kind {kind}")),
            }
        }
        match kind {
            5 => self.walk(number(bytes, start + 8, 4)?, depth + 1, row),
            _ => Ok(()),
        }
    }

    fn leaf(&self, page: &[u8], at: usize, row: &mut impl FnMut(i64, &[Value])) -> Result<()> {
        let (length, at) = varint(page, at)?;
        let (number_of_row, at) = varint(page, at)?;
        let length = usize::try_from(length).map_err(|_| "a row is too long")?;
        let payload = self.payload(page, at, length)?;
        let mut values = Vec::new();
        let (header, mut next) = varint(&payload, 0)?;
        let header = usize::try_from(header).map_err(|_| "a row's header is too long")?;
        let mut body = header;
        while next < header {
            let (kind, after) = varint(&payload, next)?;
            next = after;
            let (value, length) = value(&payload, body, kind)?;
            values.push(value);
            body += length;
        }
        row(number_of_row, &values);
        Ok(())
    }

    /// The bytes of a row, of which a long one goes on in other pages.
    fn payload(&self, page: &[u8], at: usize, length: usize) -> Result<Vec<u8>> {
        let slice = |from: &[u8], at: usize, length: usize| -> Result<Vec<u8>> {
            let end = at.checked_add(length);
            let bytes = end.and_then(|end| from.get(at..end));
            bytes.map(<[u8]>::to_vec).ok_or_else(|| "a row is cut off".to_owned())
        };
        let most = self.usable - 35;
        if length <= most {
            return slice(page, at, length);
        }
        let least = (self.usable - 12) * 32 / 255 - 23;
        let spread = least + (length - least) % (self.usable - 4);
        let local = if spread <= most { spread } else { least };
        let mut payload = slice(page, at, local)?;
        let mut next = number(page, at + local, 4)?;
        while payload.len() < length && next != 0 {
            let overflow = self.page(next)?;
            next = number(overflow, 0, 4)?;
            let part = (length - payload.len()).min(self.usable - 4);
            payload.extend(slice(overflow, 4, part)?);
        }
        if payload.len() == length { Ok(payload) } else { Err("a row is cut off".to_owned()) }
    }
}

/// The last committed content of each page in a write-ahead log.
fn frames(log: &[u8], size: usize) -> Option<HashMap<u32, &[u8]>> {
    let (salt, mut rest) = (log.get(16..24)?, log.get(32..)?);
    let (mut committed, mut pending) = (HashMap::new(), HashMap::new());
    while let Some((frame, after)) = rest.split_at_checked(24 + size) {
        // A frame with another salt is left over from an earlier log.
        if frame.get(8..16) != Some(salt) {
            break;
        }
        pending.insert(u32::try_from(number(frame, 0, 4).ok()?).ok()?, &frame[24..]);
        if number(frame, 4, 4).ok()? != 0 {
            committed.extend(pending.drain());
        }
        rest = after;
    }
    Some(committed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SIZE: usize = 512;

    /// A leaf page with rows of one text each, as the format has it.
    fn leaf(start: usize, rows: &[(u8, &[u8])]) -> Vec<u8> {
        let mut page = vec![0; SIZE];
        let mut end = SIZE;
        for (at, (number, record)) in rows.iter().enumerate() {
            let cell =
                [&[u8::try_from(record.len()).expect("short"), *number][..], record].concat();
            end -= cell.len();
            page[end..end + cell.len()].copy_from_slice(&cell);
            let pointer = start + 8 + at * 2;
            page[pointer..pointer + 2]
                .copy_from_slice(&u16::try_from(end).expect("short").to_be_bytes());
        }
        page[start] = 13;
        page[start + 4] = u8::try_from(rows.len()).expect("few");
        page
    }

    fn record(values: &[&str]) -> Vec<u8> {
        let kinds = values.iter().map(|v| u8::try_from(13 + 2 * v.len()).expect("short"));
        let mut record = vec![u8::try_from(values.len() + 1).expect("few")];
        record.extend(kinds);
        record.extend(values.concat().bytes());
        record
    }

    /// One table, `t`, at page 2.
    fn database(rows: &[(u8, &[u8])]) -> Vec<u8> {
        let mut schema = vec![6, 13 + 2 * 5, 13 + 2, 13 + 2, 1, 13];
        schema.extend(b"tablett\x02");
        let mut first = leaf(100, &[(1, &schema)]);
        first[..16].copy_from_slice(b"SQLite format 3\0");
        first[16..18].copy_from_slice(&512u16.to_be_bytes());
        [first, leaf(0, rows)].concat()
    }

    fn rows(file: &[u8], log: &[u8]) -> Result<Vec<(i64, Vec<u8>)>> {
        let mut found = Vec::new();
        Database::open(file, log)?.table("t", |number, values| match values {
            [Value::Bytes(text)] => found.push((number, text.clone())),
            other => panic!("{other:?}"),
        })?;
        Ok(found)
    }

    /// A log in which page 2 is another; committed if `pages` is not 0.
    fn log(salt: u8, frame_salt: u8, pages: u8, page: &[u8]) -> Vec<u8> {
        let mut log = vec![0; 32];
        log[16..24].fill(salt);
        let mut frame = vec![0; 24];
        (frame[3], frame[7]) = (2, pages);
        frame[8..16].fill(frame_salt);
        [log, frame, page.to_vec()].concat()
    }

    #[test]
    fn what_is_committed_in_the_log_counts() {
        let (old, new) = (record(&["old"]), record(&["new"]));
        let file = database(&[(7, &old)]);
        let page = leaf(0, &[(7, &old), (8, &new)]);
        let before = vec![(7, b"old".to_vec())];
        let after = vec![(7, b"old".to_vec()), (8, b"new".to_vec())];
        assert_eq!(rows(&file, b""), Ok(before.clone()));
        assert_eq!(rows(&file, &log(5, 5, 2, &page)), Ok(after));
        assert_eq!(rows(&file, &log(5, 5, 0, &page)), Ok(before.clone()), "not committed");
        assert_eq!(rows(&file, &log(5, 4, 2, &page)), Ok(before.clone()), "of an earlier log");
        assert_eq!(rows(&file, &log(5, 5, 2, &page[..400])), Ok(before), "cut off");
    }

    #[test]
    fn damage_is_said() {
        let text = record(&["text"]);
        let file = database(&[(1, &text)]);
        assert!(rows(b"no database", b"").is_err());
        assert!(rows(&file[..SIZE], b"").is_err_and(|why| why.contains("page 2 is missing")));
        let mut damaged = file.clone();
        damaged[SIZE] = 10;
        assert!(rows(&damaged, b"").is_err_and(|why| why.contains("of the kind 10")));
        damaged[SIZE] = 5;
        damaged[SIZE + 8..SIZE + 12].copy_from_slice(&2u32.to_be_bytes());
        damaged[SIZE + 4] = 0;
        assert!(rows(&damaged, b"").is_err_and(|why| why.contains("loop")));
        let opened = Database::open(&file, b"").expect("a database");
        assert!(opened.table("u", |_, _| {}).is_err_and(|why| why.contains("no table u")));
    }

    proptest! {
        #[test]
        fn damage_is_an_error_and_never_a_panic(
            rest in prop::collection::vec(any::<u8>(), 0..1500), log in prop::collection::vec(any::<u8>(), 0..1500),
        ) {
            let mut file = b"SQLite format 3\0\x02\x00\x01\x01\x00\x40\x20\x20".to_vec();
            file.resize(100, 0);
            file.extend([&[13, 0, 0, 0, 3][..], &rest].concat());
            if let Ok(database) = Database::open(&file, &log) {
                let _ = database.table("ValidPaths", |_, _| {});
            }
        }
    }
}
