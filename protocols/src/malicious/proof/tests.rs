//! The proof on small circuits, honest and cheated.

use std::num::Wrapping;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use tacit_mpc::net::{MemNet, Tamper, Transport};
use tacit_mpc::simulate::{mem, simulate_seeded};
use tacit_mpc::{Bilinear, Label, PartyId, Purpose, R64, Result, Session, Strand, Tensor};

use super::super::circuit::Circuit;
use super::super::input::{input, input_planes};
use super::super::log::{BitDots, BitRelation, Entry, Log, Weight};
use super::super::pair::{Pair, Words};
use super::super::product::{Support, and, product};
use super::verify;

fn hash(x: u64) -> u64 {
    let z = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

fn words(n: usize, seed: u64) -> Vec<R64> {
    (0..n as u64)
        .map(|i| Wrapping(hash(seed << 32 | i)))
        .collect()
}

/// What a test circuit does.
#[derive(Clone, Copy, Debug)]
struct Shape {
    n: usize,
    products: bool,
    ands: bool,
    dots: bool,
    matrices: bool,
}

const ALL: Shape = Shape {
    n: 100,
    products: true,
    ands: true,
    dots: true,
    matrices: true,
};

/// A word of the dealer's, its bits halved, as truncation has them: β and γ draws, e = β∧γ an input, Σ 2^i·β_i·γ_i - e = 0.
async fn masked_bits(c: &Circuit<'_>) -> Result<Words> {
    let (d, n) = (c.dealer(), c.len());
    let label = c.strand.next_gate()?;
    let beta = c.draw(d, label, Purpose::Deal, n)?;
    let gamma = c.draw(d + 1, label, Purpose::Deal, n)?;
    let both: Option<Vec<R64>> = beta
        .as_ref()
        .zip(gamma.as_ref())
        .map(|(b, g)| b.iter().zip(g).map(|(b, g)| b & g).collect());
    let e = input(c, d, n, both.as_deref()).await?;
    let minus = |j: PartyId| {
        let e = e.at(c.me(), j)?;
        Some(Rc::new(e.iter().map(|&e| -e).collect::<Vec<R64>>()))
    };
    let dots = Entry::BitDots(BitDots {
        dealer: d,
        len: n,
        relations: vec![BitRelation {
            weight: Weight { from: 0, up: 0 },
            left: minus(d).filter(|_| beta.is_some()),
            right: minus(d + 1).filter(|_| gamma.is_some()),
        }],
        beta: beta.map(Rc::new),
        gamma: gamma.map(Rc::new),
    });
    c.log.push(label, dots)?;
    Ok(e)
}

/// A matrix product, as the tensor gate will do it.
fn matrix_product(
    s: &Session,
    log: &Log,
    node: u32,
    x: &Pair<Tensor>,
    y: &Pair<Tensor>,
) -> Result<()> {
    let f = Bilinear::MatMul;
    let mut z = s
        .kernels()
        .bilinear(f, &[(&*x.own, &(&*y.own + &*y.next)), (&*x.next, &*y.own)])?;
    let (shape, n) = (z.shape().to_vec(), z.len());
    s.begin_node(node);
    let parts = s.fan_out(n, async |strand: Strand<'_>| {
        let label = strand.next_gate()?;
        let n = strand.chunk().len();
        let a = strand.draw(s.me(), label, Purpose::Zero, n)?;
        let b = strand.draw(s.me() + 1, label, Purpose::Zero, n)?;
        let range = strand.chunk().start..strand.chunk().end;
        let c = Circuit { strand, log };
        let z: Vec<R64> = z.as_slice().unwrap()[range]
            .iter()
            .zip(a.iter().zip(&b))
            .map(|(&z, (&a, &b))| z + a - b)
            .collect();
        c.send_words(s.prev(), label, &z)?;
        let next = c.recv_words(s.next(), label, n).await?;
        Ok((z, next, a, b))
    })?;
    let mut tensors: [Vec<R64>; 4] = Default::default();
    for (_, (zo, zn, a, b)) in parts {
        for (t, v) in tensors.iter_mut().zip([zo, zn, a, b]) {
            t.extend(v);
        }
    }
    let [zo, zn, a, b] = tensors.map(|v| Tensor::from_shape_vec(shape.clone(), v).unwrap());
    z.assign(&zo);
    let entry = Entry::Bilinear {
        f,
        x: x.clone(),
        y: y.clone(),
        left: Pair::new(&a - &zo, &b - &zn),
        right: Pair::new(a.mapv(|w| -w), b.mapv(|w| -w)),
    };
    log.push(
        Label {
            node,
            ..Label::default()
        },
        entry,
    )
}

