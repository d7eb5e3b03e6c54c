//! Entries moved between channels and space.

use super::invalid;
use crate::{Edge, Graph, Layout, Result};

/// Which of channel and place in the block counts faster along the channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The block's rows and columns before the channel (DCR).
    BlockFirst,
    /// The channel before the block's rows and columns (CRD).
    ChannelFirst,
}

/// \[n, c·b², h, w\] to \[n, c, h·b, w·b\].
///
/// # Errors
/// Shapes that do not fit.
pub fn depth_to_space(g: &mut Graph, x: Edge, block: usize, order: Order) -> Result<Edge> {
    let (n, c, h, w) = image(g, x)?;
    let square = block.checked_mul(block).filter(|&s| s > 0 && c % s == 0);
    let c = c / square.ok_or_else(|| invalid(format!("{c} channels are no squares of {block}")))?;
    let (split, axes) = match order {
        Order::BlockFirst => ([n, block, block, c, h, w], [0, 3, 4, 1, 5, 2]),
        Order::ChannelFirst => ([n, c, block, block, h, w], [0, 1, 4, 2, 5, 3]),
    };
    rearrange(g, x, split, axes, [n, c, h * block, w * block])
}

/// \[n, c, h·b, w·b\] to \[n, c·b², h, w\]: the inverse of [`depth_to_space`].
///
/// # Errors
/// Shapes that do not fit.
pub fn space_to_depth(g: &mut Graph, x: Edge, block: usize, order: Order) -> Result<Edge> {
    let (n, c, h, w) = image(g, x)?;
    if block == 0 || h % block != 0 || w % block != 0 {
        return Err(invalid(format!(
            "{h} by {w} entries cannot be cut into blocks of {block} by {block}"
        )));
    }
    let (h, w) = (h / block, w / block);
    let axes = match order {
        Order::BlockFirst => [0, 3, 5, 1, 2, 4],
        Order::ChannelFirst => [0, 1, 3, 5, 2, 4],
    };
    let split = [n, c, h, block, w, block];
    rearrange(g, x, split, axes, [n, c * block * block, h, w])
}

fn rearrange(
    g: &mut Graph,
    x: Edge,
    split: [usize; 6],
    axes: [usize; 6],
    shape: [usize; 4],
) -> Result<Edge> {
    let x = g.reshape(x, &split)?;
    let x = g.layout(Layout::Transpose(axes.to_vec()), x)?;
    g.reshape(x, &shape)
}

fn image(g: &Graph, x: Edge) -> Result<(usize, usize, usize, usize)> {
    match *g.shape(x)? {
        [n, c, h, w] => Ok((n, c, h, w)),
        ref other => Err(invalid(format!(
            "[n, channels, height, width] is expected, not {other:?}"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::testing::{eval, numbers};

    #[test]
    fn entries_go_where_the_block_says() {
        let x = numbers(&[2, 12, 2, 3], 1);
        for order in [Order::BlockFirst, Order::ChannelFirst] {
            let y = eval(std::slice::from_ref(&x), |g, e| {
                let y = depth_to_space(g, e[0], 2, order)?;
                Ok(vec![y, space_to_depth(g, y, 2, order)?])
            });
            assert_eq!(y[0].shape(), [2, 3, 4, 6]);
            for ((n, c, h, w), i, j) in [((1, 2, 1, 2), 1, 0), ((0, 1, 0, 1), 1, 1)] {
                let channel = match order {
                    Order::BlockFirst => (i * 2 + j) * 3 + c,
                    Order::ChannelFirst => c * 4 + i * 2 + j,
                };
                assert_eq!(y[0][[n, c, h * 2 + i, w * 2 + j]], x[[n, channel, h, w]]);
            }
            assert_eq!(y[1], x);
        }
    }

    #[test]
    fn misfits_are_refused() {
        let mut g = Graph::new();
        let x = g.input(&[1, 6, 4, 4]);
        assert!(depth_to_space(&mut g, x, 2, Order::BlockFirst).is_err());
        assert!(depth_to_space(&mut g, x, 0, Order::BlockFirst).is_err());
        assert!(space_to_depth(&mut g, x, 3, Order::BlockFirst).is_err());
        let flat = g.input(&[4, 4]);
        assert!(space_to_depth(&mut g, flat, 2, Order::BlockFirst).is_err());
    }
}
