//! A built NixOS system to examine or install, as far as its files go: the same
//! description is placed in a root by hand, in no time, or built there by the
//! real Nix, offline, with a database.
//!
//! ```ignore
//! let top = System::new().without("etc/fstab").place(root);
//! let top = or_skip!(System::new().build(root));
//! ```

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::command::{LIMIT, run_limited};
use super::skip::Skipped;

/// What Debian's busybox-static installs.
const BUSYBOX: &str = "/bin/busybox";

/// Debian 12's root in the fixtures.
pub const ROOT_UUID: &str = "3a6f1f3c-0000-4000-8000-000000000001";
pub const BOOT_UUID: &str = "B007-0001";

#[derive(Clone, Debug)]
enum Node {
    File(Vec<u8>, u32),
    Link(String),
}

/// Keys that let their owners in.
pub const KEY: &str = "ssh-ed25519 \
    AAAAC3NzaC1lZDI1NTE5AAAAIFvBpOO6nAFRUHk5WdZ0BtG0BXbIxjlZGNJiiMc3MdyB somebody";

/// A system. In texts and links, `@out@` is its store path, `@part:NAME@` that of
/// a part, and `@facts@` what its configuration says of itself.
#[derive(Clone, Debug)]
pub struct System {
    nodes: BTreeMap<String, Node>,
    /// Files that are store paths of their own; one may name earlier ones.
    parts: Vec<(String, Vec<u8>)>,
    facts: Value,
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl System {
    /// One that is as it should be: systemd stage 1 with our module,
    /// systemd-boot, an SSH key, DHCP.
    pub fn new() -> Self {
        let empty = Self { nodes: BTreeMap::new(), parts: Vec::new(), facts: facts() };
        empty
            .part("bzImage", kernel("x86_64"))
            .part("initrd", "an initrd")
            .part("install-systemd-boot.sh", "#!/bin/sh\n")
            .link("kernel", "@part:bzImage@")
            .link("initrd", "@part:initrd@")
            .file("init", elf("x86_64"), 0o555)
            .text("prepare-root", "#!/bin/sh\n")
            .text("nixos-version", "26.05")
            .text("system", "x86_64-linux")
            .bootspec(&[SYSTEMD])
            .file(
                "bin/switch-to-configuration",
                "#!/bin/sh\nexport INSTALL_BOOTLOADER='@part:install-systemd-boot.sh@'\n",
                0o555,
            )
            .text("kernel-modules/lib/modules/6.12/modules.builtin", "kernel/fs/fat/fat.ko\n")
            .text("kernel-modules/lib/modules/6.12/modules.dep", MODULES)
            .fstab(&[
                &format!("/dev/disk/by-uuid/{ROOT_UUID} / ext4 x-initrd.mount 0 1"),
                &format!("/dev/disk/by-uuid/{BOOT_UUID} /boot vfat defaults 0 2"),
            ])
            .text("etc/os-release", "ID=nixos\nPRETTY_NAME=\"NixOS of the tests\"\n")
            .text("etc/ssh/authorized_keys.d/root", KEY)
            .text("etc/ssh/sshd_config", "AuthorizedKeysFile %h/.ssh/authorized_keys /etc/ssh/authorized_keys.d/%u\nPermitRootLogin prohibit-password\n")
    }

    /// Changes what the configuration says of itself.
    #[must_use]
    pub fn facts(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.facts);
        self
    }

    /// A group of it, or a part of one: `initrd`, `/network/dhcp`.
    #[must_use]
    pub fn fact(self, pointer: &str, value: Value) -> Self {
        self.facts(|facts| {
            let (mut at, mut rest) = (facts, pointer.trim_start_matches('/'));
            while let Some((first, more)) = rest.split_once('/') {
                at = match first.parse::<usize>() {
                    Ok(number) => &mut at[number],
                    Err(_) => &mut at[first],
                };
                rest = more;
            }
            at[rest] = value;
        })
    }

    #[must_use]
    pub fn file(mut self, path: &str, content: impl AsRef<[u8]>, mode: u32) -> Self {
        self.nodes.insert(path.into(), Node::File(content.as_ref().to_vec(), mode));
        self
    }

    #[must_use]
    pub fn text(self, path: &str, content: &str) -> Self {
        self.file(path, content, 0o444)
    }

