//! The guard: NixOS is never booted on somebody else's root (I7).
//!
//! Asked only in an initrd, and only when there is nothing to do. A false alarm
//! would stop a healthy machine, so it objects only when it is sure.

use crate::engine::facts::Result;
use crate::engine::names::{ETC, MARKER, NIX};
use crate::engine::osrelease::{self, MAX_LEN, OS_RELEASE};
use crate::error::Refusal;
use crate::fs::name::{Name, RelPath};
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

const STATIC: Name = Name::literal("static");

/// Why nothing is done, for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// There is no marker.
    NoMarker,
    /// `lustrate=plan` is on the kernel command line.
    OnlyPlanned,
}

/// Objects to a root whose `etc` has an os-release with another `ID=` than
/// `system_id`.
pub(super) fn objection<T: Tree>(
    tree: &T,
    (root, etc): (&T::Dir, &T::Dir),
    shown: &str,
    system_id: &str,
    idle: Idle,
) -> Result<Option<Refusal>> {
    let content = match tree.stat(etc, &OS_RELEASE)?.map(|stat| stat.kind) {
        Some(Kind::File) => tree.read(etc, &OS_RELEASE, MAX_LEN)?,
        Some(Kind::Link) if !leads_into_nixos(&tree.read_link(etc, &OS_RELEASE)?) => {
            behind_link(tree, root)?
        }
        _ => None,
    };
    let found = content.map(|content| osrelease::parse(&content));
    let Some(other) = found.filter(|os| os.id.as_ref().is_some_and(|id| id != system_id)) else {
        return Ok(None);
    };
    let name = &other.name;
    let (why, lustrate) = match idle {
        Idle::NoMarker => (
            "no marker asks for its lustration",
            format!("To lustrate it after all: touch {shown}/etc/{MARKER}, and boot again"),
        ),
        Idle::OnlyPlanned => (
            "lustrate=plan only shows what its lustration would do",
            "To lustrate it: boot again without lustrate=plan".to_owned(),
        ),
    };
    Ok(Some(Refusal::new(
        format!("{shown} holds {name}, and {why}"),
        "NixOS would have activated itself over the files of that system",
        format!(
            "To boot {name}, choose it in the boot menu. {lustrate}. To boot NixOS all the \
             same: lustrate=off on the kernel command line"
        ),
    )))
}

/// NixOS's own link leads to `/etc/static/os-release`, and that into the store.
fn leads_into_nixos(target: &[u8]) -> bool {
    let path = target.strip_prefix(b"/").unwrap_or(target);
    match RelPath::parse(path) {
        Ok(path) => match path.names() {
            [first, ..] if *first == NIX || *first == STATIC => true,
            [first, second, ..] => *first == ETC && *second == STATIC,
            _ => false,
        },
        Err(_) => false,
    }
}

fn behind_link<T: Tree>(tree: &T, root: &T::Dir) -> Result<Option<Vec<u8>>> {
    let Some(path) = RelPath::new(vec![ETC, OS_RELEASE]) else { return Ok(None) };
    let Found::Here { real, .. } = resolve(tree, root, &path, Last::Follow)? else {
        return Ok(None);
    };
    if *real.entry() == NIX {
        return Ok(None);
    }
    match tree.open(root, real.parents())? {
        Some(dir) => tree.read(&dir, real.last(), MAX_LEN),
        None => Ok(None),
    }
}
