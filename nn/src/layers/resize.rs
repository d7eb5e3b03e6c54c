//! Resizing along axes: a public linear map of each axis, whose weights are computed in the clear.

use std::collections::BTreeMap;

use ndarray::{ArrayD, IxDyn};

use super::invalid;
use crate::{Edge, Graph, Layout, Result};

/// Entries of a row of weights up to which gathering them beats a matrix product.
const FEW: usize = 8;

/// Which entry is nearest to a place between two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nearest {
    /// The nearer, the lower one at the middle.
    PreferFloor,
    /// The nearer, the upper one at the middle.
    PreferCeil,
    /// The lower.
    Floor,
    /// The upper.
    Ceil,
}

/// How values between entries are found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Interpolation {
    /// That of the nearest entry.
    Nearest(Nearest),
    /// On the line between two entries.
    Linear,
    /// On a cubic through four entries.
    Cubic {
        /// Its one free coefficient (Keys 1981, equation 4).
        a: f64,
    },
}

/// How a place of the output is mapped to one of the input. `scale` is output length by input length as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coordinates {
    /// (x + 1/2)/scale - 1/2.
    HalfPixel,
    /// The same, with the centres of both axes on one another even where the output's length was rounded.
    HalfPixelSymmetric,
    /// As half a pixel, but -1/2 for an output of one entry.
    PytorchHalfPixel,
    /// The first and last entries on one another.
    AlignCorners,
    /// x/scale.
    Asymmetric,
    /// (x + 1/2)/scale.
    TfHalfPixelForNn,
    /// A region of the input, with corners aligned.
    TfCropAndResize,
}

/// How to resize.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resize {
    /// How values between entries are found.
    pub interpolation: Interpolation,
    /// How places are mapped.
    pub coordinates: Coordinates,
    /// Whether entries beyond the ends have no weight, instead of repeating those at the ends.
    pub exclude_outside: bool,
    /// Whether the weights are stretched where the output is shorter, so that all entries count.
    pub antialias: bool,
    /// The value of places outside the region, for [`Coordinates::TfCropAndResize`].
    pub extrapolation: f64,
}

/// What becomes of one axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resized {
    /// The axis.
    pub axis: usize,
    /// Output length by input length, as asked for.
    pub scale: f64,
    /// The output's length.
    pub length: usize,
    /// The region for [`Coordinates::TfCropAndResize`], as fractions of the axis.
    pub region: (f64, f64),
}

/// Resizes one axis after the other.
///
/// # Errors
/// Axes that are not there, lengths or scales that are zero.
pub fn resize(g: &mut Graph, x: Edge, how: &Resize, axes: &[Resized]) -> Result<Edge> {
    axes.iter().try_fold(x, |x, to| one(g, x, how, to))
}

fn one(g: &mut Graph, x: Edge, how: &Resize, to: &Resized) -> Result<Edge> {
    let shape = g.shape(x)?.to_vec();
    let Some(&length) = shape.get(to.axis) else {
        return Err(invalid(format!(
            "axis {} is not in a tensor of shape {shape:?}",
            to.axis
        )));
    };
    let fits = length > 0 && to.scale > 0.0 && to.scale.is_finite();
    if !fits || to.length >= 1 << 31 {
        return Err(invalid(format!(
            "{length} entries cannot be resized to {} by the factor {}",
            to.length, to.scale
        )));
    }
    let crop = how.coordinates == Coordinates::TfCropAndResize;
    if to.scale == 1.0 && to.length == length && (!crop || to.region == (0.0, 1.0)) {
        return Ok(x);
    }
    let rows: Vec<Row> = (0..to.length).map(|o| row(how, to, length, o)).collect();
    let y = apply(g, x, to.axis, length, &rows)?;
    let outside: Vec<f64> = rows
        .iter()
        .map(|row| {
            if row.is_empty() {
                how.extrapolation
            } else {
                0.0
            }
        })
        .collect();
    if outside.iter().all(|&v| v == 0.0) {
        return Ok(y);
    }
    let mut along = vec![1; shape.len()];
    along[to.axis] = to.length;
    let constant = g.public(ArrayD::from_shape_fn(IxDyn(&along), |at| {
        outside[at[to.axis]]
    }));
    g.add(y, constant)
}

/// The weight of each entry of the input in one of the output; none for what lies outside.
type Row = BTreeMap<usize, f64>;

