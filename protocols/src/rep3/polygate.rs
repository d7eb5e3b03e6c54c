//! Polynomials in shared bits with one swap an output.
//!
//! A bit is x = m ⊕ λ, m known to A and B, λ to D. Then
//!     Π_{i in S} x_i = ⊕_{T ⊆ S} (Π_{S\T} m_i)(Π_T λ_i)
//! and D deals every needed product of two or more λ once. This is the multi-input product of masked sharings (ABY2.0, Patra
//! et al., USENIX Security 2021; Ohata, Nuida, FC 2020). All gates of a level travel together: 1 round after D's, one bit for
//! each dealt product and two bits an output.

use tacit_mpc::kernels::vectorised;
use tacit_mpc::{Result, Strand};

use super::bits::{Plane, words_of, xor_into};
use super::exchange::{deal_bits, separate, swap_bits};
use super::held::{Held, is_a};

/// A product of inputs: a set of their indices as bits of a word.
type Monomial = u32;

/// Outputs that are exclusive ors of monomials in common inputs.
pub(crate) struct Polynomial {
    pub(crate) inputs: Vec<Held<Plane>>,
    pub(crate) outputs: Vec<Vec<Monomial>>,
    /// A bit that D adds to the first output, at no cost: it rides on a dealt product that stands alone there.
    /// Given at D alone: A and B do nothing for it.
    pub(crate) plus: Option<Plane>,
}

impl Polynomial {
    /// Products of two or more λ that D must deal, in a fixed order.
    fn dealt(&self) -> Vec<Monomial> {
        let mut products: Vec<Monomial> = self
            .outputs
            .iter()
            .flatten()
            .flat_map(|&s| subsets(s))
            .filter(|t| t.count_ones() >= 2)
            .collect();
        products.sort_unstable();
        products.dedup();
        products
    }

    /// A dealt product whose coefficient in the first output is the constant one: no larger monomial contains it.
    fn carrier(&self) -> Option<Monomial> {
        let first = self.outputs.first()?;
        first
            .iter()
            .copied()
            .find(|&t| t.count_ones() >= 2 && first.iter().filter(|&&s| s & t == t).count() == 1)
    }
}

fn subsets(s: Monomial) -> impl Iterator<Item = Monomial> {
    // All submasks of s, largest first, the empty set last.
    std::iter::successors(Some(s), move |&t| (t != 0).then(|| (t - 1) & s))
}

fn members(s: Monomial) -> impl Iterator<Item = usize> {
    (0..Monomial::BITS as usize).filter(move |i| s >> i & 1 == 1)
}

/// Evaluates all gates of one level. The outputs come in the order of the gates.
pub(crate) async fn evaluate(
    strand: &Strand<'_>,
    gates: &[Polynomial],
) -> Result<Vec<Held<Plane>>> {
    let gates: Vec<_> = gates
        .iter()
        .map(|gate| Gate {
            inputs: gate.inputs.iter().map(|x| x.each(|p| &p[..])).collect(),
            dealt: gate.dealt(),
            carrier: gate.carrier(),
            outputs: &gate.outputs,
            plus: gate.plus.as_deref(),
        })
        .collect();
    let outputs = evaluate_gates(strand, &gates).await?;
    Ok(separate(&outputs, strand.chunk().len()))
}

/// A gate made ready: its inputs where they lie, and what depends on its shape alone.
struct Gate<'a> {
    inputs: Vec<Held<&'a [u64]>>,
    dealt: Vec<Monomial>,
    carrier: Option<Monomial>,
    outputs: &'a [Vec<Monomial>],
    plus: Option<&'a [u64]>,
}

/// The outputs of all gates, plane after plane.
async fn evaluate_gates(strand: &Strand<'_>, gates: &[Gate<'_>]) -> Result<Held<Vec<u64>>> {
    let words = words_of(strand.chunk().len());
    let count = gates.iter().map(|g| g.dealt.len()).sum();
    let halves = deal_bits(strand, count, || {
        let mut planes = vec![0u64; count * words];
        let mut rest = planes.chunks_exact_mut(words);
        for gate in gates {
            for (&t, plane) in gate.dealt.iter().zip(&mut rest) {
                plane.fill(u64::MAX);
                for i in members(t) {
                    if let Held::Dealer { a, b } = gate.inputs[i] {
                        let lambda = a.iter().zip(b).map(|(a, b)| a ^ b);
                        vectorised(|| plane.iter_mut().zip(lambda).for_each(|(p, l)| *p &= l));
                    }
                }
                if let Some(plus) = gate.plus
                    && gate.carrier == Some(t)
                {
                    xor_into(plane, plus);
                }
            }
        }
        planes
    })
    .await?;
    let outputs = gates.iter().map(|g| g.outputs.len()).sum();
    let u = halves.half().map(|half| {
        let mut u = vec![0u64; outputs * words];
        summands(gates, half, is_a(strand), words, &mut u);
        u
    });
    swap_bits(strand, outputs, u).await
}

