//! The keys by which sshd lets a user in, as the new root has them.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::{Login, Machine};
use crate::check::then::leads;
use crate::machine::files::{Result, show};
use crate::machine::keys::{Key, keys};
use crate::system::sshd_config::Settings;

/// What sshd finds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Keys {
    /// How many let in.
    pub usable: usize,
    /// Why it is not known whether more do.
    pub unknown: Vec<String>,
    /// Why others do not.
    pub useless: Vec<String>,
}

impl Keys {
    /// Whether there is something like a key.
    pub(super) fn any(&self) -> bool {
        self.usable > 0 || !self.useless.is_empty() || !self.unknown.is_empty()
    }
}

pub(super) fn of(machine: &Machine<'_>, settings: &Settings, login: &Login<'_>) -> Result<Keys> {
    let mut found = Keys::default();
    let name = &login.user.name;
    let home = home(login);
    let default = [".ssh/authorized_keys".to_owned(), ".ssh/authorized_keys2".to_owned()];
    let files = match settings.all("authorizedkeysfile") {
        [] => &default[..],
        [none] if none == "none" => &[],
        files => files,
    };
    for file in files {
        let path = home.join(expanded(file, login));
        let Some(source) = source(machine, &path)? else {
            found.useless.extend(lost(machine, &path, name)?);
            continue;
        };
        let shown = show(&path);
        // What activation makes below /etc is root's; what is above it stays.
        let real = match &source {
            Source::Kept(real) => real,
            Source::Built(_) => Path::new("/"),
        };
        if settings.is_on("strictmodes", true)
            && let Some(why) = refused(machine, real, &home, login)?
        {
            found.useless.push(format!("sshd does not read {shown}, of {name}: {why}"));
            continue;
        }
        let text = machine.files.text(source.path())?.unwrap_or_default();
        for key in keys(&text, machine.sources.now) {
            match key {
                Key::LetsIn => found.usable += 1,
                Key::Authority => {
                    found.unknown.push(format!("{shown} lets {name} in by a certificate"));
                }
                Key::Useless(what) => found.useless.push(format!("{shown} of {name} has {what}")),
            }
        }
    }
    // In the home, where sshd does not look.
    let usual = home.join(".ssh/authorized_keys");
    let looked_at = files.iter().any(|file| home.join(expanded(file, login)) == usual);
    if !looked_at && matches!(source(machine, &usual)?, Some(Source::Kept(_))) {
        found.useless.push(format!("sshd of the configuration does not read {}", show(&usual)));
    }
    for (keyword, what) in
        [("authorizedkeyscommand", "a program"), ("trustedusercakeys", "certificates")]
    {
        if settings.first(keyword).is_some_and(|value| value != "none") {
            found.unknown.push(format!("{what} may let {name} in"));
        }
    }
    Ok(found)
}

pub(super) fn home(login: &Login<'_>) -> PathBuf {
    let user = login.user;
    match &user.home {
        Some(home) => PathBuf::from(home),
        None if user.name == "root" => "/root".into(),
        None => Path::new("/home").join(&user.name),
    }
}

/// `%h`, `%u`, `%U` and `%%`; what is relative is in the home.
fn expanded(file: &str, login: &Login<'_>) -> String {
    let mut found = String::new();
    let mut chars = file.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('%', Some('h')) => found.push_str(&show(&home(login))),
            ('%', Some('u')) => found.push_str(&login.user.name),
            ('%', Some('U')) => {
                found.push_str(&login.uid.map_or_else(|| "?".to_owned(), |uid| uid.to_string()));
            }
            ('%', Some('%')) => found.push('%'),
            _ => {
                found.push(c);
                continue;
            }
        }
        chars.next();
    }
    found
}

/// Where a file of the new root is now.
enum Source {
    /// In the closure.
    Built(PathBuf),
    /// Where it stays: its real path.
    Kept(PathBuf),
}

impl Source {
    fn path(&self) -> &Path {
        match self {
            Self::Built(path) | Self::Kept(path) => path,
        }
    }
}

fn source(machine: &Machine<'_>, path: &Path) -> Result<Option<Source>> {
    if let (Ok(inside), Some(closure)) = (path.strip_prefix("/etc"), &machine.closure) {
        let built = closure.top.join("etc").join(inside);
        if machine.files.exists(&built)? {
            return Ok(Some(Source::Built(built)));
        }
    }
    Ok(leads(machine, path)?.map(Source::Kept))
}

/// Keys that are there now, and not then, though they seem to be kept.
fn lost(machine: &Machine<'_>, path: &Path, name: &str) -> Result<Option<String>> {
    let kept = machine.keeps(&show(path.strip_prefix("/").unwrap_or(path)));
    let Some(real) = machine.files.real(path)?.filter(|_| kept) else { return Ok(None) };
    let shown = show(path);
    Ok((real != path)
        .then(|| format!("{shown} of {name} leads to {}, which moves away", show(&real))))
}

/// `StrictModes`: the file and the directories above it, up to the home, belong to
/// root or the user, and nobody else may write there.
fn refused(
    machine: &Machine<'_>,
    real: &Path,
    home: &Path,
    login: &Login<'_>,
) -> Result<Option<String>> {
    let real_home = machine.files.real(home)?.unwrap_or_else(|| home.to_owned());
    for place in real.ancestors() {
        // Activation gives a home that it creates its owner and mode; /root always.
        let is_home = place == real_home;
        let is_set = is_home && (login.user.create_home == Some(true) || login.user.name == "root");
        if let Some(metadata) = machine.files.metadata_of(place)?.filter(|_| !is_set) {
            let mode = metadata.mode() & 0o7777;
            if mode & 0o022 != 0 {
                let shown = show(place);
                return Ok(Some(format!(
                    "others may write to {shown} ({mode:04o}); chmod go-w {shown}"
                )));
            }
            let owner = metadata.uid();
            if owner != 0 && login.uid.is_some_and(|uid| uid != owner) {
                return Ok(Some(format!("{} belongs to the uid {owner}", show(place))));
            }
        }
        if is_home {
            break;
        }
    }
    Ok(None)
}
