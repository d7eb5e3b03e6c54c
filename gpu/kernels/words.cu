// C (+)= sum over terms of A * B modulo 2^64 or 2^32 by whole words: 64 x 64 tiles, 4 x 4 words a thread, 16 entries of k at a
// time. For shapes that tensor cores do not fill, and as the plainest device code there is. Operands are read through
// their views, so convolutions are never unrolled in memory.
#include "view.cuh"

static const uint32_t TILE = 64, DEPTH = 16, THREADS = 256;

// Factors of all terms, which have one shape.
template <class Word>
struct Terms {
  const Word *a[4], *b[4];
  uint32_t count, unused;
};

template <class Word>
DEVICE void product(const Terms<Word>& terms, const View& left, const View& right, Word* c, const Place& to, uint32_t m, uint32_t n,
                    uint32_t k, uint32_t accumulate) {
  // One more word a row: threads that store a column would meet in one bank otherwise.
  __shared__ Word as[DEPTH][TILE + 1], bs[DEPTH][TILE + 1];
  const uint32_t tx = threadIdx.x % 16, ty = threadIdx.x / 16;
  const uint32_t wide = (n + TILE - 1) / TILE, m0 = blockIdx.x / wide * TILE, n0 = blockIdx.x % wide * TILE;
  Word sum[4][4];
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) sum[i][j] = 0;

  for (uint32_t t = 0; t < terms.count; t++) {
    const Word* a = terms.a[t] + blockIdx.z * left.batch;
    const Word* b = terms.b[t] + blockIdx.z * right.batch;
    for (uint32_t k0 = 0; k0 < k; k0 += DEPTH) {
#pragma unroll
      for (uint32_t i = threadIdx.x; i < TILE * DEPTH; i += THREADS) {
        // Neighbouring threads read neighbouring words where the view's rows or its columns are such.
        const uint32_t ra = left.k_outer == 1 ? i / DEPTH : i % TILE, ka = left.k_outer == 1 ? i % DEPTH : i / TILE;
        as[ka][ra] = m0 + ra < m && k0 + ka < k ? entry(left, a, m0 + ra, k0 + ka) : 0;
        const uint32_t rb = right.k_outer == 1 ? i / DEPTH : i % TILE, kb = right.k_outer == 1 ? i % DEPTH : i / TILE;
        bs[kb][rb] = n0 + rb < n && k0 + kb < k ? entry(right, b, n0 + rb, k0 + kb) : 0;
      }
      __syncthreads();
#pragma unroll
      for (uint32_t d = 0; d < DEPTH; d++) {
        Word x[4], y[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          x[i] = as[d][ty + 16 * i];
          y[i] = bs[d][tx + 16 * i];
        }
#pragma unroll
        for (int i = 0; i < 4; i++)
#pragma unroll
          for (int j = 0; j < 4; j++) sum[i][j] += x[i] * y[j];
      }
      __syncthreads();
    }
  }
  c += blockIdx.z * to.batch;
#pragma unroll
  for (int i = 0; i < 4; i++)
#pragma unroll
    for (int j = 0; j < 4; j++) {
      const uint32_t row = m0 + ty + 16 * i, column = n0 + tx + 16 * j;
      if (row < m && column < n) {
        Word* at = c + place(to, row, column);
        *at = sum[i][j] + (accumulate ? *at : 0);
      }
    }
}

// c (+)= sum over terms of a * b, entry by entry.
template <class Word>
DEVICE void elementwise(const Terms<Word>& terms, Word* c, uint64_t count, uint32_t accumulate) {
  const uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= count) return;
  Word sum = accumulate ? c[i] : 0;
  for (uint32_t t = 0; t < terms.count; t++) sum += terms.a[t][i] * terms.b[t][i];
  c[i] = sum;
}

#define PRODUCTS(Word, product_name, elementwise_name)                                                                         \
  KERNEL void __launch_bounds__(256, 2)                                                                                           \
      product_name(ARGUMENT Terms<Word> terms, ARGUMENT View left, ARGUMENT View right, Word* c, ARGUMENT Place to, uint32_t m, \
                   uint32_t n, uint32_t k, uint32_t accumulate) {                                                              \
    product(terms, left, right, c, to, m, n, k, accumulate);                                                                   \
  }                                                                                                                            \
  EXPORT(product_name)                                                                                                         \
  KERNEL void elementwise_name(ARGUMENT Terms<Word> terms, Word* c, uint64_t count, uint32_t accumulate) {                     \
    elementwise(terms, c, count, accumulate);                                                                                  \
  }                                                                                                                            \
  EXPORT(elementwise_name)
PRODUCTS(uint64_t, words_product, words_elementwise)
PRODUCTS(uint32_t, words_product_32, words_elementwise_32)
