//! Logistic regression as a program without a bootstrap.

use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn};
use tacit_nn::{
    Graph, Loss, Optimizer, Plain, gradients,
    optimizer::{self, Clock, MASTER_SCALE, Schedule, Step},
    run,
};

use super::{TrainError, invalid};
use crate::program::{Input, Linear, Node, Parts, Program, ProgramError, Row, Source, Term};

/// How a regression is trained: all rows in every step of Adam, whose size falls to 0 by half a cosine.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogisticRecipe {
    /// How many steps.
    pub steps: usize,
    /// The first one's size.
    pub rate: f64,
    /// What the square of a weight costs, for features of variance 1.
    pub decay: f64,
}

/// A regression in floating point: class 1 where Σ w·x + b > 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Logistic {
    weights: Vec<f64>,
    bias: f64,
    /// The least and greatest value of each feature in the rows that it was trained with.
    bounds: Vec<(f64, f64)>,
}

impl Logistic {
    /// Trains one; `numbers` holds one row of `len` features after the other, classes are 0 and 1.
    ///
    /// # Errors
    /// Numbers and classes that do not fit, and a recipe that is out of range.
    pub fn train(
        numbers: &[f32],
        len: usize,
        classes: &[usize],
        recipe: LogisticRecipe,
    ) -> Result<Self, TrainError> {
        let rows = classes.len();
        if rows == 0 || len == 0 || classes.iter().any(|&class| class > 1) {
            return Err(invalid(
                "a regression needs rows of features, of class 0 or 1",
            ));
        }
        let x = Array2::from_shape_vec((rows, len), numbers.to_vec());
        let x = x.map_err(|e| invalid(format!("{rows} rows of {len} features: {e}")))?;
        let x = x.mapv(f64::from);
        let zero = Array1::zeros(len);
        let mean = x.mean_axis(Axis(0)).unwrap_or_else(|| zero.clone());
        // A feature that never changes says nothing, whatever it is divided by.
        let deviation = x
            .std_axis(Axis(0), 0.0)
            .mapv(|d| if d > 0.0 { d } else { 1.0 });
        let standard = (&x - &mean) / &deviation;
        let w = descend(&standard, classes, recipe)?;
        let weights: Vec<f64> = w.iter().zip(&deviation).map(|(w, d)| w / d).collect();
        let shift: f64 = weights.iter().zip(&mean).map(|(w, m)| w * m).sum();
        let bounds = x.columns().into_iter().map(|column| {
            let least = column.fold(f64::INFINITY, |a, &b| a.min(b));
            (least, column.fold(f64::NEG_INFINITY, |a, &b| a.max(b)))
        });
        Ok(Self {
            bias: w[len] - shift,
            bounds: bounds.collect(),
            weights,
        })
    }

    /// Σ w·x + b.
    #[must_use]
    pub fn score(&self, row: &[f32]) -> f64 {
        let products = self.weights.iter().zip(row);
        self.bias + products.map(|(w, &x)| w * f64::from(x)).sum::<f64>()
    }

    /// The same in integers: features from their least to their greatest value as 0 to `max`, weights up to
    /// ± `largest`.
    ///
    /// # Errors
    /// For a `max` or a `largest` below 1.
    pub fn program(&self, name: &str, max: u16, largest: u16) -> Result<Program, ProgramError> {
        let width = |&(low, high): &(f64, f64)| if high > low { high - low } else { 1.0 };
        let unit = |(w, bounds)| w * width(bounds) / f64::from(max.max(1));
        let units: Vec<f64> = self.weights.iter().zip(&self.bounds).map(unit).collect();
        let most = units.iter().fold(f64::MIN_POSITIVE, |a, b| a.max(b.abs()));
        let scale = f64::from(largest) / most;
        let lows = self.weights.iter().zip(&self.bounds);
        let at_lows = self.bias + lows.map(|(w, (low, _))| w * low).sum::<f64>();
        let terms = units.iter().enumerate().map(|(index, unit)| Term {
            source: Source::Input,
            index,
            weight: (unit * scale).round() as i32,
        });
        let row = Row {
            bias: (at_lows * scale).round() as i64,
            terms: terms.filter(|term| term.weight != 0).collect(),
        };
        let gain = |bounds| (f64::from(max) / width(bounds)) as f32;
        Program::try_from(Parts {
            name: name.into(),
            input: Input {
                offset: self.bounds.iter().map(|&(low, _)| low as f32).collect(),
                gain: self.bounds.iter().map(gain).collect(),
                len: self.weights.len(),
                max,
            },
            nodes: vec![Node::Linear(Linear { rows: vec![row] })],
            output_scale: (1.0 / scale) as f32,
        })
    }
}

/// Weights of standardised features, and the bias behind them.
fn descend(
    x: &Array2<f64>,
    classes: &[usize],
    recipe: LogisticRecipe,
) -> Result<Vec<f64>, TrainError> {
    let (rows, len) = x.dim();
    let mut optimizer = Optimizer::adam(recipe.rate);
    optimizer.rate.schedule = Schedule::Cosine;
    optimizer.validate()?;
    let clock = |step| Clock {
        step,
        steps_per_epoch: recipe.steps,
        epochs: 1,
    };
    let mut g = Graph::new();
    let master = g.input(&[len + 1]);
    let slots: Vec<_> = (0..optimizer.slots())
        .map(|_| g.input(&[len + 1]))
        .collect();
    let count = optimizer.factors(clock(0))?.len();
    let factors: Vec<_> = (0..count).map(|_| g.input(&[1])).collect();
    let carried = optimizer::parameters(&mut g, master)?;
    let w = g.slice(carried, 0, 0..len)?;
    let bias = g.slice(carried, 0, len..len + 1)?;
    let column = g.reshape(w, &[len, 1])?;
    let x = g.public(x.clone().into_dyn());
    let y = classes.iter().map(|&class| class as f64);
    let y = Array1::from_iter(y).insert_axis(Axis(1));
    let y = g.public(y.into_dyn());
    let sums = g.matmul(x, column)?;
    let scores = g.add(sums, bias)?;
    let losses = Loss::SigmoidCrossEntropy.of_rows(&mut g, scores, y)?;
    let loss = g.sum(losses, 0)?;
    let loss = g.scale(loss, 1.0 / rows as f64)?;
    let squares = g.mul(column, column)?;
    let squares = g.sum(squares, 0)?;
    let squares = g.scale(squares, recipe.decay)?;
    let total = g.add(loss, squares)?;
    let scaled = g.scale(total, optimizer.loss_scale())?;
    let gradient = gradients(&mut g, scaled, &[carried])?[0];
    let step = Step {
        master,
        slots: &slots,
        factors: &factors,
    };
    let (next, slots) = optimizer.step(&mut g, &step, gradient)?;
    [next].into_iter().chain(slots).for_each(|x| g.output(x));
    let mut carried = vec![ArrayD::<f32>::zeros(IxDyn(&[len + 1])); 1 + optimizer.slots()];
    for k in 0..recipe.steps {
        for factor in optimizer.factors(clock(k))? {
            carried.push(ArrayD::from_elem(IxDyn(&[1]), factor as f32));
        }
        carried = run(&g, &mut Plain, &carried)?;
    }
    let unscaled = carried[0]
        .iter()
        .map(|&v| f64::from(v) / MASTER_SCALE as f64);
    Ok(unscaled.collect())
}
