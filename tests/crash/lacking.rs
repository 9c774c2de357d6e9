//! The same on a kernel or file system that lacks something: the exchange then
//! goes another way, which has to be as safe.

use std::thread;

use crate::common::image::Fs;
use crate::common::sys::seccomp::{self, Lack};
use crate::kill;
use crate::scene::Verb;
use crate::trees::Crash;

/// Kills a command at every call where `lack` is missing.
pub fn at_every_call(tree: &'static Crash, verb: Verb, lack: Lack) {
    in_a_thread(lack, move || kill::at_every_call(tree, Fs::Ext4, verb, Some(lack)));
}

/// What is given up is gone for good, so that takes a thread of its own.
pub fn in_a_thread(lack: Lack, test: impl FnOnce() + Send + 'static) {
    let name = thread::current().name().unwrap_or("a test").to_owned();
    let limited = move || {
        seccomp::give_up(lack).expect("a filter for system calls");
        test();
    };
    let ended = thread::Builder::new().name(name).spawn(limited).expect("a thread").join();
    if let Err(panic) = ended {
        std::panic::resume_unwind(panic);
    }
}
