//! A program to its lowered form: every node to steps, every value that is looked up along its plan.

use super::plan::{Plan, Reach};
use super::profile::{Profile, Profiles};
use super::value::{Stages, Value};
use super::{Kind, Known, Lowered, Row, Step, Wire};
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
        known: Known::default(),
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
                    let plans = plans.plan(profile, before)?.into_iter();
                    Some(plans.map(|(k, plan)| (&profiles.all[k], plan)).collect())
                };
                all.lookup((k, lookup), tori, plan)?
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
        mut plan: impl FnMut(usize) -> Option<Vec<(&'a Profile, Plan)>>,
    ) -> Result<Vec<Wire>, LoadError> {
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
            let wire = self.values[lookup.node][from];
            let value = |bias: i64| Value {
                row: Row {
                    bias,
                    terms: vec![(wire, 1)],
                },
                torus: before,
                stage: 0,
            };
            match lookup.domains[from] {
                Domain::Interval { low, .. } => {
                    let plans = plan(from).unwrap_or_default();
                    // What is in no plan is constant.
                    let mut rest = of_value.to_vec();
                    for (profile, plan) in plans {
                        let of_plan: Vec<&Edge>;
                        (of_plan, rest) = rest
                            .into_iter()
                            .partition(|edge| profile.tables.binary_search(&edge.table).is_ok());
                        let at = |b: usize| plan.entry(b, profile);
                        let places = (plan.count, &at as &dyn Fn(usize) -> usize);
                        self.known
                            .count(node, of_plan.len() * plan.boxes as usize)?;
                        let tables = sums(lookup, &of_plan, places, &mut bias);
                        if tables.is_empty() {
                            continue;
                        }
                        let mut value = value(-low);
                        for fold in &plan.folds {
                            value.fold(fold, &mut stages, &mut self.known);
                        }
                        value.row.bias -= plan.base;
                        value.remove(&plan.digits, &mut stages, &mut self.known);
                        value.look_up(&plan, &tables, &mut stages);
                        // What folds and digits have added.
                        self.known.count(node, 0)?;
                    }
                    for edge in rest {
                        let table = &lookup.tables[edge.table];
                        if table.iter().any(|entry| *entry != table[0]) {
                            return Err(LoadError::Unplanned {
                                node,
                                value: from,
                                table: edge.table,
                            });
                        }
                        bias[edge.to] += i64::from(edge.weight) * i64::from(table[0]);
                    }
                }
                Domain::Cyclic { modulus } => {
                    let places = modulus as usize / 2;
                    self.known.count(node, of_value.len() * places)?;
                    let tables = sums(lookup, of_value, (places, &|k| k), &mut bias);
                    if tables.is_empty() {
                        continue;
                    }
                    let plan = Plan::cyclic(modulus);
                    let block = stages.block(0);
                    let halves = tables.into_iter().map(|(to, table)| {
                        (block + to, table.iter().map(|entry| 2 * entry).collect())
                    });
                    value(0).read(&plan, halves.collect(), None, &mut stages);
                }
            }
        }
        Ok(self.results(node, stages, &bias))
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

/// What a value's edges take to each result, at each of so many places, which are these entries; what is the same
/// everywhere goes to the bias.
fn sums(
    lookup: &Lookup,
    edges: &[&Edge],
    (places, at): (usize, &dyn Fn(usize) -> usize),
    bias: &mut [i64],
) -> Vec<(usize, Vec<i64>)> {
    let mut all = Vec::new();
    for group in edges.chunk_by(|a, b| a.to == b.to) {
        let domain = lookup.domains[group[0].from];
        let mut table = vec![0_i64; places];
        for edge in group {
            let entries = &lookup.tables[edge.table];
            for (place, sum) in table.iter_mut().enumerate() {
                *sum += i64::from(edge.weight) * i64::from(entries[at(place)]);
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
