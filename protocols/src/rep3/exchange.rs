//! The two ways to send inside a gate: the dealer deals, the pair swaps.
//!
//! The message to a party is always masked by the draw of the one key that this party lacks. The callers cannot choose the
//! key: it follows from the roles (requirement R16).

use bytemuck::allocation::cast_vec;
use bytemuck::{cast_slice, cast_slice_mut};
use bytes::BytesMut;
use tacit_mpc::kernels::vectorised;
use tacit_mpc::wire::{append, append_planes, packed_len, unpack, unpack_planes};
use tacit_mpc::{Label, Purpose, R64, Result, Role, Strand};

use super::bits::{Plane, words_of};
use super::held::{Held, Words, mask};

/// What each party has of a value that the dealer dealt: v = a + b.
pub(crate) enum Halves<T> {
    /// The dealer knows both.
    Dealer {
        /// A's half.
        a: T,
        /// B's half.
        b: T,
    },
    /// A or B knows its own.
    Pair(T),
}

impl<T> Halves<T> {
    /// The half of A or B; `None` at the dealer.
    pub(crate) fn half(&self) -> Option<&T> {
        match self {
            Self::Dealer { .. } => None,
            Self::Pair(half) => Some(half),
        }
    }

    /// The half of A or B to keep; `None` at the dealer.
    pub(crate) fn into_half(self) -> Option<T> {
        match self {
            Self::Dealer { .. } => None,
            Self::Pair(half) => Some(half),
        }
    }

    fn map<U>(self, f: impl Fn(T) -> U) -> Halves<U> {
        match self {
            Self::Dealer { a, b } => Halves::Dealer { a: f(a), b: f(b) },
            Self::Pair(half) => Halves::Pair(f(half)),
        }
    }
}

/// What is dealt or swapped: words of so many bits with addition, or planes of so many bits with exclusive or. Planes lie one
/// after the other in words.
#[derive(Clone, Copy)]
enum Form {
    Words(u32),
    Planes(usize),
}

impl Form {
    /// Words of so many units.
    fn words(self, units: usize) -> usize {
        match self {
            Self::Words(_) => units,
            Self::Planes(n) => units * words_of(n),
        }
    }

    fn wire_len(self, units: usize) -> usize {
        match self {
            Self::Words(bits) => packed_len(units, bits as usize),
            Self::Planes(n) => packed_len(units, n),
        }
    }

    /// A draw of units.
    fn draw(
        self,
        strand: &Strand<'_>,
        key: usize,
        label: Label,
        purpose: Purpose,
        out: &mut [R64],
    ) -> Result<()> {
        strand.draw_into(key, label, purpose, out)?;
        if let Self::Words(bits @ ..64) = self {
            vectorised(|| out.iter_mut().for_each(|w| *w &= mask(bits)));
        }
        Ok(())
    }

    /// x -= y.
    fn take_off(self, x: &mut [R64], y: &[R64]) {
        match self {
            Self::Words(_) => vectorised(|| x.iter_mut().zip(y).for_each(|(x, &y)| *x -= y)),
            Self::Planes(_) => vectorised(|| x.iter_mut().zip(y).for_each(|(x, &y)| *x ^= y)),
        }
    }

    /// Appends so many units as they travel.
    fn append(self, units: usize, x: &[R64], out: &mut BytesMut) {
        match self {
            Self::Words(bits) => append(x, bits, out),
            Self::Planes(n) => append_planes(cast_slice(x), units, n, out),
        }
    }

    fn unpack(self, bytes: &[u8], out: &mut [R64]) {
        match self {
            Self::Words(bits) => unpack(bytes, bits, out),
            Self::Planes(n) => unpack_planes(bytes, n, cast_slice_mut(out)),
        }
    }

