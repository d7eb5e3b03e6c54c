// C (+)= A * B modulo 2^64 (8 limbs) or 2^32 (4 limbs) on integer tensor cores.
//
// Words are split into bytes, x = sum_i x_i 2^(8i), and of the products of bytes those of weight s = i + j < LIMBS are
// summed: 36 (10) of them. All of one weight share a 32-bit accumulator, and hardly any can overflow with effect:
//     weight s counts modulo 2^(8 LIMBS - 8s), so where that is at most 2^32 an accumulator may wrap as it likes;
//     the others, s < LIMBS - 4, hold at most (s + 1) * 255^2 * K, which is below 2^32 for s = 3 up to K = 16512.
// So sums are folded into words every 16384 entries of k, which most layers do not have. 4 limbs never need it.
#include "view.cuh"

// Tiles of 64 x 64 words, 32 entries of k a step, as deep a pipeline as shared memory holds.
static const uint32_t ROWS = 64, COLUMNS = 64, STEP = 32, STAGES = 4, THREADS = 256;
static const uint32_t FOLD = 16384 / STEP;

// Bytes of one row of a tile: 32 entries, limb by limb.
template <int LIMBS>
struct Row {
  static const uint32_t BYTES = LIMBS * STEP, CHUNKS = BYTES / 16;
};

// ---- Packing: planes hold, for each row and each 32 entries of k, 32 bytes of each limb.

// Eight words to eight bytes of each limb: the transpose of an 8 x LIMBS matrix of bytes.
template <int LIMBS>
DEVICE void limbs_of(const uint64_t (&x)[8], uint2 (&limb)[LIMBS]) {
#pragma unroll
  for (int half = 0; half < LIMBS / 4; half++)
#pragma unroll
    for (int q = 0; q < 2; q++) {
      uint32_t w[4];
#pragma unroll
      for (int i = 0; i < 4; i++) w[i] = (uint32_t)(x[4 * q + i] >> (32 * half));
      const uint32_t even01 = __byte_perm(w[0], w[1], 0x5140), odd01 = __byte_perm(w[0], w[1], 0x7362);
      const uint32_t even23 = __byte_perm(w[2], w[3], 0x5140), odd23 = __byte_perm(w[2], w[3], 0x7362);
      const uint32_t bytes[4] = {__byte_perm(even01, even23, 0x5410), __byte_perm(even01, even23, 0x7632),
                                 __byte_perm(odd01, odd23, 0x5410), __byte_perm(odd01, odd23, 0x7632)};
#pragma unroll
      for (int l = 0; l < 4; l++) (q == 0 ? limb[4 * half + l].x : limb[4 * half + l].y) = bytes[l];
    }
}

// A part of a view, and where it goes in the planes.
struct Part {
  uint32_t row, rows, k, count;  // rows from `row` on, entries from `k` on
  uint32_t at, length;           // to entry `at` of rows of `length` entries
};

// Packs a part of a view. A block packs 32 rows and 32 entries; entries behind the part are zero.
// Grid: (rows / 32, count / 32, batch), rounded up.
template <int LIMBS>
DEVICE void pack(const View& view, const uint64_t* x, uint8_t* planes, const Part& part) {
  __shared__ uint64_t words[32][33];
  x += blockIdx.z * view.batch;
  planes += (uint64_t)blockIdx.z * part.rows * part.length * LIMBS;
  const uint32_t row0 = blockIdx.x * 32, k0 = blockIdx.y * 32;
  for (uint32_t i = threadIdx.x; i < 32 * 32; i += 128) {
    const uint32_t r = view.k_outer == 1 ? i / 32 : i % 32, e = view.k_outer == 1 ? i % 32 : i / 32;
    const bool there = row0 + r < part.rows && k0 + e < part.count;
    words[r][e] = there ? entry(view, x, part.row + row0 + r, part.k + k0 + e) : 0;
  }
  __syncthreads();
  const uint32_t r = threadIdx.x / 4, eight = threadIdx.x % 4;
  if (row0 + r >= part.rows) return;
  uint64_t v[8];
#pragma unroll
  for (int i = 0; i < 8; i++) v[i] = words[r][8 * eight + i];
  uint2 limb[LIMBS];
  limbs_of<LIMBS>(v, limb);
  uint8_t* to = planes + ((uint64_t)(row0 + r) * part.length + part.at + k0) * LIMBS + 8 * eight;
#pragma unroll
  for (int l = 0; l < LIMBS; l++) *(uint2*)(to + l * STEP) = limb[l];
}

