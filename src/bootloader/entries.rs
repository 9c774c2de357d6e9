//! The entries of boot-loader configurations. Pure.
//!
//! GRUB's `grub.cfg`, with Xen too, the Boot Loader Specification's
//! `loader/entries/*.conf` (systemd-boot), `extlinux.conf`, limine's `limine.conf` and
//! rEFInd's `refind.conf`, as the NixOS modules write them.

use crate::fs::name::Name;

/// A system that can be booted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct MenuEntry {
    /// The kernel's path, as the configuration has it.
    pub kernel: String,
    /// The path of what starts before it, as Xen does.
    pub hypervisor: Option<String>,
    /// The initrds' paths.
    pub initrds: Vec<String>,
    /// The kernel command line.
    pub arguments: String,
}

impl MenuEntry {
    /// Whether it boots the system at `/SYSTEM`.
    #[must_use]
    pub(crate) fn boots(&self, system: &str) -> bool {
        let init = format!("init=/{system}/init");
        self.arguments.split_whitespace().any(|word| word == init)
    }
}

/// Reads a configuration of any of the kinds.
#[must_use]
pub(crate) fn entries(text: &str) -> Vec<MenuEntry> {
    let mut found = vec![MenuEntry::default()];
    for line in text.lines() {
        let line = line.trim();
        let (word, rest) = line.split_once([' ', '\t', '=']).unwrap_or((line, ""));
        let (word, rest) = (word.trim_end_matches(':').to_ascii_lowercase(), rest.trim());
        if matches!(word.as_str(), "menuentry" | "label" | "title" | "submenu")
            || line.starts_with('/')
        {
            found.push(MenuEntry::default());
        }
        let Some(entry) = found.last_mut() else { continue };
        match word.as_str() {
            "multiboot" | "multiboot2" => {
                entry.hypervisor = rest.split_whitespace().next().map(str::to_owned);
            }
            // Multiboot's modules are told apart by their order.
            "module" | "module2" if entry.hypervisor.is_some() && !entry.kernel.is_empty() => {
                let paths = rest.split_whitespace().filter(|word| !word.starts_with("--"));
                entry.initrds.extend(paths.take(1).map(str::to_owned));
            }
            "linux" | "linuxefi" | "linux16" | "kernel" | "kernel_path" | "loader" | "module"
            | "module2" => {
                let rest = rest.strip_prefix("--nounzip ").unwrap_or(rest).trim_start();
                let (path, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                unquoted(path).clone_into(&mut entry.kernel);
                if !arguments.is_empty() {
                    arguments.trim().clone_into(&mut entry.arguments);
                }
            }
            "initrd" | "initrdefi" | "initrd16" | "module_path" => {
                let paths = rest.split([' ', '\t', ',']).filter(|path| !path.is_empty());
                entry.initrds.extend(paths.map(|path| unquoted(path).to_owned()));
            }
            "options" | "append" | "cmdline" => unquoted(rest).clone_into(&mut entry.arguments),
            _ => {}
        }
    }
    found.retain(|entry| !entry.kernel.is_empty());
    found
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text)
}

/// Whether a unified kernel image boots the system at `/SYSTEM`: its command line is
/// in it (lanzaboote).
#[must_use]
pub(crate) fn image_boots(content: &[u8], system: &str) -> bool {
    let init = format!("init=/{system}/init");
    content.windows(init.len()).any(|window| window == init.as_bytes())
}

/// The components of a path in a configuration: without GRUB's `($drive1)`,
/// limine's `boot():` and `#hash`; `..` goes up from `base`, where the
/// configuration is.
#[must_use]
pub(crate) fn components(path: &str, base: &[Name]) -> Vec<Name> {
    let path = path.split('#').next().unwrap_or(path);
    let path = match path.split_once("):") {
        Some((_, path)) => path,
        None => match (path.starts_with('('), path.split_once(')')) {
            (true, Some((_, path))) => path,
            _ => path,
        },
    };
    let mut found = if path.starts_with('/') { Vec::new() } else { base.to_vec() };
    for part in path.split('/') {
        match (part, Name::new(part.as_bytes())) {
            ("..", _) => drop(found.pop()),
            (_, Ok(name)) => found.push(name),
            (_, Err(_)) => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYSTEM: &str = "nix/store/abc-nixos-system-x-26.05";

    fn arguments() -> String {
        format!("init=/{SYSTEM}/init loglevel=4")
    }

    #[test]
    fn each_kind_of_configuration_is_read() {
        let args = arguments();
        for (text, kernel, initrd) in [
            (
                format!(
                    "set default=0\nmenuentry \"NixOS\" --unrestricted {{\n  linux \
                     ($drive1)//kernels/a-bzImage {args}\n  initrd ($drive1)//kernels/b-initrd\n}}\n\
                     menuentry 'other' {{\n  linux /vmlinuz root=/dev/sda1\n}}\n"
                ),
                "kernels/a-bzImage",
                "kernels/b-initrd",
            ),
            (
                format!(
                    "title NixOS\nversion 1\nlinux /EFI/nixos/a.efi\ninitrd /EFI/nixos/b.efi\n\
                     options {args}\nmachine-id 0\n"
                ),
                "EFI/nixos/a.efi",
                "EFI/nixos/b.efi",
            ),
            (
                format!(
                    "DEFAULT nixos-default\nLABEL nixos-default\n  MENU LABEL x\n  LINUX \
                     ../nixos/a\n  INITRD ../nixos/b\n  APPEND {args}\n"
                ),
                "nixos/a",
                "nixos/b",
            ),
            (
                format!(
                    "/NixOS\n  protocol: linux\n  cmdline: {args}\n  kernel_path: \
                     boot():/limine/kernels/a#0f\n  module_path: boot():/limine/kernels/b#0f\n"
                ),
                "limine/kernels/a",
                "limine/kernels/b",
            ),
            (
                format!(
                    "timeout 5\nmenuentry \"NixOS\" {{\n    loader /EFI/nixos/a\n    initrd \
                     /EFI/nixos/b\n    options \"{args}\"\n}}\n"
                ),
                "EFI/nixos/a",
                "EFI/nixos/b",
            ),
            (
                format!(
                    "menuentry \"NixOS\" {{\n  multiboot2 ($drive1)//xen.gz dom0_mem=1G\n  \
                     module2 ($drive1)//kernels/a {args}\n  module2 --nounzip \
                     ($drive1)//kernels/b\n}}\n"
                ),
                "kernels/a",
                "kernels/b",
            ),
        ] {
            let entries = entries(&text);
            let entry =
                entries.iter().find(|e| e.boots(SYSTEM)).unwrap_or_else(|| panic!("{text}"));
            let base = [Name::literal("extlinux")];
            let shown = |path: &str| {
                let names = components(path, &base);
                names.iter().map(ToString::to_string).collect::<Vec<_>>().join("/")
            };
            assert_eq!(shown(&entry.kernel), kernel, "{text}");
            assert_eq!(entry.initrds.iter().map(|i| shown(i)).collect::<Vec<_>>(), [initrd]);
            assert_eq!(entries.iter().filter(|e| e.boots(SYSTEM)).count(), 1);
        }
    }

    #[test]
    fn another_generation_is_another_system() {
        let text = format!("menuentry x {{\n linux /k init=/{SYSTEM}-old/init\n}}\n");
        assert!(!entries(&text).iter().any(|entry| entry.boots(SYSTEM)));
    }
}
