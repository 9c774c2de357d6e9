//! Does the configuration say anything about the network that is in use now?

use std::path::Path;

use super::{Finding, Machine};
use crate::machine::files::{Files, Result, show};
use crate::machine::network::{Link, LiveNetwork};
use crate::machine::statics::{Static, statics};
use crate::system::closure::Closure;

/// What the configuration says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Configured {
    /// What asks for addresses by DHCP, or does all of it.
    dhcp: Option<&'static str>,
    /// The texts of units and scripts in which addresses and names stand.
    texts: String,
    /// Interfaces that are named.
    interfaces: Vec<String>,
    /// Names of interfaces are not changed (`net.ifnames=0`).
    keeps_names: bool,
}

pub(super) fn examine(machine: &Machine<'_>, findings: &mut Vec<Finding>) {
    let Some(closure) = &machine.closure else { return };
    let configured = match configured(&machine.files, closure) {
        Ok(configured) => configured,
        Err(error) => return findings.push(Finding::unread("network", &error)),
    };
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
    findings.push(addresses(live.as_ref(), &fixed, &configured));
    findings.extend(live.as_ref().and_then(|live| gateway(live, &fixed, &configured)));
    let links = live.map(|live| live.links).unwrap_or_default();
    findings.extend(links.iter().filter_map(|link| name(link, &configured)));
    match resolver(&machine.files) {
        Ok(found) => findings.push(found),
        Err(error) => findings.push(Finding::unread("dns", &error)),
    }
}

fn configured(files: &Files, closure: &Closure) -> Result<Configured> {
    let mut found = Configured::default();
    let systemd = closure.top.join("etc/systemd");
    let units = files.list(systemd.join("system"))?;
    let units: Vec<String> = units.iter().map(|unit| show(Path::new(unit))).collect();
    let has = |name: &str| units.iter().any(|unit| unit == name);
    if has("NetworkManager.service") {
        found.dhcp = Some("NetworkManager");
    } else if has("dhcpcd.service") {
        found.dhcp = Some("dhcpcd");
    } else if has("connman.service") {
        found.dhcp = Some("ConnMan");
    }
    for unit in &units {
        let of =
            |prefix: &str| unit.strip_prefix(prefix)?.strip_suffix(".service").map(str::to_owned);
        let interface = of("network-addresses-");
        if interface.is_none() && unit != "network-setup.service" && unit != "cloud-init.service" {
            continue;
        }
        found.interfaces.extend(interface);
        let text = files.text(systemd.join("system").join(unit))?.unwrap_or_default();
        // The addresses are in the script that the unit starts.
        for line in text.lines().filter_map(|line| line.strip_prefix("ExecStart=")) {
            let script = line.split_whitespace().next().unwrap_or_default();
            found.texts.push_str(&files.text(script)?.unwrap_or_default());
        }
        found.texts.push_str(&text);
    }
    if has("cloud-init.service") && found.dhcp.is_none() {
        found.dhcp = Some("cloud-init");
    }
    let networkd = has("systemd-networkd.service");
    for file in files.list(systemd.join("network"))? {
        let path = systemd.join("network").join(&file);
        let text = files.text(&path)?.unwrap_or_default();
        if networkd && path.extension().is_some_and(|e| e == "network") {
            let dhcp = |line: &str| {
                line.strip_prefix("DHCP=")
                    .is_some_and(|v| !["no", "false", "none"].contains(&v.trim()))
            };
            if text.lines().any(dhcp) && found.dhcp.is_none() {
                found.dhcp = Some("systemd-networkd");
            }
            let names = text.lines().filter_map(|line| line.strip_prefix("Name="));
            let names = names.flat_map(str::split_whitespace).filter(|n| !n.contains(['*', '!']));
            found.interfaces.extend(names.map(str::to_owned));
            found.texts.push_str(&text);
        }
    }
    let parameters = closure.spec().map(|spec| spec.kernel_params.as_slice()).unwrap_or_default();
    found.keeps_names = parameters.iter().any(|p| p == "net.ifnames=0");
    Ok(found)
}

