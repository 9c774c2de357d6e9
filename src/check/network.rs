//! Does the configuration say anything about the network that is in use now?

use std::net::IpAddr;

use super::{Finding, Level, Machine};
use crate::machine::files::{Files, Result, show};
use crate::machine::network::{Link, LiveNetwork};
use crate::machine::statics::{Static, statics};

mod configured;
mod names;

use configured::Configured;
use names::Name;

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    if machine.closure.is_none() {
        return;
    }
    match resolver(&machine.files) {
        Ok(found) => findings.push(found),
        Err(error) => findings.push(Finding::unread("dns", &error)),
    }
    let network = machine.facts.as_ref().and_then(|facts| facts.network.as_ref());
    let Some(network) = network else { return };
    let fixed = match statics(&machine.files) {
        Ok(fixed) => fixed,
        Err(error) => {
            findings.push(Finding::unread("network", &error));
            Vec::new()
        }
    };
    let live = if machine.sources.running {
        match LiveNetwork::read(machine.sources) {
            Ok(live) => Some(live),
            Err(error) => {
                findings.push(Finding::unread("network", &error));
                None
            }
        }
    } else {
        let why = "addresses, routes and names in use are those of the rescue system";
        findings.push(Finding::unchecked("network-live", why, "Compare by hand: ip address"));
        None
    };
    let configured = Configured::of(network);
    findings.push(addresses(live.as_ref(), &fixed, &configured));
    findings.extend(live.as_ref().and_then(|live| gateway(live, &fixed, &configured)));
    let live = live.unwrap_or_default();
    let parameters = machine.closure.as_ref().and_then(|closure| closure.spec());
    let parameters = parameters.map(|spec| spec.kernel_params.as_slice()).unwrap_or_default();
    let kernels = parameters.iter().any(|parameter| parameter == "net.ifnames=0");
    for link in &live.links {
        let comes = names::name(network, link, kernels);
        let main = live.gateways.iter().any(|(_, interface)| *interface == link.name);
        // Without DHCP, nothing else gives that interface an address.
        let level = if main && configured.dhcp.is_none() { Level::Blocker } else { Level::Warning };
        findings.extend(name(link, &comes, &configured, level));
    }
}

fn addresses(live: Option<&LiveNetwork>, fixed: &[Static], configured: &Configured) -> Finding {
    let id = "network";
    let files: Vec<&str> = fixed.iter().map(|file| file.file.as_str()).collect();
    let used = |address: &IpAddr| live.is_none_or(|live| live.addresses.contains(address));
    // What a file sets and nothing uses was for another machine, or another day.
    let set = fixed.iter().flat_map(|file| &file.addresses).filter_map(|a| a.parse().ok());
    let mut fixed: Vec<IpAddr> = set.filter(used).collect();
    // An address that nothing renews was set by hand, whatever file says so.
    fixed.extend(live.iter().flat_map(|live| &live.permanent));
    fixed.sort_unstable();
    fixed.dedup();
    let missing: Vec<&IpAddr> =
        fixed.iter().filter(|address| !configured.addresses.contains(*address)).collect();
    let in_use = live.is_some_and(|live| !live.addresses.is_empty());
    if configured.sets_nothing() && (in_use || !fixed.is_empty()) {
        return match configured.free_text {
            Some(text) => Finding::unchecked(
                id,
                format!("only {text} may set the network up, which is not read here"),
                "See that it sets the addresses in use: ip address",
            ),
            None => Finding::blocker(
                id,
                "this machine has a network, and the configuration sets none up",
                "It would come up without one",
                "networking.useDHCP = true; or networking.interfaces.NAME.ipv4.addresses = [ … ];",
            ),
        };
    }
    let how = configured.dhcp.unwrap_or("static addresses");
    let Some(first) = missing.first() else {
        return match configured.free_text.filter(|_| configured.dhcp.is_none() && fixed.is_empty())
        {
            Some(text) => Finding::unchecked(
                id,
                format!("the network is also set up by {text}, which is not read here"),
                "See that it sets the addresses in use: ip address",
            ),
            None => Finding::ok(id, format!("the configuration sets the network up ({how})")),
        };
    };
    let shown: Vec<String> = missing.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    let found = if files.is_empty() {
        format!("{shown} is static here, and is not in the configuration")
    } else {
        format!("{shown} is set by {}, and is not in the configuration", files.join(", "))
    };
    if let Some(text) = configured.free_text {
        return Finding::unchecked(
            id,
            format!("{found}, unless {text} sets it"),
            "Look: ip address",
        );
    }
    let family = if first.is_ipv4() { "ipv4" } else { "ipv6" };
    let fix = format!(
        "networking.interfaces.NAME.{family}.addresses = [ {{ address = \"{first}\"; prefixLength = …; }} ];\n\
         networking.defaultGateway = \"…\"; networking.nameservers = [ \"…\" ];"
    );
    let consequence = match configured.dhcp {
        Some(how) => {
            format!("Another address, or none, would come by {how} (nixos-infect#25, #27)")
        }
        None => "The machine would not be reached at its address (nixos-infect#25, #27)".to_owned(),
    };
    if live.is_some_and(|live| missing.iter().any(|address| live.is_main(address))) {
        return Finding::blocker(id, found, consequence, fix);
    }
    Finding::warning(id, found, consequence, fix)
}

