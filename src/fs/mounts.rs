//! `/proc/self/mountinfo`: the mount points below the root.
//!
//! Pure. A directory that holds a mount point deeper down can be renamed, and
//! the mount goes with it (that is how `/var/log` ended up below `/old-root`),
//! so the list is needed before anything moves. Format: `proc_pid_mountinfo(5)`.

use crate::fs::name::RelPath;

/// A mounted file system below the root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where, relative to the root.
    pub point: RelPath,
    /// The file-system type, for the message.
    pub fs_type: String,
}

/// A mount below the root of something that lies in the root: a bind mount, or a
/// subvolume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bind {
    /// Where, relative to the root.
    pub point: RelPath,
    /// What, relative to the root; `None` for the root itself.
    pub source: Option<RelPath>,
}

/// A line of mountinfo.
pub(crate) struct Line<'a> {
    id: u64,
    parent: u64,
    /// Its two numbers, as `8:1`.
    pub(crate) device: &'a [u8],
    /// Which directory of its file system is mounted.
    pub(crate) root: Vec<u8>,
    pub(crate) point: Vec<u8>,
    /// As it is escaped there, like the source and the options.
    fs_type: &'a [u8],
    #[cfg_attr(not(feature = "full"), expect(dead_code))]
    source: &'a [u8],
    /// The options of the mount, and those of the file system.
    options: [&'a [u8]; 2],
}

impl<'a> Line<'a> {
    /// What is no mountinfo line cannot come from the kernel; it is passed over.
    fn parse(line: &'a [u8]) -> Option<Self> {
        let number = |field: &[u8]| std::str::from_utf8(field).ok()?.parse().ok();
        let mut fields = line.split(|&b| b == b' ');
        let (id, parent) = (number(fields.next()?)?, number(fields.next()?)?);
        let (device, root, point) = (fields.next()?, fields.next()?, fields.next()?);
        let own = fields.next()?;
        // Up to a hyphen, what it propagates to.
        let mut rest = fields.skip_while(|f| *f != b"-").skip(1);
        let (fs_type, source, options) = (rest.next()?, rest.next()?, rest.next()?);
        let (root, point) = (unescape(root), unescape(point));
        Some(Self { id, parent, device, root, point, fs_type, source, options: [own, options] })
    }

    #[cfg(feature = "full")]
    pub(crate) fn fs_type(&self) -> Vec<u8> {
        unescape(self.fs_type)
    }

    /// What is mounted, mostly a path in `/dev`.
    #[cfg(feature = "full")]
    pub(crate) fn source(&self) -> Vec<u8> {
        unescape(self.source)
    }

    /// The options, of the mount and of the file system.
    #[cfg(feature = "full")]
    pub(crate) fn options(&self) -> impl Iterator<Item = &'a [u8]> {
        self.options.into_iter().flat_map(|options| options.split(|&b| b == b','))
    }
}

fn lines(mountinfo: &[u8]) -> impl DoubleEndedIterator<Item = Line<'_>> {
    mountinfo.split(|&b| b == b'\n').filter_map(Line::parse)
}

/// What follows `base` in `path`: empty, or from a slash on.
fn inside<'a>(path: &'a [u8], base: &[u8]) -> Option<&'a [u8]> {
    let rest = path.strip_prefix(base.strip_suffix(b"/").unwrap_or(base))?;
    let rest = if rest == b"/" { &[] } else { rest };
    (rest.is_empty() || rest.starts_with(b"/")).then_some(rest)
}

/// The mount table, as seen from a root.
pub struct Table<'a> {
    lines: Vec<Line<'a>>,
    root: &'a [u8],
    /// The mount that the root is in.
    home: Option<usize>,
    /// Where the root is in the file system of that mount.
    base: Vec<u8>,
}

