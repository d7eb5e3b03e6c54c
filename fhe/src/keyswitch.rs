//! Keyswitching, from the large key to the small one, for many values at once.
//!
//! A value (a_1 … a_kN, b) becomes (0, …, 0, b) - Σ_i Σ_j d_ij · K_ij with digits d_ij of a_i: a matrix product, digits of
//! all values times the key. So the key, which no cache holds, is read once for all of them. Words have 32 bits: noise
//! and modulus count by their ratio alone, and the small key's noise is far above 2^-32 (`Params::lwe_noise`).

use pulp::Arch;

use crate::params::Params;

/// The expanded key: for each bit of the large key, `levels` ciphertexts of n + 1 words, least significant digit first.
pub(crate) struct KeyswitchKey {
    rows: Vec<u32>,
    width: usize,
    base_log: u32,
    levels: usize,
}

/// How many rows meet a sum at a time: their words and the sum's stay in the nearest cache, and a sum is read and
/// written once for all of them.
const ROWS: usize = 4;

impl KeyswitchKey {
    pub(crate) fn new(rows: Vec<u32>, params: &Params) -> Self {
        let gadget = params.keyswitch();
        Self {
            rows,
            width: params.lwe_dimension() + 1,
            base_log: gadget.base_log,
            levels: gadget.levels as usize,
        }
    }

    /// Bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    /// The values (k·N + 1 words, the body last) under the small key (n + 1 words of 32 bits, the body last).
    pub(crate) fn switch(&self, values: &[Vec<u64>]) -> Vec<Vec<u32>> {
        let digits: Vec<Vec<u32>> = values.iter().map(|value| self.digits(value)).collect();
        let mut sums: Vec<Vec<u32>> = values.iter().map(|value| self.trivial(value)).collect();
        let arch = Arch::new();
        for (at, rows) in self.rows.chunks(ROWS * self.width).enumerate() {
            for (sum, digits) in sums.iter_mut().zip(&digits) {
                let digits = &digits[at * ROWS..];
                if digits.len() < ROWS {
                    for (row, &d) in rows.chunks_exact(self.width).zip(digits) {
                        sum.iter_mut()
                            .zip(row)
                            .for_each(|(s, r)| *s = s.wrapping_sub(d.wrapping_mul(*r)));
                    }
                    continue;
                }
                let [d0, d1, d2, d3] = [digits[0], digits[1], digits[2], digits[3]];
                if d0 | d1 | d2 | d3 != 0 {
                    arch.dispatch(
                        #[inline(always)]
                        || subtract(sum, rows, [d0, d1, d2, d3]),
                    );
                }
            }
        }
        sums
    }

    /// (0, …, 0, b), b rounded to 32 bits.
    fn trivial(&self, value: &[u64]) -> Vec<u32> {
        let body = value.last().copied().unwrap_or(0);
        let mut sum = vec![0; self.width];
        sum[self.width - 1] = (body.wrapping_add(1 << 31) >> 32) as u32;
        sum
    }

    /// The signed digits of the mask, -B/2 to B/2 - 1, least significant first.
    fn digits(&self, value: &[u64]) -> Vec<u32> {
        let base = self.base_log;
        let kept = base * self.levels as u32;
        let half = 1 << (base - 1);
        let mut digits = Vec::with_capacity((value.len() - 1) * self.levels);
        for &a in &value[..value.len() - 1] {
            let mut rest = a.wrapping_add(1 << (63 - kept)) >> (64 - kept);
            for _ in 0..self.levels {
                let digit = rest & ((1 << base) - 1);
                let carry = u64::from(digit >= half);
                rest = (rest >> base) + carry;
                digits.push((digit as u32).wrapping_sub((carry as u32) << base));
            }
        }
        digits
    }
}

/// `sum` -= Σ digit · row.
#[inline(always)]
fn subtract(sum: &mut [u32], rows: &[u32], [d0, d1, d2, d3]: [u32; ROWS]) {
    let width = sum.len();
    let (r0, rest) = rows.split_at(width);
    let (r1, rest) = rest.split_at(width);
    let (r2, r3) = rest.split_at(width);
    for ((((s, a), b), c), d) in sum.iter_mut().zip(r0).zip(r1).zip(r2).zip(r3) {
        let low = d0.wrapping_mul(*a).wrapping_add(d1.wrapping_mul(*b));
        let high = d2.wrapping_mul(*c).wrapping_add(d3.wrapping_mul(*d));
        *s = s.wrapping_sub(low.wrapping_add(high));
    }
}
