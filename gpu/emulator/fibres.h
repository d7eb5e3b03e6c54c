// The part of CUDA that the kernels use, on the host: every thread of a block is a fibre, and barriers and collectives of a
// warp are places where fibres wait for each other. A block's fibres share one thread of the system, so what is
// __shared__ is thread_local.
//
// What goes wrong on a device shows here:
//     asynchronous copies happen at the wait for them and no earlier, so a wait that is missing or too short reads what was
//     there before; where the order is shuffled, half of them happen at once, so what is still read when they begin is lost;
//     addresses that must be multiples of 16 are held to that; shared memory is poisoned before each block, and so is a
//     margin behind it, which is looked at after;
//     between rendezvous fibres run one after the other, in an order that `order` turns or shuffles, so what lacks a barrier
//     depends on it; barriers and collectives that not all reach are reported, with who waits where.
#pragma once
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <type_traits>
#include <utility>

#define KERNEL static
// static: files have functions of the same names.
#define MEMBER inline __attribute__((always_inline))
#define CONSTEXPR constexpr
#define ARGUMENT const
#define DEVICE static MEMBER
#define DYNAMIC_SHARED(name) unsigned char* const name = fibres::dynamic_shared()
#define __launch_bounds__(...)
#define __restrict__ __restrict
#define __shared__ static thread_local
#define __align__(n) alignas(n)
#define __constant__

struct Dim3 {
  uint32_t x, y, z;
};
struct alignas(8) uint2 {
  uint32_t x, y;
};
struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};
struct alignas(16) ulonglong2 {
  unsigned long long x, y;
};
static inline uint2 make_uint2(uint32_t x, uint32_t y) { return {x, y}; }
// Not thread_local: its constructors would be asked for at every use.
extern __thread Dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace fibres {
enum Wait { RUNNING, AT_BARRIER, AT_COLLECTIVE, ENDED };

// Lets others run until all of this fibre's block (its warp) wait as it does.
void wait(Wait where, int collective);
unsigned char* dynamic_shared();
uint32_t lane();
// SHOWN words through which lane `lane` of this warp shows its operands to the others, until the second next collective.
const uint32_t SHOWN = 16;
uint64_t* shown(uint32_t lane);
void end_collective();
// Reports an address that is no multiple of 16.
void must_be_aligned(const void* p, const char* otherwise);
void queue_copy(void* to, const void* from, bool valid);
void commit_copies();
void await_copies(uint32_t pending);

typedef void (*Body)(void** arguments);
// Runs a grid. Null, or what went wrong; valid until the next run on this thread.
const char* run(Body body, const uint32_t grid[3], uint32_t threads, uint32_t shared, void** arguments, uint64_t order);

template <class... A, size_t... I>
inline void call(void (*kernel)(A...), void** arguments, std::index_sequence<I...>) {
  kernel(*reinterpret_cast<std::remove_reference_t<A>*>(arguments[I])...);
}
template <class... A>
inline void unpack(void (*kernel)(A...), void** arguments) {
  call(kernel, arguments, std::index_sequence_for<A...>{});
}
}  // namespace fibres

// emulated_<kernel>: arguments as cuLaunchKernel takes them.
#define EXPORT(kernel)                                                                                                     \
  extern "C" const char* emulated_##kernel(const uint32_t* grid, uint32_t threads, uint32_t shared, void** arguments,     \
                                           uint64_t order) {                                                              \
    return fibres::run([](void** a) { fibres::unpack(kernel, a); }, grid, threads, shared, arguments, order);             \
  }

static inline void __syncthreads() { fibres::wait(fibres::AT_BARRIER, 0); }
static inline void __syncwarp(uint32_t = ~0u) { fibres::wait(fibres::AT_COLLECTIVE, 1); }
static inline uint64_t __umul64hi(uint64_t a, uint64_t b) { return (uint64_t)((unsigned __int128)a * b >> 64); }
static inline uint32_t __umulhi(uint32_t a, uint32_t b) { return (uint32_t)((uint64_t)a * b >> 32); }
static inline uint32_t __dp4a(uint32_t a, uint32_t b, uint32_t c) {
  for (int i = 0; i < 4; i++) c += (a >> 8 * i & 255) * (b >> 8 * i & 255);
  return c;
}
static inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
static inline double __dmul_rn(double a, double b) { return a * b; }
static inline double __dadd_rn(double a, double b) { return a + b; }

