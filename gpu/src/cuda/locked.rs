//! Page-locked memory of the host, and the copies that go through it.

use std::ptr::NonNull;
use std::sync::Arc;

use cudarc::driver::result;
use cudarc::driver::{CudaContext, CudaEvent};

use super::{Cuda, said};
use crate::device::DeviceError;
use crate::staging::{PAGE, Pages, Port};

/// The pages of both directions, made when the first copy is asked for: 32 mebibytes of the host for all lanes together.
#[derive(Default)]
pub(super) struct Staging {
    up: Tried,
    down: Tried,
}

/// Pages, if the driver gave them.
#[derive(Default)]
enum Tried {
    #[default]
    NotYet,
    Refused,
    Ready(Pages<Cuda>),
}

impl Staging {
    /// The pages to the device; none where the driver gives none, and copies take pageable memory.
    pub(super) fn up(&mut self, lane: &Cuda) -> Option<&mut Pages<Cuda>> {
        self.up.pages(lane)
    }

    /// The pages from the device; as above.
    pub(super) fn down(&mut self, lane: &Cuda) -> Option<&mut Pages<Cuda>> {
        self.down.pages(lane)
    }
}

impl Tried {
    fn pages(&mut self, lane: &Cuda) -> Option<&mut Pages<Cuda>> {
        if matches!(self, Self::NotYet) {
            *self = Pages::new(lane, PAGE).map_or(Self::Refused, Self::Ready);
        }
        match self {
            Self::Ready(pages) => Some(pages),
            Self::NotYet | Self::Refused => None,
        }
    }
}

/// Words that the driver has locked.
pub(crate) struct Locked {
    words: NonNull<u64>,
    length: usize,
    context: Arc<CudaContext>,
}

// SAFETY: plain memory that it owns alone.
unsafe impl Send for Locked {}
// SAFETY: as above.
unsafe impl Sync for Locked {}

impl AsRef<[u64]> for Locked {
    fn as_ref(&self) -> &[u64] {
        // SAFETY: as many words were allocated, and set to zero.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr(), self.length) }
    }
}

impl AsMut<[u64]> for Locked {
    fn as_mut(&mut self) -> &mut [u64] {
        // SAFETY: as above, and nobody else has it.
        unsafe { std::slice::from_raw_parts_mut(self.words.as_ptr(), self.length) }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // Nobody could be told.
        if self.context.bind_to_thread().is_ok() {
            // SAFETY: allocated by `malloc_host`, and freed once.
            let _ = unsafe { result::free_host(self.words.as_ptr().cast()) };
        }
    }
}

impl Port for Cuda {
    type Page = Locked;
    type Event = CudaEvent;

    fn page(&self, words: usize) -> Option<Locked> {
        self.bind().ok()?;
        // SAFETY: it is set to zero before anybody reads it.
        let page = unsafe { result::malloc_host(8 * words, 0) }.ok()?;
        let page = NonNull::new(page.cast::<u64>())?;
        // SAFETY: there is room for as many words.
        unsafe { page.as_ptr().write_bytes(0, words) };
        Some(Locked {
            words: page,
            length: words,
            context: Arc::clone(&self.context),
        })
    }

    unsafe fn send(&self, page: &Locked, words: usize, to: u64) -> Result<(), DeviceError> {
        let words = &page.as_ref()[..words];
        // SAFETY: the caller's.
        unsafe { result::memcpy_htod_async(to, words, self.stream.cu_stream()) }
            .map_err(|error| said("copy", error))
    }

    unsafe fn fetch(&self, page: &mut Locked, words: usize, from: u64) -> Result<(), DeviceError> {
        let words = &mut page.as_mut()[..words];
        // SAFETY: the caller's.
        unsafe { result::memcpy_dtoh_async(words, from, self.stream.cu_stream()) }
            .map_err(|error| said("copy", error))
    }

    fn mark(&self) -> Result<CudaEvent, DeviceError> {
        self.stream.record_event(None).map_err(|error| {
            // Without an event nobody could wait for the copy later.
            let _ = self.finish();
            said("event", error)
        })
    }

    fn wait(event: &CudaEvent) -> Result<(), DeviceError> {
        event.synchronize().map_err(|error| said("copy", error))
    }
}
