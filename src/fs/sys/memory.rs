//! The allocator: an end with a message where memory runs out. What std says then is
//! left out of a build whose panics only abort, and a bare SIGILL would tell nobody
//! that running again goes on.
//!
//! The small build gives no memory back but what is large, by hand: it ends within
//! milliseconds, and the code that frees what it has used would be a tenth of it.

use std::alloc::{GlobalAlloc, Layout};

/// The exit status of a run that stopped part-way.
const STOPPED: i32 = 1;

#[cfg(feature = "full")]
type Below = std::alloc::System;
#[cfg(not(feature = "full"))]
type Below = pile::Pile;

/// The allocator of the program, which `main.rs` installs. Whoever else uses this
/// library, its tests among them, may have more than one thread.
pub struct Allocator(Below);

impl Allocator {
    /// There is one.
    #[must_use]
    #[allow(clippy::new_without_default)] // nobody has another
    pub const fn new() -> Self {
        #[cfg(feature = "full")]
        return Self(std::alloc::System);
        #[cfg(not(feature = "full"))]
        return Self(pile::Pile);
    }
}

fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        out_of_memory();
    }
    memory
}

// SAFETY: each call is the other allocator's, with what was given, and returns what
// that one returned.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for this function.
        checked(unsafe { self.0.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as for this function.
        checked(unsafe { self.0.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as for this function.
        checked(unsafe { self.0.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as for this function.
        unsafe { self.0.dealloc(memory, layout) }
    }
}

#[cfg(not(feature = "full"))]
mod pile {
    use std::alloc::{GlobalAlloc, Layout};
    use std::ptr::{copy_nonoverlapping, null_mut, with_exposed_provenance_mut};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// What the kernel is asked for at a time; a larger block is a piece by itself.
    const PIECE: usize = 1 << 16;

    /// Memory that only grows.
    pub(super) struct Pile;

    /// Where the free part of the last piece begins and ends.
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    static END: AtomicUsize = AtomicUsize::new(0);

    fn piece(size: usize) -> *mut u8 {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: new memory, which nobody else knows of.
        got(unsafe { libc::mmap(null_mut(), size, access, how, -1, 0) })
    }

    fn got(memory: *mut libc::c_void) -> *mut u8 {
        if memory == libc::MAP_FAILED { null_mut() } else { memory.cast() }
    }

    /// Gives a long list back before the end of the program.
    pub(crate) fn release<T>(list: Vec<T>) {
        let size = list.capacity() * size_of::<T>();
        // With another allocator nothing is of the pile.
        if size >= PIECE && NEXT.load(Relaxed) != 0 {
            let list = std::mem::ManuallyDrop::new(list);
            // SAFETY: a piece of at least that size, which nobody uses any more.
            unsafe { libc::munmap(list.as_ptr().cast_mut().cast(), size) };
        }
    }

    // SAFETY: blocks are aligned, to a page at most, and do not overlap, since the
    // program has one thread; none is used twice, so each is zero.
    unsafe impl GlobalAlloc for Pile {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let size = layout.size();
            if size >= PIECE {
                return piece(size);
            }
            let mut at = NEXT.load(Relaxed).next_multiple_of(layout.align());
            if size > END.load(Relaxed).saturating_sub(at) {
                at = piece(PIECE).expose_provenance();
                if at == 0 {
                    return null_mut();
                }
                END.store(at + PIECE, Relaxed);
            }
            NEXT.store(at + size, Relaxed);
            with_exposed_provenance_mut(at)
        }

        unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
            // SAFETY: as for this function.
            unsafe { self.alloc(layout) }
        }

        unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            let (at, old) = (memory.addr(), layout.size());
            if size <= old {
                return memory;
            }
            if old >= PIECE {
                // SAFETY: a piece of that size, which the caller gives up.
                return got(unsafe {
                    libc::mremap(memory.cast(), old, size, libc::MREMAP_MAYMOVE)
                });
            }
            // The last block grows in its place.
            if at + old == NEXT.load(Relaxed) && size <= END.load(Relaxed) - at {
                NEXT.store(at + size, Relaxed);
                return memory;
            }
            // SAFETY: the alignment is as before, and the size not more than the caller
            // may ask for. Both blocks are as long as the old one, and not the same.
            unsafe {
                let new = self.alloc(Layout::from_size_align_unchecked(size, layout.align()));
                if !new.is_null() {
                    copy_nonoverlapping(memory, new, old);
                }
                new
            }
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }
}

/// Gives a long list back before the end of the program.
#[cfg(feature = "full")]
pub(crate) fn release<T>(list: Vec<T>) {
    drop(list);
}

#[cfg(not(feature = "full"))]
pub(crate) use pile::release;

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
