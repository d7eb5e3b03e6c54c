//! What happens when processes die, freeze, or pretend to be another, with real ones; and a consortium of ten.

#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::fs;
use std::time::{Duration, Instant};

use common::{PARTIES, Plan, Server, Talking, World, long_job};
use tacit_party::net::ReservedAddress;

#[test]
fn a_coordinator_that_is_killed_comes_back_with_its_jobs_and_its_parties() {
    let mut world = World::new();
    let early = tacit_examples::BREAST_CANCER.jobs[0];
    world.train(early);
    let id = world.submit(&long_job());
    let mut watch = world.watch(&id);
    watch.until("epoch 2/");
    drop(world.coordinator.take()); // with kill -9
    let (status, words) = watch.end();
    assert_eq!(status, Some(1), "whoever watches is told: {words}");
    assert!(world.servers.iter_mut().all(Server::lives));

    world.start_coordinator();
    let jobs = world.jobs();
    assert_eq!(jobs.len(), 2);
    assert_eq!(
        (&jobs[0]["id"], &jobs[0]["state"], &jobs[1]["state"]),
        (&id.into(), &"failed".into(), &"done".into())
    );
    // The parties attend again by themselves: the same processes take the job a second time.
    world.train(&long_job());
    assert_eq!(world.jobs()[0]["state"], "done");
    assert!(world.servers.iter_mut().all(Server::lives));
}

#[test]
fn two_processes_with_one_identity_are_one_too_many() {
    let mut world = World::new();
    world.train(tacit_examples::BREAST_CANCER.jobs[0]);
    // North's folder is copied, with its keys, and served from an address of its own.
    let (north, copy) = (world.path("north"), world.path("copy"));
    fs::create_dir(&copy).unwrap();
    for entry in fs::read_dir(&north).unwrap() {
        let entry = entry.unwrap();
        let to = format!("{copy}/{}", entry.file_name().to_str().unwrap());
        fs::copy(entry.path(), to).unwrap();
    }
    let config = fs::read_to_string(format!("{copy}/party.toml")).unwrap();
    let listen = config.lines().find(|line| line.starts_with("listen = "));
    let kept = ReservedAddress::new().unwrap();
    let free = format!("listen = {:?}", kept.address().to_string());
    world.edit("copy/party.toml", &[(listen.unwrap(), free)]);
    let mut second = Talking::start(&["party", "--dir", &copy, "serve"]);
    second.until("north is already attending");
    // It disturbs nobody.
    world.train(tacit_examples::BREAST_CANCER.jobs[0]);
    // Once the first one has gone, it may come instead.
    drop(world.servers.remove(0));
    second.until("attending at the coordinator as north");
}

#[test]
fn ten_institutions_train_together() {
    let further = ["a", "b", "c", "d", "e", "f", "g"].map(|name| format!("clinic-{name}"));
    let all: Vec<&str> = PARTIES
        .into_iter()
        .chain(further.iter().map(String::as_str))
        .collect();
    let contributors = "contributors = [\"north\", \"west\", \"south\"]";
    let toml = tacit_examples::BREAST_CANCER.jobs[0];
    assert!(toml.contains(contributors));
    let toml = toml.replace(contributors, &format!("contributors = {all:?}"));
    let world = World::with(Plan {
        further: further.to_vec(),
        ..Plan::default()
    });
    let id = world.submit(&toml);
    let (status, words) = world.watch(&id).end();
    assert_eq!(status, Some(0), "{words}");
    let home = world.path("analyst");
    let model = world.path("model.safetensors");
    let fetched = common::said(&["fetch", "--dir", &home, &id, "-o", &model, "--json"]);
    let fetched: serde_json::Value = serde_json::from_str(fetched.lines().last().unwrap()).unwrap();
    // All 569 rows count, as if three had brought them.
    assert!(
        fetched["metrics"]["accuracy"].as_f64().unwrap() > 0.9,
        "{fetched}"
    );
}

/// Signals are Unix's.
#[cfg(unix)]
mod signals {
    use rustix::process::{Pid, Signal, kill_process};

    use super::*;

    fn send(server: &Server, signal: Signal) {
        kill_process(Pid::from_child(&server.0), signal).unwrap();
    }

    #[test]
    fn a_party_that_freezes_is_named_in_time_and_may_come_back() {
        // A peer may be silent for 2 s, and blame is settled after 1 s more.
        let exchange = ("exchange = 60", "exchange = 2".to_owned());
        let mut plan = Plan {
            coordinator: vec![("blame = 2", "blame = 1".into())],
            ..Plan::default()
        };
        plan.party.push(exchange);
        let mut world = World::with(plan);
        let id = world.submit(&long_job());
        let mut watch = world.watch(&id);
        watch.until("epoch 1/");
        send(&world.servers[2], Signal::STOP);
        let frozen = Instant::now();
        let (status, words) = watch.end();
        let took = frozen.elapsed();
        send(&world.servers[2], Signal::CONT);
        assert_eq!(status, Some(1), "{words}");
        assert!(words.lines().last().unwrap().contains("south"), "{words}");
        assert_eq!(world.jobs()[0]["culprit"], "south");
        // Twice the 3 s, for a busy machine.
        assert!(took < Duration::from_secs(6), "{took:?}");
        world.train(&long_job());
        assert!(world.servers.iter_mut().all(Server::lives));
    }

    #[test]
    fn servers_end_in_order_when_they_are_told_to() {
        let mut world = World::new();
        world.train(tacit_examples::BREAST_CANCER.jobs[0]);
        for signal in [Signal::TERM, Signal::INT] {
            let mut party = world.servers.pop().unwrap();
            send(&party, signal);
            assert!(party.ended().unwrap().success(), "{signal:?}");
        }
        // And in the middle of a job.
        world.servers.push(world.party("west"));
        world.servers.push(world.party("south"));
        let id = world.submit(&long_job());
        let mut watch = world.watch(&id);
        watch.until("epoch 1/");
        send(&world.servers[2], Signal::TERM);
        assert!(world.servers[2].ended().unwrap().success());
        let (status, words) = watch.end();
        assert_eq!(status, Some(1), "{words}");
        assert!(words.lines().last().unwrap().contains("south"), "{words}");
        let coordinator = world.coordinator.as_mut().unwrap();
        send(coordinator, Signal::TERM);
        assert!(coordinator.ended().unwrap().success());
    }
}
