//! What processor a program or a kernel was built for.

use std::io::Read;
use std::path::Path;

use crate::machine::files::{Files, Result, failed};

/// The machine of an ELF file, of a Linux boot image, or of the interpreter of
/// a script, in the words of `uname -m`; `None` when it is none of them.
pub(crate) fn machine(files: &Files, path: &Path) -> Result<Option<&'static str>> {
    let Some(head) = head(files, path)? else { return Ok(None) };
    if let Some(script) = head.strip_prefix(b"#!") {
        let line = script.split(|&b| b == b'\n').next().unwrap_or_default().trim_ascii();
        let program = line.split(|&b| b == b' ').next().unwrap_or_default();
        let program = String::from_utf8_lossy(program).into_owned();
        let head = self::head(files, Path::new(&program))?;
        return Ok(head.as_deref().and_then(of));
    }
    Ok(of(&head))
}

fn head(files: &Files, path: &Path) -> Result<Option<Vec<u8>>> {
    let Some(file) = files.open(path)? else { return Ok(None) };
    let mut head = Vec::new();
    let read = file.take(1024).read_to_end(&mut head);
    read.map_err(|e| failed("read", &files.outside(path), &e))?;
    Ok(Some(head))
}

/// By the first bytes; pure.
fn of(head: &[u8]) -> Option<&'static str> {
    let at = |offset: usize| Some(u16::from_le_bytes([*head.get(offset)?, *head.get(offset + 1)?]));
    if head.starts_with(b"\x7fELF") {
        // elf(5), e_machine; byte 5 says the order of bytes.
        let machine = if head.get(5) == Some(&2) { at(18)?.swap_bytes() } else { at(18)? };
        return Some(match machine {
            3 => "i686",
            40 => "armv7l",
            62 => "x86_64",
            183 => "aarch64",
            243 => "riscv64",
            258 => "loongarch64",
            21 => "powerpc64le",
            22 => "s390x",
            _ => return None,
        });
    }
    // Documentation/arch/arm64/booting.rst, arch/riscv/boot-image-header.rst
    if head.get(56..60) == Some(b"ARM\x64") {
        return Some("aarch64");
    }
    if head.get(56..60) == Some(b"RSC\x05") {
        return Some("riscv64");
    }
    // Documentation/arch/x86/boot.rst: "HdrS" at 0x202, xloadflags at 0x236.
    if head.get(0x202..0x206) == Some(b"HdrS") {
        return Some(if at(0x236)? & 1 == 1 { "x86_64" } else { "i686" });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_kernels_are_told_apart() {
        let mut elf = b"\x7fELF\x02\x01".to_vec();
        elf.resize(64, 0);
        elf[18] = 62;
        assert_eq!(of(&elf), Some("x86_64"));
        elf[18] = 183;
        assert_eq!(of(&elf), Some("aarch64"));
        let mut image = vec![0; 1024];
        assert_eq!(of(&image), None);
        image[56..60].copy_from_slice(b"ARM\x64");
        assert_eq!(of(&image), Some("aarch64"));
        let mut bz = vec![0; 1024];
        bz[0x202..0x206].copy_from_slice(b"HdrS");
        assert_eq!(of(&bz), Some("i686"));
        bz[0x236] = 1;
        assert_eq!(of(&bz), Some("x86_64"));
        assert_eq!(of(b"short"), None);
    }

    #[test]
    fn a_program_is_for_the_machine_that_runs_it() {
        let own = std::env::current_exe().expect("a program");
        let found = machine(&Files::new("/"), &own).expect("readable");
        assert_eq!(found, Some(std::env::consts::ARCH));
    }
}
