use std::path::PathBuf;

use super::*;

fn schema(classes: usize) -> DataSpec {
    let feature = |name: &str, min, max| Feature {
        name: name.into(),
        min,
        max,
    };
    DataSpec {
        dataset: "ward".into(),
        label: "ill".into(),
        classes,
        label_bounds: None,
        pad_rows: None,
        features: vec![feature("age", 0.0, 100.0), feature("dose", -1.0, 3.0)],
    }
}

fn fault(csv: impl AsRef<[u8]>) -> Fault {
    parse(csv.as_ref(), &schema(2)).unwrap_err()
}

#[test]
fn numbers_are_taken_as_they_are() {
    let bounds = Bounds {
        min: -2.0,
        max: 10.0,
    };
    let numbers = DataSpec {
        label_bounds: Some(bounds),
        ..schema(0)
    };
    let mut rows = parse(&b"age,dose,ill\n25,0.5,-1.5\n100,3,9.75\n"[..], &numbers).unwrap();
    assert_eq!(rows.y, ndarray::array![[-1.5], [9.75]]);
    rows.pad(3).unwrap();
    rows.unscale(&numbers);
    assert_eq!(
        rows.x,
        ndarray::array![[25.0, 0.5], [100.0, 3.0], [0.0, 0.0]]
    );
    let outside = parse(&b"age,dose,ill\n25,0.5,10.5\n"[..], &numbers).unwrap_err();
    let want = Fault::OutOfRange {
        line: 2,
        column: "ill".into(),
        min: -2.0,
        max: 10.0,
    };
    assert_eq!(outside, want);
}

#[test]
fn rows_are_scaled_and_columns_found_by_name() {
    let rows = parse("ill, dose ,age\n1,3,0\n0,0,75\n".as_bytes(), &schema(2)).unwrap();
    assert_eq!(rows.x, ndarray::arr2(&[[-1.0, 1.0], [0.5, -0.5]]));
    assert_eq!(rows.y, ndarray::arr2(&[[1.0], [0.0]]));
    assert!(rows.weights.is_none());
}

#[test]
fn more_than_two_classes_are_one_hot() {
    let rows = parse("age,dose,ill\n50,1,2\n50,1,0.0\n".as_bytes(), &schema(3)).unwrap();
    assert_eq!(rows.y, ndarray::arr2(&[[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]));
}

#[test]
fn padding_adds_rows_of_weight_zero() {
    let mut rows = parse("age,dose,ill\n100,3,1\n".as_bytes(), &schema(2)).unwrap();
    rows.pad(3).unwrap();
    assert_eq!(rows.x, ndarray::arr2(&[[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]]));
    assert_eq!(rows.y, ndarray::arr2(&[[1.0], [0.0], [0.0]]));
    assert_eq!(rows.weights, Some(ndarray::arr2(&[[1.0], [0.0], [0.0]])));
    assert_eq!(rows.pad(2), Err(Fault::TooManyRows { bound: 2 }));
}

#[test]
fn faults_name_line_and_column() {
    let column = |name: &str| String::from(name);
    assert_eq!(fault(""), Fault::Empty);
    assert_eq!(fault("\n\n"), Fault::Empty);
    assert_eq!(fault("age,dose,ill\n"), Fault::NoRows);
    assert_eq!(
        fault("age,ill\n1,1\n"),
        Fault::MissingColumn {
            column: column("dose")
        }
    );
    assert_eq!(
        fault("age,dose\n1,1\n"),
        Fault::MissingColumn {
            column: column("ill")
        }
    );
    assert_eq!(
        fault("age,dose,ill,name\n1,1,1,1\n"),
        Fault::ExtraColumn {
            column: column("name")
        }
    );
    assert_eq!(
        fault("age,dose,ill,\n1,1,1,1\n"),
        Fault::ExtraColumn { column: column("") }
    );
    assert_eq!(
        fault("age,age,dose,ill\n1,1,1,1\n"),
        Fault::DuplicateColumn {
            column: column("age")
        }
    );
    assert_eq!(
        fault("age,dose,ill\n1,1,1\n1,x,1\n"),
        Fault::NotANumber {
            line: 3,
            column: column("dose")
        }
    );
    assert_eq!(
        fault("age,dose,ill\n,1,1\n"),
        Fault::NotANumber {
            line: 2,
            column: column("age")
        }
    );
    for value in ["NaN", "inf", "-infinity", "1e999"] {
        assert_eq!(
            fault(format!("age,dose,ill\n{value},1,1\n")),
            Fault::NotFinite {
                line: 2,
                column: column("age")
            }
        );
    }
    for value in ["-1.001", "3.5"] {
        let expected = Fault::OutOfRange {
            line: 2,
            column: column("dose"),
            min: -1.0,
            max: 3.0,
        };
        assert_eq!(fault(format!("age,dose,ill\n1,{value},1\n")), expected);
    }
    for value in ["2", "-1", "0.5"] {
        let expected = Fault::Label {
            line: 2,
            column: column("ill"),
            classes: 2,
        };
        assert_eq!(fault(format!("age,dose,ill\n1,1,{value}\n")), expected);
    }
    assert!(matches!(
        fault("age,dose,ill\n1,1,1\n1,1\n"),
        Fault::Malformed { line: 3, .. }
    ));
    assert!(matches!(
        fault("age,dose,ill\n1,1,1,1\n"),
        Fault::Malformed { line: 2, .. }
    ));
    assert!(matches!(
        fault(b"age,dose,ill\n1,1,1\n1,\xff,1\n"),
        Fault::Malformed { line: 3, .. }
    ));
}

#[test]
fn errors_name_the_file_and_never_a_value() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ward.csv");
    let secret = "4242.4242";
    for line in [
        format!("{secret},1,1"),
        format!("1,1,{secret}"),
        format!("x{secret},1,1"),
        format!("1,1,1,{secret}"),
    ] {
        std::fs::write(&file, format!("age,dose,ill\n{line}\n")).unwrap();
        let error = read(&file, &schema(2)).unwrap_err();
        for text in [error.to_string(), format!("{error:?}")] {
            assert!(!text.contains("4242"), "{text}");
        }
        assert!(error.to_string().contains("ward.csv: line 2"), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = read(&PathBuf::from("no/such/file.csv"), &schema(2)).unwrap_err();
    assert_eq!(error.fault, Fault::Unreadable("entity not found".into()));
    assert!(
        error
            .to_string()
            .starts_with("no/such/file.csv: cannot be read"),
        "{error}"
    );
}

#[test]
fn rows_do_not_print() {
    let rows = parse("age,dose,ill\n42,1,1\n".as_bytes(), &schema(2)).unwrap();
    assert_eq!(format!("{rows:?}"), "Rows(redacted)");
}
