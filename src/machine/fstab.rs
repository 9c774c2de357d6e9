//! fstab(5), of the closure and of the old distribution. Pure.

use std::path::PathBuf;

/// A line of an fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FstabEntry {
    /// What is mounted: a path, `UUID=…`, or a name that only its type knows.
    pub spec: String,
    /// Where; `none` for swap.
    pub point: PathBuf,
    /// The type, or `auto`.
    pub fs_type: String,
    /// The options.
    pub options: Vec<String>,
}

impl FstabEntry {
    /// Whether an option is set.
    #[must_use]
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }

    /// The value of an option.
    #[must_use]
    pub(crate) fn value(&self, option: &str) -> Option<&str> {
        self.options.iter().rev().find_map(|o| o.strip_prefix(option)?.strip_prefix('='))
    }

    /// Whether a boot goes on without it.
    #[must_use]
    pub(crate) fn may_be_missing(&self) -> bool {
        self.has("nofail") || self.has("noauto") || self.has("x-systemd.automount")
    }
}

/// Reads an fstab; lines with fewer than three fields are no entries.
#[must_use]
pub(crate) fn parse(text: &str) -> Vec<FstabEntry> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    let entry = |line: &str| {
        let mut fields = line.split_whitespace().map(unescape);
        let (spec, point, fs_type) = (fields.next()?, fields.next()?, fields.next()?);
        let options = fields.next().unwrap_or_default();
        let options = options.split(',').filter(|o| !o.is_empty()).map(str::to_owned).collect();
        let point = match point.trim_end_matches('/') {
            "" => "/".into(),
            point => point.into(),
        };
        Some(FstabEntry { spec, point, fs_type, options })
    };
    lines.filter_map(entry).collect()
}

/// `\040` and the like are the same escapes as in the kernel's mount table.
fn unescape(field: &str) -> String {
    String::from_utf8_lossy(&crate::fs::mounts::unescape(field.as_bytes())).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_escapes_and_options_are_read() {
        let entries = parse(
            "# made by NixOS\n\n/dev/disk/by-uuid/1 / btrfs x-initrd.mount,subvol=@ 0 0\n\
             LABEL=a\\040b /srv/ ext4 nofail 0 2\nUUID=3 none swap\nhalf /line\n",
        );
        assert_eq!(entries.len(), 3);
        assert_eq!(entries[0].value("subvol"), Some("@"));
        assert_eq!((entries[0].value("sub"), entries[0].has("x-initrd.mount")), (None, true));
        assert_eq!(
            (entries[1].spec.as_str(), entries[1].point.as_path()),
            ("LABEL=a b", std::path::Path::new("/srv"))
        );
        assert!(entries[1].may_be_missing() && !entries[0].may_be_missing());
        assert_eq!(entries[2].options, Vec::<String>::new());
    }
}
