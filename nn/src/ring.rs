//! The ring engine: the integer specification of what the secure engines compute, in two's complement words of Z_2^64.
//!
//! Where a secure engine would go wrong without notice, because a word leaves the range that its protocol is exact on, this
//! one reports [`Error::Range`] with the node and the operation. Truncation is the floor; a secure truncation may differ by
//! one unit of the last place, and so may each table look-up.

use ndarray::{ArrayD, Axis, Zip};
use tacit_mpc::{Bilinear, R64, Tensor};

use crate::{
    Engine, Error, Layout, Program, Result, Table,
    engine::Product,
    fixed::{self, from_signed, signed},
    program::{Instr, Reg},
    table,
};

/// The range of [`Instr::ExpNeg`].
pub(crate) const EXP_NEG_RANGE: (f64, f64) = (f64::NEG_INFINITY, 1.0);
/// The range of [`Instr::Exp`].
pub(crate) const EXP_RANGE: (f64, f64) = (-16.0, 12.0);

/// Fixed-point arithmetic in the clear. Bits are the words 0 and 1.
#[derive(Clone, Copy, Debug)]
pub struct Ring {
    fraction_bits: u32,
    node: usize,
}

impl Ring {
    /// An engine with this many fractional bits.
    #[must_use]
    pub fn new(fraction_bits: u32) -> Self {
        Self {
            fraction_bits,
            node: 0,
        }
    }

    /// The value of real numbers.
    ///
    /// # Errors
    /// [`Error::Range`] for what has no word.
    pub fn encode(&self, x: &ArrayD<f64>) -> Result<Tensor> {
        fixed::encode_tensor(x, self.fraction_bits)
    }

    /// The real numbers of a value.
    #[must_use]
    pub fn decode(&self, x: &Tensor) -> ArrayD<f64> {
        fixed::decode_tensor(x, self.fraction_bits)
    }

    fn out_of_range(&self, op: &str, value: f64, range: String) -> Error {
        Error::Range {
            what: format!("node {}: {op}", self.node),
            value,
            range,
        }
    }

    /// The word of an exact integer.
    fn word(&self, op: &str, x: i128) -> Result<R64> {
        if x.unsigned_abs() >> fixed::WORD_BITS == 0 {
            return Ok(from_signed(x as i64));
        }
        Err(self.out_of_range(
            op,
            x as f64,
            format!("the words below 2^{}", fixed::WORD_BITS),
        ))
    }

    /// floor(x·c·2^-shift), with x·c in range.
    fn truncate(&self, op: &str, x: i128, c: i64, shift: u32) -> Result<R64> {
        Ok(from_signed(
            signed(self.word(op, x * i128::from(c))?) >> shift,
        ))
    }

    /// A real function of each word, rounded down; words outside [lo, hi) are refused.
    fn function(
        &self,
        op: &str,
        x: &Tensor,
        (lo, hi): (f64, f64),
        f: impl Fn(f64) -> f64,
    ) -> Result<Tensor> {
        let unit = 2f64.powi(self.fraction_bits as i32);
        each(x, |word| {
            let real = fixed::decode(word, self.fraction_bits);
            if !(lo..hi).contains(&real) {
                return Err(self.out_of_range(op, real, format!("[{lo}, {hi})")));
            }
            Ok(from_signed((f(real) * unit).floor() as i64))
        })
    }

    fn table(&self, x: &Tensor, t: &Table) -> Result<Tensor> {
        let cells = table::fit(t);
        self.function(t.name, x, (t.lo, t.hi), |real| {
            let place = (real - t.lo) / t.width();
            let cell = place.floor();
            table::horner(&cells[cell as usize], place - cell - 1.0)
        })
    }

