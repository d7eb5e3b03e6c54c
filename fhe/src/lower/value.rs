//! One value on its way through folds and digits to its tables, as bootstraps in stages.

use super::plan::{Fold, Plan};
use super::{Known, Looked, Once, Row, Wire};

/// Bootstraps of one node, by how many of each value's were before.
pub(super) struct Stages {
    /// Which step the first is.
    pub(super) first: usize,
    /// How many results the node has,
    pub(super) results: usize,
    /// and on which torus.
    pub(super) torus: u64,
    pub(super) all: Vec<Stage>,
}

#[derive(Default)]
pub(super) struct Stage {
    pub(super) looked: Vec<Looked>,
    pub(super) bias: Vec<i64>,
    pub(super) tori: Vec<u64>,
    /// Where its summands of the results begin.
    pub(super) block: Option<usize>,
}

impl Stages {
    pub(super) fn at(&mut self, stage: usize) -> &mut Stage {
        if self.all.len() <= stage {
            self.all.resize_with(stage + 1, Stage::default);
        }
        &mut self.all[stage]
    }

    /// A value of a stage, of this bias in halves.
    pub(super) fn value(&mut self, stage: usize, torus: u64, bias: i64) -> usize {
        let stage = self.at(stage);
        stage.tori.push(torus);
        stage.bias.push(bias);
        stage.tori.len() - 1
    }

    /// Where a stage's summands of the results begin.
    pub(super) fn block(&mut self, stage: usize) -> usize {
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
pub(super) struct Value {
    /// What is left of it,
    pub(super) row: Row,
    /// on which torus,
    pub(super) torus: u64,
    /// and the first stage that can look it up.
    pub(super) stage: usize,
}

impl Value {
    /// Subtracts what a table in halves says of `times` times the value, plus `bias` halves.
    fn subtract(
        &mut self,
        (times, boxes, tolerance): (u64, u64, Option<u64>),
        (table, bias): (Vec<i64>, i64),
        stages: &mut Stages,
        known: &mut Known,
    ) {
        let input = self.row.times(times, self.torus);
        let key = Once {
            input,
            torus: self.torus,
            boxes,
            tolerance,
            table,
            bias,
        };
        let wire = if let Some(&wire) = known.wires.get(&key) {
            wire
        } else {
            let at = stages.value(self.stage, self.torus, bias);
            known.entries += key.table.len();
            stages.at(self.stage).looked.push(Looked {
                input: key.input.clone(),
                torus: self.torus,
                boxes,
                tolerance,
                out: self.torus,
                tables: vec![(at, key.table.clone())],
            });
            let wire = Wire {
                step: stages.first + self.stage,
                at,
            };
            known.wires.insert(key, wire);
            wire
        };
        if wire.step >= stages.first {
            self.stage = self.stage.max(wire.step - stages.first + 1);
        }
        self.row.terms.push((wire, -1));
    }

    pub(super) fn fold(&mut self, fold: &Fold, stages: &mut Stages, known: &mut Known) {
        let times = 1 << fold.scale;
        let excess = fold.excess();
        // So that the torus goes on beyond the ends as if they were not there.
        let bias = excess[0] + excess[excess.len() - 1];
        let table = excess.iter().map(|e| 2 * e - bias).collect();
        self.row.bias -= fold.ends.0;
        let how = (times, fold.boxes, Some(fold.tolerance as u64 * times));
        self.subtract(how, (table, bias), stages, known);
        self.row.bias += fold.ends.0;
    }

    /// Removes low digits of these many bits.
    pub(super) fn remove(&mut self, digits: &[u32], stages: &mut Stages, known: &mut Known) {
        let mut from = 0;
        for &c in digits {
            let (unit, count) = (1_i64 << from, 1_i64 << (c - 1));
            let how = (self.torus >> (from + c), 1 << c, None);
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
    pub(super) fn read(
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
            tolerance: None,
            out,
            tables,
        });
    }

    /// Looks what is left up in `tables`, which say what each of the plan's boxes does.
    pub(super) fn look_up(
        mut self,
        plan: &Plan,
        tables: &[(usize, Vec<i64>)],
        stages: &mut Stages,
    ) {
        let half = plan.boxes as usize / 2;
        let f = |table: &[i64], b: usize| table[b.min(plan.count - 1)];
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