impl<'a> Table<'a> {
    /// Reads it, for the absolute path of a root as the kernel shows it, and the
    /// id of its mount, which tells it from others of that path.
    #[must_use]
    pub fn new(mountinfo: &'a [u8], root: &'a [u8], id: Option<u64>) -> Self {
        let lines: Vec<Line<'_>> = lines(mountinfo).collect();
        let above =
            lines.iter().enumerate().filter(|(_, line)| inside(root, &line.point).is_some());
        // By its id; else the last of those that are nearest above it.
        let nearest = above.max_by_key(|(_, line)| line.point.len()).map(|(at, _)| at);
        let home = lines.iter().position(|line| Some(line.id) == id).or(nearest);
        let mut base = Vec::new();
        if let Some(home) = home.and_then(|at| lines.get(at)) {
            base.extend(home.root.strip_suffix(b"/").unwrap_or(&home.root));
            base.extend(inside(root, &home.point).unwrap_or_default());
        }
        Self { lines, root, home, base }
    }

    /// The mount that the root is in.
    pub(crate) fn home(&self) -> Option<&Line<'a>> {
        self.lines.get(self.home?)
    }

    /// The mounts below the root, each with its place.
    pub(crate) fn below(&self) -> impl Iterator<Item = (RelPath, &Line<'a>)> {
        self.lines.iter().filter_map(|line| {
            let point = RelPath::parse(inside(&line.point, self.root)?).ok()?;
            self.is_ours(line).then_some((point, line))
        })
    }

    /// Whether a mount hangs on that of the root, and not on one that hides it, or
    /// is hidden by it.
    fn is_ours(&self, line: &Line<'_>) -> bool {
        let Some(home) = self.home() else { return true };
        let mut parent = line.parent;
        for _ in &self.lines {
            if parent == home.id {
                return true;
            }
            let Some(next) = self.lines.iter().find(|l| l.id == parent) else { break };
            // A second mount at the root's own place.
            if inside(&next.point, self.root).is_none_or(<[u8]>::is_empty) {
                break;
            }
            parent = next.parent;
        }
        false
    }

    /// What is mounted below the root.
    #[must_use]
    pub fn mounts(&self) -> Vec<Mount> {
        let mut mounts: Vec<Mount> = Vec::new();
        for (point, line) in self.below() {
            if mounts.iter().all(|known| known.point != point) {
                let fs_type = String::from_utf8_lossy(line.fs_type).into_owned();
                mounts.push(Mount { point, fs_type });
            }
        }
        mounts
    }

    /// What is mounted below the root, and lies in it.
    #[must_use]
    pub fn binds(&self) -> Vec<Bind> {
        let bind =
            |(point, line)| Some(Bind { point, source: RelPath::parse(self.shows(line)?).ok() });
        self.below().filter_map(bind).collect()
    }

    /// Directories below the root that a table mounts somewhere, also outside of the
    /// root, each with its mount; the table may be of another mount namespace.
    #[cfg(feature = "full")]
    pub(crate) fn sources<'t>(
        &self,
        table: &'t Table<'t>,
    ) -> impl Iterator<Item = (RelPath, &'t Line<'t>)> {
        let source = |line| Some((RelPath::parse(self.shows(line)?).ok()?, line));
        table.lines.iter().filter_map(source)
    }

    /// What below the root a path is in a table, by whichever mount it leads there.
    #[cfg(feature = "full")]
    pub(crate) fn reached(&self, table: &Table<'_>, path: &[u8]) -> Option<RelPath> {
        let above = table.lines.iter().filter(|line| inside(path, &line.point).is_some());
        // Of several on top of each other, the last.
        let mount = above.max_by_key(|line| line.point.len())?;
        (mount.device == self.home()?.device).then_some(())?;
        let top = mount.root.strip_suffix(b"/").unwrap_or(&mount.root);
        let whole = [top, inside(path, &mount.point)?].concat();
        RelPath::parse(inside(&whole, &self.base)?).ok()
    }

    /// The overlays, each with the paths of its layers as they were given.
    #[cfg(feature = "full")]
    pub(crate) fn overlays(&self) -> impl Iterator<Item = (&Line<'a>, Vec<Vec<u8>>)> {
        let overlays = self.lines.iter().filter(|line| line.fs_type == b"overlay");
        overlays.map(|line| (line, line.options().flat_map(layers).collect()))
    }

    /// What of the root a mount shows, told by the device and by the directory of it
    /// that is mounted; empty for the whole root.
    fn shows<'l>(&self, line: &'l Line<'_>) -> Option<&'l [u8]> {
        let source = (line.device == self.home()?.device).then_some(&line.root)?;
        // What was removed since has a `//deleted` behind it.
        inside(source, &self.base).filter(|source| !source.ends_with(b"//deleted"))
    }
}

