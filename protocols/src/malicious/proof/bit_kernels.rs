//! Loops over blocks of conjunctions that never write a gate down as a field element of its own.
//!
//! A block has 64 rows of 512 bits. The 64 bits of a column are a cube of six variables, and all of them have the weight τ of
//! their column: what is summed over columns is a product of matrices over GF(2), and so is the fold of a column to Σ_b κ_b·bit_b.
//! Where the processor multiplies eight by eight bits (GFNI), one instruction does 4,096 conjunctions. What every variant gives
//! is the same; time depends on lengths alone.

use tacit_mpc::kernels::vectorised;

#[cfg(target_arch = "x86_64")]
use super::bit_vectors;

/// Rows of a block: bits of a column.
pub(super) const ROWS: usize = 64;
/// Words of a row.
const WIDTH: usize = 8;
/// Columns of a block.
pub(super) const COLUMNS: usize = 64 * WIDTH;
/// Words of a block.
pub(super) const WORDS: usize = ROWS * WIDTH;
/// Sums of a cube: 3^6.
pub(super) const CUBE: usize = 729;

/// 512 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(align(64))]
pub(super) struct Row(pub(super) [u64; WIDTH]);

/// 64 bits of each of 512 columns.
pub(super) type Block = [Row; ROWS];

/// The operands of gates at both indices.
#[derive(Clone, Copy)]
pub(super) struct Gates<'a> {
    /// First factors at this party's own index and at the next.
    pub(super) x: [&'a Block; 2],
    /// Second factors.
    pub(super) y: [&'a Block; 2],
}

/// Sums over all columns of τ times bits of so many kinds.
pub(super) struct Sums {
    sums: Vec<u64>,
    /// Sums of eight kinds each, as the vector kernels leave them.
    #[cfg(target_arch = "x86_64")]
    raw: Vec<bit_vectors::Raw>,
    /// Room for the rows of a cube.
    #[cfg(target_arch = "x86_64")]
    cube: Vec<Row>,
}

/// The weights of the columns of a block.
pub(super) struct Weights {
    tau: [u64; COLUMNS],
    #[cfg(target_arch = "x86_64")]
    vectors: Option<Box<bit_vectors::Weights>>,
}

impl Weights {
    pub(super) fn new(tau: [u64; COLUMNS]) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the features were found.
            vectors: bit_vectors::found().then(|| unsafe { bit_vectors::weights(&tau) }),
            tau,
        }
    }

    /// τ, column by column.
    pub(super) fn tau(&self) -> &[u64; COLUMNS] {
        &self.tau
    }
}

impl Sums {
    /// Of `kinds` kinds of bits.
    pub(super) fn new(kinds: usize) -> Self {
        Self {
            sums: vec![0; kinds],
            #[cfg(target_arch = "x86_64")]
            raw: vec![[Row::default(); 8]; kinds.div_ceil(8)],
            #[cfg(target_arch = "x86_64")]
            cube: Vec::new(),
        }
    }

    /// Adds Σ τ·bit for every row.
    pub(super) fn add_rows(&mut self, rows: &Block, weights: &Weights) {
        #[cfg(target_arch = "x86_64")]
        if let Some(weights) = &weights.vectors {
            // SAFETY: weights are made where the features were found.
            return unsafe { bit_vectors::rows(rows, weights, &mut self.raw) };
        }
        self.add_portable(rows, weights);
    }

    /// Adds Σ τ·(x_e·y'_e + x'_e·y_e) of the bits at this index and, primed, the next, for every e of {0, 1, ∞}^6 as the digits of
    /// a number, least significant first: what a polynomial of degree 1 in each of six variables is at 0, at 1, and the sum of both.
    pub(super) fn add_cubes(&mut self, gates: &Gates<'_>, weights: &Weights) {
        #[cfg(target_arch = "x86_64")]
        if let Some(weights) = &weights.vectors {
            // SAFETY: weights are made where the features were found.
            return unsafe {
                {
                    self.cube.resize(CUBE.next_multiple_of(8), Row::default());
                    bit_vectors::cubes(gates, &mut self.cube);
                    bit_vectors::rows(&self.cube, weights, &mut self.raw);
                }
            };
        }
        self.add_cubes_portable(gates, weights);
    }

    fn add_portable(&mut self, rows: &[Row], weights: &Weights) {
        vectorised(|| {
            for (sum, row) in self.sums.iter_mut().zip(rows) {
                for (word, tau) in row.0.iter().zip(weights.tau.as_chunks::<64>().0) {
                    let bits = tau.iter().enumerate();
                    *sum ^= bits.fold(0, |s, (i, tau)| s ^ (tau & all(*word, i)));
                }
            }
        });
    }

    fn add_cubes_portable(&mut self, gates: &Gates<'_>, weights: &Weights) {
        let ([x0, x1], [y0, y1]) = (gates.x.map(cube), gates.y.map(cube));
        let both = |e: usize| -> Row {
            let [x0, x1, y0, y1] = [&x0, &x1, &y0, &y1].map(|rows| rows[e].0);
            Row(std::array::from_fn(|k| (x0[k] & y1[k]) ^ (x1[k] & y0[k])))
        };
        let rows: Vec<Row> = (0..CUBE).map(both).collect();
        self.add_portable(&rows, weights);
    }

    /// The sums.
    pub(super) fn finish(self) -> Vec<u64> {
        let mut sums = self.sums;
        #[cfg(target_arch = "x86_64")]
        for (sums, raw) in sums.chunks_mut(8).zip(&self.raw) {
            let raw = bit_vectors::sums(raw);
            sums.iter_mut().zip(raw).for_each(|(s, r)| *s ^= r);
        }
        sums
    }
}

