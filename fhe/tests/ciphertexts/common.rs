//! Random programs and keys that tests share.

use std::sync::OnceLock;

use proptest::prelude::*;
use tacit_fhe::program::{
    Domain, Edge, Input, Interval, Linear, Lookup, Node, Parts, Program, Row, Source, Term,
};
use tacit_fhe::{Client, ClientKey, EvaluationKey, Model, Params, ServerKey};

/// A client key's bytes (clients own their keys, tests share them), and the rest of the pair.
pub(crate) struct Keys {
    pub(crate) client: Vec<u8>,
    pub(crate) evaluation: EvaluationKey,
    pub(crate) server: ServerKey,
}

impl Keys {
    pub(crate) fn new(params: &'static Params) -> Self {
        let (client, evaluation) = ClientKey::generate(params).unwrap();
        let server = ServerKey::from(&evaluation);
        Self {
            client: client.to_bytes().to_vec(),
            evaluation,
            server,
        }
    }

    pub(crate) fn client(&self, model: &Model) -> Client {
        Client::new(
            ClientKey::from_bytes(&self.client).unwrap(),
            model.interface(),
        )
        .unwrap()
    }
}

/// Keys of the toy sets, made once.
pub(crate) fn toy(which: usize) -> &'static Keys {
    static KEYS: [OnceLock<Keys>; 3] = [const { OnceLock::new() }; 3];
    KEYS[which].get_or_init(|| Keys::new(&Params::toys()[which]))
}

/// So many sums of so many inputs, whose weights are 1 to `most` in turn.
pub(crate) fn sums(rows: usize, inputs: usize, most: usize) -> Node {
    let term = |row: usize| {
        move |index: usize| Term {
            source: Source::Input,
            index,
            weight: 1 + ((row + index) % most) as i32,
        }
    };
    let row = |row: usize| Row {
        bias: row as i64,
        terms: (0..inputs).map(term(row)).collect(),
    };
    Node::Linear(Linear {
        rows: (0..rows).map(row).collect(),
    })
}

/// What a random program is made from.
#[derive(Clone, Debug)]
pub(crate) struct Recipe {
    inputs: usize,
    max: u16,
    /// Even; `None` for intervals.
    moduli: [Option<u32>; 2],
    hidden: usize,
    results: usize,
    layers: usize,
    /// A linear node at the end.
    sum: bool,
    /// Numbers that everything else is drawn from.
    dice: Vec<i32>,
}

pub(crate) fn recipe() -> impl Strategy<Value = Recipe> {
    let modulus = || prop_oneof![Just(None), (2..=16_u32).prop_map(|half| Some(2 * half))];
    let dice = prop::collection::vec(any::<i32>(), 97);
    let shape = (1..9_usize, 1..4_u16, 1..5_usize, 1..5_usize, 1..3_usize);
    (shape, [modulus(), modulus()], any::<bool>(), dice).prop_map(
        |((inputs, max, hidden, results, layers), moduli, sum, dice)| Recipe {
            inputs,
            max,
            moduli,
            hidden,
            results,
            layers,
            sum,
            dice,
        },
    )
}

struct Dice<'a>(&'a [i32], usize);

impl Dice<'_> {
    fn throw(&mut self, low: i32, high: i32) -> i32 {
        self.1 += 1;
        let seen = self.0[self.1 % self.0.len()].wrapping_mul(2 * self.1 as i32 + 1) >> 7;
        low + seen.rem_euclid(high - low + 1)
    }

    fn weight(&mut self, most: i32) -> i32 {
        let weight = self.throw(1, most);
        if self.throw(0, 1) == 0 {
            weight
        } else {
            -weight
        }
    }
}

/// What intervals of one bootstrap of a toy may hold.
const WIDEST: u64 = 15;

