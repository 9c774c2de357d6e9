//! Homes that stay, and the ids of the users that the configuration makes.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::Machine;
use crate::check::Finding;
use crate::check::then::leads;
use crate::machine::files::Result;
use crate::system::facts::Users;

const ID: &str = "homes";

/// The id that each user has then, in their order. Activation gives a normal user
/// without one the lowest that is free from 1000 on, in the order of names, unless
/// `/etc/passwd` has the user already.
pub(super) fn ids(machine: &Machine<'_>, users: &Users) -> Result<Vec<Option<u32>>> {
    let mut passwd = String::new();
    if leads(machine, Path::new("/etc/passwd"))?.is_some() {
        passwd = machine.files.text("/etc/passwd")?.unwrap_or_default();
    }
    let kept = |name: &str| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok()).flatten()
        })
    };
    let known: Vec<Option<u32>> =
        users.list.iter().map(|user| user.uid.or_else(|| kept(&user.name))).collect();
    let mut used: BTreeSet<u32> = known.iter().flatten().copied().collect();
    let hands_out = users.manager.as_deref() == Some("perl");
    let give = |(user, known): (&crate::system::facts::User, Option<u32>)| {
        if known.is_some() || !hands_out || user.normal != Some(true) {
            return known;
        }
        let free = (1000..30_000).find(|id| !used.contains(id));
        used.extend(free);
        free
    };
    Ok(users.list.iter().zip(known).map(give).collect())
}

pub(super) fn examine(machine: &Machine<'_>, users: &Users) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let mut fine = 0;
    for (user, uid) in users.list.iter().zip(ids(machine, users)?) {
        let Some(home) = user.home.as_deref().filter(|_| user.lets_in && user.name != "root")
        else {
            continue;
        };
        let Some(real) = leads(machine, Path::new(home))? else { continue };
        let Some(metadata) = machine.files.metadata_of(&real)? else { continue };
        let (owner, name) = (metadata.uid(), &user.name);
        if uid == Some(owner) {
            fine += 1;
            continue;
        }
        let gets = uid.map_or_else(
            || format!("{name} has no fixed uid"),
            |uid| format!("{name} has the uid {uid}"),
        );
        findings.push(Finding::warning(
            ID,
            format!("{home} stays and belongs to the uid {owner}, and in the configuration {gets}"),
            "The user could not read the files in it, and sshd would not read keys there \
             (nixpkgs#122774)",
            format!("users.users.{name}.uid = {owner};"),
        ));
    }
    if findings.is_empty() && fine > 0 {
        findings.push(Finding::ok(ID, "the homes that stay belong to the users that it makes"));
    }
    Ok(findings)
}