/// Runs the circuit and the proof; what the party holds of the last product, if it was not stopped.
fn run(s: &Session, circuit: Shape) -> Result<Vec<u64>> {
    let log = Log::default();
    let n = circuit.n;
    let x = words(n, 1);
    let parts = s.fan_out(n, async |strand: Strand<'_>| {
        let range = strand.chunk().start..strand.chunk().end;
        let c = Circuit { strand, log: &log };
        let given = (c.me() == 1).then(|| &x[range.clone()]);
        let mut y = input(&c, 1, c.len(), given).await?;
        if circuit.products {
            let z = product(
                &c,
                &[(y.clone(), y.clone()), (y.clone(), y.clone())],
                Support::Full,
            )
            .await?;
            y = product(&c, &[(z, y)], Support::Full).await?;
        }
        if circuit.ands {
            let planes = 3 * c.len().div_ceil(64);
            let given: Option<Vec<u64>> =
                (c.me() == 0).then(|| (0..planes as u64).map(hash).collect());
            let b = input_planes(&c, 0, 3, given.as_deref()).await?;
            let z = and(&c, &b, &b).await?;
            and(&c, &z, &b).await?;
        }
        if circuit.dots {
            let e = masked_bits(&c).await?;
            y = product(&c, &[(e, y)], Support::Full).await?;
        }
        Ok(y.own.to_vec())
    })?;
    if circuit.matrices {
        let matrix = |k: u64, shape: [usize; 2]| {
            let m = |j: u64| {
                let words = words(shape[0] * shape[1], 10 * k + j % 3);
                Tensor::from_shape_vec(shape.to_vec(), words).unwrap()
            };
            Pair::new(m(s.me() as u64), m(s.me() as u64 + 1))
        };
        matrix_product(s, &log, 77, &matrix(1, [60, 9]), &matrix(2, [9, 50]))?;
        matrix_product(s, &log, 78, &matrix(1, [2, 0]), &matrix(2, [0, 3]))?;
    }
    verify(s, &log)?;
    Ok(parts
        .into_iter()
        .flat_map(|(_, z)| z)
        .map(|w| w.0)
        .collect())
}

#[test]
fn honest_parties_accept() {
    for n in [1, 2, 63, 64, 65, 300, 20_000] {
        for circuit in [
            Shape { n, ..ALL },
            Shape {
                n,
                ands: false,
                dots: false,
                ..ALL
            },
            Shape {
                n,
                products: false,
                dots: false,
                matrices: false,
                ..ALL
            },
            Shape {
                n,
                products: false,
                ands: false,
                matrices: false,
                ..ALL
            },
        ] {
            let results = simulate_seeded(mem(), n as u64, |s| run(&s, circuit));
            for r in &results {
                assert!(r.is_ok(), "{circuit:?}: {:?}", r.as_ref().err());
            }
        }
    }
}

/// Frames that a party sends, with one bit of one of them flipped.
fn flipped(cheater: PartyId, frame: usize, bit: usize) -> Vec<Arc<dyn Transport>> {
    let nets = MemNet::mesh_with_deadline(3, std::time::Duration::from_millis(500));
    nets.into_iter()
        .map(|net| {
            if net.me() != cheater {
                return Arc::new(net) as Arc<dyn Transport>;
            }
            let mut sent = 0;
            Arc::new(Tamper::new(net, move |_, bytes: Bytes| {
                sent += 1;
                if sent != frame + 1 {
                    return vec![bytes];
                }
                let mut bytes = bytes.to_vec();
                let at = bit / 8 % bytes.len();
                bytes[at] ^= 1 << (bit % 8);
                vec![bytes.into()]
            }))
        })
        .collect()
}

/// One bit of any frame of any party: the other two do not both go on with what the honest run gives elsewhere. A flipped bit
/// that nobody uses is the one harmless case, and there is none: lengths, labels and values are all checked.
#[test]
fn a_flipped_bit_stops_an_honest_party() {
    let circuit = Shape { n: 40, ..ALL };
    let honest = simulate_seeded(mem(), 5, |s| run(&s, circuit).unwrap());
    let mut tried = 0;
    for cheater in 0..3 {
        for frame in 0..24 {
            let bit = 8 * 20 + hash((cheater * 100 + frame) as u64) as usize % 4096;
            let results = simulate_seeded(flipped(cheater, frame, bit), 5, |s| run(&s, circuit));
            let others = (0..3).filter(|&p| p != cheater);
            let all_went_on = others.clone().all(|p| results[p].is_ok());
            let same = others
                .clone()
                .all(|p| results[p].as_ref().ok() == Some(&honest[p]));
            assert!(
                !all_went_on || same,
                "party {cheater}, frame {frame}, bit {bit}: accepted"
            );
            tried += usize::from(!all_went_on);
        }
    }
    assert!(tried > 40, "{tried} of 72 attacks reached a message");
}
