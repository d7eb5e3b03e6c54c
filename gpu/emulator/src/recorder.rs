//! The emulated device with a bound, and a record of what was asked of it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tacit_gpu::{Arguments, Device, DeviceError, Grid, Kernel};

use crate::Emulator;

/// What was asked so far.
#[derive(Debug, Default)]
pub struct Record {
    /// Bytes that are taken,
    live: AtomicUsize,
    /// and that were taken at most.
    peak: AtomicUsize,
    /// Words of each copy to the device.
    written: Mutex<Vec<usize>>,
    /// What was launched.
    launched: Mutex<Vec<(Kernel, Grid)>>,
}

impl Record {
    /// Words of the copies since the last look, in order.
    pub fn take_written(&self) -> Vec<usize> {
        std::mem::take(&mut self.written.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The grids on which a kernel was launched.
    pub fn grids(&self, of: Kernel) -> Vec<Grid> {
        let launched = self.launched.lock();
        let launched = launched.unwrap_or_else(PoisonError::into_inner);
        let launched = launched.iter().filter(|(kernel, _)| *kernel == of);
        launched.map(|(_, grid)| *grid).collect()
    }

    /// Bytes that are taken.
    pub fn live(&self) -> usize {
        self.live.load(Ordering::SeqCst)
    }

    /// Bytes that were taken at most.
    pub fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}

/// An emulated device with so many bytes.
#[derive(Clone, Debug)]
pub struct Recorder {
    bytes: usize,
    /// What computes.
    pub emulator: Emulator,
    /// A bit that it changes in the last word of all that is read.
    pub lie: u64,
    /// What it was asked.
    pub record: Arc<Record>,
}

impl Recorder {
    /// With so much memory.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes,
            emulator: Emulator {
                order: 2,
                folding: false,
            },
            lie: 0,
            record: Arc::default(),
        }
    }
}

/// Memory that is counted.
#[derive(Debug)]
pub struct Counted {
    memory: <Emulator as Device>::Memory,
    bytes: usize,
    record: Arc<Record>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.record.live.fetch_sub(self.bytes, Ordering::SeqCst);
    }
}

impl Device for Recorder {
    type Memory = Counted;

    fn name(&self) -> &'static str {
        "recording device"
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        Ok(self.clone())
    }

    fn after(&self, _other: &Self) -> Result<(), DeviceError> {
        Ok(())
    }

    fn allocate(&self, bytes: usize) -> Result<Counted, DeviceError> {
        let live = self.record.live.fetch_add(bytes, Ordering::SeqCst) + bytes;
        if live > self.bytes {
            self.record.live.fetch_sub(bytes, Ordering::SeqCst);
            return Err(DeviceError::Memory { bytes });
        }
        self.record.peak.fetch_max(live, Ordering::SeqCst);
        Ok(Counted {
            memory: self.emulator.allocate(bytes)?,
            bytes,
            record: Arc::clone(&self.record),
        })
    }

    fn address(&self, memory: &Counted) -> u64 {
        self.emulator.address(&memory.memory)
    }

    fn write(&self, memory: &mut Counted, words: &[u64]) -> Result<(), DeviceError> {
        let written = self.record.written.lock();
        written
            .unwrap_or_else(PoisonError::into_inner)
            .push(words.len());
        self.emulator.write(&mut memory.memory, words)
    }

    fn read(&self, memory: &Counted, words: &mut [u64]) -> Result<(), DeviceError> {
        self.emulator.read(&memory.memory, words)?;
        if let Some(word) = words.last_mut() {
            *word ^= self.lie;
        }
        Ok(())
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError> {
        let launched = self.record.launched.lock();
        launched
            .unwrap_or_else(PoisonError::into_inner)
            .push((kernel, grid));
        // SAFETY: the caller's.
        unsafe { self.emulator.launch(kernel, grid, arguments) }
    }
}
