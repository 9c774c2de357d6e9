//! A NixOS-like system, built by the real Nix without nixpkgs or a network.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::cache;
use super::host::{output, run};
use super::stage1::BUSYBOX;

/// A folder that holds `/nix`, and the store path of the system in it.
pub struct Closure {
    pub root: PathBuf,
    pub top: String,
}

impl Closure {
    /// What `init=` names.
    pub fn init(&self) -> String {
        format!("{}/init", self.top)
    }
}

/// The system that all machines boot.
pub fn closure() -> &'static Closure {
    static CLOSURE: OnceLock<Closure> = OnceLock::new();
    CLOSURE.get_or_init(|| {
        let root = cache::once("closure", &key(), build);
        let top = fs::read_to_string(root.join("top")).expect("the name of the system");
        Closure { root, top }
    })
}

/// Changes with everything that the closure is made from.
pub fn key() -> String {
    cache::key(&[
        &fs::read(BUSYBOX).expect("busybox-static"),
        include_bytes!("closure.rs"),
        include_bytes!("closure.nix"),
        include_bytes!("closure/build.sh"),
        include_bytes!("closure/init.sh"),
        include_bytes!("closure/prepare-root.sh"),
    ])
}

fn build(place: &Path) {
    let tools = place.join("tools");
    let bin = tools.join("bin");
    fs::create_dir_all(&bin).expect("a folder for the tools");
    fs::copy(BUSYBOX, bin.join("busybox")).expect("busybox can be copied");
    for applet in run(BUSYBOX, &["--list"]).lines().filter(|applet| *applet != "busybox") {
        symlink("busybox", bin.join(applet)).expect("a link to an applet");
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/common/lab");
    let built = output(
        Command::new("nix-build")
            .arg("--store")
            .arg(place)
            .args(["--option", "substitute", "false", "--option", "build-users-group", ""])
            .args(["--option", "sandbox", "false", "--no-out-link"])
            .arg("--arg")
            .arg("tools")
            .arg(&tools)
            .arg("--arg")
            .arg("scripts")
            .arg(source.join("closure"))
            .arg(source.join("closure.nix")),
    );
    let top = String::from_utf8_lossy(&built).trim().to_owned();
    let profile = place.join("nix/var/nix/profiles/system");
    output(
        Command::new("nix-env")
            .arg("--store")
            .arg(place)
            .arg("-p")
            .arg(profile)
            .arg("--set")
            .arg(&top),
    );
    // Nix wrote the path that the profiles have here.
    let roots = place.join("nix/var/nix/gcroots/profiles");
    let _ = fs::remove_file(&roots);
    symlink("/nix/var/nix/profiles", roots).expect("the roots of the garbage collector");
    fs::write(place.join("top"), top).expect("the name of the system");
    fs::remove_dir_all(tools).expect("the tools are in the store");
}
