//! `boot.json` of a generation: the bootspec (RFC 125), and what our module adds
//! to it.

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use crate::error::OpError;
use crate::fs::name::RelPath;
use crate::machine::files::Files;

/// What is read of a bootspec.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bootspec {
    /// The platform, such as `x86_64-linux`.
    pub system: Option<String>,
    /// The name in boot menus.
    pub label: Option<String>,
    /// The kernel.
    pub kernel: Option<PathBuf>,
    /// Its parameters.
    pub kernel_params: Vec<String>,
    /// The initrd.
    pub initrd: Option<PathBuf>,
    /// What stage 1 does with a marker, when our module is in the configuration.
    pub lustrate: Option<Lustrate>,
}

/// `org.nixos-lustrate.v1`, which `initrd/module.nix` writes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lustrate {
    /// The version of the program in the initrd.
    pub version: String,
    /// `systemd` or `scripted`.
    pub stage1: String,
    /// It stops a boot on another distribution's root.
    #[serde(default = "yes")]
    pub guard: bool,
    /// It lustrates at every boot.
    #[serde(default)]
    pub every_boot: bool,
    /// What it keeps besides what the marker lists.
    #[serde(default)]
    pub keep: Vec<String>,
    /// What the configuration says of itself ([`crate::system::facts`]).
    #[serde(default)]
    pub configuration: Option<Value>,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V1 {
    system: Option<String>,
    label: Option<String>,
    kernel: Option<PathBuf>,
    #[serde(default)]
    kernel_params: Vec<String>,
    initrd: Option<PathBuf>,
}

/// Reads it.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(text: &[u8]) -> Result<Bootspec, String> {
    let wrong = |error: serde_json::Error| error.to_string();
    let document: Value = serde_json::from_slice(text).map_err(wrong)?;
    let part = |key: &str| document.get(key).cloned();
    let v1 = part("org.nixos.bootspec.v1").or_else(|| part("v1"));
    let v1 = v1.ok_or("it has no \"org.nixos.bootspec.v1\"")?;
    let v1: V1 = serde_json::from_value(v1).map_err(wrong)?;
    // Early bootspecs had extensions in an object of their own.
    let ours = "org.nixos-lustrate.v1";
    let ours = part(ours).or_else(|| document.get("extensions")?.get(ours).cloned());
    let lustrate = ours.map(serde_json::from_value).transpose().map_err(wrong)?;
    let V1 { system, label, kernel, kernel_params, initrd } = v1;
    Ok(Bootspec { system, label, kernel, kernel_params, initrd, lustrate })
}

/// What the initrd keeps by itself, among it what its file systems rest on
/// (`initrd/keep.nix`), as far as it is there.
///
/// # Errors
/// What could not be read.
pub(crate) fn kept(files: &Files, spec: Option<&Bootspec>) -> Result<Vec<RelPath>, OpError> {
    let ours = spec.and_then(|spec| spec.lustrate.as_ref());
    let mut kept = Vec::new();
    for path in ours.iter().flat_map(|ours| &ours.keep) {
        let Ok(path) = RelPath::parse(path.trim().as_bytes()) else { continue };
        if files.metadata(format!("/{path}"))?.is_some() {
            kept.push(path);
        }
    }
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_extension_is_read() {
        let spec = parse(
            br#"{"org.nixos.bootspec.v1": {"system": "x86_64-linux", "init": "/i", "initrd": "/r",
            "kernel": "/k", "kernelParams": ["quiet"], "label": "NixOS", "toplevel": "/t"},
            "org.nixos.specialisation.v1": {}, "org.nixos-lustrate.v1": { "version": "0.1.0",
            "stage1": "systemd", "guard": true, "everyBoot": false, "keep": ["home"] }}"#,
        )
        .expect("a bootspec");
        assert_eq!((spec.system.as_deref(), spec.kernel_params.len()), (Some("x86_64-linux"), 1));
        let ours = spec.lustrate.expect("ours");
        assert_eq!((ours.stage1.as_str(), ours.keep.as_slice()), ("systemd", &["home".into()][..]));
        assert!(ours.guard && !ours.every_boot);
    }

    #[test]
    fn what_is_no_bootspec_is_said_to_be_none() {
        assert!(parse(b"{}").is_err_and(|why| why.contains("org.nixos.bootspec.v1")));
        assert!(parse(b"{").is_err());
        assert!(parse(br#"{"v1": {"label": "x"}}"#).is_ok_and(|s| s.lustrate.is_none()));
        let half = br#"{"v1": {}, "org.nixos-lustrate.v1": {"stage1": "systemd"}}"#;
        assert!(parse(half).is_err_and(|why| why.contains("version")));
    }
}
