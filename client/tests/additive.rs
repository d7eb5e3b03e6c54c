//! `tacit circuit`, `tacit bench` and what is refused, on additive shares of several parties, as a person types it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

fn tacit(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args(args)
        .output()
        .unwrap()
}

/// What a command that must succeed says on its last line, and all that it says.
fn told(args: &[&str]) -> (Value, String) {
    let output = tacit(args);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let last = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    (last, text)
}

/// x + y of two bits each: three bits, in two layers of conjunctions.
const ADDER: &str = "\
7 11
2 2 2
1 3

2 1 0 2 8 XOR
2 1 0 2 5 AND
2 1 1 3 6 XOR
2 1 1 3 7 AND
2 1 6 5 4 AND
2 1 6 5 9 XOR
2 1 7 4 10 XOR
";

#[test]
fn a_circuit_is_run_by_as_many_parties_as_are_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("adder.txt");
    std::fs::write(&file, ADDER).unwrap();
    let file = file.to_str().unwrap();
    let asked = ["--input", "3", "--input", "2", "--runs", "1", "--json"];
    for (protocol, parties) in [
        ("additive", "2"),
        ("additive", "3"),
        ("additive-dealer", "2"),
        ("additive-dealer", "5"),
    ] {
        let who = [
            "circuit",
            file,
            "--protocol",
            protocol,
            "--parties",
            parties,
        ];
        let (entry, text) = told(&[&who[..], &asked[..]].concat());
        assert!(
            text.contains("output 0: 05"),
            "{protocol} {parties}: {text}"
        );
        // Two layers of conjunctions and the opening; correlations apart.
        let number = |field: &str| entry["run"][field].as_u64().unwrap();
        assert_eq!(number("rounds"), 3, "{entry}");
        assert!(
            number("bytes") > 0 && number("offline_bytes") > 0,
            "{entry}"
        );
        let by_dealer = protocol == "additive-dealer";
        assert_eq!(number("offline_rounds") == 1, by_dealer, "{entry}");
    }
}

#[test]
fn bytes_of_products_are_those_of_their_openings() {
    for (protocol, parties) in [
        ("additive", 2u64),
        ("additive-dealer", 3),
        ("additive-dealer", 8),
    ] {
        let (n, count) = (100, parties.to_string());
        let args = [
            "bench",
            "--protocol",
            protocol,
            "--parties",
            &count,
            "--runs",
            "1",
            "--json",
        ];
        let what = ["--op", "mul", "--size", "100", "--net", "wan"];
        let (told, _) = told(&[&args[..], &what[..]].concat());
        let [entry] = &told["results"].as_array().unwrap()[..] else {
            panic!("one operation: {told}")
        };
        assert_eq!(entry["protocol"], protocol);
        assert_eq!(entry["rounds"], 1, "{entry}");
        // Two words a product, from each to each other.
        assert_eq!(entry["bytes"], 16 * n * parties * (parties - 1), "{entry}");
        assert_eq!(entry["max_abs_error"], 0.0, "{entry}");
        if protocol == "additive-dealer" {
            assert_eq!(entry["offline_bytes"], 8 * n, "{entry}");
        }
        // Half a round trip at least, by a clock that only counts.
        assert!(entry["seconds"].as_f64().unwrap() >= 0.025, "{entry}");
    }
}

/// Run after run on a simulated network: every figure but those of the machine.
#[test]
fn a_bench_of_four_parties_and_a_dealer_repeats_to_the_digit() {
    let once = || {
        let args = [
            "bench",
            "--protocol",
            "additive-dealer",
            "--parties",
            "4",
            "--runs",
            "1",
            "--json",
        ];
        let what = ["--op", "relu", "--size", "5000", "--net", "lan"];
        let (mut told, _) = told(&[&args[..], &what[..]].concat());
        let entry = told["results"][0].as_object_mut().unwrap();
        let figures = ["rounds", "bytes", "seconds", "messages", "header_bytes"];
        figures.map(|field| entry.remove(field).unwrap())
    };
    let first = once();
    assert_eq!(once(), first);
    assert_eq!(once(), first);
}

/// What is not there for additive shares is refused before anything is run, in one sentence that says what to choose.
#[test]
fn what_additive_shares_do_not_do_is_refused_with_a_way_out() {
    let bench = ["bench", "--protocol", "additive", "--runs", "1"];
    for (more, advice) in [
        (
            &["--op", "mul", "--net", "loopback"][..],
            "choose --net mem, lan or wan",
        ),
        (&["--op", "mul"], "choose --net mem, lan or wan"),
        (
            &["--op", "logistic-regression", "--net", "mem"],
            "choose --protocol rep3",
        ),
        (
            &["--op", "mul", "--net", "mem", "--parties", "1"],
            "--parties from 2 to 16",
        ),
        (
            &["--op", "mul", "--net", "mem", "--parties", "17"],
            "--parties from 2 to 16",
        ),
    ] {
        let output = tacit(&[&bench[..], more].concat());
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{more:?}: {errors}");
        assert!(errors.contains(advice), "{more:?}: {errors}");
        assert!(!errors.contains("panicked"), "{errors}");
    }
    // Commands that train or serve do not know the word, and name those that they know.
    for args in [
        [
            "train",
            "--local",
            "--protocol",
            "additive",
            "--data",
            "a.csv",
            "job.toml",
        ],
        ["demo", "--protocol", "additive-dealer", "", "", "", ""],
    ] {
        let args: Vec<&str> = args.into_iter().filter(|a| !a.is_empty()).collect();
        let output = tacit(&args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{args:?}");
        assert!(errors.contains("rep3"), "{args:?}: {errors}");
    }
}
