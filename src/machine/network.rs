//! The network as it is now: links, addresses, routes, names, by the kernel.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use crate::machine::files::{Files, Result, show};
use crate::machine::sources::Sources;

/// A network interface of a device: no bridge, no tunnel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    /// Its name.
    pub name: String,
    /// The name that udev gives it.
    pub predicted: Predicted,
    /// Its hardware address.
    pub mac: String,
    /// The driver of its device.
    pub driver: Option<String>,
}

/// The name that udev gives an interface when nothing else names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Predicted {
    Name(String),
    /// It leaves it the one of the kernel.
    Kernels,
    /// udev does not run.
    Unknown,
}

/// What is in use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct LiveNetwork {
    /// Interfaces of devices.
    pub links: Vec<Link>,
    /// Addresses that are not link-local.
    pub addresses: Vec<IpAddr>,
    /// Those of IPv6 that never expire: set by hand, not by DHCP or a router.
    pub permanent: Vec<IpAddr>,
    /// The IPv4 subnets of the interfaces with a default route: address and mask.
    main: Vec<(u32, u32)>,
    /// The interfaces with a default route of IPv6, and the addresses on each.
    main6: Vec<IpAddr>,
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
        let global = global6(&inet6);
        live.addresses.extend(global.iter().map(|address| address.address));
        let permanent = global.iter().filter(|address| address.permanent);
        live.permanent = permanent.map(|address| address.address).collect();
        let (gateways, outside) = gateways(&routes);
        live.main = subnets(&routes, &gateways);
        live.gateways = gateways;
        let gateways6 = gateways6(&routes6);
        let has_gateway = |name: &str| gateways6.iter().any(|(_, interface)| interface == name);
        let main6 = global.iter().filter(|address| has_gateway(&address.interface));
        live.main6 = main6.map(|address| address.address).collect();
        live.gateways.extend(gateways6);
        live.gateway_outside = outside;
        let run = Files::new(&sources.run);
        for name in sys.list("/class/net")? {
            let dir = Path::new("/class/net").join(&name);
            if !sys.exists(dir.join("device"))? {
                continue;
            }
            let name = show(Path::new(&name));
            let index = sys.text(dir.join("ifindex"))?.unwrap_or_default();
            let data = run.text(format!("/udev/data/n{}", index.trim()))?;
            let predicted = data.map_or(Predicted::Unknown, |data| {
                predicted(&data).map_or(Predicted::Kernels, Predicted::Name)
            });
            let mac = sys.text(dir.join("address"))?.unwrap_or_default().trim().to_lowercase();
            let driver = sys.real(dir.join("device/driver"))?;
            let driver = driver.and_then(|d| d.file_name().map(|name| show(Path::new(name))));
            live.links.push(Link { name, predicted, mac, driver });
        }
        Ok(live)
    }

    /// Whether an address is one of an interface with a default route.
    pub(crate) fn is_main(&self, address: &IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => {
                self.main.iter().any(|(subnet, mask)| u32::from(*address) & mask == *subnet)
            }
            IpAddr::V6(_) => self.main6.contains(address),
        }
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
fn local(trie: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL")
            && let Some(address) = last.filter(|a| !a.is_loopback() && !a.is_link_local())
        {
            let address = IpAddr::V4(address);
            if !found.contains(&address) {
                found.push(address);
            }
        }
    }
    found
}

/// A global address of IPv6.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Global {
    address: IpAddr,
    interface: String,
    permanent: bool,
}

/// `/proc/net/if_inet6`: scope 00 is global, flag 01 temporary, 80 permanent.
fn global6(table: &str) -> Vec<Global> {
    let address = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, scope, flags, interface] = fields.as_slice() else { return None };
        let address = IpAddr::V6(Ipv6Addr::from(u128::from_str_radix(address, 16).ok()?));
        let flags = u8::from_str_radix(flags, 16).ok()?;
        let (permanent, interface) = (flags & 0x80 != 0, (*interface).to_owned());
        (*scope == "00" && flags & 1 == 0).then_some(Global { address, interface, permanent })
    };
    table.lines().filter_map(address).collect()
}

/// A row of `/proc/net/route`.
struct Row {
    interface: String,
    destination: u32,
    via: u32,
    mask: u32,
}

/// `/proc/net/route`: numbers in the order of the host, which is little-endian.
fn rows(table: &str) -> Vec<Row> {
    let number = |field: &str| u32::from_str_radix(field, 16).ok().map(u32::swap_bytes);
    let row = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [interface, destination, via, _, _, _, _, mask, ..] = fields.as_slice() else {
            return None;
        };
        let (destination, via, mask) = (number(destination)?, number(via)?, number(mask)?);
        Some(Row { interface: (*interface).to_owned(), destination, via, mask })
    };
    table.lines().skip(1).filter_map(row).collect()
}

fn gateways(table: &str) -> (Vec<(String, String)>, bool) {
    let rows = rows(table);
    let defaults = rows.iter().filter(|row| row.destination == 0 && row.mask == 0);
    let mut found = Vec::new();
    let mut outside = false;
    for default in defaults.filter(|row| row.via != 0) {
        found.push((Ipv4Addr::from(default.via).to_string(), default.interface.clone()));
        // A route to the gateway's own address alone tells that it is outside.
        outside |= !rows.iter().any(|row| {
            let is_subnet = row.via == 0 && row.mask != 0 && row.mask != u32::MAX;
            is_subnet && default.via & row.mask == row.destination
        });
    }
    (found, outside)
}

/// The subnets of the interfaces with these gateways.
fn subnets(table: &str, gateways: &[(String, String)]) -> Vec<(u32, u32)> {
    let main = |row: &Row| gateways.iter().any(|(_, interface)| *interface == row.interface);
    let rows = rows(table).into_iter().filter(|row| row.via == 0 && row.mask != 0 && main(row));
    rows.map(|row| (row.destination, row.mask)).collect()
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
        let address = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(local(trie), [address("10.0.0.5")]);
        let inet6 = "20010db8000000000000000000000005 02 40 00 80 eth0\n\
            fe800000000000000000000000000005 02 40 20 80 eth0\n";
        let (interface, address6) = ("eth0".to_owned(), address("2001:db8::5"));
        assert_eq!(global6(inet6), [Global { address: address6, interface, permanent: true }]);
        assert!(!global6(&inet6.replacen(" 80 ", " 00 ", 1))[0].permanent);
        let head = "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n";
        let default = "eth0 00000000 0100000A 0003 0 0 0 00000000 0 0 0\n";
        let subnet = "eth0 0000000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let found = vec![("10.0.0.1".to_owned(), "eth0".to_owned())];
        assert_eq!(gateways(&[head, default, subnet].concat()), (found.clone(), false));
        let other = "eth1 0000A8C0 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        let main = subnets(&[head, default, subnet, other].concat(), &found);
        let live = LiveNetwork { main, ..LiveNetwork::default() };
        assert!(live.is_main(&address("10.0.0.7")) && !live.is_main(&address("192.168.0.7")));
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