// ---- The product.

// Chunk `c` (16 bytes) of row `r` of a tile. Rows are turned against each other, so that eight of them, read at once, lie
// in different banks.
template <int LIMBS>
DEVICE unsigned char* chunk(unsigned char* tile, uint32_t r, uint32_t c) {
  return tile + r * Row<LIMBS>::BYTES + ((c ^ (r & 7)) << 4);
}

// Starts copying step `step` of both operands.
template <int LIMBS>
DEVICE void fetch(unsigned char* stage, const uint8_t* a, const uint8_t* b, uint32_t m0, uint32_t n0, uint32_t m, uint32_t n,
                  uint32_t length, uint32_t step) {
  const uint32_t chunks = Row<LIMBS>::CHUNKS;
#pragma unroll
  for (uint32_t i = threadIdx.x; i < (ROWS + COLUMNS) * chunks; i += THREADS) {
    const uint32_t r = i / chunks, c = i % chunks;
    const bool left = r < ROWS;
    const uint32_t row = left ? m0 + r : n0 + r - ROWS;
    const bool there = row < (left ? m : n);
    const uint64_t from = ((uint64_t)(there ? row : 0) * length + step * STEP) * LIMBS + c * 16;
    copy_async(chunk<LIMBS>(stage, r, c), (left ? a : b) + from, there);
  }
}

// Which tile a block computes: bands of eight rows of tiles, column by column, so that blocks that run at one time read few
// rows and columns.
DEVICE void tile_of(uint32_t block, uint32_t m, uint32_t n, uint32_t& m0, uint32_t& n0) {
  const uint32_t tall = (m + ROWS - 1) / ROWS, wide = (n + COLUMNS - 1) / COLUMNS;
  const uint32_t band = block / (8 * wide), within = block % (8 * wide);
  const uint32_t height = tall - 8 * band < 8 ? tall - 8 * band : 8;
  m0 = (8 * band + within % height) * ROWS;
  n0 = within / height * COLUMNS;
}

// The part of the result that a launch computes, and whether it is added to what is there.
struct Tile {
  uint32_t row, rows, column, columns, length, accumulate;
};

