//! Which file systems a machine has, and where stage 1 mounts them.

/// A kind of file system that the root can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fs {
    Ext4,
    Xfs,
    Btrfs,
}

impl Fs {
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
        }
    }

    /// What the root is mounted with: on btrfs it is a subvolume.
    pub fn options(self) -> &'static str {
        match self {
            Self::Btrfs => "subvol=@",
            Self::Ext4 | Self::Xfs => "defaults",
        }
    }
}

/// Where `/nix` lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nix {
    /// On the root file system.
    Root,
    /// On a second disk, ext4.
    Disk,
    /// In another subvolume of the root's btrfs.
    Subvolume,
}

/// The file systems that a machine needs for its boot.
#[derive(Clone, Debug)]
pub struct Layout {
    pub fs: Fs,
    /// The root's device.
    pub root: &'static str,
    pub nix: Nix,
    pub read_only: bool,
    /// `/var/log` is a bind mount of `/nix/persist/var/log`.
    pub var_log: bool,
    /// `/etc` is an overlay whose upper layer is in `/.rw-etc` (systemd only).
    pub etc_overlay: bool,
    /// Modules that stage 2 needs, which has none of its own.
    pub modules: &'static [&'static str],
}

/// One file system: device, mount point, type, options.
pub struct Mount {
    pub device: &'static str,
    pub point: &'static str,
    pub kind: &'static str,
    pub options: String,
}

/// What mounting an ESP takes.
pub const ESP: [&str; 3] = ["vfat", "nls_cp437", "nls_ascii"];

impl Layout {
    pub fn new(fs: Fs) -> Self {
        let root = "/dev/vda";
        Self {
            fs,
            root,
            nix: Nix::Root,
            read_only: false,
            var_log: true,
            etc_overlay: false,
            modules: &[],
        }
    }

    /// In the order in which they can be mounted, the root first.
    pub fn mounts(&self) -> Vec<Mount> {
        let access = if self.read_only { "ro" } else { "rw" };
        let mut mounts = vec![Mount {
            device: self.root,
            point: "/",
            kind: self.fs.name(),
            options: format!("{access},{}", self.fs.options()),
        }];
        let nix = |device, kind, options: &str| Mount {
            device,
            point: "/nix",
            kind,
            options: options.to_owned(),
        };
        match self.nix {
            Nix::Root => {}
            Nix::Disk => mounts.push(nix("/dev/vdb", "ext4", "defaults")),
            Nix::Subvolume => mounts.push(nix("/dev/vda", "btrfs", "subvol=@nix")),
        }
        if self.var_log {
            mounts.push(Mount {
                device: "/nix/persist/var/log",
                point: "/var/log",
                kind: "none",
                options: "bind".to_owned(),
            });
        }
        mounts
    }

    /// The modules that this machine's stage 1 loads, file systems before the
    /// disks: btrfs devices are not found to be ready otherwise.
    pub fn modules(&self) -> Vec<&'static str> {
        let mut modules = vec!["crc32c_generic", self.fs.name()];
        if self.nix == Nix::Disk {
            modules.push("ext4");
        }
        if self.etc_overlay {
            modules.push("overlay");
        }
        modules.extend(self.modules);
        modules.extend(["virtio_pci", "virtio_blk"]);
        modules
    }
}
