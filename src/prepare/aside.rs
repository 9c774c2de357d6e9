//! Replaces a file so that the original, the same inode, can come back: it gets
//! a second name first, and then the new one takes its name in one step.

use nix::errno::Errno;
use nix::fcntl::AtFlags;

use super::durable::{failed, put, temporary};
use super::step::Result;
use crate::fs::disk::{Dir, Disk};
use crate::fs::name::Name;
use crate::fs::tree::Tree;

/// The second name of the original.
fn second(name: &Name) -> Name {
    Name::new(&[b".", name.as_bytes(), b".before"].concat()).unwrap_or_else(|_| temporary(name))
}

/// Replaces `name` by a file with this content; repeated, the first original
/// stays the one that comes back.
pub(crate) fn replace(disk: &Disk, dir: &Dir, name: &Name, content: &[u8]) -> Result<()> {
    let aside = second(name);
    let (from, to) = (name.as_os_str(), aside.as_os_str());
    match nix::unistd::linkat(dir, from, dir, to, AtFlags::empty()) {
        Ok(()) | Err(Errno::EEXIST) => {}
        Err(errno) => return Err(failed(disk, "link", dir, Some(name))(errno)),
    }
    put(disk, dir, name, content)
}

/// Gives the original its name back; without one nothing is done.
pub(crate) fn give_back(disk: &Disk, dir: &Dir, name: &Name) -> Result<()> {
    let aside = second(name);
    if disk.stat(dir, &aside)?.is_some() {
        disk.replace((dir, &aside), (dir, name))?;
        // A rename between two names of one inode does nothing.
        disk.remove_file(dir, &aside)?;
    }
    Ok(disk.sync(dir)?)
}
