//! Intervals of elementwise programs: every comparison that an interval leaves open is followed both ways, with the part of
//! the interval on which it goes that way. Between comparisons, registers are kept as linear forms in the inputs, so that
//! x - x is 0.

use std::collections::HashMap;

use super::{
    Interval, Outside, Stop,
    course::{Course, Register},
    products::{square, times},
    tables::Bounds,
    value::Value,
    within_words,
};
use crate::{
    Error, Program,
    fixed::{self, signed},
    program::{Instr, Reg, Scaled},
    ring::{EXP_NEG_RANGE, EXP_RANGE},
};

/// Units by which a function over many binades may be off: three units of the last place, and the floor.
pub(super) const SCALED_UNITS: i128 = 4;

/// Units by which an exponential of numbers below one may be off: two, and what is lost of e^x < e where its factors have 18
/// fractional bits, 2^-19 of it.
pub(super) fn exp_units(fraction_bits: u32) -> i128 {
    let factors = std::f64::consts::E * 2f64.powi(fraction_bits as i32 - 19);
    2 + factors.ceil() as i128
}

/// The relative error that is allowed for functions over many binades.
pub(super) const RELATIVE: f64 = 1.0 / 1024.0;

type Outcome<T> = std::result::Result<T, Stop>;

/// Runs a program on every entry; its outputs.
pub(super) fn map(program: &Program, inputs: &[&Value], fraction_bits: u32) -> Outcome<Vec<Value>> {
    if program.inputs() > inputs.len() || inputs.is_empty() {
        let name = program.name;
        return Err(Error::Invalid(format!("{name}: an input is missing")).into());
    }
    let shape = inputs[0].lo.shape();
    if inputs.iter().any(|x| x.lo.shape() != shape) {
        let name = program.name;
        return Err(Error::Invalid(format!("{name}: its inputs have different shapes")).into());
    }
    let run = Run {
        program,
        fraction_bits,
        tables: program
            .code
            .iter()
            .map(|i| match i {
                Instr::Table(_, t) => Some(Bounds::of(t)),
                _ => None,
            })
            .collect(),
    };
    let mut known: HashMap<Vec<Interval>, Vec<Interval>> = HashMap::new();
    let mut outputs = vec![Vec::with_capacity(inputs[0].lo.len()); program.outputs.len()];
    let mut entries: Vec<_> = inputs.iter().map(|x| x.entries()).collect();
    loop {
        let here: Option<Vec<Interval>> = entries.iter_mut().map(Iterator::next).collect();
        let Some(here) = here else { break };
        let found = match known.get(&here) {
            Some(found) => found,
            None => {
                let found = run.entry(&here)?;
                known.entry(here).or_insert(found)
            }
        };
        outputs.iter_mut().zip(found).for_each(|(o, &y)| o.push(y));
    }
    Ok(outputs
        .into_iter()
        .map(|entries| Value::collect(shape, entries))
        .collect::<crate::Result<_>>()?)
}

struct Run<'p> {
    program: &'p Program,
    fraction_bits: u32,
    tables: Vec<Option<Bounds>>,
}

/// Ends beyond every word.
const FAR: i128 = 1 << 100;

