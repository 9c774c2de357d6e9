//! The network as it is now: links, addresses, routes, names, by the kernel.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::machine::files::{Files, Result, show};
use crate::machine::sources::Sources;

/// A network interface of a device: no bridge, no tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its name.
    pub name: String,
    /// The name that udev would give it, if that is known and another.
    pub predicted: Option<String>,
}

/// What is in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LiveNetwork {
    /// Interfaces of devices.
    pub links: Vec<Link>,
    /// Addresses that are not link-local.
    pub addresses: Vec<String>,
    /// The gateways of default routes, and by which interface.
    pub gateways: Vec<(String, String)>,
    /// A default route leads through a gateway outside of all subnets.
    pub gateway_outside: bool,
}

impl LiveNetwork {
    /// Reads it.
    pub(crate) fn read(sources: &Sources) -> Result<Self> {
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
    fn udev_knows_the_name_that_comes() {
        let data = "I:1\nE:ID_NET_NAME_PATH=enp0s3\nE:ID_NET_NAME_SLOT=ens3\n";
        assert_eq!(predicted(data).as_deref(), Some("ens3"));
        assert_eq!(predicted("E:ID_NET_NAME_MAC=x\n"), None);
    }
}
