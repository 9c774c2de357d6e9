//! The network as it is now: links, addresses, routes, names, by the kernel; and
//! what the old distribution's files say about static addresses.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::files::{Files, Result, show};
use super::sources::Sources;

/// A network interface of a device: no bridge, no tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The name that udev would give it, if that is known and another.
    pub predicted: Option<String>,
}

/// What is in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Live {
    /// Interfaces of devices.
    pub links: Vec<Link>,
    /// Addresses that are not link-local.
    pub addresses: Vec<String>,
    /// The gateways of default routes, and by which interface.
    pub gateways: Vec<(String, String)>,
    /// A default route leads through a gateway outside of all subnets.
    pub gateway_outside: bool,
}

/// A file that sets a static address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Static {
    /// The file.
    pub file: String,
    /// The addresses in it.
    pub addresses: Vec<String>,
}

impl Live {
    /// Reads it.
    ///
    /// # Errors
    /// What could not be read.
    pub fn read(sources: &Sources) -> Result<Self> {
        let (proc, sys) = (sources.proc(), sources.sys());
        let routes = proc.text("/net/route")?.unwrap_or_default();
        let trie = proc.text("/net/fib_trie")?.unwrap_or_default();
        let inet6 = proc.text("/net/if_inet6")?.unwrap_or_default();
        let routes6 = proc.text("/net/ipv6_route")?.unwrap_or_default();
        let mut live = Self { addresses: local(&trie), ..Self::default() };
        live.addresses.extend(global6(&inet6));
        let (gateways, outside) = gateways(&routes);
        live.gateways = gateways;
        live.gateways.extend(gateways6(&routes6));
        live.gateway_outside = outside;
        let run = Files::new(&sources.run);
        for name in sys.list("/class/net")? {
            let dir = Path::new("/class/net").join(&name);
            if !sys.exists(dir.join("device"))? {
                continue;
            }
            let name = show(Path::new(&name));
            let index = sys.text(dir.join("ifindex"))?.unwrap_or_default();
            let data = run.text(format!("/udev/data/n{}", index.trim()))?.unwrap_or_default();
            let predicted = predicted(&data).filter(|p| *p != name);
            live.links.push(Link { name, predicted });
        }
        Ok(live)
    }
}

/// systemd's order of names (`systemd.link(5)`, `NamePolicy=`).
fn predicted(udev: &str) -> Option<String> {
    ["ID_NET_NAME_FROM_DATABASE", "ID_NET_NAME_ONBOARD", "ID_NET_NAME_SLOT", "ID_NET_NAME_PATH"]
        .iter()
        .find_map(|key| {
            let value = |line: &str| {
                line.strip_prefix("E:")?.strip_prefix(key)?.strip_prefix('=').map(str::to_owned)
            };
            udev.lines().find_map(value)
        })
}

/// Addresses of this host in `/proc/net/fib_trie`: the line before `/32 host LOCAL`.
fn local(trie: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last.filter(|a| !a.is_loopback() && !a.is_link_local())
        {
            let address = address.to_string();
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// `/proc/net/if_inet6`: scope 00 is global, flag 01 temporary.
fn global6(table: &str) -> Vec<String> {
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, scope, flags, ..] = fields.as_slice() else { return None };
        let bits = u128::from_str_radix(address, 16).ok()?;
        let temporary = u8::from_str_radix(flags, 16).ok()? & 1 == 1;
        (*scope == "00" && !temporary).then(|| Ipv6Addr::from(bits).to_string())
    };
    table.lines().filter_map(address).collect()
}

/// `/proc/net/route`: numbers in the order of the host, which is little-endian.
fn gateways(table: &str) -> (Vec<(String, String)>, bool) {
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
    let rows: Vec<(String, u32, u32, u32)> = table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [interface, destination, gateway, _, _, _, _, mask, ..] = fields.as_slice() else {
                return None;
            };
            let (destination, gateway) = (number(destination)?, number(gateway)?);
            Some(((*interface).to_owned(), destination, gateway, number(mask)?))
        })
        .collect();
    let defaults = rows.iter().filter(|(_, destination, _, mask)| *destination == 0 && *mask == 0);
    let mut found = Vec::new();
    let mut outside = false;
    for (interface, _, gateway, _) in defaults.filter(|row| row.2 != 0) {
        found.push((Ipv4Addr::from(*gateway).to_string(), interface.clone()));
        // A route to the gateway's own address alone tells that it is outside.
        outside |= !rows.iter().any(|(_, destination, via, mask)| {
            *via == 0 && *mask != 0 && *mask != u32::MAX && gateway & mask == *destination
        });
    }
    (found, outside)
}

fn gateways6(table: &str) -> Vec<(String, String)> {
    let gateway = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, length, _, _, via, _, _, _, _, interface] = fields.as_slice() else {
            return None;
        };
        let via = u128::from_str_radix(via, 16).ok().filter(|via| *via != 0)?;
        let default = *length == "00" && destination.bytes().all(|b| b == b'0');
        (default && *interface != "lo")
            .then(|| (Ipv6Addr::from(via).to_string(), (*interface).to_owned()))
    };
    table.lines().filter_map(gateway).collect()
}

/// The files of the old distribution that set static addresses.
///
/// # Errors
/// What could not be read.
pub fn statics(files: &Files) -> Result<Vec<Static>> {
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
    let mut text = String::new();
    let _ = write!(text, "{address}");
    Some(text)
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
    fn the_kernels_tables_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.5\n        /32 host LOCAL\n     \
            |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n";
        assert_eq!(local(trie), ["10.0.0.5"]);
        let inet6 = "20010db8000000000000000000000005 02 40 00 80 eth0\n\
            fe800000000000000000000000000005 02 40 20 80 eth0\n";
        assert_eq!(global6(inet6), ["2001:db8::5"]);
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let default = "eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n";
        let subnet = "eth0 0000000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let found = vec![("10.0.0.1".to_owned(), "eth0".to_owned())];
        assert_eq!(gateways(&[head, default, subnet].concat()), (found.clone(), false));
        let alone = "eth0 0100000A 00000000 0005 0 0 0 FFFFFFFF 0 0 0\n";
        assert_eq!(gateways(&[head, default, alone].concat()), (found, true));
        let route6 = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
            fe800000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n";
        assert_eq!(gateways6(route6), [("fe80::1".to_owned(), "eth0".to_owned())]);
    }

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

    #[test]
    fn udev_knows_the_name_that_comes() {
        let data = "I:1\nE:ID_NET_NAME_PATH=enp0s3\nE:ID_NET_NAME_SLOT=ens3\n";
        assert_eq!(predicted(data).as_deref(), Some("ens3"));
        assert_eq!(predicted("E:ID_NET_NAME_MAC=x\n"), None);
    }
}
