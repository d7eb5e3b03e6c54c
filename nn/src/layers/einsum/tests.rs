use ndarray::{ArrayD, IxDyn};

use super::*;
use crate::layers::testing::{assert_close, eval, numbers};

/// Sums over all letters, one index at a time; no ellipsis.
fn by_definition(equation: &str, xs: &[ArrayD<f64>]) -> ArrayD<f64> {
    let (left, right) = equation.split_once("->").unwrap();
    let names: Vec<Vec<char>> = left.split(',').map(|t| t.chars().collect()).collect();
    let mut all: Vec<char> = names.concat();
    all.sort_unstable();
    all.dedup();
    let length = |c: char| {
        let of = |(t, x): (&Vec<char>, &ArrayD<f64>)| {
            t.iter().position(|&d| d == c).map(|a| x.shape()[a])
        };
        names.iter().zip(xs).find_map(of).unwrap()
    };
    let lengths: Vec<usize> = all.iter().map(|&c| length(c)).collect();
    let shape: Vec<usize> = right.chars().map(length).collect();
    let mut y = ArrayD::zeros(IxDyn(&shape));
    for at in ndarray::indices(IxDyn(&lengths)) {
        let pick = |t: &[char]| -> Vec<usize> {
            t.iter()
                .map(|c| at[all.iter().position(|d| d == c).unwrap()])
                .collect()
        };
        let product: f64 = names.iter().zip(xs).map(|(t, x)| x[&pick(t)[..]]).product();
        y[&pick(&right.chars().collect::<Vec<_>>())[..]] += product;
    }
    y
}

#[test]
fn every_form_follows_the_definition() {
    for (equation, shapes) in [
        ("ij->ji", vec![vec![3, 4]]),
        ("ii->i", vec![vec![4, 4]]),
        ("iji->j", vec![vec![3, 2, 3]]),
        ("ij->i", vec![vec![3, 4]]),
        ("ij->", vec![vec![3, 4]]),
        ("i,i->", vec![vec![5], vec![5]]),
        ("i,j->ij", vec![vec![3], vec![4]]),
        ("ij,jk->ik", vec![vec![3, 4], vec![4, 2]]),
        ("bij,bjk->bik", vec![vec![2, 3, 4], vec![2, 4, 5]]),
        ("bhqd,bhkd->bhqk", vec![vec![2, 3, 4, 5], vec![2, 3, 6, 5]]),
        ("bij,bij->bij", vec![vec![2, 3, 4], vec![2, 3, 4]]),
        ("ij,j->ij", vec![vec![3, 4], vec![4]]),
        (
            "abc,cd,de->eab",
            vec![vec![2, 3, 4], vec![4, 2], vec![2, 5]],
        ),
        ("ij,ij->", vec![vec![3, 4], vec![3, 4]]),
        ("abi,cdi->cbad", vec![vec![2, 3, 4], vec![5, 2, 4]]),
        ("ia,jb->ij", vec![vec![2, 3], vec![4, 5]]),
    ] {
        let xs: Vec<ArrayD<f64>> = shapes.iter().zip(1..).map(|(s, k)| numbers(s, k)).collect();
        let y = eval(&xs, |g, e| Ok(vec![einsum(g, equation, e)?]));
        assert_close(&y[0], &by_definition(equation, &xs), 1e-12);
    }
}

#[test]
fn ellipses_are_broadcast_and_the_arrow_may_be_left_out() {
    let (x, y) = (numbers(&[5, 1, 3, 4], 1), numbers(&[2, 4, 6], 2));
    let z = eval(&[x.clone(), y.clone()], |g, e| {
        Ok(vec![
            einsum(g, "...ij,...jk->...ik", e)?,
            einsum(g, " ...ij , ...jk ", e)?,
            einsum(g, "...ij->...ji", &e[..1])?,
        ])
    });
    assert_eq!(z[0].shape(), [5, 2, 3, 6]);
    let want: f64 = (0..4).map(|j| x[[3, 0, 1, j]] * y[[1, j, 5]]).sum();
    assert!((z[0][[3, 1, 1, 5]] - want).abs() < 1e-12);
    assert_close(&z[1], &z[0], 0.0);
    assert_eq!(z[2][[4, 0, 3, 2]], x[[4, 0, 2, 3]]);
}

#[test]
fn what_cannot_be_read_is_refused() {
    let mut g = Graph::new();
    let (x, y) = (g.input(&[3, 4]), g.input(&[5, 2]));
    for equation in [
        "ij",
        "ij,jk->ik",
        "ijk,lm->il",
        "ij,kl->im",
        "ij,kl->ii",
        "i1,kl->k",
        "ij,...->..",
    ] {
        assert!(einsum(&mut g, equation, &[x, y]).is_err(), "{equation}");
    }
    assert!(einsum(&mut g, "ii->i", &[x]).is_err());
}
