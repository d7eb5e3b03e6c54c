//! Copies through page-locked memory of the host: the device reads and writes it by itself, while the host goes on.

use std::collections::VecDeque;
use std::ops::Range;

use crate::device::DeviceError;

/// Words of a page: eight mebibytes, enough that a copy takes far longer than asking for it.
#[cfg(feature = "cuda")]
pub(crate) const PAGE: usize = 1 << 20;
/// Pages of each direction: one is copied by the device while the host fills or empties the other.
pub(crate) const PAGES: usize = 2;

/// What pages need of a lane of a device.
pub(crate) trait Port {
    /// Page-locked words.
    type Page: AsRef<[u64]> + AsMut<[u64]>;
    /// A place in what a lane was asked.
    type Event;

    /// Page-locked memory for so many words; none where the driver refuses.
    fn page(&self, words: usize) -> Option<Self::Page>;

    /// Asks the lane to copy the first `words` of a page to an address of the device.
    ///
    /// # Safety
    /// The address has room for them, and the page stays as it is until the copy is done.
    unsafe fn send(&self, page: &Self::Page, words: usize, to: u64) -> Result<(), DeviceError>;

    /// Asks the lane to copy so many words from an address of the device to the beginning of a page.
    ///
    /// # Safety
    /// There are as many, and nobody looks at the page until the copy is done.
    unsafe fn fetch(
        &self,
        page: &mut Self::Page,
        words: usize,
        from: u64,
    ) -> Result<(), DeviceError>;

    /// The place behind all that the lane was asked so far. Where there is none, all of it is done.
    fn mark(&self) -> Result<Self::Event, DeviceError>;

    /// Waits until everything before a place is done.
    fn wait(event: &Self::Event) -> Result<(), DeviceError>;
}

/// The pages of one direction, by turns.
pub(crate) struct Pages<P: Port> {
    /// Each with the place behind its last copy, as long as nobody has waited for it.
    pages: Vec<(P::Page, Option<P::Event>)>,
    next: usize,
}

impl<P: Port> Pages<P> {
    /// Pages of so many words; none where the driver gives none.
    pub(crate) fn new(port: &P, words: usize) -> Option<Self> {
        let pages = (0..PAGES).map(|_| Some((port.page(words)?, None)));
        Some(Self {
            pages: pages.collect::<Option<_>>()?,
            next: 0,
        })
    }

    /// Copies words to an address of the device. They may be changed when this returns; the device has them when its lane
    /// comes to it.
    ///
    /// # Safety
    /// The address has room for them.
    pub(crate) unsafe fn upload(
        &mut self,
        port: &P,
        to: u64,
        words: &[u64],
    ) -> Result<(), DeviceError> {
        for range in self.ranges(words.len()) {
            let at = self.turn()?;
            let (page, event) = &mut self.pages[at];
            page.as_mut()[..range.len()].copy_from_slice(&words[range.clone()]);
            // SAFETY: the caller's; `turn` waits for the event before the page is touched again.
            unsafe { port.send(page, range.len(), to + 8 * range.start as u64)? };
            *event = Some(port.mark()?);
        }
        Ok(())
    }

    /// Copies words from an address of the device, once its lane comes to it.
    ///
    /// # Safety
    /// There are as many.
    pub(crate) unsafe fn download(
        &mut self,
        port: &P,
        from: u64,
        words: &mut [u64],
    ) -> Result<(), DeviceError> {
        let mut flying: VecDeque<(usize, Range<usize>)> = VecDeque::with_capacity(PAGES);
        for range in self.ranges(words.len()) {
            if flying.len() == self.pages.len()
                && let Some(landed) = flying.pop_front()
            {
                self.land(landed, words)?;
            }
            let at = self.turn()?;
            let (page, event) = &mut self.pages[at];
            // SAFETY: the caller's; `land` and `turn` wait for the event before they look at the page.
            unsafe { port.fetch(page, range.len(), from + 8 * range.start as u64)? };
            *event = Some(port.mark()?);
            flying.push_back((at, range));
        }
        (flying.into_iter()).try_for_each(|landed| self.land(landed, words))
    }

    fn land(
        &mut self,
        (at, range): (usize, Range<usize>),
        words: &mut [u64],
    ) -> Result<(), DeviceError> {
        self.settle(at)?;
        let page = &self.pages[at].0.as_ref()[..range.len()];
        words[range].copy_from_slice(page);
        Ok(())
    }

    /// The page whose turn it is, when its last copy is done.
    fn turn(&mut self) -> Result<usize, DeviceError> {
        let at = self.next;
        self.next = (at + 1) % self.pages.len();
        self.settle(at)?;
        Ok(at)
    }

