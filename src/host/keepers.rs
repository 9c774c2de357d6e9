//! What `prepare` keeps unless it is told otherwise: the identity of the machine
//! and the way in.

use std::os::unix::ffi::OsStrExt;

use super::files::{Files, Result};
use crate::name::{Name, RelPath};

/// The default keepers that exist below the root.
///
/// # Errors
/// What could not be read.
pub fn defaults(files: &Files) -> Result<Vec<RelPath>> {
    let mut paths = vec![b"etc/machine-id".to_vec(), b"etc/nixos".to_vec()];
    for name in files.list("/etc/ssh")? {
        let name = name.as_bytes();
        if is_host_key(name) {
            paths.push([b"etc/ssh/", name].concat());
        }
    }
    paths.push(b"root/.nix-defexpr/channels".to_vec());
    paths.push(b"root/.ssh/authorized_keys".to_vec());
    let mut kept = Vec::new();
    for path in paths {
        let names: std::result::Result<Vec<_>, _> =
            path.split(|&b| b == b'/').map(Name::new).collect();
        let Some(path) = names.ok().and_then(RelPath::new) else { continue };
        let inside = std::path::Path::new("/").join(std::ffi::OsStr::from_bytes(&path.to_bytes()));
        // A link that leads nowhere is there all the same.
        if files.link(&inside)?.is_some() || files.exists(&inside)? {
            kept.push(path);
        }
    }
    Ok(kept)
}

/// `ssh_host_ed25519_key`, its public half, and a certificate.
#[must_use]
pub fn is_host_key(name: &[u8]) -> bool {
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
