//! A program for a plan: layer by layer, each fitted to what the layers before it say in integers.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use ndarray::{Array1, Array2};

use super::QuantizeError;
use super::column::{Column, Row};
use super::gram::Gram;
use super::level::Levels;
use super::network::{Kind, Network, Values};
use super::plan::Plan;
use super::round::{self, Bound};
use super::table;

/// Samples that one sum is fitted to.
const SAMPLES: usize = 3000;

/// Everything of a program but its order.
#[derive(Debug)]
pub(super) struct Fitted {
    /// The sums that are looked up, by form.
    pub rows: HashMap<usize, Row>,
    /// Inputs, then variables.
    pub columns: Vec<Column>,
    /// The results.
    pub results: Vec<Row>,
    /// What a unit of them is worth.
    pub unit: f64,
}

/// Forms that are rounded as one: the same factors of summands of the same levels, looked up by the same functions.
type Pattern = (Vec<u64>, Vec<(usize, usize)>);

/// What is being fitted.
struct Fit<'a> {
    network: &'a Network,
    values: &'a Values,
    plan: &'a Plan,
    /// The variables of each form.
    of_form: HashMap<usize, Vec<usize>>,
    columns: Vec<Column>,
    rows: HashMap<usize, Row>,
    /// Moments by the summands that they are of; of one layer at a time.
    grams: HashMap<Vec<usize>, Rc<Gram>>,
}

/// Fits a program to rows of a sample, whose integers are `inputs`, one column each.
///
/// # Errors
/// What a function of the graph reports.
pub(super) fn fit(
    network: &Network,
    values: &Values,
    inputs: Vec<Column>,
    plan: &Plan,
) -> Result<Fitted, QuantizeError> {
    let mut of_form: HashMap<usize, Vec<usize>> = HashMap::new();
    for (k, variable) in network.variables.iter().enumerate() {
        of_form.entry(variable.form).or_default().push(k);
    }
    let depths = network.depths();
    let mut fit = Fit {
        network,
        values,
        plan,
        of_form,
        columns: inputs,
        rows: HashMap::new(),
        grams: HashMap::new(),
    };
    fit.place_columns(&depths);
    let mut layers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &form in fit.of_form.keys() {
        layers.entry(depths[form]).or_default().push(form);
    }
    for (depth, mut forms) in layers {
        forms.sort_unstable();
        fit.layer(depth, &forms)?;
        fit.grams.clear();
    }
    let (results, unit) = fit.results();
    Ok(Fitted {
        rows: fit.rows,
        columns: fit.columns,
        results,
        unit,
    })
}

