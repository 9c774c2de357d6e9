//! A machine made of files: a root with Debian and a built system, and
//! directories that stand in for `/proc`, `/sys`, `/dev` and `/run`. As it is
//! made, nothing on it blocks.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use nixos_lustrate::check::{self, Finding, Level, Options, Report};

use crate::common::system::{ROOT_UUID, System};

static NEXT: AtomicUsize = AtomicUsize::new(0);

/// The machine; its files are gone with it.
pub(crate) struct Machine {
    base: PathBuf,
    pub(crate) options: Options,
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

impl Machine {
    /// With the system that is as it should be.
    pub(crate) fn new() -> Self {
        Self::with(&System::new())
    }

    pub(crate) fn with(system: &System) -> Self {
        let machine = Self::bare();
        system.place(&machine.root());
        machine
    }

    /// Without a built system.
    pub(crate) fn bare() -> Self {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("check-{}-{number}", std::process::id());
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let mut options = Options::new(base.join("root"));
        let sources = &mut options.sources;
        sources.proc = base.join("proc");
        sources.sys = base.join("sys");
        sources.dev = base.join("dev");
        sources.run = base.join("run");
        "x86_64".clone_into(&mut sources.arch);
        sources.now = 1_800_000_000;
        sources.running = true;
        let machine = Self { base, options };
        machine.file("root/etc/os-release", "ID=debian\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
        machine.file("root/etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        machine.file("root/etc/fstab", &format!("UUID={ROOT_UUID} / ext4 defaults 0 1\n"));
        machine.file("root/usr/bin/true", "");
        machine.directory("root/boot");
        machine.directory("sys/firmware/efi");
        machine.mounts(&[
            "21 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw",
            "30 21 254:15 / /boot rw,relatime - vfat /dev/vda15 rw",
        ]);
        machine
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.base.join("root")
    }

    /// Writes a file, `root/…`, `proc/…`, `sys/…`, `dev/…` or `run/…`.
    pub(crate) fn file(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.base.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
        fs::write(path, content).expect("a file");
    }

    pub(crate) fn directory(&self, path: &str) {
        fs::create_dir_all(self.base.join(path)).expect("a directory");
    }

    pub(crate) fn link(&self, path: &str, target: &str) {
        let path = self.base.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
        let _ = fs::remove_file(&path);
        symlink(target, path).expect("a link");
    }

    pub(crate) fn remove(&self, path: &str) {
        let path = self.base.join(path);
        fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path)).expect("removed");
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// The lines of the mount table.
    pub(crate) fn mounts(&self, lines: &[&str]) {
        self.file("proc/self/mountinfo", lines.join("\n") + "\n");
    }

    pub(crate) fn report(&self) -> Report {
        check::examine(&self.options).expect("a report")
    }

    /// Panics unless the check's worst finding has this level and says these.
    #[track_caller]
    pub(crate) fn expect(&self, id: &str, level: Level, says: &[&str]) -> Finding {
        let report = self.report();
        let text = report.to_text(check::Colour::None);
        let found = report.find(id).unwrap_or_else(|| panic!("no finding {id}:\n{text}"));
        assert_eq!(found.level, level, "{found:#?}");
        assert!(found.checked, "{found:#?}");
        let all = [Some(&found.found), found.consequence.as_ref(), found.mend.as_ref()];
        let all = all.into_iter().flatten().cloned().collect::<Vec<_>>().join(". ");
        for part in says {
            assert!(all.contains(part), "no {part:?} in: {all}");
        }
        found.clone()
    }

    #[track_caller]
    pub(crate) fn ok(&self, id: &str) -> Finding {
        self.expect(id, Level::Ok, &[])
    }

    /// Panics unless the check says that it could not examine it.
    #[track_caller]
    pub(crate) fn unchecked(&self, id: &str, says: &str) {
        let report = self.report();
        let found = report.findings.iter().find(|f| f.id == id && !f.checked);
        let found = found.unwrap_or_else(|| panic!("{id} is checked: {report:#?}"));
        assert_eq!(found.level, Level::Warning);
        assert!(found.found.contains(says), "no {says:?} in {found:#?}");
    }
}
