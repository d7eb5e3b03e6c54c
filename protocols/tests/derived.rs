//! The engine that is derived from primitives, on the protocol of Araki et al., against the integer specification.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::gate::{column, grid};
use common::reals;
use common::watched::Watched;
use ndarray::ArrayD;
use tacit_add_a_protocol::Finished as Araki;
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Cost};
use tacit_nn::program::{Instr, Scaled, Table};
use tacit_nn::{Engine, Program, Ring, program};
use tacit_protocols::derived::{DerivedEngine, Value};
use tacit_protocols::suite::{self, OnPrimitives};

const F: u32 = 18;

type Araki3 = DerivedEngine<Araki>;

/// What a gate gives on shares and in the ring.
struct Run {
    shared: Vec<ArrayD<f64>>,
    ring: Vec<ArrayD<f64>>,
}

fn run(
    inputs: &[ArrayD<f64>],
    exactly: bool,
    shared: impl Fn(&mut Araki3, &[Value]) -> Vec<Value> + Sync,
    ring: impl Fn(&mut Ring, &[tacit_mpc::Tensor]) -> Vec<tacit_mpc::Tensor>,
) -> Run {
    let results = simulate_seeded(mem(), 7, |session| {
        let mut e = DerivedEngine::new(Araki, session, F).unwrap();
        if exactly {
            e.round_exactly((0..8).collect());
        }
        let values: Vec<Value> = inputs
            .iter()
            .enumerate()
            .map(|(k, x)| {
                let mine = e.session().me() == k % 3;
                e.input(k % 3, x.shape(), mine.then_some(x)).unwrap()
            })
            .collect();
        e.begin_run().unwrap();
        e.begin_node(0);
        let outputs = shared(&mut e, &values);
        outputs
            .iter()
            .map(|y| e.reveal(y).unwrap())
            .collect::<Vec<_>>()
    });
    assert!(
        results.iter().all(|o| *o == results[0]),
        "all parties open the same"
    );
    let mut r = Ring::new(F);
    let inputs: Vec<_> = inputs.iter().map(|x| r.encode(x).unwrap()).collect();
    let ring = ring(&mut r, &inputs);
    Run {
        shared: results[0].clone(),
        ring: ring.iter().map(|x| r.decode(x)).collect(),
    }
}

impl Run {
    /// The greatest difference in units of the last place.
    fn units(&self) -> f64 {
        let all = self.shared.iter().zip(&self.ring);
        let units = all.map(|(a, b)| {
            assert_eq!(a.shape(), b.shape());
            (a - b).iter().fold(0.0, |m: f64, d| m.max(d.abs())) * 2f64.powi(F as i32)
        });
        units.fold(0.0, f64::max)
    }
}

/// Bits are opened as numbers.
fn map(p: &Program, inputs: &[ArrayD<f64>]) -> Run {
    let (mut p, bits) = (p.clone(), p.types().unwrap());
    for k in 0..p.outputs.len() {
        if bits[p.outputs[k]] {
            p.outputs[k] = p.push(Instr::ToArithmetic(p.outputs[k]));
        }
    }
    run(
        inputs,
        false,
        |e, x| e.map(&p, &x.iter().collect::<Vec<_>>()).unwrap(),
        |e, x| e.map(&p, &x.iter().collect::<Vec<_>>()).unwrap(),
    )
}

#[test]
fn products_of_every_kind_are_right_to_a_unit_and_to_none_exactly() {
    let (x, y) = (reals(&[7, 5], 1) * 50.0, reals(&[5, 9], 2) * 50.0);
    for exactly in [false, true] {
        for scale in [1.0, -0.3, 0.0625] {
            let r = run(
                &[x.clone(), y.clone()],
                exactly,
                |e, x| vec![e.bilinear(Bilinear::MatMul, &x[0], &x[1], scale).unwrap()],
                |e, x| vec![e.bilinear(Bilinear::MatMul, &x[0], &x[1], scale).unwrap()],
            );
            assert!(
                r.units() <= f64::from(u8::from(!exactly)),
                "{} units",
                r.units()
            );
            let r = run(
                &[x.clone(), x.clone() * 0.5],
                exactly,
                |e, x| vec![e.bilinear(Bilinear::Mul, &x[0], &x[1], scale).unwrap()],
                |e, x| vec![e.bilinear(Bilinear::Mul, &x[0], &x[1], scale).unwrap()],
            );
            assert!(
                r.units() <= f64::from(u8::from(!exactly)),
                "{} units",
                r.units()
            );
        }
    }
}

