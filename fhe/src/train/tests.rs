//! Small trainings, repeatable, and the integers that they compute with against the programs that they give.

use std::borrow::Cow;

use ndarray::Array2;
use tacit_nn::random::Stream;

use super::{
    forward::{Pass, Tables},
    *,
};
use crate::program::{Input, Program};

fn input(len: usize, max: u16) -> Input {
    Input {
        offset: vec![0.0],
        gain: vec![1.0],
        len,
        max,
    }
}

/// Random rows of values up to `max`, with the class that `class` says.
fn rows(len: usize, max: u16, count: usize, class: impl Fn(&[f32]) -> usize) -> Rows {
    let mut random = Stream::new(&[9; 32], "rows");
    let numbers: Vec<f32> = (0..count * len)
        .map(|_| random.below(usize::from(max) + 1) as f32)
        .collect();
    let classes: Vec<usize> = numbers.chunks(len).map(class).collect();
    Rows::new(&input(len, max), &numbers, &classes).unwrap()
}

fn recipe(epochs: usize, layers: usize) -> Recipe {
    let start = Start {
        spread: 1.0,
        pace: 8.0,
    };
    Recipe {
        epochs,
        batch: 32,
        rate: 0.01,
        smooth: 0.4,
        sparsity: 1e-4,
        decay: 1e-3,
        resolution: 4.0,
        limit: 9,
        layers: vec![start; layers],
    }
}

/// Two layers on an image of 6 by 6 and two channels: windows of 3, every second pixel, then of 2.
fn convolutional() -> Periodic {
    let first = Waves {
        windows: Windows::image([6, 6, 2], 3, 1),
        channels: 2,
        modulus: 16,
    };
    let second = Waves {
        windows: Windows::image([4, 4, 2], 2, 2),
        channels: 3,
        modulus: 20,
    };
    Periodic {
        len: 72,
        hidden: vec![first, second],
        classes: 3,
    }
}

#[test]
fn windows_are_where_they_should_be() {
    let windows = Windows::image([3, 4, 2], 2, 2);
    assert_eq!((windows.taps, windows.positions()), (8, 2));
    assert_eq!(
        windows.index,
        [0, 1, 2, 3, 8, 9, 10, 11, 4, 5, 6, 7, 12, 13, 14, 15]
    );
    assert_eq!(Windows::image([2, 9, 1], 3, 1).positions(), 0);
    assert_eq!(Windows::whole(5).positions(), 1);
    assert_eq!(convolutional().lookups(), 16 * 2 + 4 * 3);
}

/// What a step computes with is what the program computes, to the last bit.
#[test]
fn a_step_and_the_program_compute_the_same_integers() {
    let network = convolutional();
    let rows = rows(72, 3, 64, |x| x[5] as usize % 3);
    let trained = train(&network, &recipe(3, 2), &rows, 4, &mut |_, _| ()).unwrap();
    let program = trained.program("test", input(72, 3)).unwrap();
    let tables = Tables::all(&network, &trained.recipe, &trained.weights);
    let tables = Some((&tables[..], trained.recipe.resolution));
    let pass = Pass::of(&network, &trained.weights, tables, &rows.x);
    let mut attained = [0; 2];
    for (k, x) in rows.x.rows().into_iter().enumerate() {
        let x: Vec<u16> = x.iter().map(|&v| v as u16).collect();
        let trace = program.trace(&x);
        for (layer, (wave, modulus)) in pass.waves.iter().zip([16, 20]).enumerate() {
            for (&z, &a) in wave.phase.row(k).iter().zip(&trace[layer]) {
                assert_eq!((z as i64).rem_euclid(modulus), a.rem_euclid(modulus));
                attained[layer] |= 1_u32 << a.rem_euclid(modulus);
            }
        }
    }
    assert!(
        attained.iter().all(|values| values.count_ones() > 12),
        "{attained:?}"
    );
}

/// Parity cannot be told by a sum: one neuron of modulus 4 can, whose table turns its sign.
#[test]
fn a_periodic_neuron_learns_a_parity() {
    let rows = rows(3, 1, 256, |x| x.iter().sum::<f32>() as usize % 2);
    let network = Periodic::dense(3, 2, 4, 2);
    let found = (0..4).map(|seed| {
        let trained = train(&network, &recipe(60, 1), &rows, seed, &mut |_, _| ()).unwrap();
        accuracy(&trained.program("parity", input(3, 1)).unwrap(), &rows)
    });
    assert_eq!(found.fold(0.0, f64::max), 1.0);
}

