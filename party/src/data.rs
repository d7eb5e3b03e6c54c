//! The institution's own rows: a CSV file, held against its description.
//!
//! The first line names the columns, which must be the described features and the label, in any order and nothing else.
//! Features are scaled to [-1, 1] by the described bounds, which are public; labels become 0/1 or one-hot rows.

mod error;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs::File;
use std::path::Path;

use ndarray::Array2;
use tacit_api::job::{Bounds, DataSpec, Feature};
use zeroize::Zeroize;

pub use error::{Error, Fault};

/// One institution's rows, scaled and encoded. Wiped from memory on drop, never printed.
pub struct Rows {
    /// `[rows, features]`, in [-1, 1].
    pub x: Array2<f64>,
    /// `[rows, 1]` in {0, 1} for two classes, one-hot `[rows, classes]` for more; `[rows, 1]` for numbers, as they are.
    pub y: Array2<f64>,
    /// `[rows, 1]`: 1 for a row of the file, 0 for padding; `None` if nothing was padded.
    pub weights: Option<Array2<f64>>,
}

impl Rows {
    /// Number of rows, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.x.nrows()
    }

    /// Number of rows of the file, without padding.
    #[must_use]
    pub fn real(&self) -> usize {
        self.weights
            .as_ref()
            .map_or(self.len(), |weights| weights.sum() as usize)
    }

    /// Whether there is no row at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Features as they stand in the file, for models that bring their own scaling; padding stays 0.
    pub fn unscale(&mut self, schema: &DataSpec) {
        for (mut column, feature) in self.x.columns_mut().into_iter().zip(&schema.features) {
            let (middle, half) = halves(feature);
            column.mapv_inplace(|v| middle + half * v);
        }
        if let Some(weights) = &self.weights {
            self.x *= weights;
        }
    }

    /// Appends rows of zeros and weight 0 up to `bound` rows, so that their number says nothing about the file.
    fn pad(&mut self, bound: usize) -> Result<(), Fault> {
        let rows = self.len();
        if rows > bound {
            return Err(Fault::TooManyRows { bound });
        }
        for part in [&mut self.x, &mut self.y] {
            let mut padded = Array2::zeros((bound, part.ncols()));
            padded.slice_mut(ndarray::s![..rows, ..]).assign(part);
            wipe(&mut std::mem::replace(part, padded));
        }
        self.weights = Some(Array2::from_shape_fn((bound, 1), |(row, _)| {
            f64::from(u8::from(row < rows))
        }));
        Ok(())
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        wipe(&mut self.x);
        wipe(&mut self.y);
        self.weights.iter_mut().for_each(wipe);
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rows(redacted)")
    }
}

fn wipe(values: &mut Array2<f64>) {
    values.iter_mut().for_each(Zeroize::zeroize);
}

/// Reads `file` against `schema` and pads it where that says so.
///
/// # Errors
/// The first [`Fault`] met, with its line and column. Values are never part of an error.
pub fn read(file: &Path, schema: &DataSpec) -> Result<Rows, Error> {
    let rows = File::open(file).map_err(|e| Fault::Unreadable(e.kind().to_string()));
    rows.and_then(|open| {
        let mut rows = parse(open, schema)?;
        if let Some(bound) = schema.pad_rows {
            rows.pad(bound)?;
        }
        Ok(rows)
    })
    .map_err(|fault| Error::new(file, fault))
}

/// What to do with a column.
enum Role {
    Feature(usize),
    Label,
}

fn parse(source: impl std::io::Read, schema: &DataSpec) -> Result<Rows, Fault> {
    let mut csv = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(source);
    let header = csv.headers().map_err(malformed)?.clone();
    let roles = roles(&header, schema)?;

    let (width, label_width) = (schema.features.len(), schema.label_width());
    let (mut x, mut y) = (Vec::new(), Vec::new());
    let mut record = csv::StringRecord::new();
    while csv.read_record(&mut record).map_err(malformed)? {
        let line = record.position().map_or(0, csv::Position::line);
        let (row_x, row_y) = (x.len(), y.len());
        x.resize(row_x + width, 0.0);
        y.resize(row_y + label_width, 0.0);
        for ((field, column), role) in record.iter().zip(&header).zip(&roles) {
            match *role {
                Role::Feature(k) => x[row_x + k] = scaled(field, line, &schema.features[k])?,
                Role::Label if let Some(bounds) = schema.label_bounds => {
                    y[row_y] = target(field, line, column, bounds)?;
                }
                Role::Label => match class(field, line, column, schema.classes)? {
                    class if schema.classes == 2 => y[row_y] = class as f64,
                    class => y[row_y + class] = 1.0,
                },
            }
        }
    }
    let rows = x.len() / width.max(1);
    if rows == 0 {
        return Err(Fault::NoRows);
    }
    let shaped = |values, width| Array2::from_shape_vec((rows, width), values);
    match (shaped(x, width), shaped(y, label_width)) {
        (Ok(x), Ok(y)) => Ok(Rows {
            x,
            y,
            weights: None,
        }),
        _ => Err(Fault::NoRows),
    }
}

