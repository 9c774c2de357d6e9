//! The logger: the kernel log in an initrd, stderr elsewhere, never both.
//!
//! One write makes one record of `/dev/kmsg` (Documentation/ABI/testing/dev-kmsg),
//! so each line is written whole, with newlines flattened. The kernel drops more
//! than 10 records in 5 s, so the program says little. Where a service manager
//! reads stderr (`JOURNAL_STREAM`, systemd.exec(5)), the lines go there, since
//! `quiet` hides the kernel log from the console but not the journal's copy.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Where the lines go.
#[derive(Debug)]
enum Sink {
    /// `/dev/kmsg`.
    Kernel(File),
    /// stderr, read by the journal: with the level in front.
    Journal,
    /// stderr, read by a person.
    Person,
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
    let kernel = || OpenOptions::new().write(true).open("/dev/kmsg").ok();
    let sink = match (in_initrd, journal) {
        (true, true) => Sink::Journal,
        (true, false) => kernel().map_or(Sink::Person, Sink::Kernel),
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

/// A record as `/dev/kmsg` takes it.
fn kernel_line(level: Level, message: &str) -> String {
    let flat = message.replace('\n', " | ");
    format!("<{}>nixos-lustrate: {flat}\n", priority(level))
}

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        let (level, message) = (record.level(), record.args().to_string());
        // There is nowhere to report that reporting failed.
        let _ = match &self.sink {
            Sink::Kernel(kmsg) => (&*kmsg).write_all(kernel_line(level, &message).as_bytes()),
            Sink::Journal => {
                let lines = message.lines();
                let lines = lines.map(|line| format!("<{}>{line}\n", priority(level)));
                std::io::stderr().write_all(lines.collect::<String>().as_bytes())
            }
            Sink::Person if level == Level::Warn => {
                std::io::stderr().write_all(format!("warning: {message}\n").as_bytes())
            }
            Sink::Person => std::io::stderr().write_all(format!("{message}\n").as_bytes()),
        };
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_with_its_priority() {
        assert_eq!(kernel_line(Level::Error, "a\nb"), "<3>nixos-lustrate: a | b\n");
        assert_eq!(kernel_line(Level::Warn, "w"), "<4>nixos-lustrate: w\n");
        assert_eq!(kernel_line(Level::Info, "i"), "<6>nixos-lustrate: i\n");
        assert_eq!(kernel_line(Level::Debug, "d"), "<7>nixos-lustrate: d\n");
    }
}
