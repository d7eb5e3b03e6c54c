// One kernel source for three compilers: nvcc, NVRTC, and a C++ compiler with the emulator (emulator/fibres.h).
//
// Whatever PTX the kernels use stands behind the small functions below, so kernels hold no assembly, and what the
// emulator must imitate is this list: asynchronous copies to shared memory, ldmatrix, integer mma.
#pragma once

#if defined(__CUDACC_RTC__)
typedef unsigned char uint8_t;
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef int int32_t;
typedef long long int64_t;
#else
#include <stdint.h>
#endif

#if defined(__CUDACC__)

#define KERNEL extern "C" __global__
#define DEVICE __device__ __forceinline__
#define MEMBER __device__ __forceinline__
#define CONSTEXPR constexpr __host__ __device__
// A structure among the arguments of a kernel, which stays where it is.
#define ARGUMENT const __grid_constant__
#define DYNAMIC_SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define EXPORT(kernel)

// The address of shared memory as PTX counts it.
DEVICE uint32_t shared_address(const void* p) { return (uint32_t)__cvta_generic_to_shared(p); }

// Copies 16 bytes from global to shared memory some time before the wait for its group; zeros where `valid` is false.
DEVICE void copy_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
               : "memory");
}
// Ends a group of copies.
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most the newest `PENDING` groups of this thread are under way.
template <int PENDING>
DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(PENDING) : "memory");
}

// Four 8 x 8 matrices of 16-bit entries: lane 8i + r names row r of matrix i, 16 bytes of shared memory; register i of
// lane l gets bytes 4(l mod 4) to 4(l mod 4) + 3 of row l/4 of matrix i.
DEVICE void load_matrices(uint32_t (&to)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(to[0]), "=r"(to[1]), "=r"(to[2]), "=r"(to[3])
               : "r"(shared_address(row))
               : "memory");
}

// d (16 x 8, modulo 2^32) += a (16 x 32 bytes, by rows) * b (32 x 8 bytes, by columns). With g = lane/4, t = lane mod 4:
// a[0], a[1] are rows g and g + 8 at columns 4t to 4t + 3, a[2], a[3] the same at columns 16 further; b0, b1 are column g
// at rows 4t and 16 + 4t; d[0], d[1] row g at columns 2t, 2t + 1, d[2], d[3] row g + 8.
DEVICE void multiply_add(uint32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// The same for signed bytes.
DEVICE void multiply_add(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#else
#include "fibres.h"
#endif
