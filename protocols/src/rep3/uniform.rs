//! For tests: gates on sharings whose masks are uniform over the ring, where an input of one party would leave a share zero.

use std::num::Wrapping;

use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Result, Strand};

use super::held::{Held, Words};
use super::share::{open, share_chunks};

/// Share j of every word, the same at all parties: a hash of (i, j), or what is missing from the word.
pub(crate) fn share(x: &[u64], j: usize, seed: u64) -> Words {
    let hash = |i: usize, j: u64| {
        let mut z = seed
            ^ (i as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ j.wrapping_mul(0xD1B5_4A32_D192_ED03);
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    let share = |(i, &x): (usize, &u64)| match j % 3 {
        0 => Wrapping(hash(i, 0)),
        1 => Wrapping(hash(i, 1)),
        _ => Wrapping(x.wrapping_sub(hash(i, 0)).wrapping_sub(hash(i, 1))),
    };
    x.iter().enumerate().map(share).collect()
}

/// What a gate gives on a uniform sharing of the words, opened.
pub(super) fn opened(
    x: &[u64],
    seed: u64,
    gate: impl AsyncFn(&Strand<'_>, Held<Words>) -> Result<Held<Words>> + Sync,
) -> Vec<u64> {
    let opened = simulate_seeded(mem(), seed, |s| {
        let (own, next) = (share(x, s.me(), seed), share(x, s.me() + 1, seed));
        let y = share_chunks(&s, &[x.len()], async |strand| {
            let range = strand.chunk().start..strand.chunk().end;
            let cut = |share: &Words| share[range.clone()].to_vec();
            let held = Held::from_party_order(strand.role(), cut(&own), cut(&next));
            let y = gate(&strand, held).await?;
            Ok(y.into_party_order(strand.role()))
        })
        .unwrap();
        s.begin_run().unwrap();
        open(&s, &y).unwrap()
    });
    opened[0].iter().map(|w| w.0).collect()
}
