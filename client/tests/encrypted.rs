//! Encrypted inference by real processes: a party serves the shipped model, a client asks it over TLS.

#![cfg(feature = "tfhe")]
#![allow(clippy::unwrap_used)] // a test may panic

mod common;

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use common::{World, complaint, npy, said};
use tacit_party::net::ReservedAddress;

const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples");

/// A world in which north serves digits and the regression to the analyst at `address`.
fn serving(address: &ReservedAddress) -> World {
    let mut world = World::new();
    drop(world.servers.remove(0));
    for (from, to) in [("digits-16", "digits"), ("breast-cancer", "cancer")] {
        let to = world.path(&format!("north/{to}.tfhe"));
        fs::copy(format!("{EXAMPLES}/models/{from}.tfhe"), to).unwrap();
    }
    let config = world.path("north/party.toml");
    let mut text = fs::read_to_string(&config).unwrap();
    text += &format!(
        "\n[encrypted]\nlisten = \"{}\"\nclients = [\"analyst\"]\nmodels.digits.file = \"digits.tfhe\"\n\
         models.cancer.file = \"cancer.tfhe\"\n",
        address.address()
    );
    fs::write(config, text).unwrap();
    start(&mut world, address);
    world
}

/// Where all that north says goes.
const LOG: &str = "north.log";

/// Starts north, and waits until it listens.
fn start(world: &mut World, address: &ReservedAddress) {
    let north = world.talkative_party("north", LOG);
    world.servers.insert(0, north);
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

    // A program that looks nothing up takes no evaluation key, and none is made.
    let rows = world.path("rows.npy");
    fs::write(&rows, npy(&[0.5; 60], 30)).unwrap();
    let sums = ask(args(&north, "cancer", &rows));
    assert!(!sums.contains("sent the key"), "{sums}");
    let of_analyst = |ending: &str| {
        let names = fs::read_dir(&home).unwrap();
        let mut names = names.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.any(|name| name.starts_with("tfhe-") && name.ends_with(ending))
    };
    assert!(of_analyst(".sums-key") && !of_analyst(".evaluation-key"));

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
    // Somebody empties the folder under it, and nothing is in memory: the client sends the key again, and is answered.
    drop(world.servers.remove(0));
    start(&mut world, &address);
    fs::remove_dir_all(world.path("north/keys/analyst")).unwrap();
    let again = ask(args(&north, "digits", &digits));
    assert!(again.contains("sent the key"), "{again}");

    // Whoever is not there, or somebody else, is named.
    let unknown = refused(args(&north, "letters", &digits));
    assert!(
        unknown.contains("no model letters; there are: cancer, digits"),
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

/// Bytes as a log might show them: as they are, in hexadecimals, and as a list of numbers.
fn shown(bytes: &[u8]) -> [Vec<u8>; 4] {
    let hex = |upper: bool| {
        let digits = bytes.iter().map(|b| match upper {
            true => format!("{b:02X}"),
            false => format!("{b:02x}"),
        });
        digits.collect::<String>().into_bytes()
    };
    let list: Vec<_> = bytes.iter().map(ToString::to_string).collect();
    [
        bytes.to_vec(),
        hex(false),
        hex(true),
        list.join(", ").into_bytes(),
    ]
}

/// The first of `wanted`, each of four bytes or more, that is somewhere in a log, which is gone through once.
fn find<'a>(log: &[u8], wanted: &'a [Vec<u8>]) -> Option<&'a Vec<u8>> {
    let mut by_start = HashMap::<[u8; 4], Vec<&Vec<u8>>>::new();
    for wanted in wanted {
        let start = wanted[..4].try_into().unwrap();
        by_start.entry(start).or_default().push(wanted);
    }
    let here = |(at, start): (usize, &[u8])| {
        let same = by_start.get(start)?;
        same.iter()
            .copied()
            .find(|wanted| log[at..].starts_with(wanted))
    };
    log.windows(4).enumerate().find_map(here)
}

/// All that north and its libraries say, and all that the client says, while it makes keys, sends one, and asks.
#[test]
fn nothing_secret_is_logged() {
    let address = ReservedAddress::new().unwrap();
    let mut world = serving(&address);
    let (home, output) = (world.path("analyst"), world.path("out.npy"));
    let digits = format!("{EXAMPLES}/encrypted_inference/digits.npy");
    let north = format!("north@{}", address.address());
    let asked = std::process::Command::new(env!("CARGO_BIN_EXE_tacit"))
        .args([
            "infer",
            "--dir",
            &home,
            "--server",
            &north,
            "--protocol",
            "tfhe",
        ])
        .args(["--model", "digits", "--input", &digits, "--output", &output])
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    assert!(asked.status.success(), "{asked:?}");
    drop(world.servers.remove(0));
    let mut log = fs::read(world.path(LOG)).unwrap();
    for said in ["stored an evaluation key", "h2::"] {
        let said = [said.as_bytes().to_vec()];
        assert!(find(&log, &said).is_some(), "the log is there: {said:?}");
    }
    log.extend(asked.stderr);
    log.extend(asked.stdout);
    let mut wanted = Vec::new();
    let files = fs::read_dir(&home)
        .unwrap()
        .map(|file| file.unwrap().path());
    for file in files.filter(|file| {
        file.extension()
            .is_some_and(|e| e == "key" || e == "evaluation-key")
    }) {
        let key = fs::read(&file).unwrap();
        // Also the identity of the client. The first line of a key says only what it is.
        let places = (100..key.len() - 16).step_by(1 + key.len() / 16);
        wanted.extend(places.flat_map(|at| shown(&key[at..at + 12])));
    }
    assert!(wanted.len() >= 3 * 4, "three files or more");
    let npy = fs::read(&digits).unwrap();
    let floats = common::floats(&npy);
    let rows = floats
        .chunks(16)
        .filter(|row| row.iter().filter(|x| **x != 0.0).count() > 8);
    for row in rows.take(16) {
        let integers: Vec<u8> = row.iter().map(|x| x.round() as u8).collect();
        wanted.extend(shown(&integers));
        let list: Vec<_> = row.iter().map(|x| format!("{x:?}")).collect();
        wanted.push(list.join(", ").into_bytes());
    }
    let results = common::floats(&fs::read(&output).unwrap());
    for row in results.chunks(10) {
        let list: Vec<_> = row.iter().map(|x| format!("{x:?}")).collect();
        wanted.push(list.join(", ").into_bytes());
        wanted.push(row.iter().flat_map(|x| x.to_le_bytes()).collect());
    }
    let found = find(&log, &wanted);
    assert_eq!(found.map(|bytes| String::from_utf8_lossy(bytes)), None);
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