impl Fit<'_> {
    /// Levels of all variables, from what they are in the float model.
    fn place_columns(&mut self, depths: &[usize]) {
        let inputs = self.network.inputs;
        let mut scales: HashMap<usize, (Vec<f64>, u16)> = HashMap::new();
        for (k, variable) in self.network.variables.iter().enumerate() {
            if variable.kind == Kind::Rounded {
                let most = self.plan.layer(depths[variable.form]).activation;
                let (numbers, max) = scales.entry(variable.scale).or_insert((Vec::new(), most));
                numbers.extend(&self.values.variables[inputs + k]);
                *max = most.max(*max);
            }
        }
        let levels: HashMap<usize, Levels> = scales
            .into_iter()
            .map(|(scale, (numbers, max))| {
                let alike = Levels {
                    offset: numbers.first().copied().unwrap_or(0.0),
                    scale: 1.0,
                    max,
                };
                (scale, Levels::best(&numbers, max).unwrap_or(alike))
            })
            .collect();
        for variable in &self.network.variables {
            let mut levels = levels[&variable.scale];
            if variable.kind == Kind::Difference {
                levels.offset = 0.0;
            }
            let ends = (0, i64::from(levels.max));
            self.columns.push(Column::new(levels, ends));
        }
    }

    /// The sums of one layer, and what is looked up of them.
    fn layer(&mut self, depth: usize, forms: &[usize]) -> Result<(), QuantizeError> {
        let mut patterns: BTreeMap<Pattern, Vec<usize>> = BTreeMap::new();
        for &form in forms {
            patterns.entry(self.pattern(form)).or_default().push(form);
        }
        for forms in patterns.values() {
            let exact = self.of_form[&forms[0]]
                .iter()
                .any(|&k| self.network.variables[k].kind != Kind::Rounded);
            if exact {
                forms.iter().for_each(|&form| self.exact(form));
            } else {
                self.rounded(depth, forms)?;
            }
        }
        Ok(())
    }

    fn pattern(&self, form: usize) -> Pattern {
        let inputs = self.network.inputs;
        let Network {
            forms, variables, ..
        } = self.network;
        let mut numbers = vec![forms[form].bias.to_bits()];
        for &(variable, factor) in &forms[form].terms {
            let column = &self.columns[variable];
            let Levels { offset, scale, .. } = column.levels;
            numbers.extend([factor, offset, scale].map(f64::to_bits));
            numbers.extend([
                column.low as u64,
                column.high as u64,
                u64::from(column.constant),
            ]);
            if variable < inputs {
                numbers.push(variable as u64);
            }
        }
        let looked_up = self.of_form[&form].iter();
        let looked_up = looked_up.map(|&k| (variables[k].curve, variables[k].scale));
        (numbers, looked_up.collect())
    }

    /// A sum of integers of one scale, as it is.
    fn exact(&mut self, form: usize) {
        let mut row = Row::default();
        let mut unit = 1.0;
        for &(variable, factor) in &self.network.forms[form].terms {
            unit = self.columns[variable].levels.scale;
            row.terms.push((variable, factor.round() as i32));
        }
        row.line = (unit, 0.0);
        row.bound(&self.columns);
        let sums = row.sums(&self.columns);
        for &k in &self.of_form[&form] {
            let column = &mut self.columns[self.network.inputs + k];
            let most = i64::from(column.levels.max);
            let says = |sum: i64| sum.clamp(0, most);
            column.table = (row.low..=row.high).map(|sum| says(sum) as i32).collect();
            (column.low, column.high) = (says(row.low), says(row.high));
            column.set(sums.iter().map(|&sum| says(sum) as u16).collect());
        }
        self.rows.insert(form, row);
    }

    /// Sums that are alike, rounded together.
    fn rounded(&mut self, depth: usize, forms: &[usize]) -> Result<(), QuantizeError> {
        let layer = self.plan.layer(depth);
        let (samples, gram) = self.samples(forms);
        let y: Array1<f64> = samples
            .iter()
            .map(|&(form, row)| self.values.forms[form][row])
            .collect();
        let terms = &self.network.forms[forms[0]].terms;
        let factors = self.factors(forms[0]);
        let widths: Vec<i64> = terms
            .iter()
            .map(|&(v, _)| (self.columns[v].high - self.columns[v].low).max(1))
            .collect();
        let bound = Bound {
            reach: layer.reach,
            widths: &widths,
        };
        let wanted = gram.wanted(&(&y - y.mean().unwrap_or(0.0)), &factors);
        let mut weights = round::within(&gram, &wanted, &factors, bound).weights;
        let line = gram.line(&weights, &y).unwrap_or_else(|| {
            weights.fill(0);
            (1.0, y.mean().unwrap_or(0.0))
        });
        let mut tables: HashMap<(i64, i64), Vec<Vec<i32>>> = HashMap::new();
        let mut rows: Vec<Row> = Vec::with_capacity(forms.len());
        for &form in forms {
            let terms = self.network.forms[form].terms.iter().zip(&weights);
            let mut row = Row {
                terms: terms
                    .filter(|(_, w)| **w != 0)
                    .map(|(&(v, _), &w)| (v, w))
                    .collect(),
                line,
                ..Row::default()
            };
            row.bound(&self.columns);
            while (row.high - row.low) >> row.shift >= i64::from(layer.bins) {
                row.shift += 1;
            }
            rows.push(row);
        }
        let sums: Vec<Vec<i64>> = rows.iter().map(|row| row.sums(&self.columns)).collect();
        // All have the same weights of summands with the same ranges, so their domains are the same.
        for (curve_at, first) in self.of_form[&forms[0]].clone().into_iter().enumerate() {
            let variable = self.network.variables[first];
            let levels = self.columns[self.network.inputs + first].levels;
            for (k, (&form, row)) in forms.iter().zip(&rows).enumerate() {
                let at = self.network.inputs + self.of_form[&form][curve_at];
                let known = tables.entry((row.low, row.high)).or_default();
                if known.len() <= curve_at {
                    let seen = sums.iter().zip(forms).flat_map(|(sums, &form)| {
                        sums.iter()
                            .copied()
                            .zip(self.values.forms[form].iter().copied())
                    });
                    let curve = |x: &[f64]| self.network.curves.at(variable.curve, x);
                    known.push(table::of(row, levels, seen, curve)?);
                }
                let table = known[curve_at].clone();
                let column = &mut self.columns[at];
                let says = |sum: &i64| table[((sum - row.low) >> row.shift) as usize] as u16;
                column.set(sums[k].iter().map(says).collect());
                column.low = table.iter().copied().min().map_or(0, i64::from);
                column.high = table.iter().copied().max().map_or(0, i64::from);
                column.table = table;
            }
        }
        self.rows.extend(forms.iter().copied().zip(rows));
        Ok(())
    }

    /// Which rows of which forms are looked at, and how the summands vary on them.
    fn samples(&mut self, forms: &[usize]) -> (Vec<(usize, usize)>, Rc<Gram>) {
        let rows = self.columns.first().map_or(0, |column| column.on.len());
        let step = (forms.len() * rows).div_ceil(SAMPLES).max(1);
        let all = (0..forms.len() * rows).step_by(step);
        let samples: Vec<(usize, usize)> = all.map(|k| (forms[k / rows], k % rows)).collect();
        let summands = forms.iter().flat_map(|&form| {
            let terms = self.network.forms[form].terms.iter();
            terms.map(|&(variable, _)| variable)
        });
        let key: Vec<usize> = summands.collect();
        let network = self.network;
        let columns = &self.columns;
        let gram = self.grams.entry(key).or_insert_with(|| {
            let width = network.forms[forms[0]].terms.len();
            let x = Array2::from_shape_fn((samples.len(), width), |(s, k)| {
                let (form, row) = samples[s];
                f64::from(columns[network.forms[form].terms[k].0].on[row])
            });
            Rc::new(Gram::new(x))
        });
        (samples, Rc::clone(gram))
    }

    /// What an integer of each summand adds to a form: nothing, where it is the same on all rows.
    fn factors(&self, form: usize) -> Vec<f64> {
        let terms = self.network.forms[form].terms.iter();
        let factor = |&(variable, factor): &(usize, f64)| {
            let column = &self.columns[variable];
            if column.constant {
                0.0
            } else {
                factor * column.levels.scale
            }
        };
        terms.map(factor).collect()
    }

    /// The results, in units of one size.
    fn results(&mut self) -> (Vec<Row>, f64) {
        let outputs = &self.network.outputs;
        let factors: Vec<Vec<f64>> = outputs.iter().map(|&form| self.factors(form)).collect();
        let largest = factors
            .iter()
            .flatten()
            .fold(0.0_f64, |most, f| most.max(f.abs()));
        let unit = if largest > 0.0 {
            largest / f64::from(self.plan.last)
        } else {
            1.0
        };
        let mut rows = Vec::with_capacity(outputs.len());
        for (&form, factors) in outputs.iter().zip(&factors) {
            let (samples, gram) = self.samples(&[form]);
            let y: Array1<f64> = samples
                .iter()
                .map(|&(form, row)| self.values.forms[form][row])
                .collect();
            let mean = y.mean().unwrap_or(0.0);
            let wanted = gram.wanted(&(&y - mean), factors);
            let weights = round::to_unit(&gram, &wanted, factors, unit);
            let sum: f64 = weights
                .iter()
                .zip(&gram.means)
                .map(|(&w, mean)| f64::from(w) * mean)
                .sum();
            let terms = self.network.forms[form].terms.iter().zip(weights);
            let mut row = Row {
                terms: terms
                    .filter(|(_, w)| *w != 0)
                    .map(|(&(v, _), w)| (v, w))
                    .collect(),
                bias: (mean / unit - sum).round() as i64,
                ..Row::default()
            };
            row.bound(&self.columns);
            rows.push(row);
        }
        (rows, unit)
    }
}