/// Up to the bound of 2^62, where statistical masks would fail.
#[test]
fn truncation_holds_up_to_its_bound() {
    let top = 2f64.powi(62 - F as i32);
    let edges = [top - 0.001, -top + 0.001, 0.0, -0.00001, top / 2.0, -1.0];
    let x = column((0..600).map(|i| edges[i % 6] * (1.0 - (i / 6) as f64 / 1000.0)));
    for exactly in [false, true] {
        let p = program::scale(0.0625);
        let r = run(
            std::slice::from_ref(&x),
            exactly,
            |e, x| e.map(&p, &[&x[0]]).unwrap(),
            |e, x| e.map(&p, &[&x[0]]).unwrap(),
        );
        assert!(
            r.units() <= f64::from(u8::from(!exactly)),
            "{} units",
            r.units()
        );
    }
}

#[test]
fn comparisons_and_choices_are_exact() {
    let top = 2f64.powi(60 - F as i32);
    let mut words: Vec<f64> = grid(-3.0, 3.0, 401).into_iter().collect();
    words.extend([top, -top, 0.0, 2f64.powi(-18), -(2f64.powi(-18)), 0.0]);
    let x = column(words);
    let y = x.mapv(|x| if x > 1.0 { x } else { -x });
    for p in [
        program::relu(),
        program::max(),
        program::sign(),
        program::floor(),
        program::zero(),
    ] {
        let inputs = [x.clone(), y.clone()];
        let r = map(&p, &inputs[..p.inputs()]);
        assert_eq!(r.units(), 0.0, "{}", p.name);
    }
}

/// A table of four cells.
fn root() -> Table {
    let root = |x: f64| (x + 1.0).sqrt();
    Table::within("root of x + 1", root, (0.0, 2.0), 2.0, 1e-5).unwrap()
}

/// A program with every kind of instruction, for arguments in [1/4, 2).
fn every_instruction() -> Program {
    let mut p = Program::new("every instruction");
    let x = p.push(Instr::Input(0));
    let y = p.push(Instr::Linear(vec![(-2, x)], 0.5));
    let scaled = p.push(Instr::Scale(x, 0.3));
    let product = p.push(Instr::Mul(x, y));
    let sign = p.push(Instr::Negative(y, Some(8)));
    let sign_of_all = p.push(Instr::Negative(product, None));
    let zero = p.push(Instr::Zero(x));
    let both = p.push(Instr::And(sign, sign_of_all));
    let one = p.push(Instr::Xor(both, zero));
    let not = p.push(Instr::Not(one));
    let floor = p.push(Instr::Floor(scaled));
    let chosen = p.push(Instr::Select(not, floor));
    let number = p.push(Instr::ToArithmetic(one));
    let small = p.push(Instr::ExpNeg(y));
    let exp = p.push(Instr::Exp(x));
    p.outputs = vec![chosen, number, small, exp];
    for f in [
        Scaled::Reciprocal,
        Scaled::InverseRoot,
        Scaled::Root,
        Scaled::Ln,
    ] {
        let (lo, hi) = (-2, 1);
        let y = p.push(Instr::Scaled { x, f, lo, hi });
        p.outputs.push(y);
    }
    let y = p.push(Instr::Table(x, root()));
    p.outputs.push(y);
    p
}

/// Runs every instruction on `n` equal numbers, by a watched protocol; the engine of P_0 goes to `look` afterwards.
fn watch<T: Send>(
    x: f64,
    n: usize,
    look: bool,
    see: impl Fn(&DerivedEngine<Watched>) -> T + Sync,
) -> Vec<T> {
    simulate_seeded(mem(), 11, |session| {
        let watched = Watched {
            look,
            ..Watched::default()
        };
        let mut e = DerivedEngine::new(watched, session, F).unwrap();
        e.round_exactly([1].into());
        let x = ArrayD::from_elem(vec![n], x);
        let mine = e.session().me() == 0;
        let x = e.input(0, &[n], mine.then_some(&x)).unwrap();
        e.begin_run().unwrap();
        for node in 0..2 {
            e.begin_node(node);
            e.map(&every_instruction(), &[&x]).unwrap();
        }
        see(&e)
    })
}

/// Correlations of every kind, of chunks of one element, with bits that do not fill a word, and larger.
#[test]
fn correlations_are_what_they_are_said_to_be() {
    for n in [1, 2, 65, 300] {
        watch(0.75, n, true, |_| ());
    }
}

