//! Immutable and append-only files: the flags are cleared for the exchange and
//! set again at its end. The intent knows them, so a crash in between cannot
//! lose them.

use super::{Exchange, Result};
use crate::fs::name::Name;
use crate::fs::sys::{APPEND, IMMUTABLE, PROJECT};
use crate::fs::tree::Tree;

/// The flags that keep a file from being moved, or others from being moved into it.
pub const HINDERING: u32 = IMMUTABLE | APPEND | PROJECT;

impl<T: Tree> Exchange<'_, T> {
    pub(super) fn clear_flags(&self) -> Result<()> {
        self.change_flags(|now, _| now & !HINDERING)
    }

    pub(super) fn restore_flags(&self) -> Result<()> {
        self.change_flags(|now, saved| now | saved)
    }

    fn change_flags(&self, change: impl Fn(u32, u32) -> u32) -> Result<()> {
        for flagged in &self.intent.flags {
            // The root's own are begin's and close's.
            let Some(path) = &flagged.path else { continue };
            for base in [self.root, &self.staging, &self.incoming] {
                let opened = match path.parents() {
                    [] => None,
                    parents => match self.tree.open(base, parents)? {
                        None => continue,
                        opened => opened,
                    },
                };
                let dir = opened.as_ref().unwrap_or(base);
                let found = self.tree.stat(dir, path.last())?;
                if found.is_some_and(|stat| stat.inode == flagged.inode) {
                    let now = self.tree.flags(dir, Some(path.last()))?;
                    self.set_if_changed(dir, Some(path.last()), now, change(now, flagged.flags))?;
                    break;
                }
            }
        }
        Ok(())
    }

    fn set_if_changed(&self, dir: &T::Dir, name: Option<&Name>, now: u32, new: u32) -> Result<()> {
        if now != new {
            self.tree.set_flags(dir, name, new)?;
        }
        Ok(())
    }
}
