//! A device whose lanes do nothing before they must: what is asked of one is done when somebody waits for it, and no earlier
//! than that. What was put in order by luck alone goes wrong on it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use tacit_gpu::{Arguments, Device, DeviceError, Grid, Kernel};
use tacit_gpu_emulator::{Emulator, possible};

type Words = <Emulator as Device>::Memory;

/// What a lane was asked.
enum Task {
    Write(Arc<Words>, Vec<u64>),
    Launch(Kernel, Grid, Arguments),
    /// Waits until another lane has done so many tasks.
    After(usize, usize),
    Free(Arc<Words>, usize),
}

/// What happened, as the host saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    Write(usize),
    Launch(usize),
    Read(usize),
    /// Memory of so many bytes was freed, and whether other lanes had nothing left to do of what was asked before.
    Freed(usize, bool),
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Task>,
    asked: usize,
    done: usize,
}

#[derive(Default)]
struct State {
    lanes: Vec<Lane>,
    seen: Vec<Seen>,
    /// Launches until one is refused.
    refuses: Option<usize>,
}

/// One lane of a lazy device.
pub(crate) struct Lazy {
    lane: usize,
    state: Arc<Mutex<State>>,
}

/// Memory that is poisoned when its lane frees it.
pub(crate) struct Memory {
    words: Arc<Words>,
    bytes: usize,
    lane: usize,
    state: Arc<Mutex<State>>,
}

const EMULATOR: Emulator = Emulator {
    order: 1,
    folding: false,
};

impl Lazy {
    pub(crate) fn new() -> Self {
        let mut state = State::default();
        state.lanes.push(Lane::default());
        Self {
            lane: 0,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// Refuses a launch after so many.
    pub(crate) fn refusing_after(self, launches: usize) -> Self {
        self.state().refuses = Some(launches);
        self
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state().seen.clone()
    }

    /// Does all that is left.
    pub(crate) fn finish(&self) {
        let mut state = self.state();
        for lane in 0..state.lanes.len() {
            let asked = state.lanes[lane].asked;
            state.run(lane, asked);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn ask(&mut self, lane: usize, task: Task) {
        self.lanes[lane].waiting.push_back(task);
        self.lanes[lane].asked += 1;
    }

    /// Has a lane do its first `upto` tasks.
    fn run(&mut self, lane: usize, upto: usize) {
        while self.lanes[lane].done < upto {
            let task = self.lanes[lane].waiting.pop_front().unwrap();
            match task {
                Task::Write(memory, words) => fill(&memory, &words),
                // SAFETY: whoever launched it vouches for it; memory is kept until the test is over.
                Task::Launch(kernel, grid, arguments) => unsafe {
                    EMULATOR.launch(kernel, grid, arguments).unwrap();
                },
                Task::After(other, tasks) => self.run(other, tasks),
                Task::Free(memory, bytes) => {
                    fill(&memory, &vec![0xF4EE_F4EE_F4EE_F4EE; bytes / 8]);
                    let others = self.lanes.iter().enumerate();
                    let idle = others
                        .filter(|(other, _)| *other != lane)
                        .all(|(_, other)| other.waiting.is_empty());
                    self.seen.push(Seen::Freed(bytes, idle));
                    std::mem::forget(memory); // what uses it too late finds poison, and no other tensor
                }
            }
            self.lanes[lane].done += 1;
        }
    }
}

fn fill(memory: &Words, words: &[u64]) {
    let to = EMULATOR.address(memory) as *mut u64;
    // SAFETY: `Lazy::write` has looked that there is room, and memory is words that kernels may change.
    unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), to, words.len()) };
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Ok(mut state) = self.state.lock() {
            state.ask(self.lane, Task::Free(Arc::clone(&self.words), self.bytes));
        }
    }
}

impl Device for Lazy {
    type Memory = Memory;

    fn name(&self) -> &'static str {
        "lazy device"
    }

    fn lane(&self) -> Result<Self, DeviceError> {
        let mut state = self.state();
        state.lanes.push(Lane::default());
        Ok(Self {
            lane: state.lanes.len() - 1,
            state: Arc::clone(&self.state),
        })
    }

    fn after(&self, other: &Self) -> Result<(), DeviceError> {
        let mut state = self.state();
        let asked = state.lanes[other.lane].asked;
        state.ask(self.lane, Task::After(other.lane, asked));
        Ok(())
    }

    fn allocate(&self, bytes: usize) -> Result<Memory, DeviceError> {
        Ok(Memory {
            words: Arc::new(EMULATOR.allocate(bytes)?),
            bytes,
            lane: self.lane,
            state: Arc::clone(&self.state),
        })
    }

    fn address(&self, memory: &Memory) -> u64 {
        EMULATOR.address(&memory.words)
    }

    fn write(&self, memory: &mut Memory, words: &[u64]) -> Result<(), DeviceError> {
        assert!(8 * words.len() <= memory.bytes);
        let mut state = self.state();
        state.seen.push(Seen::Write(self.lane));
        let task = Task::Write(Arc::clone(&memory.words), words.to_vec());
        state.ask(self.lane, task);
        Ok(())
    }

    fn read(&self, memory: &Memory, words: &mut [u64]) -> Result<(), DeviceError> {
        let mut state = self.state();
        state.seen.push(Seen::Read(self.lane));
        let asked = state.lanes[self.lane].asked;
        state.run(self.lane, asked);
        EMULATOR.read(&memory.words, words)
    }

    unsafe fn launch(
        &self,
        kernel: Kernel,
        grid: Grid,
        arguments: Arguments,
    ) -> Result<(), DeviceError> {
        assert!(possible(&grid), "{kernel:?} on {grid:?}");
        let mut state = self.state();
        if state.refuses == Some(0) {
            let why = "as the test wants it".to_owned();
            return Err(DeviceError::Launch {
                kernel: kernel.name(),
                why,
            });
        }
        state.refuses = state.refuses.map(|left| left - 1);
        state.seen.push(Seen::Launch(self.lane));
        state.ask(self.lane, Task::Launch(kernel, grid, arguments));
        Ok(())
    }
}
