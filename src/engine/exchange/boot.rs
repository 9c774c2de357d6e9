//! `boot` and `boot.bak`. `prepare` saves the old boot files in `/boot.bak`,
//! which goes with the old population; when a revert has brought it back, the
//! two change places, and when a revert is undone, again.

use super::{Boot, Exchange, Population, Result};
use crate::engine::names::{BOOT, BOOT_BAK};
use crate::error::Stop;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;

impl<T: Tree> Exchange<'_, T> {
    /// Whether the two have changed places already.
    pub(super) fn has_old_boot(&self) -> Result<bool> {
        let boot = self.tree.stat(self.root, &BOOT)?;
        Ok(boot.is_some_and(|boot| self.intent.boot_bak == Some(boot.inode)))
    }

    pub(super) fn exchange_boot(&mut self, coming: Population) -> Result<()> {
        let Some(old) = self.intent.boot_bak.filter(|_| self.boot == Boot::Exchange) else {
            return Ok(());
        };
        let staged = self.tree.stat(&self.staging, &BOOT_BAK)?;
        let (holder, saved) = match staged {
            Some(saved) => (&self.staging, Some(saved)),
            None => (self.root, self.tree.stat(self.root, &BOOT_BAK)?),
        };
        let (Some(boot), Some(saved)) = (self.tree.stat(self.root, &BOOT)?, saved) else {
            return Ok(());
        };
        // An exchange is its own inverse: the inode number tells if it is due.
        let due = match coming {
            Population::Old => saved.inode == old,
            Population::New => boot.inode == old,
        };
        let here = self.tree.stat_dir(self.root)?;
        let plain = [&boot, &saved]
            .iter()
            .all(|s| s.kind == Kind::Dir && s.device == here.device && s.mount == here.mount);
        if !due || !plain {
            return Ok(());
        }
        let exchanged = self.tree.exchange((self.root, &BOOT), (holder, &BOOT_BAK));
        let exchanged = match exchanged.map_err(Stop::from) {
            Err(stop) => self.tolerated(stop).map(|_| false)?,
            Ok(exchanged) => exchanged,
        };
        if !exchanged {
            let (boot, saved) = ("boot", "boot.bak");
            self.note(format!(
                "'{boot}' and '{saved}' cannot be exchanged here; rename them by hand"
            ));
        }
        Ok(())
    }
}
