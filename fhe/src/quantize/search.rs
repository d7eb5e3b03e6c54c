//! The cheapest program that is near enough to its model.

use ndarray::Array2;

use super::cost::Cost;
use super::fit;
use super::measure::{Nearness, Target, nearness};
use super::plan::{Layer, Plan};
use super::sample::Halves;
use super::{QuantizeError, Source, emit};
use crate::program::{Builder, Class, Program};

/// What is wanted of a program.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// Rows such as clients will ask about: one half is fitted to, the other half judges.
    pub sample: &'a Array2<f32>,
    /// The classes of these rows.
    pub labels: Option<&'a [usize]>,
    /// How near it is to be.
    pub target: Target,
    /// What the program is called.
    pub name: &'a str,
    /// Whether it is to say the class alone, and no score.
    pub class: bool,
}

/// A plan that was tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The plan.
    pub plan: Plan,
    /// How near its program is.
    pub nearness: Nearness,
    /// What it costs; none where no parameter set is good enough.
    pub cost: Option<Cost>,
}

/// A program made of a model.
#[derive(Debug)]
pub struct Quantized {
    /// The program.
    pub program: Program,
    /// Its trial.
    pub trial: Trial,
    /// Everything that was tried.
    pub tried: Vec<Trial>,
    /// Rows that were fitted to,
    pub fitted: usize,
    /// and that judged.
    pub judged: usize,
}

/// Widths of sums, and entries of tables: each takes more bootstraps than those before it.
const SUMS: [(i64, u32); 8] = [
    (16, 16),
    (32, 32),
    (256, 16),
    (1024, 32),
    (4096, 16),
    (4096, 32),
    (16_384, 32),
    (1 << 20, 32),
];

/// The largest integers of the input and of activations.
const LEVELS: [(u16, u16); 9] = [
    (1, 1),
    (3, 1),
    (1, 3),
    (3, 2),
    (3, 3),
    (7, 3),
    (7, 5),
    (15, 7),
    (15, 15),
];

/// The largest factor of the results: small ones leave more room for noise.
const LAST: [i32; 3] = [15, 7, 3];

/// The same where there is no lookup: nothing but noise of encryption is in their way.
const LAST_WITHOUT_LOOKUPS: i32 = 127;

/// What was found so far.
struct Search<'a> {
    source: &'a Source,
    request: &'a Request<'a>,
    halves: &'a Halves,
    tried: Vec<Trial>,
    best: Option<(Program, Trial)>,
}