/// The attack: whoever sees all that is opened, and knows that all numbers are the same, learns nothing. Every bit of the opened
/// words is a fair coin, two neighbouring ones are independent, no word comes twice, and bits are fair; and all bytes that were
/// sent are those of the primitives.
#[test]
fn what_is_opened_is_uniform_and_nothing_else_is_sent() {
    for x in [0.25, 1.984375] {
        let seen = watch(x, 600, false, |e| {
            let (cost, p) = (e.session().cost(), e.protocol());
            let words = p.words.borrow().clone();
            let planes = p.planes.borrow().clone();
            (
                cost.bytes + cost.offline.bytes,
                p.bytes.get(),
                words,
                planes,
            )
        });
        let sent: u64 = seen.iter().map(|s| s.0).sum();
        assert_eq!(sent, seen[0].1, "bytes of primitives");
        let (_, _, words, planes) = &seen[0];
        let fair = |set: u64, n: f64, what: &str| {
            // Six standard deviations.
            assert!(
                (set as f64 - n / 2.0).abs() < 3.0 * n.sqrt(),
                "{what}: {set} of {n}"
            );
        };
        let n = words.len() as f64;
        assert!(n > 10_000.0, "{n} words were opened");
        for bit in 0..64 {
            let set = |w: &u64| w >> bit & 1;
            fair(words.iter().map(set).sum(), n, &format!("bit {bit}"));
            let next = |w: &u64| (w ^ w.rotate_right(1)) >> bit & 1;
            fair(
                words.iter().map(next).sum(),
                n,
                &format!("bits {bit} and the next"),
            );
        }
        let distinct: std::collections::HashSet<_> = words.iter().collect();
        assert_eq!(distinct.len(), words.len(), "a mask was used twice");
        let used = |k: u32| u64::MAX >> (64 - k);
        let set = planes
            .iter()
            .map(|&(w, k)| u64::from((w & used(k)).count_ones()));
        let all = planes.iter().map(|&(_, k)| f64::from(k)).sum::<f64>();
        fair(set.sum(), all, "opened bits");
    }
}

/// Rounds on the data, where a product and an opening take one; and bytes on the data and of correlations.
#[test]
fn gates_take_the_rounds_that_they_say() {
    let one = |instr: fn(usize) -> Instr| {
        let mut p = Program::new("one");
        let x = p.push(Instr::Input(0));
        let y = p.push(instr(x));
        p.outputs = vec![y];
        p
    };
    let scaled = |f: Scaled| {
        let mut p = Program::new("scaled");
        let x = p.push(Instr::Input(0));
        let y = p.push(Instr::Scaled {
            x,
            f,
            lo: -14,
            hi: 14,
        });
        p.outputs = vec![y];
        p
    };
    let n = 3 * 64 * 4;
    let cases: [(&str, Program, u64); 11] = [
        ("scale", one(|x| Instr::Scale(x, 0.3)), 1),
        ("mul", one(|x| Instr::Mul(x, x)), 2),
        ("negative", program::negative(), 8),
        ("zero", program::zero(), 8),
        ("floor", one(Instr::Floor), 7),
        ("relu", program::relu(), 9),
        ("exp", one(Instr::Exp), 3),
        ("exp_neg", one(Instr::ExpNeg), 12),
        ("table", one(|x| Instr::Table(x, root())), 3),
        ("reciprocal", scaled(Scaled::Reciprocal), 18),
        ("ln", scaled(Scaled::Ln), 16),
    ];
    let mut wrong = Vec::new();
    for (name, p, rounds) in cases {
        let costs = simulate_seeded(mem(), 5, |session| {
            let mut e = DerivedEngine::new(Araki, session, F).unwrap();
            let x = e.trivial(&ArrayD::from_elem(vec![n], 0.5)).unwrap();
            e.begin_run().unwrap();
            e.map(&p, &[&x]).unwrap();
            e.session().cost()
        });
        let per = |of: fn(&Cost) -> u64| costs.iter().map(of).sum::<u64>() as f64 / n as f64;
        let most = |of: fn(&Cost) -> u64| costs.iter().map(of).max().unwrap();
        println!(
            "{name:>10}: {} rounds, {:.1} B; before {} rounds, {:.1} B",
            most(|c| c.rounds),
            per(|c| c.bytes),
            most(|c| c.offline.rounds),
            per(|c| c.offline.bytes),
        );
        if most(|c| c.rounds) != rounds {
            wrong.push(name);
        }
    }
    assert_eq!(wrong, Vec::<&str>::new());
}

/// The checks of the suite that correlated values enter. Whoever deals knows the masks here, so what is sent is not looked at.
#[test]
fn results_are_the_same_on_correlations_that_are_dealt() {
    let world = OnPrimitives {
        parties: 3,
        protocol: || Watched {
            dealt: true,
            ..Watched::default()
        },
    };
    suite::step_06_a_rounding_is_never_off_by_more_than_a_unit(&world);
    suite::step_07_signs_are_exact_at_every_edge(&world);
    suite::step_09_selections_and_relu_are_exact(&world);
    suite::step_10_floors_and_exact_roundings_have_no_coin(&world);
    suite::step_11_functions_are_right_over_their_ranges(&world);
    suite::step_12_random_graphs_are_what_they_are_in_the_ring(&world);
}
