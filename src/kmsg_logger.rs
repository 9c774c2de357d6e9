//! The logger: the kernel log in an initrd, stderr elsewhere, never both. What the
//! kernel keeps from the console (`quiet`, `loglevel=`; NixOS has 4) is written there
//! too, so that who watches a boot sees what becomes of the root.
//!
//! One write makes one record of `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg),
//! so each line is written whole, with newlines flattened. The kernel drops more
//! than 10 records in 5 s, so the program says little; it takes none that is
//! longer than about 1 KiB, so a long plan makes several. Where a service manager
//! reads stderr (`JOURNAL_STREAM`, systemd.exec(5)), the lines go there, since
//! `quiet` hides the kernel log from the console but not the journal's copy.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::fs::sys;

/// Where the lines go.
#[derive(Debug)]
enum Sink {
    /// `/dev/kmsg`, opened for the first line: mostly there is none.
    Kernel(OnceLock<Option<OwnedFd>>),
    /// stderr, read by the journal: with the level in front.
    Journal,
    /// stderr, read by a person.
    Person,
    /// The same on a terminal.
    #[cfg(feature = "full")]
    Terminal,
}

/// The logger of the program.
#[derive(Debug)]
pub struct Logger {
    sink: Sink,
}

static LOGGER: OnceLock<Logger> = OnceLock::new();

/// Installs the logger.
pub fn install(in_initrd: bool, verbosity: i8) {
    let journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let sink = match (in_initrd, journal) {
        (true, true) => Sink::Journal,
        (true, false) => Sink::Kernel(OnceLock::new()),
        #[cfg(feature = "full")]
        (false, _) if std::io::IsTerminal::is_terminal(&std::io::stderr()) => Sink::Terminal,
        (false, _) => Sink::Person,
    };
    log::set_max_level(match verbosity {
        ..=-2 => LevelFilter::Error,
        -1 => LevelFilter::Warn,
        0 => LevelFilter::Info,
        1.. => LevelFilter::Debug,
    });
    // Fails only when there is a logger already: then that one serves.
    let _ = log::set_logger(LOGGER.get_or_init(|| Logger { sink }));
}

/// The priorities of syslog(3) that we use.
fn priority(level: Level) -> u8 {
    match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    }
}

/// The longest text of a record, in bytes: with what the kernel puts in front
/// it must stay below 1 KiB (`PRINTKRB_RECORD_MAX`, formerly `LOG_LINE_MAX`).
const MAX_RECORD: usize = 900;

/// How far a message is indented where it goes on, on a terminal.
#[cfg(feature = "full")]
const INDENT: usize = 2;

/// No message makes more records than this.
const MAX_RECORDS: usize = 4;

/// A message as records that `/dev/kmsg` takes, each as full as its lines let it be.
fn kernel_lines(level: Level, message: &str) -> Vec<String> {
    let mut records = vec![String::new()];
    for line in message.lines().filter(|line| !line.trim().is_empty()) {
        for piece in pieces(line) {
            match records.last_mut() {
                Some(record) if record.is_empty() => record.push_str(piece),
                Some(record) if record.len() + 3 + piece.len() <= MAX_RECORD => {
                    record.push_str(" | ");
                    record.push_str(piece);
                }
                _ => records.push(piece.to_owned()),
            }
        }
    }
    if records.len() > MAX_RECORDS {
        records.truncate(MAX_RECORDS);
        records.push("(cut: too long for the kernel log)".to_owned());
    }
    let priority = priority(level);
    records.iter().map(|text| format!("<{priority}>nixos-lustrate: {text}\n")).collect()
}

/// A line in pieces that fit into a record, cut between characters.
fn pieces(mut line: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    while line.len() > MAX_RECORD {
        let end = (0..=MAX_RECORD).rev().find(|&at| line.is_char_boundary(at));
        let (piece, rest) = line.split_at(end.unwrap_or(MAX_RECORD));
        pieces.push(piece);
        line = rest;
    }
    pieces.push(line);
    pieces
}

fn person_line(level: Level, message: &str) -> String {
    let warning = if level == Level::Warn { "warning: " } else { "" };
    format!("{warning}{message}\n")
}

/// Whether the kernel keeps records of this level from the console: those that are not
/// below the first number (`proc_sys_kernel(5)`, printk).
fn is_hidden(level: Level) -> bool {
    let levels = sys::read_line("/proc/sys/kernel/printk").unwrap_or_default();
    let shown = levels.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let shown = std::str::from_utf8(shown).ok().and_then(|number| number.parse().ok());
    shown.is_some_and(|shown: u8| priority(level) >= shown)
}

/// As it is, with its lines; there may be no console.
fn to_console(message: &str) {
    if let Ok(console) = sys::open_device("/dev/console") {
        let _ = sys::write_all(console, format!("nixos-lustrate: {message}\n").as_bytes());
    }
}

fn to_stderr(text: &str) -> sys::Result<()> {
    sys::write_all(std::io::stderr().as_fd(), text.as_bytes())
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (level, message) = (record.level(), record.args().to_string());
        // There is nowhere to report that reporting failed.
        let _ = match &self.sink {
            Sink::Kernel(kmsg) => match kmsg.get_or_init(|| sys::open_device("/dev/kmsg").ok()) {
                Some(kmsg) => {
                    if is_hidden(level) {
                        to_console(&message);
                    }
                    kernel_lines(level, &message)
                        .iter()
                        .try_for_each(|line| sys::write_all(kmsg, line.as_bytes()))
                }
                None => to_stderr(&person_line(level, &message)),
            },
            Sink::Journal => {
                let lines = message.lines();
                let lines = lines.map(|line| format!("<{}>{line}\n", priority(level)));
                to_stderr(&lines.collect::<String>())
            }
            Sink::Person => to_stderr(&person_line(level, &message)),
            #[cfg(feature = "full")]
            Sink::Terminal => {
                to_stderr(&crate::term::text::folded(&person_line(level, &message), INDENT))
            }
        };
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_priority() {
        assert_eq!(kernel_lines(Level::Error, "a\nb"), ["<3>nixos-lustrate: a | b\n"]);
        assert_eq!(kernel_lines(Level::Warn, "w"), ["<4>nixos-lustrate: w\n"]);
        assert_eq!(kernel_lines(Level::Info, "i\n\nj"), ["<6>nixos-lustrate: i | j\n"]);
        assert_eq!(kernel_lines(Level::Debug, "d"), ["<7>nixos-lustrate: d\n"]);
    }

    #[test]
    fn no_record_is_longer_than_the_kernel_takes() {
        let long = format!("begin\n{}\nend", "\u{e9}".repeat(1000));
        let records = kernel_lines(Level::Info, &long);
        assert!(records.iter().all(|r| r.len() <= 976 && r.ends_with('\n')), "{records:?}");
        let text: String = records.iter().map(|r| &r["<6>nixos-lustrate: ".len()..]).collect();
        assert_eq!(text.matches('\u{e9}').count(), 1000);
        let endless = kernel_lines(Level::Info, &"line\n".repeat(10_000));
        assert_eq!(endless.len(), MAX_RECORDS + 1);
    }
}
