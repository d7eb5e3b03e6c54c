//! Malignant or benign, by logistic regression.

use std::error::Error;

use tacit_examples::BREAST_CANCER;
use tacit_fhe::train::{Logistic, LogisticRecipe, Rows, accuracy, folds};

/// The recipe that cross-validation chose.
const RECIPE: LogisticRecipe = LogisticRecipe {
    steps: 400,
    rate: 0.05,
    decay: 1e-3,
};

/// Rows by their numbers, one after the other, and their classes.
fn rows(of: &[usize]) -> (Vec<f32>, Vec<usize>) {
    let all = BREAST_CANCER.numbers();
    let numbers = of.iter().flat_map(|&k| all[k].0.clone()).collect();
    (numbers, of.iter().map(|&k| all[k].1).collect())
}

/// How often the regression is right, and how often its program is, on rows that it was not trained with.
fn measure(
    kept: &[usize],
    held: &[usize],
    recipe: LogisticRecipe,
) -> Result<(f64, f64, tacit_fhe::program::Program), Box<dyn Error>> {
    let (numbers, classes) = rows(kept);
    let float = Logistic::train(&numbers, 30, &classes, recipe)?;
    let program = float.program("breast-cancer", 255, 127)?;
    let (numbers, classes) = rows(held);
    let right = |(row, &class): (&[f32], &usize)| usize::from(float.score(row) > 0.0) == class;
    let rights = numbers.chunks(30).zip(&classes).filter(|&row| right(row));
    let float = rights.count() as f64 / classes.len() as f64;
    let rows = Rows::new(&program.parts().input, &numbers, &classes)?;
    Ok((float, accuracy(&program, &rows), program))
}

/// Each decay by five folds of the training rows.
pub(crate) fn search() -> Result<(), Box<dyn Error>> {
    let all = BREAST_CANCER.split().0;
    for decay in [3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4] {
        let (mut float, mut integers) = (0.0, 0.0);
        for (kept, held) in folds(all.len(), 5, 0) {
            let [kept, held] =
                [kept, held].map(|of| of.iter().map(|&k| all[k]).collect::<Vec<_>>());
            let (a, b, _) = measure(&kept, &held, LogisticRecipe { decay, ..RECIPE })?;
            float += a / 5.0;
            integers += b / 5.0;
        }
        println!("decay {decay}: float {float:.4} integers {integers:.4}");
    }
    Ok(())
}

/// The shipped model.
pub(crate) fn ship() -> Result<(), Box<dyn Error>> {
    let (kept, held) = BREAST_CANCER.split();
    let (float, integers, program) = measure(&kept, &held, RECIPE)?;
    println!("float {float:.4} integers {integers:.4}");
    super::write(&program)
}
