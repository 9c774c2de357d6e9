//! The guard: NixOS is never booted on somebody else's root (I7).
//!
//! Asked only in an initrd, and only when there is nothing to do. A false alarm
//! would stop a healthy machine, so it objects only when it is sure.

use crate::engine::facts::Result;
use crate::engine::names::{ETC, MARKER, NIXOS, NIXOS_ROOT, OLD_ROOT, RW_ETC};
use crate::engine::osrelease::{self, MAX_LEN, OS_RELEASE, Release, STATIC};
use crate::engine::osrelease::{leads_into_nixos, release};
use crate::engine::survey::kind_at;
use crate::error::Refusal;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

/// Why nothing is done, for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
    /// There is no marker.
    NoMarker,
    /// `lustrate=plan` is on the kernel command line.
    OnlyPlanned,
}

/// Objects to a root whose os-release, as its own system would find it, has another
/// `ID=` than `system_id`.
///
/// # Errors
/// What the file system answers.
pub(super) fn objection<T: Tree>(
    tree: &T,
    (root, etc): (&T::Dir, Option<&T::Dir>),
    shown: &str,
    system_id: &str,
    idle: Idle,
) -> Result<Option<Refusal>> {
    let content = foreign(tree, root, etc)?;
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

/// The os-release of a root, unless it is NixOS's, or that cannot be told.
fn foreign<T: Tree>(tree: &T, root: &T::Dir, etc: Option<&T::Dir>) -> Result<Option<Vec<u8>>> {
    // The common case first: each call counts when there is nothing to do.
    if let Some(etc) = etc {
        match tree.stat(etc, &OS_RELEASE)?.map(|stat| stat.kind) {
            Some(Kind::File) => return tree.read(etc, &OS_RELEASE, MAX_LEN),
            Some(Kind::Link) if leads_into_nixos(&tree.read_link(etc, &OS_RELEASE)?) => {
                return Ok(None);
            }
            _ => {}
        }
    }
    let found = match release(tree, root, osrelease::ETC_PATH, Last::Follow)? {
        // An `etc` of NixOS may lack it: with the etc overlay, or before its first boot.
        Release::None if !may_be_nixos(tree, root)? => {
            release(tree, root, osrelease::USR, Last::Follow)?
        }
        found => found,
    };
    Ok(match found {
        Release::Read(content) => Some(content),
        _ => None,
    })
}

fn may_be_nixos<T: Tree>(tree: &T, root: &T::Dir) -> Result<bool> {
    for name in [RW_ETC, OLD_ROOT] {
        if tree.stat(root, &name)?.is_some() {
            return Ok(true);
        }
    }
    if kind_at(tree, root, "var/lib/nixos")?.is_some() {
        return Ok(true);
    }
    // No `etc`, or a link that leads nowhere: what is there cannot be told.
    let Found::Here { real, .. } = resolve(tree, root, &ETC.into(), Last::Follow)? else {
        return Ok(true);
    };
    let Some(dir) = tree.open(root, real.names())? else { return Ok(true) };
    // A run makes `NIXOS`; `prepare` too, of which a revert may have brought it back.
    let made = tree.stat(&dir, &NIXOS)?.is_some() && tree.stat(root, &NIXOS_ROOT)?.is_none();
    Ok(made || tree.stat(&dir, &STATIC)?.is_some())
}
