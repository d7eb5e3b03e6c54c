// What the units of a device can do at most, with nothing to wait for: what the other kernels are held against.
#include "device.cuh"

// `steps` times sixteen independent products of bytes a warp; 16 * 8 * 32 multiply-adds each.
KERNEL void __launch_bounds__(256) ceiling_bytes(uint32_t* out, uint32_t steps) {
  uint32_t sum[16][4], a[4] = {threadIdx.x, threadIdx.x + 1, threadIdx.x + 2, threadIdx.x + 3};
#pragma unroll
  for (int i = 0; i < 64; i++) sum[i / 4][i % 4] = 0;
#pragma unroll 1
  for (uint32_t s = 0; s < steps; s++)
#pragma unroll
    for (int i = 0; i < 16; i++) multiply_add(sum[i], a, threadIdx.x + i, s);
  uint32_t all = 0;
#pragma unroll
  for (int i = 0; i < 64; i++) all += sum[i / 4][i % 4];
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}
EXPORT(ceiling_bytes)

// `steps` times sixteen independent fused multiply-adds of double precision a thread.
KERNEL void __launch_bounds__(256) ceiling_doubles(double* out, uint32_t steps) {
  double sum[16];
  const double x = 1.0 + threadIdx.x * 1e-9;
#pragma unroll
  for (int i = 0; i < 16; i++) sum[i] = i;
#pragma unroll 1
  for (uint32_t s = 0; s < steps; s++)
#pragma unroll
    for (int i = 0; i < 16; i++) sum[i] = __fma_rn(sum[i], x, 1e-9);
  double all = 0;
#pragma unroll
  for (int i = 0; i < 16; i++) all = __dadd_rn(all, sum[i]);
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}
EXPORT(ceiling_doubles)

// `steps` times sixteen independent multiply-adds of words a thread.
KERNEL void __launch_bounds__(256) ceiling_words(uint64_t* out, uint32_t steps) {
  uint64_t sum[16];
  const uint64_t x = threadIdx.x * 0x9E3779B97F4A7C15ull + 1;
#pragma unroll
  for (int i = 0; i < 16; i++) sum[i] = i;
#pragma unroll 1
  for (uint32_t s = 0; s < steps; s++)
#pragma unroll
    for (int i = 0; i < 16; i++) sum[i] = sum[i] * x + s;
  uint64_t all = 0;
#pragma unroll
  for (int i = 0; i < 16; i++) all += sum[i];
  out[blockIdx.x * blockDim.x + threadIdx.x] = all;
}
EXPORT(ceiling_words)

// Copies words, 16 bytes a thread.
KERNEL void __launch_bounds__(256) ceiling_copy(uint4* out, const uint4* in, uint64_t count) {
  const uint64_t i = (uint64_t)blockIdx.x * 256 + threadIdx.x;
  if (i < count) out[i] = in[i];
}
EXPORT(ceiling_copy)
