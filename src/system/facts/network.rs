//! The network.

use std::collections::BTreeMap;

use super::facts;

/// What was set in a section of a unit or profile.
pub(crate) type Section = BTreeMap<String, Vec<String>>;

facts! {
    struct Network {
        manager: Vec<String>,
        use_networkd: Option<bool>,
        dhcp: Option<bool>,
        ipv6: Option<bool>,
        dhcpcd: Option<Dhcpcd>,
        interfaces: Vec<Interface>,
        r#virtual: Vec<Virtual>,
        gateway: Option<Gateway>,
        gateway6: Option<Gateway>,
        nameservers: Vec<String>,
        host_id: Option<String>,
        predictable: Option<bool>,
        networks: Vec<Unit>,
        netdevs: Vec<Netdev>,
        links: Vec<Unit>,
        udev_names: Option<bool>,
        profiles: Vec<Profile>,
        unmanaged: Vec<String>,
        cloud_init: Option<bool>,
        opaque: Option<bool>,
        firewall: Option<Firewall>,
    }
    struct Dhcpcd {
        deny: Vec<String>,
        limited: bool,
        allow: Vec<String>,
        raw: Option<bool>,
    }
    struct Interface {
        name: String,
        dhcp: Option<bool>,
        addresses: Vec<String>,
        routes: Vec<InterfaceRoute>,
        mac: Option<String>,
        r#virtual: Option<bool>,
    }
    struct InterfaceRoute {
        to: String,
        via: Option<String>,
    }
    struct Virtual {
        kind: String,
        name: String,
        on: Vec<String>,
        id: Option<i64>,
        addresses: Vec<String>,
    }
    struct Gateway {
        address: Option<String>,
        interface: Option<String>,
    }
    /// A `.network` of networkd, or a `.link` of udev.
    struct Unit {
        name: String,
        r#match: Section,
        set: Section,
        addresses: Vec<String>,
        gateways: Vec<String>,
        routes: Vec<Route>,
        dns: Vec<String>,
        dhcp: Vec<String>,
        ra: Vec<String>,
        link_local: Vec<String>,
        unmanaged: Vec<String>,
        activation: Vec<String>,
        on: Vec<String>,
        raw: Option<bool>,
    }
    struct Route {
        to: Vec<String>,
        via: Vec<String>,
        on_link: Vec<String>,
        table: Vec<String>,
    }
    struct Netdev {
        name: String,
        set: Section,
        id: Vec<String>,
        raw: Option<bool>,
    }
    struct Profile {
        name: String,
        interface: Option<String>,
        r#type: Option<String>,
        mac: Option<String>,
        ipv4: Section,
        ipv6: Section,
    }
    struct Firewall {
        enable: Option<bool>,
        nftables: Option<bool>,
        tcp: Vec<u16>,
        tcp_ranges: Vec<String>,
        trusted: Vec<String>,
        interfaces: Vec<FirewallInterface>,
    }
    struct FirewallInterface {
        name: String,
        tcp: Vec<u16>,
        tcp_ranges: Vec<String>,
    }
}
