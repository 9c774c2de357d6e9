//! Every file system that a root can be on, and `/nix` on one of its own.

use crate::lab::boot::Boot;
use crate::lab::check::assert_lustrated;
use crate::lab::disk::{Content, Disk};
use crate::lab::layout::{Fs, Layout, Nix};
use crate::lab::population::{KEEP, Population, keepers};
use crate::lab::stage1::Kind;

fn lustrated(kind: Kind, fs: Fs, nix: Nix) {
    let disk = Disk::new(Content { fs, nix, population: Population::Debian });
    disk.schedule(&KEEP);
    let before = disk.manifest();
    let layout = Layout { nix, ..Layout::new(fs) };
    let more = (nix == Nix::Disk).then(Disk::nix);
    let mut boot = Boot::new(kind, layout, &disk);
    if let Some(more) = &more {
        boot = boot.and(more);
    }
    let ended = boot.run();
    let report = ended.sound();
    if nix != Nix::Root && !report.mounts.contains_key("/nix") {
        ended.fail("/nix is not mounted");
    }
    assert_lustrated(&before, &disk.manifest(), &keepers());
}

in_both!(xfs);

fn xfs(kind: Kind) {
    lustrated(kind, Fs::Xfs, Nix::Root);
}

in_both!(a_btrfs_subvolume_with_nix_in_another);

fn a_btrfs_subvolume_with_nix_in_another(kind: Kind) {
    lustrated(kind, Fs::Btrfs, Nix::Subvolume);
}

in_both!(nix_on_another_disk);

fn nix_on_another_disk(kind: Kind) {
    lustrated(kind, Fs::Ext4, Nix::Disk);
}
