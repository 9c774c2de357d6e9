//! Images of hibernated systems in swap areas (`mm/swapfile.c`,
//! `kernel/power/swap.c`): the signature at the end of the first page.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::error::OpError;
use crate::fs::swaps;
use crate::machine::devices::{Devices, Target};
use crate::machine::files::{Result, failed};
use crate::machine::fstab;
use crate::machine::sources::Sources;

/// Page sizes that Linux has.
const PAGES: [u64; 3] = [4096, 16_384, 65_536];

/// What the swap areas of the machine hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Looked {
    /// Those with an image.
    pub with_image: Vec<String>,
    /// Those that could not be read.
    pub unread: Vec<OpError>,
}

/// Looks into the swap areas that the old fstab and `resume=` name. An area in
/// use holds none.
pub(crate) fn images(sources: &Sources) -> Result<Looked> {
    let (files, proc) = (sources.files(), sources.proc());
    let devices = Devices::of(sources);
    let text = files.text("/etc/fstab")?.unwrap_or_default();
    let entries = fstab::parse(&text).into_iter().filter(|entry| entry.fs_type == "swap");
    let mut specs: Vec<String> = entries.map(|entry| entry.spec).collect();
    if sources.running {
        let line = proc.text("/cmdline")?.unwrap_or_default();
        specs.extend(
            line.split_whitespace().filter_map(|w| w.strip_prefix("resume=")).map(str::to_owned),
        );
    }
    let active = proc.read("/swaps")?.unwrap_or_default();
    let active: Vec<String> = swaps::parse(&active)
        .map(|swap| String::from_utf8_lossy(&swap.path).into_owned())
        .collect();
    let mut active_devices = Vec::new();
    for path in &active {
        active_devices.push(devices.resolve(path)?);
    }
    let mut looked = Looked::default();
    let mut seen: Vec<PathBuf> = Vec::new();
    for spec in specs {
        let path = match devices.resolve(&spec)? {
            Target::Device(_) if active_devices.contains(&devices.resolve(&spec)?) => continue,
            Target::Device(name) => sources.dev.join(name.replace('!', "/")),
            Target::Other if spec.starts_with('/') && !active.contains(&spec) => {
                files.outside(&spec)
            }
            _ => continue,
        };
        if seen.contains(&path) || !path.exists() {
            continue;
        }
        match has_image(&path) {
            Ok(true) => looked.with_image.push(spec),
            Ok(false) => {}
            Err(error) => looked.unread.push(error),
        }
        seen.push(path);
    }
    Ok(looked)
}

fn has_image(path: &PathBuf) -> Result<bool> {
    let file = File::open(path).map_err(|e| failed("open", path, &e))?;
    for page in PAGES {
        let mut signature = [0; 10];
        match file.read_exact_at(&mut signature, page - 10) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(failed("read", path, &error)),
        }
        // S1SUSPEND is the kernel's own, the others are of uswsusp and TuxOnIce.
        let known: [&[u8]; 4] = [b"S1SUSPEND", b"S2SUSPEND", b"ULSUSPEND", b"\xed\xc3\x02\xe9"];
        if known.iter().any(|image| signature.starts_with(image)) {
            return Ok(true);
        }
    }
    Ok(false)
}
