//! The walk-through of docs/consortium.md, command by command, as real members type it.

#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::path::Path;

use common::{Plan, World, complaint, floats, long_job, npy, said};
use serde_json::Value;

#[test]
fn a_consortium_by_hand_from_keys_to_model() {
    let world = World::new();
    let home = world.path("analyst");
    let toml = tacit_examples::BREAST_CANCER.jobs[0];

    let id = world.submit(toml);
    assert!(
        id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    let watched = said(&["watch", "--dir", &home, &id, "--json"]);
    let watched: Value = serde_json::from_str(watched.lines().last().unwrap()).unwrap();
    let losses = watched["losses"].as_array().unwrap();
    assert_eq!(losses.len(), 10);
    assert!(losses[9].as_f64() < losses[0].as_f64(), "{losses:?}");

    let [model, onnx] = ["model.safetensors", "model.onnx"].map(|name| world.path(name));
    let fetched = said(&[
        "fetch", "--dir", &home, &id, "-o", &model, "--onnx", &onnx, "--json",
    ]);
    let fetched: Value = serde_json::from_str(fetched.lines().last().unwrap()).unwrap();
    assert!(
        fetched["metrics"]["accuracy"].as_f64().unwrap() > 0.9,
        "{fetched}"
    );
    assert!(Path::new(&model).exists() && Path::new(&onnx).exists());
    assert!(said(&["jobs", "--dir", &home]).contains("done"));

    // The model goes on learning from its file: a part of it, which returns in the same file.
    let tuned = toml
        .replace("hidden = []", "onnx = \"../model.onnx\"")
        .replace(
            "learning_rate = 0.1",
            "learning_rate = 0.01\ntrain = [\"layer0.bias\"]",
        )
        .replace("momentum = 0.9", "optimizer = \"adam\"")
        .replace("epochs = 10", "epochs = 1");
    let id = world.submit(&tuned);
    said(&["watch", "--dir", &home, &id]);
    let [part, again] = ["part.safetensors", "tuned.onnx"].map(|name| world.path(name));
    let fetched = said(&[
        "fetch", "--dir", &home, &id, "-o", &part, "--onnx", &again, "--json",
    ]);
    let fetched: Value = serde_json::from_str(fetched.lines().last().unwrap()).unwrap();
    assert!(
        fetched["metrics"]["accuracy"].as_f64().unwrap() > 0.9,
        "{fetched}"
    );
    let [before, after] = [&onnx, &again].map(|file| std::fs::read(file).unwrap());
    assert_ne!(before, after);
    let apart = before.iter().zip(&after).filter(|(a, b)| a != b).count();
    assert!(
        before.len() == after.len() && apart <= 4,
        "only the bias is another: {apart} bytes"
    );

    // One institution's policy is enough to stop a job, and the submitter learns whose it was and why.
    let long = toml.replace("epochs = 10", "epochs = 30");
    let refused = complaint(&["submit", "--dir", &home, &world.job(&long), "--watch"]);
    assert!(
        refused.contains("west") && refused.contains("at most 20 epochs"),
        "{refused}"
    );
    let newest = &world.jobs()[0];
    assert_eq!(
        (&newest["state"], &newest["culprit"]),
        (&"failed".into(), &"west".into())
    );
    let refused = complaint(&[
        "fetch",
        "--dir",
        &home,
        newest["id"].as_str().unwrap(),
        "-o",
        &model,
    ]);
    assert!(refused.contains("failed"), "{refused}");

    // Mistakes of the submitter's own are found before anybody else sees the job.
    let wrong = complaint(&["submit", "--dir", &home, &world.job("name = 1")]);
    assert!(
        wrong.contains("job.toml") && wrong.contains("line 1"),
        "{wrong}"
    );
    let unknown = complaint(&["watch", "--dir", &home, "00112233445566778899aabbccddeeff"]);
    assert!(unknown.contains("no job"), "{unknown}");
}

/// docs/service.md: a model is trained, served, and asked by a client, who gets what the model says in the clear.
#[test]
fn a_model_is_served_and_asked() {
    let own = |from, to: &str| (from, to.to_owned());
    let mut plan = Plan::default();
    plan.party.extend([
        own("kinds = [\"train\"]", "kinds = [\"train\", \"serve\"]"),
        own("clients = []", "clients = [\"analyst\"]"),
    ]);
    let world = World::with(plan);
    let home = world.path("analyst");
    let toml = tacit_examples::BREAST_CANCER.jobs[0].replace("epochs = 10", "epochs = 2");
    let trained = world.submit(&toml);
    said(&["watch", "--dir", &home, &trained]);
    let [model, onnx] = ["model.safetensors", "model.onnx"].map(|name| world.path(name));
    said(&[
        "fetch", "--dir", &home, &trained, "-o", &model, "--onnx", &onnx,
    ]);

    for protocol in ["rep3", "rep3-malicious"] {
        let serve = format!(
            r#"
name = "triage"
protocol = "{protocol}"
kind = "serve"
recipient = "analyst"
compute = ["north", "west", "south"]
[model]
onnx = "../model.onnx"
[service]
clients = ["analyst"]
max_rows = 2
minutes = 5
bounds = [[0, 10000]]
"#
        );
        let id = world.submit(&serve);
        let [x, y, want] = ["x.npy", "y.npy", "want.npy"].map(|name| world.path(name));
        // Five rows make three questions; every feature is small and positive.
        let rows: Vec<f32> = (0..150).map(|k| (k % 7) as f32 / 4.0).collect();
        std::fs::write(&x, npy(&rows, 30)).unwrap();
        said(&["ask", "--dir", &home, &id, "--input", &x, "--output", &y]);
        said(&[
            "infer",
            "--local",
            "--protocol",
            "plain",
            "--model",
            &onnx,
            "--input",
            &x,
            "--output",
            &want,
        ]);
        let [got, want] = [&y, &want].map(|file| floats(&std::fs::read(file).unwrap()));
        assert_eq!((got.len() % 5, got.len()), (0, want.len()));
        for (got, want) in got.iter().zip(&want) {
            assert!((got - want).abs() < 1e-3, "{got} instead of {want}");
        }
        // What lies outside of the bounds is refused at home.
        std::fs::write(&x, npy(&[-1.0; 30], 30)).unwrap();
        let refused = complaint(&["ask", "--dir", &home, &id, "--input", &x, "--output", &y]);
        assert!(refused.contains("from 0 to 10000"), "{refused}");
        said(&["cancel", "--dir", &home, &id]);
    }
}

#[test]
fn a_party_that_is_killed_is_named() {
    let mut world = World::new();
    let id = world.submit(&long_job());
    let mut watch = world.watch(&id);
    watch.until("epoch 1/");
    drop(world.servers.pop()); // south, with kill -9
    let (status, words) = watch.end();
    assert_eq!(status, Some(1), "{words}");
    let last = words.lines().last().unwrap();
    assert!(
        last.contains("the job failed") && last.contains("south"),
        "{words}"
    );
    // Back again, the same job runs to its end.
    world.servers.push(world.party("south"));
    world.train(&long_job());
}

#[test]
fn without_an_identity_the_message_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let words = complaint(&["jobs", "--dir", &empty.path().display().to_string()]);
    assert!(words.contains("tacit init"), "{words}");
}
