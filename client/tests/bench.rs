//! `tacit bench` as a person starts it.

#![allow(clippy::unwrap_used)] // a test may panic

use std::process::Command;

use serde_json::Value;

/// The results of two runs, one object an operation.
fn bench(args: &[&str]) -> Vec<Value> {
    of_runs(2, args)
}

fn of_runs(runs: u16, args: &[&str]) -> Vec<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args(["bench", "--json", &format!("--runs={runs}")])
        .args(args)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    last["results"].as_array().unwrap().clone()
}

#[test]
fn three_processes_find_the_rounds_and_bytes_of_the_specification() {
    let results = bench(&["--op", "relu", "--size", "7680"]);
    let [relu] = &results[..] else {
        panic!("one operation")
    };
    assert_eq!(
        (&relu["net"], &relu["op"]),
        (&"loopback".into(), &"relu".into())
    );
    assert_eq!(
        (relu["rounds"].as_u64(), relu["bytes"].as_u64()),
        (Some(6), Some(7680 * 295 / 4))
    );
    for field in [
        "seconds",
        "cpu_seconds",
        "peak_memory_bytes",
        "messages",
        "header_bytes",
    ] {
        assert!(relu[field].as_f64().unwrap() > 0.0, "{field}");
    }
}

/// What is measured is what was forecast, and proofs are told as a part of it.
#[test]
fn a_run_that_is_proved_costs_what_was_forecast_and_its_proofs_are_told_apart() {
    let protocol = ["--protocol", "rep3-malicious"];
    for (op, size, net) in [("relu", "7680", "loopback"), ("mlp", "3", "mem")] {
        let asked = ["--op", op, "--size", size, "--net", net];
        let [entry] = &bench(&[&protocol[..], &asked[..]].concat())[..] else {
            panic!("one operation")
        };
        assert_eq!(entry["protocol"], "rep3-malicious");
        let number = |of: &Value, field: &str| of[field].as_f64().unwrap();
        let (proof, forecast) = (&entry["proof"], &entry["forecast"]);
        for field in ["rounds", "bytes"] {
            assert_eq!(entry[field], forecast[field], "{op} {field}");
        }
        for field in ["seconds", "cpu_seconds", "rounds", "bytes"] {
            let (part, all) = (number(proof, field), number(entry, field));
            assert!(0.0 < part && part < all, "{op} {field}: {part} of {all}");
        }
        assert!(number(entry, "max_abs_error") < 1e-3, "{entry}");
    }
}

#[test]
fn a_network_that_is_not_here_takes_the_same_rounds_and_longer() {
    let [wan] = &bench(&["--op", "mul", "--size", "300", "--net", "wan"])[..] else {
        panic!("one operation")
    };
    assert_eq!(
        (wan["rounds"].as_u64(), wan["bytes"].as_u64()),
        (Some(1), Some(24 * 300))
    );
    assert_eq!(wan["max_abs_error"], 0.0);
    assert!(
        wan["seconds"].as_f64().unwrap() >= 0.025,
        "half a round trip: {wan}"
    );
}

#[test]
fn the_training_of_the_demo_stays_far_below_its_budget() {
    let [training] = &bench(&["--op", "logistic-regression"])[..] else {
        panic!("one operation")
    };
    let number = |field: &str| training[field].as_f64().unwrap();
    assert!(
        number("bytes") + number("header_bytes") < 12.5e6,
        "{training}"
    );
    assert!(
        number("accuracy") > 0.95 && number("max_abs_error") < 0.1,
        "{training}"
    );
}