    /// floor(c·Σ coefficient·f(x, y)·2^-shift), computed over the integers.
    fn products_words(
        &self,
        op: &str,
        terms: &[(Bilinear, i64, &Tensor, &Tensor)],
        (c, shift): (i64, u32),
    ) -> Result<Tensor> {
        let integers = |x: &Tensor| x.mapv(|word| i128::from(signed(word)));
        let mut sum: Option<ArrayD<i128>> = None;
        for &(f, coefficient, x, y) in terms {
            let misfit = || Error::Shape {
                op: f.name(),
                left: x.shape().to_vec(),
                right: y.shape().to_vec(),
            };
            let term = f
                .apply(&integers(x), &integers(y))
                .ok_or_else(misfit)?
                .mapv(|v| v * i128::from(coefficient));
            sum = Some(match sum {
                None => term,
                Some(sum) if sum.shape() == term.shape() => sum + term,
                Some(_) => return Err(misfit()),
            });
        }
        let sum = sum.ok_or_else(|| Error::Invalid(format!("{op}: no products")))?;
        each(&sum, |v| self.truncate(op, v, c, shift))
    }

    fn linear_words(&self, op: &str, terms: &[(i64, &Tensor)], bias: f64) -> Result<Tensor> {
        let first = terms
            .first()
            .ok_or_else(|| Error::Invalid(format!("{op}: no terms")))?
            .1;
        let bias = i128::from(signed(fixed::encode(bias, self.fraction_bits)?));
        let mut sum = first.mapv(|_| bias);
        for &(c, x) in terms {
            if x.shape() != sum.shape() {
                return Err(Error::Shape {
                    op: "linear",
                    left: sum.shape().to_vec(),
                    right: x.shape().to_vec(),
                });
            }
            Zip::from(&mut sum)
                .and(x)
                .for_each(|s, &word| *s += i128::from(c) * i128::from(signed(word)));
        }
        each(&sum, |s| self.word(op, s))
    }

    fn step(
        &self,
        instr: &Instr,
        registers: &[Tensor],
        inputs: &[&Tensor],
        name: &str,
    ) -> Result<Tensor> {
        let f = self.fraction_bits;
        let r = |r: Reg| &registers[r];
        match instr {
            Instr::Input(k) | Instr::InputBit(k) => {
                let missing = || Error::Invalid(format!("{name}: input {k} is missing"));
                inputs.get(*k).map(|&x| x.clone()).ok_or_else(missing)
            }
            Instr::Linear(terms, bias) => {
                let terms: Vec<(i64, &Tensor)> = terms.iter().map(|&(c, k)| (c, r(k))).collect();
                self.linear_words(name, &terms, *bias)
            }
            Instr::Scale(k, c) => {
                let (c, shift) = fixed::scale_factor(*c)?;
                each(r(*k), |word| {
                    self.truncate(name, i128::from(signed(word)), c, shift)
                })
            }
            Instr::Mul(k, l) => {
                self.products_words(name, &[(Bilinear::Mul, 1, r(*k), r(*l))], (1, f))
            }
            Instr::Select(bit, k) => {
                self.products_words(name, &[(Bilinear::Mul, 1, r(*bit), r(*k))], (1, 0))
            }
            Instr::Negative(k, bound) => each(r(*k), |word| {
                let x = signed(word);
                match bound {
                    Some(b) if x.unsigned_abs() >> (b + f).min(63) != 0 => Err(self.out_of_range(
                        name,
                        fixed::decode(word, f),
                        format!("the numbers below 2^{b}"),
                    )),
                    _ => Ok(from_signed(i64::from(x < 0))),
                }
            }),
            Instr::ToArithmetic(k) => Ok(r(*k).mapv(|bit| from_signed(signed(bit) << f))),
            Instr::ExpNeg(k) => {
                self.function(&format!("{name}: exp"), r(*k), EXP_NEG_RANGE, f64::exp)
            }
            Instr::Exp(k) => self.function(&format!("{name}: exp"), r(*k), EXP_RANGE, f64::exp),
            Instr::Scaled { x, f, lo, hi } => {
                let range = (2f64.powi(*lo), 2f64.powi(*hi));
                self.function(&format!("{name}: {}", f.name()), r(*x), range, |x| f.of(x))
            }
            Instr::Floor(k) => Ok(r(*k).mapv(|word| from_signed(signed(word) >> f << f))),
            Instr::Zero(k) => Ok(r(*k).mapv(|word| from_signed(i64::from(signed(word) == 0)))),
            Instr::And(k, l) => {
                self.products_words(name, &[(Bilinear::Mul, 1, r(*k), r(*l))], (1, 0))
            }
            Instr::Xor(k, l) => Ok(r(*k) ^ r(*l)),
            Instr::Not(k) => Ok(r(*k).mapv(|bit| bit ^ from_signed(1))),
            Instr::Table(k, t) => self.table(r(*k), t),
        }
    }
}

