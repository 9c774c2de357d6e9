//! Nix's database: which paths the closure has, and whether they are valid
//! (nix, `src/libstore/schema.sql`).

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use crate::machine::files::{Files, Result};
use crate::system::sqlite::{Database, Value};

const DATABASE: &str = "/nix/var/nix/db/db.sqlite";

/// What the database says about a closure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Registered {
    /// There is no database.
    None,
    /// It cannot be read: why.
    Damaged(String),
    /// The closure's own path is not valid in it.
    Invalid,
    /// The paths of the closure, all valid.
    Paths(Vec<PathBuf>),
}

/// The closure of a store path.
pub(crate) fn closure(files: &Files, top: &Path) -> Result<Registered> {
    let Some(file) = files.read_whole(DATABASE)? else { return Ok(Registered::None) };
    let log = files.read_whole(format!("{DATABASE}-wal"))?.unwrap_or_default();
    let known = Database::open(&file, &log).and_then(|database| requisites(&database, top));
    Ok(known.unwrap_or_else(Registered::Damaged))
}

fn requisites(database: &Database<'_>, top: &Path) -> crate::system::sqlite::Result<Registered> {
    let mut paths: HashMap<i64, PathBuf> = HashMap::new();
    let mut start = None;
    database.table("ValidPaths", |id, values| {
        // id integer primary key (which is the row's number), path text, …
        if let Some(Value::Bytes(path)) = values.get(1) {
            let path = PathBuf::from(String::from_utf8_lossy(path).into_owned());
            if path == top {
                start = Some(id);
            }
            paths.insert(id, path);
        }
    })?;
    let Some(start) = start else { return Ok(Registered::Invalid) };
    let mut references: HashMap<i64, Vec<i64>> = HashMap::new();
    database.table("Refs", |_, values| {
        if let (Some(Value::Integer(from)), Some(Value::Integer(to))) =
            (values.first(), values.get(1))
        {
            references.entry(*from).or_default().push(*to);
        }
    })?;
    let (mut seen, mut todo) = (HashSet::from([start]), vec![start]);
    let mut found = Vec::new();
    while let Some(id) = todo.pop() {
        found.push(paths.get(&id).ok_or("a path that is referred to is not valid")?.clone());
        let next = references.get(&id).into_iter().flatten();
        todo.extend(next.filter(|id| seen.insert(**id)));
    }
    found.sort();
    Ok(Registered::Paths(found))
}
