//! Comparison: the sign of a shared value.
//!
//! sign(x) is bit k of c + s for |x| < 2^k, so it is the carry into bit k, plus the two bits k:
//!     carry = \[c mod 2^k > ~s mod 2^k\],   msb = carry ⊕ c_k ⊕ s_k:
//! one comparison of a value that A and B both know with a value that D knows, exact for every k <= 63. Leaves are one-time
//! truth tables (Beaver 1998; TinyTable, Damgård et al., CRYPTO 2017) dealt by D as thermometer codes that A and B look up at
//! c without a masked opening, because c is common to them already; nodes merge (greater, equal) as in the block tree of
//! Couteau (ACNS 2021) and CrypTFlow2 (Rathee et al., CCS 2020).
//!
//! For k = 63: 41.75 bytes in 5 rounds, 49.75 bytes in 4, 241 bytes in 3, or 1824.4 bytes in 2
//! (`dcf.rs`); D's round included.

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{R64, Result, Strand};

use super::bits::{Bitwise, Plane, fold_rows, to_bits, words_of};
use super::dcf;
use super::exchange::{deal_bits, separate, swap_bits};
use super::held::{Held, is_a};
use super::plan::{Kind, Method, Tree};
use super::polygate::{add_common, evaluate, merge};

/// A subtree on its way: its outputs, once they are there.
type Outputs = (Held<Plane>, Option<Held<Plane>>);

/// The bit \[x < 0\] for |x| < 2^k, from this party's side of x = c + s, by a method for k bits.
pub(crate) async fn negative(
    strand: &Strand<'_>,
    side: &[R64],
    k: u32,
    method: &Method,
) -> Result<Held<Plane>> {
    let tree = match method {
        Method::Tree(tree) => tree,
        Method::Dcf => return dcf::negative(strand, side, k).await,
    };
    // Bit planes of c at A and B; of s at D, which compares with ~s.
    let words = words_of(side.len());
    let mut planes = to_bits(side, k + 1);
    let top = planes.split_off(k as usize * words);
    let dealer = strand.role() == tacit_mpc::Role::Dealer;
    if dealer {
        vectorised(|| planes.iter_mut().for_each(|p| *p = !*p));
    }
    let leaves = leaves_of(tree);
    let mut ready = leaves_outputs(strand, &leaves, &planes).await?.into_iter();
    let mut level = start(tree, Kind::Greater, &mut ready);
    let mut carry = loop {
        match level {
            Pending::Done((greater, _)) => break greater,
            Pending::Node(..) => {
                let mut gates = Vec::new();
                level.ready_gates(true, dealer.then_some(&top), &mut gates);
                let mut results = evaluate(strand, &gates).await?.into_iter();
                level = level.advance(&mut results);
            }
        }
    };
    add_common(&mut carry, &top);
    Ok(carry)
}

/// A leaf: what it must give, its first bit, its bits.
type Leaf = (Kind, u32, u32);

fn leaves_of(tree: &Tree) -> Vec<Leaf> {
    let mut leaves = Vec::new();
    let mut first = 0;
    tree.leaves(Kind::Greater, &mut |kind, m| {
        leaves.push((kind, first, m));
        first += m;
    });
    leaves
}

/// All leaves in one deal and one swap: 2^m - 1 dealt bits a leaf and two swapped bits an output.
async fn leaves_outputs(
    strand: &Strand<'_>,
    leaves: &[Leaf],
    planes: &[u64],
) -> Result<Vec<Outputs>> {
    let words = words_of(strand.chunk().len());
    let rows = |&(_, _, m): &Leaf| (1usize << m) - 1;
    let count = leaves.iter().map(rows).sum();
    let block = |&(_, first, m): &Leaf| &planes[first as usize * words..][..m as usize * words];
    let halves = deal_bits(strand, count, || {
        let mut dealt = vec![0u64; count * words];
        let mut rest = &mut dealt[..];
        for leaf in leaves {
            let (here, later) = rest.split_at_mut(rows(leaf) * words);
            thermometer(block(leaf), words, here);
            rest = later;
        }
        dealt
    })
    .await?;
    let outputs = leaves.iter().map(|(kind, ..)| kind.outputs()).sum();
    let u = halves.half().map(|half| {
        let mut u = Vec::with_capacity(outputs * words);
        let mut scratch = Vec::new();
        let mut rest = &half[..];
        for leaf in leaves {
            let (here, later) = rest.split_at(rows(leaf) * words);
            rest = later;
            look_up_leaf(
                leaf.0,
                (here, block(leaf), words),
                (0, if is_a(strand) { u64::MAX } else { 0 }),
                &mut scratch,
                &mut u,
            );
        }
        u
    });
    let bits = swap_bits(strand, outputs, u).await?;
    let mut bits = separate(&bits, strand.chunk().len()).into_iter();
    let mut out = Vec::with_capacity(leaves.len());
    for (kind, ..) in leaves {
        if let Some(greater) = bits.next() {
            out.push((
                greater,
                if *kind == Kind::Both {
                    bits.next()
                } else {
                    None
                },
            ));
        }
    }
    Ok(out)
}

