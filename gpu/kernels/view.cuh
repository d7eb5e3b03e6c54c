// Operands as matrices: where entry (row, k) of a matrix, or of the unrolled windows of a convolution, lies in a tensor.
//
// Both indices are mixed numbers (outer, i0, i1, i2). Along each of three spatial axes the position is
//     row_i * row_step + k_i * k_step + offset,
// which must be a multiple of `divisor` whose quotient is below `limit`; entries elsewhere are padding, zero. So
//     a matrix:             no axes (extents 1)
//     windows of an input:  row = (sample, output), k = (channel, window);   row_step = stride, k_step = dilation
//     the transposed way:   row = (sample, input),  k = (channel, window);   k_step = -dilation, divisor = stride
//     how kernels change:   row = (channel, window), k = (sample, output);   row_step = dilation, k_step = stride
// src/view.rs makes them.
#pragma once
#include "device.cuh"

struct View {
  uint32_t row_extent[3], k_extent[3];
  int32_t row_step[3], k_step[3], offset[3], divisor[3], limit[3];
  uint32_t plain;  // no axes: the address is row * row_outer + k * k_outer
  int64_t row_outer, k_outer, batch, stride[3];
};

// An index, taken apart.
struct Mixed {
  uint32_t outer, inner[3];
};

DEVICE Mixed take_apart(uint32_t index, const uint32_t (&extent)[3]) {
  Mixed m;
#pragma unroll
  for (int a = 2; a >= 0; a--) {
    m.inner[a] = index % extent[a];
    index /= extent[a];
  }
  m.outer = index;
  return m;
}

// Where position `p` lies along axis `a`: below zero if in the padding.
DEVICE int32_t along(const View& v, int a, int32_t p) {
  const int32_t q = v.divisor[a] == 1 ? p : p / v.divisor[a];
  return p < 0 || q * v.divisor[a] != p || q >= v.limit[a] ? -1 : q;
}

// The entry at (row, k), of a tensor that begins at `x`.
template <class Word>
DEVICE Word entry(const View& v, const Word* x, uint32_t row, uint32_t k) {
  if (v.plain) return x[row * v.row_outer + k * v.k_outer];
  const Mixed r = take_apart(row, v.row_extent), c = take_apart(k, v.k_extent);
  int64_t at = r.outer * v.row_outer + c.outer * v.k_outer;
#pragma unroll
  for (int a = 0; a < 3; a++) {
    const int32_t q = along(v, a, (int32_t)r.inner[a] * v.row_step[a] + (int32_t)c.inner[a] * v.k_step[a] + v.offset[a]);
    if (q < 0) return 0;
    at += q * v.stride[a];
  }
  return x[at];
}

// Where entry (row, column) of a result lies: row * row + (column / inner) * outer + column % inner.
struct Place {
  int64_t row, outer, batch;
  uint32_t inner, unused;
};

DEVICE int64_t place(const Place& p, uint32_t row, uint32_t column) {
  return row * p.row + column / p.inner * p.outer + column % p.inner;
}
