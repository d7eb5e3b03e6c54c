//! Models that cannot be served, or not for every number of rows, are refused before the service is agreed to.

use std::num::Wrapping;

use ndarray::IxDyn;
use tacit_mpc::simulate::{mem, simulate};
use tacit_nn::Engine;
use tacit_protocols::Replicated;
use tacit_protocols::malicious::MaliciousEngine;
use tacit_protocols::rep3::{CostEngine, CostValue, Depth, Rep3Engine};

use super::onnx::{Axis, Constant, model, model_of};
use super::*;
use crate::serve::inputs::Kind;
use crate::serve::question::Question;
use crate::serve::{ModelError, ServeError};

fn terms(max_rows: usize) -> Terms {
    let mut terms = Setup::new(Duration::ZERO).terms;
    terms.max_rows = max_rows;
    terms
}

fn served(onnx: &[u8], terms: &Terms) -> Result<Served, ModelError> {
    Served::new(Model::parse(onnx).unwrap(), Held::Public, terms)
}

fn refusal(onnx: &[u8], terms: &Terms) -> ModelError {
    served(onnx, terms).err().expect("the model is refused")
}

/// Rows of two numbers put together in groups of `group` numbers.
fn grouped(group: i64) -> Vec<u8> {
    model(
        &[Axis::Free, Axis::Of(2)],
        &[Axis::Free, Axis::Of(2)],
        &[
            ("groups", Constant::Integers(vec![-1, group])),
            ("rows", Constant::Integers(vec![-1, 2])),
        ],
        &[
            ("Reshape", &["x", "groups"], "a", &[]),
            ("Softmax", &["a"], "b", &[("axis", 1)]),
            ("Reshape", &["b", "rows"], "y", &[]),
        ],
    )
}

/// One operator without attributes on rows of so many numbers.
fn single(op: &str, rows: Axis, width: u64, attributes: &[(&str, i64)]) -> Vec<u8> {
    let shape = [rows, Axis::Of(width)];
    model(&shape, &shape, &[], &[(op, &["x"], "y", attributes)])
}

/// The softmax of each column over all rows.
fn over_rows(rows: Axis) -> Vec<u8> {
    single("Softmax", rows, 2, &[("axis", 0)])
}

/// Groups of four numbers fit two rows and not three: a client that asked three rows ended the service.
#[test]
fn a_number_of_rows_without_a_graph_is_found_before_the_service() {
    served(&grouped(2), &terms(8)).unwrap();
    match refusal(&grouped(4), &terms(8)) {
        ModelError::Size {
            rows: 1, max: 8, ..
        } => {}
        other => panic!("{other}"),
    }
    // Only sizes that can be asked for count.
    served(&over_rows(Axis::Of(4)), &terms(8)).unwrap();
}

#[test]
fn what_would_not_fit_is_refused_by_name() {
    served(&over_rows(Axis::Free), &terms(8)).unwrap();
    match refusal(&over_rows(Axis::Free), &terms(257)) {
        ModelError::Graphs { max: 257 } => {}
        other => panic!("{other}"),
    }
    served(&single("Relu", Axis::Free, 1 << 10, &[]), &terms(64)).unwrap();
    match refusal(&single("Relu", Axis::Free, 1 << 10, &[]), &terms(65_536)) {
        ModelError::Frame { rows: 65_536, .. } => {}
        other => panic!("{other}"),
    }
    let mut bounded = terms(8);
    bounded.bounds = vec![(0.0, 1.0), (0.0, 1.0)];
    match refusal(&perceptron().to_onnx(), &bounded) {
        ModelError::Bounds {
            inputs: 1,
            given: 2,
        } => {}
        other => panic!("{other}"),
    }
}

/// One chunk more than labels can number was accepted, and ended the service at the first question.
#[test]
fn a_tensor_of_more_chunks_than_labels_can_number_is_refused() {
    let wide = |rows: u64| {
        model(
            &[Axis::Of(rows), Axis::Of(2)],
            &[Axis::Of(rows), Axis::Of(1)],
            &[
                ("w", Constant::Floats(&[2, 2048], vec![0.5; 4096])),
                ("v", Constant::Floats(&[2048, 1], vec![0.5; 2048])),
            ],
            &[
                ("MatMul", &["x", "w"], "a", &[]),
                ("MatMul", &["a", "v"], "y", &[]),
            ],
        )
    };
    let most = tacit_mpc::MAX_ELEMENTS / 2048;
    served(&wide(most as u64), &terms(8)).unwrap();
    match refusal(&wide(1 << 17), &terms(8)) {
        ModelError::Large {
            rows: 131_072,
            found: 268_435_456,
        } => {}
        other => panic!("{other}"),
    }
}

