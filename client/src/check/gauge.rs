//! How close to overflow each node comes: plaintext, with the magnitudes that fixed point would have to hold.

use std::collections::BTreeMap;

use ndarray::ArrayD;
use tacit_nn::engine::Product;
use tacit_nn::program::Instr;
use tacit_nn::{Engine, Graph, Layout, Plain, Program, fixed};

use crate::local::Given;

/// What a node needed of the words' range.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Peak {
    /// The largest magnitude of a value.
    pub value: f64,
    /// log2 of the largest word: of a value, or of a product before it is rounded. Overflow is at [`fixed::WORD_BITS`].
    pub bits: f64,
}

impl Peak {
    /// Bits that were left before overflow; negative beyond it.
    #[must_use]
    pub fn left(&self) -> f64 {
        f64::from(fixed::WORD_BITS) - self.bits
    }
}

/// The peak of each node that is run.
///
/// # Errors
/// What the engine reports.
pub fn peaks(
    graph: &Graph,
    inputs: &[Given],
    fraction_bits: u32,
) -> tacit_nn::Result<BTreeMap<usize, Peak>> {
    let mut gauge = Gauge {
        fraction_bits,
        node: 0,
        peaks: BTreeMap::new(),
    };
    let values: Vec<_> = inputs.iter().map(|x| x.value.mapv(|v| v as f32)).collect();
    tacit_nn::run_observed(graph, &mut gauge, &values, &mut |_, _, gauge, x| {
        gauge.value(x);
        Ok(())
    })?;
    Ok(gauge.peaks)
}

type Value = ArrayD<f32>;

struct Gauge {
    fraction_bits: u32,
    node: usize,
    peaks: BTreeMap<usize, Peak>,
}

/// The largest magnitude; what is not a number is larger than all.
fn magnitude(x: &Value) -> f64 {
    let largest = |most: f64, &v: &f32| match f64::from(v.abs()) {
        v if v.is_nan() => f64::INFINITY,
        v => most.max(v),
    };
    x.iter().fold(0.0, largest)
}

impl Gauge {
    /// Notes a tensor of numbers.
    fn value(&mut self, x: &Value) {
        let largest = magnitude(x);
        let peak = self.peaks.entry(self.node).or_default();
        peak.value = peak.value.max(largest);
        self.word(largest, self.fraction_bits);
    }

    /// Notes a word of magnitude x·2^fraction.
    fn word(&mut self, x: f64, fraction: u32) {
        let peak = self.peaks.entry(self.node).or_default();
        peak.bits = peak.bits.max(x.log2() + f64::from(fraction));
    }

    /// Notes what an instruction makes on its way, from the registers before it.
    fn instruction(
        &mut self,
        instr: &Instr,
        result: &Value,
        registers: &[Value],
    ) -> tacit_nn::Result<()> {
        match instr {
            Instr::Input(_) | Instr::Linear(..) => {
                let largest = magnitude(result);
                self.word(largest, self.fraction_bits);
            }
            Instr::Mul(..) => self.word(magnitude(result), 2 * self.fraction_bits),
            Instr::Scale(r, c) => {
                let (c, _) = fixed::scale_factor(*c)?;
                let largest = registers.get(*r).map_or(0.0, magnitude);
                self.word(largest * c.unsigned_abs() as f64, self.fraction_bits);
            }
            _ => (),
        }
        Ok(())
    }
}

impl Engine for Gauge {
    type Value = Value;

    fn begin_node(&mut self, node: usize) {
        self.node = node;
    }

    fn public(&mut self, x: &ArrayD<f64>) -> tacit_nn::Result<Value> {
        Plain.public(x)
    }

    fn shape(&self, x: &Value) -> Vec<usize> {
        Plain.shape(x)
    }

    fn layout(&mut self, layout: &Layout, x: &Value) -> tacit_nn::Result<Value> {
        Plain.layout(layout, x)
    }

    fn concat(&mut self, axis: usize, xs: &[&Value]) -> tacit_nn::Result<Value> {
        Plain.concat(axis, xs)
    }

    fn linear(&mut self, terms: &[(i64, &Value)], bias: f64) -> tacit_nn::Result<Value> {
        Plain.linear(terms, bias)
    }

    fn products(&mut self, terms: &[Product<'_, Value>], scale: f64) -> tacit_nn::Result<Value> {
        let (c, _) = fixed::scale_factor(scale)?;
        let sum = Plain.products(terms, 1.0)?;
        let largest = magnitude(&sum) * c.unsigned_abs() as f64;
        self.word(largest, 2 * self.fraction_bits);
        Ok(if scale == 1.0 {
            sum
        } else {
            sum * scale as f32
        })
    }

    fn map(&mut self, program: &Program, inputs: &[&Value]) -> tacit_nn::Result<Vec<Value>> {
        let mut all = program.clone();
        all.outputs = (0..all.code.len()).collect();
        let registers = Plain.map(&all, inputs)?;
        for (r, instr) in program.code.iter().enumerate() {
            self.instruction(instr, &registers[r], &registers[..r])?;
        }
        Ok(program
            .outputs
            .iter()
            .map(|&r| registers[r].clone())
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use ndarray::arr1;

    use super::*;

    #[test]
    fn values_and_products_are_measured_where_they_arise() -> Result<()> {
        let mut g = Graph::new();
        let x = g.input(&[2]);
        let square = g.mul(x, x)?;
        let third = g.scale(x, 1.0 / 3.0)?;
        let y = g.sub(square, third)?;
        let y = g.relu(y)?;
        g.output(y);
        let value = arr1(&[1024.0, -4.0]).into_dyn();
        let x = Given {
            name: "x".into(),
            owner: 0,
            value,
        };
        let peaks = peaks(&g, &[x], 18)?;
        // 2^10 at 18 bits; its square before rounding at 36; a third is 1365·2^-12, before rounding 2^10.4 times as much.
        assert_eq!((peaks[&0].value, peaks[&0].bits), (1024.0, 28.0));
        assert_eq!((peaks[&1].value, peaks[&1].bits), (2f64.powi(20), 56.0));
        assert_eq!(peaks[&1].left(), 6.0);
        let factor = fixed::scale_factor(1.0 / 3.0)?.0 as f64;
        assert!((peaks[&2].bits - 28.0 - factor.log2()).abs() < 1e-9);
        assert!((peaks[&4].value - (2f64.powi(20) - 1024.0 / 3.0)).abs() < 1.0);
        Ok(())
    }

    #[test]
    fn what_is_not_a_number_has_overflown() {
        assert_eq!(magnitude(&arr1(&[1.0, f32::NAN]).into_dyn()), f64::INFINITY);
        assert_eq!(
            magnitude(&arr1(&[f32::NEG_INFINITY]).into_dyn()),
            f64::INFINITY
        );
        assert_eq!(magnitude(&arr1(&[]).into_dyn()), 0.0);
    }
}
