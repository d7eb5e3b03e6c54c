//! Encrypted inference by real processes: a party serves the shipped model, a client asks it over TLS.

#![cfg(feature = "tfhe")]
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{World, complaint, npy, said};
use tacit_party::net::ReservedAddress;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// A world in which north serves digits to the analyst at `address`.
fn serving(address: &ReservedAddress) -> World {
    let mut world = World::new();
    drop(world.servers.remove(0));
    fs::copy(
        format!("{EXAMPLES}/models/digits-16.tfhe"),
        world.path("north/digits.tfhe"),
    )
    .unwrap();
    let config = world.path("north/party.toml");
    let mut text = fs::read_to_string(&config).unwrap();
    text += &format!(
        "\n[encrypted]\nlisten = \"{}\"\nclients = [\"analyst\"]\nmodels.digits.file = \"digits.tfhe\"\n",
        address.address()
    );
    fs::write(config, text).unwrap();
    start(&mut world, address);
    world
}

/// Starts north, and waits until it listens.
fn start(world: &mut World, address: &ReservedAddress) {
    world.servers.insert(0, world.party("north"));
    let until = Instant::now() + Duration::from_secs(20);
    while std::net::TcpStream::connect(address.address()).is_err() {
        assert!(Instant::now() < until, "north does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_server_that_sees_nothing_says_what_the_program_says() {
    let address = ReservedAddress::new().unwrap();
    let mut world = serving(&address);
    let (home, digits) = (
        world.path("analyst"),
        format!("{EXAMPLES}/encrypted_inference/digits.npy"),
    );
    let [here, there] = ["here.npy", "there.npy"].map(|file| world.path(file));
    let at = |party: &str| format!("{party}@{}", address.address());
    let north = at("north");
    let args = |server: &str, model: &str, input: &str| {
        let args: Vec<String> = [
            "infer",
            "--dir",
            &home,
            "--server",
            server,
            "--protocol",
            "tfhe",
            "--model",
            model,
            "--input",
            input,
            "--output",
            &there,
        ]
        .map(String::from)
        .to_vec();
        args
    };
    let ask = |args: Vec<String>| said(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let refused =
        |args: Vec<String>| complaint(&args.iter().map(String::as_str).collect::<Vec<_>>());

    let first = ask(args(&north, "digits", &digits));
    assert!(first.contains("sent the key"), "{first}");
    assert!(
        first.contains("largest of each row: 2, 8, 2, 6, 6, 7, 1, 9"),
        "{first}"
    );
    let model = format!("{EXAMPLES}/models/digits-16.tfhe");
    said(&[
        "infer",
        "--local",
        "--protocol",
        "tfhe",
        "--model",
        &model,
        "--input",
        &digits,
        "--output",
        &here,
    ]);
    assert_eq!(fs::read(&here).unwrap(), fs::read(&there).unwrap());

    // The server was killed and comes back: it still has the key, which is sent once.
    drop(world.servers.remove(0));
    let away = refused(args(&north, "digits", &digits));
    assert!(away.contains("cannot reach north"), "{away}");
    start(&mut world, &address);
    let again = ask(args(&north, "digits", &digits));
    assert!(!again.contains("sent the key"), "{again}");

    // Whoever is not there, or somebody else, is named.
    let unknown = refused(args(&north, "letters", &digits));
    assert!(
        unknown.contains("no model letters; there are: digits"),
        "{unknown}"
    );
    let impostor = refused(args(&at("west"), "digits", &digits));
    assert!(impostor.contains("cannot reach west"), "{impostor}");
    let short = world.path("short.npy");
    fs::write(&short, npy(&[1.0; 6], 3)).unwrap();
    let narrow = refused(args(&north, "digits", &short));
    assert!(narrow.contains("64 features"), "{narrow}");

    // A client's key is its own, and whole.
    let files = |ending: &str| {
        let names = fs::read_dir(&home)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut of = names.filter(|path| path.extension().is_some_and(|e| e == ending));
        of.find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("tfhe-")
        })
        .unwrap()
    };
    let (secret, evaluation) = (files("key"), files("evaluation-key"));
    let mode = |file: &Path| fs::metadata(file).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&secret), 0o600);
    let whole = fs::read(&evaluation).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    for (bytes, words) in [
        (&flipped[..], "damaged"),
        (&whole[..whole.len() - 1], "bytes"),
        (&whole, ""),
    ] {
        fs::write(&evaluation, bytes).unwrap();
        match words {
            "" => drop(ask(args(&north, "digits", &digits))),
            words => {
                let said = refused(args(&north, "digits", &digits));
                assert!(said.contains(words), "{said}");
            }
        }
    }
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = refused(args(&north, "digits", &digits));
    assert!(exposed.contains("can be read by others"), "{exposed}");
}

/// The story of the example, as a newcomer runs it.
#[test]
fn the_example_runs() {
    let address = ReservedAddress::new().unwrap();
    let script = format!("{EXAMPLES}/encrypted_inference/run.sh");
    let output = std::process::Command::new(script)
        .env("TACIT", env!("CARGO_BIN_EXE_tacit"))
        .env("PORT", address.address().port().to_string())
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(output.status.success(), "{out}{err}");
    assert!(
        out.contains("largest of each row: 2, 8, 2, 6, 6, 7, 1, 9"),
        "{out}"
    );
}
