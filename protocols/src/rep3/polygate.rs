//! Polynomials in shared bits with one swap an output.
//!
//! A bit is x = m ⊕ λ, m known to A and B, λ to D. Then
//!     Π_{i in S} x_i = ⊕_{T ⊆ S} (Π_{S\T} m_i)(Π_T λ_i)
//! and D deals every needed product of two or more λ once. This is the multi-input product of masked sharings (ABY2.0, Patra
//! et al., USENIX Security 2021; Ohata, Nuida, FC 2020). All gates of a level travel together: 1 round after D's, one bit for
//! each dealt product and two bits an output.

use tacit_mpc::{Result, Strand};

use super::bits::{Plane, and, xor, xor_into};
use super::exchange::{Halves, deal_planes, swap_planes};
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

fn product<'a>(planes: impl Iterator<Item = &'a Plane>) -> Option<Plane> {
    planes.fold(None, |acc: Option<Plane>, p| {
        Some(acc.map_or_else(|| p.clone(), |acc| and(&acc, p)))
    })
}

fn members(s: Monomial) -> impl Iterator<Item = usize> {
    (0..Monomial::BITS as usize).filter(move |i| s >> i & 1 == 1)
}

/// Evaluates all gates of one level. The outputs come in the order of the gates.
pub(crate) async fn evaluate(
    strand: &Strand<'_>,
    gates: &[Polynomial],
) -> Result<Vec<Held<Plane>>> {
    let dealt: Vec<Vec<Monomial>> = gates.iter().map(Polynomial::dealt).collect();
    let count = dealt.iter().map(Vec::len).sum();
    let halves = deal_planes(strand, count, || {
        let mut planes = Vec::with_capacity(count);
        for (gate, dealt) in gates.iter().zip(&dealt) {
            let lambda: Vec<Plane> = gate.inputs.iter().filter_map(Held::lambda).collect();
            for &t in dealt {
                let mut plane = product(members(t).map(|i| &lambda[i])).unwrap_or_default();
                if let Some(plus) = &gate.plus
                    && gate.carrier() == Some(t)
                {
                    xor_into(&mut plane, plus);
                }
                planes.push(plane);
            }
        }
        planes
    })
    .await?;
    let outputs = gates.iter().map(|g| g.outputs.len()).sum();
    let u = match &halves {
        Halves::Dealer { .. } => None,
        Halves::Pair(half) => Some(summands(
            gates,
            &dealt,
            half,
            is_a(strand),
            strand.chunk().len(),
        )),
    };
    swap_planes(strand, outputs, u).await
}

/// What A or B contributes to each output.
fn summands(
    gates: &[Polynomial],
    dealt: &[Vec<Monomial>],
    half: &[Plane],
    is_a: bool,
    n: usize,
) -> Vec<Plane> {
    let mut out = Vec::new();
    let mut rest = half;
    for (gate, dealt) in gates.iter().zip(dealt) {
        let (products, later) = rest.split_at(dealt.len());
        rest = later;
        let (m, shares): (Vec<&Plane>, Vec<&Plane>) = gate
            .inputs
            .iter()
            .filter_map(|x| {
                if let Held::Pair { half, common } = x {
                    Some((common, half))
                } else {
                    None
                }
            })
            .unzip();
        for monomials in &gate.outputs {
            let mut u = vec![0u64; n.div_ceil(64)];
            for &s in monomials {
                for t in subsets(s) {
                    let share: Option<&Plane> = match t.count_ones() {
                        0 => None,
                        1 => Some(shares[t.trailing_zeros() as usize]),
                        _ => dealt.binary_search(&t).ok().map(|i| &products[i]),
                    };
                    // The product of m alone is a constant of the pair: A adds it.
                    if share.is_none() && !is_a {
                        continue;
                    }
                    let factors = members(s & !t).map(|i| m[i]).chain(share);
                    if let Some(term) = product(factors) {
                        xor_into(&mut u, &term);
                    }
                }
            }
            out.push(u);
        }
    }
    out
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
        *common = xor(common, plane);
    }
}