impl Run<'_> {
    fn entry(&self, inputs: &[Interval]) -> Outcome<Vec<Interval>> {
        let mut found = vec![(i128::MAX, i128::MIN); self.program.outputs.len()];
        let mut open = vec![Course {
            inputs: inputs.to_vec(),
            registers: Vec::with_capacity(self.program.code.len()),
        }];
        while let Some(course) = open.pop() {
            if let Some(course) = self.follow(course, &mut open)? {
                for (y, &r) in found.iter_mut().zip(&self.program.outputs) {
                    let (lo, hi) = course.number(r);
                    *y = (y.0.min(lo), y.1.max(hi));
                }
            }
        }
        if self.program.name == "round" {
            // The nearest integer lies between the integers around.
            let f = self.fraction_bits;
            let (lo, hi) = inputs[0];
            let around = (lo >> f << f, -(-hi >> f << f));
            found
                .iter_mut()
                .for_each(|y| *y = (y.0.max(around.0), y.1.min(around.1)));
        }
        Ok(found)
    }

    /// Runs a course to its end, or to a comparison that goes both ways: those are put to the open ones.
    fn follow(&self, mut course: Course, open: &mut Vec<Course>) -> Outcome<Option<Course>> {
        while let Some(instr) = self.program.code.get(course.registers.len()) {
            let ways: Vec<(bool, Option<(Reg, Interval)>)> = match instr {
                Instr::InputBit(k) => {
                    let (lo, hi) = course.inputs[*k];
                    let both = [(false, lo <= 0), (true, hi >= 1)];
                    both.into_iter()
                        .filter(|w| w.1)
                        .map(|w| (w.0, None))
                        .collect()
                }
                Instr::Negative(r, bound) => {
                    let range = course.number(*r);
                    if let Some(bound) = bound {
                        let limit = 1i128 << (bound + self.fraction_bits).min(63);
                        if range.0 <= -limit || range.1 >= limit {
                            return Err(self.outside(
                                "a comparison",
                                range,
                                format!("magnitudes below 2^{bound}"),
                            ));
                        }
                    }
                    let both = [
                        (true, (-FAR, -1), range.0 < 0),
                        (false, (0, FAR), range.1 >= 0),
                    ];
                    let possible = both.into_iter().filter(|w| w.2);
                    possible.map(|w| (w.0, Some((*r, w.1)))).collect()
                }
                Instr::Zero(r) => {
                    let range = course.number(*r);
                    let zero = range.0 <= 0 && range.1 >= 0;
                    let both = [
                        (true, Some((*r, (0, 0))), zero),
                        (false, None, range != (0, 0)),
                    ];
                    let possible = both.into_iter().filter(|w| w.2);
                    possible.map(|w| (w.0, w.1)).collect()
                }
                _ => {
                    self.step(instr, &mut course)?;
                    continue;
                }
            };
            for (bit, narrow) in ways {
                let course = match narrow {
                    Some((r, range)) => course.clone().narrowed(r, range),
                    None => Some(course.clone()),
                };
                if let Some(mut course) = course {
                    course.registers.push(Register::Bit(bit));
                    open.push(course);
                }
            }
            return Ok(None);
        }
        Ok(Some(course))
    }

    /// An instruction whose result is no open bit.
    fn step(&self, instr: &Instr, course: &mut Course) -> Outcome<()> {
        let f = self.fraction_bits;
        let number = |c: &Course, r: Reg| c.number(r);
        match instr {
            Instr::Input(k) => {
                let mut form = vec![0; course.inputs.len()];
                form[*k] = 1;
                course.registers.push(Register::Number(form, (0, 0)));
            }
            Instr::Linear(terms, bias) => self.linear(terms, *bias, course)?,
            Instr::Scale(r, c) => {
                let (c, shift) = fixed::scale_factor(*c)?;
                if shift == 0 {
                    return self.linear(&[(c, *r)], 0.0, course);
                }
                let (lo, hi) = number(course, *r);
                let c = i128::from(c);
                let product = ((c * lo).min(c * hi), (c * lo).max(c * hi));
                self.words(product)?;
                course.interval(((product.0 >> shift) - 1, (product.1 >> shift) + 1));
            }
            Instr::Mul(r, s) => {
                let (x, y) = (number(course, *r), number(course, *s));
                let product = if r == s { square(x) } else { times(x, y) };
                self.words(product)?;
                course.interval(((product.0 >> f) - 1, (product.1 >> f) + 1));
            }
            Instr::Select(bit, r) => {
                let register = if course.bit(*bit)? {
                    course.registers[*r].clone()
                } else {
                    Register::Number(Vec::new(), (0, 0))
                };
                course.registers.push(register);
            }
            Instr::And(r, s) => {
                let bit = course.bit(*r)? && course.bit(*s)?;
                course.registers.push(Register::Bit(bit));
            }
            Instr::Xor(r, s) => {
                let bit = course.bit(*r)? != course.bit(*s)?;
                course.registers.push(Register::Bit(bit));
            }
            Instr::Not(r) => {
                let bit = !course.bit(*r)?;
                course.registers.push(Register::Bit(bit));
            }
            Instr::ToArithmetic(r) => {
                let word = i128::from(course.bit(*r)?) << f;
                course.interval((word, word));
            }
            Instr::Floor(r) => {
                let (lo, hi) = number(course, *r);
                course.interval((lo >> f << f, hi >> f << f));
            }
            Instr::ExpNeg(r) => {
                let x = number(course, *r);
                self.allowed("exp", x, EXP_NEG_RANGE)?;
                course.interval(self.ends(x, f64::exp, 0.0, exp_units(f)));
            }
            Instr::Exp(r) => {
                let x = number(course, *r);
                self.allowed("exp", x, EXP_RANGE)?;
                course.interval(self.ends(x, f64::exp, 2f64.powi(-14), exp_units(f)));
            }
            Instr::Scaled { x, f, lo, hi } => {
                let (x, range) = (number(course, *x), (2f64.powi(*lo), 2f64.powi(*hi)));
                self.allowed(f.name(), x, range)?;
                let falls = matches!(f, Scaled::Reciprocal | Scaled::InverseRoot);
                let x = if falls { (x.1, x.0) } else { x };
                course.interval(self.ends(x, |x| f.of(x), RELATIVE, SCALED_UNITS));
            }
            Instr::Table(r, t) => {
                let x = number(course, *r);
                self.allowed(t.name, x, (t.lo, t.hi))?;
                let bounds = self
                    .tables
                    .get(course.registers.len())
                    .and_then(Option::as_ref);
                let missing = || Error::Invalid(format!("{}: a table is missing", t.name));
                let (lo, hi) = bounds.ok_or_else(missing)?.range(x, f);
                let scale = 2f64.powi(f as i32);
                let range = (
                    (lo * scale).floor() as i128 - 2,
                    (hi * scale).ceil() as i128 + 2,
                );
                course.interval(range);
            }
            // Those that give bits are followed both ways.
            Instr::InputBit(_) | Instr::Negative(..) | Instr::Zero(_) => {
                return Err(Error::Invalid("a comparison is no step".into()).into());
            }
        }
        Ok(())
    }

    fn linear(&self, terms: &[(i64, Reg)], bias: f64, course: &mut Course) -> Outcome<()> {
        let bias = i128::from(signed(fixed::encode(bias, self.fraction_bits)?));
        let mut form = vec![0i128; course.inputs.len()];
        let mut rest = (bias, bias);
        for &(c, r) in terms {
            let c = i128::from(c);
            match &course.registers[r] {
                Register::Bit(_) => {
                    return Err(Error::Invalid("a bit is read as a number".into()).into());
                }
                Register::Number(part, (lo, hi)) => {
                    form.iter_mut().zip(part).for_each(|(f, p)| *f += c * p);
                    rest = (rest.0 + (c * lo).min(c * hi), rest.1 + (c * lo).max(c * hi));
                }
            }
        }
        course.registers.push(Register::Number(form, rest));
        self.words(course.number(course.registers.len() - 1))
    }

    fn words(&self, range: Interval) -> Outcome<()> {
        let unit = 2f64.powi(-(self.fraction_bits as i32));
        within_words(self.program.name, range, unit).map_err(Stop::Outside)
    }

    fn outside(&self, what: &str, (lo, hi): Interval, range: String) -> Stop {
        let unit = 2f64.powi(-(self.fraction_bits as i32));
        Stop::Outside(Outside {
            op: format!("{}: {what}", self.program.name),
            lo: lo as f64 * unit,
            hi: hi as f64 * unit,
            range,
        })
    }

    /// The range of a function, of which the upper end does not belong to it.
    fn allowed(&self, what: &str, x: Interval, (lo, hi): (f64, f64)) -> Outcome<()> {
        let unit = 2f64.powi(-(self.fraction_bits as i32));
        if x.0 as f64 * unit >= lo && (x.1 as f64 * unit) < hi {
            return Ok(());
        }
        Err(self.outside(what, x, format!("[{lo}, {hi})")))
    }

    /// The values of a function that rises from the first of two arguments to the second, give or take what may be lost: a part
    /// of it, and some units.
    fn ends(
        &self,
        (a, b): Interval,
        f: impl Fn(f64) -> f64,
        relative: f64,
        units: i128,
    ) -> Interval {
        let one = 2f64.powi(self.fraction_bits as i32);
        let (lo, hi) = (f(a as f64 / one) * one, f(b as f64 / one) * one);
        let lo = (lo - lo.abs() * relative).floor() as i128 - units;
        let hi = (hi + hi.abs() * relative).ceil() as i128 + units;
        (lo, hi)
    }
}
