//! The system's allocator, with counts for each thread: for tests of how much is held in memory.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// To be a test's `#[global_allocator]`.
#[derive(Clone, Copy, Debug)]
pub struct Counted;

thread_local! {
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Bytes that this thread holds: allocated less freed, so negative where it freed what others allocated.
#[must_use]
pub fn held() -> isize {
    NOW.get()
}

/// What `work` gives, and the most bytes that this thread held meanwhile beyond what it held before.
pub fn peak<T>(work: impl FnOnce() -> T) -> (T, isize) {
    let before = NOW.get();
    PEAK.set(before);
    (work(), PEAK.get() - before)
}

fn count(bytes: isize) {
    // Threads that end have no counters any more.
    let _ = NOW.try_with(|now| {
        now.set(now.get() + bytes);
        PEAK.try_with(|peak| peak.set(peak.get().max(now.get())))
    });
}

// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(p, layout) }
    }
}
