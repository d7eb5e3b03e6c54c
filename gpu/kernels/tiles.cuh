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

// Bytes that a step takes of a row of an operand: STEP entries of ENTRY bytes.
template <uint32_t STEP_, uint32_t ENTRY_>
struct Bytes {
  static const uint32_t STEP = STEP_, ENTRY = ENTRY_, ALL = STEP * ENTRY;
};

// Columns that are rows of the right operand, packed as those of the left are.
struct Rows {
  const Tile& tile;

  // Entries of all columns.
  MEMBER uint64_t entries(uint32_t) const { return (uint64_t)tile.columns * tile.length; }
  // Before any step of the tile that begins at column n0, and after each.
  template <uint32_t SIDE>
  MEMBER void begin(uint32_t) {}
  MEMBER void advance() {}
  // Where the bytes of a step of column n0 + r begin; false if they are zeros.
  template <class Step>
  MEMBER bool find(uint32_t n0, uint32_t r, uint32_t step, uint64_t& at) const {
    const bool there = n0 + r < tile.columns;
    at = ((uint64_t)(there ? n0 + r : 0) * tile.length + step * Step::STEP) * Step::ENTRY;
    return there;
  }
};

// Images, packed: rows are pixels, sample by sample, and entries channels, in blocks of a step.
struct Images {
  uint32_t blocks;  // of a pixel
  uint32_t pixels;  // of all samples
  uint64_t term;    // bytes from a term's to the next one's
};

// Columns that are windows of images, which are nowhere unrolled: k is (term, place in the window, block of channels), and a
// step of a column is a block of the pixel that its window has in that place, or zeros where it has padding.
struct Windows {
  const Tile& tile;
  const View& view;  // rows of it are columns of the result, k_extent is the window's
  const Images& images;
  struct alignas(16) Column {
    int32_t sample, at[3];  // the sample's first pixel, below zero where there is no such column; the window's position
  };
  Column* columns;
  uint32_t block, place[3], term;  // of the step that is fetched next

  MEMBER Windows(const Tile& tile, const View& view, const Images& images) : tile(tile), view(view), images(images) {}
  MEMBER uint64_t entries(uint32_t step) const { return (uint64_t)images.pixels * images.blocks * step; }

  template <uint32_t SIDE>
  MEMBER void begin(uint32_t n0) {
    __shared__ Column found[SIDE];
    columns = found;
    for (uint32_t r = threadIdx.x; r < SIDE; r += blockDim.x) {
      const Mixed m = take_apart(n0 + r, view.row_extent);
      Column column;
      column.sample = n0 + r < tile.columns ? (int32_t)m.outer * view.limit[0] * view.limit[1] * view.limit[2] : -1;
#pragma unroll
      for (int a = 0; a < 3; a++) column.at[a] = (int32_t)m.inner[a] * view.row_step[a] + view.offset[a];
      found[r] = column;
    }
    block = place[0] = place[1] = place[2] = term = 0;
    __syncthreads();
  }

  MEMBER void advance() {
    if (++block < images.blocks) return;
    block = 0;
#pragma unroll
    for (int a = 2; a >= 0; a--) {
      if (++place[a] < view.k_extent[a]) return;
      place[a] = 0;
    }
    term++;
  }

  template <class Step>
  MEMBER bool find(uint32_t, uint32_t r, uint32_t, uint64_t& at) const {
    const Column column = columns[r];
    int32_t q[3];
#pragma unroll
    for (int a = 0; a < 3; a++) q[a] = along(view, a, column.at[a] + (int32_t)place[a] * view.k_step[a]);
    const bool there = column.sample >= 0 && (q[0] | q[1] | q[2]) >= 0;
    const uint32_t pixel = column.sample + (q[0] * view.limit[1] + q[1]) * view.limit[2] + q[2];
    at = term * images.term + ((uint64_t)(there ? pixel : 0) * images.blocks + block) * Step::ALL;
    return there;
  }
};

