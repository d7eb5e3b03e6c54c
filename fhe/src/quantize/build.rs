//! From numbers that a graph computes to a [`Network`]: every number is known, or a function of one sum, or a maximum of
//! such.

use std::collections::HashMap;

use tacit_nn::{Error, Function};

use super::curve::Curve;
use super::maxima::Maxima;
use super::network::{Form, Kind, Network, Variable};

/// More factors than these are no network that ciphertexts can do.
const MOST_TERMS: usize = 1 << 25;

/// One number of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Entry {
    /// It does not depend on the input.
    Known(f64),
    /// A function of a form.
    Of {
        /// The form,
        form: usize,
        /// and the function.
        curve: Curve,
    },
    /// The larger of two, by its index in [`Maxima`].
    Max(usize),
}

/// A network that grows.
#[derive(Debug, Default)]
pub(super) struct Build {
    pub network: Network,
    /// The node of the graph that is being read: forms and functions are named after it.
    pub node: usize,
    pub identity: Curve,
    terms: usize,
    variables: HashMap<(usize, Curve), usize>,
    pub maxima: Maxima,
    /// The scale of what is one of many.
    scales: HashMap<((usize, usize), Curve), usize>,
    /// Scales that became one, by the one that they became.
    same_scale: Vec<usize>,
}

/// Why a number cannot be computed on ciphertexts.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error("it multiplies two encrypted numbers: only one of both may depend on the input")]
    Product,
    #[error("it is a function of two encrypted numbers at once")]
    Joint,
    #[error("a result does not depend on the input")]
    Constant,
    #[error("the network has more than 2^25 weights, counted as often as they are used")]
    TooLarge,
    #[error(transparent)]
    Graph(#[from] Error),
}

pub(super) type Result<T> = std::result::Result<T, Refused>;

impl Build {
    pub(super) fn new(inputs: usize) -> Self {
        let mut build = Self {
            network: Network {
                inputs,
                ..Network::default()
            },
            ..Self::default()
        };
        build.identity = build.network.curves.affine(1.0, 0.0);
        build
    }

    /// The inputs of the network.
    pub(super) fn inputs(&mut self) -> Vec<Entry> {
        let each = 0..self.network.inputs;
        each.map(|k| {
            self.network.forms.push(Form {
                bias: 0.0,
                terms: vec![(k, 1.0)],
                group: (self.node, k),
            });
            Entry::Of {
                form: k,
                curve: self.identity,
            }
        })
        .collect()
    }

    /// Σ factor · entry + bias; a new form where the entries are not functions of one. `group` says what it is one of.
    pub(super) fn sum(&mut self, terms: &[(f64, Entry)], bias: f64, group: usize) -> Result<Entry> {
        let mut bias = bias;
        let mut rest = Vec::with_capacity(terms.len());
        for &(factor, entry) in terms {
            match entry {
                Entry::Known(x) => bias += if factor == 0.0 { 0.0 } else { factor * x },
                _ if factor == 0.0 => {}
                _ => rest.push((factor, entry)),
            }
        }
        let Some(&(_, first)) = rest.first() else {
            return Ok(Entry::Known(bias));
        };
        if let ([(1.0, entry)], 0.0) = (&rest[..], bias) {
            return Ok(*entry);
        }
        if let Entry::Of { form, .. } = first {
            let of_one = |&(factor, entry): &(f64, Entry)| match entry {
                Entry::Of { form: f, curve } if f == form => Some((factor, curve)),
                _ => None,
            };
            if let Some(curves) = rest.iter().map(of_one).collect::<Option<Vec<_>>>() {
                return Ok(self.of_form(form, &curves, bias));
            }
        }
        let mut sum: Vec<(usize, f64)> = Vec::with_capacity(rest.len());
        for (factor, entry) in rest {
            self.add(&mut sum, &mut bias, factor, entry)?;
        }
        self.form(sum, bias, group)
    }

