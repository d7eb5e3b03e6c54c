// C (+)= A * B modulo 2^64 by residues: one product of signed bytes for each of 18 or 19 moduli, instead of 36 of limbs.
// Ozaki, Uchino, Imamura, "Ozaki Scheme II", 2025 (arXiv 2504.08009), with an integer result: words are read as signed,
// and of the sum S, |S| <= K 2^126, which the residues determine once M = prod m exceeds twice that, S mod 2^64 is taken.
//
//     digit      d_m = S (M/m)^-1 mod m; the inverse is folded into the residues of A
//     result     S = sum d_m (M/m) - q M,  q = round(sum d_m / m)
//
// q comes from sums of d_m floor(2^56/m), which are off by less than 2^13 of 2^56; so |S| must be below M (1/2 - 2^-43).
// With 18 moduli K may be 11000, with 19 moduli 2^20; accumulators of 32 bits hold 2^17 - 1 products of signed bytes.
#include "tiles.cuh"

static const uint32_t SIDE = 128, STEP = 64;
static const int MOST = 19;

// ---- Constants of the moduli.

struct Modulus {
  uint32_t m;
  uint32_t reciprocal;  // floor((2^32 - 1) / m)
  uint32_t lift;        // the multiple of m above 2^31
  uint32_t unused;
  uint64_t fraction;  // floor(2^56 / m)
};

struct Moduli {
  Modulus all[MOST];
  uint64_t cofactor[2][MOST], product[2];  // M/m and M modulo 2^64, of 18 and of 19
};

// The largest numbers up to 256 that have no common factor.
CONSTEXPR uint32_t modulus(int l) {
  const uint32_t all[MOST] = {256, 255, 253, 251, 247, 241, 239, 233, 229, 227, 223, 217, 211, 199, 197, 193, 191, 181, 179};
  return all[l];
}

CONSTEXPR Moduli moduli() {
  Moduli c = {};
  for (int l = 0; l < MOST; l++) {
    const uint32_t m = modulus(l);
    c.all[l].m = m;
    c.all[l].reciprocal = 0xFFFFFFFFu / m;
    c.all[l].lift = (0x80000000u / m + 1) * m;
    c.all[l].fraction = (1ull << 56) / m;
  }
  for (int set = 0; set < 2; set++) {
    const int count = MOST - 1 + set;
    c.product[set] = 1;
    for (int l = 0; l < count; l++) {
      c.product[set] *= modulus(l);
      c.cofactor[set][l] = 1;
      for (int other = 0; other < count; other++)
        if (other != l) c.cofactor[set][l] *= modulus(other);
    }
  }
  return c;
}

static __constant__ const Moduli CONSTANTS = moduli();

// (M/m)^-1 mod m, where M is the product of `count` moduli.
CONSTEXPR uint32_t inverse(int l, int count) {
  const uint32_t m = modulus(l);
  uint32_t cofactor = 1;
  for (int other = 0; other < count; other++)
    if (other != l) cofactor = cofactor * modulus(other) % m;
  uint32_t x = 1;
  while (cofactor * x % m != 1) x++;
  return x;
}

// factor * 256^i mod m for i = 4 half to 4 half + 3, one a byte.
CONSTEXPR uint32_t weights(int l, int half, uint32_t factor) {
  uint32_t power = factor % modulus(l), packed = 0;
  for (int i = 0; i < 4 * half + 4; i++) {
    if (i >= 4 * half) packed |= power << 8 * (i - 4 * half);
    power = power * 256 % modulus(l);
  }
  return packed;
}

// -factor * 2^63 mod m.
CONSTEXPR uint32_t minus_half(int l, uint32_t factor) {
  uint32_t power = factor % modulus(l);
  for (int i = 0; i < 63; i++) power = power * 2 % modulus(l);
  return (modulus(l) - power) % modulus(l);
}

// ---- Packing: planes hold, modulus by modulus, rows of signed bytes.

// The residue of factor * x, x read as signed, in -m/2 to m/2 - 1: bytes of x + 2^63, weighted, and 2^63 taken off again.
template <int L, uint32_t FACTOR>
DEVICE uint32_t residue(uint32_t low, uint32_t high) {
  constexpr uint32_t M = modulus(L), W0 = weights(L, 0, FACTOR), W1 = weights(L, 1, FACTOR), START = minus_half(L, FACTOR);
  const uint32_t r = __dp4a(high ^ 0x80000000u, W1, __dp4a(low, W0, START)) % M;
  return (r >= (M + 1) / 2 ? r - M : r) & 255;
}

// One modulus after the other, each known when this is compiled. LEFT: with the inverse of the cofactor.
template <int L, int COUNT, bool LEFT>
struct Planes {
  static MEMBER void fill(const uint64_t (&x)[8], uint8_t* to, uint64_t plane) {
    uint32_t bytes[2] = {0, 0};
#pragma unroll
    for (int i = 0; i < 8; i++)
      bytes[i / 4] |= residue<L, LEFT ? inverse(L, COUNT) : 1>((uint32_t)x[i], (uint32_t)(x[i] >> 32)) << 8 * (i % 4);
    *(uint2*)to = make_uint2(bytes[0], bytes[1]);
    Planes<L + 1, COUNT, LEFT>::fill(x, to + plane, plane);
  }
};
template <int COUNT, bool LEFT>
struct Planes<COUNT, COUNT, LEFT> {
  static MEMBER void fill(const uint64_t (&)[8], uint8_t*, uint64_t) {}
};

