//! `tacit forecast` as a person starts it, beside the runs that it foretells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The object that a command prints on its last line.
fn told(directory: &Path, args: &[&str]) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args(args)
        .arg("--json")
        .current_dir(directory)
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {stderr}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    serde_json::from_str(stdout.lines().last().unwrap()).unwrap()
}

/// The training of the demo, by both protocols: rounds and bytes are those of `tacit train`, and a farther network takes longer.
#[test]
fn a_training_costs_what_was_forecast() {
    let directory = tempfile::tempdir().unwrap();
    let data = tacit_examples::BREAST_CANCER;
    let job = data.jobs[0].replace("epochs = 10", "epochs = 2");
    std::fs::write(directory.path().join("rows.csv"), data.csv).unwrap();
    std::fs::write(directory.path().join("job.toml"), job).unwrap();
    for protocol in ["rep3", "rep3-malicious"] {
        let by = ["--protocol", protocol];
        let forecast = ["forecast", "job.toml", "--rows", "569"];
        let forecasts = told(directory.path(), &[&forecast[..], &by[..]].concat());
        // The rows of one file are those of the first contributor.
        let third = |k: usize| {
            let mut lines = data.csv.lines();
            let heading = lines.next().unwrap();
            let rows: Vec<&str> = lines.collect();
            let part = &rows[k * 569 / 3..(k + 1) * 569 / 3];
            std::fs::write(
                directory.path().join(format!("{k}.csv")),
                format!("{heading}\n{}\n", part.join("\n")),
            )
            .unwrap();
        };
        (0..3).for_each(third);
        let rows = ["north=0.csv", "west=1.csv", "south=2.csv"];
        let rows: Vec<&str> = rows.iter().flat_map(|&part| ["--data", part]).collect();
        let train = ["train", "--local", "job.toml"];
        let trained = told(directory.path(), &[&train[..], &rows[..], &by[..]].concat());
        let forecasts = forecasts["forecasts"].as_array().unwrap();
        assert_eq!(forecasts.len(), 3);
        for forecast in forecasts {
            assert_eq!(forecast["protocol"], protocol);
            for field in ["rounds", "bytes"] {
                // Comparisons in fewer rounds are chosen on a network that is far.
                if forecast["net"] == "mem" || protocol == "rep3-malicious" {
                    assert_eq!(forecast[field], trained[field], "{protocol} {field}");
                }
            }
        }
        let seconds = |k: usize| forecasts[k]["network_seconds"].as_f64().unwrap();
        assert!(
            seconds(1) > 0.05 && seconds(2) > 100.0 * seconds(1),
            "{forecasts:?}"
        );
    }
}

#[test]
fn what_cannot_be_forecast_is_refused() {
    for (args, status, said) in [
        (&["forecast"][..], 2, "<JOB>"),
        (&["forecast", "--model", "none.onnx"], 1, "none.onnx"),
        (
            &["forecast", "none.toml", "--rows", "3", "--latency", "1"],
            2,
            "--bandwidth",
        ),
        (&["forecast", "none.toml", "--rows", "3"], 1, "none.toml"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_tacit"))
            .args(args)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status), "{args:?}");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said), "{args:?}: {stderr}");
    }
}
