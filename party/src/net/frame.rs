//! Frames on a byte stream: a length (u32, little-endian), then that many bytes.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Longest frame that a link carries, in bytes.
pub const MAX_FRAME: usize = 64 << 20;

/// Bytes of the length before each frame.
pub(super) const HEADER: usize = 4;

/// Most memory set aside for a frame because its header announces it, before its bytes are there.
const TRUST: usize = 1 << 20;

/// The header of a frame of `len` bytes; `None` if no link carries such a frame.
pub(super) fn header(len: usize) -> Option<[u8; HEADER]> {
    let len = u32::try_from(len).ok().filter(|_| len <= MAX_FRAME)?;
    Some(len.to_le_bytes())
}

/// A frame announced with more bytes than the limit.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TooLong {
    /// Announced length.
    pub(super) len: usize,
    /// The limit.
    pub(super) max: usize,
}

/// Cuts a byte stream into frames, in whatever pieces it arrives.
pub(super) struct Decoder {
    max: usize,
    partial: BytesMut,
    ready: VecDeque<Bytes>,
}

impl Decoder {
    /// Accepts frames of at most `max` bytes.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            partial: BytesMut::new(),
            ready: VecDeque::new(),
        }
    }

    /// Changes the limit for frames whose header has not arrived yet.
    pub(super) fn set_max(&mut self, max: usize) {
        self.max = max;
    }

    /// Takes the next bytes of the stream.
    pub(super) fn feed(&mut self, mut data: &[u8]) -> Result<(), TooLong> {
        while !data.is_empty() {
            let wanted = match self.announced()? {
                None => HEADER,
                Some(len) => HEADER + len,
            };
            let (now, later) = data.split_at(data.len().min(wanted - self.partial.len()));
            self.partial
                .reserve(now.len().max((wanted - self.partial.len()).min(TRUST)));
            self.partial.extend_from_slice(now);
            data = later;
            if self
                .announced()?
                .is_some_and(|len| self.partial.len() == HEADER + len)
            {
                let mut frame = self.partial.split().freeze();
                frame.advance(HEADER);
                self.ready.push_back(frame);
            }
        }
        Ok(())
    }

    /// The next complete frame.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.ready.pop_front()
    }

    /// Whether the stream stands inside a frame.
    pub(super) fn is_inside_frame(&self) -> bool {
        !self.partial.is_empty()
    }

    /// The length of the frame in progress, once its header is there.
    fn announced(&self) -> Result<Option<usize>, TooLong> {
        let Some(header) = self.partial.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes(*header) as usize;
        if len > self.max {
            return Err(TooLong { len, max: self.max });
        }
        Ok(Some(len))
    }
}

#[cfg(test)]
mod tests {
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
            Err(TooLong { len: 11, max: 10 })
        );
        let mut decoder = Decoder::new(MAX_FRAME);
        let (first, last) = (&u32::MAX.to_le_bytes()[..3], &u32::MAX.to_le_bytes()[3..]);
        decoder.feed(first).unwrap();
        assert_eq!(
            decoder.feed(last),
            Err(TooLong {
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
        assert!(decoder.partial.capacity() <= 4 * TRUST);
    }
}
