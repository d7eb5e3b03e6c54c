//! A program to its lowered form: every node to steps, every value that is looked up along its plan.

use super::plan::{Fold, Plan, Reach};
use super::profile::{Profile, Profiles};
use super::{Kind, Known, Looked, Lowered, Row, Step, Wire};
use crate::LoadError;
use crate::params::Params;
use crate::program::{Domain, Edge, Linear, Lookup, Node, Program, Source};
use crate::scale::{Plans, Scales};

/// For rotations of a parameter set that are asked for so much.
///
/// # Errors
/// If values cannot stand on the torus as they are needed, or are too wide.
pub(crate) fn lower(
    program: &Program,
    profiles: &Profiles,
    reach: Reach,
    params: &Params,
) -> Result<Lowered, LoadError> {
    let mut plans = Plans::new(program, profiles, reach, params);
    let scales = Scales::of(program, &mut plans)?;
    let mut all = Lower {
        steps: Vec::new(),
        values: Vec::new(),
        known: Known::new(),
    };
    for (k, node) in program.parts().nodes.iter().enumerate() {
        let torus = scales.torus(Source::Node(k));
        let values = match node {
            Node::Linear(linear) => all.linear(k, linear, torus),
            Node::Lookup(lookup) => {
                let before = scales.torus(Source::Node(lookup.node));
                let tori = (before, torus);
                let plan = |value: usize| {
                    let profile = *profiles.of.get(&(k, value))?;
                    Some((&profiles.all[profile], plans.plan(profile, before)?))
                };
                all.lookup((k, lookup), tori, plan)
            }
        };
        all.values.push(values);
    }
    Ok(Lowered {
        input: scales.torus(Source::Input),
        steps: all.steps,
    })
}

struct Lower {
    steps: Vec<Step>,
    /// Where the values of the nodes so far are.
    values: Vec<Vec<Wire>>,
    known: Known,
}

impl Lower {
    /// A step, and its values.
    fn push(&mut self, step: Step) -> Vec<Wire> {
        let (at, count) = (self.steps.len(), step.tori.len());
        self.steps.push(step);
        (0..count)
            .map(|value| Wire {
                step: at,
                at: value,
            })
            .collect()
    }

    fn linear(&mut self, node: usize, linear: &Linear, torus: u64) -> Vec<Wire> {
        let mut terms = linear.rows.iter().flat_map(|row| &row.terms);
        let kind = if terms.any(|term| term.source == Source::Input) {
            Kind::Input
        } else {
            let row = |row: &crate::program::Row| {
                let terms = row.terms.iter().filter_map(|term| match term.source {
                    Source::Input => None,
                    Source::Node(k) => Some((self.values[k][term.index], i64::from(term.weight))),
                });
                Row {
                    bias: row.bias,
                    terms: terms.collect(),
                }
            };
            Kind::Sums(linear.rows.iter().map(row).collect())
        };
        let tori = vec![torus; linear.rows.len()];
        self.push(Step { node, tori, kind })
    }

    fn lookup<'a>(
        &mut self,
        (node, lookup): (usize, &Lookup),
        (before, torus): (u64, u64),
        mut plan: impl FnMut(usize) -> Option<(&'a Profile, Plan)>,
    ) -> Vec<Wire> {
        let mut stages = Stages {
            first: self.steps.len(),
            results: lookup.bias.len(),
            torus,
            all: Vec::new(),
        };
        let mut bias = lookup.bias.clone();
        let mut edges: Vec<&Edge> = lookup.edges.iter().collect();
        edges.sort_by_key(|edge| (edge.from, edge.to));
        for of_value in edges.chunk_by(|a, b| a.from == b.from) {
            let from = of_value[0].from;
            let tables = sums(lookup, of_value, &mut bias);
            if tables.is_empty() {
                continue;
            }
            let wire = self.values[lookup.node][from];
            let mut value = Value {
                row: Row {
                    bias: 0,
                    terms: vec![(wire, 1)],
                },
                torus: before,
                stage: 0,
            };
            match lookup.domains[from] {
                Domain::Interval { low, .. } => {
                    // Something changes, so there is a profile, and a scale has been found for it.
                    let Some((profile, plan)) = plan(from) else {
                        unreachable!("every value that is looked up was planned")
                    };
                    value.row.bias = -low;
                    for fold in &plan.folds {
                        value.fold(fold, &mut stages, &mut self.known);
                    }
                    value.row.bias -= plan.base;
                    value.remove(&plan.digits, &mut stages, &mut self.known);
                    let at = |b: usize| plan.entry(b, profile);
                    value.look_up(&plan, at, &tables, &mut stages);
                }
                Domain::Cyclic { modulus } => {
                    let plan = Plan {
                        folds: Vec::new(),
                        base: 0,
                        digits: Vec::new(),
                        bits: 0,
                        count: modulus as usize / 2,
                        scale: 0,
                        boxes: u64::from(modulus),
                        twice: false,
                    };
                    let block = stages.block(0);
                    let halves = tables.into_iter().map(|(to, table)| {
                        (block + to, table.iter().map(|entry| 2 * entry).collect())
                    });
                    value.read(&plan, halves.collect(), None, &mut stages);
                }
            }
        }
        self.results(node, stages, &bias)
    }

