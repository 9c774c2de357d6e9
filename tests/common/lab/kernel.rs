//! Debian's kernel, taken from its package without installing it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache;
use super::host::{filter, output, run};

const XZ_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];

/// An uncompressed kernel (decompressing it costs 3 s a boot under TCG) and
/// its modules.
pub struct Kernel {
    pub release: String,
    pub vmlinux: PathBuf,
    /// As it was packaged, for a boot loader.
    pub vmlinuz: PathBuf,
    modules: PathBuf,
}

impl Kernel {
    /// The kernel that `linux-image-amd64` stands for today.
    pub fn debian() -> Self {
        let depends = run("apt-cache", &["depends", "--important", "linux-image-amd64"]);
        let package = depends
            .split_whitespace()
            .find(|word| word.starts_with("linux-image-") && word.contains('.'))
            .expect("apt knows linux-image-amd64; run apt-get update");
        let policy = run("apt-cache", &["policy", package]);
        let version = policy
            .split_once("Candidate: ")
            .and_then(|(_, rest)| rest.split_whitespace().next())
            .expect("a candidate version");
        let folder = cache::once(package, &format!("{version}-with-vmlinuz"), |place| {
            unpack(package, place);
        });
        let release = package.trim_start_matches("linux-image-").to_owned();
        Self {
            vmlinux: folder.join("vmlinux"),
            vmlinuz: folder.join("vmlinuz"),
            modules: folder.join("lib/modules").join(&release),
            release,
        }
    }

    /// The files of these modules and of what they need, each after its
    /// needs, as (path below `/lib/modules/RELEASE`, content).
    pub fn modules(&self, names: &[&str]) -> Vec<(String, Vec<u8>)> {
        let index = fs::read_to_string(self.modules.join("modules.dep")).expect("modules.dep");
        let mut ordered: Vec<String> = Vec::new();
        for name in names {
            let file = format!("/{name}.ko");
            let Some(line) = index.lines().find(|line| line.contains(&format!("{file}:"))) else {
                continue; // built in
            };
            let (module, needs) = line.split_once(':').expect("a line of modules.dep");
            // The needs are listed nearest first.
            for path in needs.split_whitespace().rev().chain([module]) {
                if !ordered.iter().any(|known| known == path) {
                    ordered.push(path.to_owned());
                }
            }
        }
        let read = |path: String| {
            let content = fs::read(self.modules.join(&path)).expect("a module");
            (path, content)
        };
        ordered.into_iter().map(read).collect()
    }

    /// What modprobe reads to find a module by name or alias.
    pub fn indexes(&self) -> Vec<(String, Vec<u8>)> {
        let names = ["dep.bin", "alias.bin", "builtin.bin", "builtin.alias.bin", "softdep"];
        let read = |name: &str| {
            let name = format!("modules.{name}");
            fs::read(self.modules.join(&name)).ok().map(|content| (name, content))
        };
        names.into_iter().filter_map(read).collect()
    }
}

fn unpack(package: &str, place: &Path) {
    fs::create_dir_all(place).expect("a folder for the kernel");
    output(Command::new("apt-get").args(["-q", "download", package]).current_dir(place));
    let file_name = run("sh", &["-c", &format!("cd '{}' && ls *.deb", place.display())]);
    let archive = place.join(file_name.trim());
    output(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(place));
    fs::remove_file(archive).expect("the package is no longer needed");
    let release = package.trim_start_matches("linux-image-");
    // Debian 13's package has a merged /usr, and its modules are compressed, which
    // busybox and the rescue system do not read.
    if !place.join("lib").exists() {
        symlink("usr/lib", place.join("lib")).expect("a link to usr/lib");
    }
    let compressed = ["-name", "*.ko.xz", "-exec", "xz", "-d", "{}", "+"];
    output(Command::new("find").arg(place.join("lib/modules").join(release)).args(compressed));
    output(Command::new("depmod").arg("-b").arg(place).arg(release));

    let boot = place.join("boot");
    let whole = place.join("vmlinuz");
    fs::rename(boot.join(format!("vmlinuz-{release}")), &whole).expect("vmlinuz");
    let vmlinuz = fs::read(whole).expect("vmlinuz");
    let unpacked = decompressed(payload(&vmlinuz).expect("a header that says where the kernel is"));
    assert!(unpacked.starts_with(b"\x7fELF"), "vmlinuz holds no ELF file");
    fs::write(place.join("vmlinux"), unpacked).expect("vmlinux can be written");
    fs::remove_dir_all(boot).expect("boot is no longer needed");
}

/// The compressed kernel in a vmlinuz (Documentation/arch/x86/boot.rst).
fn payload(vmlinuz: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes = vmlinuz.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    };
    let setup = (usize::from(*vmlinuz.get(0x1f1)?) + 1) * 512;
    let start = setup + number(0x248)?;
    vmlinuz.get(start..start + number(0x24c)?)
}

/// Of Debian 12 it is xz, of Debian 13 zstd; each with its size in 4 bytes behind.
fn decompressed(payload: &[u8]) -> Vec<u8> {
    let stream = &payload[..payload.len() - 4];
    let program = if stream.starts_with(&XZ_MAGIC) { "xz" } else { "zstd" };
    filter(program, &["-dc", "-q"], stream.to_vec())
}
