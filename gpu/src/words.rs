//! Products by whole words: `kernels/words.cu`.

use bytemuck::{Pod, Zeroable};

use crate::device::{Arguments, Device};
use crate::failed::Failed;
use crate::gpu::blocks;
use crate::view::Product;
use crate::word::OfWords;

/// Terms of one launch: `Terms` of `kernels/words.cu`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
struct Terms {
    a: [u64; 4],
    b: [u64; 4],
    count: u32,
    unused: u32,
}

/// Rows and columns of a block's tile.
const TILE: usize = 64;

/// What launches take, and whether each adds to what the launches before it left.
fn launches(operands: &[(u64, u64)]) -> impl Iterator<Item = (Terms, u32)> {
    operands.chunks(4).enumerate().map(|(at, some)| {
        let mut terms = Terms::zeroed();
        for (k, &(a, b)) in some.iter().enumerate() {
            (terms.a[k], terms.b[k]) = (a, b);
        }
        terms.count = some.len() as u32;
        (terms, u32::from(at > 0))
    })
}

/// Matrix products; operands and result by their addresses.
pub(crate) fn matrices<D: Device>(
    device: &D,
    words: &OfWords,
    product: &Product,
    operands: &[(u64, u64)],
    to: u64,
) -> Result<(), Failed> {
    // Along the one axis of a grid that has room for all tiles.
    let tiles = product.rows.div_ceil(TILE) * product.columns.div_ceil(TILE);
    let grid = [blocks(tiles, 1)?, 1, product.batches as u32];
    for (terms, accumulate) in launches(operands) {
        let arguments = Arguments::default()
            .with(terms)
            .with(product.left)
            .with(product.right)
            .with(to)
            .with(product.place)
            .with(product.rows as u32)
            .with(product.columns as u32)
            .with(product.depth as u32)
            .with(accumulate);
        // SAFETY: the kernel's arguments; views lead to words of the operands alone, places to those of the result, for
        // `Product::of` made them for these shapes.
        unsafe { device.launch(words.product, words.product.grid(grid), arguments)? };
    }
    Ok(())
}

/// Products of `count` entries, one by one.
pub(crate) fn elementwise<D: Device>(
    device: &D,
    words: &OfWords,
    operands: &[(u64, u64)],
    to: u64,
    count: usize,
) -> Result<(), Failed> {
    let kernel = words.elementwise;
    let grid = [blocks(count, 256)?, 1, 1];
    for (terms, accumulate) in launches(operands) {
        let arguments = Arguments::default().with(terms).with(to);
        let arguments = arguments.with(count as u64).with(accumulate);
        // SAFETY: the kernel's arguments; every operand and the result have `count` words.
        unsafe { device.launch(kernel, kernel.grid(grid), arguments)? };
    }
    Ok(())
}
