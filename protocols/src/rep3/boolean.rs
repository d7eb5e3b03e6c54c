//! Boolean gates on shared bits.
//!
//! Semi-honest, as all of rep3. "Exclusive or" and "not" are local; a conjunction of k bits is the multi-input product of
//! `polygate.rs`: 2^k - 1 - k dealt bits and 2 swapped ones, 2 rounds of which D's is the first.

use tacit_mpc::{Result, Strand};

use super::bits::{Plane, not, xor};
use super::held::Held;
use super::polygate::{Polynomial, evaluate};

/// x ∧ y: 3 bits.
pub(crate) async fn and(
    strand: &Strand<'_>,
    x: &Held<Plane>,
    y: &Held<Plane>,
) -> Result<Held<Plane>> {
    let mut z = all(strand, vec![vec![x.clone(), y.clone()]]).await?;
    Ok(z.swap_remove(0))
}

/// x ⊕ y. Local.
pub(crate) fn exclusive_or(x: &Held<Plane>, y: &Held<Plane>) -> Held<Plane> {
    x.zip(y, |x, y| xor(x, y))
}

/// ¬x, by the share that A and B both hold. Local.
pub(crate) fn complement(mut x: Held<Plane>) -> Held<Plane> {
    if let Held::Pair { common, .. } = &mut x {
        *common = not(common);
    }
    x
}

/// The conjunction of each group of bits, all groups at once.
pub(crate) async fn all(
    strand: &Strand<'_>,
    groups: Vec<Vec<Held<Plane>>>,
) -> Result<Vec<Held<Plane>>> {
    let gates: Vec<Polynomial> = groups
        .into_iter()
        .map(|inputs| Polynomial {
            outputs: vec![vec![(1 << inputs.len()) - 1]],
            inputs,
            plus: None,
        })
        .collect();
    evaluate(strand, &gates).await
}
