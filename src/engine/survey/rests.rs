//! What stays in the root, and leads to something in it that would move (I8): by
//! links, or because that is mounted there now.

use super::keeps::keep;
use crate::engine::facts::{Entry, Environment, Keep, Rest, Result};
use crate::engine::names::{BOOT, NIX};
use crate::fs::name::{Name, RelPath};
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
    let mut rests = Vec::new();
    for name in [NIX, BOOT] {
        let is_link = |e: &Entry| e.name == name && e.stat.kind == Kind::Link;
        let at = if entries.iter().any(is_link) {
            let rest = linked(tree, (root, staging), name.clone().into())?;
            let source = rest.source.as_ref().map(|keep| keep.asked.names().to_vec());
            rests.push(rest);
            source
        } else {
            Some(vec![name.clone()])
        };
        let store = Name::literal("store");
        if name == NIX
            && let Some(nix) = at
            && let Some(dir) = tree.open(root, &nix)?
            && tree.stat(&dir, &store)?.is_some_and(|s| s.kind == Kind::Link)
            && let Some(path) = RelPath::new(vec![NIX, store])
        {
            rests.push(linked(tree, (root, None), path)?);
        }
    }
    for bind in &environment.binds {
        let source = bind.source.clone().map(|source| keep(tree, root, source)).transpose()?;
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
            let mut keep = keep(tree, base, real)?;
            if let Found::Here { links, .. } | Found::Subvolume { links, .. } = &mut keep.found {
                *links = on_the_way;
            }
            Some(keep)
        }
        found => Some(Keep { asked: point.clone(), found, target: None }),
    };
    Ok(Rest { point, link: true, source })
}
