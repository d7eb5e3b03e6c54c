//! The two ways to send inside a gate: the dealer deals, the pair swaps.
//!
//! The message to a party is always masked by the draw of the one key that this party lacks. The callers cannot choose the
//! key: it follows from the roles (requirement R16).

use tacit_mpc::wire::{Packer, Unpacker, packed_len};
use tacit_mpc::{Purpose, R64, Result, Role, Strand};

use super::bits::{Plane, xor};
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
}

/// Something dealt or swapped: words of k bits with addition, or planes of bits with exclusive or.
trait Payload: Sized {
    /// How many units (words, planes) of what width.
    type Shape: Copy;
    fn draw(
        strand: &Strand<'_>,
        key: usize,
        label: tacit_mpc::Label,
        purpose: Purpose,
        units: usize,
        shape: Self::Shape,
    ) -> Result<Self>;
    fn minus(&self, o: &Self) -> Self;
    fn plus(&self, o: &Self) -> Self;
    fn pack(&self, shape: Self::Shape) -> bytes::Bytes;
    fn unpack(bytes: &[u8], units: usize, shape: Self::Shape) -> Self;
    fn wire_len(units: usize, shape: Self::Shape) -> usize;
}

impl Payload for Words {
    /// Bits a word.
    type Shape = u32;

    fn draw(
        strand: &Strand<'_>,
        key: usize,
        label: tacit_mpc::Label,
        purpose: Purpose,
        units: usize,
        bits: u32,
    ) -> Result<Self> {
        let mut words = strand.draw(key, label, purpose, units)?;
        words.iter_mut().for_each(|w| *w &= mask(bits));
        Ok(words)
    }

    fn minus(&self, o: &Self) -> Self {
        self.iter().zip(o).map(|(&x, &y)| x - y).collect()
    }

    fn plus(&self, o: &Self) -> Self {
        super::held::add(self, o)
    }

    fn pack(&self, bits: u32) -> bytes::Bytes {
        let mut p = Packer::with_capacity(self.len() * bits as usize);
        p.push(self, bits);
        p.finish()
    }

    fn unpack(bytes: &[u8], units: usize, bits: u32) -> Self {
        Unpacker::new(bytes).words(units, bits)
    }

    fn wire_len(units: usize, bits: u32) -> usize {
        packed_len(units, bits as usize)
    }
}

impl Payload for Vec<Plane> {
    /// Values a plane.
    type Shape = usize;

    fn draw(
        strand: &Strand<'_>,
        key: usize,
        label: tacit_mpc::Label,
        purpose: Purpose,
        units: usize,
        n: usize,
    ) -> Result<Self> {
        let words = n.div_ceil(64);
        let stream: Vec<u64> = strand
            .draw(key, label, purpose, units * words)?
            .into_iter()
            .map(|w| w.0)
            .collect();
        Ok(stream.chunks(words.max(1)).map(<[u64]>::to_vec).collect())
    }

    fn minus(&self, o: &Self) -> Self {
        self.iter().zip(o).map(|(x, y)| xor(x, y)).collect()
    }

    fn plus(&self, o: &Self) -> Self {
        self.minus(o)
    }

    fn pack(&self, n: usize) -> bytes::Bytes {
        let mut p = Packer::with_capacity(self.len() * n);
        self.iter().for_each(|plane| p.push_plane(plane, n));
        p.finish()
    }

    fn unpack(bytes: &[u8], units: usize, n: usize) -> Self {
        let mut u = Unpacker::new(bytes);
        (0..units).map(|_| u.plane(n)).collect()
    }

    fn wire_len(units: usize, n: usize) -> usize {
        packed_len(units, n)
    }
}

