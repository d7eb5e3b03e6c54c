//! A course through the comparisons of a program: what its registers hold where they go one way.

use super::{Interval, Stop};
use crate::{Error, program::Reg};

type Outcome<T> = std::result::Result<T, Stop>;

/// What is known of a register in one course through the comparisons.
#[derive(Clone, Debug)]
pub(super) enum Register {
    /// Σ coefficient·variable + something in an interval. The first variables are the inputs.
    Number(Vec<i128>, Interval),
    Bit(bool),
}

/// One course through the comparisons so far.
#[derive(Clone)]
pub(super) struct Course {
    /// The intervals of the inputs, and of each result since that is no linear form.
    pub(super) inputs: Vec<Interval>,
    pub(super) registers: Vec<Register>,
}

impl Course {
    /// The interval of a register.
    pub(super) fn number(&self, r: Reg) -> Interval {
        match &self.registers[r] {
            Register::Bit(bit) => (i128::from(*bit), i128::from(*bit)),
            Register::Number(form, rest) => form
                .iter()
                .zip(&self.inputs)
                .fold(*rest, |(lo, hi), (&c, &(a, b))| {
                    (lo + (c * a).min(c * b), hi + (c * a).max(c * b))
                }),
        }
    }

    pub(super) fn bit(&self, r: Reg) -> Outcome<bool> {
        match self.registers[r] {
            Register::Bit(bit) => Ok(bit),
            Register::Number(..) => Err(Error::Invalid("a number is read as a bit".into()).into()),
        }
    }

    /// A register of its own, of which only an interval is known: one more variable of the forms.
    pub(super) fn interval(&mut self, range: Interval) {
        let mut form = vec![0; self.inputs.len() + 1];
        form[self.inputs.len()] = 1;
        self.inputs.push(range);
        self.registers.push(Register::Number(form, (0, 0)));
    }

    /// Where a register lies in an interval: less of the inputs where it is a form in one of them; `None` if it never does.
    pub(super) fn narrowed(mut self, r: Reg, (lo, hi): Interval) -> Option<Self> {
        if let Register::Number(form, rest) = &mut self.registers[r] {
            let used: Vec<usize> = (0..form.len()).filter(|&k| form[k] != 0).collect();
            match used[..] {
                [] => *rest = (rest.0.max(lo), rest.1.min(hi)),
                [k] if rest.0 == rest.1 => {
                    let (c, d) = (form[k], rest.0);
                    // lo <= c·x + d <= hi
                    let (a, b) = if c > 0 {
                        (lo - d, hi - d)
                    } else {
                        (d - hi, d - lo)
                    };
                    let c = c.abs();
                    let x = &mut self.inputs[k];
                    *x = (x.0.max(-(-a).div_euclid(c)), x.1.min(b.div_euclid(c)));
                    if x.0 > x.1 {
                        return None;
                    }
                }
                _ => {}
            }
            if let Register::Number(_, rest) = &self.registers[r]
                && rest.0 > rest.1
            {
                return None;
            }
        }
        Some(self)
    }
}