    /// The steps of the stages, and where the sums of what they read off are.
    fn results(&mut self, node: usize, stages: Stages, bias: &[i64]) -> Vec<Wire> {
        let mut blocks = Vec::new();
        let alone = stages
            .all
            .iter()
            .filter(|stage| stage.block.is_some())
            .count()
            == 1;
        for mut stage in stages.all {
            if let (Some(block), true) = (stage.block, alone) {
                let sums = stage.bias[block..].iter_mut().zip(bias);
                sums.for_each(|(sum, bias)| *sum += 2 * bias);
            }
            let kind = Kind::Lookups(stage.looked, stage.bias);
            let tori = stage.tori;
            let wires = self.push(Step { node, tori, kind });
            if let Some(block) = stage.block {
                blocks.push(wires[block..block + bias.len()].to_vec());
            }
        }
        if alone {
            return blocks.remove(0);
        }
        let row = |(to, &bias): (usize, &i64)| Row {
            bias,
            terms: blocks.iter().map(|block| (block[to], 1)).collect(),
        };
        let rows = bias.iter().enumerate().map(row).collect();
        let (tori, kind) = (vec![stages.torus; bias.len()], Kind::Sums(rows));
        self.push(Step { node, tori, kind })
    }
}

/// What a value's edges take to each result, entry by entry; what is the same for every entry goes to the bias.
fn sums(lookup: &Lookup, edges: &[&Edge], bias: &mut [i64]) -> Vec<(usize, Vec<i64>)> {
    let mut all = Vec::new();
    for group in edges.chunk_by(|a, b| a.to == b.to) {
        let domain = lookup.domains[group[0].from];
        let mut table = vec![0_i64; domain.entries()];
        for edge in group {
            for (sum, &entry) in table.iter_mut().zip(&lookup.tables[edge.table]) {
                *sum += i64::from(edge.weight) * i64::from(entry);
            }
        }
        let constant = match domain {
            Domain::Interval { .. } => table.iter().all(|entry| *entry == table[0]),
            Domain::Cyclic { .. } => table.iter().all(|entry| *entry == 0),
        };
        if constant {
            bias[group[0].to] += table[0];
        } else {
            all.push((group[0].to, table));
        }
    }
    all
}

/// Bootstraps of one node, by how many of each value's were before.
struct Stages {
    /// Which step the first is.
    first: usize,
    /// How many results the node has,
    results: usize,
    /// and on which torus.
    torus: u64,
    all: Vec<Stage>,
}

#[derive(Default)]
struct Stage {
    looked: Vec<Looked>,
    bias: Vec<i64>,
    tori: Vec<u64>,
    /// Where its summands of the results begin.
    block: Option<usize>,
}

impl Stages {
    fn at(&mut self, stage: usize) -> &mut Stage {
        if self.all.len() <= stage {
            self.all.resize_with(stage + 1, Stage::default);
        }
        &mut self.all[stage]
    }

    /// A value of a stage, of this bias in halves.
    fn value(&mut self, stage: usize, torus: u64, bias: i64) -> usize {
        let stage = self.at(stage);
        stage.tori.push(torus);
        stage.bias.push(bias);
        stage.tori.len() - 1
    }

    /// Where a stage's summands of the results begin.
    fn block(&mut self, stage: usize) -> usize {
        let (results, torus) = (self.results, self.torus);
        let stage = self.at(stage);
        *stage.block.get_or_insert_with(|| {
            let at = stage.tori.len();
            stage.tori.resize(at + results, torus);
            stage.bias.resize(at + results, 0);
            at
        })
    }
}

/// A value on its way.
struct Value {
    /// What is left of it,
    row: Row,
    /// on which torus,
    torus: u64,
    /// and the first stage that can look it up.
    stage: usize,
}

