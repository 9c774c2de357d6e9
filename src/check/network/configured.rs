//! What the configuration sets up, of all that may do it. Pure.

use std::net::IpAddr;

use crate::machine::network::Link;
use crate::system::facts::{Network, Unit};
use crate::system::sshd_config::glob;

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Configured {
    /// What asks for addresses by DHCP, or does all of it.
    pub dhcp: Option<&'static str>,
    /// Text in it that may say anything.
    pub free_text: Option<&'static str>,
    pub addresses: Vec<IpAddr>,
    pub gateways: Vec<IpAddr>,
    /// Interfaces that are named.
    pub interfaces: Vec<String>,
    /// What units of networkd match, by patterns of names and by MAC.
    patterns: Vec<String>,
    macs: Vec<String>,
}

impl Configured {
    pub(super) fn of(network: &Network) -> Self {
        let mut found = Self { free_text: free_text(network), ..Self::default() };
        found.dhcp = dhcp(network);
        for interface in &network.interfaces {
            found.interfaces.push(interface.name.clone());
            found.take(&interface.addresses, &[]);
        }
        for device in &network.r#virtual {
            found.interfaces.push(device.name.clone());
            found.take(&device.addresses, &[]);
        }
        for gateway in network.gateway.iter().chain(&network.gateway6) {
            found.take(&[], gateway.address.as_slice());
        }
        for unit in &network.networks {
            found.take(&unit.addresses, &unit.gateways);
            for route in unit.routes.iter().filter(|route| is_default(&route.to)) {
                found.take(&[], &route.via);
            }
            let set = |key: &str| unit.r#match.get(key).cloned().unwrap_or_default();
            for name in set("Name").iter().flat_map(|names| names.split_whitespace()) {
                if name.contains(['*', '?', '[', '!']) {
                    found.patterns.push(name.to_owned());
                } else {
                    found.interfaces.push(name.to_owned());
                }
            }
            let macs = [set("MACAddress"), set("PermanentMACAddress")].concat();
            let macs = macs.iter().flat_map(|macs| macs.split_whitespace());
            found.macs.extend(macs.map(str::to_lowercase));
        }
        for profile in &network.profiles {
            found.interfaces.extend(profile.interface.clone());
            found.macs.extend(profile.mac.as_ref().map(|mac| mac.to_lowercase()));
            for section in [&profile.ipv4, &profile.ipv6] {
                for (key, values) in section {
                    // An address may have its gateway behind it.
                    let parts = values.iter().flat_map(|value| value.split([',', ';']));
                    let parts: Vec<String> = parts.map(|part| part.trim().to_owned()).collect();
                    match key.as_str() {
                        "gateway" => found.take(&[], &parts),
                        "addresses" | "address" | "address1" | "address2" => {
                            let (with, without): (Vec<_>, Vec<_>) =
                                parts.into_iter().partition(|part| part.contains('/'));
                            found.take(&with, &without);
                        }
                        "route1"
                            if parts
                                .first()
                                .is_some_and(|to| is_default(std::slice::from_ref(to))) =>
                        {
                            found.take(&[], &parts[1..]);
                        }
                        _ => {}
                    }
                }
            }
        }
        found.interfaces.sort_unstable();
        found.interfaces.dedup();
        found
    }

    fn take(&mut self, addresses: &[String], gateways: &[String]) {
        let parse = |text: &String| text.split('/').next()?.parse::<IpAddr>().ok();
        self.addresses.extend(addresses.iter().filter_map(parse));
        self.gateways.extend(gateways.iter().filter_map(parse));
    }

    /// Whether no interface gets an address.
    pub(super) fn sets_nothing(&self) -> bool {
        self.dhcp.is_none() && self.addresses.is_empty()
    }

    /// Whether a unit or profile is for a link by something else than its whole name.
    pub(super) fn matches(&self, link: &Link, comes: &str) -> bool {
        self.macs.contains(&link.mac) || self.patterns.iter().any(|pattern| glob(pattern, comes))
    }
}

fn is_default(to: &[String]) -> bool {
    to.is_empty() || to.iter().any(|to| ["0.0.0.0/0", "::/0"].contains(&to.as_str()))
}

/// Who asks for addresses, or does all of it.
fn dhcp(network: &Network) -> Option<&'static str> {
    let runs = |name: &str| network.manager.iter().any(|manager| manager == name);
    let asks = |unit: &Unit| {
        let no = |value: &String| ["no", "false", "none"].contains(&value.to_lowercase().as_str());
        unit.dhcp.iter().any(|value| !no(value))
    };
    if runs("NetworkManager") {
        return Some("NetworkManager");
    }
    if runs("connman") {
        return Some("ConnMan");
    }
    if network.networks.iter().any(asks) {
        return Some("systemd-networkd");
    }
    let some =
        network.dhcp == Some(true) || network.interfaces.iter().any(|i| i.dhcp == Some(true));
    if network.dhcpcd.is_some() && some {
        return Some("dhcpcd");
    }
    (network.cloud_init == Some(true)).then_some("cloud-init")
}

fn free_text(network: &Network) -> Option<&'static str> {
    if network.opaque == Some(true) {
        return Some("networking.localCommands");
    }
    if network.networks.iter().any(|unit| unit.raw == Some(true)) {
        return Some("extraConfig of systemd.network.networks");
    }
    let raw = network.dhcpcd.as_ref().is_some_and(|dhcpcd| dhcpcd.raw == Some(true));
    raw.then_some("networking.dhcpcd.extraConfig")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &str) -> Configured {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nix/facts");
        let text = std::fs::read(folder.join(name)).expect("facts");
        let value = serde_json::from_slice(&text).expect("JSON");
        let facts = crate::system::facts::read(&value).expect("facts");
        Configured::of(&facts.network.expect("a network"))
    }

    fn addresses(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|address| address.parse().expect("an address")).collect()
    }

    #[test]
    fn the_modules_facts_say_what_is_set_up() {
        let fixed = of("static.json");
        assert_eq!(fixed.addresses, addresses(&["10.0.0.2", "2001:db8::2"]));
        assert_eq!(fixed.gateways, addresses(&["10.0.0.1", "fe80::1"]));
        assert_eq!((fixed.dhcp, fixed.interfaces), (None, vec!["eth0".to_owned()]));
        let networkd = of("networkd.json");
        assert_eq!(networkd.addresses, addresses(&["10.0.0.2", "2001:db8::2", "10.0.0.3"]));
        assert_eq!(networkd.gateways, addresses(&["172.31.1.1", "10.1.0.1"]), "not of a table's");
        assert_eq!(networkd.dhcp, Some("systemd-networkd"));
        assert_eq!(networkd.free_text, Some("extraConfig of systemd.network.networks"));
        let manager = of("networkmanager.json");
        assert_eq!(manager.addresses, addresses(&["10.0.0.2"]));
        assert_eq!(manager.gateways, addresses(&["10.0.0.1"]));
        assert_eq!(manager.dhcp, Some("NetworkManager"));
        assert_eq!(of("plain.json").dhcp, Some("dhcpcd"));
        assert_eq!(of("connman.json").dhcp, Some("ConnMan"));
        let link = Link {
            name: "x".into(),
            predicted: crate::machine::network::Predicted::Unknown,
            mac: "52:54:00:00:00:01".into(),
            driver: None,
        };
        assert!(networkd.matches(&link, "x"));
        let other = Link { mac: "52:54:00:00:00:02".into(), ..link };
        assert!(networkd.matches(&other, "enp0s3") && !networkd.matches(&other, "x"));
    }
}