    /// A function of a form that is there.
    fn of_form(&mut self, form: usize, curves: &[(f64, Curve)], bias: f64) -> Entry {
        let curve = self.network.curves.sum(curves, bias);
        match self.network.curves.as_affine(curve) {
            Some((0.0, offset)) => Entry::Known(offset),
            _ => Entry::Of { form, curve },
        }
    }

    /// A new form, or what it comes to where nothing is left of it.
    pub(super) fn form(
        &mut self,
        mut terms: Vec<(usize, f64)>,
        bias: f64,
        group: usize,
    ) -> Result<Entry> {
        terms.sort_by_key(|&(variable, _)| variable);
        terms.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        terms.retain(|&(_, factor)| factor != 0.0);
        if terms.is_empty() {
            return Ok(Entry::Known(bias));
        }
        // The input is encrypted differently from what lookups give, so it goes through one where both are added.
        let inputs = self.network.inputs;
        if terms[0].0 < inputs && terms[terms.len() - 1].0 >= inputs {
            for term in terms.iter_mut().filter(|term| term.0 < inputs) {
                term.0 = self.variable(term.0, self.identity);
            }
            terms.sort_by_key(|&(variable, _)| variable);
        }
        self.terms += terms.len();
        if self.terms > MOST_TERMS {
            return Err(Refused::TooLarge);
        }
        self.network.forms.push(Form {
            bias,
            terms,
            group: (self.node, group),
        });
        Ok(Entry::Of {
            form: self.network.forms.len() - 1,
            curve: self.identity,
        })
    }

    /// Adds factor · entry to a sum of variables.
    fn add(
        &mut self,
        sum: &mut Vec<(usize, f64)>,
        bias: &mut f64,
        factor: f64,
        entry: Entry,
    ) -> Result<()> {
        match entry {
            Entry::Known(x) => *bias += factor * x,
            Entry::Of { form, curve } => match self.network.curves.as_affine(curve) {
                Some((slope, offset)) => {
                    let form = &self.network.forms[form];
                    *bias += factor * (slope * form.bias + offset);
                    sum.extend(form.terms.iter().map(|&(v, w)| (v, factor * slope * w)));
                }
                None => {
                    let (scale, curve, offset) = self.network.curves.peeled(curve);
                    let variable = self.variable(form, curve);
                    *bias += factor * offset;
                    sum.push((variable, factor * scale));
                }
            },
            Entry::Max(k) => {
                let parts = self.maximum(k)?;
                sum.extend(parts.iter().map(|&v| (v, factor)));
            }
        }
        Ok(())
    }

    /// The variable that is a function of a form.
    pub(super) fn variable(&mut self, form: usize, curve: Curve) -> usize {
        let group = (self.network.forms[form].group, curve);
        let next = self.same_scale.len();
        let scale = *self.scales.entry(group).or_insert(next);
        if scale == next {
            self.same_scale.push(next);
        }
        self.variable_of(form, curve, scale, Kind::Rounded)
    }

    /// The same of a scale that is there.
    pub(super) fn variable_of(
        &mut self,
        form: usize,
        curve: Curve,
        scale: usize,
        kind: Kind,
    ) -> usize {
        let next = self.network.inputs + self.network.variables.len();
        let variable = *self.variables.entry((form, curve)).or_insert(next);
        if variable == next {
            self.network.variables.push(Variable {
                form,
                curve,
                scale,
                kind,
            });
        }
        variable
    }

    /// The scale of a variable.
    pub(super) fn scale(&self, variable: usize) -> usize {
        let mut scale = self.network.variables[variable - self.network.inputs].scale;
        while self.same_scale[scale] != scale {
            scale = self.same_scale[scale];
        }
        scale
    }

    /// Makes one of two scales.
    pub(super) fn join(&mut self, a: usize, b: usize) {
        self.same_scale[a.max(b)] = a.min(b);
    }