// Eight warps, each 32 x 16 words: as many 32-bit accumulators as limbs for each. `fold` is FOLD but in tests.
template <int LIMBS, class Word>
DEVICE void product(const uint8_t* a, const uint8_t* b, Word* c, const Place& to, const Tile& tile, uint32_t fold) {
  DYNAMIC_SHARED(shared);
  const uint32_t m = tile.rows, n = tile.columns, length = tile.length;
  bool accumulate = tile.accumulate != 0;
  const uint32_t stage_bytes = (ROWS + COLUMNS) * Row<LIMBS>::BYTES;
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  uint32_t m0, n0;
  tile_of(blockIdx.x, m, n, m0, n0);
  const uint32_t warp_m = warp / 4 * 32, warp_n = warp % 4 * 16;
  const bool idle = m0 + warp_m >= m || n0 + warp_n >= n;
  a += (uint64_t)blockIdx.z * m * length * LIMBS;
  b += (uint64_t)blockIdx.z * n * length * LIMBS;
  c += blockIdx.z * to.batch;
  const uint32_t steps = length / STEP;

  uint32_t sum[LIMBS][2][2][4];
#pragma unroll
  for (int s = 0; s < LIMBS; s++)
#pragma unroll
    for (int i = 0; i < 16; i++) sum[s][i / 8][i / 4 % 2][i % 4] = 0;

#pragma unroll
  for (uint32_t s = 0; s < STAGES - 1; s++) {
    if (s < steps) fetch<LIMBS>(shared + s * stage_bytes, a, b, m0, n0, m, n, length, s);
    copy_commit();
  }
#pragma unroll 1
  for (uint32_t step = 0; step < steps; step++) {
    copy_wait<STAGES - 2>();
    __syncthreads();  // this step's copies of all threads are there, and nobody reads the stage that is fetched next
    const uint32_t next = step + STAGES - 1;
    if (next < steps) fetch<LIMBS>(shared + next % STAGES * stage_bytes, a, b, m0, n0, m, n, length, next);
    copy_commit();
    if (idle) continue;

    unsigned char* stage = shared + step % STAGES * stage_bytes;
    uint32_t y[LIMBS][4];  // columns 0 to 7: entries 0 to 15, 16 to 31; columns 8 to 15 the same
#pragma unroll
    for (int j = 0; j < LIMBS; j++)
      load_matrices(y[j], chunk<LIMBS>(stage, ROWS + warp_n + lane % 8 + lane / 16 * 8, 2 * j + lane / 8 % 2));
#pragma unroll
    for (int i = 0; i < LIMBS; i++) {
      uint32_t x[2][4];
#pragma unroll
      for (int t = 0; t < 2; t++)
        load_matrices(x[t], chunk<LIMBS>(stage, warp_m + t * 16 + lane % 16, 2 * i + lane / 16));
#pragma unroll
      for (int j = 0; j < LIMBS - i; j++)
#pragma unroll
        for (int t = 0; t < 2; t++) {
          multiply_add(sum[i + j][t][0], x[t], y[j][0], y[j][1]);
          multiply_add(sum[i + j][t][1], x[t], y[j][2], y[j][3]);
        }
    }
    const bool last = step + 1 == steps;
    if (!last && (step + 1) % fold != 0) continue;
#pragma unroll
    for (int i = 0; i < 16; i++) {
      const int t = i / 8, u = i / 4 % 2, e = i % 4;
      Word word = 0;
#pragma unroll
      for (int s = 0; s < LIMBS; s++) {
        word += (Word)sum[s][t][u][e] << (8 * s);
        sum[s][t][u][e] = 0;
      }
      const uint32_t row = m0 + warp_m + t * 16 + lane / 4 + e / 2 * 8, column = n0 + warp_n + u * 8 + lane % 4 * 2 + e % 2;
      if (row < m && column < n) {
        Word* at = c + place(to, tile.row + row, tile.column + column);
        *at = word + (accumulate ? *at : 0);
      }
    }
    accumulate = true;
  }
}

KERNEL void __launch_bounds__(128) limbs_pack(ARGUMENT View view, const uint64_t* x, uint8_t* planes, ARGUMENT Part part) {
  pack<8>(view, x, planes, part);
}
EXPORT(limbs_pack)

KERNEL void __launch_bounds__(256, 1)
    limbs_product(const uint8_t* a, const uint8_t* b, uint64_t* c, ARGUMENT Place to, ARGUMENT Tile tile) {
  product<8, uint64_t>(a, b, c, to, tile, FOLD);
}
EXPORT(limbs_product)

#if !defined(__CUDACC__)
// The same, folded every second step: tests of folding need not be as long as overflows are far.
KERNEL void limbs_product_folding(const uint8_t* a, const uint8_t* b, uint64_t* c, ARGUMENT Place to, ARGUMENT Tile tile) {
  product<8, uint64_t>(a, b, c, to, tile, 2);
}
EXPORT(limbs_product_folding)
#endif