impl Recipe {
    pub(crate) fn program(&self) -> Program {
        let mut dice = Dice(&self.dice, 0);
        let dice = &mut dice;
        let mut nodes = vec![self.linear(dice)];
        for layer in 0..self.layers {
            let last = layer + 1 == self.layers;
            let before = self.parts(nodes.clone()).unwrap();
            let node = nodes.len() - 1;
            let ranges = before.ranges(node);
            let fits = ranges.iter().all(|range| range.count() <= WIDEST);
            let modulus = self.moduli[layer].unwrap_or(32);
            let cyclic = self.moduli[layer].is_some() || !fits;
            let domain = |range: &Interval| match cyclic {
                true => Domain::Cyclic { modulus },
                false => Domain::interval(range.low, range.high),
            };
            let domains: Vec<Domain> = ranges.iter().map(domain).collect();
            nodes.push(lookup(
                dice,
                node,
                domains,
                self.results,
                if last { 4 } else { 1 },
            ));
        }
        if self.sum {
            let source = Source::Node(nodes.len() - 1);
            let row = |dice: &mut Dice<'_>| {
                let terms = (0..self.results).map(|index| Term {
                    source,
                    index,
                    weight: dice.weight(2),
                });
                let terms = terms.collect();
                Row {
                    bias: i64::from(dice.throw(-5, 5)),
                    terms,
                }
            };
            let rows = (0..2).map(|_| row(dice)).collect();
            nodes.push(Node::Linear(Linear { rows }));
        }
        self.parts(nodes).unwrap()
    }

    fn linear(&self, dice: &mut Dice<'_>) -> Node {
        let most = if self.moduli[0].is_some() { 5 } else { 1 };
        let row = |dice: &mut Dice<'_>| {
            let mut terms = Vec::new();
            for index in 0..self.inputs {
                if dice.throw(0, 2) > 0 && (most > 1 || terms.len() < 4) {
                    terms.push(Term {
                        source: Source::Input,
                        index,
                        weight: dice.weight(most),
                    });
                }
            }
            Row {
                bias: i64::from(dice.throw(-3, 3)),
                terms,
            }
        };
        let rows = (0..self.hidden).map(|_| row(dice)).collect();
        Node::Linear(Linear { rows })
    }

    fn parts(&self, nodes: Vec<Node>) -> Result<Program, tacit_fhe::program::ProgramError> {
        let input = Input {
            offset: vec![0.0],
            gain: vec![1.0],
            len: self.inputs,
            max: self.max,
        };
        Program::try_from(Parts {
            name: "random".into(),
            input,
            nodes,
            output_scale: 1.0,
        })
    }

    /// Random inputs, and for every row the two that take it to its ends.
    pub(crate) fn inputs(&self, program: &Program, random: usize) -> Vec<Vec<u16>> {
        let mut dice = Dice(&self.dice, 1000);
        let mut value = |_| dice.throw(0, i32::from(self.max)) as u16;
        let mut inputs: Vec<Vec<u16>> = (0..random)
            .map(|_| (0..self.inputs).map(&mut value).collect())
            .collect();
        let Node::Linear(first) = &program.parts().nodes[0] else {
            return inputs;
        };
        for row in &first.rows {
            for sign in [1, -1] {
                let mut input = vec![0; self.inputs];
                for term in row.terms.iter().filter(|term| sign * term.weight > 0) {
                    input[term.index] = self.max;
                }
                inputs.push(input);
            }
        }
        inputs
    }
}

fn lookup(
    dice: &mut Dice<'_>,
    node: usize,
    domains: Vec<Domain>,
    results: usize,
    most: i32,
) -> Node {
    let (mut tables, mut edges) = (Vec::new(), Vec::new());
    for (from, domain) in domains.iter().enumerate() {
        // Several tables a value, some shared, some constant, some values without any.
        let own = tables.len();
        for _ in 0..dice.throw(1, 3) {
            let constant = dice.throw(0, 5) == 0;
            let first = dice.throw(-most, most);
            let entry = |_| {
                if constant {
                    first
                } else {
                    dice.throw(-most, most)
                }
            };
            let table: Vec<i32> = (0..domain.entries()).map(entry).collect();
            tables.push(table);
        }
        for _ in 0..dice.throw(0, 2 * results as i32) {
            let table = dice.throw(own as i32, tables.len() as i32 - 1) as usize;
            let to = dice.throw(0, results as i32 - 1) as usize;
            edges.push(Edge {
                from,
                to,
                table,
                weight: dice.weight(2.min(most)),
            });
        }
    }
    let bias = (0..results).map(|_| i64::from(dice.throw(-6, 6))).collect();
    Node::Lookup(Lookup {
        node,
        domains,
        tables,
        edges,
        bias,
    })
}
