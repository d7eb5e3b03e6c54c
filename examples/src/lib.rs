//! Small real data sets, and the job files that train on them.
//!
//! `README.md` beside this crate says where the data come from and under which licence. The demo runs exactly these jobs.

#[cfg(feature = "mnist")]
pub mod mnist;

/// A table of numbers with a header, and jobs that train on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its name in the jobs.
    pub name: &'static str,
    /// The whole table: a header line, then one line a row, numbers between commas; the last column is the class.
    pub csv: &'static str,
    /// Job files, the simpler model first. Their feature lists hold the columns' public bounds.
    pub jobs: [&'static str; 2],
    /// Rows that models are measured on and never trained with, one number a line, counted from 0 below the header.
    held_out: &'static str,
}

/// Breast Cancer Wisconsin (Diagnostic): 569 rows, 30 measurements of cell nuclei, malignant (1) or benign (0).
pub const BREAST_CANCER: Dataset = Dataset {
    name: "breast-cancer",
    csv: include_str!("../data/breast-cancer.csv"),
    jobs: [
        include_str!("../jobs/breast-cancer-lr.toml"),
        include_str!("../jobs/breast-cancer-mlp.toml"),
    ],
    held_out: include_str!("../data/breast-cancer-held-out.txt"),
};

/// Optical Recognition of Handwritten Digits: 1797 rows, 8 by 8 pixels from 0 to 16, ten classes.
pub const DIGITS: Dataset = Dataset {
    name: "digits",
    csv: include_str!("../data/digits.csv"),
    jobs: [
        include_str!("../jobs/digits-softmax.toml"),
        include_str!("../jobs/digits-mlp.toml"),
    ],
    held_out: include_str!("../data/digits-held-out.txt"),
};

/// What a model is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The held-out rows of a data set.
    HeldOut(Dataset),
    /// The 10,000 test pictures of MNIST, which are not part of the repository.
    Mnist,
}

/// A model for encrypted inference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shipped {
    /// Its name: that of its file in `models`.
    pub name: &'static str,
    /// The file, an integer program.
    pub program: &'static [u8],
    /// The rows that tell how often it is right.
    pub measure: Measure,
}

/// The models for encrypted inference, the smaller ones first.
pub const PROGRAMS: [Shipped; 7] = [
    Shipped {
        name: "breast-cancer",
        program: include_bytes!("../models/breast-cancer.tfhe"),
        measure: Measure::HeldOut(BREAST_CANCER),
    },
    Shipped {
        name: "digits-8",
        program: include_bytes!("../models/digits-8.tfhe"),
        measure: Measure::HeldOut(DIGITS),
    },
    Shipped {
        name: "digits-12",
        program: include_bytes!("../models/digits-12.tfhe"),
        measure: Measure::HeldOut(DIGITS),
    },
    Shipped {
        name: "digits-16",
        program: include_bytes!("../models/digits-16.tfhe"),
        measure: Measure::HeldOut(DIGITS),
    },
    Shipped {
        name: "digits-24",
        program: include_bytes!("../models/digits-24.tfhe"),
        measure: Measure::HeldOut(DIGITS),
    },
    Shipped {
        name: "mnist-128",
        program: include_bytes!("../models/mnist-128.tfhe"),
        measure: Measure::Mnist,
    },
    Shipped {
        name: "mnist-cnn",
        program: include_bytes!("../models/mnist-cnn.tfhe"),
        measure: Measure::Mnist,
    },
];

impl Dataset {
    /// The header line.
    #[must_use]
    pub fn header(&self) -> &'static str {
        self.csv.lines().next().unwrap_or_default()
    }

    /// The lines below the header.
    pub fn rows(&self) -> impl Iterator<Item = &'static str> {
        self.csv.lines().skip(1)
    }

    /// Features and class of each row, in order; none for a table with a hole, which no test lets through.
    #[must_use]
    pub fn numbers(&self) -> Vec<(Vec<f32>, usize)> {
        let row = |line: &str| {
            let (features, class) = line.rsplit_once(',')?;
            let features = features.split(',').map(|cell| cell.parse().ok());
            Some((features.collect::<Option<_>>()?, class.parse().ok()?))
        };
        self.rows()
            .map(row)
            .collect::<Option<_>>()
            .unwrap_or_default()
    }

    /// The numbers of the rows that models are trained with, and of those that they are measured on.
    #[must_use]
    pub fn split(&self) -> (Vec<usize>, Vec<usize>) {
        let held: Vec<usize> = self.held_out.lines().flat_map(str::parse).collect();
        (0..self.rows().count()).partition(|row| held.binary_search(row).is_err())
    }
}

#[cfg(test)]
mod tests {
    use tacit_api::job::JobSpec;

    use super::*;

    /// The numbers of one column.
    fn column(data: &Dataset, k: usize) -> Vec<f64> {
        let cell = |row: &str| row.split(',').nth(k).unwrap().parse().unwrap();
        data.rows().map(cell).collect()
    }

    #[test]
    fn the_tables_are_whole() {
        for (data, rows, columns) in [(BREAST_CANCER, 569, 31), (DIGITS, 1797, 65)] {
            assert_eq!(data.rows().count(), rows);
            for line in data.csv.lines() {
                assert_eq!(line.split(',').count(), columns, "{line}");
            }
        }
    }

    #[test]
    fn a_quarter_of_the_rows_is_held_out() {
        for (data, held) in [(BREAST_CANCER, 143), (DIGITS, 450)] {
            let rows = data.numbers();
            assert_eq!(rows.len(), data.rows().count());
            let (train, test) = data.split();
            assert_eq!((train.len(), test.len()), (rows.len() - held, held));
            let classes = |of: &[usize]| of.iter().map(|&k| rows[k].1).max();
            assert_eq!(classes(&train), classes(&test));
        }
    }

    #[test]
    fn every_job_fits_its_table() {
        for data in [BREAST_CANCER, DIGITS] {
            for text in data.jobs {
                let job = JobSpec::parse(text).unwrap();
                assert_eq!(job.data.dataset, data.name);
                let names = job.data.features.iter().map(|f| f.name.as_str());
                let columns: Vec<_> = names.chain([job.data.label.as_str()]).collect();
                assert_eq!(columns, data.header().split(',').collect::<Vec<_>>());
                let labels = column(&data, columns.len() - 1);
                for class in 0..job.data.classes {
                    assert!(labels.contains(&(class as f64)), "nobody has class {class}");
                }
                assert!(labels.iter().all(|&y| y < job.data.classes as f64));
            }
        }
    }

    /// Bounds are public: they contain every value, and they are not the extremes of the rows.
    #[test]
    fn bounds_contain_the_values_and_do_not_give_them_away() {
        for (data, physical) in [(BREAST_CANCER, false), (DIGITS, true)] {
            let job = JobSpec::parse(data.jobs[0]).unwrap();
            for (k, feature) in job.data.features.iter().enumerate() {
                let values = column(&data, k);
                let least = values.iter().copied().fold(f64::INFINITY, f64::min);
                let greatest = values.iter().copied().fold(0.0, f64::max);
                assert!(
                    feature.min <= least && greatest <= feature.max,
                    "{}",
                    feature.name
                );
                // The range of a pixel is a fact of the scanner; elsewhere there is room above.
                assert!(physical || feature.max > 1.1 * greatest, "{}", feature.name);
            }
        }
    }
}