/// The layers that an option of an overlay names; `Documentation/filesystems/overlayfs.rst`.
#[cfg(feature = "full")]
fn layers(option: &[u8]) -> Vec<Vec<u8>> {
    let Some(at) = option.iter().position(|&b| b == b'=') else { return Vec::new() };
    let value = unescape(&option[at + 1..]);
    match &option[..at] {
        b"upperdir" | b"workdir" | b"lowerdir+" | b"datadir+" => vec![value],
        b"lowerdir" => {
            // A colon between two, `\:` in a name.
            let (mut all, mut escaped) = (vec![Vec::new()], false);
            for byte in value {
                match (byte, all.last_mut()) {
                    (b'\\', _) if !escaped => escaped = true,
                    (b':', _) if !escaped => all.push(Vec::new()),
                    (byte, Some(last)) => {
                        last.push(byte);
                        escaped = false;
                    }
                    (_, None) => {}
                }
            }
            all
        }
        _ => Vec::new(),
    }
}

/// Whether the mount with this id is an overlay that copies a directory up on
/// rename (`redirect_dir=on`); `None` when it is no overlay.
#[must_use]
pub fn overlay_redirects(mountinfo: &[u8], id: u64) -> Option<bool> {
    let overlay = lines(mountinfo).find(|line| line.id == id && line.fs_type == b"overlay")?;
    let [_, options] = overlay.options;
    Some(options.split(|&b| b == b',').any(|option| option == b"redirect_dir=on"))
}

/// What is mounted on a path, as findmnt(8) shows it: the source, and in brackets
/// the directory of it that a bind mount shows.
#[cfg(feature = "full")]
#[must_use]
pub(crate) fn mounted_on(mountinfo: &[u8], point: &[u8]) -> Option<Vec<u8>> {
    // Of several on top of each other, the last.
    let mount = lines(mountinfo).rev().find(|line| line.point == point)?;
    let directory =
        if mount.root == b"/" { Vec::new() } else { [b"[", &*mount.root, b"]"].concat() };
    Some([mount.source(), directory].concat())
}