/// All ones where the bit is set.
fn all(word: u64, bit: usize) -> u64 {
    0u64.wrapping_sub(word >> bit & 1)
}

/// The rows of a block at all points of {0, 1, ∞}^6.
fn cube(block: &Block) -> Vec<Row> {
    let mut rows = block.to_vec();
    let mut stride = 1;
    for _ in 0..6 {
        let third = |pair: &[Row]| -> Vec<Row> {
            let (zeros, ones) = pair.split_at(stride);
            let sums = zeros.iter().zip(ones);
            let sums = sums.map(|(z, o)| Row(std::array::from_fn(|k| z.0[k] ^ o.0[k])));
            pair.iter().copied().chain(sums).collect()
        };
        rows = rows.chunks(2 * stride).flat_map(third).collect();
        stride *= 3;
    }
    rows
}

/// A map from columns to field elements: Σ_b κ_b·bit_b.
pub(super) struct Linear {
    kappa: [u64; ROWS],
    #[cfg(target_arch = "x86_64")]
    matrices: [[u64; 8]; 8],
}

impl Linear {
    pub(super) fn new(kappa: [u64; ROWS]) -> Self {
        Self {
            #[cfg(target_arch = "x86_64")]
            matrices: bit_vectors::matrices(&kappa),
            kappa,
        }
    }

    /// Of every column.
    pub(super) fn of(&self, block: &Block, out: &mut [u64; COLUMNS]) {
        #[cfg(target_arch = "x86_64")]
        if bit_vectors::found() {
            // SAFETY: the features were found.
            return unsafe { bit_vectors::linear(block, &self.matrices, out) };
        }
        self.of_portable(block, out);
    }

    fn of_portable(&self, block: &Block, out: &mut [u64; COLUMNS]) {
        out.fill(0);
        vectorised(|| {
            for (row, kappa) in block.iter().zip(self.kappa) {
                for (word, out) in row.0.iter().zip(out.as_chunks_mut::<64>().0) {
                    let bits = out.iter_mut().enumerate();
                    bits.for_each(|(i, out)| *out ^= kappa & all(*word, i));
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(seed: u64) -> impl FnMut() -> u64 {
        let mut x = seed;
        move || {
            x = x.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let z = (x ^ x >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ z >> 31
        }
    }

    /// Rows of random bits, of zeros and of ones.
    fn block(next: &mut impl FnMut() -> u64) -> Block {
        std::array::from_fn(|_| match next() % 8 {
            0 => Row::default(),
            1 => Row([u64::MAX; WIDTH]),
            _ => Row(std::array::from_fn(|_| next())),
        })
    }

    fn bit(block: &Block, b: usize, h: usize) -> u64 {
        block[b].0[h / 64] >> (h % 64) & 1
    }

    /// A column at a point of {0, 1, ∞}^6.
    fn at(block: &Block, e: usize, h: usize) -> u64 {
        let digit = |i: u32| e / 3usize.pow(i) % 3;
        let counts = |b: &usize| (0..6).all(|i| digit(i) == 2 || digit(i) == *b >> i & 1);
        (0..ROWS)
            .filter(counts)
            .fold(0, |s, b| s ^ bit(block, b, h))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 0, ..ProptestConfig::with_cases(4) })]

        /// All three loops by the processor's instructions, the portable ones, and the definition.
        #[test]
        fn every_variant_gives_what_the_definition_gives(seed in any::<u64>()) {
            let mut next = stream(seed);
            let (mut cubes, mut rows) = ([0, 1].map(|_| Sums::new(CUBE)), [0, 1].map(|_| Sums::new(ROWS)));
            let (mut want_cubes, mut want_rows) = (vec![0; CUBE], vec![0; ROWS]);
            for _ in 0..2 {
                let blocks = [(); 4].map(|()| block(&mut next));
                let [x, x_next, y, y_next] = &blocks;
                let gates = Gates { x: [x, x_next], y: [y, y_next] };
                let weights = Weights::new(std::array::from_fn(|_| next()));
                cubes[0].add_cubes(&gates, &weights);
                cubes[1].add_cubes_portable(&gates, &weights);
                rows[0].add_rows(gates.x[0], &weights);
                rows[1].add_portable(gates.x[0], &weights);
                // A few of the points, the last among them.
                for (e, want) in want_cubes.iter_mut().enumerate().step_by(13) {
                    for (h, tau) in weights.tau().iter().enumerate() {
                        let at = |b: &Block| at(b, e, h);
                        let both = at(x) & at(y_next) ^ at(x_next) & at(y);
                        *want ^= tau * both;
                    }
                }
                for (b, want) in want_rows.iter_mut().enumerate() {
                    let tau = weights.tau().iter().enumerate();
                    *want = tau.fold(*want, |s, (h, tau)| s ^ (tau * bit(x, b, h)));
                }

                let kappa: [u64; ROWS] = std::array::from_fn(|_| next());
                let linear = Linear::new(kappa);
                let (mut fast, mut portable) = ([1; COLUMNS], [2; COLUMNS]);
                linear.of(y, &mut fast);
                linear.of_portable(y, &mut portable);
                let want: [u64; COLUMNS] = std::array::from_fn(|h| (0..ROWS).fold(0, |s, b| s ^ (kappa[b] * bit(y, b, h))));
                prop_assert_eq!(fast, want);
                prop_assert_eq!(portable, want);
            }
            let [fast, portable] = cubes.map(Sums::finish);
            prop_assert_eq!(&fast, &portable);
            for e in (0..CUBE).step_by(13) {
                prop_assert_eq!(fast[e], want_cubes[e], "{}", e);
            }
            for rows in rows {
                prop_assert_eq!(&rows.finish(), &want_rows);
            }
        }
    }
}
