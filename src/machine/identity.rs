//! What `prepare` keeps unless it is told otherwise: the identity of the machine
//! and the way in.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::error::OpError;
use crate::fs::name::RelPath;
use crate::machine::files::{Files, Result};

/// The default keepers that exist below the root.
pub(crate) fn defaults(files: &Files) -> Result<Vec<RelPath>> {
    let (kept, mut unread) = look(files);
    if unread.is_empty() { Ok(kept) } else { Err(unread.remove(0)) }
}

/// Those that are seen to exist, and what could not be read of the others.
#[must_use]
pub(crate) fn look(files: &Files) -> (Vec<RelPath>, Vec<OpError>) {
    let (mut kept, mut unread) = (Vec::new(), Vec::new());
    let mut paths = vec![b"etc/machine-id".to_vec(), b"etc/nixos".to_vec()];
    match files.list("/etc/ssh") {
        Ok(names) => {
            let names = names.iter().map(|name| name.as_bytes()).filter(|name| is_host_key(name));
            paths.extend(names.map(|name| [b"etc/ssh/", name].concat()));
        }
        Err(error) => unread.push(error),
    }
    paths.push(b"root/.nix-defexpr/channels".to_vec());
    paths.push(b"root/.ssh/authorized_keys".to_vec());
    for path in paths.iter().filter_map(|path| RelPath::parse(path).ok()) {
        let inside = Path::new("/").join(OsStr::from_bytes(&path.to_bytes()));
        // A link that leads nowhere is there all the same.
        match files.link(&inside).and_then(|link| Ok(link.is_some() || files.exists(&inside)?)) {
            Ok(true) => kept.push(path),
            Ok(false) => {}
            Err(error) => unread.push(error),
        }
    }
    (kept, unread)
}

/// `ssh_host_ed25519_key`, its public half, and a certificate.
#[must_use]
pub(crate) fn is_host_key(name: &[u8]) -> bool {
    let Some(rest) = name.strip_prefix(b"ssh_host_") else { return false };
    [&b"_key"[..], b"_key.pub", b"_key-cert.pub"].iter().any(|end| rest.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_keys_are_known_by_their_names() {
        assert!(is_host_key(b"ssh_host_rsa_key") && is_host_key(b"ssh_host_ed25519_key.pub"));
        assert!(!is_host_key(b"ssh_host_rsa_key.old") && !is_host_key(b"sshd_config"));
    }
}
