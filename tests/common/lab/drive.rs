//! How a disk is attached to a machine: plainly, slowly, with errors, or with
//! a log of its writes.

use std::path::PathBuf;

use super::disk::Disk;

/// What happens to reads and writes on their way to the image.
#[derive(Clone, Debug)]
pub enum Path {
    /// Nothing. What the guest wrote survives the end of QEMU.
    Plain,
    /// So few writes a second: a power cut finds a run in its middle.
    Slow { writes: u32 },
    /// Reads of this sector fail.
    BadSector(u64),
    /// All writes and flushes are also logged, in the format of dm-log-writes.
    Logged(PathBuf),
}

/// A disk and how it is attached; a machine has them as vda, vdb and so on.
#[derive(Debug)]
pub struct Drive<'a> {
    pub disk: &'a Disk,
    pub path: Path,
}

impl Drive<'_> {
    /// QEMU's arguments for the drive with this number.
    pub fn arguments(&self, number: usize) -> Vec<String> {
        let image = self.disk.path().display();
        let file = format!("driver=file,node-name=file{number},filename={image},cache.no-flush=on");
        let device = format!("virtio-blk-pci,drive=disk{number},id=vd{number}");
        let mut nodes = vec![format!("{file},discard=unmap")];
        let mut more = Vec::new();
        match &self.path {
            Path::Plain => {
                nodes.push(format!("driver=raw,node-name=disk{number},file=file{number}"));
            }
            Path::Slow { writes } => {
                let limits = format!("throttle-group,id=slow{number},x-iops-write={writes}");
                more.extend(["-object".to_owned(), limits]);
                let over = format!("throttle-group=slow{number},file=file{number}");
                nodes.push(format!("driver=throttle,node-name=disk{number},{over}"));
            }
            Path::BadSector(sector) => {
                let error = format!(
                    "inject-error.0.event=none,inject-error.0.iotype=read,\
                     inject-error.0.sector={sector},inject-error.0.errno=5"
                );
                nodes.push(format!(
                    "driver=blkdebug,node-name=disk{number},image=file{number},{error}"
                ));
            }
            Path::Logged(log) => {
                let log = log.display();
                nodes.push(format!(
                    "driver=file,node-name=log{number},filename={log},cache.no-flush=on"
                ));
                nodes.push(format!(
                    "driver=blklogwrites,node-name=disk{number},file=file{number},\
                     log=log{number},log-append=off,log-sector-size=512,\
                     log-super-update-interval=1,discard=unmap"
                ));
            }
        }
        more.extend(nodes.into_iter().flat_map(|node| ["-blockdev".to_owned(), node]));
        more.extend(["-device".to_owned(), device]);
        more
    }
}