/// Two files that make the same graph for two rows, for which skeletons are made, and other ones for more.
#[test]
fn graphs_that_differ_for_some_number_of_rows_are_found_before_weights_are_shared() {
    let halves = |second: [i64; 2]| {
        model(
            &[Axis::Free, Axis::Of(2)],
            &[Axis::Free, Axis::Of(2)],
            &[
                ("w", Constant::Floats(&[2, 2], vec![0.5; 4])),
                ("groups", Constant::Integers(second.into())),
                ("rows", Constant::Integers(vec![-1, 2])),
            ],
            &[
                ("MatMul", &["x", "w"], "m", &[]),
                ("Reshape", &["m", "groups"], "a", &[]),
                ("Softmax", &["a"], "b", &[("axis", 1)]),
                ("Reshape", &["b", "rows"], "y", &[]),
            ],
        )
    };
    let shared = |files: [[i64; 2]; 3]| -> Vec<Result<(), ServeError>> {
        let results = simulate(mem(), |session| {
            let file = Model::parse(&halves(files[session.me()])).unwrap();
            let served = Served::new(file, Held::Owner(1), &terms(8)).unwrap();
            let mut engine = Rep3Engine::new(session, 18).unwrap();
            served.share_weights(&mut engine, &terms(8)).map(drop)
        });
        results.into_iter().map(Result::unwrap).collect()
    };
    let (rows, pairs) = ([-1, 2], [2, -1]);
    assert!(shared([rows; 3]).iter().all(Result::is_ok));
    assert!(shared([pairs; 3]).iter().all(Result::is_ok));
    for found in shared([rows, pairs, rows]) {
        assert!(
            matches!(found, Err(ServeError::Structure { .. })),
            "{found:?}"
        );
    }
}

#[test]
fn a_question_of_a_size_without_a_graph_is_refused_and_the_next_is_answered() {
    let outcomes = simulate(mem(), |session| {
        let mut engine = Rep3Engine::new(session, 18).unwrap();
        let served = served(&single("Relu", Axis::Free, 2, &[]), &terms(4)).unwrap();
        // As from a leader that chooses too much.
        let (long, short) = (Question::blank(9, 0), Question::blank(2, 0));
        let refused = served.answer(&mut engine, &[], &[&long, &short]).unwrap();
        assert!(refused.iter().all(Result::is_err), "{refused:?}");
        let me = engine.session().me();
        let fits = Question::blank(2, if me == 0 { 32 } else { 16 + 8 * 4 });
        let mut answered = served.answer(&mut engine, &[], &[&fits]).unwrap();
        answered.remove(0).is_ok()
    });
    assert!(outcomes.into_iter().all(Result::unwrap));
}

/// A row of zeros would change the sums that the others are divided by.
#[test]
fn a_model_of_a_fixed_number_of_rows_is_never_filled_up() {
    let mut setup = Setup::new(Duration::from_secs(5));
    setup.onnx = over_rows(Axis::Of(3));
    let running = setup.start();
    let mut clinic = running.asker(0);
    assert!(clinic.greeting().exact_rows);
    match clinic.ask(&[Array2::zeros((2, 2)).into_dyn()]) {
        Err(AskError::Question(reason)) => assert!(reason.contains("exactly 3 rows"), "{reason}"),
        other => panic!("{other:?}"),
    }
    // Whoever asks without looking is refused by the parties.
    let two = clinic.ask_unchecked(&[Array2::zeros((2, 2)).into_dyn()]);
    match clinic.answer(two.unwrap()) {
        Err(AskError::Refused { reason, .. }) => assert!(reason.contains("exactly 3 rows")),
        other => panic!("{other:?}"),
    }
    let x = array![[1.0, 0.0], [2.0, 0.5], [0.0, -1.0]];
    let good = clinic.ask(&[x.clone().into_dyn()]).unwrap();
    let y = clinic.answer(good).unwrap();
    for (k, column) in x.columns().into_iter().enumerate() {
        let sum: f64 = column.iter().map(|v| f64::exp(*v)).sum();
        for (row, v) in column.iter().enumerate() {
            assert!((y[0][[row, k]] - v.exp() / sum).abs() < 1e-3);
        }
    }
    drop(clinic);
    assert_eq!(running.end()[0].questions, 1);
}

