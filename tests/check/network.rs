//! Does the configuration say anything about the network in use?

use nixos_lustrate::check::Level::{Blocker, Ok, Warning};

use crate::common::system::System;
use crate::machine::Machine;

/// eth0 with 192.0.2.5/24 and a gateway.
fn wired(system: &System) -> Machine {
    let machine = Machine::with(system);
    machine.directory("sys/devices/net0");
    machine.link("sys/class/net/eth0/device", "/devices/net0");
    machine.file("sys/class/net/eth0/ifindex", "2\n");
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

/// A closure that sets addresses itself, as networking.interfaces does.
fn scripted(interface: &str) -> System {
    System::new()
        .without("etc/systemd/system/dhcpcd.service")
        .part("addresses-start", "ip addr add \"192.0.2.5/24\" dev eth0\nvia 192.0.2.1\n")
        .text(
            &format!("etc/systemd/system/network-addresses-{interface}.service"),
            "[Service]\nExecStart=@part:addresses-start@\n",
        )
}

#[test]
fn dhcp_will_do_where_dhcp_did() {
    wired(&System::new()).expect("network", Ok, &["dhcpcd"]);
    assert!(wired(&System::new()).report().find("gateway").is_none());
}

#[test]
fn a_network_that_nothing_sets_up_blocks() {
    let none = System::new().without("etc/systemd/system/dhcpcd.service");
    wired(&none).expect("network", Blocker, &["sets none up", "networking.useDHCP"]);
    // A machine without any network needs none.
    Machine::with(&none).ok("network");
}

#[test]
fn a_static_address_has_to_be_in_the_configuration() {
    let machine = wired(&System::new());
    machine.file("root/etc/network/interfaces", INTERFACES);
    let says = ["192.0.2.5 is set by /etc/network/interfaces", "networking.interfaces", "dhcpcd"];
    machine.expect("network", Warning, &says);
    machine.expect("gateway", Warning, &["networking.defaultGateway = \"192.0.2.1\";"]);
    let machine = wired(&scripted("eth0"));
    machine.file("root/etc/network/interfaces", INTERFACES);
    machine.ok("network");
    assert!(machine.report().find("gateway").is_none());
}

#[test]
fn networkd_is_read_as_well() {
    let networkd = System::new()
        .without("etc/systemd/system/dhcpcd.service")
        .text("etc/systemd/system/systemd-networkd.service", "[Service]\n");
    let file = "etc/systemd/network/10-eth0.network";
    let dhcp = networkd.clone().text(file, "[Match]\nName=eth0\n[Network]\nDHCP=yes\n");
    wired(&dhcp).expect("network", Ok, &["systemd-networkd"]);
    let fixed = networkd
        .clone()
        .text(file, "[Match]\nName=eth0\n[Network]\nAddress=192.0.2.5/24\nGateway=192.0.2.1\n");
    let machine = wired(&fixed);
    machine.file(
        "root/etc/netplan/50.yaml",
        "network:\n  ethernets:\n    eth0:\n      addresses: [192.0.2.5/24]\n",
    );
    machine.expect("network", Ok, &["static addresses"]);
    let off = networkd.text(file, "[Match]\nName=eth0\n[Network]\nDHCP=no\n");
    let machine = wired(&off);
    machine.file("root/etc/network/interfaces", INTERFACES);
    machine.expect("network", Warning, &["would not be reached at its address"]);
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
    renamed(&scripted("eth0")).expect(id, Warning, &["eth0 is ens3 in NixOS"]);
    renamed(&scripted("ens3")).expect(id, Ok, &["knows ens3"]);
    wired(&scripted("eth0")).expect(id, Ok, &["knows eth0"]);
    wired(&scripted("eth9")).expect(id, Warning, &["has eth9, and this machine eth0"]);
    renamed(&System::new()).expect(id, Ok, &["names neither"]);
    let kept = scripted("eth0")
        .text("boot.json", "{\"org.nixos.bootspec.v1\": {\"kernelParams\": [\"net.ifnames=0\"]}}");
    renamed(&kept).expect(id, Ok, &["knows eth0"]);
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
