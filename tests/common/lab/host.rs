//! Programs of the host. One that fails ends the test with what it said.

use std::io::Write;
use std::process::{Command, Stdio};

/// Runs it and returns what it printed.
pub fn output(command: &mut Command) -> Vec<u8> {
    let ran = command
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("Failed to start {command:?}: {error}"));
    assert!(
        ran.status.success(),
        "{command:?}: {}\n{}{}",
        ran.status,
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr)
    );
    ran.stdout
}

/// Runs a program with arguments that are all text.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let printed = output(Command::new(program).args(arguments));
    String::from_utf8_lossy(&printed).into_owned()
}

/// Feeds `input` to a program, from a thread: a full pipe must not block.
pub fn filter(program: &str, arguments: &[&str], input: Vec<u8>) -> Vec<u8> {
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("Failed to start {program}: {error}"));
    let mut stdin = child.stdin.take().expect("a pipe was asked for");
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let ran = child.wait_with_output().expect("the program can be waited for");
    writer.join().expect("the writer").expect("the input is taken");
    assert!(ran.status.success(), "{program}: {}", ran.status);
    ran.stdout
}
