//! How a matrix product is computed.

/// A way to compute matrix products, all with the same result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// By whole words on the integer units: nothing is packed, so it is the best for small products.
    Words,
    /// By 36 products of 8-bit limbs on tensor cores.
    Limbs,
    /// By 18 or 19 products of residues on tensor cores: half as many as of limbs, for more packing.
    Residues,
}

impl Method {
    /// The one for a product of `rows` x `depth` by `depth` x `columns` words.
    ///
    /// Tiles of the tensor cores are 64 x 64 x 32: a product that fills less than a quarter of them is not packed.
    /// Packing for residues reads 8 bytes and writes 18 an entry, and digits take 36 bytes a result, which large products
    /// make up for. Not yet held against measurements on a device.
    #[must_use]
    pub fn for_shape(rows: usize, columns: usize, depth: usize) -> Self {
        if rows < 16 || columns < 16 || depth < 32 {
            Self::Words
        } else if rows.min(columns).min(depth) < 1024 {
            Self::Limbs
        } else {
            Self::Residues
        }
    }
}
