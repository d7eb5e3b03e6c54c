//! Frames on a byte stream: a length (u32, little-endian), then that many bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use super::budget::{Account, Charge};

/// Longest frame that a link carries, in bytes.
pub const MAX_FRAME: usize = 64 << 20;

/// Bytes of the length before each frame.
pub(super) const HEADER: usize = 4;

/// Most memory set aside for a frame because its header announces it, before its bytes are there.
const TRUST: usize = 2 << 20;

/// The header of a frame of `len` bytes; `None` if no link carries such a frame.
pub(super) fn header(len: usize) -> Option<[u8; HEADER]> {
    let len = u32::try_from(len).ok().filter(|_| len <= MAX_FRAME)?;
    Some(len.to_le_bytes())
}

/// What a frame takes besides its bytes, so that small frames are not free.
pub(super) const OVERHEAD: usize = 128;

/// Why a frame is not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It was announced with more bytes than the limit.
    TooLong {
        /// Announced length.
        len: usize,
        /// The limit.
        max: usize,
    },
    /// There is no memory for it in the account of its sender.
    NoMemory,
}

/// Cuts a byte stream into frames, in whatever pieces it arrives. Each frame is an allocation of its own and of its length:
/// whoever keeps a short one keeps nothing of a long one that came before it.
pub(super) struct Decoder {
    max: usize,
    account: Option<Account>,
    header: [u8; HEADER],
    /// Bytes of the header that are there.
    begun: usize,
    /// The length in the header, once it is there.
    announced: Option<usize>,
    body: Vec<u8>,
    charge: Option<Charge>,
    ready: VecDeque<Bytes>,
}

impl Decoder {
    /// Accepts frames of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            account: None,
            header: [0; HEADER],
            begun: 0,
            announced: None,
            body: Vec::new(),
            charge: None,
            ready: VecDeque::new(),
        }
    }

    /// Changes the limit for frames whose header has not arrived yet.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Takes the memory of frames whose header has not arrived yet from this account, as long as the frames live.
    pub(super) fn set_account(&mut self, account: Account) {
        self.account = Some(account);
    }

    /// Takes the next bytes of the stream.
    pub(super) fn feed(&mut self, mut data: &[u8]) -> Result<(), Refused> {
        while !data.is_empty() {
            let len = match self.announced {
                Some(len) => len,
                None => {
                    let (now, later) = data.split_at(data.len().min(HEADER - self.begun));
                    self.header[self.begun..][..now.len()].copy_from_slice(now);
                    self.begun += now.len();
                    data = later;
                    if self.begun < HEADER {
                        return Ok(());
                    }
                    self.announce()?
                }
            };
            let (now, later) = data.split_at(data.len().min(len - self.body.len()));
            self.make_room(len, now.len())?;
            self.body.extend_from_slice(now);
            data = later;
            if self.body.len() == len {
                let (body, charge) = (std::mem::take(&mut self.body), self.charge.take());
                let frame = match charge {
                    Some(charge) => charge.hold(body),
                    None => body.into(),
                };
                self.ready.push_back(frame);
                (self.begun, self.announced) = (0, None);
            }
        }
        Ok(())
    }

    /// The header is there: the length of its frame.
    fn announce(&mut self) -> Result<usize, Refused> {
        let (len, max) = (u32::from_le_bytes(self.header) as usize, self.max);
        if len > max {
            return Err(Refused::TooLong { len, max });
        }
        if let Some(account) = &self.account {
            self.charge = Some(account.charge(OVERHEAD).ok_or(Refused::NoMemory)?);
        }
        self.announced = Some(len);
        Ok(len)
    }

    /// Makes room for `more` bytes of a frame of `len`, and never for more than `len`.
    fn make_room(&mut self, len: usize, more: usize) -> Result<(), Refused> {
        let (there, capacity) = (self.body.len(), self.body.capacity());
        if there + more <= capacity {
            return Ok(());
        }
        let wanted = (there + more).max(2 * capacity).max(TRUST).min(len);
        if let Some(charge) = &mut self.charge
            && !charge.grow(wanted - capacity)
        {
            return Err(Refused::NoMemory);
        }
        self.body.reserve_exact(wanted - there);
        Ok(())
    }

    /// The next complete frame.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Whether the stream stands inside a frame.
    pub(super) fn is_inside_frame(&self) -> bool {
        self.begun > 0
    }
}