#[test]
fn without_an_operation_all_are_measured() {
    let right = |entry: &Value| entry["max_abs_error"].as_f64().unwrap() < 0.1;
    let small = ["--net", "mem", "--size", "8"];
    let results = of_runs(1, &small);
    let names: Vec<_> = results
        .iter()
        .filter_map(|entry| entry["op"].as_str())
        .collect();
    assert_eq!(names.len(), 21);
    assert!(names.contains(&"mul_trunc") && names.contains(&"logistic-regression"));
    assert!(results.iter().all(right), "{results:?}");
    // The same with proofs, but for the training of a whole model, which takes minutes of a core then.
    let mut proved = vec!["--protocol", "rep3-malicious"];
    proved.extend(small);
    for name in names.iter().filter(|name| **name != "logistic-regression") {
        proved.extend(["--op", name]);
    }
    let results = of_runs(1, &proved);
    assert_eq!(results.len(), 20);
    assert!(results.iter().all(right), "{results:?}");
}

#[cfg(feature = "tfhe")]
#[test]
fn a_shipped_model_is_measured_on_ciphertexts() {
    let tfhe = ["--protocol", "tfhe", "--model", "digits-8"];
    let [digits] = &bench(&tfhe)[..] else {
        panic!("one model")
    };
    assert_eq!(digits["op"], "digits-8");
    assert_eq!(digits["bootstraps"], 8);
    assert_eq!(digits["wrong"], 0);
    assert!(digits["accuracy"].as_f64().unwrap() > 0.88, "{digits}");
    assert!(
        digits["key_bytes"].as_u64().unwrap() < 40_000_000,
        "{digits}"
    );
    for (args, why) in [
        (
            &["--protocol", "tfhe", "--model", "digits-7"][..],
            "there are breast-cancer, digits-8,",
        ),
        (
            &["--model", "digits-8"],
            "--model is for --protocol tfhe alone",
        ),
    ] {
        let mut bench = Command::new(env!("CARGO_BIN_EXE_tacit"));
        let output = bench.arg("bench").args(args).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [["--op", "telepathy"], ["--size", "0"], ["--runs", "0"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_tacit"))
            .arg("bench")
            .args(args)
            .output();
        assert_eq!(output.unwrap().status.code(), Some(2), "{args:?}");
    }
}

/// Circuits lie outside of this repository: those that are missing are told and counted.
#[test]
fn circuits_that_are_not_there_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    // One conjunction of two inputs of a bit each.
    let and = "1 3\n2 1 1\n1 1\n\n2 1 0 1 2 AND\n";
    std::fs::write(folder.path().join("adder64.txt"), and).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args([
            "bench",
            "--runs",
            "1",
            "--net",
            "wan",
            "--json",
            "--circuits",
        ])
        .arg(folder.path())
        .output()
        .unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{stdout}");
    assert!(stdout.contains("5 circuits skipped"), "{stdout}");
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    let [entry] = &last["results"].as_array().unwrap()[..] else {
        panic!("one circuit: {stdout}")
    };
    assert_eq!(entry["op"], "add-64");
    // A conjunction in two rounds by tables, and the opening of its outputs.
    assert!(entry["rounds"].as_u64().unwrap() >= 2, "{entry}");
}

/// On machines without a device, and on those with one.
#[test]
fn a_bench_says_what_computes() {
    let bench = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_tacit"))
            .args(["bench", "--op", "matmul", "--size", "8", "--runs", "1"])
            .args(args)
            .output()
            .unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (
            output.status.success(),
            text(output.stdout),
            text(output.stderr),
        )
    };
    let (well, table, told) = bench(&["--device", "auto", "--json"]);
    assert!(well && told.contains("products are computed by "), "{told}");
    assert!(table.contains("\"device\":\"auto\""), "{table}");
    let (well, _, told) = bench(&["--device", "cuda:99"]);
    assert!(
        !well && told.contains("device = \"cuda:99\" cannot be used"),
        "{told}"
    );
    let (well, _, told) = bench(&["--device", "cuda", "--net", "mem"]);
    assert!(!well && told.contains("--net loopback alone"), "{told}");
    let (well, _, told) = bench(&["--device", "gpu"]);
    assert!(!well && told.contains("\"gpu\" is no device"), "{told}");
}