    fn settle(&mut self, at: usize) -> Result<(), DeviceError> {
        // An event that fails stays, so that the page is not used again.
        if let Some(event) = &self.pages[at].1 {
            P::wait(event)?;
        }
        self.pages[at].1 = None;
        Ok(())
    }

    /// A page of words at a time.
    fn ranges(&self, words: usize) -> impl Iterator<Item = Range<usize>> + use<P> {
        let most = self.pages.first().map_or(1, |page| page.0.as_ref().len());
        (0..words)
            .step_by(most)
            .map(move |at| at..words.min(at + most))
    }
}

impl<P: Port> Drop for Pages<P> {
    fn drop(&mut self) {
        for at in 0..self.pages.len() {
            self.settle(at).ok(); // nobody could be told; the pages are not freed under a copy
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;

    /// A lane that copies nothing before somebody waits for it, and a device of some words.
    #[derive(Default)]
    struct Late(Rc<RefCell<State>>);

    #[derive(Default)]
    struct State {
        memory: Vec<u64>,
        /// From, to, words; whether it goes to the device.
        asked: Vec<(*mut u64, usize, usize, bool)>,
        done: usize,
        pages: usize,
        refuses: bool,
    }

    struct Page(Box<[u64]>);

    impl AsRef<[u64]> for Page {
        fn as_ref(&self) -> &[u64] {
            &self.0
        }
    }

    impl AsMut<[u64]> for Page {
        fn as_mut(&mut self) -> &mut [u64] {
            &mut self.0
        }
    }

    impl State {
        fn run(&mut self, upto: usize) {
            for &(page, at, words, to_device) in &self.asked[self.done.min(upto)..upto] {
                let memory = &mut self.memory[at..][..words];
                // SAFETY: pages live as long as the test.
                unsafe {
                    if to_device {
                        memory.copy_from_slice(std::slice::from_raw_parts(page, words));
                    } else {
                        std::slice::from_raw_parts_mut(page, words).copy_from_slice(memory);
                    }
                }
            }
            self.done = self.done.max(upto);
        }
    }

    impl Port for Late {
        type Page = Page;
        type Event = (Rc<RefCell<State>>, usize);

        fn page(&self, words: usize) -> Option<Page> {
            let mut state = self.0.borrow_mut();
            state.pages += 1;
            (!state.refuses).then(|| Page(vec![0xBAD; words].into()))
        }

        unsafe fn send(&self, page: &Page, words: usize, to: u64) -> Result<(), DeviceError> {
            let page = page.0.as_ptr().cast_mut();
            let task = (page, to as usize / 8, words, true);
            self.0.borrow_mut().asked.push(task);
            Ok(())
        }

        unsafe fn fetch(
            &self,
            page: &mut Page,
            words: usize,
            from: u64,
        ) -> Result<(), DeviceError> {
            let task = (page.0.as_mut_ptr(), from as usize / 8, words, false);
            self.0.borrow_mut().asked.push(task);
            Ok(())
        }

        fn mark(&self) -> Result<Self::Event, DeviceError> {
            Ok((Rc::clone(&self.0), self.0.borrow().asked.len()))
        }

        fn wait((state, upto): &Self::Event) -> Result<(), DeviceError> {
            state.borrow_mut().run(*upto);
            Ok(())
        }
    }

    #[test]
    fn pages_are_used_again_only_when_their_copy_is_done() {
        for words in [0, 1, 7, 8, 9, 16, 17, 100] {
            let lane = Late::default();
            lane.0.borrow_mut().memory = vec![0; words];
            let mut up = Pages::new(&lane, 8).unwrap();
            let mut down = Pages::new(&lane, 8).unwrap();
            for round in 1..4 {
                let sent: Vec<u64> = (0..words as u64).map(|k| k * round + 1).collect();
                let mut found = vec![0; words];
                // SAFETY: the device has as many words.
                unsafe {
                    up.upload(&lane, 0, &sent).unwrap();
                    down.download(&lane, 0, &mut found).unwrap();
                }
                assert_eq!(found, sent, "{words} words");
            }
            assert_eq!(lane.0.borrow().pages, 2 * PAGES, "no more than they are");
        }
    }

    #[test]
    fn the_host_does_not_wait_for_the_last_pages() {
        let lane = Late::default();
        lane.0.borrow_mut().memory = vec![0; 40];
        let mut up = Pages::new(&lane, 8).unwrap();
        // SAFETY: the device has as many words.
        unsafe { up.upload(&lane, 0, &[1; 40]).unwrap() };
        assert_eq!(lane.0.borrow().done, 5 - PAGES);
        drop(up);
        assert_eq!(lane.0.borrow().done, 5, "not freed under a copy");
    }

    #[test]
    fn a_driver_may_refuse() {
        let lane = Late::default();
        lane.0.borrow_mut().refuses = true;
        assert!(Pages::new(&lane, 8).is_none());
    }
}