impl Engine for Ring {
    type Value = Tensor;

    fn begin_node(&mut self, node: usize) {
        self.node = node;
    }

    fn public(&mut self, x: &ArrayD<f64>) -> Result<Tensor> {
        self.encode(x)
    }

    fn shape(&self, x: &Tensor) -> Vec<usize> {
        x.shape().to_vec()
    }

    fn layout(&mut self, layout: &Layout, x: &Tensor) -> Result<Tensor> {
        match layout {
            Layout::Sum { .. } => each(
                &layout.apply(&x.mapv(|word| i128::from(signed(word))))?,
                |s| self.word("sum", s),
            ),
            _ => layout.apply(x),
        }
    }

    fn concat(&mut self, axis: usize, xs: &[&Tensor]) -> Result<Tensor> {
        let views: Vec<_> = xs.iter().map(|x| x.view()).collect();
        ndarray::concatenate(Axis(axis), &views).map_err(|e| Error::Invalid(format!("concat: {e}")))
    }

    fn linear(&mut self, terms: &[(i64, &Tensor)], bias: f64) -> Result<Tensor> {
        self.linear_words("linear", terms, bias)
    }

    fn products(&mut self, terms: &[Product<'_, Tensor>], scale: f64) -> Result<Tensor> {
        let (c, g) = fixed::scale_factor(scale)?;
        let op = terms.first().map_or("products", |t| t.f.name());
        let terms: Vec<_> = terms
            .iter()
            .map(|t| (t.f, t.coefficient, t.x, t.y))
            .collect();
        self.products_words(op, &terms, (c, self.fraction_bits + g))
    }

    fn products_unrounded(&mut self, terms: &[Product<'_, Tensor>]) -> Result<Tensor> {
        let op = terms.first().map_or("products", |t| t.f.name());
        let terms: Vec<_> = terms
            .iter()
            .map(|t| (t.f, t.coefficient, t.x, t.y))
            .collect();
        self.products_words(op, &terms, (1, 0))
    }

    fn unrounded(&mut self, x: &Tensor) -> Result<Tensor> {
        each(x, |word| {
            let wide = i128::from(signed(word)) << self.fraction_bits;
            self.word("a term of a sum before its rounding", wide)
        })
    }

    fn round(&mut self, x: Tensor) -> Result<Tensor> {
        Ok(x.mapv(|word| from_signed(signed(word) >> self.fraction_bits)))
    }

    fn map(&mut self, program: &Program, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let mut registers = Vec::with_capacity(program.code.len());
        for instr in &program.code {
            let result = self.step(instr, &registers, inputs, program.name)?;
            registers.push(result);
        }
        Ok(program
            .outputs
            .iter()
            .map(|&r| registers[r].clone())
            .collect())
    }
}

/// A fallible function of each entry.
fn each<T: Copy>(x: &ArrayD<T>, f: impl Fn(T) -> Result<R64>) -> Result<Tensor> {
    let words: Result<Vec<R64>> = x.iter().map(|&v| f(v)).collect();
    ArrayD::from_shape_vec(x.raw_dim(), words?).map_err(|e| Error::Invalid(e.to_string()))
}

#[cfg(test)]
mod tests;
