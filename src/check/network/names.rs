//! What an interface is called in NixOS: by the `.link` files of udev, of which the
//! first that matches counts (systemd.link(5)). Pure.

use crate::machine::network::{Link, Predicted};
use crate::system::facts::{Network, Unit};
use crate::system::sshd_config::glob;

/// The name that comes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    Is(String),
    /// Why it is not known.
    Unknown(String),
}

/// Whether a unit is for an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fits {
    No,
    Unknown,
    Yes,
}

/// `kernels`: names are left to the kernel by `net.ifnames=0`.
pub(super) fn name(network: &Network, link: &Link, kernels: bool) -> Name {
    if network.udev_names == Some(true) {
        return Name::Unknown("udev rules of the configuration name interfaces".to_owned());
    }
    let mut links: Vec<&Unit> = network.links.iter().collect();
    links.sort_by(|a, b| a.name.cmp(&b.name));
    for unit in links {
        match fits(unit, link) {
            Fits::No => {}
            Fits::Unknown => {
                return Name::Unknown(format!("it depends on what {}.link matches", unit.name));
            }
            Fits::Yes => return by_unit(unit, link),
        }
    }
    if kernels || network.predictable == Some(false) {
        return of_kernel(link);
    }
    by_udev(link)
}

fn by_udev(link: &Link) -> Name {
    match &link.predicted {
        Predicted::Name(name) => Name::Is(name.clone()),
        Predicted::Kernels => of_kernel(link),
        Predicted::Unknown => Name::Unknown("no udev runs here that would say so".to_owned()),
    }
}

fn by_unit(unit: &Unit, link: &Link) -> Name {
    if unit.raw == Some(true) {
        return Name::Unknown(format!(
            "{}.link has an extraConfig, which is not read here",
            unit.name
        ));
    }
    let set = |key: &str| unit.set.get(key).and_then(|values| values.first());
    if let Some(policy) = set("NamePolicy") {
        let mut policies = policy.split_whitespace();
        if policies.any(|policy| !["keep", "kernel", "database"].contains(&policy)) {
            return by_udev(link);
        }
    }
    // Without either it keeps its name.
    set("Name").map_or_else(|| of_kernel(link), |name| Name::Is(name.clone()))
}

/// The kernel's name, which is known only while it is in use.
fn of_kernel(link: &Link) -> Name {
    if is_kernels(&link.name) {
        return Name::Is(link.name.clone());
    }
    Name::Unknown("the kernel names it, and it has another name now".to_owned())
}

fn is_kernels(name: &str) -> bool {
    ["eth", "wlan", "usb", "wwan"].iter().any(|prefix| {
        let digits = name.strip_prefix(prefix).unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit())
    })
}

/// Whether a pattern is for an interface by the kernel's name, which may be gone.
fn fits_original(pattern: &str, link: &Link) -> Fits {
    match of_kernel(link) {
        Name::Is(name) if glob(pattern, &name) => Fits::Yes,
        Name::Unknown(_) if pattern == "*" => Fits::Yes,
        // No kernel calls it `ens3`.
        Name::Unknown(_) if is_kernels(pattern) || pattern.contains(['*', '?', '[', '!']) => {
            Fits::Unknown
        }
        Name::Is(_) | Name::Unknown(_) => Fits::No,
    }
}

