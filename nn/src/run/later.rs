//! Products that are rounded later: where only the greatest of several are kept, the others need no rounding.
//!
//! max and relu commute with the floor, and neither minds the scale, so a convolution before a pooling is rounded behind it:
//! the result is the same to the bit. What lies between, a region, is a product that nothing rounds at once, sums of it and of
//! terms that are brought to its scale, rearrangements, and maxima of its entries.

use crate::{Edge, Function, Graph, Layout, graph::Op};

/// When the first port of a node is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rounded {
    /// With the node's own work, if at all.
    AtOnce,
    /// After what uses it.
    Later,
    /// It is the end of a region: right after the node's own work.
    Behind,
}

/// Of what a region begins with, this part at most may be left at its ends: a product that is shared without rounding and the
/// rounding by itself are more than both at once, 24 and 14.75 bytes a value instead of 30.75.
const KEPT: (usize, usize) = (2, 5);

/// For every node.
pub(super) fn of(graph: &Graph, uses: &[Vec<usize>], fused: &[bool]) -> Vec<Rounded> {
    let mut all = vec![Rounded::AtOnce; graph.len()];
    let greatest = |op: &Op| matches!(op, Op::Map(Function::Max));
    if !graph.nodes.iter().any(|node| greatest(&node.op)) {
        return all;
    }
    for start in 0..graph.len() {
        let product = matches!(graph.nodes[start].op, Op::Bilinear(_));
        if product && !fused[start] && uses[start][0] > 0 {
            region(graph, uses, fused, start, &mut all);
        }
    }
    all
}

/// Marks the region of one product, if it is worth it.
fn region(graph: &Graph, uses: &[Vec<usize>], fused: &[bool], start: usize, all: &mut [Rounded]) {
    let mut inside = vec![start];
    let mut used = vec![0; graph.len()];
    for (k, node) in graph.nodes.iter().enumerate().skip(start + 1) {
        let of_region = |x: &&Edge| x.port == 0 && inside.contains(&x.node);
        let count = node.inputs.iter().filter(of_region).count();
        let live = uses[k].iter().any(|&n| n > 0);
        if count == 0 || !live || fused[k] || uses[k][0] == 0 {
            continue;
        }
        let joins = match &node.op {
            Op::Layout(layout) => !matches!(
                layout,
                Layout::Sum { .. } | Layout::Scatter { .. } | Layout::Broadcast(_)
            ),
            Op::Map(Function::Relu) => true,
            Op::Map(Function::Max) | Op::Concat(_) => count == node.inputs.len(),
            // What is brought to the scale of the product was not rounded later itself.
            Op::Linear(coefficients, 0.0) => {
                count == 1
                    && coefficients.iter().all(|&c| c == 1)
                    && node
                        .inputs
                        .iter()
                        .all(|x| !fused[x.node] && all[x.node] != Rounded::Later)
            }
            _ => false,
        };
        if joins {
            node.inputs
                .iter()
                .filter(of_region)
                .for_each(|x| used[x.node] += 1);
            inside.push(k);
        }
    }
    let size = |&k: &usize| graph.nodes[k].shape.iter().product::<usize>();
    let (ends, within): (Vec<usize>, Vec<usize>) = inside.iter().partition(|&&k| used[k] == 0);
    let kept: usize = ends.iter().map(size).sum();
    if within.iter().any(|&k| used[k] != uses[k][0]) || kept * KEPT.1 > size(&start) * KEPT.0 {
        return;
    }
    within.iter().for_each(|&k| all[k] = Rounded::Later);
    ends.iter().for_each(|&k| all[k] = Rounded::Behind);
}
