//! The roots that are lustrated: what is in them, and what is kept.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::Path;

/// A kind of root.
#[derive(Clone, Debug)]
pub struct Work {
    pub name: String,
    /// Entries besides nix, boot and etc, by number, every tenth a directory.
    entries: usize,
    /// What is kept.
    pub keepers: Vec<String>,
    /// In one of the keepers: a file with this many MiB of nothing; files.
    hole: u64,
    files: usize,
    is_typical: bool,
}

const TYPICAL: [&str; 12] = [
    "dev",
    "lost+found",
    "media",
    "mnt",
    "opt",
    "proc",
    "run",
    "srv",
    "sys",
    "tmp",
    "usr",
    "var/lib/app",
];
const KEPT: [&str; 5] =
    ["etc/nixos", "etc/ssh/ssh_host_ed25519_key", "home", "root/.ssh", "var/lib/app"];
/// How deep the keepers of `Work::keepers` are.
const DEPTH: usize = 10;

impl Work {
    /// 25 entries, 5 keepers.
    pub fn typical() -> Self {
        let keepers = KEPT.map(str::to_owned).into();
        let name = "typical root".to_owned();
        Self { name, entries: 0, keepers, hole: 0, files: 0, is_typical: true }
    }

    pub fn sparse(mebibytes: u64) -> Self {
        let name = format!("keeper of {} GiB, sparse", mebibytes / 1024);
        Self { name, hole: mebibytes, ..Self::typical() }
    }

    pub fn files(count: usize) -> Self {
        Self { name: format!("keeper of {count} files"), files: count, ..Self::typical() }
    }

    /// With five keepers in three of the entries.
    pub fn entries(count: usize) -> Self {
        let keepers = (0..5).map(|at| format!("entry-{:06}/lib/keeper-{at}", at / 2 * 10));
        let (keepers, name) = (keepers.collect(), format!("{count} entries"));
        Self { name, entries: count, keepers, hole: 0, files: 0, is_typical: false }
    }

    /// Ten to a directory; those are in as many of a hundred entries as there are.
    pub fn keepers(count: usize) -> Self {
        let keeper = |at: usize| {
            let leaf = at / 10;
            let level = |level| format!("level-{level}-{}", leaf / 100);
            let way = (2..DEPTH - 1).map(level).collect::<Vec<_>>().join("/");
            format!("entry-{:06}/{way}/leaf/keeper-{}", leaf % 100 * 10, at % 10)
        };
        let (keepers, name) = ((0..count).map(keeper).collect(), format!("{count} keepers"));
        Self { name, entries: 1_000, keepers, hole: 0, files: 0, is_typical: false }
    }

    /// So many entries that the shell, with a process for each, takes minutes, and
    /// so does a run that strace stops at every rename.
    pub fn is_huge(&self) -> bool {
        self.entries > 50_000
    }

    /// How often to try the shell, of `rounds`: what takes it ten thousand
    /// processes takes seconds, and is a median in itself.
    pub fn rounds_for_a_shell(&self, rounds: usize) -> usize {
        match self.entries.max(self.keepers.len()) {
            5_000.. => 1,
            500.. => rounds.min(3),
            _ if self.files > 1_000 || self.hole > 0 => rounds.min(3),
            _ => rounds,
        }
    }

    /// Makes it in an empty file system.
    pub fn make(&self, root: &Path) {
        let directory = |path: &str| fs::create_dir_all(root.join(path)).expect("a directory");
        let file = |path: &str| File::create(root.join(path)).map(drop).expect("a file");
        for name in ["nix/store", "boot", "etc"] {
            directory(name);
        }
        if self.is_typical {
            TYPICAL.into_iter().for_each(directory);
            for name in ["etc/nixos", "etc/ssh", "home/alice", "root/.ssh", "data"] {
                directory(name);
            }
            for name in [KEPT[1], ".hidden", "vmlinuz", "initrd.img"] {
                file(name);
            }
            for name in ["bin", "sbin", "lib", "lib64"] {
                symlink(format!("usr/{name}"), root.join(name)).expect("a link");
            }
        }
        for at in 0..self.entries {
            let name = format!("entry-{at:06}");
            if at % 10 == 0 { directory(&name) } else { file(&name) }
        }
        for keeper in self.keepers.iter().filter(|_| !self.is_typical) {
            let (parent, _) = keeper.rsplit_once('/').expect("a nested keeper");
            directory(parent);
            file(keeper);
        }
        for at in 0..self.files {
            if at % 1_000 == 0 {
                directory(&format!("var/lib/app/{}", at / 1_000));
            }
            file(&format!("var/lib/app/{}/{at}", at / 1_000));
        }
        if self.hole > 0 {
            let image = File::create(root.join("var/lib/app/image")).expect("a file");
            image.set_len(self.hole << 20).expect("a hole");
        }
        self.ask(root);
    }

    /// Writes the marker.
    pub fn ask(&self, root: &Path) {
        let list = self.keepers.join("\n") + "\n";
        fs::write(root.join("etc/NIXOS_LUSTRATE"), list).expect("a marker");
    }
}

/// The names in a directory, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("a name of text")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort_unstable();
    names
}
