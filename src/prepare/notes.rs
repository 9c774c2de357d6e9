//! What the steps have put aside, in the state file: values under names. A [`Key`]
//! lives with the step whose value it is; what other versions wrote stays.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::durable::not_json;
use super::step::Result;
use crate::error::Stop;

/// The name of a value, and what is wrong with one: a path in it that no `prepare`
/// can have written, for example.
#[derive(Debug)]
pub(crate) struct Key<T> {
    name: &'static str,
    wrong: fn(&T) -> Option<Wrong>,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It names what `prepare` never chooses.
    Never(String),
    /// An earlier version did what this one cannot undo: what.
    Earlier(String),
}

impl<T> Key<T> {
    /// A value in which nothing can be wrong.
    #[must_use]
    pub(crate) const fn new(name: &'static str) -> Self {
        Self { name, wrong: |_| None }
    }

    /// A value that makes root do what it says.
    #[must_use]
    pub(crate) const fn checked(name: &'static str, wrong: fn(&T) -> Option<Wrong>) -> Self {
        Self { name, wrong }
    }
}

/// A [`Key`] of whatever type.
pub(crate) trait AnyKey: Sync {
    /// What is wrong with its value.
    ///
    /// # Errors
    /// When it is none of that type.
    fn wrong(&self, notes: &Notes) -> serde_json::Result<Option<Wrong>>;
}

impl<T: DeserializeOwned> AnyKey for Key<T> {
    fn wrong(&self, notes: &Notes) -> serde_json::Result<Option<Wrong>> {
        Ok(notes.read(self)?.and_then(|value| (self.wrong)(&value)))
    }
}

/// The values.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Notes(BTreeMap<String, Value>);

impl Notes {
    fn read<T: DeserializeOwned>(&self, key: &Key<T>) -> serde_json::Result<Option<T>> {
        self.0.get(key.name).map(T::deserialize).transpose()
    }

    /// A value; one that is missing is the default.
    ///
    /// # Errors
    /// When it is damaged, or wrong: that is seen when the state is opened, unless
    /// the key is missing in the list of all.
    pub(crate) fn get<T: DeserializeOwned + Default>(&self, key: &Key<T>) -> Result<T> {
        match self.read(key) {
            Ok(None) => Ok(T::default()),
            Ok(Some(value)) if (key.wrong)(&value).is_none() => Ok(value),
            _ => Err(Stop::wrong(
                format!("'{}' in the record of what is to be undone is damaged", key.name),
                "What is to be undone would have been guessed",
                "Bring /nix/var/nixos-lustrate/state.json back from a backup",
            )),
        }
    }

    /// Replaces a value.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub(crate) fn set<T: Serialize>(&mut self, key: &Key<T>, value: &T) -> Result<()> {
        let value = serde_json::to_value(value).map_err(|error| not_json(&error))?;
        self.0.insert(key.name.to_owned(), value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERS: Key<Vec<u32>> = Key::checked("numbers", |numbers| {
        numbers.contains(&7).then(|| Wrong::Never("the number 7".to_owned()))
    });

    #[test]
    fn what_others_wrote_stays() {
        let text = r#"{"later":{"a":[1]},"numbers":[1]}"#;
        let mut notes: Notes = serde_json::from_str(text).expect("notes");
        assert_eq!(notes.get(&NUMBERS).expect("numbers"), [1]);
        notes.set(&NUMBERS, &vec![2]).expect("set");
        let text = serde_json::to_string(&notes).expect("text");
        assert_eq!(text, r#"{"later":{"a":[1]},"numbers":[2]}"#);
        assert_eq!(Notes::default().get(&NUMBERS).expect("none"), [0; 0]);
    }

    #[test]
    fn what_is_wrong_is_never_used() {
        let notes = |text| serde_json::from_str::<Notes>(text).expect("notes");
        let seven = notes(r#"{"numbers":[7]}"#);
        assert_eq!(
            NUMBERS.wrong(&seven).expect("numbers"),
            Some(Wrong::Never("the number 7".to_owned()))
        );
        assert!(seven.get(&NUMBERS).is_err());
        let text = notes(r#"{"numbers":"x"}"#);
        assert!(NUMBERS.wrong(&text).is_err() && text.get(&NUMBERS).is_err());
    }
}
