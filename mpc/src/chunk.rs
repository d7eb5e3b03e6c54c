//! How the elements of a tensor are cut into chunks, and which party has the special role in each.
//!
//! Among three parties on replicated shares, dealers rotate by thirds so that no link carries more than its share (requirement R14
//! of protocols-rep3); large tensors are cut further, so that computing and sending overlap and memory stays bounded. The cut
//! depends on the number of elements only, which is public (R12).

use crate::PartyId;

/// Elements in a chunk at most: what a strand works on stays in the second-level cache.
pub const CHUNK: usize = 1 << 12;
/// Boundaries fall on multiples of this many elements where the tensor is large enough, so that bits pack without slack.
const ALIGN: usize = 64;

/// Elements of a tensor at most: the label of a message has 16 bits for the number of its chunk, and the last of their values
/// is not used.
pub const MAX_ELEMENTS: usize = (MAX_CHUNKS / 3) * 3 * CHUNK;
/// Chunks of a tensor at most.
pub(crate) const MAX_CHUNKS: usize = u16::MAX as usize;

/// A contiguous range of the elements of a tensor, in row-major order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Its position among the chunks of the tensor.
    pub index: usize,
    /// First element.
    pub start: usize,
    /// One past the last element.
    pub end: usize,
    /// The party that deals for it, or opens it to the others.
    pub dealer: PartyId,
}

impl Chunk {
    /// The number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// Whether there is no element in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// The chunks of a tensor of `n` elements, in order, none of them empty. Chunk k has dealer k mod 3.
#[must_use]
pub fn chunks(n: usize) -> Vec<Chunk> {
    cut(n, 3 * n.div_ceil(3 * CHUNK), 3)
}

/// A way to cut tensors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// At least three chunks, with the three parties in turn: [`chunks`].
    Thirds,
    /// As few chunks as their size allows, with so many parties in turn.
    Whole(usize),
    /// The same, with chunks of so many elements at most, 4096 or fewer: where what a strand holds grows with the parties.
    Small {
        /// Parties in turn.
        parties: usize,
        /// Elements of a chunk at most.
        elements: usize,
    },
}

impl Cut {
    /// What a session of so many parties begins with.
    pub(crate) fn of(parties: usize) -> Self {
        if parties == 3 {
            Self::Thirds
        } else {
            Self::Whole(parties)
        }
    }

    /// The chunks of a tensor of `n` elements, in order, none of them empty.
    #[must_use]
    pub fn chunks(self, n: usize) -> Vec<Chunk> {
        match self {
            Self::Thirds => chunks(n),
            Self::Whole(parties) => cut(n, n.div_ceil(CHUNK), parties.max(1)),
            Self::Small { parties, elements } => {
                let elements = elements.clamp(1, CHUNK);
                cut(n, n.div_ceil(elements), parties.max(1))
            }
        }
    }
}

fn cut(n: usize, count: usize, parties: usize) -> Vec<Chunk> {
    let align = if n >= 8 * ALIGN * count { ALIGN } else { 1 };
    let bound = |k: usize| {
        ((n as u128 * k as u128 / count as u128) as usize)
            .next_multiple_of(align)
            .min(n)
    };
    (0..count)
        .map(|k| Chunk {
            index: k,
            start: bound(k),
            end: bound(k + 1),
            dealer: k % parties,
        })
        .filter(|c| !c.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_elements_make_as_many_chunks_as_labels_can_number() {
        assert_eq!(chunks(MAX_ELEMENTS).len(), MAX_CHUNKS);
        assert!(chunks(MAX_ELEMENTS + 1).len() > MAX_CHUNKS);
    }

    #[test]
    fn whole_cuts_have_no_more_chunks_than_they_need() {
        for n in [0, 1, 100, CHUNK, CHUNK + 1, 98_305] {
            let c = Cut::Whole(2).chunks(n);
            assert_eq!(c.len(), n.div_ceil(CHUNK));
            assert_eq!(c.iter().map(Chunk::len).sum::<usize>(), n);
            assert!(c.windows(2).all(|w| w[0].end == w[1].start));
            assert!(c.iter().all(|c| c.len() <= CHUNK + ALIGN));
            assert!(c.iter().all(|c| c.dealer == c.index % 2));
            let (parties, elements) = (16, 1024);
            let c = Cut::Small { parties, elements }.chunks(n);
            assert_eq!(c.len(), n.div_ceil(1024));
            assert_eq!(c.iter().map(Chunk::len).sum::<usize>(), n);
            assert!(c.iter().all(|c| c.len() <= 1024 + ALIGN));
        }
    }

    #[test]
    fn chunks_cover_everything_once_and_dealers_share_evenly() {
        for n in [
            0, 1, 2, 3, 10, 64, 191, 192, 1000, 98_304, 98_305, 1_000_000,
        ] {
            let c = chunks(n);
            assert_eq!(c.iter().map(Chunk::len).sum::<usize>(), n);
            assert!(c.windows(2).all(|w| w[0].end == w[1].start));
            assert!(c.iter().all(|c| c.len() <= CHUNK + ALIGN));
            let share = |d| {
                c.iter()
                    .filter(|c| c.dealer == d)
                    .map(Chunk::len)
                    .sum::<usize>()
            };
            let (least, most) = (
                (0..3).map(share).min().unwrap(),
                (0..3).map(share).max().unwrap(),
            );
            assert!(most - least <= (n / 50).max(2), "{n}: {least} {most}");
        }
    }
}
