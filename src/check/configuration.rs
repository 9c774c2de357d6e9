//! Does the system say what its configuration is? What would come from there is
//! not examined otherwise, and nothing of it is guessed from the closure.

use super::Finding;
use super::initrd::MODULE;
use crate::system::closure::Closure;
use crate::system::facts::{self, Facts, Untold};

const ID: &str = "configuration";

const NOT: &str = "Not examined: its file systems, boot loader, initrd, logins and network";

/// What it says; and the finding about it, but where `boot.json` itself is none.
pub(super) fn read(closure: &Closure, findings: &mut Vec<Finding>) -> Option<Facts> {
    let spec = closure.spec()?;
    let again = "In the configuration, and build it again:";
    let Some(ours) = &spec.lustrate else {
        let why = format!("nothing says what the configuration is. {NOT}");
        findings.push(Finding::unchecked(ID, why, format!("{again}\n{MODULE}")));
        return None;
    };
    let version = &ours.version;
    let Some(configuration) = &ours.configuration else {
        let why = format!(
            "the module of nixos-lustrate {version} does not say what the configuration is. {NOT}"
        );
        let fix = "Import the module of this version of nixos-lustrate, and build it again";
        findings.push(Finding::unchecked(ID, why, fix));
        return None;
    };
    match facts::read(configuration) {
        Ok(facts) => {
            findings.push(told(&facts));
            Some(facts)
        }
        Err(Untold::Schema(schema)) => {
            let why = format!(
                "boot.json says what the configuration is by schema {schema}, which is not known \
                 here. {NOT}"
            );
            let fix = format!("Use the nixos-lustrate of the configuration: {version}");
            findings.push(Finding::unchecked(ID, why, fix));
            None
        }
        Err(Untold::Unreadable(error)) => {
            let why =
                format!("what boot.json says of the configuration cannot be read: {error}. {NOT}");
            findings.push(Finding::unchecked(ID, why, "Build the system again"));
            None
        }
    }
}

fn told(facts: &Facts) -> Finding {
    let unknown = facts.unknown();
    if unknown.is_empty() {
        return Finding::ok(ID, "boot.json says what the configuration is");
    }
    let why = format!(
        "the configuration does not say what it has for {}, which is not examined",
        unknown.join(", ")
    );
    Finding::unchecked(ID, why, "Evaluate it and see: nix-instantiate, or nix eval")
}
