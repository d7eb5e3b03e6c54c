//! What parties do to whole tensors without each other: measured on tensors of the same shapes.

use std::collections::HashMap;

use ndarray::{ArrayD, IxDyn};
use tacit_mpc::Tensor;
use tacit_nn::{Layout, Result};

use super::{Timeline, seconds};
use crate::local::{combine, join};

/// Words of the operands that are measured at most: larger ones are measured in part, along their first axis.
const MOST: usize = 1 << 22;

/// What was measured, by the shapes of the operands.
#[derive(Debug, Default)]
pub(super) struct Local {
    layouts: HashMap<Vec<usize>, Vec<(Layout, f64)>>,
    linear: HashMap<(usize, Vec<usize>), f64>,
    concat: HashMap<(usize, Vec<Vec<usize>>), f64>,
}

impl Timeline {
    /// Every party lays `shares` tensors out anew.
    pub(crate) fn layout(&mut self, layout: &Layout, shape: &[usize], shares: u32) -> Result<()> {
        let Some(clock) = self.clock else {
            return Ok(());
        };
        let known = self.local.layouts.entry(shape.to_vec()).or_default();
        let each = match known.iter().find(|(other, _)| other == layout) {
            Some(&(_, each)) => each,
            None => {
                // Which entries go where is not told in part: more of them take as much longer.
                let part = shape.iter().product::<usize>().div_ceil(MOST);
                let each = if part > 1 {
                    let (x, part) = operand(shape);
                    part * seconds(clock, || &x + &x)
                } else {
                    let x = zeros(shape);
                    layout.apply(&x)?;
                    seconds(clock, || layout.apply(&x))
                };
                known.push((layout.clone(), each));
                each
            }
        };
        self.everybody(each * f64::from(shares));
        Ok(())
    }

    /// Every party combines so many tensors of this shape, `shares` times.
    pub(crate) fn linear(&mut self, terms: usize, shape: &[usize], shares: u32) -> Result<()> {
        let Some(clock) = self.clock else {
            return Ok(());
        };
        let key = (terms, shape.to_vec());
        let each = match self.local.linear.get(&key) {
            Some(&each) => each,
            None => {
                let (x, part) = operand(shape);
                let (coefficients, xs) = (vec![1; terms], vec![&x; terms]);
                combine(&coefficients, &xs)?;
                let each = part * seconds(clock, || combine(&coefficients, &xs));
                self.local.linear.insert(key, each);
                each
            }
        };
        self.everybody(each * f64::from(shares));
        Ok(())
    }

    /// Every party puts tensors of these shapes one after the other, `shares` times.
    pub(crate) fn concat(
        &mut self,
        axis: usize,
        shapes: Vec<Vec<usize>>,
        shares: u32,
    ) -> Result<()> {
        let Some(clock) = self.clock else {
            return Ok(());
        };
        let key = (axis, shapes);
        let each = match self.local.concat.get(&key) {
            Some(&each) => each,
            None => {
                let words: usize = key.1.iter().map(|s| s.iter().product::<usize>()).sum();
                let each = if words > MOST {
                    let (x, part) = operand(&[words]);
                    part * seconds(clock, || x.clone())
                } else {
                    let xs: Vec<Tensor> = key.1.iter().map(|shape| zeros(shape)).collect();
                    let xs: Vec<&Tensor> = xs.iter().collect();
                    join(axis, &xs)?;
                    seconds(clock, || join(axis, &xs))
                };
                self.local.concat.insert(key, each);
                each
            }
        };
        self.everybody(each * f64::from(shares));
        Ok(())
    }
}

fn zeros(shape: &[usize]) -> Tensor {
    ArrayD::zeros(IxDyn(shape))
}

/// A tensor of a shape, or one with fewer entries along the first axis and how many of these make the whole.
fn operand(shape: &[usize]) -> (Tensor, f64) {
    let all: usize = shape.iter().product();
    let Some(&first) = shape.first().filter(|_| all > MOST) else {
        return (zeros(shape), 1.0);
    };
    let fewer = (first / all.div_ceil(MOST)).max(1);
    let mut part = shape.to_vec();
    part[0] = fewer;
    (zeros(&part), first as f64 / fewer as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_tensors_are_measured_in_part() {
        let (x, part) = operand(&[100, 3]);
        assert_eq!((x.shape(), part), (&[100, 3][..], 1.0));
        let (x, part) = operand(&[1 << 10, 1 << 14]);
        assert_eq!((x.shape(), part), (&[1 << 8, 1 << 14][..], 4.0));
        assert_eq!(operand(&[1, MOST + 1]).1, 1.0);
        assert_eq!(operand(&[]).0.len(), 1);
    }
}
