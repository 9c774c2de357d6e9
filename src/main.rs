//! The `nixos-lustrate` program: parse, set the logger, run, map to an exit code.

use std::process::ExitCode;

use nixos_lustrate::engine::environment;
use nixos_lustrate::error::Error;
use nixos_lustrate::kmsg_logger;

#[global_allocator]
static ALLOCATOR: nixos_lustrate::fs::sys::Allocator = nixos_lustrate::fs::sys::Allocator::new();

#[cfg(feature = "full")]
fn carry_out() -> Result<(), Error> {
    let invocation = nixos_lustrate::cli::parse(std::env::args_os().skip(1))?;
    kmsg_logger::install(environment::in_initrd(), invocation.verbosity);
    invocation.carry_out()
}

#[cfg(not(feature = "full"))]
fn carry_out() -> Result<(), Error> {
    let options = nixos_lustrate::cli::options::parse(std::env::args_os().skip(1))?;
    kmsg_logger::install(environment::in_initrd(), options.verbosity);
    nixos_lustrate::cli::engine(&options)
}

/// To whoever typed it, before there is a logger.
fn complain(text: &str, status: u8) -> ExitCode {
    #[cfg(feature = "full")]
    let text = &nixos_lustrate::term::console::shown_on(&std::io::stderr(), text.to_owned(), 2);
    nixos_lustrate::term::complain(text);
    ExitCode::from(status)
}

fn main() -> ExitCode {
    match carry_out() {
        Ok(()) => ExitCode::SUCCESS,
        Err(Error::Usage(why)) => {
            complain(&format!("nixos-lustrate: {why}\nTry: nixos-lustrate --help\n"), 2)
        }
        Err(error) => {
            log::error!("{error}");
            ExitCode::from(error.status())
        }
    }
}
