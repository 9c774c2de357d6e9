//! What was asked for: the system and the keep-list, as found on the machine.

use std::os::unix::ffi::OsStrExt;

use super::site::{Site, Wish};
use super::written::Written;
use super::{Prepare, untouched, wildcards};
use crate::check::DefaultKeep;
use crate::engine::names::NIX;
use crate::error::{Error, Refusal};
use crate::fs::name::{Name, RelPath, Shown};
use crate::fs::walk;
use crate::machine::files::Files;
use crate::machine::identity;
use crate::system::bootspec;

/// What was asked for, as far as it can be found on the machine.
pub(super) fn wish(site: &Site, options: &Prepare) -> Result<Wish, Error> {
    let shown = Shown(options.system.as_os_str().as_bytes()).to_string();
    let no_system = || {
        Refusal::new(
            format!("{shown} leads to no system in {}/nix/store", site.base()),
            "There is nothing to boot",
            "Build the system first, or give it: --system PATH",
        )
    };
    let path = options.system.as_os_str().as_bytes();
    let path = RelPath::parse(path).map_err(|_| no_system())?;
    let real = walk::real(&site.disk, &site.root, path.names()).map_err(Refusal::from)?;
    let store = [NIX, Name::literal("store")];
    let real = real.filter(|real| real.starts_with(&store) && real.len() == 3);
    let system = real.and_then(RelPath::new).ok_or_else(no_system)?;
    let mut keep = match options.default_keep {
        DefaultKeep::No => Vec::new(),
        DefaultKeep::Yes => {
            identity::defaults(&Files::new(&options.root)).map_err(Refusal::from)?
        }
    };
    for pattern in &options.keep {
        let found = wildcards::expand(&site.disk, &site.root, pattern).map_err(Refusal::from)?;
        if found.is_empty() {
            log::warn!("Nothing matches --keep {pattern}");
        }
        keep.extend(found);
    }
    let files = Files::new(&options.root);
    let spec = files.read(format!("/{system}/boot.json")).map_err(Refusal::from)?;
    let spec = spec.and_then(|spec| bootspec::parse(&spec).ok());
    keep.extend(bootspec::kept(&files, spec.as_ref()).map_err(Refusal::from)?);
    let clear_esp = options.flags.clear_esp;
    let written = Written::of(&files, &system).map_err(untouched)?;
    let mut wish = Wish { system: Some(system), keep: Vec::new(), clear_esp, written };
    for path in keep {
        if let Some(why) = wildcards::unwritable(&path) {
            return Err(Error::Usage(why));
        }
        if !wish.keep.contains(&path) {
            wish.keep.push(path);
        }
    }
    Ok(wish)
}