    /// x += what was packed, to its bits.
    fn add_packed(self, x: &mut [R64], bytes: &[u8]) {
        match self {
            Self::Words(64) if cfg!(target_endian = "little") => {
                let theirs = bytes.as_chunks::<8>().0;
                vectorised(|| {
                    x.iter_mut()
                        .zip(theirs)
                        .for_each(|(x, y)| x.0 = x.0.wrapping_add(u64::from_le_bytes(*y)));
                });
            }
            Self::Words(bits) => {
                // Some words at a time, which end with a byte at any width.
                let mut theirs = [R64::default(); PIECE];
                for (x, bytes) in x
                    .chunks_mut(PIECE)
                    .zip(bytes.chunks(PIECE / 8 * bits as usize))
                {
                    let theirs = &mut theirs[..x.len()];
                    unpack(bytes, bits, theirs);
                    vectorised(|| {
                        x.iter_mut()
                            .zip(&*theirs)
                            .for_each(|(x, &y)| *x = (*x + y) & mask(bits));
                    });
                }
            }
            Self::Planes(n) if n.is_multiple_of(64) && cfg!(target_endian = "little") => {
                let theirs = bytes.as_chunks::<8>().0;
                vectorised(|| {
                    x.iter_mut()
                        .zip(theirs)
                        .for_each(|(x, y)| x.0 ^= u64::from_le_bytes(*y));
                });
            }
            Self::Planes(n) => {
                let mut theirs = vec![R64::default(); x.len()];
                unpack_planes(bytes, n, cast_slice_mut(&mut theirs));
                self.take_off(x, &theirs);
            }
        }
    }
}

/// Words that are unpacked at a time: 4 kB stay in the first-level cache.
const PIECE: usize = 512;

/// `deal`: D knows v. A's half is F(k_ia), B gets v - F(k_ia); for the second half of the units the roles of A and B are
/// swapped, so that both of D's links carry the same. One unit of v sent a unit, 1 round, D's.
async fn deal(
    strand: &Strand<'_>,
    units: usize,
    form: Form,
    value: impl FnOnce() -> Words,
) -> Result<Halves<Words>> {
    let label = strand.next_gate()?;
    // An odd unit goes to B in one gate and to A in the next.
    let first = (units + usize::from(label.gate & 1)) / 2;
    let second = units - first;
    let split = form.words(first);
    let (dealer, a, b) = (
        strand.party(Role::Dealer),
        strand.party(Role::A),
        strand.party(Role::B),
    );
    let (ia, ib) = (a, dealer);
    let draw = |key, out: &mut [R64]| form.draw(strand, key, label, Purpose::Deal, out);
    match strand.role() {
        Role::Dealer => {
            let mut to_b = value();
            let mut to_a = vec![R64::default(); to_b.len()];
            let (a1, a2) = to_a.split_at_mut(split);
            let (b1, b2) = to_b.split_at_mut(split);
            draw(ia, a1)?;
            form.take_off(b1, a1);
            draw(ib, a2)?;
            form.take_off(b2, a2);
            a2.swap_with_slice(b2);
            if first > 0 {
                strand.send(b, label, form.wire_len(first), |out| {
                    form.append(first, b1, out)
                })?;
            }
            if second > 0 {
                strand.send(a, label, form.wire_len(second), |out| {
                    form.append(second, a2, out)
                })?;
            }
            Ok(Halves::Dealer { a: to_a, b: to_b })
        }
        role => {
            let is_a = role == Role::A;
            let received = if is_a { second } else { first };
            let bytes = if received == 0 {
                bytes::Bytes::new()
            } else {
                let len = form.wire_len(received);
                strand.recv(dealer, label, len).await?
            };
            let mut half = vec![R64::default(); form.words(units)];
            let (h1, h2) = half.split_at_mut(split);
            let (drawn, sent, key) = if is_a { (h1, h2, ia) } else { (h2, h1, ib) };
            draw(key, drawn)?;
            form.unpack(&bytes, sent);
            Ok(Halves::Pair(half))
        }
    }
}