#[test]
fn a_seed_repeats_a_training_and_another_one_does_not() {
    let rows = rows(6, 3, 96, |x| usize::from(x[0] > x[1]));
    let network = Periodic::dense(6, 3, 8, 2);
    let program = |seed| -> Program {
        let trained = train(&network, &recipe(2, 1), &rows, seed, &mut |_, _| ()).unwrap();
        trained.program("test", input(6, 3)).unwrap()
    };
    assert_eq!(program(1), program(1));
    assert_ne!(program(1), program(2));
}

#[test]
fn every_epoch_has_the_rows_that_are_said() {
    let network = Periodic::dense(6, 3, 8, 2);
    let all = rows(6, 3, 96, |x| usize::from(x[0] > x[1]));
    let halves = [0..48, 48..96].map(|half| all.select(&half.collect::<Vec<_>>()));
    let with = |of: &dyn Fn(usize) -> Rows, asked: &mut Vec<usize>| {
        let mut rows = |epoch| {
            asked.push(epoch);
            Ok(Cow::Owned(of(epoch)))
        };
        train_varied(&network, &recipe(3, 1), &mut rows, 1, &mut |_, _| ())
    };
    let mut asked = Vec::new();
    let same = with(&|_| halves[0].clone(), &mut asked).unwrap();
    assert_eq!(asked, [0, 1, 2]);
    let fixed = train(&network, &recipe(3, 1), &halves[0], 1, &mut |_, _| ()).unwrap();
    assert_eq!(same, fixed);
    let varied = with(&|epoch| halves[epoch % 2].clone(), &mut asked).unwrap();
    assert_ne!(varied, fixed);
    let fewer = |epoch| all.select(&(0..96 - epoch).collect::<Vec<_>>());
    assert!(matches!(
        with(&fewer, &mut asked),
        Err(TrainError::Invalid(_))
    ));
    let mut none = |_| Err(invalid("no rows"));
    let refused = train_varied(&network, &recipe(3, 1), &mut none, 1, &mut |_, _| ());
    assert_eq!(refused.unwrap_err().to_string(), "no rows");
}

#[test]
fn tables_keep_their_limit_and_the_loss_falls() {
    let rows = rows(6, 3, 256, |x| usize::from(x[0] + x[1] > x[2] + x[3]));
    let recipe = Recipe {
        limit: 3,
        decay: 0.0,
        ..recipe(30, 1)
    };
    let mut losses = Vec::new();
    let network = Periodic::dense(6, 4, 16, 2);
    let trained = train(&network, &recipe, &rows, 1, &mut |_, loss| {
        losses.push(loss)
    })
    .unwrap();
    assert_eq!(losses.len(), 30);
    assert!(losses[29] < 0.5 * losses[0], "{losses:?}");
    let program = trained.program("test", input(6, 3)).unwrap();
    let crate::program::Node::Lookup(lookup) = &program.parts().nodes[1] else {
        panic!("a lookup follows the sums");
    };
    let largest = lookup.tables.iter().flatten().map(|v| v.abs()).max();
    assert_eq!(largest, Some(3));
}

#[test]
fn rows_networks_and_recipes_that_do_not_fit_are_refused() {
    let good = rows(6, 3, 64, |x| x[0] as usize % 2);
    let network = Periodic::dense(6, 3, 8, 2);
    let refused = |network: &Periodic, recipe: &Recipe, rows: &Rows| {
        let refused = train(network, recipe, rows, 0, &mut |_, _| ());
        assert!(
            matches!(refused, Err(TrainError::Invalid(_))),
            "{refused:?}"
        );
    };
    train(&network, &recipe(1, 1), &good, 0, &mut |_, _| ()).unwrap();
    refused(&Periodic::dense(7, 3, 8, 2), &recipe(1, 1), &good);
    refused(&Periodic::dense(6, 0, 8, 2), &recipe(1, 1), &good);
    refused(&Periodic::dense(6, 3, 7, 2), &recipe(1, 1), &good);
    refused(&Periodic::dense(6, 3, 2, 2), &recipe(1, 1), &good);
    refused(&network, &recipe(1, 2), &good);
    refused(&network, &recipe(1, 1), &good.select(&[1, 2, 3]));
    refused(&network, &recipe(1, 1), &rows(6, 3, 64, |_| 2));
    for change in [
        |r: &mut Recipe| r.limit = 0,
        |r: &mut Recipe| r.resolution = f32::NAN,
        |r: &mut Recipe| r.layers[0].pace = 0.0,
        |r: &mut Recipe| r.batch = 0,
    ] {
        let mut recipe = recipe(1, 1);
        change(&mut recipe);
        refused(&network, &recipe, &good);
    }
    assert!(Rows::new(&input(6, 3), &[0.0; 13], &[0, 1]).is_err());
    assert!(Rows::new(&input(6, 3), &[0.0; 12], &[0, 1, 1]).is_err());
}

