//! What is read of a model computes what the model computes: `values` compares both.

use super::*;

#[test]
fn models_of_the_examples() {
    for (name, shape, lookups) in [("mlp", &[64][..], 64), ("lenet", &[1, 8, 8], 1774)] {
        let source = Source::new(&example(name), shape).unwrap();
        source.values(&rows(5, 64)).unwrap();
        assert_eq!(source.lookups(), lookups, "{name}");
    }
}

#[test]
fn a_softmax_at_the_end_is_left_to_the_client() {
    let source = Source::new(&example("mlp"), &[64]).unwrap();
    assert!(
        source.notes.iter().any(|note| note.contains("softmax")),
        "{:?}",
        source.notes
    );
    assert_eq!(source.outputs(), 10);
}

#[test]
fn convolutions_norms_pools_and_residual_sums_are_factors() {
    let (mut net, x) = Net::new(&[1, 2, 6, 6]);
    let a = net.conv(x, 3, 3);
    let a = net.norm(a);
    let a = net.g.relu(a).unwrap();
    let b = net.conv(a, 3, 3);
    let b = net.norm(b);
    let b = net.g.add(a, b).unwrap();
    let b = net.g.relu(b).unwrap();
    let c = net.average_pool(b);
    let c = net.flat(c);
    let y = net.dense(c, 4);
    let source = net.source(y).unwrap();
    source.values(&rows(9, 72)).unwrap();
    // Each entry of both activations, and no more: the norms are factors, the pool is too.
    assert_eq!((source.lookups(), source.depth()), (2 * 3 * 36, 2));
}

/// A chain of operations on one sum is one function; an activation before a maximum has few values to compare.
#[test]
fn chains_are_functions_and_activations_go_before_maxima() {
    let functions: [fn(&mut Graph, Edge) -> tacit_nn::Result<Edge>; 8] = [
        Graph::relu,
        Graph::sigmoid,
        Graph::tanh,
        Graph::gelu,
        Graph::hard_swish,
        |g, x| g.leaky_relu(x, 0.1),
        |g, x| {
            // x·sigmoid(x), by hand, and something linear behind it.
            let s = g.sigmoid(x)?;
            let y = g.mul(x, s)?;
            let y = g.scale(y, 0.7)?;
            g.sub(y, x)
        },
        |g, x| {
            // 0.5·x·(1 + erf(x/√2)), as exporters write it.
            let e = g.scale(x, std::f64::consts::FRAC_1_SQRT_2)?;
            let e = g.erf(e)?;
            let e = g.linear(&[(1, e)], 1.0)?;
            let y = g.mul(x, e)?;
            g.scale(y, 0.5)
        },
    ];
    for (k, f) in functions.iter().enumerate() {
        let (mut net, x) = Net::new(&[1, 5]);
        let a = net.dense(x, 6);
        let a = f(&mut net.g, a).unwrap();
        let y = net.dense(a, 3);
        let source = net.source(y).unwrap();
        source.values(&rows(9, 5)).unwrap();
        assert_eq!((source.lookups(), source.depth()), (6, 1), "function {k}");
    }
    let (mut net, x) = Net::new(&[1, 1, 5, 5]);
    let a = net.conv(x, 2, 3);
    let a = net.max_pool(a, 3, 2);
    let a = net.g.relu(a).unwrap();
    let a = net.flat(a);
    let y = net.dense(a, 2);
    let source = net.source(y).unwrap();
    source.values(&rows(9, 25)).unwrap();
    let relus = source
        .network
        .variables
        .iter()
        .filter(|v| v.kind == network::Kind::Rounded);
    assert_eq!(relus.count(), 50);
    // All of a channel has one scale, so that differences of integers are differences of numbers.
    let mut scales: Vec<usize> = source.network.variables.iter().map(|v| v.scale).collect();
    scales.sort_unstable();
    scales.dedup();
    assert_eq!(scales.len(), 2);
}

#[test]
fn the_input_goes_through_a_lookup_where_it_meets_what_lookups_say() {
    let (mut net, x) = Net::new(&[1, 4]);
    let a = net.dense(x, 4);
    let a = net.g.relu(a).unwrap();
    let a = net.g.add(a, x).unwrap();
    let y = net.dense(a, 3);
    let source = net.source(y).unwrap();
    source.values(&rows(9, 4)).unwrap();
    assert_eq!(source.lookups(), 8);
}