impl Search<'_> {
    /// Tries a plan, with coarser results where they are too noisy; whether it became the best.
    fn attempt(&mut self, plan: Plan) -> Result<bool, QuantizeError> {
        let coarser = LAST.iter().copied().filter(|&last| last < plan.last);
        let mut better = false;
        for last in std::iter::once(plan.last).chain(coarser) {
            let plan = Plan {
                last,
                ..plan.clone()
            };
            let (program, trial) = self.source.tried(plan, self.request, self.halves)?;
            let meets = trial.nearness.meets(self.request.target);
            let cost = trial.cost.map(|cost| cost.seconds());
            let best = self.best.as_ref().and_then(|(_, best)| best.cost);
            if let Some(cost) = cost
                && meets
                && best.is_none_or(|best| cost < best.seconds())
            {
                self.best = Some((program, trial.clone()));
                better = true;
            }
            self.tried.push(trial);
            if !meets || cost.is_some() {
                break;
            }
        }
        Ok(better)
    }

    /// Makes the sums of one layer after the other narrower, as long as the program stays near enough.
    fn refine(&mut self) -> Result<(), QuantizeError> {
        for depth in 0..self.source.depth() {
            while let Some((_, best)) = &self.best {
                let mut plan = best.plan.clone();
                let Some(layer) = plan.layers.get_mut(depth) else {
                    return Ok(());
                };
                let narrower = SUMS.iter().rev().find(|(width, _)| *width <= layer.reach);
                let Some(&(width, bins)) = narrower else {
                    break;
                };
                (layer.reach, layer.bins) = (width - 1, bins);
                if self.source.depth() == 1 || !self.attempt(plan)? {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Source {
    /// The cheapest program that is near enough to the model.
    ///
    /// # Errors
    /// A sample that does not fit the model; a target that no program reaches, with the best that was reached.
    pub fn quantize(&self, request: &Request<'_>) -> Result<Quantized, QuantizeError> {
        if request.class && self.outputs() < 2 {
            return Err(QuantizeError::NoClass);
        }
        let halves = self.halves(request)?;
        let mut search = Search {
            source: self,
            request,
            halves: &halves,
            tried: Vec::new(),
            best: None,
        };
        for plans in self.plans() {
            for plan in plans {
                search.attempt(plan)?;
            }
            if search.best.is_some() {
                break;
            }
        }
        search.refine()?;
        let Search { tried, best, .. } = search;
        let Some((program, trial)) = best else {
            return Err(missed(&tried, request.target));
        };
        Ok(Quantized {
            program,
            trial,
            tried,
            fitted: halves.fit_rows.nrows(),
            judged: halves.judge_rows.nrows(),
        })
    }

    /// What is tried, by what it costs: where one is near enough, those behind it are not tried.
    fn plans(&self) -> Vec<Vec<Plan>> {
        if self.network.variables.is_empty() {
            let inputs = [1, 3, 7, 15, 31, 63, 127, 255];
            let plan = |input| Plan {
                input,
                layers: Vec::new(),
                last: LAST_WITHOUT_LOOKUPS,
            };
            return vec![inputs.map(plan).to_vec()];
        }
        let all = SUMS.iter().map(|&(width, bins)| {
            let plan = |(input, activation)| Plan {
                input,
                layers: vec![
                    Layer {
                        reach: width - 1,
                        bins,
                        activation,
                    };
                    self.depth()
                ],
                last: LAST[0],
            };
            LEVELS.map(plan).to_vec()
        });
        all.collect()
    }

    /// The program of a plan, and how near it is.
    fn tried(
        &self,
        plan: Plan,
        request: &Request<'_>,
        halves: &Halves,
    ) -> Result<(Program, Trial), QuantizeError> {
        let (input, columns) = self.input(&halves.fit_rows, plan.input);
        let fitted = fit::fit(&self.network, &halves.fit, columns, &plan)?;
        let program = emit::program(&self.network, &fitted, input, request.name)?;
        let nearness = nearness(
            &program,
            &halves.judge_rows,
            &halves.judge_results,
            halves.judge_labels.as_deref(),
            0.0,
        );
        let meets = nearness.meets(request.target);
        let program = match request.class && meets {
            true => class_alone(program)?,
            false => program,
        };
        let cost = if meets { Cost::of(&program) } else { None };
        let trial = Trial {
            plan,
            nearness,
            cost,
        };
        Ok((program, trial))
    }
}

/// A program of scores, as one that says which is the greatest.
fn class_alone(program: Program) -> Result<Program, QuantizeError> {
    let (name, scores) = (
        program.parts().name.clone(),
        program.parts().nodes.len() - 1,
    );
    let mut builder = Builder::from(program);
    builder.argmax(scores, Class::Index)?;
    Ok(builder.finish(&name, 1.0)?)
}

/// What to say where nothing is near enough, or what is near enough cannot be run.
fn missed(tried: &[Trial], target: Target) -> QuantizeError {
    let best = tried
        .iter()
        .max_by(|a, b| a.nearness.of(target).total_cmp(&b.nearness.of(target)));
    match best {
        Some(best) if best.nearness.meets(target) => {
            QuantizeError::TooNoisy(best.nearness.of(target))
        }
        best => QuantizeError::Missed {
            best: best.map_or(0.0, |best| best.nearness.of(target)),
            what: match target {
                Target::Agreement(_) => "agreement",
                Target::Accuracy(_) => "accuracy",
            },
        },
    }
}
