//! A trained network as an integer program.

use std::collections::BTreeMap;

use super::{Trained, forward::Tables, network::Waves};
use crate::program::{
    Domain, Edge, Input, Linear, Lookup, Node, Parts, Program, ProgramError, Row, Source, Term,
};

impl Trained {
    /// The program, for rows that `input` quantised.
    ///
    /// # Errors
    /// If the input is not the one that it was trained with.
    pub fn program(&self, name: &str, input: Input) -> Result<Program, ProgramError> {
        let first = &self.network.hidden[0];
        let mut nodes = vec![Node::Linear(self.first(first))];
        let tables = Tables::all(&self.network, &self.recipe, &self.weights);
        let layers = self.network.tables().zip(&tables).enumerate();
        for (k, ((waves, windows, sums), tables)) in layers {
            let mut known: BTreeMap<Vec<i32>, usize> = BTreeMap::new();
            let mut lookup = Lookup {
                node: k,
                domains: vec![domain(waves); waves.len()],
                tables: Vec::new(),
                edges: Vec::new(),
                bias: Vec::new(),
            };
            // The table of each tap and sum; none where it is 0 everywhere.
            let mut of_tap = Vec::with_capacity(windows.taps * sums);
            for at in 0..windows.taps * sums {
                let table = tables.table(at / sums, at % sums);
                if table.iter().all(|&v| v == 0) {
                    of_tap.push(None);
                    continue;
                }
                let next = known.len();
                let index = *known.entry(table.clone()).or_insert(next);
                if index == next {
                    lookup.tables.push(table);
                }
                of_tap.push(Some(index));
            }
            let (bias, next) = (&self.weights[4 + 3 * k], self.network.hidden.get(k + 1));
            for (position, seen) in windows.index.chunks(windows.taps).enumerate() {
                for (at, table) in of_tap.iter().enumerate() {
                    let &Some(table) = table else { continue };
                    lookup.edges.push(Edge {
                        from: seen[at / sums],
                        to: position * sums + at % sums,
                        table,
                        weight: 1,
                    });
                }
                lookup.bias.extend(bias.iter().map(|&b| match next {
                    Some(next) => modulo(b, next),
                    None => (b * self.recipe.resolution).round() as i64,
                }));
            }
            nodes.push(Node::Lookup(lookup));
        }
        Program::try_from(Parts {
            name: name.into(),
            input,
            nodes,
            output_scale: 1.0 / self.recipe.resolution,
        })
    }

    /// The sums of inputs.
    fn first(&self, waves: &Waves) -> Linear {
        let (weights, bias) = (&self.weights[0], &self.weights[1]);
        let row = |seen: &[usize], channel: usize| {
            let terms = seen.iter().zip(weights.column(channel));
            let terms = terms.map(|(&index, &w)| Term {
                source: Source::Input,
                index,
                weight: modulo(w, waves) as i32,
            });
            Row {
                bias: modulo(bias[[0, channel]], waves),
                terms: terms.filter(|term| term.weight != 0).collect(),
            }
        };
        let positions = waves.windows.index.chunks(waves.windows.taps);
        let rows = positions.flat_map(|seen| (0..waves.channels).map(move |c| (seen, c)));
        Linear {
            rows: rows.map(|(seen, c)| row(seen, c)).collect(),
        }
    }
}

const fn domain(waves: &Waves) -> Domain {
    Domain::Cyclic {
        modulus: waves.modulus,
    }
}

/// A rounded number modulo M, from -M/2 to M/2 - 1: the smallest that means the same.
fn modulo(x: f32, waves: &Waves) -> i64 {
    let (m, half) = (i64::from(waves.modulus), waves.half() as i64);
    (x.round() as i64 + half).rem_euclid(m) - half
}
