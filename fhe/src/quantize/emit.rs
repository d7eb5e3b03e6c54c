//! The program in its order: only what the results need.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::column::Row;
use super::fit::Fitted;
use super::network::Network;
use crate::program::{
    self, Domain, Edge, Input, Linear, Lookup, Node, Parts, Program, ProgramError, Source, Term,
};

/// The program of a fitted network. Its ranges are proved once more, by what checks every program.
///
/// # Errors
/// If it is not one: sums beyond what any torus holds.
pub(super) fn program(
    network: &Network,
    fitted: &Fitted,
    input: Input,
    name: &str,
) -> Result<Program, ProgramError> {
    let depths = network.depths();
    let mut layers: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for variable in needed(network, fitted) {
        let depth = depths[network.variables[variable].form];
        layers.entry(depth).or_default().insert(variable);
    }
    let mut places: HashMap<usize, Place> = HashMap::new();
    let mut nodes = Vec::new();
    for variables in layers.values() {
        let forms: BTreeSet<usize> = variables
            .iter()
            .map(|&k| network.variables[k].form)
            .collect();
        let from: HashMap<usize, usize> =
            forms.iter().enumerate().map(|(at, &f)| (f, at)).collect();
        let row = |form: &usize| linear(network, &places, &fitted.rows[form]);
        let rows = forms.iter().map(row).collect();
        nodes.push(Node::Linear(Linear { rows }));
        let domain = |form: &usize| {
            let Row {
                low, high, shift, ..
            } = fitted.rows[form];
            Domain::Interval { low, high, shift }
        };
        let mut lookup = Lookup {
            node: nodes.len() - 1,
            domains: forms.iter().map(domain).collect(),
            tables: Vec::new(),
            edges: Vec::new(),
            bias: vec![0; variables.len()],
        };
        let mut tables: HashMap<&[i32], usize> = HashMap::new();
        for (to, &variable) in variables.iter().enumerate() {
            let said = &fitted.columns[network.inputs + variable].table;
            let table = *tables.entry(said).or_insert(lookup.tables.len());
            if table == lookup.tables.len() {
                lookup.tables.push(said.clone());
            }
            lookup.edges.push(Edge {
                from: from[&network.variables[variable].form],
                to,
                table,
                weight: 1,
            });
            places.insert(
                variable,
                Place {
                    node: nodes.len(),
                    index: to,
                },
            );
        }
        nodes.push(Node::Lookup(lookup));
    }
    let rows = fitted.results.iter();
    let rows = rows.map(|row| linear(network, &places, row)).collect();
    nodes.push(Node::Linear(Linear { rows }));
    Program::try_from(Parts {
        name: name.to_owned(),
        input,
        nodes,
        output_scale: fitted.unit as f32,
    })
}

/// Where a variable is in the program.
#[derive(Clone, Copy)]
struct Place {
    node: usize,
    index: usize,
}

fn linear(network: &Network, places: &HashMap<usize, Place>, row: &Row) -> program::Row {
    let term = |&(variable, weight): &(usize, i32)| match variable.checked_sub(network.inputs) {
        None => Term {
            source: Source::Input,
            index: variable,
            weight,
        },
        Some(k) => Term {
            source: Source::Node(places[&k].node),
            index: places[&k].index,
            weight,
        },
    };
    program::Row {
        bias: row.bias,
        terms: row.terms.iter().map(term).collect(),
    }
}

/// The variables on which a result depends.
fn needed(network: &Network, fitted: &Fitted) -> BTreeSet<usize> {
    let mut needed = BTreeSet::new();
    let mut open: Vec<&Row> = fitted.results.iter().collect();
    while let Some(row) = open.pop() {
        for &(variable, _) in &row.terms {
            let Some(k) = variable.checked_sub(network.inputs) else {
                continue;
            };
            if needed.insert(k) {
                open.push(&fitted.rows[&network.variables[k].form]);
            }
        }
    }
    needed
}