fn addresses(live: Option<&LiveNetwork>, fixed: &[Static], configured: &Configured) -> Finding {
    let id = "network";
    let says = |address: &str| contains_word(&configured.texts, address);
    let missing: Vec<&str> = fixed
        .iter()
        .flat_map(|file| file.addresses.iter())
        .map(String::as_str)
        .filter(|address| !says(address))
        .collect();
    let nothing = configured.dhcp.is_none() && configured.texts.is_empty();
    let in_use = live.is_some_and(|live| !live.addresses.is_empty());
    if nothing && (in_use || !fixed.is_empty()) {
        return Finding::blocker(
            id,
            "this machine has a network, and the configuration sets none up",
            "It would come up without one",
            "networking.useDHCP = true; or networking.interfaces.NAME.ipv4.addresses = [ … ];",
        );
    }
    if missing.is_empty() {
        let how = configured.dhcp.unwrap_or("static addresses");
        return Finding::ok(id, format!("the configuration sets the network up ({how})"));
    }
    let files: Vec<&str> = fixed.iter().map(|file| file.file.as_str()).collect();
    let found = format!(
        "{} is set by {}, and is not in the configuration",
        missing.join(", "),
        files.join(", ")
    );
    let fix = format!(
        "networking.interfaces.NAME.ipv4.addresses = [ {{ address = \"{}\"; prefixLength = …; }} ];\n\
         networking.defaultGateway = \"…\"; networking.nameservers = [ \"…\" ];",
        missing[0]
    );
    let consequence = match configured.dhcp {
        Some(how) => {
            format!("Another address, or none, would come by {how} (nixos-infect#25, #27)")
        }
        None => "The machine would not be reached at its address (nixos-infect#25, #27)".to_owned(),
    };
    Finding::warning(id, found, consequence, fix)
}

/// Not a part of a longer address.
fn contains_word(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit() || c == '.' || c == ':');
    text.match_indices(word).any(|(at, _)| {
        !part(text[..at].chars().next_back()) && !part(text[at + word.len()..].chars().next())
    })
}

fn gateway(live: &LiveNetwork, fixed: &[Static], configured: &Configured) -> Option<Finding> {
    let gateways = live.gateways.iter().filter(|(gateway, _)| !gateway.starts_with("fe80:"));
    let missing = gateways.clone().find(|(gateway, _)| !contains_word(&configured.texts, gateway));
    let (gateway, interface) = missing?;
    let by_hand = !fixed.is_empty() || configured.dhcp.is_none();
    if live.gateway_outside {
        return Some(Finding::warning(
            "gateway",
            format!("the gateway {gateway} is outside of the subnets of {interface}"),
            "A route to it has to be set first, which DHCP may not do",
            format!(
                "networking.defaultGateway = {{ address = \"{gateway}\"; interface = \"{interface}\"; }};"
            ),
        ));
    }
    by_hand.then(|| {
        Finding::warning(
            "gateway",
            format!("the gateway {gateway} is not in the configuration"),
            "The machine would be reached from its own subnet only",
            format!("networking.defaultGateway = \"{gateway}\";"),
        )
    })
}

/// An interface whose name changes, or that the configuration does not know.
fn name(link: &Link, configured: &Configured) -> Option<Finding> {
    let id = "interface-names";
    let (now, named) = (&link.name, &configured.interfaces);
    let comes = match &link.predicted {
        Some(predicted) if !configured.keeps_names => predicted,
        _ => now,
    };
    if named.contains(comes) {
        return Some(Finding::ok(id, format!("the configuration knows {comes}")));
    }
    if named.contains(now) {
        return Some(Finding::warning(
            id,
            format!("{now} is {comes} in NixOS, and the configuration has {now}"),
            "That interface would have no address",
            format!(
                "networking.interfaces.{comes} = …; or networking.usePredictableInterfaceNames = false;"
            ),
        ));
    }
    if !named.is_empty() && configured.dhcp.is_none() {
        return Some(Finding::warning(
            id,
            format!("the configuration has {}, and this machine {comes}", named.join(", ")),
            "That interface would have no address",
            format!("networking.interfaces.{comes} = …;"),
        ));
    }
    (comes != now).then(|| {
        Finding::ok(id, format!("{now} is {comes} in NixOS; the configuration names neither"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_not_found_within_a_longer_one() {
        assert!(contains_word("ip addr add 192.0.2.5/24 dev x", "192.0.2.5"));
        assert!(!contains_word("192.0.2.55/24", "192.0.2.5"));
        assert!(!contains_word("12001:db8::5", "2001:db8::5"));
    }
}