// Blocks of 256 threads compute tiles of SIDE x SIDE words, a step of k after the other. There are four stages of steps in
// shared memory: one that is read, three that are under way. Large ones are three: 96 KiB, which all devices have.
template <uint32_t SIDE, class Step, class Columns>
struct Pipeline {
  static const uint32_t THREADS = 256, CHUNKS = Step::ALL / 16, STAGE_BYTES = 2 * SIDE * Step::ALL;
  static const uint32_t STAGES = 4 * STAGE_BYTES <= (96 << 10) ? 4 : 3;
  unsigned char* shared;
  const uint8_t *left, *right;
  const Tile& tile;
  Columns columns;
  uint32_t m0, n0;  // the first row and column of the tile

  // Blocks take bands of eight rows of tiles, column by column, so that those that run at one time read few rows and columns.
  MEMBER Pipeline(unsigned char* shared, const uint8_t* left, const uint8_t* right, const Tile& tile, const Columns& columns)
      : shared(shared), left(left), right(right), tile(tile), columns(columns) {
    const uint32_t tall = (tile.rows + SIDE - 1) / SIDE, wide = (tile.columns + SIDE - 1) / SIDE;
    const uint32_t band = blockIdx.x / (8 * wide), within = blockIdx.x % (8 * wide);
    const uint32_t height = tall - 8 * band < 8 ? tall - 8 * band : 8;
    m0 = (8 * band + within % height) * SIDE;
    n0 = within / height * SIDE;
  }

  MEMBER uint32_t steps() const { return tile.length / Step::STEP; }

  // Chunk `c` (16 bytes) of row `r` of a stage: rows of the left operand, then those of the right. Rows, or as many together
  // as fill all banks once, are turned against each other, so that eight of them, read at once, lie in different banks.
  static MEMBER unsigned char* chunk(unsigned char* stage, uint32_t r, uint32_t c) {
    constexpr uint32_t TOGETHER = Step::ALL < 128 ? 128 / Step::ALL : 1, TURNS = CHUNKS < 8 ? CHUNKS : 8;
    return stage + r * Step::ALL + ((c ^ (r / TOGETHER & (TURNS - 1))) << 4);
  }

  // Starts copying a step of both operands, if there are as many.
  MEMBER void fetch(uint32_t step) {
    unsigned char* stage = shared + step % STAGES * STAGE_BYTES;
    if (step < steps()) {
#pragma unroll
      for (uint32_t i = threadIdx.x; i < 2 * SIDE * CHUNKS; i += THREADS) {
        const uint32_t r = i / CHUNKS, c = i % CHUNKS;
        const bool is_left = r < SIDE;
        uint64_t from;
        const bool there = is_left ? find_row(r, step, from) : columns.template find<Step>(n0, r - SIDE, step, from);
        copy_async(chunk(stage, r, c), (is_left ? left : right) + from + c * 16, there);
      }
      columns.advance();
    }
    copy_commit();
  }

  // Where the bytes of a step of row m0 + r begin; false where there is no such row.
  MEMBER bool find_row(uint32_t r, uint32_t step, uint64_t& at) const {
    const bool there = m0 + r < tile.rows;
    at = ((uint64_t)(there ? m0 + r : 0) * tile.length + step * Step::STEP) * Step::ENTRY;
    return there;
  }

  // Starts all stages but one.
  MEMBER void begin() {
    columns.template begin<SIDE>(n0);
#pragma unroll
    for (uint32_t s = 0; s < STAGES - 1; s++) fetch(s);
  }

  // The stage of a step, once it is there.
  MEMBER unsigned char* next(uint32_t step) {
    copy_wait<STAGES - 2>();
    __syncthreads();  // this step's copies of all threads are there, and nobody reads the stage that is fetched next
    fetch(step + STAGES - 1);
    return shared + step % STAGES * STAGE_BYTES;
  }
};
