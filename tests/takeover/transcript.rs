//! What a user sees, from `check` to NixOS and back, as `transcript.txt` has it for
//! README.md: made here from the consoles of a run, and held to each further run.
//! Numbers and store paths may differ, and where lines break because of them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The commands that are of interest; others are the test's own.
const SHOWN: [&str; 6] = ["nixos-lustrate", "reboot", "shutdown", "mount ", "umount ", "poweroff"];

/// Compares, or writes the file anew with `TAKEOVER_TRANSCRIPT=write`.
#[track_caller]
pub fn hold(consoles: &[&str]) {
    let seen: String = consoles.iter().map(|console| excerpt(console)).collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/takeover/transcript.txt");
    if std::env::var_os("TAKEOVER_TRANSCRIPT").is_some_and(|value| value == "write") {
        return fs::write(path, seen).expect("the transcript can be written");
    }
    let known = fs::read_to_string(path).unwrap_or_default();
    let (seen_words, known_words) = (words(&seen), words(&known));
    let differs = seen_words.iter().zip(&known_words).position(|(a, b)| a != b);
    let same = differs.is_none() && seen_words.len() == known_words.len();
    let at = differs.unwrap_or_else(|| seen_words.len().min(known_words.len()));
    let part = |words: &[String]| {
        let range = at.saturating_sub(6)..(at + 12).min(words.len());
        words.get(range).unwrap_or_default().join(" ")
    };
    assert!(
        same,
        "transcript.txt is not what the console shows. If it should be:\n\
         TAKEOVER_TRANSCRIPT=write tests/run takeover\n\
         shown: … {} …\nthere: … {} …",
        part(&seen_words),
        part(&known_words)
    );
}

/// What was typed and answered, and what the boots said that is ours.
fn excerpt(console: &str) -> String {
    let mut text = String::new();
    let mut shown = false;
    for line in console.replace("\x1b[6n", "").lines() {
        if let Some((host, command)) = prompt(line) {
            shown = SHOWN.iter().any(|word| command.starts_with(word));
            if shown {
                let _ = writeln!(text, "root@{host}:~# {command}");
            }
            // What a system says on its way down is not of interest.
            shown &= !["reboot", "shutdown", "poweroff"].iter().any(|w| command.starts_with(w));
        } else if let Some((_, entry)) = line.split_once("Booting `") {
            let _ = writeln!(text, "\n    Booting `{entry}\n");
        } else if let Some((_, said)) = line.split_once("nixos-lustrate[") {
            let said = said.split_once("]: ").map_or(said, |(_, said)| said);
            let _ = writeln!(text, "nixos-lustrate: {said}");
        } else if shown && !is_from_the_kernel(line) {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text
}

/// The host of a prompt and the command behind it.
fn prompt(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix('[')?;
    let (status, rest) = rest.split_once("] root@")?;
    status.parse::<u8>().ok()?;
    let (host, rest) = rest.split_once(':')?;
    let (_, command) = rest.split_once("# ")?;
    Some((host, command))
}

fn is_from_the_kernel(line: &str) -> bool {
    let time = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    time.is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok())
}

/// The words, with numbers and the hashes of store paths made equal.
fn words(text: &str) -> Vec<String> {
    let equal = |word: &str| {
        let mut shape = String::new();
        for part in word.split_inclusive(['/', '-', '.', ',', ':', '(', ')']) {
            let is_hash =
                part.len() == 33 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            if is_hash {
                shape.push_str("HASH-");
                continue;
            }
            for character in part.chars() {
                let digit = character.is_ascii_digit();
                if !(digit && shape.ends_with('0')) {
                    shape.push(if digit { '0' } else { character });
                }
            }
        }
        shape
    };
    text.split_whitespace().map(equal).collect()
}
