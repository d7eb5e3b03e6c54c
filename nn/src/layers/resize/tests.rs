use ndarray::array;

use super::*;
use crate::layers::testing::{assert_close, eval, numbers};

fn plain(interpolation: Interpolation, coordinates: Coordinates) -> Resize {
    Resize {
        interpolation,
        coordinates,
        exclude_outside: false,
        antialias: false,
        extrapolation: 0.0,
    }
}

fn to(axis: usize, input: usize, length: usize) -> Resized {
    Resized {
        axis,
        scale: length as f64 / input as f64,
        length,
        region: (0.0, 1.0),
    }
}

fn resized(x: &ArrayD<f64>, how: &Resize, axes: &[Resized]) -> ArrayD<f64> {
    eval(std::slice::from_ref(x), |g, e| {
        Ok(vec![resize(g, e[0], how, axes)?])
    })
    .remove(0)
}

#[test]
fn nearest_takes_the_entry_that_its_mode_names() {
    let x = array![10.0, 20.0, 30.0].into_dyn();
    // Half-pixel places of six out of three: -1/4, 1/4, 3/4, 5/4, 7/4, 9/4.
    for (nearest, want) in [
        (Nearest::PreferFloor, [10., 10., 20., 20., 30., 30.]),
        (Nearest::Floor, [10., 10., 10., 20., 20., 30.]),
        (Nearest::Ceil, [10., 20., 20., 30., 30., 30.]),
    ] {
        let how = plain(Interpolation::Nearest(nearest), Coordinates::HalfPixel);
        assert_eq!(
            resized(&x, &how, &[to(0, 3, 6)])
                .into_raw_vec_and_offset()
                .0,
            want
        );
    }
    // The middles 0, 1/2, 1, … of asymmetric places.
    for (nearest, second) in [(Nearest::PreferFloor, 10.0), (Nearest::PreferCeil, 20.0)] {
        let how = plain(Interpolation::Nearest(nearest), Coordinates::Asymmetric);
        assert_eq!(resized(&x, &how, &[to(0, 3, 6)])[1], second);
    }
}

#[test]
fn polynomials_of_the_degree_are_reproduced_inside() {
    // Linear interpolation is exact on lines, Keys' cubic with a = -1/2 on parabolas.
    let n = 9;
    let line = ArrayD::from_shape_fn(IxDyn(&[2, n]), |i| 3.0 * i[1] as f64 - 1.0);
    let how = plain(Interpolation::Linear, Coordinates::AlignCorners);
    let y = resized(&line, &how, &[to(1, n, 2 * n)]);
    for o in 0..2 * n {
        let at = o as f64 * (n as f64 - 1.0) / (2.0 * n as f64 - 1.0);
        assert!((y[[1, o]] - (3.0 * at - 1.0)).abs() < 1e-12);
    }
    let parabola = line.mapv(|v| v * v);
    let how = plain(Interpolation::Cubic { a: -0.5 }, Coordinates::HalfPixel);
    let y = resized(&parabola, &how, &[to(1, n, 3 * n)]);
    for o in 6..3 * n - 6 {
        let at = (o as f64 + 0.5) / 3.0 - 0.5;
        assert!((y[[0, o]] - (3.0 * at - 1.0).powi(2)).abs() < 1e-9);
    }
}

#[test]
fn antialiasing_over_a_whole_factor_is_a_weighted_mean() {
    let x = numbers(&[64], 1);
    let how = Resize {
        antialias: true,
        ..plain(Interpolation::Linear, Coordinates::HalfPixel)
    };
    // Factor 16: a triangle over 32 entries, a matrix product.
    let y = resized(&x, &how, &[to(0, 64, 4)]);
    let centre = 1.5 * 16.0 - 0.5;
    let weight = |i: usize| 1.0 - (i as f64 - centre).abs() / 16.0;
    let inside: Vec<usize> = (0..64).filter(|&i| weight(i) > 0.0).collect();
    let sum: f64 = inside.iter().map(|&i| weight(i)).sum();
    let want: f64 = inside.iter().map(|&i| weight(i) * x[i]).sum::<f64>() / sum;
    assert!((y[1] - want).abs() < 1e-12);
}

#[test]
fn gathering_and_the_matrix_product_agree() {
    let x = numbers(&[3, 5, 2], 2);
    let how = plain(Interpolation::Cubic { a: -0.75 }, Coordinates::HalfPixel);
    let spec = to(1, 5, 11);
    let rows: Vec<Row> = (0..11).map(|o| row(&how, &spec, 5, o)).collect();
    let mut wide = rows.clone();
    // A row of more entries than are gathered.
    wide.push((0..5).map(|i| (i, 0.2)).collect());
    let y = eval(std::slice::from_ref(&x), |g, e| {
        let many: Vec<Row> = (0..11)
            .map(|o| {
                (0..5)
                    .map(|i| (i, rows[o].get(&i).copied().unwrap_or(0.0)))
                    .collect()
            })
            .collect();
        Ok(vec![
            apply(g, e[0], 1, 5, &rows)?,
            apply(g, e[0], 1, 5, &many)?,
        ])
    });
    assert_close(&y[0], &y[1], 1e-12);
    assert_eq!(y[0].shape(), [3, 11, 2]);
}

#[test]
fn what_lies_outside_the_region_is_extrapolated() {
    let x = array![1.0, 2.0, 3.0].into_dyn();
    let how = Resize {
        extrapolation: 7.0,
        ..plain(Interpolation::Linear, Coordinates::TfCropAndResize)
    };
    let spec = Resized {
        region: (0.5, 1.5),
        ..to(0, 3, 3)
    };
    let y = resized(&x, &how, &[spec]);
    assert_close(&y, &array![2.0, 3.0, 7.0].into_dyn(), 1e-12);
}

#[test]
fn what_has_no_size_is_refused() {
    let mut g = Graph::new();
    let x = g.input(&[2, 3]);
    let how = plain(Interpolation::Linear, Coordinates::HalfPixel);
    for bad in [
        to(2, 3, 6),
        Resized {
            scale: 0.0,
            ..to(1, 3, 6)
        },
        Resized {
            scale: f64::NAN,
            ..to(1, 3, 6)
        },
        Resized {
            length: usize::MAX,
            ..to(1, 3, 6)
        },
    ] {
        assert!(resize(&mut g, x, &how, &[bad]).is_err(), "{bad:?}");
    }
}
