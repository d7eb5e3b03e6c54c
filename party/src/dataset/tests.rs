use tempfile::TempDir;

use super::*;
use crate::test_job::{csv, job, job_toml};

/// A data set of these files.
fn declared(description: &str, rows: &str) -> (TempDir, DatasetFiles) {
    let dir = tempfile::tempdir().unwrap();
    let files = DatasetFiles {
        file: dir.path().join("ward.csv"),
        description: dir.path().join("ward.toml"),
    };
    fs::write(&files.file, rows).unwrap();
    fs::write(&files.description, description).unwrap();
    (dir, files)
}

fn fault(description: &str, rows: &str) -> String {
    let (_dir, files) = declared(description, rows);
    Dataset::load("ward", &files).unwrap_err().to_string()
}

#[test]
fn a_job_file_serves_as_a_description() {
    let (_dir, files) = declared(&job_toml(""), &csv(9, 0));
    let dataset = Dataset::load("ward", &files).unwrap();
    let agreed = dataset.agree(&job("").data).unwrap();
    assert_eq!(dataset.read(&agreed).unwrap().len(), 9);
}

#[test]
fn the_jobs_order_of_columns_is_kept() {
    let (_dir, files) = declared(&job_toml(""), "age,dose,ill\n100,0,1\n");
    let dataset = Dataset::load("ward", &files).unwrap();
    let mut asked = job("").data;
    asked.features.reverse();
    let agreed = dataset.agree(&asked).unwrap();
    let rows = dataset.read(&agreed).unwrap();
    assert_eq!(rows.x, ndarray::arr2(&[[0.0, 1.0]]));
}

#[test]
fn every_departure_of_a_job_is_named() {
    let (_dir, files) = declared(&job_toml("data.pad_rows = 60"), &csv(9, 0));
    let dataset = Dataset::load("ward", &files).unwrap();
    let good = job("data.pad_rows = 60").data;
    dataset.agree(&good).unwrap();
    let differs = |change: &dyn Fn(&mut DataSpec)| {
        let mut asked = good.clone();
        change(&mut asked);
        dataset.agree(&asked).unwrap_err().to_string()
    };
    assert_eq!(
        differs(&|data| data.classes = 3),
        "my description of the data set \"ward\" disagrees with the job about data.classes"
    );
    assert!(differs(&|data| data.dataset = "floor".into()).ends_with("about data.dataset"));
    assert!(differs(&|data| data.label = "dead".into()).ends_with("about data.label"));
    assert!(differs(&|data| data.pad_rows = None).ends_with("about data.pad_rows"));
    assert!(differs(&|data| data.pad_rows = Some(59)).ends_with("about data.pad_rows"));
    for change in [
        (|data| data.features[0].max = 99.0) as fn(&mut DataSpec),
        |data| data.features[0].min = 1.0,
    ] {
        assert!(differs(&change).ends_with("about the bounds of \"age\" in data.features"));
    }
    let unknown = differs(&|data| data.features[1].name = "name".into());
    assert!(unknown.ends_with("about the column \"name\" in data.features"));
    let fewer = differs(&|data| data.features.truncate(1));
    assert!(fewer.ends_with("about the number of columns in data.features"));
}

#[test]
fn a_fault_in_the_rows_is_found_at_the_start() {
    for (rows, expected) in [
        ("", "ward.csv: is empty"),
        ("age,dose,ill\n", "ward.csv: has a header but no rows"),
        ("age,ill\n40,1\n", "line 1: the column \"dose\""),
        (
            "age,dose,ill,surname\n40,0,1,x\n",
            "line 1: the description does not list the column \"surname\"",
        ),
        (
            "age,dose,ill\n40,0,1\n40,7,1\n",
            "ward.csv: line 3, column \"dose\": lies outside",
        ),
        (
            "age,dose,ill\n40,x,1\n",
            "line 2, column \"dose\": is not a number",
        ),
        (
            "age,dose,ill\n40,NaN,1\n",
            "line 2, column \"dose\": is not finite",
        ),
        (
            "age,dose,ill\ninf,0,1\n",
            "line 2, column \"age\": is not finite",
        ),
        (
            "age,dose,ill\n40,0,2\n",
            "line 2, column \"ill\": the label",
        ),
        ("age,dose,ill\n40,0\n", "line 2: has 2 fields"),
    ] {
        let fault = fault(&job_toml(""), rows);
        assert!(fault.contains(expected), "{fault}");
    }
    let few = fault(&job_toml("data.pad_rows = 8"), &csv(9, 0));
    assert!(few.contains("more rows than the 8"), "{few}");
}

#[test]
fn a_fault_in_the_description_names_the_file_and_the_place() {
    let fault = |from: &str, to: &str| fault(&job_toml("").replace(from, to), &csv(9, 0));
    assert!(fault("classes = 2", "classes = two").contains("ward.toml: line 8, column 16"));
    assert!(fault("classes = 2", "classes = 1").contains("ward.toml: data.classes"));
    assert!(fault("max = 100", "max = 0").contains("\"age\""));
    let other = fault("\"ward\"", "\"floor\"");
    assert!(
        other.contains("\"floor\"") && other.contains("\"ward\""),
        "{other}"
    );
    let (_dir, mut files) = declared(&job_toml(""), &csv(9, 0));
    files.description = "no/such/file.toml".into();
    let missing = Dataset::load("ward", &files).unwrap_err().to_string();
    assert!(missing.starts_with("no/such/file.toml: "), "{missing}");
}