    /// What it mounts and swaps to, as lines of an fstab.
    #[must_use]
    pub fn fstab(self, lines: &[&str]) -> Self {
        let unescaped = |field: &str| field.replace("\\040", " ").replace("\\134", "\\");
        let (mut mounts, mut swaps) = (Vec::new(), Vec::new());
        for line in lines {
            let fields: Vec<String> = line.split_whitespace().map(unescaped).collect();
            let options = fields.get(3).map(String::as_str).unwrap_or_default();
            let options: Vec<&str> =
                options.split(',').filter(|option| !["", "defaults"].contains(option)).collect();
            let needed = ["/", "/nix"].contains(&fields[1].as_str());
            if fields[2] == "swap" {
                swaps.push(json!({"device": fields[0], "options": options}));
            } else {
                mounts.push(json!({"device": fields[0], "mountPoint": fields[1],
                    "fsType": fields[2], "options": options, "neededForBoot": needed}));
            }
        }
        let told = self.fact("fileSystems", json!(mounts));
        let told = told.fact("swap", json!({"zram": false, "devices": swaps}));
        told.text("etc/fstab", &(lines.join("\n") + "\n"))
    }

    /// Other words in a text.
    #[must_use]
    pub fn replace(self, path: &str, from: &str, to: &str) -> Self {
        let Some(Node::File(content, _)) = self.nodes.get(path) else { panic!("no {path}") };
        let text = std::str::from_utf8(content).expect("a text");
        assert!(text.contains(from), "no {from:?} in {path}");
        let text = text.replace(from, to);
        self.text(path, &text)
    }

    #[must_use]
    pub fn link(mut self, path: &str, target: &str) -> Self {
        self.nodes.insert(path.into(), Node::Link(target.into()));
        self
    }

    /// Without a file or link, or everything in a directory.
    #[must_use]
    pub fn without(mut self, path: &str) -> Self {
        let before = self.nodes.len();
        let below = format!("{path}/");
        self.nodes.retain(|name, _| name != path && !name.starts_with(&below));
        assert_ne!(before, self.nodes.len(), "the system has no {path}");
        self
    }

    /// Adds a part, or replaces its content.
    #[must_use]
    pub fn part(mut self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref().to_vec();
        match self.parts.iter_mut().find(|(known, _)| known == name) {
            Some(part) => part.1 = content,
            None => self.parts.push((name.into(), content)),
        }
        self
    }

    /// `boot.json`, with extensions such as [`SYSTEMD`].
    #[must_use]
    pub fn bootspec(self, extensions: &[&str]) -> Self {
        self.bootspec_for("x86_64-linux", extensions)
    }

