// What products on tensor cores share, whatever bytes words are packed to: how words of an operand are read to be packed,
// which tile of the result a block computes, and how packed rows come into its shared memory.
#pragma once
#include "view.cuh"

// ---- Packing.

// A part of a view, and where it goes in the planes.
struct Part {
  uint32_t row, rows, k, count;  // rows from `row` on, entries from `k` on
  uint32_t at, length;           // to entry `at` of rows of `length` entries
};

// Eight words of a part, side by side: row `row` of it, entries from `k` on.
template <class Word>
struct Eight {
  uint32_t row, k;
  Word words[8];
};

// A block reads 32 rows and 32 entries of a part, and each of its 128 threads takes eight of these words. Those behind the
// part are zero. Grid: (rows / 32, count / 32, batch), rounded up.
template <class Word>
DEVICE Eight<Word> eight(const View& view, const Word* x, const Part& part) {
  // One more word a row: threads that store a column would meet in one bank otherwise.
  __shared__ Word words[32][33];
  x += blockIdx.z * view.batch;
  const uint32_t row0 = blockIdx.x * 32, k0 = blockIdx.y * 32;
  for (uint32_t i = threadIdx.x; i < 32 * 32; i += 128) {
    const uint32_t r = view.k_outer == 1 ? i / 32 : i % 32, e = view.k_outer == 1 ? i % 32 : i / 32;
    const bool there = row0 + r < part.rows && k0 + e < part.count;
    words[r][e] = there ? entry(view, x, part.row + row0 + r, part.k + k0 + e) : 0;
  }
  __syncthreads();
  const uint32_t r = threadIdx.x / 4, e = threadIdx.x % 4 * 8;
  Eight<Word> mine;
  mine.row = row0 + r;
  mine.k = k0 + e;
#pragma unroll
  for (int i = 0; i < 8; i++) mine.words[i] = words[r][e + i];
  return mine;
}

// ---- Products.

// The part of the result that a launch computes, and whether it is added to what is there.
struct Tile {
  uint32_t row, rows, column, columns, length, accumulate;
};

// Blocks of 256 threads compute tiles of SIDE x SIDE words, from STEP entries of ENTRY bytes of each row of both operands a
// step. There are four stages of steps in shared memory: one that is read, three that are under way.
template <uint32_t SIDE, uint32_t STEP, uint32_t ENTRY>
struct Pipeline {
  static const uint32_t STAGES = 4, THREADS = 256, BYTES = STEP * ENTRY, CHUNKS = BYTES / 16, STAGE_BYTES = 2 * SIDE * BYTES;
  unsigned char* shared;
  const uint8_t *left, *right;
  const Tile& tile;
  uint32_t m0, n0;  // the first row and column of the tile

  MEMBER uint32_t steps() const { return tile.length / STEP; }

  // Blocks take bands of eight rows of tiles, column by column, so that those that run at one time read few rows and columns.
  MEMBER Pipeline(unsigned char* shared, const uint8_t* left, const uint8_t* right, const Tile& tile)
      : shared(shared), left(left), right(right), tile(tile) {
    const uint32_t tall = (tile.rows + SIDE - 1) / SIDE, wide = (tile.columns + SIDE - 1) / SIDE;
    const uint32_t band = blockIdx.x / (8 * wide), within = blockIdx.x % (8 * wide);
    const uint32_t height = tall - 8 * band < 8 ? tall - 8 * band : 8;
    m0 = (8 * band + within % height) * SIDE;
    n0 = within / height * SIDE;
  }

  // Chunk `c` (16 bytes) of row `r` of a stage: rows of the left operand, then those of the right. Rows, or as many together
  // as fill all banks once, are turned against each other, so that eight of them, read at once, lie in different banks.
  static MEMBER unsigned char* chunk(unsigned char* stage, uint32_t r, uint32_t c) {
    constexpr uint32_t TOGETHER = BYTES < 128 ? 128 / BYTES : 1, TURNS = CHUNKS < 8 ? CHUNKS : 8;
    return stage + r * BYTES + ((c ^ (r / TOGETHER & (TURNS - 1))) << 4);
  }

  // Starts copying a step of both operands, if there are as many.
  MEMBER void fetch(uint32_t step) const {
    unsigned char* stage = shared + step % STAGES * STAGE_BYTES;
    if (step < steps()) {
#pragma unroll
      for (uint32_t i = threadIdx.x; i < 2 * SIDE * CHUNKS; i += THREADS) {
        const uint32_t r = i / CHUNKS, c = i % CHUNKS;
        const bool is_left = r < SIDE;
        const uint32_t row = is_left ? m0 + r : n0 + r - SIDE;
        const bool there = row < (is_left ? tile.rows : tile.columns);
        const uint64_t from = ((uint64_t)(there ? row : 0) * tile.length + step * STEP) * ENTRY + c * 16;
        copy_async(chunk(stage, r, c), (is_left ? left : right) + from, there);
      }
    }
    copy_commit();
  }

  // Starts all stages but one.
  MEMBER void begin() const {
#pragma unroll
    for (uint32_t s = 0; s < STAGES - 1; s++) fetch(s);
  }

  // The stage of a step, once it is there.
  MEMBER unsigned char* next(uint32_t step) const {
    copy_wait<STAGES - 2>();
    __syncthreads();  // this step's copies of all threads are there, and nobody reads the stage that is fetched next
    fetch(step + STAGES - 1);
    return shared + step % STAGES * STAGE_BYTES;
  }
};
