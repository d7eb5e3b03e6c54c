//! From arrays in files to the integers of a program, and back.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use ndarray::{Array2, ArrayD, Axis};
use tacit_fhe::program::{Input, Program};
use tacit_nn::onnx::Constant;

use crate::npy::{self, Dtype, Kind};

/// Rows whose largest results are told, not only written.
const FEW: usize = 20;

/// The program in a file.
///
/// # Errors
/// Names the file, and says what is wrong with it.
pub fn program(path: &Path) -> Result<Program> {
    let shown = path.display();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
    Program::read(file).with_context(|| format!("{shown} is not taken"))
}

/// The rows in a file: the first axis counts them, the others are laid out one after the other.
///
/// # Errors
/// Names the file, and says what is wrong with it.
pub fn read(files: &[PathBuf]) -> Result<Array2<f32>> {
    let [path] = files else {
        anyhow::bail!("an integer program has one input: name one file by --input");
    };
    Ok(shaped(path)?.0)
}

/// The same, and the shape of a row.
///
/// # Errors
/// As [`read`].
pub fn shaped(path: &Path) -> Result<(Array2<f32>, Vec<usize>)> {
    let (shown, numbers) = (path.display(), numbers(path)?);
    let rows = numbers.shape().first().copied().unwrap_or(0);
    ensure!(rows > 0, "{shown} holds no rows");
    let width = numbers.len() / rows;
    let shape = numbers.shape()[1..].to_vec();
    let numbers = numbers.as_standard_layout().mapv(|x| x as f32);
    Ok((numbers.into_shape_with_order((rows, width))?, shape))
}

/// The one array of numbers in a file.
///
/// # Errors
/// As [`read`].
pub fn numbers(path: &Path) -> Result<ArrayD<f64>> {
    let shown = path.display();
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {shown}"))?;
    let mut arrays = npy::read(&bytes).with_context(|| format!("{shown} is not taken"))?;
    ensure!(
        arrays.len() == 1,
        "{shown} holds {} arrays, not one",
        arrays.len()
    );
    let numbers = arrays.remove(0).1.numbers();
    numbers.with_context(|| format!("{shown} holds no numbers"))
}

/// The rows as integers, each as the program's input wants them.
///
/// # Errors
/// Rows of another length, and entries that are not numbers, by row and column.
pub fn quantized(rows: &Array2<f32>, input: &Input) -> Result<Vec<Vec<u16>>> {
    ensure!(
        rows.ncols() == input.len,
        "rows of {} numbers, where the model has {} features",
        rows.ncols(),
        input.len
    );
    for ((row, column), x) in rows.indexed_iter() {
        ensure!(!x.is_nan(), "row {row}, column {column} is not a number");
    }
    let one = |row: ndarray::ArrayView1<'_, f32>| input.quantize(&row.to_vec());
    Ok(rows.axis_iter(Axis(0)).map(one).collect())
}

/// The results as an `.npy` file of numbers, a row each.
///
/// # Errors
/// If the file cannot be written.
pub fn write(path: &Path, results: &[Vec<i64>], scale: f32) -> Result<()> {
    let width = results.first().map_or(0, Vec::len);
    let numbers = results
        .iter()
        .flatten()
        .map(|&x| x as f64 * f64::from(scale));
    let numbers = ArrayD::from_shape_vec(vec![results.len(), width], numbers.collect())?;
    let bytes = npy::encode(&Constant::Float(numbers), Dtype::new(Kind::Float, 4))?;
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    println!("{}", path.display());
    if width > 1 && results.len() <= FEW {
        let largest = results.iter().map(|row| {
            let at = row
                .iter()
                .enumerate()
                .max_by_key(|(k, x)| (**x, std::cmp::Reverse(*k)));
            at.map_or(0, |(k, _)| k).to_string()
        });
        println!(
            "largest of each row: {}",
            largest.collect::<Vec<_>>().join(", ")
        );
    }
    Ok(())
}
