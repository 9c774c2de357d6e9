//! The SSH host keys: kept, and closed to others than root.

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Finding, Machine};
use crate::machine::files::{Result, show};
use crate::machine::identity::is_host_key;

const ID: &str = "host-keys";

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    if machine.closure.is_none() {
        return;
    }
    match judge(machine) {
        Ok(found) => findings.extend(found),
        Err(error) => findings.push(Finding::unread(ID, &error)),
    }
}

/// The identity by which SSH clients know the machine.
fn judge(machine: &Machine<'_>) -> Result<Vec<Finding>> {
    let (mut open, mut lost, mut count) = (Vec::new(), Vec::new(), 0);
    for name in machine.files.list("/etc/ssh")? {
        if !is_host_key(name.as_bytes()) || !name.as_bytes().ends_with(b"_key") {
            continue;
        }
        count += 1;
        let path = Path::new("/etc/ssh").join(&name);
        let metadata = machine.files.metadata(&path)?;
        if metadata.is_some_and(|m| m.mode() & 0o077 != 0) {
            open.push(show(&path));
        }
        if !machine.keeps(&show(path.strip_prefix("/").unwrap_or(&path))) {
            lost.push(show(&path));
        }
    }
    let mut findings = Vec::new();
    if !open.is_empty() {
        findings.push(Finding::warning(
            ID,
            format!("others than root may read {}", open.join(", ")),
            "NixOS's sshd would refuse these keys (nixos-infect#120); prepare fixes it",
            format!("chmod 600 {}", open.join(" ")),
        ));
    }
    if !lost.is_empty() {
        findings.push(Finding::warning(
            ID,
            format!("{} are not kept", lost.join(", ")),
            "SSH clients would be told that the machine is another one",
            "Keep them: --keep etc/ssh",
        ));
    }
    if findings.is_empty() {
        let found = match count {
            0 => "there are no SSH host keys to keep".to_owned(),
            n => format!("{n} SSH host keys are kept"),
        };
        findings.push(Finding::ok(ID, found));
    }
    Ok(findings)
}
