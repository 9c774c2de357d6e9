//! `/nix` to root, where a single-user installation gave it to a user (users.md
//! 20). Only what is not root's is touched: `/nix/store` of a multi-user
//! installation keeps its group.
//!
//! The owners are listed in a file of their own before the first is changed:
//! `UID GID MODE N PATH`, where N bytes are those of the line before. Each further
//! pass, over what came since, has its own file, and they are undone backwards.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};

use nix::errno::Errno;
use nix::fcntl::AtFlags;

use crate::engine::names::NIX;
use crate::fs::disk::Dir;
use crate::fs::name::Name;
use crate::fs::sys::{self, Kind, errno};
use crate::fs::tree::{Stat, Tree};
use crate::prepare::durable::{self, failed, open, parent, set_mode, temporary};
use crate::prepare::escape;
use crate::prepare::notes::Key;
use crate::prepare::site::Site;
use crate::prepare::state_file::HOME;
use crate::prepare::step::{Look, Result, Step};
use crate::term::progress::Unit;

/// Its name in the record.
pub(crate) const NAME: &str = "owners";
/// How many files list owners.
pub(crate) const PASSES: Key<u32> = Key::new("owners");

/// The step.
#[derive(Debug)]
pub(crate) struct Owners;

/// Calls for each file at and below `/nix` that is not root's, until it says
/// that this is enough.
fn foreign(site: &Site, each: &mut dyn FnMut(&[Name], &Stat) -> Result<bool>) -> Result<()> {
    let Some(stat) = site.disk.stat(&site.root, &NIX)? else { return Ok(()) };
    if stat.uid != 0 && !each(&[NIX], &stat)? {
        return Ok(());
    }
    walk(site, &site.dir(&[NIX])?, &mut vec![NIX], each).map(drop)
}

fn walk(
    site: &Site,
    dir: &Dir,
    path: &mut Vec<Name>,
    each: &mut dyn FnMut(&[Name], &Stat) -> Result<bool>,
) -> Result<bool> {
    for name in site.disk.list(dir)? {
        site.watch.pause()?;
        site.watch.add(1);
        let Some(stat) = site.disk.stat(dir, &name)? else { continue };
        path.push(name);
        if *path == HOME {
            path.pop();
            continue; // what is saved has its owners
        }
        let mut more = stat.uid == 0 || each(path, &stat)?;
        if more && stat.kind == Kind::Dir {
            let inner =
                path.last().cloned().map_or(Ok(None), |name| site.disk.open(dir, &[name]))?;
            more = inner.map_or(Ok(true), |inner| walk(site, &inner, path, each))?;
        }
        path.pop();
        if !more {
            return Ok(false);
        }
    }
    Ok(true)
}

fn list_name(pass: u32) -> Name {
    Name::new(format!("owners-{pass}").as_bytes()).unwrap_or(NIX)
}

/// Lists what is not root's; whether there is any.
fn list(site: &Site, name: &Name) -> Result<bool> {
    let home = site.home()?;
    let part = temporary(name);
    site.disk.remove_file(home, &part)?;
    let wrong = |errno| failed(&site.disk, "write", home, Some(&part))(errno);
    let file = std::fs::File::from(sys::make_file(home, &part).map_err(wrong)?);
    let mut file = BufWriter::new(file);
    let (mut last, mut any) = (Vec::new(), false);
    foreign(site, &mut |path, stat| {
        let bytes = path.iter().map(Name::as_bytes).collect::<Vec<_>>().join(&b'/');
        let shared = last.iter().zip(&bytes).take_while(|(a, b)| a == b).count();
        let rest = escape::escape(bytes.get(shared..).unwrap_or_default());
        writeln!(file, "{} {} {:o} {shared} {rest}", stat.uid, stat.gid, stat.mode)
            .map_err(|e| wrong(errno(&e)))?;
        (last, any) = (bytes, true);
        Ok(true)
    })?;
    let file = file.into_inner().map_err(|_| wrong(Errno::EIO))?;
    nix::unistd::fsync(&file).map_err(wrong)?;
    site.disk.replace((home, &part), (home, name))?;
    site.disk.sync(home)?;
    Ok(any)
}

