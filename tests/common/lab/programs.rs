//! Programs of the host with the libraries that they need, put into an
//! archive with a merged `/usr`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use super::cpio::Archive;
use super::host::output;

/// Makes the links of a merged `/usr`.
pub fn merge_usr(archive: &mut Archive) {
    for name in ["bin", "sbin", "lib", "lib64"] {
        archive.directory(&format!("usr/{name}"));
        archive.link(name, &format!("usr/{name}"));
    }
}

/// Copies files, and the libraries of those that are dynamic programs.
pub fn install(archive: &mut Archive, paths: &[&str]) {
    let mut libraries = BTreeSet::new();
    for path in paths {
        install_file(archive, path);
        if is_program(path) {
            let listing = output(Command::new("ldd").arg(path));
            let listing = String::from_utf8_lossy(&listing).into_owned();
            libraries.extend(
                listing.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned),
            );
        }
    }
    for library in libraries {
        install_file(archive, &library);
    }
}

fn install_file(archive: &mut Archive, path: &str) {
    let place = merged(path);
    if archive.contains(&place) {
        return;
    }
    let content = fs::read(path).unwrap_or_else(|error| panic!("Failed to read '{path}': {error}"));
    // The loader is run like a program.
    let mode = if content.starts_with(b"\x7fELF") { 0o755 } else { 0o644 };
    archive.file(&place, mode, content);
}

fn merged(path: &str) -> String {
    if path.starts_with("/usr/") || path.starts_with("/etc/") {
        path.to_owned()
    } else {
        format!("/usr{path}")
    }
}

fn is_program(path: &str) -> bool {
    let plain = Path::new(path).extension().is_none() && !path.contains(".so");
    plain && fs::read(path).is_ok_and(|content| content.starts_with(b"\x7fELF"))
}