// Packs a part of a view.
template <int COUNT, bool LEFT>
DEVICE void pack(const View& view, const uint64_t* x, uint8_t* planes, const Part& part) {
  const Eight<uint64_t> mine = eight(view, x, part);
  if (mine.row >= part.rows) return;
  const uint64_t plane = (uint64_t)part.rows * part.length;
  uint8_t* to = planes + blockIdx.z * plane * COUNT + (uint64_t)mine.row * part.length + part.at + mine.k;
  Planes<0, COUNT, LEFT>::fill(mine.words, to, plane);
}

// ---- The products.

// x mod m for x below 2^32.
DEVICE uint32_t reduce(uint32_t x, const Modulus& q) {
  const uint32_t r = x - __umulhi(x, q.reciprocal) * q.m;  // below 3m
  const uint32_t s = r >= q.m ? r - q.m : r;
  return s >= q.m ? s - q.m : s;
}

// Digits of one modulus: block (tile, modulus, batch). Eight warps, each 64 x 32.
template <class Columns>
DEVICE void product(const uint8_t* a, const uint8_t* b, uint8_t* digits, const Tile& tile, uint32_t count, const Columns& columns) {
  DYNAMIC_SHARED(shared);
  typedef Pipeline<SIDE, Bytes<STEP, 1>, Columns> Stages;
  const uint32_t m = tile.rows, n = tile.columns;
  const uint64_t plane = (uint64_t)blockIdx.z * count + blockIdx.y;
  a += plane * m * tile.length;
  b += plane * columns.entries(STEP);
  Stages stages(shared, a, b, tile, columns);
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const uint32_t warp_m = warp / 4 * 64, warp_n = warp % 4 * 32, m0 = stages.m0, n0 = stages.n0;
  const bool idle = m0 + warp_m >= m || n0 + warp_n >= n;
  digits += plane * m * n;

  int32_t sum[4][4][4];
#pragma unroll
  for (int i = 0; i < 64; i++) sum[i / 16][i / 4 % 4][i % 4] = 0;

  stages.begin();
#pragma unroll 1
  for (uint32_t step = 0; step < stages.steps(); step++) {
    unsigned char* stage = stages.next(step);
    if (idle) continue;
#pragma unroll
    for (uint32_t half = 0; half < STEP / 32; half++) {
      uint32_t x[4][4], y[2][4];
#pragma unroll
      for (int i = 0; i < 4; i++)
        load_matrices(x[i], Stages::chunk(stage, warp_m + i * 16 + lane % 16, 2 * half + lane / 16));
#pragma unroll
      for (int j = 0; j < 2; j++)
        load_matrices(y[j], Stages::chunk(stage, SIDE + warp_n + j * 16 + lane % 8 + lane / 16 * 8, 2 * half + lane / 8 % 2));
#pragma unroll
      for (int i = 0; i < 4; i++)
#pragma unroll
        for (int j = 0; j < 4; j++) multiply_add(sum[i][j], x[i], y[j / 2][j % 2 * 2], y[j / 2][j % 2 * 2 + 1]);
    }
  }
  if (idle) return;
  const Modulus q = CONSTANTS.all[blockIdx.y];
#pragma unroll
  for (int i = 0; i < 64; i++) {
    const int t = i / 16, u = i / 4 % 4, e = i % 4;
    const uint32_t row = m0 + warp_m + t * 16 + lane / 4 + e / 2 * 8, column = n0 + warp_n + u * 8 + lane % 4 * 2 + e % 2;
    if (row < m && column < n)
      digits[(uint64_t)row * n + column] = (uint8_t)reduce((uint32_t)sum[t][u][e] + q.lift, q);
  }
}

KERNEL void __launch_bounds__(256, 2)
    residues_product(const uint8_t* a, const uint8_t* b, uint8_t* digits, ARGUMENT Tile tile, uint32_t count) {
  product(a, b, digits, tile, count, Rows{tile});
}
EXPORT(residues_product)

KERNEL void __launch_bounds__(256, 2)
    residues_convolution(const uint8_t* a, const uint8_t* b, uint8_t* digits, ARGUMENT Tile tile, uint32_t count, ARGUMENT View view,
                         ARGUMENT Images images) {
  product(a, b, digits, tile, count, Windows(tile, view, images));
}
EXPORT(residues_convolution)

// Words from digits. Grid: (rows * columns / 256, batch), rounded up.
KERNEL void __launch_bounds__(256)
    residues_combine(const uint8_t* digits, uint64_t* c, ARGUMENT Place to, ARGUMENT Tile tile, uint32_t count) {
  const uint64_t i = (uint64_t)blockIdx.x * 256 + threadIdx.x, words = (uint64_t)tile.rows * tile.columns;
  if (i >= words) return;
  digits += blockIdx.y * words * count;
  const int set = count - (MOST - 1);
  uint64_t sum = 0, fraction = 0;
  for (uint32_t l = 0; l < count; l++) {
    const uint64_t d = digits[l * words + i];
    sum += d * CONSTANTS.cofactor[set][l];
    fraction += d * CONSTANTS.all[l].fraction;
  }
  const uint64_t q = (fraction + (1ull << 55)) >> 56;
  uint64_t* at = c + blockIdx.y * to.batch + place(to, tile.row + (uint32_t)(i / tile.columns), tile.column + (uint32_t)(i % tile.columns));
  *at = sum - q * CONSTANTS.product[set] + (tile.accumulate ? *at : 0);
}
EXPORT(residues_combine)

#define PACK(name, COUNT, LEFT)                                                                              \
  KERNEL void __launch_bounds__(128) name(ARGUMENT View view, const uint64_t* x, uint8_t* planes, ARGUMENT Part part) {        \
    pack<COUNT, LEFT>(view, x, planes, part);                                                                \
  }                                                                                                          \
  EXPORT(name)
PACK(residues_pack_left_18, 18, true)
PACK(residues_pack_left_19, 19, true)
PACK(residues_pack_right_18, 18, false)
PACK(residues_pack_right_19, 19, false)
