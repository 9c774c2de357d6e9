//! A boot loader's installer that does not do what it says.

use crate::common::compare::Excuse;
use crate::common::text::says;
use crate::common::{or_skip, require_root};
use crate::machine::{Boot, Installer, Machine, assert_same};

const STATE: &[u8] = b"nix/var/nixos-lustrate";

/// Everything is as it was, and the message says why.
#[track_caller]
fn put_back(boot: Boot, installer: Installer, parts: &[&str]) {
    let machine = match Machine::new(boot, installer) {
        Ok(machine) => machine,
        Err(skipped) => return crate::common::skip::say(&skipped),
    };
    let before = machine.manifest();
    let ended = machine.prepare(&[]).expect(1).says(parts).says(&["Everything was put back"]);
    assert!(says(&ended.out(), "A system boots again."), "{}", ended.out());
    assert!(machine.read("nix/var/nixos-lustrate/boot-loader.log").contains("a warning"));
    assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE));
    assert!(!machine.exists("nix/var/nixos-lustrate/state.json"));
    // There is nothing left to cancel, and it can be tried again.
    let said = machine.cancel().expect(0).out();
    assert!(says(&said, "Nothing to cancel"), "{said}");
    machine.prepare(&[]).expect(1).says(parts);
    assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE));
}

#[test]
fn one_that_fails() {
    require_root!();
    let fails = Installer("rm /boot/vmlinuz-6.1; echo broken >/boot/grub/grub.cfg; exit 4");
    put_back(Boot::Directory, fails, &["failed with exit status 4"]);
    put_back(Boot::Mount, fails, &["failed with exit status 4"]);
}

#[test]
fn one_that_fills_boot() {
    require_root!();
    // Again after each sync, which gives back what was reserved.
    let fills = "set +e; rm /boot/vmlinuz-6.1
        for at in 1 2 3; do cat /dev/zero >/boot/kernel-$at.tmp; sync; done; exit 4";
    put_back(Boot::Mount, Installer(fills), &["failed with exit status 4"]);
}

#[test]
fn one_that_damages_what_fills_boot() {
    require_root!();
    let damages = Installer("echo x | dd of=/boot/large conv=notrunc; exit 4");
    let machine = or_skip!(Machine::new(Boot::Mount, damages));
    machine.fill("boot/large", 0);
    let before = machine.manifest();
    machine.prepare(&[]).expect(1).says(&["Everything was put back"]);
    assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE));
}

#[test]
fn one_that_lies() {
    require_root!();
    put_back(Boot::Directory, Installer("exit 0"), &["nothing below /boot names init="]);
    put_back(Boot::Esp, Installer("exit 0"), &["nothing below /boot names init="]);
}

#[test]
fn one_that_writes_a_configuration_without_its_kernel() {
    require_root!();
    let installer = Installer(
        "echo \"menuentry x {\n linux /kernels/k init=$top/init\n initrd /kernels/i\n}\" \
         >/boot/grub/grub.cfg",
    );
    put_back(Boot::Directory, installer, &["names /kernels/k, which is missing"]);
}

#[test]
fn one_that_writes_half_a_kernel() {
    require_root!();
    let installer = Installer(
        "mkdir /boot/kernels; dd if=$top/kernel of=/boot/kernels/k bs=1000 count=1
         echo \"menuentry x {\n linux /kernels/k init=$top/init\n initrd /kernels/i\n}\" \
         >/boot/grub/grub.cfg",
    );
    put_back(Boot::Directory, installer, &["names /kernels/k, which is not that of the system"]);
}

#[test]
fn one_that_names_another_system() {
    require_root!();
    let installer = Installer(
        "mkdir /boot/kernels; cp $top/kernel /boot/kernels/k; cp $top/initrd /boot/kernels/i
         echo \"menuentry x {\n linux /kernels/k init=$top-older/init\n initrd /kernels/i\n}\" \
         >/boot/grub/grub.cfg",
    );
    put_back(Boot::Directory, installer, &["nothing below /boot names init="]);
}

