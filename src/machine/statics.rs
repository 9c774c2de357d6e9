//! What the old distribution's files say about static addresses: ifupdown,
//! netplan, networkd, `NetworkManager`, and the ifcfg files of Red Hat and SUSE.

use std::path::Path;

use crate::machine::files::{Files, Result, show};

/// A file that sets a static address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Static {
    /// The file.
    pub file: String,
    /// The addresses in it.
    pub addresses: Vec<String>,
}

/// The files of the old distribution that set static addresses.
pub(crate) fn statics(files: &Files) -> Result<Vec<Static>> {
    type Reader = fn(&str) -> Vec<String>;
    let places: [(&str, &str, Reader); 9] = [
        ("/etc/network", "interfaces", ifupdown),
        ("/etc/network/interfaces.d", "", ifupdown),
        ("/etc/netplan", ".yaml", netplan),
        ("/etc/systemd/network", ".network", networkd),
        ("/run/systemd/network", ".network", networkd),
        ("/etc/NetworkManager/system-connections", ".nmconnection", keyfile),
        ("/etc/sysconfig/network-scripts", "ifcfg-", ifcfg),
        ("/etc/sysconfig/network", "ifcfg-", ifcfg),
        ("/etc/conf.d", "net", ifcfg),
    ];
    let mut found = Vec::new();
    for (directory, pattern, reader) in places {
        for name in files.list(directory)? {
            let path = Path::new(directory).join(&name);
            let name = show(Path::new(&name));
            let fits = match pattern {
                "ifcfg-" => name.starts_with(pattern) && name != "ifcfg-lo",
                "interfaces" | "net" => name == pattern,
                _ => name.ends_with(pattern),
            };
            if !fits {
                continue;
            }
            let addresses = reader(&files.text(&path)?.unwrap_or_default());
            if !addresses.is_empty() {
                found.push(Static { file: show(&path), addresses });
            }
        }
    }
    Ok(found)
}

/// The address without its prefix length, quotes and loopback.
fn plain(value: &str) -> Option<String> {
    let value = value.trim().trim_matches(['"', '\'', '[', ']', ',']);
    let value = value.split(['/', ',', ' ']).next()?;
    let loopback = value.starts_with("127.") || value == "::1";
    let address = value.parse::<std::net::IpAddr>().ok().filter(|_| !loopback)?;
    Some(address.to_string())
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with('#'))
}

fn ifupdown(text: &str) -> Vec<String> {
    let mut is_static = false;
    let mut found = Vec::new();
    for line in words(text) {
        let mut fields = line.split_whitespace();
        match fields.next() {
            Some("iface") => is_static = fields.any(|field| field == "static"),
            Some("address") if is_static => found.extend(fields.next().and_then(plain)),
            _ => {}
        }
    }
    found
}

/// Lists below `addresses:`, in either form of YAML; not those of nameservers.
fn netplan(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (mut nameservers, mut list) = (None, None);
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with('#'))
    {
        let indent = line.len() - line.trim_start().len();
        let line = line.trim();
        if nameservers.is_some_and(|at| indent <= at) {
            nameservers = None;
        }
        let item = line.strip_prefix("- ");
        if list.is_some_and(|at| indent < at || (indent == at && item.is_none())) {
            list = None;
        }
        if line.starts_with("nameservers:") {
            nameservers = Some(indent);
        } else if let Some(rest) = line.strip_prefix("addresses:") {
            list = nameservers.is_none().then_some(indent);
            if nameservers.is_none() {
                found.extend(rest.trim().trim_matches(['[', ']']).split(',').filter_map(plain));
            }
        } else if let (Some(item), Some(_)) = (item, list) {
            found.extend(plain(item.trim_end_matches(':')));
        }
    }
    found
}

fn networkd(text: &str) -> Vec<String> {
    words(text)
        .filter_map(|line| plain(line.strip_prefix("Address")?.trim_start().strip_prefix('=')?))
        .collect()
}

fn keyfile(text: &str) -> Vec<String> {
    let numbered = |key: &str| {
        key.strip_prefix("address")
            .is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let manual = words(text).any(|line| line == "method=manual");
    let lines = words(text).filter_map(|line| line.split_once('='));
    let found = lines.filter(|(key, _)| numbered(key)).filter_map(|(_, value)| plain(value));
    found.filter(|_| manual).collect()
}

fn ifcfg(text: &str) -> Vec<String> {
    let keys = ["IPADDR", "IPV6ADDR"];
    let lines = words(text).filter_map(|line| line.split_once('='));
    lines
        .filter(|(key, _)| keys.iter().any(|k| key.starts_with(k)))
        .filter_map(|(_, value)| plain(value))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn static_addresses_are_found_in_every_form() {
        let debian = "auto lo\niface lo inet loopback\niface eth0 inet static\n  address 192.0.2.5/24\n\
            iface eth1 inet dhcp\n  address 192.0.2.9\n";
        assert_eq!(ifupdown(debian), ["192.0.2.5"]);
        let ubuntu = "network:\n  ethernets:\n    eth0:\n      addresses:\n      - 192.0.2.5/24\n      \
            - \"2001:db8::5/64\"\n      nameservers:\n        addresses: [192.0.2.53]\n      dhcp4: no\n";
        assert_eq!(netplan(ubuntu), ["192.0.2.5", "2001:db8::5"]);
        let inline =
            "network:\n  ethernets:\n    eth0:\n      addresses: [192.0.2.5/24, 192.0.2.6/24]\n";
        assert_eq!(netplan(inline), ["192.0.2.5", "192.0.2.6"]);
        assert_eq!(netplan("network:\n  ethernets:\n    eth0:\n      dhcp4: true\n"), [""; 0]);
        assert_eq!(
            networkd("[Match]\nName=eth0\n[Network]\nAddress = 192.0.2.5/24\n"),
            ["192.0.2.5"]
        );
        assert_eq!(
            keyfile("[ipv4]\nmethod=manual\naddress1=192.0.2.5/24,192.0.2.1\n"),
            ["192.0.2.5"]
        );
        assert_eq!(keyfile("[ipv4]\nmethod=auto\naddress1=192.0.2.5/24\n"), [""; 0]);
        assert_eq!(
            ifcfg("BOOTPROTO=none\nIPADDR=\"192.0.2.5\"\nIPADDR1=192.0.2.6\n"),
            ["192.0.2.5", "192.0.2.6"]
        );
    }
}
