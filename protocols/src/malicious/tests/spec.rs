//! Requirement 15: against the executable specification on the same shares: outputs, bytes, rounds, and who accepts.
//!
//! The specification draws its masks from another stream and folds by other factors, so messages are compared in length, not in
//! content: gates that are the same protocol cost the same, and both proofs cost what the formula gives for their levels. Gates that
//! deviate (truncation, comparison) must be right and no dearer. It runs where python with numpy and the folder are found:
//! `TACIT_PROTOTYPES` names it, `../shared/prototypes/protocols` beside the workspace is tried.

use std::io::Write;
use std::num::Wrapping;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tacit_mpc::simulate::mem;
use tacit_mpc::{Bilinear, R64, Tensor};

use super::super::bilinear::{Operand, Rounding, Term, products};
use super::super::check::{Outcome, run};
use super::super::circuit::Circuit;
use super::super::compare::negative;
use super::super::convert::{select, to_arithmetic};
use super::super::pair::{Bits, Words};
use super::super::product::{Support, and, product};
use super::super::truncate::truncate;
use super::{N, words};
use crate::rep3::bits::to_bits;
use crate::rep3::uniform::share;

/// What the specification says of a case.
#[derive(Debug)]
struct Specified {
    bytes: u64,
    rounds: u64,
    proof_bytes: u64,
    proof_rounds: u64,
    levels: u64,
    accepted: bool,
    forged: bool,
    output: Vec<u64>,
}

/// Where the specification is, or why it cannot be run.
fn folder() -> Result<PathBuf, String> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/prototypes/protocols");
    let folder = std::env::var_os("TACIT_PROTOTYPES").map_or(beside, PathBuf::from);
    if !folder.join("malicious.py").exists() {
        return Err("the folder of the executable specification is not there".into());
    }
    let numpy = Command::new("python3")
        .args(["-c", "import numpy"])
        .output();
    match numpy {
        Ok(done) if done.status.success() => Ok(folder),
        Ok(_) => Err("python3 has no numpy".into()),
        Err(e) => Err(format!("python3 cannot be run: {e}")),
    }
}