fn fits(unit: &Unit, link: &Link) -> Fits {
    let mut all = Fits::Yes;
    for (key, values) in &unit.r#match {
        let any = |text: &str| {
            let words = values.iter().flat_map(|value| value.split_whitespace());
            words.into_iter().any(|pattern| glob(&pattern.to_lowercase(), &text.to_lowercase()))
        };
        let when = |fits: bool| if fits { Fits::Yes } else { Fits::No };
        let one = match key.as_str() {
            "MACAddress" | "PermanentMACAddress" => when(any(&link.mac)),
            "Driver" => link.driver.as_deref().map_or(Fits::Unknown, |driver| when(any(driver))),
            "OriginalName" => {
                let words = values.iter().flat_map(|value| value.split_whitespace());
                words.map(|pattern| fits_original(pattern, link)).max().unwrap_or(Fits::No)
            }
            "Type" if any("ether") && !link.name.starts_with("wl") => Fits::Yes,
            _ => Fits::Unknown,
        };
        match one {
            Fits::No => return Fits::No,
            Fits::Unknown => all = Fits::Unknown,
            Fits::Yes => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(json: &str) -> Network {
        serde_json::from_str(json).expect("a network")
    }

    fn link(name: &str, predicted: Option<&str>) -> Link {
        Link {
            name: name.to_owned(),
            predicted: predicted
                .map_or(Predicted::Kernels, |name| Predicted::Name(name.to_owned())),
            mac: "52:54:00:00:00:01".to_owned(),
            driver: Some("virtio_net".to_owned()),
        }
    }

    fn is(json: &str, name_now: &str, predicted: Option<&str>) -> Option<String> {
        match name(&network(json), &link(name_now, predicted), false) {
            Name::Is(name) => Some(name),
            Name::Unknown(_) => None,
        }
    }

    #[test]
    fn without_a_unit_udev_names_it_or_the_kernel() {
        assert_eq!(is("{}", "eth0", Some("ens3")).as_deref(), Some("ens3"));
        assert_eq!(is("{}", "eth0", None).as_deref(), Some("eth0"));
        let off = r#"{"predictable": false}"#;
        assert_eq!(is(off, "eth0", Some("ens3")).as_deref(), Some("eth0"));
        assert_eq!(is(off, "ens3", Some("ens3")), None);
        assert_eq!(is("{}", "lan0", Some("ens3")).as_deref(), Some("ens3"));
        let without_udev = Link { predicted: Predicted::Unknown, ..link("eth0", None) };
        assert!(matches!(name(&network("{}"), &without_udev, false), Name::Unknown(_)));
        let kernels = name(&network("{}"), &link("eth0", Some("ens3")), true);
        assert_eq!(kernels, Name::Is("eth0".to_owned()));
        assert_eq!(is(r#"{"udevNames": true}"#, "eth0", None), None);
    }

    #[test]
    fn the_first_unit_that_matches_counts() {
        let with = |links: &str| format!("{{\"links\": [{links}]}}");
        // What NixOS writes for each of networking.interfaces.
        let kept = with(r#"{"name": "40-eth0", "match": {"OriginalName": ["eth0"]}}"#);
        assert_eq!(is(&kept, "eth0", Some("ens3")).as_deref(), Some("eth0"));
        assert_eq!(is(&kept, "eth1", Some("ens4")).as_deref(), Some("ens4"));
        assert_eq!(is(&kept, "ens3", Some("ens3")), None, "it may be the kernel's eth0");
        let own = with(r#"{"name": "40-ens3", "match": {"OriginalName": ["ens3"]}}"#);
        assert_eq!(is(&own, "ens3", Some("ens3")).as_deref(), Some("ens3"));
        let mac = r#"{"name": "10-lan", "match": {"PermanentMACAddress": ["52:54:00:00:00:01"]},
            "set": {"Name": ["lan0"]}}"#;
        assert_eq!(is(&with(mac), "eth0", Some("ens3")).as_deref(), Some("lan0"));
        let both =
            format!("{}, {mac}", kept.trim_start_matches("{\"links\": [").trim_end_matches("]}"));
        assert_eq!(
            is(&with(&both), "eth0", None).as_deref(),
            Some("lan0"),
            "by the order of names"
        );
        let path = r#"{"name": "10-x", "match": {"Path": ["pci-*"]}, "set": {"Name": ["x"]}}"#;
        assert_eq!(is(&with(path), "eth0", None), None);
        let other = mac.replace(":01", ":02");
        assert_eq!(is(&with(&other), "eth0", None).as_deref(), Some("eth0"));
        let policy = r#"{"name": "1", "match": {"Driver": ["virtio*"]}, "set": {"NamePolicy": ["path slot"]}}"#;
        assert_eq!(is(&with(policy), "eth0", Some("ens3")).as_deref(), Some("ens3"));
    }
}
