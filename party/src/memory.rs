//! The allocator of the binaries.
//!
//! A gate on a million values takes and frees tens of megabytes in a few milliseconds. An allocator that hands such memory
//! back to the kernel has it cleared and mapped anew for the next gate, which costs as much as the gate itself.

pub use mimalloc::MiMalloc as Allocator;

/// `mi_option_purge_delay` in mimalloc's list of options, which its crate leaves out.
const PURGE_DELAY: libmimalloc_sys::mi_option_t = 15;
/// Milliseconds that freed memory stays with the process; ten times as long in large pieces.
const DELAY: std::ffi::c_long = 10_000;

/// Keeps freed memory for some seconds, unless the environment says otherwise (`MIMALLOC_PURGE_DELAY`). For binaries whose
/// allocator is [`Allocator`], before anything else.
pub fn keep_freed() {
    // SAFETY: sets a number in the allocator; the option exists in every version that the crate builds.
    unsafe { libmimalloc_sys::mi_option_set_default(PURGE_DELAY, DELAY) }
}

/// Gives the memory that this thread has freed back to the system: what is resident afterwards is in use.
pub fn give_back() {
    // SAFETY: tidies the allocator up.
    unsafe { libmimalloc_sys::mi_collect(true) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_delay() {
        // SAFETY: reads and sets a number in the allocator.
        let read = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert!(read() < DELAY, "mimalloc's own delay");
        keep_freed();
        assert_eq!(read(), DELAY);
    }
}