#[test]
fn every_row_is_held_out_once() {
    let folds = folds(23, 4, 7);
    let mut held: Vec<usize> = folds.iter().flat_map(|(_, held)| held.clone()).collect();
    held.sort_unstable();
    assert_eq!(held, (0..23).collect::<Vec<_>>());
    assert!(
        folds
            .iter()
            .all(|(kept, held)| kept.len() + held.len() == 23)
    );
}

/// Rounded tables, for amplitudes that are integers of steps at every entry, are the smooth ones.
#[test]
fn corrections_are_what_rounding_adds() {
    let network = Periodic::dense(2, 1, 4, 2);
    let weights: Vec<Array2<f32>> = vec![
        ndarray::array![[1.0], [1.0]],
        ndarray::array![[0.0]],
        ndarray::array![[1.0, 0.3]],
        ndarray::array![[-2.0, 0.0]],
        ndarray::array![[0.0, 0.5]],
    ];
    let recipe = Recipe {
        resolution: 2.0,
        ..recipe(1, 1)
    };
    let tables = Tables::all(&network, &recipe, &weights);
    // Entries at phases 0 and π/2, for both sums: 2·(1, 0.3) and 2·(-2, 0), rounded.
    assert_eq!(tables[0].entries, [2, 1, -4, 0]);
    let x = ndarray::array![[0.0, 0.0], [3.0, 0.0]];
    let pass = Pass::of(&network, &weights, Some((&tables, 2.0)), &x);
    let corrections = pass.corrections[0].as_ref().unwrap();
    let want = ndarray::array![[0.0, 0.2], [0.0, 0.0]];
    assert!(
        (corrections - &want).iter().all(|d: &f32| d.abs() < 1e-5),
        "{corrections}"
    );
}

/// Two features decide, one by its sign turned round, one says nothing and one never changes.
#[test]
fn a_regression_and_its_integers_agree() {
    let mut random = Stream::new(&[3; 32], "regression");
    let numbers: Vec<f32> = (0..400)
        .flat_map(|_| {
            [(); 3]
                .map(|()| 100.0 * random.symmetric() as f32)
                .into_iter()
                .chain([7.0])
        })
        .collect();
    let class = |x: &[f32]| usize::from(x[0] - 2.0 * x[1] > 30.0);
    let classes: Vec<usize> = numbers.chunks(4).map(class).collect();
    let recipe = LogisticRecipe {
        steps: 300,
        rate: 0.1,
        decay: 1e-4,
    };
    let float = Logistic::train(&numbers, 4, &classes, recipe).unwrap();
    let program = float.program("regression", 255, 127).unwrap();
    let rows = Rows::new(&program.parts().input, &numbers, &classes).unwrap();
    assert!(accuracy(&program, &rows) > 0.98);
    let scale = f64::from(program.parts().output_scale);
    for row in numbers.chunks(4) {
        let score = program.run(&program.parts().input.quantize(row))[0];
        let apart = (score as f64 * scale - float.score(row)).abs();
        assert!(apart < 0.02 * float.score(row).abs().max(10.0), "{apart}");
    }
    assert_eq!(program.lookups(), 0);
    assert!(Logistic::train(&numbers, 4, &[0, 1, 2], recipe).is_err());
    assert!(Logistic::train(&numbers, 3, &classes, recipe).is_err());
    assert!(Logistic::train(&[], 4, &[], recipe).is_err());
    assert!(float.program("none", 0, 127).is_err());
}