impl Value {
    /// Subtracts what a table in halves says of `times` times the value, plus `bias` halves.
    fn subtract(
        &mut self,
        (times, boxes, tolerance): (u64, u64, u64),
        (table, bias): (Vec<i64>, i64),
        stages: &mut Stages,
        known: &mut Known,
    ) {
        let input = self.row.times(times, self.torus);
        let key = (input, boxes, table);
        let wire = if let Some(&wire) = known.get(&key) {
            wire
        } else {
            let at = stages.value(self.stage, self.torus, bias);
            let (input, boxes, table) = key.clone();
            stages.at(self.stage).looked.push(Looked {
                input,
                torus: self.torus,
                boxes,
                tolerance,
                out: self.torus,
                tables: vec![(at, table)],
            });
            let wire = Wire {
                step: stages.first + self.stage,
                at,
            };
            known.insert(key, wire);
            wire
        };
        if wire.step >= stages.first {
            self.stage = self.stage.max(wire.step - stages.first + 1);
        }
        self.row.terms.push((wire, -1));
    }

    fn fold(&mut self, fold: &Fold, stages: &mut Stages, known: &mut Known) {
        let times = 1 << fold.scale;
        let excess = fold.excess();
        // So that the torus goes on beyond the ends as if they were not there.
        let bias = excess[0] + excess[excess.len() - 1];
        let table = excess.iter().map(|e| 2 * e - bias).collect();
        self.row.bias -= fold.ends.0;
        let how = (times, fold.boxes, fold.tolerance as u64 * times);
        self.subtract(how, (table, bias), stages, known);
        self.row.bias += fold.ends.0;
    }

    /// Removes low digits of these many bits.
    fn remove(&mut self, digits: &[u32], stages: &mut Stages, known: &mut Known) {
        let mut from = 0;
        for &c in digits {
            let (unit, count) = (1_i64 << from, 1_i64 << (c - 1));
            let how = (self.torus >> (from + c), 1 << c, self.torus >> c);
            // The top bit, then the others.
            let top = unit * count;
            self.subtract(how, (vec![-top; count as usize], top), stages, known);
            if c > 1 {
                let bias = unit * (count - 1);
                let table = (0..count).map(|d| 2 * unit * d - bias).collect();
                self.subtract(how, (table, bias), stages, known);
            }
            from += c;
        }
    }

    /// Reads tables in halves off to the values of this stage, of the value less `bit`.
    fn read(
        &self,
        plan: &Plan,
        tables: Vec<(usize, Vec<i64>)>,
        bit: Option<Wire>,
        stages: &mut Stages,
    ) {
        let mut input = self.row.times(1 << plan.scale, self.torus);
        input.terms.extend(bit.map(|bit| (bit, -1)));
        let out = stages.torus;
        stages.at(self.stage).looked.push(Looked {
            input,
            torus: self.torus,
            boxes: plan.boxes,
            tolerance: self.torus / plan.boxes,
            out,
            tables,
        });
    }

    /// Looks what is left up in `tables`, whose entry for a box `entry` gives.
    fn look_up(
        mut self,
        plan: &Plan,
        entry: impl Fn(usize) -> usize,
        tables: &[(usize, Vec<i64>)],
        stages: &mut Stages,
    ) {
        let half = plan.boxes as usize / 2;
        let f = |table: &[i64], b: usize| table[entry(b)];
        let block = stages.block(self.stage);
        if !plan.twice {
            let mut halves = Vec::with_capacity(tables.len());
            for (to, table) in tables {
                // 2·f(b) = h(b) + bias with h antiperiodic.
                let end = if plan.count > half { half } else { half - 1 };
                let bias = f(table, 0) + f(table, end);
                stages.at(self.stage).bias[block + to] += bias;
                let half = (0..half).map(|b| 2 * f(table, b) - bias).collect();
                halves.push((block + to, half));
            }
            return self.read(plan, halves, None, stages);
        }
        // 2·f = A + P. With A comes the bit that tells the halves apart, on a torus of two: half a turn.
        let part = |table: &[i64], sign: i64| -> Vec<i64> {
            let part = |b: usize| f(table, b) + sign * f(table, b + half);
            (0..half).map(part).collect()
        };
        let mut halves: Vec<_> = tables
            .iter()
            .map(|(to, table)| (block + to, part(table, -1)))
            .collect();
        let at = stages.value(self.stage, 2, 1);
        halves.push((at, vec![-(stages.torus as i64) / 2; half]));
        self.read(plan, halves, None, stages);
        let bit = Wire {
            step: stages.first + self.stage,
            at,
        };
        self.stage += 1;
        let block = stages.block(self.stage);
        let mut halves = Vec::with_capacity(tables.len());
        for (to, table) in tables {
            let mut table = part(table, 1);
            let bias = (table[0] + table[half - 1]).div_euclid(2);
            table.iter_mut().for_each(|entry| *entry -= bias);
            stages.at(self.stage).bias[block + to] += bias;
            halves.push((block + to, table));
        }
        self.read(plan, halves, Some(bit), stages);
    }
}
