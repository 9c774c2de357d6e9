//! Does the configuration say anything about the network in use?

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use serde_json::{Value, json};

use crate::common::system::{SYSTEMD, System};
use crate::machine::Machine;

/// eth0 with 192.0.2.5/24 and a gateway.
fn wired(system: &System) -> Machine {
    let machine = Machine::with(system);
    machine.directory("sys/devices/net0");
    machine.link("sys/class/net/eth0/device", "/devices/net0");
    machine.file("sys/class/net/eth0/ifindex", "2\n");
    machine.file("run/udev/data/n2", "E:ID_NET_DRIVER=virtio_net\n");
    machine.directory("sys/class/net/lo");
    machine.file("proc/net/fib_trie", "Local:\n  |-- 192.0.2.5\n     /32 host LOCAL\n");
    machine.file(
        "proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
         eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
         eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n",
    );
    machine
}

const INTERFACES: &str = "auto eth0\niface eth0 inet static\n  address 192.0.2.5/24\n";

/// A configuration with an address of its own.
fn fixed(interface: &str) -> System {
    System::new().fact(
        "network",
        json!({"dhcp": false, "manager": ["scripted"], "predictable": true,
            "gateway": {"address": "192.0.2.1"},
            "interfaces": [{"name": interface, "addresses": ["192.0.2.5/24"]}]}),
    )
}

/// One that runs networkd with this unit.
fn networkd(unit: &Value) -> System {
    let told = json!({"dhcp": false, "useNetworkd": true, "manager": ["networkd"],
        "predictable": true, "networks": [unit]});
    System::new().fact("network", told)
}

#[test]
fn dhcp_will_do_where_dhcp_did() {
    wired(&System::new()).expect("network", Ok, &["dhcpcd"]);
    assert!(wired(&System::new()).report().find("gateway").is_none());
}

#[test]
fn a_network_that_nothing_sets_up_blocks() {
    let none = System::new().fact("network", json!({"dhcp": false, "manager": ["scripted"]}));
    wired(&none).expect("network", Blocker, &["sets none up", "networking.useDHCP"]);
    // A machine without any network needs none.
    Machine::with(&none).ok("network");
    let text = none.fact("/network/opaque", json!(true));
    wired(&text).unchecked("network", "only networking.localCommands may set the network up");
}

#[test]
fn a_static_address_has_to_be_in_the_configuration() {
    let machine = wired(&System::new());
    machine.file("root/etc/network/interfaces", INTERFACES);
    let says = ["192.0.2.5 is set by /etc/network/interfaces", "networking.interfaces", "dhcpcd"];
    // It is the one with the default route.
    machine.expect("network", Blocker, &says);
    machine.expect("gateway", Warning, &["networking.defaultGateway = \"192.0.2.1\";"]);
    let machine = wired(&fixed("eth0"));
    machine.file("root/etc/network/interfaces", INTERFACES);
    machine.ok("network");
    assert!(machine.report().find("gateway").is_none());
}

#[test]
fn an_address_without_the_default_route_is_a_warning() {
    let machine = wired(&fixed("eth0"));
    let other = "auto eth1\niface eth1 inet static\n  address 198.51.100.7/24\n";
    machine.file("root/etc/network/interfaces", other);
    machine.ok("network"); // it is not in use
    machine.file(
        "proc/net/fib_trie",
        "  |-- 192.0.2.5\n /32 host LOCAL\n  |-- 198.51.100.7\n /32 host LOCAL\n",
    );
    machine.expect("network", Warning, &["198.51.100.7 is set by /etc/network/interfaces"]);
}

#[test]
fn an_address_that_never_expires_is_static_whoever_set_it() {
    let inet6 = "20010db8000000000000000000000005 02 40 00 80 eth0\n";
    let machine = wired(&System::new());
    machine.file("proc/net/if_inet6", inet6);
    machine.expect("network", Warning, &["2001:db8::5 is static here", "ipv6.addresses"]);
    machine.file("proc/net/if_inet6", inet6.replace(" 80 ", " 00 "));
    machine.ok("network");
    let both = fixed("eth0")
        .fact("/network/interfaces/0/addresses", json!(["192.0.2.5/24", "2001:db8:0::5/64"]));
    let machine = wired(&both);
    machine.file("proc/net/if_inet6", inet6);
    machine.ok("network");
}

#[test]
fn networkd_is_read_as_well() {
    let eth0 = json!({"Name": ["eth0"]});
    let dhcp = networkd(&json!({"name": "10", "match": eth0, "dhcp": ["yes"]}));
    wired(&dhcp).expect("network", Ok, &["systemd-networkd"]);
    let address = json!({"name": "10", "match": eth0, "addresses": ["192.0.2.5/24"],
        "routes": [{"via": ["192.0.2.1"]}]});
    let machine = wired(&networkd(&address));
    machine.file(
        "root/etc/netplan/50.yaml",
        "network:\n  ethernets:\n    eth0:\n      addresses: [192.0.2.5/24]\n",
    );
    machine.expect("network", Ok, &["static addresses"]);
    assert!(machine.report().find("gateway").is_none());
    let mut other = address.clone();
    other["addresses"] = json!(["192.0.2.6/24"]);
    let machine = wired(&networkd(&other));
    machine.file("root/etc/network/interfaces", INTERFACES);
    machine.expect("network", Blocker, &["would not be reached at its address"]);
    let mut raw = other;
    raw["raw"] = json!(true);
    let machine = wired(&networkd(&raw));
    machine.file("root/etc/network/interfaces", INTERFACES);
    machine.unchecked("network", "unless extraConfig of systemd.network.networks sets it");
}