/// Undoes the kernel's octal escapes (`\040` for a space; `fs/seq_file.c`).
pub(crate) fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = |b: u8| (b'0'..=b'7').contains(&b).then(|| u32::from(b - b'0'));
        rest = tail;
        if let (b'\\', [a, b, c, after @ ..]) = (first, tail) {
            let value = octal(*a).zip(octal(*b)).zip(octal(*c));
            let value = value.map(|((a, b), c)| a * 64 + b * 8 + c);
            if let Some(byte) = value.and_then(|v| u8::try_from(v).ok()) {
                bytes.push(byte);
                rest = after;
                continue;
            }
        }
        bytes.push(first);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INFO: &[u8] = b"21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
        22 21 8:2 / /sysroot rw - ext4 /dev/sda2 rw\n\
        23 22 8:3 / /sysroot/var/log rw shared:9 master:1 - xfs /dev/sda3 rw\n\
        24 22 0:5 / /sysroot/a\\040b\\134 rw - tmpfs tmpfs rw\n\
        25 21 0:6 / /sysrootx/y rw - tmpfs tmpfs rw\n\
        26 21 0:7 / /ov rw - overlay overlay rw,lowerdir=/l,redirect_dir=on\n\
        27 21 0:8 / /ov2 rw - overlay overlay rw,lowerdir=/l\n";

    #[test]
    fn mounts_below_the_root_are_found_and_unescaped() {
        let below = |root| Table::new(INFO, root, None).mounts();
        let found = below(b"/sysroot");
        let shown: Vec<_> = found.iter().map(|m| format!("{} {}", m.point, m.fs_type)).collect();
        assert_eq!(shown, ["var/log xfs", "a b\\\\ tmpfs"]);
        assert_eq!(below(b"/").len(), 6);
        assert_eq!(below(b"/sysroot/var/log"), []);
    }

    #[test]
    fn a_mount_is_told_by_device_directory_and_id() {
        let info = b"1 0 8:1 / / rw - ext4 /dev/a rw\n\
            2 1 8:2 /@ /mnt rw - btrfs /dev/b rw\n\
            3 2 8:2 /@/var/nix /mnt/nix rw - btrfs /dev/b rw\n\
            4 2 8:2 /@home /mnt/home rw - btrfs /dev/b rw\n\
            5 2 8:2 /@ /mnt/pool rw - btrfs /dev/b rw\n\
            6 2 8:1 /@/srv /mnt/boot rw - ext4 /dev/a rw\n\
            7 5 8:2 /@/gone//deleted /mnt/pool/x rw - btrfs /dev/b rw\n\
            8 2 8:2 /@/srv /mnt rw - btrfs /dev/b rw\n\
            9 8 8:2 /@/srv/a\\040b /mnt/b rw - btrfs /dev/b rw\n\
            10 1 8:2 /@ /mnt2 rw - btrfs /dev/b rw\n";
        let binds = |root, id| {
            let binds = Table::new(info, root, id).binds();
            let shown = |b: &Bind| {
                let source = b.source.as_ref().map_or("the root".to_owned(), ToString::to_string);
                format!("{} {source}", b.point)
            };
            binds.iter().map(shown).collect::<Vec<_>>()
        };
        assert_eq!(binds(b"/mnt", Some(2)), ["nix var/nix", "pool the root"]);
        // The one that hides it, also without ids; and a directory of it.
        assert_eq!(binds(b"/mnt", Some(8)), ["b a b"]);
        assert_eq!(binds(b"/mnt", None), ["b a b"]);
        assert_eq!(binds(b"/mnt2", Some(10)), Vec::<String>::new());
        let points = |id| Table::new(info, b"/mnt", id).mounts().len();
        assert_eq!((points(Some(2)), points(Some(8))), (5, 1));
    }

    #[cfg(feature = "full")]
    #[test]
    fn what_is_mounted_on_a_path_is_shown_like_findmnt_does() {
        let info = b"21 1 8:1 / / rw - ext4 /dev/a\\040b rw\n\
            22 21 8:2 / /mnt rw - ext4 /dev/sdb1 rw\n\
            23 22 8:3 /@/x\\040y /mnt rw - btrfs /dev/sdc1 rw\n";
        assert_eq!(mounted_on(info, b"/").as_deref(), Some(&b"/dev/a b"[..]));
        assert_eq!(mounted_on(info, b"/mnt").as_deref(), Some(&b"/dev/sdc1[/@/x y]"[..]));
        assert_eq!(mounted_on(info, b"/m"), None);
    }

    #[test]
    fn an_overlay_says_whether_it_redirects() {
        assert_eq!(overlay_redirects(INFO, 26), Some(true));
        assert_eq!(overlay_redirects(INFO, 27), Some(false));
        assert_eq!(overlay_redirects(INFO, 22), None);
    }

    #[cfg(feature = "full")]
    fn sources(info: &[u8], root: &str) -> Vec<String> {
        sources_of(info, root, None)
    }

    #[cfg(feature = "full")]
    fn sources_of(info: &[u8], root: &str, id: Option<u64>) -> Vec<String> {
        let table = Table::new(info, root.as_bytes(), id);
        let text = |(source, line): (RelPath, &Line<'_>)| {
            format!("{source} at {}", String::from_utf8_lossy(&line.point))
        };
        table.sources(&table).map(text).collect()
    }

    #[cfg(feature = "full")]
    #[test]
    fn directories_that_are_mounted_elsewhere_are_found() {
        let info = b"21 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw\n\
            22 21 8:1 /old-root/home /home rw - ext4 /dev/sda1 rw\n\
            23 21 8:1 /old-root/a\\040b /srv/x\\040y rw - ext4 /dev/sda1 rw\n\
            24 21 8:2 /old-root/var /var rw - ext4 /dev/sdb1 rw\n\
            25 21 8:1 /old-root/gone//deleted /srv/gone rw - ext4 /dev/sda1 rw\n";
        assert_eq!(sources(info, "/"), ["old-root/home at /home", "old-root/a b at /srv/x y"]);
        assert_eq!(sources(info, "/old-root"), ["home at /home", "a b at /srv/x y"]);
    }

    #[cfg(feature = "full")]
    #[test]
    fn a_root_that_is_a_subvolume_is_looked_at_from_the_pool() {
        let info = b"21 1 0:30 /@ / rw - btrfs /dev/sda1 rw\n\
            22 21 0:30 /@home /home rw - btrfs /dev/sda1 rw\n\
            23 21 0:30 / /mnt rw - btrfs /dev/sda1 rw\n\
            24 21 0:30 /@/old-root/var/lib/machines /machines rw - btrfs /dev/sda1 rw\n";
        assert_eq!(sources(info, "/"), ["old-root/var/lib/machines at /machines"]);
        let below_pool = ["@ at /", "@home at /home", "@/old-root/var/lib/machines at /machines"];
        assert_eq!(sources(info, "/mnt"), below_pool);
        assert_eq!(sources(info, "/mnt/@"), ["old-root/var/lib/machines at /machines"]);
    }

    #[cfg(feature = "full")]
    #[test]
    fn a_path_is_told_by_whichever_mount_leads_to_it() {
        let own = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            22 21 8:1 / /mnt/all rw - ext4 /dev/sda1 rw\n\
            23 21 8:1 /old-root/home /home rw - ext4 /dev/sda1 rw\n\
            24 23 8:2 / /home/other rw - ext4 /dev/sdb1 rw\n";
        let container = b"31 1 8:1 /old-root/srv / rw - ext4 /dev/sda1 rw\n\
            32 31 0:5 / /proc rw - proc proc rw\n";
        let own = Table::new(own, b"/", None);
        let theirs = Table::new(container, b"/", None);
        let shown = |by: &Table<'_>, path: &str| {
            own.reached(by, path.as_bytes()).map(|path| path.to_string())
        };
        for (path, want) in [
            ("/old-root/a", Some("old-root/a")),
            ("/mnt/all/old-root/a", Some("old-root/a")),
            ("/home/a", Some("old-root/home/a")),
            ("/home/other/a", None),
            ("/", None),
            ("relative", None),
        ] {
            assert_eq!(shown(&own, path).as_deref(), want, "{path}");
        }
        assert_eq!(shown(&theirs, "/a").as_deref(), Some("old-root/srv/a"));
        assert_eq!(shown(&theirs, "/proc/1"), None);
    }

    #[cfg(feature = "full")]
    #[test]
    fn layers_of_an_overlay_are_read() {
        let info = b"21 1 0:9 / / rw - overlay overlay \
            rw,lowerdir=/a\\134:b:/c,upperdir=/u\\040p,lowerdir+=/d,redirect_dir=on\n";
        let table = Table::new(info, b"/", None);
        let layers = table.overlays().flat_map(|(_, layers)| layers).collect::<Vec<_>>();
        let want = ["/a:b", "/c", "/u p", "/d"].map(|path| path.as_bytes().to_vec());
        assert_eq!(layers, want);
    }

    #[cfg(feature = "full")]
    #[test]
    fn of_mounts_on_top_of_each_other_the_last_counts() {
        let info = b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            22 21 8:2 / /mnt rw - ext4 /dev/sdb1 rw\n\
            23 22 8:3 / /mnt rw - ext4 /dev/sdc1 rw\n\
            24 21 8:2 /old-root/x /x rw - ext4 /dev/sdb1 rw\n\
            25 21 8:3 /old-root/y /y rw - ext4 /dev/sdc1 rw\n";
        assert_eq!(sources(info, "/mnt"), ["old-root/y at /y"]);
        assert_eq!(sources_of(info, "/mnt", Some(22)), ["old-root/x at /x"]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(info in prop::collection::vec(any::<u8>(), 0..200)) {
            let table = Table::new(&info, b"/sysroot", Some(1));
            let _ = (table.mounts(), table.binds());
            #[cfg(feature = "full")]
            let _ = (table.sources(&table).count(), mounted_on(&info, b"/"));
            let _ = overlay_redirects(&info, 1);
        }

        #[test]
        fn unescape_undoes_the_kernels_escape(name in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut escaped = Vec::new();
            for &b in &name {
                if matches!(b, b' ' | b'\t' | b'\n' | b'\\') {
                    escaped.extend(format!("\\{b:03o}").bytes());
                } else {
                    escaped.push(b);
                }
            }
            prop_assert_eq!(unescape(&escaped), name);
        }
    }
}