/// `swap`: A has u_A, B has u_B (`None` at the dealer). With l_A = F(k_ia), l_B = F(k_ib), A sends u_A - l_A, B sends
/// u_B - l_B; both learn the sum m. (l_A, l_B, m) is a fresh sharing of u_A + u_B. Two units a unit, 1 round; D is silent.
async fn swap(
    strand: &Strand<'_>,
    units: usize,
    form: Form,
    u: Option<Words>,
) -> Result<Held<Words>> {
    let label = strand.next_gate()?;
    let (ia, ib) = (strand.party(Role::A), strand.party(Role::Dealer));
    let draw = |key| -> Result<Words> {
        let mut out = vec![R64::default(); form.words(units)];
        form.draw(strand, key, label, Purpose::Swap, &mut out)?;
        Ok(out)
    };
    let Some(mut common) = u else {
        return Ok(Held::Dealer {
            a: draw(ia)?,
            b: draw(ib)?,
        });
    };
    let (key, peer) = if strand.role() == Role::A {
        (ia, strand.party(Role::B))
    } else {
        (ib, strand.party(Role::A))
    };
    let half = draw(key)?;
    form.take_off(&mut common, &half);
    let len = form.wire_len(units);
    strand.send(peer, label, len, |out| form.append(units, &common, out))?;
    let theirs = strand.recv(peer, label, len).await?;
    form.add_packed(&mut common, &theirs);
    Ok(Held::Pair { half, common })
}

/// Deals `n` words of `bits` bits. bits·n bits, 1 round (D's).
pub(crate) async fn deal_words(
    strand: &Strand<'_>,
    n: usize,
    bits: u32,
    value: impl FnOnce() -> Words,
) -> Result<Halves<Words>> {
    deal(strand, n, Form::Words(bits), value).await
}

/// Deals `count` planes of bits, one after the other. count·n bits, 1 round (D's).
pub(crate) async fn deal_bits(
    strand: &Strand<'_>,
    count: usize,
    value: impl FnOnce() -> Vec<u64>,
) -> Result<Halves<Vec<u64>>> {
    let form = Form::Planes(strand.chunk().len());
    Ok(deal(strand, count, form, || cast_vec(value()))
        .await?
        .map(cast_vec))
}

/// [`deal_bits`] for planes by themselves.
pub(crate) async fn deal_planes(
    strand: &Strand<'_>,
    count: usize,
    value: impl FnOnce() -> Vec<Plane>,
) -> Result<Halves<Vec<Plane>>> {
    let n = strand.chunk().len();
    Ok(deal_bits(strand, count, || value().concat())
        .await?
        .map(|flat| cut(&flat, n)))
}

/// Swaps `n` words of `bits` bits. 2·bits·n bits, 1 round.
pub(crate) async fn swap_words(
    strand: &Strand<'_>,
    n: usize,
    bits: u32,
    u: Option<Words>,
) -> Result<Held<Words>> {
    swap(strand, n, Form::Words(bits), u).await
}

/// Swaps `count` planes of bits, one after the other; one sharing of all. 2·count·n bits, 1 round.
pub(crate) async fn swap_bits(
    strand: &Strand<'_>,
    count: usize,
    u: Option<Vec<u64>>,
) -> Result<Held<Vec<u64>>> {
    let form = Form::Planes(strand.chunk().len());
    let held = swap(strand, count, form, u.map(cast_vec)).await?;
    Ok(held.map(cast_vec))
}

/// [`swap_bits`] for planes by themselves; one sharing a plane.
pub(crate) async fn swap_planes(
    strand: &Strand<'_>,
    count: usize,
    u: Option<Vec<Plane>>,
) -> Result<Vec<Held<Plane>>> {
    let n = strand.chunk().len();
    let held = swap_bits(strand, count, u.map(|u| u.concat())).await?;
    Ok(separate(&held, n))
}

/// The planes of n values that lie one after the other.
fn cut(flat: &[u64], n: usize) -> Vec<Plane> {
    flat.chunks_exact(words_of(n))
        .map(<[u64]>::to_vec)
        .collect()
}

/// The sharings of planes of n values whose shares lie one after the other.
pub(crate) fn separate(held: &Held<Vec<u64>>, n: usize) -> Vec<Held<Plane>> {
    match held {
        Held::Dealer { a, b } => cut(a, n)
            .into_iter()
            .zip(cut(b, n))
            .map(|(a, b)| Held::Dealer { a, b })
            .collect(),
        Held::Pair { half, common } => cut(half, n)
            .into_iter()
            .zip(cut(common, n))
            .map(|(half, common)| Held::Pair { half, common })
            .collect(),
    }
}