#[cfg(test)]
mod tests {
    use super::super::budget::Budget;
    use super::*;

    fn wire(frames: &[&[u8]]) -> Vec<u8> {
        frames
            .iter()
            .flat_map(|f| [&header(f.len()).unwrap()[..], f].concat())
            .collect()
    }

    #[test]
    fn frames_come_out_whole_in_pieces_of_any_size() {
        let frames: [&[u8]; 4] = [b"", b"a", b"four", &[7; 1000]];
        let wire = wire(&frames);
        for piece in [1, 2, 3, 5, 64, wire.len()] {
            let mut decoder = Decoder::new(1000);
            let mut out = Vec::new();
            for bytes in wire.chunks(piece) {
                decoder.feed(bytes).unwrap();
                out.extend(std::iter::from_fn(|| decoder.next()));
            }
            assert_eq!(out, frames);
            assert!(!decoder.is_inside_frame());
        }
    }

    #[test]
    fn an_unfinished_frame_is_noticed() {
        for cut in 1..7 {
            let mut decoder = Decoder::new(10);
            decoder.feed(&wire(&[b"abc"])[..cut]).unwrap();
            assert!(decoder.is_inside_frame());
            assert_eq!(decoder.next(), None);
        }
    }

    #[test]
    fn a_long_frame_is_refused_at_its_header() {
        let mut decoder = Decoder::new(10);
        assert_eq!(
            decoder.feed(&11u32.to_le_bytes()),
            Err(Refused::TooLong { len: 11, max: 10 })
        );
        let mut decoder = Decoder::new(MAX_FRAME);
        let (first, last) = (&u32::MAX.to_le_bytes()[..3], &u32::MAX.to_le_bytes()[3..]);
        decoder.feed(first).unwrap();
        assert_eq!(
            decoder.feed(last),
            Err(Refused::TooLong {
                len: u32::MAX as usize,
                max: MAX_FRAME
            })
        );
        assert_eq!(header(MAX_FRAME + 1), None);
    }

    #[test]
    fn an_announcement_alone_takes_little_memory() {
        let mut decoder = Decoder::new(MAX_FRAME);
        decoder.feed(&header(MAX_FRAME).unwrap()).unwrap();
        decoder.feed(b"x").unwrap();
        assert!(decoder.body.capacity() <= TRUST);
    }

    /// A client that lets long frames be refused and short ones be kept made a party hold the long ones.
    #[test]
    fn a_frame_that_is_kept_holds_nothing_but_itself() {
        let (long, short) = (vec![7; 3 << 20], vec![9; 20]);
        let wire = wire(&[&long, &short, &long, &short]);
        for piece in [1000, 256 << 10, wire.len()] {
            let mut decoder = Decoder::new(MAX_FRAME);
            let mut kept = Vec::new();
            for bytes in wire.chunks(piece) {
                decoder.feed(bytes).unwrap();
                kept.extend(std::iter::from_fn(|| decoder.next()).filter(|f| f.len() == 20));
            }
            drop(decoder);
            assert_eq!(kept.len(), 2);
            for frame in kept {
                let memory = frame.try_into_mut().expect("nobody else has it").capacity();
                assert!(memory < 100, "20 bytes hold {memory}");
            }
        }
    }

    #[test]
    fn frames_are_on_the_account_of_their_sender_while_they_live() {
        let budget = Budget::new(8 << 20, 2);
        let mut decoder = Decoder::new(MAX_FRAME);
        decoder.set_account(budget.account(0));
        let long = vec![7; 3 << 20];
        decoder.feed(&wire(&[&long])).unwrap();
        let kept = decoder.next().unwrap();
        assert_eq!(kept, long);
        assert_eq!(budget.held(), (3 << 20) + OVERHEAD);
        // Half of it is everybody's own: of the rest no second frame of this length can be held.
        assert_eq!(decoder.feed(&wire(&[&long, &long])), Err(Refused::NoMemory));
        drop((decoder, kept));
        assert_eq!(budget.held(), 0);
        let mut decoder = Decoder::new(MAX_FRAME);
        decoder.set_account(budget.account(1));
        decoder.feed(&wire(&[&long])).unwrap();
        assert_eq!(decoder.next().unwrap(), long);
        // Frames without content are not free.
        let empty: Vec<&[u8]> = vec![&[]; 1 << 17];
        assert_eq!(decoder.feed(&wire(&empty)), Err(Refused::NoMemory));
    }
}