#[test]
fn a_gateway_outside_of_the_subnet_needs_a_route() {
    let machine = wired(&System::new());
    machine.file(
        "proc/net/route",
        "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n\
         eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
         eth0\t010200C0\t00000000\t0005\t0\t0\t0\tFFFFFFFF\t0\t0\t0\n",
    );
    machine.expect("gateway", Warning, &["outside of the subnets of eth0", "interface = \"eth0\""]);
}

#[test]
fn an_interface_may_have_another_name_then() {
    let id = "interface-names";
    let renamed = |system: &System| {
        let machine = wired(system);
        machine.file("run/udev/data/n2", "E:ID_NET_NAME_PATH=enp0s3\nE:ID_NET_NAME_SLOT=ens3\n");
        machine
    };
    renamed(&fixed("eth0")).expect(id, Blocker, &["eth0 is ens3 in NixOS"]);
    let dhcp = fixed("eth0")
        .fact("/network/dhcp", json!(true))
        .fact("/network/dhcpcd", json!({"limited": false}));
    renamed(&dhcp).expect(id, Warning, &["eth0 is ens3 in NixOS"]);
    renamed(&fixed("ens3")).expect(id, Ok, &["knows ens3"]);
    wired(&fixed("eth0")).expect(id, Ok, &["knows eth0"]);
    wired(&fixed("eth9")).expect(id, Blocker, &["has eth9, and this machine eth0"]);
    renamed(&System::new()).expect(id, Ok, &["names neither"]);
    let without_udev = wired(&fixed("eth0"));
    without_udev.remove("run/udev/data/n2");
    without_udev.unchecked(id, "no udev runs here");
    // What is called by udev now is called so then.
    let machine = wired(&fixed("ens3"));
    machine.remove("sys/class/net/eth0");
    machine.link("sys/class/net/ens3/device", "/devices/net0");
    machine.file("sys/class/net/ens3/ifindex", "2\n");
    machine.file("run/udev/data/n2", "E:ID_NET_NAME_SLOT=ens3\n");
    machine.expect(id, Ok, &["knows ens3"]);
    let kept = fixed("eth0").fact("/network/predictable", json!(false));
    renamed(&kept).expect(id, Ok, &["knows eth0"]);
    let boot = fixed("eth0").bootspec(&[SYSTEMD]);
    let parameters =
        boot.replace("boot.json", "\"kernelParams\": []", "\"kernelParams\": [\"net.ifnames=0\"]");
    renamed(&parameters).expect(id, Ok, &["knows eth0"]);
}

#[test]
fn links_of_udev_give_names() {
    let id = "interface-names";
    let with = |link: Value| {
        let machine = wired(&fixed("eth0").fact("/network/links", json!([link])));
        machine.file("sys/class/net/eth0/address", "52:54:00:00:00:01\n");
        machine.file("run/udev/data/n2", "E:ID_NET_NAME_SLOT=ens3\n");
        machine
    };
    // What NixOS writes for networking.interfaces.eth0, which keeps the kernel's name.
    with(json!({"name": "40-eth0", "match": {"OriginalName": ["eth0"]}})).expect(
        id,
        Ok,
        &["knows eth0"],
    );
    let mac = |mac: &str| {
        with(json!({"name": "10-lan", "match": {"MACAddress": [mac]}, "set": {"Name": ["lan0"]}}))
    };
    mac("52:54:00:00:00:01").expect(id, Blocker, &["eth0 is lan0 in NixOS"]);
    mac("52:54:00:00:00:02").expect(id, Blocker, &["eth0 is ens3 in NixOS"]);
    with(json!({"name": "10", "match": {"Path": ["pci-0"]}, "set": {"Name": ["lan0"]}}))
        .unchecked(id, "it depends on what 10.link matches");
    wired(&fixed("eth0").fact("/network/udevNames", json!(true))).unchecked(id, "udev rules");
}

#[test]
fn the_resolver_is_looked_at() {
    let machine = Machine::new();
    machine.expect("dns", Ok, &["a link to ../run/systemd/resolve", "prepare makes it a file"]);
    machine.remove("root/etc/resolv.conf");
    machine.expect("dns", Warning, &["there is no /etc/resolv.conf"]);
    machine.file("root/etc/resolv.conf", "nameserver 192.0.2.53\n");
    machine.expect("dns", Ok, &["is a file"]);
}

#[test]
fn a_rescue_systems_network_is_not_the_machines() {
    let mut machine = wired(&System::new());
    machine.options.sources.running = false;
    machine.unchecked("network-live", "rescue system");
}