/// What SECURITY.md says that the bounds of inputs cost.
#[test]
fn bounds_cost_what_is_stated() {
    let n = 48_000;
    let cost = |kind: Kind| {
        let mut engine = CostEngine::new(18, Depth::Three);
        let admit = kind.admit((-1.0, 1.0));
        engine.map(&admit, &[&CostValue::shared(&[n])]).unwrap();
        let parties = engine.parties();
        let bytes: u64 = parties.iter().map(|p| p.bytes).sum();
        let rounds = parties.iter().map(|p| p.rounds).max().unwrap();
        (bytes as f64 / n as f64, rounds)
    };
    assert_eq!(cost(Kind::Real), (147.5, 11));
    assert!(cost(Kind::Boolean) < cost(Kind::Real));
    assert!(cost(Kind::Integer) > cost(Kind::Real));
}

/// Rows of two inputs of a kind, as real numbers.
fn cast(element: u64) -> Vec<u8> {
    let shape = [Axis::Free, Axis::Of(2)];
    model_of(
        element,
        &shape,
        &shape,
        &[],
        &[("Cast", &["x"], "y", &[("to", 1)])],
    )
}

/// What a model answers to words that a client shares, whatever they are.
fn answers(element: u64, words: &[[i64; 2]]) -> Vec<f64> {
    let mut setup = Setup::new(Duration::from_secs(5));
    setup.onnx = cast(element);
    let running = setup.start();
    let mut clinic = running.asker(0);
    let words = ArrayD::from_shape_fn(IxDyn(&[words.len(), 2]), |at| {
        Wrapping(words[at[0]][at[1]] as u64)
    });
    let asked = clinic.ask_words(&[words]).unwrap();
    let y = clinic.answer(asked).unwrap().remove(0);
    // An honest client is told beforehand.
    let half = clinic.ask(&[array![[1.0, 0.37]].into_dyn()]);
    match half {
        Err(AskError::Question(reason)) => assert!(reason.contains("0.37"), "{reason}"),
        other => panic!("{other:?}"),
    }
    drop(clinic);
    running.end();
    y.iter().copied().collect()
}

/// A boolean of 65536 or 0.37 and an integer of 3.7 would give answers that no question of the model has.
#[test]
fn whatever_is_shared_becomes_an_input_of_its_kind() {
    let unit = 1i64 << 18;
    let real = |x: f64| (x * unit as f64).round() as i64;
    let (boolean, int64) = (9, 7);
    let words = [
        [real(65_536.0), real(0.37)],
        [0, unit],
        [real(0.5), real(0.5) - 1],
        [-unit, i64::MAX],
        [real(-65_536.0), 1 << 61],
    ];
    let want = [1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 1.0];
    assert_eq!(answers(boolean, &words), want);
    let words = [
        [real(3.7), real(-1.5)],
        [3 * unit, 4 * unit - 1],
        [real(70_000.25), real(-70_000.25)],
    ];
    assert_eq!(
        answers(int64, &words),
        [3.0, -2.0, 3.0, 3.0, 65_536.0, -65_536.0]
    );
}

#[test]
fn bounds_of_integers_are_integers() {
    let mut bounded = terms(8);
    bounded.bounds = vec![(-0.5, 9.75)];
    let greeting = served(&cast(7), &bounded).unwrap().greeting(&bounded);
    assert_eq!(
        (greeting.bounds, greeting.kinds),
        (vec![(0.0, 9.0)], vec![Kind::Integer])
    );
    let greeting = served(&cast(9), &bounded).unwrap().greeting(&bounded);
    assert_eq!(
        (greeting.bounds, greeting.kinds),
        (vec![(0.0, 1.0)], vec![Kind::Boolean])
    );
    bounded.bounds = vec![(0.25, 0.75)];
    match refusal(&cast(7), &bounded) {
        ModelError::NoInteger { input, .. } => assert_eq!(input, "x"),
        other => panic!("{other}"),
    }
}

