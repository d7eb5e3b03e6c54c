//! Random graphs whose results the integer specification bounds.

use ndarray::{ArrayD, IxDyn};
use tacit_nn::{Edge, Graph};

use super::F;

/// Values stay below this, so that no product leaves the ring.
const MOST: f64 = 1000.0;

/// A value of the graph: by how many units the two engines may differ, and a bound on it.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// Its edge.
    pub x: Edge,
    /// How many units two engines may differ by.
    pub units: f64,
    most: f64,
}

/// Appends the word that `choice` names, where the bounds allow it.
fn grow(g: &mut Graph, known: &mut Vec<Known>, (choice, i, j): (u8, usize, usize), exact: bool) {
    let (a, b) = (known[i % known.len()], known[j % known.len()]);
    let most = a.most.max(b.most);
    // What a rounding adds where it is not the floor at both.
    let coin = if exact { 0.0 } else { 1.0 };
    // Floors of numbers that differ by e differ by ⌈e⌉ at most: there may be one more whole number between them than e has room for.
    let rounded = |error: f64| error.ceil() + coin;
    // Discontinuous words only of what both engines hold alike.
    let alike = a.units == 0.0 && b.units == 0.0;
    let (x, units, most) = match choice {
        0 => (g.add(a.x, b.x), a.units + b.units, a.most + b.most),
        1 => (
            g.linear(&[(2, a.x), (-3, b.x)], 0.75),
            2.0 * a.units + 3.0 * b.units,
            2.0 * a.most + 3.0 * b.most + 1.0,
        ),
        2 => {
            let error =
                a.most * b.units + b.most * a.units + a.units * b.units / 2f64.powi(F as i32);
            (g.mul(a.x, b.x), rounded(error), a.most * b.most)
        }
        3 => (g.scale(a.x, -0.3), rounded(0.31 * a.units), 0.31 * a.most),
        4 => (g.relu(a.x), a.units, a.most),
        5 => (g.max(a.x, b.x), a.units.max(b.units), most),
        6 => (g.min(a.x, b.x), a.units.max(b.units), most),
        7 => (g.abs(a.x), a.units, a.most),
        8 if alike => (g.floor(a.x), 0.0, a.most + 1.0),
        9 if alike => (g.less(a.x, b.x), 0.0, 1.0),
        10 if alike => (g.equal(a.x, b.x), 0.0, 1.0),
        11 if alike => {
            let (c, d) = (g.less(a.x, b.x).unwrap(), g.equal(a.x, a.x).unwrap());
            let e = g.xor(c, d).unwrap();
            let e = g.and(e, d).unwrap();
            (g.not(e), 0.0, 1.0)
        }
        12 if alike => {
            let c = g.less(a.x, b.x).unwrap();
            (g.select(c, a.x, b.x), coin * 2.0, most)
        }
        13 => (g.sigmoid(a.x), a.units + 12.0, 1.0),
        14 => {
            let x = g.abs(a.x).unwrap();
            let x = g.neg(x).unwrap();
            (g.exp_negative(x), a.units + 8.0, 1.0)
        }
        15 => {
            // 1/(|x| + 1/2) falls by 4 at most, and is 2 at most.
            let x = g.abs(a.x).unwrap();
            let x = g.linear(&[(1, x)], 0.5).unwrap();
            (g.reciprocal_of(x), 4.0 * a.units + 10.0, 2.0)
        }
        _ => {
            let x = g.abs(a.x).unwrap();
            let x = g.linear(&[(1, x)], 0.5).unwrap();
            (g.log(x), 2.0 * a.units + 8.0, 7.0)
        }
    };
    if most < MOST && units < 1e5 {
        known.push(Known {
            x: x.unwrap(),
            units,
            most,
        });
    }
}

/// The graph of these words, and what is known of its outputs.
#[must_use]
pub fn random(words: &[(u8, usize, usize)], exact: bool) -> (Graph, Vec<Known>) {
    let mut g = Graph::new();
    let mut known: Vec<Known> = (0..2)
        .map(|_| Known {
            x: g.input(&[9]),
            units: 0.0,
            most: 8.0,
        })
        .collect();
    for word in words {
        grow(&mut g, &mut known, *word, exact);
    }
    known.iter().for_each(|k| g.output(k.x));
    (g, known)
}

/// The two inputs of [`random`].
#[must_use]
pub fn inputs(values: &[f64]) -> Vec<ArrayD<f64>> {
    values
        .chunks(9)
        .map(|v| ArrayD::from_shape_vec(IxDyn(&[9]), v.to_vec()).unwrap())
        .collect()
}
