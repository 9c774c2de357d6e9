//! What stays in the root, and leads to something in it that would move (I8): by
//! links, or because that is mounted there now.

use super::evidence::kind_at;
use super::keeps::keep;
use crate::engine::facts::{Entry, Environment, Keep, Rest, Result};
use crate::fs::name::RelPath;
use crate::fs::sys::Kind;
use crate::fs::tree::Tree;
use crate::fs::walk::{Found, Last, resolve};

/// Everything that rests on something in the root. What an interrupted stock
/// lustration has moved is in `staging`.
pub(super) fn rests<T: Tree>(
    tree: &T,
    (root, staging): (&T::Dir, Option<&T::Dir>),
    entries: &[Entry],
    environment: &Environment,
) -> Result<Vec<Rest>> {
    let mut rests: Vec<Rest> = Vec::new();
    for text in ["nix", "nix/store", "boot"] {
        let Ok(path) = RelPath::parse(text.as_bytes()) else { continue };
        let link = if path.is_entry() {
            entries.iter().any(|e| e.name == *path.entry() && e.stat.kind == Kind::Link)
        } else {
            // Behind a link that is `nix` itself it cannot be seen without following.
            !rests.is_empty() || kind_at(tree, root, text)? == Some(Kind::Link)
        };
        if link {
            rests.push(linked(tree, (root, staging), path)?);
        }
    }
    for bind in &environment.binds {
        let here = tree.stat_dir(root)?;
        let source =
            bind.source.clone().map(|source| keep(tree, (root, &here), source)).transpose()?;
        rests.push(Rest { point: bind.point.clone(), link: false, source });
    }
    Ok(rests)
}

fn linked<T: Tree>(
    tree: &T,
    (root, staging): (&T::Dir, Option<&T::Dir>),
    point: RelPath,
) -> Result<Rest> {
    let mut base = root;
    let mut found = resolve(tree, root, &point, Last::Through)?;
    if let (Found::Missing, Some(staging), [name]) = (&found, staging, point.names())
        && let Ok(path) = RelPath::parse(&tree.read_link(root, name)?)
    {
        base = staging;
        found = resolve(tree, staging, &path, Last::Through)?;
    }
    let source = match found {
        Found::Root => None,
        Found::Here { real, links: on_the_way, .. } => {
            let mut keep = keep(tree, (base, &tree.stat_dir(base)?), real)?;
            if let Found::Here { links, .. } | Found::Subvolume { links, .. } = &mut keep.found {
                *links = on_the_way;
            }
            Some(keep)
        }
        found => Some(Keep { asked: point.clone(), found, target: None }),
    };
    Ok(Rest { point, link: true, source })
}