    #[must_use]
    pub fn bootspec_for(self, system: &str, extensions: &[&str]) -> Self {
        let v1 = format!(
            r#""org.nixos.bootspec.v1": {{"system": "{system}", "init": "@out@/init",
            "initrd": "@part:initrd@", "kernel": "@part:bzImage@", "kernelParams": [],
            "label": "NixOS 26.05", "toplevel": "@out@"}}"#
        );
        let all: Vec<&str> =
            std::iter::once(v1.as_str()).chain(extensions.iter().copied()).collect();
        self.text("boot.json", &format!("{{ {} }}\n", all.join(",\n")))
    }

    /// Writes it below `root/nix/store`, with a profile and without a database;
    /// its store path as seen in that root.
    pub fn place(&self, root: &Path) -> PathBuf {
        let top = store_path("nixos-system-test-26.05");
        let outside = |path: &Path| root.join(path.strip_prefix("/").expect("absolute"));
        let fill = |content: &[u8]| match std::str::from_utf8(content) {
            Ok(text) => self.filled(text, &top).into_bytes(),
            Err(_) => content.to_vec(),
        };
        for (name, content) in &self.parts {
            write(&outside(&store_path(name)), &fill(content), 0o444);
        }
        for (path, node) in &self.nodes {
            let path = outside(&top).join(path);
            match node {
                Node::File(content, mode) => write(&path, &fill(content), *mode),
                Node::Link(target) => link(&self.filled(target, &top), &path),
            }
        }
        profile(root, &top);
        top
    }

    fn filled(&self, text: &str, top: &Path) -> String {
        let mut text = text.replace("@facts@", &self.facts.to_string());
        text = text.replace("@out@", top.to_str().expect("UTF-8"));
        for (name, _) in &self.parts {
            let path = store_path(name);
            text = text.replace(&format!("@part:{name}@"), path.to_str().expect("UTF-8"));
        }
        text
    }

    /// Builds it in the store below `root` and sets the profile.
    pub fn build(&self, root: &Path) -> Result<PathBuf, Skipped> {
        let work = root.join(".system");
        for place in ["tools/bin", "content", "parts", "nix"] {
            fs::create_dir_all(work.join(place)).expect("a directory");
        }
        let busybox = work.join("tools/bin/busybox");
        fs::copy(BUSYBOX, &busybox).map_err(|e| Skipped::new(format!("{BUSYBOX}: {e}")))?;
        for applet in ["sh", "cp", "chmod", "find", "grep", "sed", "readlink", "ln", "rm"] {
            link("busybox", &work.join("tools/bin").join(applet));
        }
        let mut texts = Vec::new();
        for (at, (name, content)) in self.parts.iter().enumerate() {
            let file = format!("{at:03}-{name}");
            if content.is_ascii() && !content.contains(&0) {
                texts.push(format!("\"{file}\""));
            }
            write(&work.join("parts").join(file), content, 0o444);
        }
        for (path, node) in &self.nodes {
            let path = work.join("content").join(path);
            match node {
                Node::File(content, mode) => {
                    let told = std::str::from_utf8(content).ok();
                    let told = told.map(|text| text.replace("@facts@", &self.facts.to_string()));
                    write(&path, told.as_ref().map_or(content.as_slice(), String::as_bytes), *mode);
                }
                Node::Link(target) => link(target, &path),
            }
        }
        // Read now: a build that only compiles the tests may not have these.
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/system");
        for (name, mode) in [("system.nix", 0o444), ("build.sh", 0o555)] {
            let content = fs::read(source.join(name));
            let content = content.map_err(|e| Skipped::new(format!("{name}: {e}")))?;
            write(&work.join("nix").join(name), &content, mode);
        }
        let mut build = Command::new("nix-build");
        build.arg("--store").arg(root);
        build.args(["--option", "substitute", "false", "--option", "build-users-group", ""]);
        build
            .args(["--option", "sandbox", "false", "--no-out-link"])
            .arg(work.join("nix/system.nix"));
        for name in ["tools", "content", "parts"] {
            build.arg("--arg").arg(name).arg(work.join(name));
        }
        build.args(["--arg", "texts", &format!("[ {} ]", texts.join(" "))]);
        let said = nix(&mut build, &work)?;
        let top = PathBuf::from(said.trim());
        let mut set = Command::new("nix-env");
        set.arg("--store").arg(root).arg("-p").arg(root.join("nix/var/nix/profiles/system"));
        nix(set.arg("--set").arg(&top), &work)?;
        fs::remove_dir_all(&work).expect("the sources are in the store");
        // Nix wrote the path that the profiles have here.
        let roots = root.join("nix/var/nix/gcroots/profiles");
        let _ = fs::remove_file(&roots);
        link("/nix/var/nix/profiles", &roots);
        Ok(top)
    }
}

/// What our module adds to a bootspec.
pub const SYSTEMD: &str = r#""org.nixos-lustrate.v1":
    {"version": "0.1.0", "stage1": "systemd", "guard": true, "everyBoot": false, "keep": [],
    "configuration": @facts@}"#;

/// What its kernel has to load.
const MODULES: &str = "kernel/drivers/block/virtio_blk.ko.xz:\n\
    kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz kernel/lib/crc16.ko.xz\n\
    kernel/fs/jbd2/jbd2.ko.xz:\nkernel/lib/crc16.ko.xz:\nkernel/drivers/odd_bus.ko.xz:\n";

/// What the configuration says of itself, in the schema of `initrd/README.md`.
fn facts() -> Value {
    json!({
        "schema": 1,
        "bootLoader": {"kind": "systemd-boot", "enabled": ["systemd-boot"], "efi": true,
            "esps": ["/boot"], "writes": ["/boot"], "canTouchEfiVariables": true, "timeout": 5},
        "initrd": {"kind": "systemd", "modules": ["virtio_blk", "ext4"], "loaded": ["dm_mod"],
            "fileSystems": ["ext4"], "lvm": false, "swraid": false, "bcache": true,
            "network": false, "ssh": false, "emergencyAccess": false},
        "users": {"mutable": true, "manager": "perl", "list": [root("crypt")]},
        "sshd": {"enable": true, "ports": [22], "openFirewall": true, "socket": false},
        "console": {"screen": true},
        "network": {"dhcp": true, "ipv6": true, "manager": ["scripted"], "predictable": true,
            "dhcpcd": {"deny": ["ve-*", "vb-*"], "limited": false}, "udevNames": false,
            "useNetworkd": false, "firewall": {"enable": true, "tcp": [22], "trusted": ["lo"]}},
        "system": {"release": "26.05", "platform": "x86_64-linux", "kernel": "6.12.1",
            "tools": {"e2fsprogs": "1.47.0"}},
    })
}