    /// The network, with these numbers as results.
    pub(super) fn finish(mut self, outputs: &[Entry]) -> Result<Network> {
        for (k, &entry) in outputs.iter().enumerate() {
            let (mut sum, mut bias) = (Vec::new(), 0.0);
            self.add(&mut sum, &mut bias, 1.0, entry)?;
            let Entry::Of { form, .. } = self.form(sum, bias, k)? else {
                return Err(Refused::Constant);
            };
            self.network.outputs.push(form);
        }
        // A node of a program takes all its sums from the input, or none.
        let inputs = self.network.inputs;
        let of_input = |form: &Form| form.terms[0].0 < inputs;
        let mut of_all = self
            .network
            .outputs
            .iter()
            .map(|&k| of_input(&self.network.forms[k]));
        let first = of_all.next().unwrap_or(false);
        if !of_all.all(|of_input| of_input == first) {
            for at in 0..self.network.outputs.len() {
                let mut form = self.network.forms[self.network.outputs[at]].clone();
                for term in form.terms.iter_mut().filter(|term| term.0 < inputs) {
                    term.0 = self.variable(term.0, self.identity);
                }
                form.terms.sort_by_key(|&(variable, _)| variable);
                self.network.forms.push(form);
                self.network.outputs[at] = self.network.forms.len() - 1;
            }
        }
        for k in 0..self.network.variables.len() {
            self.network.variables[k].scale = self.scale(self.network.inputs + k);
        }
        Ok(self.network)
    }

    /// x · y.
    pub(super) fn product(&mut self, x: Entry, y: Entry) -> Result<Entry> {
        match (x, y) {
            (Entry::Known(x), Entry::Known(y)) => Ok(Entry::Known(x * y)),
            (Entry::Known(k), x) | (x, Entry::Known(k)) => self.sum(&[(k, x)], 0.0, 0),
            (Entry::Of { form, curve: f }, Entry::Of { form: g, curve }) if form == g => {
                let curve = self.network.curves.product(f, curve);
                Ok(Entry::Of { form, curve })
            }
            _ => Err(Refused::Product),
        }
    }

    /// An output of an elementwise function.
    pub(super) fn map(&mut self, f: &Function, port: usize, operands: &[Entry]) -> Result<Entry> {
        if let (Function::Max, 0, &[x, y]) = (f, port, operands)
            && !self.of_one(operands)
        {
            return self.larger(x, y);
        }
        if let &[Entry::Max(k)] = operands {
            let line = self.identity;
            let curve = self.network.curves.map(self.node, f, port, vec![line]);
            if self.network.curves.never_falls(curve)? {
                return self.before_maximum(f, port, k);
            }
        }
        let mut operands = operands.to_vec();
        for entry in &mut operands {
            if let Entry::Max(_) = entry {
                let (mut sum, mut bias) = (Vec::new(), 0.0);
                self.add(&mut sum, &mut bias, 1.0, *entry)?;
                *entry = self.form(sum, bias, 0)?;
            }
        }
        if !self.of_one(&operands) {
            return Err(Refused::Joint);
        }
        let form = operands.iter().find_map(|entry| match entry {
            Entry::Of { form, .. } => Some(*form),
            _ => None,
        });
        let curves = operands.iter().map(|entry| match entry {
            Entry::Of { curve, .. } => *curve,
            Entry::Known(x) => self.network.curves.constant(*x),
            Entry::Max(_) => unreachable!("became a form above"),
        });
        let curves = curves.collect();
        let curve = self.network.curves.map(self.node, f, port, curves);
        match form {
            Some(form) => Ok(Entry::Of { form, curve }),
            None => Ok(Entry::Known(self.network.curves.at(curve, &[0.0])?[0])),
        }
    }

    /// Whether all are functions of one form, or known.
    fn of_one(&self, entries: &[Entry]) -> bool {
        let mut forms = entries.iter().filter_map(|entry| match entry {
            Entry::Known(_) => None,
            Entry::Of { form, .. } => Some(Some(*form)),
            Entry::Max(_) => Some(None),
        });
        let first = forms.next();
        first.is_none_or(|first| first.is_some() && forms.all(|form| form == first))
    }
}