/// The role of each column of the header; refuses what is missing, unknown or doubled.
fn roles(header: &csv::StringRecord, schema: &DataSpec) -> Result<Vec<Role>, Fault> {
    if header.iter().all(str::is_empty) {
        return Err(Fault::Empty);
    }
    let features: HashMap<&str, usize> = schema
        .features
        .iter()
        .enumerate()
        .map(|(k, feature)| (feature.name.as_str(), k))
        .collect();
    let mut seen = HashSet::new();
    let mut roles = Vec::with_capacity(header.len());
    for column in header {
        if !seen.insert(column) {
            return Err(Fault::DuplicateColumn {
                column: column.into(),
            });
        }
        roles.push(match features.get(column) {
            Some(&k) => Role::Feature(k),
            None if column == schema.label => Role::Label,
            None => {
                return Err(Fault::ExtraColumn {
                    column: column.into(),
                });
            }
        });
    }
    let wanted = schema
        .features
        .iter()
        .map(|feature| &feature.name)
        .chain([&schema.label]);
    match wanted
        .into_iter()
        .find(|name| !seen.contains(name.as_str()))
    {
        Some(column) => Err(Fault::MissingColumn {
            column: column.clone(),
        }),
        None => Ok(roles),
    }
}

/// A feature's value, mapped from its bounds to [-1, 1].
fn scaled(field: &str, line: u64, feature: &Feature) -> Result<f64, Fault> {
    let Feature { ref name, min, max } = *feature;
    let value = number(field, line, name)?;
    if value < min || value > max {
        return Err(Fault::OutOfRange {
            line,
            column: name.clone(),
            min,
            max,
        });
    }
    let (middle, half) = halves(feature);
    Ok(((value - middle) / half).clamp(-1.0, 1.0))
}

/// The middle of a feature's bounds, and half their distance.
fn halves(feature: &Feature) -> (f64, f64) {
    let Feature { min, max, .. } = *feature;
    ((max + min) / 2.0, (max - min) / 2.0)
}

/// A label that is a number, within its bounds.
fn target(field: &str, line: u64, column: &str, bounds: Bounds) -> Result<f64, Fault> {
    let value = number(field, line, column)?;
    if value < bounds.min || value > bounds.max {
        return Err(Fault::OutOfRange {
            line,
            column: column.into(),
            min: bounds.min,
            max: bounds.max,
        });
    }
    Ok(value)
}

/// A label as the number of its class.
fn class(field: &str, line: u64, column: &str, classes: usize) -> Result<usize, Fault> {
    let value = number(field, line, column)?;
    if value.fract() != 0.0 || value < 0.0 || value >= classes as f64 {
        return Err(Fault::Label {
            line,
            column: column.into(),
            classes,
        });
    }
    Ok(value as usize)
}

fn number(field: &str, line: u64, column: &str) -> Result<f64, Fault> {
    match field.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        Ok(_) => Err(Fault::NotFinite {
            line,
            column: column.into(),
        }),
        Err(_) => Err(Fault::NotANumber {
            line,
            column: column.into(),
        }),
    }
}

/// The parser's errors without the offending bytes.
fn malformed(error: csv::Error) -> Fault {
    let line = error.position().map_or(1, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::Io(e) => Fault::Unreadable(e.kind().to_string()),
        csv::ErrorKind::Utf8 { .. } => Fault::Malformed {
            line,
            what: "is not UTF-8 text".into(),
        },
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Fault::Malformed {
            line,
            what: format!("has {len} fields, the header names {expected_len}"),
        },
        _ => Fault::Malformed {
            line,
            what: "is not CSV".into(),
        },
    }
}

#[cfg(test)]
mod tests;
