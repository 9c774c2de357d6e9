//! The allocator: the system's own, and an end with a message where memory runs
//! out. What std says then is left out of a build whose panics only abort, and a
//! bare SIGILL would tell nobody that running again goes on.

use std::alloc::{GlobalAlloc, Layout, System};

/// The exit status of a run that stopped part-way.
const STOPPED: i32 = 1;

struct Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

impl Allocator {
    fn checked(memory: *mut u8) -> *mut u8 {
        if memory.is_null() {
            out_of_memory();
        }
        memory
    }
}

// SAFETY: each call is the system allocator's, with what was given, and returns
// what that one returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for this function.
        Self::checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for this function.
        Self::checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for this function.
        Self::checked(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Says it without asking for memory, and ends.
#[cold]
fn out_of_memory() -> ! {
    let text = "out of memory. Nothing is lost: run the same command again where there is more\n";
    // SAFETY: a text and its length; there is nowhere to report that this failed.
    unsafe {
        libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len());
        libc::_exit(STOPPED)
    }
}