/// `deal`: D knows v. A's half is F(k_ia), B gets v - F(k_ia); for the second half of the units the roles of A and B are
/// swapped, so that both of D's links carry the same. One unit of v sent a unit, 1 round, D's.
async fn deal<U>(
    strand: &Strand<'_>,
    units: usize,
    shape: <Vec<U> as Payload>::Shape,
    value: impl FnOnce() -> Vec<U>,
) -> Result<Halves<Vec<U>>>
where
    Vec<U>: Payload,
{
    let label = strand.next_gate()?;
    // An odd unit goes to B in one gate and to A in the next.
    let first = (units + usize::from(label.gate & 1)) / 2;
    let second = units - first;
    let (dealer, a, b) = (
        strand.party(Role::Dealer),
        strand.party(Role::A),
        strand.party(Role::B),
    );
    let (ia, ib) = (a, dealer);
    let draw = |key, units| Vec::<U>::draw(strand, key, label, Purpose::Deal, units, shape);
    match strand.role() {
        Role::Dealer => {
            let mut v1 = value();
            let v2 = v1.split_off(first);
            let (a1, b2) = (draw(ia, first)?, draw(ib, second)?);
            let (b1, a2) = (v1.minus(&a1), v2.minus(&b2));
            if first > 0 {
                strand.send(b, label, &b1.pack(shape))?;
            }
            if second > 0 {
                strand.send(a, label, &a2.pack(shape))?;
            }
            Ok(Halves::Dealer {
                a: join(a1, a2),
                b: join(b1, b2),
            })
        }
        Role::A => {
            let a2 = receive::<Vec<U>>(strand, dealer, label, second, shape).await?;
            Ok(Halves::Pair(join(draw(ia, first)?, a2)))
        }
        Role::B => {
            let b1 = receive::<Vec<U>>(strand, dealer, label, first, shape).await?;
            Ok(Halves::Pair(join(b1, draw(ib, second)?)))
        }
    }
}

fn join<U>(mut first: Vec<U>, second: Vec<U>) -> Vec<U> {
    first.extend(second);
    first
}

async fn receive<T: Payload>(
    strand: &Strand<'_>,
    from: usize,
    label: tacit_mpc::Label,
    units: usize,
    shape: T::Shape,
) -> Result<T> {
    if units == 0 {
        return Ok(T::unpack(&[], 0, shape));
    }
    let bytes = strand.recv(from, label, T::wire_len(units, shape)).await?;
    Ok(T::unpack(&bytes, units, shape))
}

/// `swap`: A has u_A, B has u_B (`None` at the dealer). With l_A = F(k_ia), l_B = F(k_ib), A sends u_A - l_A, B sends
/// u_B - l_B; both learn the sum m. (l_A, l_B, m) is a fresh sharing of u_A + u_B. Two units a unit, 1 round; D is silent.
async fn swap<T: Payload>(
    strand: &Strand<'_>,
    units: usize,
    shape: T::Shape,
    u: Option<T>,
) -> Result<Held<T>> {
    let label = strand.next_gate()?;
    let (ia, ib) = (strand.party(Role::A), strand.party(Role::Dealer));
    let draw = |key| T::draw(strand, key, label, Purpose::Swap, units, shape);
    let Some(u) = u else {
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
    let ours = u.minus(&half);
    strand.send(peer, label, &ours.pack(shape))?;
    let theirs = receive::<T>(strand, peer, label, units, shape).await?;
    Ok(Held::Pair {
        half,
        common: ours.plus(&theirs),
    })
}

/// Deals `n` words of `bits` bits. bits·n bits, 1 round (D's).
pub(crate) async fn deal_words(
    strand: &Strand<'_>,
    n: usize,
    bits: u32,
    value: impl FnOnce() -> Words,
) -> Result<Halves<Words>> {
    deal(strand, n, bits, value).await
}

/// Deals `count` planes of bits. count·n bits, 1 round (D's).
pub(crate) async fn deal_planes(
    strand: &Strand<'_>,
    count: usize,
    value: impl FnOnce() -> Vec<Plane>,
) -> Result<Halves<Vec<Plane>>> {
    deal(strand, count, strand.chunk().len(), value).await
}

/// Swaps `n` words of `bits` bits. 2·bits·n bits, 1 round.
pub(crate) async fn swap_words(
    strand: &Strand<'_>,
    n: usize,
    bits: u32,
    u: Option<Words>,
) -> Result<Held<Words>> {
    let mut held = swap(strand, n, bits, u).await?;
    if bits < 64
        && let Held::Pair { common, .. } = &mut held
    {
        common.iter_mut().for_each(|w: &mut R64| *w &= mask(bits));
    }
    Ok(held)
}

/// Swaps `count` planes of bits; one sharing a plane. 2·count·n bits, 1 round.
pub(crate) async fn swap_planes(
    strand: &Strand<'_>,
    count: usize,
    u: Option<Vec<Plane>>,
) -> Result<Vec<Held<Plane>>> {
    Ok(match swap(strand, count, strand.chunk().len(), u).await? {
        Held::Dealer { a, b } => a
            .into_iter()
            .zip(b)
            .map(|(a, b)| Held::Dealer { a, b })
            .collect(),
        Held::Pair { half, common } => half
            .into_iter()
            .zip(common)
            .map(|(half, common)| Held::Pair { half, common })
            .collect(),
    })
}
