//! Small real data sets, and the job files that train on them.
//!
//! `README.md` beside this crate says where the data come from and under which licence. The demo runs exactly these jobs.

/// A table of numbers with a header, and jobs that train on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dataset {
    /// Its name in the jobs.
    pub name: &'static str,
    /// The whole table: a header line, then one line a row, numbers between commas; the last column is the class.
    pub csv: &'static str,
    /// Job files, the simpler model first. Their feature lists hold the columns' public bounds.
    pub jobs: [&'static str; 2],
}

/// Breast Cancer Wisconsin (Diagnostic): 569 rows, 30 measurements of cell nuclei, malignant (1) or benign (0).
pub const BREAST_CANCER: Dataset = Dataset {
    name: "breast-cancer",
    csv: include_str!("../data/breast-cancer.csv"),
    jobs: [
        include_str!("../jobs/breast-cancer-lr.toml"),
        include_str!("../jobs/breast-cancer-mlp.toml"),
    ],
};

/// Optical Recognition of Handwritten Digits: 1797 rows, 8 by 8 pixels from 0 to 16, ten classes.
pub const DIGITS: Dataset = Dataset {
    name: "digits",
    csv: include_str!("../data/digits.csv"),
    jobs: [
        include_str!("../jobs/digits-softmax.toml"),
        include_str!("../jobs/digits-mlp.toml"),
    ],
};

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
