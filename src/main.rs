//! The `nixos-lustrate` program: parse, set the logger, run, map to an exit code.

use std::process::ExitCode;

use nixos_lustrate::error::Error;
use nixos_lustrate::{app, environment, kmsg_logger};

#[cfg(feature = "full")]
use nixos_lustrate::cli::parse;
#[cfg(not(feature = "full"))]
use nixos_lustrate::options::parse;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1);
    let outcome = parse(arguments).and_then(|options| {
        kmsg_logger::install(environment::in_initrd(), options.verbosity);
        app::command(&options)
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Shown(text)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(Error::Usage(why)) => {
            eprintln!("nixos-lustrate: {why}\nTry: nixos-lustrate --help");
            ExitCode::from(2)
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::from(error.status())
        }
    }
}
