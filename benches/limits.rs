//! The program against its limit, the bare `renameat2` calls, and against what
//! people use today, a shell function. `cargo bench` prints the figures;
//! README.md beside this says how they are measured.

#![allow(missing_docs, unreachable_pub)]

#[path = "../tests/common/mod.rs"]
mod common;
mod table;

use table::effort::Effort;
use table::program;

fn main() {
    if !common::skip::is_root() {
        println!("skipped: needs root, to mount the file systems that are measured");
        return;
    }
    let program = program::for_initrd();
    table::print(&Effort::from_environment(), &program);
}