/// Calls for each line of a list.
fn listed(
    site: &Site,
    name: &Name,
    mut each: impl FnMut(&[Name], (u32, u32, u32)) -> Result<()>,
) -> Result<()> {
    let home = site.home()?;
    if site.disk.stat(home, name)?.is_none() {
        return Ok(()); // its pass had not begun
    }
    let damaged = || durable::damaged(&site.disk, home, name);
    let file: File = open(&site.disk, home, name)?;
    let mut last = Vec::new();
    for line in BufReader::new(file).lines() {
        site.watch.pause()?;
        let line = line.map_err(|_| damaged())?;
        let mut fields = line.splitn(5, ' ');
        let mut field = || fields.next().ok_or_else(damaged);
        let number = |text: &str, base| u32::from_str_radix(text, base).map_err(|_| damaged());
        let (uid, gid) = (number(field()?, 10)?, number(field()?, 10)?);
        let (mode, shared) = (number(field()?, 8)?, number(field()?, 10)?);
        let rest = escape::unescape(field()?).ok_or_else(damaged)?;
        last.truncate(usize::try_from(shared).unwrap_or(0));
        last.extend(rest);
        let path = escape::path(&escape::escape(&last)).filter(|p| p.first() == Some(&NIX));
        each(&path.ok_or_else(damaged)?, (uid, gid, mode))?;
        site.watch.add(1);
    }
    Ok(())
}

fn set_owner(site: &Site, path: &[Name], uid: u32, gid: u32) -> Result<Option<(Dir, Name)>> {
    let Some((dir, name)) = parent(&site.disk, &site.root, path)? else { return Ok(None) };
    let flags = AtFlags::AT_SYMLINK_NOFOLLOW;
    match nix::unistd::fchownat(&dir, name.as_os_str(), Some(uid.into()), Some(gid.into()), flags) {
        Ok(()) => Ok(Some((dir, name))),
        Err(Errno::ENOENT) => Ok(None), // collected since
        Err(errno) => Err(failed(&site.disk, "set the owner of", &dir, Some(&name))(errno)),
    }
}

impl Step<Site> for Owners {
    fn name(&self) -> &'static str {
        NAME
    }

    fn title(&self) -> &'static str {
        "owner of /nix"
    }

    fn look(&self, site: &Site) -> Result<Look> {
        let mut first = None;
        site.watch.begin("Looking for files in /nix that are not root's", Unit::Files, None);
        foreign(site, &mut |path, stat| {
            first = Some((escape::of_path(path), stat.uid));
            Ok(false)
        })?;
        site.watch.end();
        Ok(match first {
            Some((path, uid)) => Look::Due(format!("to root; /{path} is user {uid}'s")),
            None => Look::Skip("it is root's".into()),
        })
    }

    fn record(&self, site: &mut Site) -> Result<()> {
        let passes = site.state.notes.get(&PASSES)?;
        site.state.notes.set(&PASSES, &(passes + 1))
    }

    fn carry_out(&self, site: &mut Site) -> Result<()> {
        let name = list_name(site.state.notes.get(&PASSES)?);
        site.watch.begin("Listing the owners in /nix", Unit::Files, None);
        list(site, &name)?;
        site.watch.begin("Giving /nix to root", Unit::Files, None);
        listed(site, &name, |path, _| set_owner(site, path, 0, 0).map(drop))?;
        site.watch.end();
        Ok(site.disk.sync(&site.dir(&[NIX])?)?)
    }

    fn undo(&self, site: &mut Site) -> Result<Vec<String>> {
        site.watch.begin("Giving /nix back", Unit::Files, None);
        for pass in (1..=site.state.notes.get(&PASSES)?).rev() {
            listed(site, &list_name(pass), |path, (uid, gid, mode)| {
                // A change of owner takes set-id bits away.
                match set_owner(site, path, uid, gid)? {
                    Some((dir, name)) if mode & 0o6000 != 0 => {
                        set_mode(&site.disk, &dir, &name, mode)
                    }
                    _ => Ok(()),
                }
            })?;
        }
        site.watch.end();
        site.disk.sync(&site.dir(&[NIX])?)?;
        site.state.notes.set(&PASSES, &0)?;
        Ok(Vec::new())
    }
}