fn row(how: &Resize, to: &Resized, length: usize, o: usize) -> Row {
    let last = length as f64 - 1.0;
    let place = place(how.coordinates, to, length as f64, o as f64);
    let mut row = Row::new();
    if how.coordinates == Coordinates::TfCropAndResize && !(0.0..=last).contains(&place) {
        return row;
    }
    let mut add = |at: f64, weight: f64| {
        let inside = (0.0..=last).contains(&at);
        if weight != 0.0 && (inside || !how.exclude_outside) {
            *row.entry(at.clamp(0.0, last) as usize).or_default() += weight;
        }
    };
    // Weights by the distance, stretched where the output is shorter and that is asked for.
    let stretch = if how.antialias {
        to.scale.min(1.0)
    } else {
        1.0
    };
    match how.interpolation {
        Interpolation::Nearest(nearest) => {
            let at = match nearest {
                Nearest::PreferFloor => (place - 0.5).ceil(),
                Nearest::PreferCeil => (place + 0.5).floor(),
                Nearest::Floor => place.floor(),
                Nearest::Ceil => place.ceil(),
            };
            add(at.clamp(0.0, last), 1.0);
        }
        Interpolation::Linear => around(place, 1.0 / stretch, |at| {
            add(at, (1.0 - (at - place).abs() * stretch).max(0.0));
        }),
        Interpolation::Cubic { a } => around(place, 2.0 / stretch, |at| {
            add(at, cubic(a, (at - place).abs() * stretch));
        }),
    }
    let sum: f64 = row.values().sum();
    if sum != 0.0 {
        row.values_mut().for_each(|w| *w /= sum);
    }
    row
}

/// Visits the whole numbers within `reach` of a place.
fn around(place: f64, reach: f64, mut f: impl FnMut(f64)) {
    let mut at = (place - reach).ceil();
    while at <= place + reach {
        f(at);
        at += 1.0;
    }
}

/// The cubic convolution kernel of Keys 1981, for distances of 0 and more.
fn cubic(a: f64, x: f64) -> f64 {
    if x <= 1.0 {
        ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a
    } else {
        0.0
    }
}

/// Where entry x of the output lies on the input.
fn place(coordinates: Coordinates, to: &Resized, input: f64, x: f64) -> f64 {
    let scale = to.scale;
    // The length before it was rounded.
    let output = scale * input;
    match coordinates {
        Coordinates::HalfPixel => (x + 0.5) / scale - 0.5,
        Coordinates::HalfPixelSymmetric => {
            let adjustment = to.length as f64 / output;
            input / 2.0 * (1.0 - adjustment) + (x + 0.5) / scale - 0.5
        }
        Coordinates::PytorchHalfPixel if output == 1.0 => -0.5,
        Coordinates::PytorchHalfPixel => (x + 0.5) / scale - 0.5,
        Coordinates::AlignCorners if output == 1.0 => 0.0,
        Coordinates::AlignCorners => x * (input - 1.0) / (output - 1.0),
        Coordinates::Asymmetric => x / scale,
        Coordinates::TfHalfPixelForNn => (x + 0.5) / scale,
        Coordinates::TfCropAndResize => {
            let (start, end) = to.region;
            let along = if output == 1.0 {
                (end - start) * (input - 1.0) / 2.0
            } else {
                x * (end - start) * (input - 1.0) / (output - 1.0)
            };
            start * (input - 1.0) + along
        }
    }
}

/// The map with the given rows, along an axis.
fn apply(g: &mut Graph, x: Edge, axis: usize, length: usize, rows: &[Row]) -> Result<Edge> {
    let most = rows.iter().map(Row::len).max().unwrap_or(0);
    // The k-th entry of each row; a shorter row repeats any entry with weight zero.
    let tap = |k: usize| -> (Vec<usize>, Vec<f64>) {
        rows.iter()
            .map(|row| row.iter().nth(k).map_or((0, 0.0), |(&i, &w)| (i, w)))
            .unzip()
    };
    if most <= FEW {
        let mut along = vec![1; g.shape(x)?.len()];
        along[axis] = rows.len();
        let mut terms = Vec::with_capacity(most);
        for k in 0..most.max(1) {
            let (index, weights) = tap(k);
            let part = g.gather(x, axis, &index)?;
            if most == 1 && weights.iter().all(|&w| w == 1.0) {
                return Ok(part);
            }
            let weights = ArrayD::from_shape_fn(IxDyn(&along), |at| weights[at[axis]]);
            let weights = g.public(weights);
            terms.push((1, g.mul(part, weights)?));
        }
        return match terms[..] {
            [(_, only)] => Ok(only),
            _ => g.linear(&terms, 0.0),
        };
    }
    let mut matrix = ArrayD::zeros(IxDyn(&[length, rows.len()]));
    for (o, row) in rows.iter().enumerate() {
        for (&i, &w) in row {
            matrix[[i, o]] = w;
        }
    }
    let matrix = g.public(matrix);
    let shape = g.shape(x)?.to_vec();
    let mut axes: Vec<usize> = (0..shape.len()).filter(|&a| a != axis).collect();
    axes.push(axis);
    let x = g.layout(Layout::Transpose(axes.clone()), x)?;
    let mut moved: Vec<usize> = axes.iter().map(|&a| shape[a]).collect();
    let others: usize = moved[..moved.len() - 1].iter().product();
    let x = g.reshape(x, &[others, length])?;
    let y = g.matmul(x, matrix)?;
    if let Some(last) = moved.last_mut() {
        *last = rows.len();
    }
    let y = g.reshape(y, &moved)?;
    let mut back = vec![0; axes.len()];
    axes.iter().enumerate().for_each(|(k, &a)| back[a] = k);
    g.layout(Layout::Transpose(back), y)
}

#[cfg(test)]
mod tests;
