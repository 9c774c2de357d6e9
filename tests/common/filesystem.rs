//! The file systems that a root can be on, how small each can be, and how one
//! is to be made and mounted.

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fs {
    Ext4,
    Xfs,
    Btrfs,
    Tmpfs,
}

impl Fs {
    pub const ALL: [Self; 4] = [Self::Ext4, Self::Xfs, Self::Btrfs, Self::Tmpfs];
    /// Those that outlive an unmount.
    pub const DISK: [Self; 3] = [Self::Ext4, Self::Xfs, Self::Btrfs];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Tmpfs => "tmpfs",
        }
    }

    /// The smallest that the mkfs of Debian 12 makes, or a little more.
    const fn smallest_mib(self) -> u64 {
        match self {
            Self::Ext4 | Self::Tmpfs => 64,
            Self::Xfs => 300,
            Self::Btrfs => 128,
        }
    }
}

/// How a file system is made and mounted.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    pub fs: Fs,
    pub size_mib: u64,
    /// More arguments for mkfs.
    pub mkfs: Vec<&'static str>,
    /// Mount options, comma-separated.
    pub mount: &'static str,
}

impl Options {
    pub const fn new(fs: Fs) -> Self {
        Self { fs, size_mib: fs.smallest_mib(), mkfs: Vec::new(), mount: "" }
    }

    #[must_use]
    pub const fn size_mib(mut self, size: u64) -> Self {
        self.size_mib = size;
        self
    }

    #[must_use]
    pub fn mkfs(mut self, arguments: &[&'static str]) -> Self {
        self.mkfs.extend_from_slice(arguments);
        self
    }

    #[must_use]
    pub const fn mount(mut self, options: &'static str) -> Self {
        self.mount = options;
        self
    }
}