#[test]
fn one_that_is_killed() {
    require_root!();
    let dies = Installer(
        "rm /boot/vmlinuz-6.1 /boot/grub/grub.cfg; mkdir /boot/kernels; echo x >/boot/kernels/k
         kill -9 $$",
    );
    put_back(Boot::Directory, dies, &["was killed by signal 9"]);
}

#[test]
fn one_that_cannot_be_run() {
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, Installer("exit 0")));
    let top = machine.at("nix/var/nix/profiles/system-1-link").read_link().expect("a profile");
    let top = top.strip_prefix("/").expect("absolute").join("sw/bin/busybox");
    std::fs::remove_file(machine.path().join(top)).expect("the shell");
    let before = machine.manifest();
    machine.prepare(&[]).expect(1).says(&["cannot be run", "Everything was put back"]);
    assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE));
}

#[test]
fn ctrl_c_waits_for_it_to_end() {
    require_root!();
    let slow: Installer = Installer(concat!(
        "sleep 1\n",
        "mkdir -p /boot/kernels; cp $top/kernel /boot/kernels/k; cp $top/initrd /boot/kernels/i\n",
        "echo \"menuentry x {\n linux /kernels/k init=$top/init\n initrd /kernels/i\n}\" ",
        ">/boot/grub/grub.cfg"
    ));
    let machine = or_skip!(Machine::new(Boot::Directory, slow));
    let before = machine.manifest();
    let mut prepare = crate::common::command::program();
    prepare.args(machine.arguments(&["--yes"])).stdout(std::process::Stdio::piped());
    let child = prepare.spawn().expect("a start");
    while !machine.exists("nix/var/nixos-lustrate/boot-loader.log") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).expect("a signal");
    let ended = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(0), "{said}");
    assert!(says(&said, "Interrupted: waiting"), "{said}");
    assert!(machine.read("boot/grub/grub.cfg").contains("init="));
    machine.cancel().expect(0);
    assert_same(&before, &machine.manifest(), &Excuse::none());
}

/// One that writes a little and then hangs, with a process of its own.
const HANGS: Installer = Installer(concat!(
    "cp $top/kernel /boot/k; echo half >/boot/grub/i386-pc/normal.mod\n",
    "sh -c 'echo $$ >/sleeper; : >/started; exec sleep 1000'; echo never >/boot/never"
));

struct Hanging {
    child: std::process::Child,
    log: std::path::PathBuf,
}

impl Hanging {
    fn start(machine: &Machine) -> Self {
        let log = machine.at("prepare.log");
        let mut prepare = crate::common::command::program();
        let file = std::fs::File::create(&log).expect("a file");
        prepare.args(machine.arguments(&["--yes"]));
        prepare.stdout(file.try_clone().expect("a file")).stderr(file);
        let child = prepare.spawn().expect("a start");
        until("the installer", || machine.exists("started"));
        Self { child, log }
    }

    fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("a signal");
    }

    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    fn says(&self, text: &str) {
        let since = std::time::Instant::now();
        while !says(&self.said(), text) {
            assert!(since.elapsed().as_secs() < 10, "no {text:?} in {}", self.said());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
}

fn until(what: &str, mut so: impl FnMut() -> bool) {
    let since = std::time::Instant::now();
    while !so() {
        assert!(since.elapsed() < crate::common::command::LIMIT, "never: {what}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

fn is_there(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn one_that_hangs_is_named_and_can_be_ended() {
    use nix::sys::signal::Signal::{SIGHUP, SIGINT, SIGTERM};
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, HANGS));
    let before = machine.manifest();
    let mut hanging = Hanging::start(&machine);
    let sleeper = machine.read("sleeper");
    // Who comes later reads who is at work.
    let prepare = format!("Wait until it has ended: process {} (", hanging.child.id());
    machine.cancel().expect(3).says(&["another nixos-lustrate", &prepare, "), for "]);
    hanging.signal(SIGINT);
    hanging.says("Interrupted: waiting");
    // Soon after something was written, and by other signals, it is not offered.
    hanging.signal(SIGINT);
    hanging.says("wrote something ");
    hanging.signal(SIGTERM);
    hanging.signal(SIGHUP);
    std::thread::sleep(std::time::Duration::from_secs(10));
    assert!(!hanging.said().contains("installer has been silent"), "{}", hanging.said());
    hanging.signal(SIGINT);
    hanging.says("The boot loader's installer has been silent for 1");
    hanging.says("switch-to-configuration boot), for ");
    assert!(is_there(&sleeper));
    hanging.signal(SIGINT);
    hanging.says("Ending the boot loader's installer.");
    let ended = hanging.child.wait().expect("an end");
    let said = hanging.said();
    assert_eq!(ended.code(), Some(1), "{said}");
    assert!(says(&said, "was killed by signal 15. Everything was put back"), "{said}");
    until("the end of all that it started", || !is_there(&sleeper));
    for file in ["prepare.log", "started", "sleeper"] {
        std::fs::remove_file(machine.at(file)).expect("the file");
    }
    assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE));
}

/// What it has started must not go on writing into what was put back.
#[test]
fn one_that_dies_takes_all_that_it_started_with_it() {
    require_root!();
    let dies = Installer("(sleep 2; echo late >/boot/late) & : >/started; sleep 0.2; kill -9 $$");
    let machine = or_skip!(Machine::new(Boot::Directory, dies));
    machine.tree().file("dev/null", ""); // for what runs in the background
    let before = machine.manifest();
    machine.prepare(&[]).expect(1).says(&["was killed by signal 9", "Everything was put back"]);
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert!(!machine.exists("boot/late"));
    std::fs::remove_file(machine.at("started")).expect("the file");
    assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE).below(b"dev/null"));
}

/// Of a `prepare` that was killed, with who waits for the installer too.
#[test]
fn one_that_outlives_its_prepare_is_named() {
    use nix::sys::signal::Signal::SIGKILL;
    use nix::sys::signal::{kill, killpg};
    use nix::unistd::Pid;
    require_root!();
    let machine = or_skip!(Machine::new(Boot::Directory, HANGS));
    let mut hanging = Hanging::start(&machine);
    let id = hanging.child.id();
    let children = format!("/proc/{id}/task/{id}/children");
    let witness = std::fs::read_to_string(children).expect("children");
    kill(Pid::from_raw(witness.trim().parse().expect("one child")), SIGKILL).expect("a signal");
    hanging.signal(SIGKILL);
    hanging.child.wait().expect("an end");
    // It is not gone at once.
    until("the end of who waits", || !machine.cancel().err().contains("another nixos-lustrate"));
    let ended = machine.cancel().expect(3).says(&["installer is still at work on ", ": process "]);
    let said = ended.err();
    let group = said.split("To end it: kill -- -").nth(1).unwrap_or_else(|| panic!("{said}"));
    let group: String = group.chars().take_while(char::is_ascii_digit).collect();
    killpg(Pid::from_raw(group.parse().expect("a number")), SIGKILL).expect("a signal");
    let sleeper = machine.read("sleeper");
    until("the end of all that it started", || !is_there(&sleeper));
    machine.cancel().expect(0);
}

/// Somebody's session ended, and then the installer failed: nothing is left half-way.
#[test]
fn one_that_fails_after_an_interruption() {
    require_root!();
    for signal in [nix::sys::signal::Signal::SIGHUP, nix::sys::signal::Signal::SIGINT] {
        let fails = Installer("echo broken >/boot/grub/grub.cfg; : >/started; sleep 1; exit 4");
        let machine = or_skip!(Machine::new(Boot::Directory, fails));
        let before = machine.manifest();
        let mut hanging = Hanging::start(&machine);
        hanging.signal(signal);
        let ended = hanging.child.wait().expect("an end");
        let said = hanging.said();
        assert_eq!(ended.code(), Some(1), "{said}");
        assert!(says(&said, "Everything was put back"), "{said}");
        for file in ["prepare.log", "started"] {
            std::fs::remove_file(machine.at(file)).expect("the file");
        }
        assert_same(&before, &machine.manifest(), &Excuse::none().below(STATE));
    }
}
