//! Who may connect, and who is told what when it may not.

// Clippy's own exception does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use common::{Home, Party, World, connect, hello, soon};
use tacit_api::consortium::Consortium;
use tacit_api::identity::Identity;
use tacit_api::proto::*;
use tonic::{Code, Status};

async fn refused(world: &World, name: &'static str, hello: Hello) -> Status {
    let mut client = world.client(name).await;
    Party::attend(name, &mut client, hello).await.err().unwrap()
}

#[tokio::test]
async fn a_second_stream_is_refused_while_the_first_lives() {
    let world = World::start().await;
    let first = world.attend("north").await.unwrap();
    let error = world.attend("north").await.err().unwrap();
    assert_eq!(error.code(), Code::AlreadyExists);
    assert_eq!(
        error.message(),
        "north is already attending: stop the other process first"
    );
    drop(first);
    soon(async {
        while world.attend("north").await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_went_silent_makes_way() {
    let world = World::start_with(|config| {
        config.deadlines.keepalive = Duration::from_millis(500);
    })
    .await;
    let wire = Wire::to(&world.address);
    let mut client = world.home.connect("north", &wire.address).await.unwrap();
    let _first = Party::attend("north", &mut client, hello(&world.home.roster))
        .await
        .unwrap();
    assert!(world.attend("north").await.is_err());
    wire.cut.store(true, Ordering::Relaxed); // no bytes any more, but no end of the connection either
    soon(async {
        while world.attend("north").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
}

/// A connection through which nothing passes once it is cut.
struct Wire {
    address: String,
    cut: Arc<AtomicBool>,
}

impl Wire {
    fn to(address: &str) -> Self {
        let listener = TcpListener::bind("localhost:0").unwrap();
        let wire = Self {
            address: listener.local_addr().unwrap().to_string(),
            cut: Arc::default(),
        };
        let (cut, address) = (wire.cut.clone(), address.to_owned());
        thread::spawn(move || {
            let (near, _) = listener.accept().unwrap();
            let far = TcpStream::connect(address).unwrap();
            for (mut from, mut to) in [
                (near.try_clone().unwrap(), far.try_clone().unwrap()),
                (far, near),
            ] {
                let cut = cut.clone();
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    while let Ok(n @ 1..) = from.read(&mut buffer) {
                        if !cut.load(Ordering::Relaxed) && to.write_all(&buffer[..n]).is_err() {
                            break;
                        }
                    }
                });
            }
        });
        wire
    }
}

#[tokio::test]
async fn a_stream_begins_with_a_fitting_hello_of_a_party() {
    let world = World::start().await;
    let good = hello(&world.home.roster);
    let error = refused(&world, "analyst", good.clone()).await;
    assert_eq!(
        error.message(),
        "analyst is a client of this consortium: only parties attend"
    );
    let error = refused(
        &world,
        "north",
        Hello {
            version: 9,
            ..good.clone()
        },
    )
    .await;
    assert!(error.message().contains("the party version 9"), "{error}");
    let error = refused(
        &world,
        "north",
        Hello {
            roster: vec![0; 32],
            ..good.clone()
        },
    )
    .await;
    assert!(
        error.message().contains("everyone must use the same file"),
        "{error}"
    );

    let mut party = world.attend("north").await.unwrap();
    party.say(from_party::Kind::Hello(good)).await;
    let error = party.hear().await.unwrap_err();
    assert_eq!(
        error.message(),
        "north broke a rule: it sent a second Hello"
    );
}

#[tokio::test]
async fn members_of_another_consortium_do_not_get_in() {
    let world = World::start().await;
    let other = Home::found();
    // It would trust the coordinator, were it not for the pinned certificate.
    let error = other.connect("analyst", &world.address).await.unwrap_err();
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = Some(&error);
    while let Some(error) = source {
        text += &format!("{error}; ");
        source = error.source();
    }
    assert!(text.contains("invalid peer certificate"), "{text}");
}

#[tokio::test]
async fn a_member_that_the_coordinator_does_not_know_yet_is_told_what_to_do() {
    let world = World::start().await;
    let home = &world.home;
    let mut consortium = Consortium::open(home.roster.clone(), &home.authority).unwrap();
    let late = Identity::generate().unwrap();
    consortium
        .admit(&late.request("late", None).unwrap())
        .unwrap();
    let mut client = connect(&late, consortium.roster(), &world.address)
        .await
        .unwrap();
    let error = client.jobs(JobsRequest {}).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(
        error
            .message()
            .contains("ask the coordinator's operator to admit you"),
        "{error}"
    );
}

#[tokio::test]
async fn streams_end_when_the_coordinator_stops() {
    let world = World::start().await;
    let mut parties = world.attend_all().await;
    let id = common::start_job(&world, &mut parties).await;
    let watch = WatchRequest {
        job_id: id,
        after: 0,
    };
    let mut events = world
        .client("auditor")
        .await
        .watch(watch)
        .await
        .unwrap()
        .into_inner();
    world.stop().await;
    for party in &mut parties {
        assert!(matches!(party.hear().await, Ok(None) | Err(_)));
    }
    let end = soon(async {
        loop {
            if let Err(error) = events.message().await.map(Option::unwrap) {
                return error;
            }
        }
    });
    assert_eq!(
        end.await.message(),
        "the coordinator is stopping: watch again later"
    );
}

#[tokio::test]
async fn noise_and_silence_on_the_port_keep_nobody_waiting() {
    let world = World::start().await;
    let mut held = Vec::new();
    for noise in [
        &b""[..],
        b"GET / HTTP/1.1\r\n\r\n",
        &[0x16, 3, 3, 0xff, 0xff],
        &[0; 9000],
    ] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(&world.address).unwrap();
            stream.write_all(noise).unwrap();
            held.push(stream);
        }
    }
    world.attend("north").await.unwrap();
}
