// Between words and residues modulo a few primes below 2^62: what surrounds transforms that multiply polynomials over
// Z_2^64 / (X^N + 1) exactly. Words are read as signed; the products' coefficients S are less than M/4, M the product of
// the primes, and come back as S mod 2^64 = sum d_l (M/p_l) - q M, d_l = S (M/p_l)^-1 mod p_l, q = round(sum d_l / p_l).
#include "device.cuh"

struct Prime {
  uint64_t p, quotient;  // floor(2^64 / p)
  uint64_t wrap;         // 2^64 mod p
  uint64_t cofactor;     // M/p mod 2^64
  double reciprocal;
};

// Polynomial i of `size` words becomes polynomials i primes to i primes + primes - 1.
KERNEL void polynomials_split(const uint64_t* words, uint64_t* residues, const Prime* primes, uint32_t count, uint32_t log_size,
                              uint64_t all) {
  const uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const uint64_t word = words[i], polynomial = i >> log_size, at = i & ((1ull << log_size) - 1);
  for (uint32_t l = 0; l < count; l++) {
    const Prime q = primes[l];
    uint64_t r = word - __umul64hi(word, q.quotient) * q.p;
    r = r >= q.p ? r - q.p : r;
    if (word >> 63) r = r >= q.wrap ? r - q.wrap : r + q.p - q.wrap;
    residues[((polynomial * count + l) << log_size) + at] = r;
  }
}
EXPORT(polynomials_split)

// And back.
KERNEL void polynomials_join(const uint64_t* digits, uint64_t* words, const Prime* primes, uint32_t count, uint32_t log_size,
                             uint64_t product, uint64_t all) {
  const uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const uint64_t polynomial = i >> log_size, at = i & ((1ull << log_size) - 1);
  uint64_t sum = 0;
  double fraction = 0;
  for (uint32_t l = 0; l < count; l++) {
    const uint64_t d = digits[((polynomial * count + l) << log_size) + at];
    sum += d * primes[l].cofactor;
    fraction = __fma_rn((double)d, primes[l].reciprocal, fraction);
  }
  words[i] = sum - (uint64_t)__dadd_rn(fraction, 0.5) * product;
}
EXPORT(polynomials_join)
