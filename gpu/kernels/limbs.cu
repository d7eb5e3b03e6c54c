// C (+)= A * B modulo 2^64 (8 limbs) or 2^32 (4 limbs) on integer tensor cores.
//
// Words are split into bytes, x = sum_i x_i 2^(8i), and of the products of bytes those of weight s = i + j < LIMBS are
// summed: 36 (10) of them. All of one weight share a 32-bit accumulator, and hardly any can overflow with effect:
//     weight s counts modulo 2^(8 LIMBS - 8s), so where that is at most 2^32 an accumulator may wrap as it likes;
//     the others, s < LIMBS - 4, hold at most (s + 1) * 255^2 * K, which is below 2^32 for s = 3 up to K = 16512.
// So sums are folded into words every 16384 entries of k, which most layers do not have. 4 limbs never need it.
#include "tiles.cuh"

// Tiles of 64 x 64 words, 32 entries of k a step: bytes of a row are limb by limb.
static const uint32_t SIDE = 64, STEP = 32;
static const uint32_t NEVER = ~0u;  // words of 32 bits never need it

// ---- Packing: planes hold, for each row and each 32 entries of k, 32 bytes of each limb.

// Eight words to eight bytes of each limb: the transpose of an 8 x LIMBS matrix of bytes.
template <int LIMBS, class Word>
DEVICE void limbs_of(const Word (&x)[8], uint2 (&limb)[LIMBS]) {
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

// Packs a part of a view.
template <int LIMBS, class Word>
DEVICE void pack(const View& view, const Word* x, uint8_t* planes, const Part& part) {
  const Eight<Word> mine = eight(view, x, part);
  if (mine.row >= part.rows) return;
  uint2 limb[LIMBS];
  limbs_of(mine.words, limb);
  const uint64_t row = (uint64_t)blockIdx.z * part.rows + mine.row;
  uint8_t* to = planes + (row * part.length + part.at + mine.k / STEP * STEP) * LIMBS + mine.k % STEP;
#pragma unroll
  for (int l = 0; l < LIMBS; l++) *(uint2*)(to + l * STEP) = limb[l];
}

// ---- The product.

// Eight warps, each 32 x 16 words: as many 32-bit accumulators as limbs for each. Sums are folded every `fold` steps.
template <int LIMBS, class Word, class Columns>
DEVICE void product(const uint8_t* a, const uint8_t* b, Word* c, const Place& to, const Tile& tile, uint32_t fold,
                    const Columns& columns) {
  DYNAMIC_SHARED(shared);
  typedef Bytes<STEP, LIMBS> Step;
  typedef Pipeline<SIDE, Step, Columns> Stages;
  const uint32_t m = tile.rows, n = tile.columns;
  a += (uint64_t)blockIdx.z * m * tile.length * LIMBS;
  b += blockIdx.z * columns.entries(STEP) * LIMBS;
  Stages stages(shared, a, b, tile, columns);
  const uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const uint32_t warp_m = warp / 4 * 32, warp_n = warp % 4 * 16, m0 = stages.m0, n0 = stages.n0;
  const bool idle = m0 + warp_m >= m || n0 + warp_n >= n;
  bool accumulate = tile.accumulate != 0;
  c += blockIdx.z * to.batch;

  uint32_t sum[LIMBS][2][2][4];
#pragma unroll
  for (int s = 0; s < LIMBS; s++)
#pragma unroll
    for (int i = 0; i < 16; i++) sum[s][i / 8][i / 4 % 2][i % 4] = 0;

  stages.begin();
#pragma unroll 1
  for (uint32_t step = 0; step < stages.steps(); step++) {
    unsigned char* stage = stages.next(step);
    if (idle) continue;
    uint32_t y[LIMBS][4];  // columns 0 to 7: entries 0 to 15, 16 to 31; columns 8 to 15 the same
#pragma unroll
    for (int j = 0; j < LIMBS; j++)
      load_matrices(y[j], Stages::chunk(stage, SIDE + warp_n + lane % 8 + lane / 16 * 8, 2 * j + lane / 8 % 2));
#pragma unroll
    for (int i = 0; i < LIMBS; i++) {
      uint32_t x[2][4];
#pragma unroll
      for (int t = 0; t < 2; t++)
        load_matrices(x[t], Stages::chunk(stage, warp_m + t * 16 + lane % 16, 2 * i + lane / 16));
#pragma unroll
      for (int j = 0; j < LIMBS - i; j++)
#pragma unroll
        for (int t = 0; t < 2; t++) {
          multiply_add(sum[i + j][t][0], x[t], y[j][0], y[j][1]);
          multiply_add(sum[i + j][t][1], x[t], y[j][2], y[j][3]);
        }
    }
    const bool last = step + 1 == stages.steps();
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

#define PRODUCTS(Word, LIMBS, FOLD, BLOCKS, product_name, convolution_name)                                             \
  KERNEL void __launch_bounds__(256, BLOCKS)                                                                            \
      product_name(const uint8_t* a, const uint8_t* b, Word* c, ARGUMENT Place to, ARGUMENT Tile tile) {                \
    product<LIMBS>(a, b, c, to, tile, FOLD, Rows{tile});                                                                \
  }                                                                                                                     \
  EXPORT(product_name)                                                                                                  \
  KERNEL void __launch_bounds__(256, 1)                                                                                 \
      convolution_name(const uint8_t* a, const uint8_t* b, Word* c, ARGUMENT Place to, ARGUMENT Tile tile, ARGUMENT View view, \
                       ARGUMENT Images images) {                                                                        \
    product<LIMBS>(a, b, c, to, tile, FOLD, Windows(tile, view, images));                                               \
  }                                                                                                                     \
  EXPORT(convolution_name)
PRODUCTS(uint64_t, 8, 16384 / STEP, 1, limbs_product, limbs_convolution)
PRODUCTS(uint32_t, 4, NEVER, 2, limbs_product_32, limbs_convolution_32)

#if !defined(__CUDACC__)
// The same, folded every second step: tests of folding need not be as long as overflows are far.
PRODUCTS(uint64_t, 8, 2, 1, limbs_product_folding, limbs_convolution_folding)
#endif

KERNEL void __launch_bounds__(128) limbs_pack(ARGUMENT View view, const uint64_t* x, uint8_t* planes, ARGUMENT Part part) {
  pack<8>(view, x, planes, part);
}
EXPORT(limbs_pack)

KERNEL void __launch_bounds__(128) limbs_pack_32(ARGUMENT View view, const uint32_t* x, uint8_t* planes, ARGUMENT Part part) {
  pack<4>(view, x, planes, part);
}
EXPORT(limbs_pack_32)