/// Rows \[v > b\], v = 1 .. 2^m - 1, for the m-bit value whose planes are `b`, each of so many words.
fn thermometer(b: &[u64], words: usize, rows: &mut [u64]) {
    for (j, bits) in b.chunks_exact(words).enumerate() {
        // A one in v and a zero in b decides, equal bits keep what lower bits said: from the rows of j bits those of j + 1.
        let (lower, upper) = rows.split_at_mut(((1 << j) - 1) * words);
        let (middle, upper) = upper.split_at_mut(words);
        middle.iter_mut().zip(bits).for_each(|(m, b)| *m = !b);
        for (low, high) in lower
            .chunks_exact_mut(words)
            .zip(upper.chunks_exact_mut(words))
        {
            vectorised(|| {
                for ((low, high), b) in low.iter_mut().zip(high).zip(bits) {
                    (*high, *low) = (*low | !b, *low & !b);
                }
            });
        }
    }
}

/// Appends \[c > b\], and \[c = b\] where the leaf gives it, from this party's half of the thermometer of b. Row v is \[v > b\]:
/// row 0, `first`, is zero and row 2^m, `last`, is one (A adds it); \[v = b\] is the difference of rows v and v + 1.
fn look_up_leaf<W: Bitwise>(
    kind: Kind,
    (rows, c, words): (&[W], &[W], usize),
    (first, last): (W, W),
    scratch: &mut Vec<W>,
    out: &mut Vec<W>,
) {
    let (first, last) = (vec![first; words], vec![last; words]);
    let rows: Vec<&[W]> = std::iter::once(&first[..])
        .chain(rows.chunks_exact(words))
        .chain([&last[..]])
        .collect();
    let (lowest, others) = c.split_at(words);
    // The first level reads the rows where they lie.
    scratch.clear();
    for pair in rows[..rows.len() - 1].chunks_exact(2) {
        let row = pair[0].iter().zip(pair[1]).zip(lowest);
        vectorised(|| scratch.extend(row.map(|((&zero, &one), &c)| zero ^ (c & (zero ^ one)))));
    }
    fold_rows(scratch, others.chunks_exact(words));
    out.extend_from_slice(&scratch[..words]);
    if kind == Kind::Both {
        scratch.clear();
        for three in rows.windows(3).step_by(2) {
            let row = three[0].iter().zip(three[1]).zip(three[2]).zip(lowest);
            // From v ⊕ v + 1 and v + 1 ⊕ v + 2.
            vectorised(|| {
                scratch.extend(row.map(|(((&v, &w), &x), &c)| v ^ w ^ (c & (v ^ x))));
            });
        }
        fold_rows(scratch, others.chunks_exact(words));
        out.extend_from_slice(&scratch[..words]);
    }
}

/// The tree with finished subtrees replaced by their outputs.
enum Pending {
    Done(Outputs),
    Node(Kind, Vec<Self>),
}

fn start(tree: &Tree, kind: Kind, leaves: &mut impl Iterator<Item = Outputs>) -> Pending {
    match tree {
        Tree::Leaf(_) => Pending::Done(leaves.next().expect("one output a leaf")),
        Tree::Node(children) => {
            let kinds = children.iter().zip(kind.of_children());
            Pending::Node(kind, kinds.map(|(c, k)| start(c, k, leaves)).collect())
        }
    }
}

impl Pending {
    fn outputs(&self) -> Option<&Outputs> {
        if let Self::Done(o) = self {
            Some(o)
        } else {
            None
        }
    }

    /// The gates whose inputs are all there, in the order of the tree. The root adds s_k.
    fn ready_gates(
        &self,
        root: bool,
        s_k: Option<&Plane>,
        out: &mut Vec<super::polygate::Polynomial>,
    ) {
        let Self::Node(kind, children) = self else {
            return;
        };
        match children
            .iter()
            .map(|c| c.outputs().cloned())
            .collect::<Option<Vec<_>>>()
        {
            Some(ready) => {
                let plus = if root { s_k.cloned() } else { None };
                out.push(merge(&ready, *kind == Kind::Both, plus));
            }
            None => children.iter().for_each(|c| c.ready_gates(false, s_k, out)),
        }
    }

    /// Replaces the gates of [`Self::ready_gates`] by their results.
    fn advance(self, results: &mut impl Iterator<Item = Held<Plane>>) -> Self {
        let Self::Node(kind, children) = self else {
            return self;
        };
        if children.iter().all(|c| c.outputs().is_some()) {
            let greater = results.next().expect("one result a gate");
            let equal = if kind == Kind::Both {
                results.next()
            } else {
                None
            };
            return Self::Done((greater, equal));
        }
        Self::Node(
            kind,
            children.into_iter().map(|c| c.advance(results)).collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::select_row::traced::{Traced, trace};
    use super::*;

    /// A leaf reads its rows in the same way for every c, and gives \[c > b\] and \[c = b\].
    #[test]
    fn r13_leaves_are_read_the_same_way_for_every_index() {
        let (b, m) = (5, 3);
        let run = |c: u64| {
            trace(|| {
                let all = |bit: bool| Traced::new(if bit { u64::MAX } else { 0 });
                let rows: Vec<Traced> = (1..1 << m).map(|v| all(v > b)).collect();
                let index: Vec<Traced> = (0..m).map(|j| all(c >> j & 1 == 1)).collect();
                let (mut scratch, mut out) = (Vec::new(), Vec::new());
                let ends = (all(false), all(true));
                look_up_leaf(Kind::Both, (&rows, &index, 1), ends, &mut scratch, &mut out);
                (out[0].0 & 1, out[1].0 & 1)
            })
        };
        let (_, first) = run(0);
        for c in 0..1 << m {
            let want = (u64::from(c > b), u64::from(c == b));
            assert_eq!(run(c), (want, first.clone()));
        }
    }
}
