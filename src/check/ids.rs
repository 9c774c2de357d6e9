//! The ids of findings. Others rely on them: none is changed or given another
//! meaning. README.md has this table too.

/// Each id, and the question that it answers.
pub const IDS: &[(&str, &str)] = &[
    ("profile", "Is there a built system?"),
    ("system", "What was not examined for the lack of one"),
    ("profile-complete", "Has it init, kernel, initrd, switch-to-configuration and fstab?"),
    ("bootspec", "Has it a boot.json that can be read?"),
    ("cpu", "Is it built for this processor?"),
    ("closure", "Are all its paths valid and in the store?"),
    ("configuration", "Does boot.json say what the configuration is?"),
    ("initrd-lustrates", "Will its initrd lustrate?"),
    ("mounts", "Can the mount table be read?"),
    ("fstab-root", "Does it mount this root, subvolume and type included?"),
    ("fstab-nix", "Does it mount /nix as it is now?"),
    ("fstab-boot", "Does it mount /boot as it is now?"),
    ("fstab-devices", "Are the devices of its other mounts there?"),
    ("device-names", "Does it name disks by the order in which they are found?"),
    ("initrd-storage", "Has its initrd what the root's LVM, RAID, LUKS and the like need?"),
    ("initrd-drivers", "Has its initrd the drivers of the root's disk and file system?"),
    ("separate", "Does it mount the file systems that a lustration does not touch?"),
    ("boot", "What is /boot, and is it mounted?"),
    ("boot-loader", "Which boot loader does it install?"),
    ("firmware", "Does this firmware start that boot loader?"),
    ("esp", "Is the ESP where it expects it?"),
    ("esp-shared", "Does the ESP serve other systems too?"),
    ("secure-boot", "Will the firmware refuse what is not signed?"),
    ("boot-disk", "Does GRUB go to the disks that the firmware may start?"),
    ("boot-room", "Is there room for kernel and initrd?"),
    ("features", "Do its kernel, tools and GRUB know the features of the file systems?"),
    ("login", "Can anybody log in?"),
    ("password-file", "Will the files with passwords be there?"),
    ("authorized-keys", "Do the keys let somebody in?"),
    ("homes", "Do the homes that stay belong to the users that it makes?"),
    ("mutable-users", "Can a password be set later?"),
    ("host-keys", "Are the SSH host keys kept, and closed to others?"),
    ("network", "Does it set up the addresses in use?"),
    ("network-live", "Can the network in use be seen?"),
    ("gateway", "Does it set up the gateway in use?"),
    ("interface-names", "Does it know the interfaces by the names that they will have?"),
    ("dns", "Is /etc/resolv.conf a file?"),
    ("nix-owner", "Is /nix root's?"),
    ("nix-install", "How is Nix installed?"),
    ("root", "Is the root on a disk?"),
    ("root-writable", "Can it be written to?"),
    ("machine", "Is this a machine, not a container, a chroot or WSL?"),
    ("kernel", "Is the running kernel new enough?"),
    ("image", "Is this an ordinary system?"),
    ("distribution", "Which distribution is it?"),
    ("space", "Is there free space?"),
    ("clock", "Is the clock right?"),
    ("swap-files", "Are swap files active?"),
    ("hibernation", "Does swap hold the image of a hibernated system?"),
    ("keepers", "What would be kept?"),
    ("plan", "What would move, and would that be refused?"),
    ("immutable", "Which entries are immutable?"),
];

/// Whether an id is in the table.
#[must_use]
pub(crate) fn is_known(id: &str) -> bool {
    IDS.iter().any(|(known, _)| *known == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readme_has_every_id_once() {
        let readme = include_str!("../../README.md");
        for (id, question) in IDS {
            assert!(readme.contains(&format!("| `{id}` | {question} |")), "{id}");
            assert_eq!(IDS.iter().filter(|(other, _)| other == id).count(), 1, "{id}");
        }
        assert!(!is_known("no-such-check"));
    }
}