static inline uint32_t __byte_perm(uint32_t a, uint32_t b, uint32_t select) {
  const uint64_t both = (uint64_t)b << 32 | a;
  uint32_t bytes = 0;
  for (int i = 0; i < 4; i++) bytes |= (uint32_t)(both >> 8 * (select >> 4 * i & 7) & 255) << 8 * i;
  return bytes;
}

static inline void copy_async(void* to, const void* from, bool valid) { fibres::queue_copy(to, from, valid); }
static inline void copy_commit() { fibres::commit_copies(); }
template <int PENDING>
static inline void copy_wait() {
  fibres::await_copies(PENDING);
}

static inline void load_matrices(uint32_t (&to)[4], const void* row) {
  fibres::must_be_aligned(row, "ldmatrix of a row that does not begin at a multiple of 16");
  fibres::shown(fibres::lane())[0] = (uint64_t)(uintptr_t)row;
  fibres::wait(fibres::AT_COLLECTIVE, 2);
  for (uint32_t i = 0; i < 4; i++) {
    const unsigned char* from = (const unsigned char*)(uintptr_t)fibres::shown(8 * i + fibres::lane() / 4)[0];
    memcpy(&to[i], from + fibres::lane() % 4 * 4, 4);
  }
  fibres::end_collective();
}

// What a lane shows of a product, and where it finds its part of the result.
struct Fragments {
  uint32_t a[4], b[2], d[4], done;
};

// The product of a warp's matrices, put together from what its lanes show, for all of them; bytes are of type `Byte`. Sums of
// 32 products of bytes are below 2^24, which single precision holds without rounding, and multiplies eight at a time.
template <class Byte>
static inline void multiply_fragments() {
  typedef float Columns __attribute__((vector_size(32)));
  uint64_t* const shown = fibres::shown(0);
  const auto lane = [&](uint32_t l) { return (Fragments*)(shown + fibres::SHOWN * l); };
  Columns b[32];
  for (uint32_t column = 0; column < 8; column++)
    for (uint32_t k = 0; k < 32; k++)
      b[k][column] = (float)(Byte)(lane(column * 4 + k % 16 / 4)->b[k / 16] >> 8 * (k % 4));
  for (uint32_t row = 0; row < 16; row++) {
    Columns sum = {};
    for (uint32_t k = 0; k < 32; k++) {
      const float a = (float)(Byte)(lane(row % 8 * 4 + k % 16 / 4)->a[row / 8 + k / 16 * 2] >> 8 * (k % 4));
      sum += a * b[k];
    }
    for (uint32_t column = 0; column < 8; column++)
      lane(row % 8 * 4 + column / 2)->d[row / 8 * 2 + column % 2] += (uint32_t)(int32_t)sum[column];
  }
}

// The first lane that goes on multiplies for its warp.
template <class Byte, class Sum>
static inline void multiply_add_bytes(Sum (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, int collective) {
  Fragments* mine = (Fragments*)fibres::shown(fibres::lane());
  *mine = {{a[0], a[1], a[2], a[3]}, {b0, b1}, {(uint32_t)d[0], (uint32_t)d[1], (uint32_t)d[2], (uint32_t)d[3]}, 0};
  fibres::wait(fibres::AT_COLLECTIVE, collective);
  if (!mine->done) {
    multiply_fragments<Byte>();
    for (uint32_t l = 0; l < 32; l++) ((Fragments*)fibres::shown(l))->done = 1;
  }
  for (int i = 0; i < 4; i++) d[i] = (Sum)mine->d[i];
  fibres::end_collective();
}
static inline void multiply_add(uint32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  multiply_add_bytes<uint8_t>(d, a, b0, b1, 3);
}
static inline void multiply_add(int32_t (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  multiply_add_bytes<int8_t>(d, a, b0, b1, 4);
}