/// root, as a configuration has it, with such a password.
pub fn root(password: &str) -> Value {
    json!({"name": "root", "uid": 0, "home": "/root", "homeMode": "700", "createHome": false,
        "normal": false, "groups": ["root"], "letsIn": true, "keys": 1, "principals": 0,
        "shell": "/run/current-system/sw/bin/bash",
        "password": {"kind": password, "option": "initialHashedPassword"}})
}

/// A normal user without a password.
pub fn normal(name: &str, uid: Option<u32>) -> Value {
    let mut user = json!({"name": name, "home": format!("/home/{name}"), "homeMode": "700",
        "createHome": true, "normal": true, "groups": ["users"], "letsIn": true, "keys": 0,
        "principals": 0, "shell": "/run/current-system/sw/bin/bash",
        "password": {"kind": "none"}});
    if let Some(uid) = uid {
        user["uid"] = json!(uid);
    }
    user
}

fn nix(command: &mut Command, home: &Path) -> Result<String, Skipped> {
    let program = command.get_program().to_owned();
    let there = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .any(|dir| dir.join(&program).exists());
    if !there {
        return Err(Skipped::new(format!("no {} here", program.display())));
    }
    // Neither a configuration of this machine nor its home counts.
    command.env("NIX_CONF_DIR", home).env("HOME", home).env_remove("XDG_CACHE_HOME");
    let ended = run_limited(command, LIMIT);
    let said = ended.err();
    let has_none = |line: &&str| NO_SANDBOX.iter().any(|words| line.contains(words));
    match said.lines().find(has_none) {
        Some(why) if ended.code != 0 => Err(Skipped::new(format!(
            "Nix cannot make its sandbox here (in a chroot or a container?): {}",
            why.trim()
        ))),
        _ => Ok(ended.expect(0).out()),
    }
}

/// Whatever is configured, Nix builds for a store elsewhere in a sandbox. What it
/// says where the machine does not let it make one.
const NO_SANDBOX: [&str; 5] = [
    "cannot perform a sandboxed build",
    "cloning builder process",
    "creating new namespace",
    "kernel namespaces required for sandboxing",
    "cannot pivot old root directory",
];

/// A store path that Nix might have given.
pub fn store_path(name: &str) -> PathBuf {
    const DIGITS: &[u8] = b"0123456789abcdfghijklmnpqrsvwxyz";
    let mut state = name.bytes().fold(7u64, |h, b| h.wrapping_mul(0x100_0193) ^ u64::from(b));
    let hash: String = (0..32)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(DIGITS[usize::try_from(state >> 59).expect("5 bits")])
        })
        .collect();
    PathBuf::from(format!("/nix/store/{hash}-{name}"))
}

fn profile(root: &Path, top: &Path) {
    let profiles = root.join("nix/var/nix/profiles");
    link("system-1-link", &profiles.join("system"));
    link(top.to_str().expect("UTF-8"), &profiles.join("system-1-link"));
}

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
    let _ = fs::remove_file(path);
    fs::write(path, content).expect("a file");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

fn link(target: &str, path: &Path) {
    fs::create_dir_all(path.parent().expect("a parent")).expect("parents");
    let _ = fs::remove_file(path);
    symlink(OsStr::new(target), path).expect("a link");
}

/// The beginning of a program for a machine, by its ELF header.
pub fn elf(machine: &str) -> Vec<u8> {
    let number = match machine {
        "x86_64" => 62,
        "aarch64" => 183,
        other => panic!("no ELF machine for {other}"),
    };
    let mut head = b"\x7fELF\x02\x01\x01".to_vec();
    head.resize(64, 0);
    head[18] = number;
    head
}

/// The beginning of a kernel image.
pub fn kernel(machine: &str) -> Vec<u8> {
    let mut image = vec![0; 4096];
    match machine {
        "x86_64" => {
            image[0x202..0x206].copy_from_slice(b"HdrS");
            image[0x236] = 1;
        }
        "aarch64" => image[56..60].copy_from_slice(b"ARM\x64"),
        other => panic!("no kernel for {other}"),
    }
    image
}