/// Runs cases, a line of JSON each.
fn specified(folder: &Path, cases: &[String]) -> Vec<Specified> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/spec/malicious.py");
    let mut python = Command::new("python3")
        .args([script.as_os_str(), folder.as_os_str()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = python.stdin.take().unwrap();
    input
        .write_all((cases.join("\n") + "\n").as_bytes())
        .unwrap();
    drop(input);
    let done = python.wait_with_output().unwrap();
    assert!(done.status.success(), "the specification failed");
    let lines = String::from_utf8(done.stdout).unwrap();
    let result = |line: &str| {
        let numbers: Vec<u64> = line.split(' ').map(|w| w.parse().unwrap()).collect();
        Specified {
            bytes: numbers[0],
            rounds: numbers[1],
            proof_bytes: numbers[2],
            proof_rounds: numbers[3],
            levels: numbers[4],
            accepted: numbers[6] == 1,
            forged: numbers[7..10] != [0; 3],
            output: numbers[10..].to_vec(),
        }
    };
    lines.lines().map(result).collect()
}

/// The three shares of columns of words that this crate's tests use.
fn case(gate: &str, shapes: &[&[usize]], columns: &[Vec<u64>], number: u32, seed: u64) -> String {
    let list = |words: Vec<String>| format!("[{}]", words.join(","));
    let mask = if matches!(gate, "and" | "b2a") {
        1
    } else {
        u64::MAX
    };
    let shares = columns.iter().enumerate().map(|(k, x)| {
        let of = |j| -> Vec<String> {
            let words = share(x, j, seed ^ (k as u64) << 32);
            words.iter().map(|w| (w.0 & mask).to_string()).collect()
        };
        list((0..3).map(|j| list(of(j))).collect())
    });
    let shapes = shapes.iter().map(|s| format!("{s:?}")).collect();
    format!(
        "{{\"gate\":\"{gate}\",\"shapes\":{},\"shares\":{},\"number\":{number}}}",
        list(shapes),
        list(shares.collect())
    )
}

/// The lowest bits of shares, as shares by exclusive or.
fn low_bits(x: &Words) -> Bits {
    x.each(|w| to_bits(w, 1))
}

async fn ours(c: &Circuit<'_>, gate: &str, x: Vec<Words>, number: u32) -> tacit_mpc::Result<Words> {
    Ok(match gate {
        "product" => product(c, &[(x[0].clone(), x[1].clone())], Support::Full).await?,
        "truncate" => truncate(c, &x[0], number).await?,
        "relu" => {
            let positive = negative(c, &x[0], 63).await?.not(c.me());
            select(c, &positive, &x[0]).await?
        }
        "b2a" => to_arithmetic(c, &low_bits(&x[0]), 64).await?,
        "and" => {
            let z = and(c, &low_bits(&x[0]), &low_bits(&x[1])).await?;
            to_arithmetic(c, &z, 64).await?
        }
        other => panic!("no gate named {other}"),
    })
}

/// Bytes of a party for a proof about words alone: 48 a coin, 16σ for quotients, 8·(2k-2) a level, 8·2k for the last, 32 at the end.
fn proof_bytes(folds: &[u64], last: u64) -> u64 {
    let levels = folds.len() as u64 + 1;
    48 * (2 + levels)
        + 16 * 48
        + folds.iter().map(|k| 8 * (2 * k - 2)).sum::<u64>()
        + 16 * last
        + 32
}

#[test]
fn req15_gates_agree_with_the_executable_specification() {
    let folder = match folder() {
        Ok(folder) => folder,
        Err(why) => {
            println!("skipped, 1 test: {why}");
            return;
        }
    };
    let small: Vec<u64> = words(3, N / 4)
        .iter()
        .map(|x| (*x as i64 >> 1) as u64)
        .collect();
    let (x, y) = (words(1, N / 4), words(2, N / 4));
    let bits = |x: &[u64]| x.iter().map(|w| w & 1).collect::<Vec<u64>>();
    let n = x.len();
    let shape: &[usize] = &[n];
    let gates = [
        ("product", vec![x.clone(), y.clone()], 0),
        ("truncate", vec![small.clone()], 16),
        ("truncate", vec![small.clone()], 18),
        ("relu", vec![x.clone()], 0),
        ("b2a", vec![bits(&x)], 0),
        ("and", vec![bits(&x), bits(&y)], 0),
    ];
    let matrices = vec![words(8, 20 * 7), words(9, 7 * 30)];
    let seed = 5;
    let mut cases: Vec<String> = gates
        .iter()
        .map(|(gate, columns, number)| {
            case(gate, &vec![shape; columns.len()], columns, *number, seed)
        })
        .collect();
    cases.push(case("matmul", &[&[20, 7], &[7, 30]], &matrices, 0, seed));
    let mut specified = specified(&folder, &cases);
    assert_eq!(specified.len(), cases.len());
    for (s, case) in specified.iter().zip(&cases) {
        assert!(s.accepted && !s.forged, "{:.30}: {s:?}", case);
        assert_eq!(s.proof_rounds, 4 + 2 * s.levels, "{:.30}", case);
    }
    let product_of_matrices = specified.pop().unwrap();
    for ((gate, columns, number), s) in gates.iter().zip(&specified) {
        let r: Outcome = run(mem(), seed, columns, async |c, x| {
            Ok(vec![ours(c, gate, x, *number).await?])
        })
        .honest();
        let output = &r.outputs[0];
        match *gate {
            "truncate" => {
                let units = output.iter().zip(&s.output).zip(&columns[0]);
                for ((ours, theirs), x) in units {
                    let floor = (*x as i64 >> number) as u64;
                    assert!(ours.wrapping_sub(floor) <= 1 && theirs.wrapping_sub(floor) <= 1);
                }
            }
            // The bits of shares, not of what the shares add up to.
            _ => assert_eq!(output, &s.output, "{gate}"),
        }
        let wide = match *gate {
            "and" => 24 * n as u64 + (s.bytes - 24 * n as u64) / 64,
            _ => s.bytes,
        };
        if matches!(*gate, "truncate" | "relu") {
            assert!(
                r.bytes < wide && r.rounds <= s.rounds,
                "{gate}: {} B",
                r.bytes
            );
        } else {
            assert_eq!((r.bytes, r.rounds), (wide, s.rounds), "{gate}");
        }
        println!("{gate} {number}: {} bytes, {} there", r.bytes, s.bytes);
    }
    // 192 products are 384 entries, and 6144 bits of quotients: folded by 8 down to 64 and less, the last takes what is left.
    assert_eq!(specified[0].levels, 4);
    assert_eq!(specified[0].proof_bytes, proof_bytes(&[8, 8, 8], 14));
    matrix(&matrices, seed, &product_of_matrices);
}

/// The same product of matrices as a gate of tensors.
fn matrix(matrices: &[Vec<u64>], seed: u64, s: &Specified) {
    let results = tacit_mpc::simulate::simulate_seeded(mem(), seed, |session| {
        let log = super::super::log::Log::default();
        let tensor = |k: usize, shape: [usize; 2]| {
            let share = |j| -> Tensor {
                let words: Vec<R64> =
                    share(&matrices[k], session.me() + j, seed ^ (k as u64) << 32);
                Tensor::from_shape_vec(shape.to_vec(), words).unwrap()
            };
            super::super::shared::Shared::new(share(0), share(1))
        };
        let (x, y) = (tensor(0, [20, 7]), tensor(1, [7, 30]));
        let term = Term {
            f: Bilinear::MatMul,
            coefficient: Wrapping(1),
            x: Operand::Shared(&x),
            y: Operand::Shared(&y),
        };
        let one = Wrapping(1);
        let z = products(&session, &log, &[term], one, 0, Rounding::Masked).unwrap();
        let cost = session.cost();
        super::super::proof::verify(&session, &log).unwrap();
        // 280 entries and 6144 bits, folded by 4, 8 and 16.
        let proof = session.cost();
        assert_eq!(proof.bytes - cost.bytes, proof_bytes(&[4, 8, 16], 14));
        assert_eq!(proof.rounds - cost.rounds, 4 + 2 * 4);
        let super::super::bilinear::Product::Shared(z) = z else {
            panic!("shares give shares");
        };
        ((*z.own).clone(), cost.bytes, cost.rounds)
    });
    let sum = &results[0].0 + &results[1].0 + &results[2].0;
    let output: Vec<u64> = sum.iter().map(|w| w.0).collect();
    assert_eq!(output, s.output, "matmul");
    let bytes: u64 = results.iter().map(|r| r.1).sum();
    let rounds = results.iter().map(|r| r.2).max().unwrap();
    assert_eq!((bytes, rounds), (s.bytes, s.rounds), "matmul");
}
