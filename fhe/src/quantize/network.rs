//! A network as what ciphertexts can do: sums of variables by real factors, and functions of one sum.

use super::QuantizeError;
use super::curve::{Curve, Curves};

/// bias + Σ factor · variable.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Form {
    /// Added to the sum.
    pub bias: f64,
    /// Variables with their factors, ascending, none of them zero.
    pub terms: Vec<(usize, f64)>,
    /// What this is one of many of: the same channel of the same node of the graph.
    pub group: (usize, usize),
}

/// A function of a form, which takes a lookup.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Variable {
    /// Of which form,
    pub form: usize,
    /// which function.
    pub curve: Curve,
    /// Variables with the same number share one scale.
    pub scale: usize,
    /// How its integers come about.
    pub kind: Kind,
}

/// How the integers of a variable come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// By rounding to its scale.
    Rounded,
    /// max(x - y, 0) of variables of its scale, which integers compute exactly; it is 0 where they are equal.
    Difference,
    /// The sum of variables of its scale that it is known to be no larger than one of.
    Again,
}

/// The network. Its variables are its inputs, followed by `variables`.
#[derive(Clone, Debug, Default)]
pub(super) struct Network {
    /// How many numbers a row has.
    pub inputs: usize,
    /// Forms refer to variables before them.
    pub forms: Vec<Form>,
    /// Variables refer to forms before them.
    pub variables: Vec<Variable>,
    /// The functions of variables.
    pub curves: Curves,
    /// The forms that are its results.
    pub outputs: Vec<usize>,
}

/// What forms and variables are for some rows: one vector each, with an entry for every row.
#[derive(Clone, Debug)]
pub(super) struct Values {
    pub forms: Vec<Vec<f64>>,
    pub variables: Vec<Vec<f64>>,
}

impl Network {
    /// What everything is for these rows, given column by column: one vector for each input.
    ///
    /// # Errors
    /// What a function reports, and numbers that are not finite.
    pub(super) fn values(&self, inputs: &[Vec<f64>]) -> Result<Values, QuantizeError> {
        let rows = inputs.first().map_or(0, Vec::len);
        let mut variables = inputs.to_vec();
        let mut forms: Vec<Vec<f64>> = Vec::with_capacity(self.forms.len());
        for form in self.ordered() {
            match form {
                Step::Form(k) => forms.push(self.forms[k].at(&variables, rows)),
                Step::Variable(k) => {
                    let Variable { form, curve, .. } = self.variables[k];
                    variables.push(self.curves.at(curve, &forms[form])?);
                }
            }
        }
        let finite = |all: &[Vec<f64>]| all.iter().flatten().all(|x| x.is_finite());
        if !(finite(&forms) && finite(&variables)) {
            return Err(QuantizeError::NotFinite);
        }
        Ok(Values { forms, variables })
    }

    /// Forms and variables in an order in which each is after those that it is made of.
    fn ordered(&self) -> impl Iterator<Item = Step> {
        let mut next = (0, 0);
        std::iter::from_fn(move || {
            let ready = |form: &Form| {
                let last = form.terms.last();
                last.is_none_or(|&(v, _)| v < self.inputs + next.1)
            };
            if self.forms.get(next.0).is_some_and(ready) {
                next.0 += 1;
                return Some(Step::Form(next.0 - 1));
            }
            let known = self.variables.get(next.1)?;
            (known.form < next.0).then(|| {
                next.1 += 1;
                Step::Variable(next.1 - 1)
            })
        })
    }

    /// How many lookups it is from the inputs to each form; the inputs are 0.
    pub(super) fn depths(&self) -> Vec<usize> {
        let mut variables = vec![0; self.inputs];
        let mut forms = Vec::with_capacity(self.forms.len());
        for step in self.ordered() {
            match step {
                Step::Form(k) => {
                    let terms = self.forms[k].terms.iter();
                    forms.push(terms.map(|&(v, _)| variables[v]).max().unwrap_or(0));
                }
                Step::Variable(k) => variables.push(1 + forms[self.variables[k].form]),
            }
        }
        forms
    }
}

/// One step of a computation.
enum Step {
    Form(usize),
    Variable(usize),
}

impl Form {
    fn at(&self, variables: &[Vec<f64>], rows: usize) -> Vec<f64> {
        let mut sum = vec![self.bias; rows];
        for &(variable, factor) in &self.terms {
            for (s, x) in sum.iter_mut().zip(&variables[variable]) {
                *s += factor * x;
            }
        }
        sum
    }
}
