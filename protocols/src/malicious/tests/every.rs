//! Circuits that together have every gate.

use tacit_nn::Table;
use tacit_nn::program::Scaled;

use super::super::bilinear::Rounding;
use super::super::circuit::Circuit;
use super::super::compare::{negative, zero};
use super::super::convert::{select, to_arithmetic};
use super::super::exact::{floor, truncate_exact};
use super::super::exp::exp;
use super::super::pair::Words;
use super::super::product::{Support, product};
use super::super::scaled::scaled;
use super::super::table::evaluate;
use super::super::truncate::truncate;
use crate::rep3::exp::{ExpTables, RELATIVE};
use crate::rep3::lookup::Prepared;
use crate::rep3::scaled::Normalised;

/// All parts.
pub(in super::super) const PARTS: [Part; 3] = [Part::Basic, Part::Exact, Part::Functions];

/// Two columns of words for [`circuit`], three in a chunk.
pub(in super::super) fn inputs() -> [Vec<u64>; 2] {
    [
        (0..9).map(|i| (1 << 18) + (i << 15)).collect(),
        (0..9).map(|i| (3 << 18) - (i << 16)).collect(),
    ]
}

/// A third of the gates each, so that a run stays short.
#[derive(Clone, Copy, Debug)]
pub(in super::super) enum Part {
    Basic,
    Exact,
    Functions,
}

/// The gates of a part on two numbers between 1 and 4.
pub(in super::super) async fn circuit(
    c: &Circuit<'_>,
    part: Part,
    x: &[Words],
) -> tacit_mpc::Result<Vec<Words>> {
    let f = 18;
    Ok(match part {
        Part::Basic => {
            let z = product(c, &[(x[0].clone(), x[1].clone())], Support::Full).await?;
            let bit = negative(c, &x[0], 40).await?;
            vec![truncate(c, &z, f).await?, select(c, &bit, &x[1]).await?]
        }
        Part::Exact => {
            let bit = zero(c, &x[0]).await?;
            vec![
                truncate_exact(c, &x[0], f).await?,
                floor(c, &x[1], f).await?,
                to_arithmetic(c, &bit, 64).await?,
            ]
        }
        Part::Functions => {
            let table = Table::within("1/x", f64::recip, (1.0, 4.0), 2.0, 1e-4).unwrap();
            let table = Prepared::new(&table, f).unwrap();
            let normalised = Normalised::new(Scaled::Reciprocal, -2, 3, f).unwrap();
            vec![
                evaluate(c, &table, &x[0], None, Rounding::Masked).await?,
                exp(c, &ExpTables::new(RELATIVE, f), &x[0], Rounding::Masked).await?,
                scaled(c, &normalised, &x[0], Rounding::Masked).await?,
            ]
        }
    })
}