fn gateway(live: &LiveNetwork, fixed: &[Static], configured: &Configured) -> Option<Finding> {
    let gateways = live.gateways.iter().filter(|(gateway, _)| !gateway.starts_with("fe80:"));
    let missing = gateways.clone().find(|(gateway, _)| {
        gateway.parse().is_ok_and(|gateway| !configured.gateways.contains(&gateway))
    });
    let (gateway, interface) = missing?;
    let by_hand = !fixed.is_empty() || !live.permanent.is_empty() || configured.dhcp.is_none();
    let option = if gateway.contains(':') { "defaultGateway6" } else { "defaultGateway" };
    if live.gateway_outside {
        return Some(Finding::warning(
            "gateway",
            format!("the gateway {gateway} is outside of the subnets of {interface}"),
            "A route to it has to be set first, which DHCP may not do",
            format!(
                "networking.{option} = {{ address = \"{gateway}\"; interface = \"{interface}\"; }};"
            ),
        ));
    }
    by_hand.then(|| {
        Finding::warning(
            "gateway",
            format!("the gateway {gateway} is not in the configuration"),
            "The machine would be reached from its own subnet only",
            format!("networking.{option} = \"{gateway}\";"),
        )
    })
}

/// An interface whose name changes, or that the configuration does not know.
fn name(link: &Link, comes: &Name, configured: &Configured, level: Level) -> Option<Finding> {
    let id = "interface-names";
    let (now, named) = (&link.name, &configured.interfaces);
    let comes = match comes {
        Name::Is(comes) => comes,
        Name::Unknown(_) if named.is_empty() => return None,
        Name::Unknown(why) => {
            let why = format!("what {now} is called in NixOS is not known: {why}");
            let fix = "Match it by its MAC address: systemd.network.links, matchConfig.PermanentMACAddress";
            return Some(Finding::unchecked(id, why, fix));
        }
    };
    if named.contains(comes) {
        return Some(Finding::ok(id, format!("the configuration knows {comes}")));
    }
    let lacks = !named.is_empty() && configured.dhcp.is_none() && !configured.matches(link, comes);
    if !named.contains(now) && !lacks {
        return (comes != now).then(|| {
            Finding::ok(id, format!("{now} is {comes} in NixOS; the configuration names neither"))
        });
    }
    let found = if named.contains(now) {
        format!("{now} is {comes} in NixOS, and the configuration has {now}")
    } else {
        format!("the configuration has {}, and this machine {comes}", named.join(", "))
    };
    let consequence = "That interface would have no address";
    let fix = format!(
        "networking.interfaces.{comes} = …; or networking.usePredictableInterfaceNames = false;"
    );
    Some(match level {
        Level::Blocker => Finding::blocker(id, found, consequence, fix),
        _ => Finding::warning(id, found, consequence, fix),
    })
}

/// A link into `/run` leads nowhere in a root that is looked at from outside, as
/// `nixos-enter` and the boot loader's installation do.
fn resolver(files: &Files) -> Result<Finding> {
    let id = "dns";
    let path = "/etc/resolv.conf";
    Ok(match files.link(path)? {
        Some(target)
            if show(&target)
                .trim_start_matches("../")
                .trim_start_matches('/')
                .starts_with("run/") =>
        {
            Finding::ok(
                id,
                format!("{path} is a link to {}; prepare makes it a file", show(&target)),
            )
        }
        _ if files.exists(path)? => Finding::ok(id, format!("{path} is a file")),
        _ => Finding::warning(
            id,
            format!("there is no {path}"),
            "Names cannot be resolved now; NixOS makes one of its own",
            "networking.nameservers = [ \"…\" ]; if DHCP does not tell it",
        ),
    })
}
