//! The NixOS module of this project, evaluated without nixpkgs: what boots
//! here is the text that it makes, not a copy of it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use super::host::output;
use super::layout::Layout;

/// The options of the module.
#[derive(Clone, Debug)]
pub struct Options {
    pub keep: Vec<String>,
    pub guard: bool,
    pub every_boot: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { keep: Vec::new(), guard: true, every_boot: false }
    }
}

/// The texts that the module makes, by the names that `wiring.nix` gives them.
pub struct Module<'a> {
    layout: &'a Layout,
    options: &'a Options,
}

impl<'a> Module<'a> {
    pub fn new(layout: &'a Layout, options: &'a Options) -> Self {
        Self { layout, options }
    }

    /// The drop-in for the plain unit, and the units that require it.
    pub fn systemd(&self) -> (String, Vec<String>) {
        let required_by = self.text("required-by");
        (self.text("drop-in"), required_by.lines().map(str::to_owned).collect())
    }

    /// `postResumeCommands` and `postMountCommands`.
    pub fn scripted(&self) -> (String, String) {
        (self.text("post-resume"), self.text("post-mount"))
    }

    fn text(&self, attribute: &str) -> String {
        let source = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut points = String::new();
        for mount in self.layout.mounts() {
            let _ = write!(points, " \"{}\"", mount.point);
        }
        let keep: Vec<String> = self.options.keep.iter().map(|path| format!("{path:?}")).collect();
        let printed = output(
            Command::new("nix-instantiate")
                .args(["--eval", "--strict", "--json", "--store", "dummy://", "-A", attribute])
                .arg("--arg")
                .arg("module")
                .arg(source.join("initrd"))
                .args(["--arg", "keep", &format!("[ {} ]", keep.join(" "))])
                .args(["--arg", "guard", &self.options.guard.to_string()])
                .args(["--arg", "everyBoot", &self.options.every_boot.to_string()])
                .args(["--arg", "mountPoints", &format!("[{points} ]")])
                .arg(source.join("tests/common/lab/wiring.nix")),
        );
        unquote(&String::from_utf8(printed).expect("JSON is UTF-8"))
    }
}

/// A JSON string of ASCII text.
fn unquote(json: &str) -> String {
    let inner = json.trim().strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let mut text = String::new();
    let mut characters = inner.expect("a JSON string").chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next().expect("an escaped character") {
                'n' => '\n',
                't' => '\t',
                other => other,
            },
            plain => plain,
        });
    }
    text
}