/// x·w, squared: within ±8192/7 for weights whose magnitudes add up to 7.
#[test]
fn private_weights_are_served_only_where_nothing_wraps() {
    let file = model(
        &[Axis::Free, Axis::Of(2)],
        &[Axis::Free, Axis::Of(2)],
        &[("w", Constant::Floats(&[2, 2], vec![3.0, 1.0, -4.0, 2.0]))],
        &[
            ("MatMul", &["x", "w"], "a", &[]),
            ("Mul", &["a", "a"], "y", &[]),
        ],
    );
    let prove = |bound: f64| {
        let mut bounded = terms(4);
        bounded.bounds = vec![(-bound, bound)];
        let model = Model::parse(&file).unwrap();
        Served::new(model, Held::Owner(1), &bounded)
            .unwrap()
            .prove()
    };
    prove(1170.0).unwrap();
    let refused = prove(1171.0).unwrap_err().to_string();
    // For the owner's log: everything.
    for word in ["1 rows", "mul before", "67190809"] {
        assert!(refused.contains(word), "{refused}");
    }
}

/// What the engine refuses when it runs was found at the first question, and at every other.
#[test]
fn a_model_that_the_engine_refuses_is_declined_with_its_node() {
    let declined = |file: &[u8], terms: &Terms| match refusal(file, terms) {
        ModelError::Program {
            rows: 1,
            at,
            source,
        } => (at, source.to_string()),
        other => panic!("{other}"),
    };
    // √x is made for words of 18 fractional bits: at 12 its range has no words.
    let root = single("Sqrt", Axis::Free, 2, &[]);
    served(&root, &terms(4)).unwrap();
    let mut coarse = terms(4);
    coarse.fraction_bits = 12;
    let (at, why) = declined(&root, &coarse);
    assert!(at.contains("Sqrt"), "{at}");
    assert!(why.contains("no such range of words"), "{why}");
}

/// A batch of many rows of a wide model may take more blocks than keys have left when they are renewed.
#[test]
fn what_a_batch_takes_of_the_keys_is_known_before_the_service() {
    fn drawn<E: Replicated>(mut engine: E, protocol: Protocol) -> (u64, u64) {
        let mut terms = terms(8);
        terms.protocol.name = protocol;
        let served = served(&single("Softmax", Axis::Free, 4, &[]), &terms).unwrap();
        let len = match engine.session().me() {
            0 => 32,
            _ => 16 + 8 * 4 * 8,
        };
        let answers = served.answer(&mut engine, &[], &[&Question::blank(8, len)]);
        assert!(answers.unwrap()[0].is_ok());
        (engine.session().cost().drawn, served.blocks())
    }
    for protocol in Protocol::ALL {
        let drawn = simulate(mem(), |session| match protocol {
            Protocol::Rep3 => drawn(Rep3Engine::new(session, 18).unwrap(), protocol),
            _ => drawn(MaliciousEngine::new(session, 18).unwrap(), protocol),
        });
        let drawn: Vec<(u64, u64)> = drawn.into_iter().map(Result::unwrap).collect();
        let most = drawn.iter().map(|d| d.0).max().unwrap();
        for (_, blocks) in drawn {
            assert!(
                (most..2 * most).contains(&blocks),
                "{protocol}: {blocks} for {most} words"
            );
        }
    }
}

/// Parties that differ in anything that a question is answered by do not begin.
#[test]
fn parties_agree_on_all_that_they_serve() {
    let file = single("Relu", Axis::Free, 2, &[]);
    let shared = |change: &(dyn Fn(&mut Terms) + Sync)| -> usize {
        let results = simulate(mem(), |session| {
            let mut own = terms(8);
            if session.me() == 1 {
                change(&mut own);
            }
            let served = served(&file, &own).unwrap();
            let mut engine = Rep3Engine::new(session, 18).unwrap();
            served.share_weights(&mut engine, &own).map(drop)
        });
        let results = results.into_iter().map(Result::unwrap);
        results
            .filter(|r| matches!(r, Err(ServeError::Structure { .. })))
            .count()
    };
    assert_eq!(shared(&|_| ()), 0);
    assert_eq!(
        shared(&|terms| terms.bounds = vec![(-65_536.0, 65_535.0)]),
        3
    );
    assert_eq!(shared(&|terms| terms.max_rows = 7), 3);
    assert_eq!(shared(&|terms| terms.fraction_bits = 17), 3);
    assert_eq!(shared(&|terms| terms.clients.swap(0, 1)), 3);
}