/// What A or B contributes to each output.
fn summands(gates: &[Gate<'_>], half: &[u64], is_a: bool, words: usize, out: &mut [u64]) {
    let mut rest = half;
    let mut out = out.chunks_exact_mut(words);
    // The product of the m alone is a constant of the pair: A adds it.
    let constant = vec![if is_a { u64::MAX } else { 0 }; words];
    let mut rows = Vec::new();
    for gate in gates {
        let (products, later) = rest.split_at(gate.dealt.len() * words);
        rest = later;
        // This party's share of the product of the λ in a set.
        let share = |t: Monomial| match t.count_ones() {
            0 => &constant[..],
            1 => pair(&gate.inputs[t.trailing_zeros() as usize]).0,
            _ => {
                let at = gate.dealt.binary_search(&t).unwrap_or_default();
                &products[at * words..][..words]
            }
        };
        for (monomials, u) in gate.outputs.iter().zip(&mut out) {
            for &s in monomials {
                let inputs: Vec<usize> = members(s).collect();
                let Some((&first, others)) = inputs.split_first() else {
                    xor_into(u, &constant);
                    continue;
                };
                // Σ_T (Π_{S\T} m)·share(T), one variable at a time: with f over the sets, f(T) ← f(T ∪ i) ⊕ m_i·f(T).
                let low = 1 << first;
                rows.clear();
                for k in 0..1usize << others.len() {
                    let t: Monomial = others
                        .iter()
                        .enumerate()
                        .map(|(j, &i)| ((k >> j & 1) as Monomial) << i)
                        .sum();
                    let (with, without) = (share(t | low), share(t));
                    let m = pair(&gate.inputs[first]).1;
                    let row = with.iter().zip(without).zip(m);
                    vectorised(|| rows.extend(row.map(|((w, o), m)| w ^ (m & o))));
                }
                for (j, &i) in others.iter().enumerate().rev() {
                    let m = pair(&gate.inputs[i]).1;
                    let (without, with) = rows.split_at_mut((1 << j) * words);
                    for (o, w) in without
                        .chunks_exact_mut(words)
                        .zip(with.chunks_exact(words))
                    {
                        let row = o.iter_mut().zip(w).zip(m);
                        vectorised(|| row.for_each(|((o, w), m)| *o = w ^ (m & *o)));
                    }
                }
                xor_into(u, &rows[..words]);
            }
        }
    }
}

/// Half and common share of A or B.
fn pair<'a>(x: &Held<&'a [u64]>) -> (&'a [u64], &'a [u64]) {
    match *x {
        Held::Pair { half, common } => (half, common),
        Held::Dealer { .. } => unreachable!("the dealer adds nothing up"),
    }
}

/// (G, P) of a node with children (G_i, P_i), least significant first: G = ⊕_i g_i Π_{j>i} p_j, P = Π p_i. The first child
/// has no P where none is asked for.
pub(crate) fn merge(
    children: &[(Held<Plane>, Option<Held<Plane>>)],
    want_equal: bool,
    plus: Option<Plane>,
) -> Polynomial {
    let r = children.len();
    let mut inputs: Vec<Held<Plane>> = children.iter().map(|(g, _)| g.clone()).collect();
    let mut p = vec![0; r];
    for (i, (_, equal)) in children.iter().enumerate() {
        if let Some(equal) = equal {
            p[i] = 1 << inputs.len();
            inputs.push(equal.clone());
        }
    }
    let greater = (0..r)
        .map(|i| 1 << i | p[i + 1..].iter().sum::<u32>())
        .collect();
    let mut outputs = vec![greater];
    if want_equal {
        outputs.push(vec![p.iter().sum()]);
    }
    Polynomial {
        inputs,
        outputs,
        plus,
    }
}

/// Adds a public-to-the-pair plane to a bit.
pub(crate) fn add_common(x: &mut Held<Plane>, plane: &[u64]) {
    if let Held::Pair { common, .. } = x {
        xor_into(common, plane);
    }
}
