// Negacyclic number-theoretic transforms, batched, of 2^9 to 2^16 coefficients: from natural to bit-reversed order and
// back, by Cooley and Tukey's butterflies forward and Gentleman and Sande's backward (Longa, Naehrig, "Speeding up the
// number theoretic transform", CANS 2016). Coefficient k of a transform is the polynomial at psi^(2 brv(k) + 1).
//
// A launch does `levels` consecutive levels of a transform: 2^levels coefficients, `stride` apart, belong together and are
// a segment; a block has them in shared memory, and a thread eight of them in registers, for three levels at a time. Up to
// 2^13 one launch does all levels. More take two: their segments are columns in one, rows in the other.
//
// Three fields: primes below 2^62 by Shoup's products, below 2^30 the same on words of half the size, and below 2^47 on the units
// for double precision, which integer units have no part in.
#include "device.cuh"

// ---- Fields. Values between butterflies are representatives, reduced when a transform ends.

// The upper half of a product.
DEVICE uint64_t high(uint64_t a, uint64_t b) { return __umul64hi(a, b); }
DEVICE uint32_t high(uint32_t a, uint32_t b) { return __umulhi(a, b); }

// p below a quarter of R = 2^64 or 2^32, the words' number. D. Harvey, "Faster arithmetic for number-theoretic transforms",
// J. Symbolic Computation 2014.
template <class Word>
struct Prime {
  typedef Word Value;
  struct Factor {
    Word w, quotient;  // quotient = floor(w R / p)
  };
  struct Constants {
    Word p, negative_inverse;  // -p^-1 mod R
    Factor scale;              // R/N, for products leave a factor 1/R
    Factor plain_scale;        // 1/N
  };
  Constants c;

  // x in [0, 4p), y w in [0, 2p): all results below 4p.
  MEMBER void forward(Value& x, Value& y, Factor t) const {
    const Value u = x >= 2 * c.p ? x - 2 * c.p : x, v = times(y, t);
    x = u + v;
    y = u - v + 2 * c.p;
  }
  // From below 2p to below 2p.
  MEMBER void backward(Value& x, Value& y, Factor t) const {
    const Value sum = x + y, difference = x - y + 2 * c.p;
    x = sum >= 2 * c.p ? sum - 2 * c.p : sum;
    y = times(difference, t);
  }
  MEMBER void settle(Value&) const {}
  // Below 2p, of any y.
  MEMBER Value times(Value y, Factor t) const { return y * t.w - high(y, t.quotient) * c.p; }
  // a b / R below 2p, of a, b below 2p: Montgomery, "Modular multiplication without trial division", 1985.
  MEMBER Value product(Value a, Value b) const {
    const Value low = a * b, m = low * c.negative_inverse;
    return high(a, b) + high(m, c.p) + (low != 0);
  }
  // Of numbers below 2p, below 2p.
  MEMBER Value sum(Value a, Value b) const { return a + b >= 2 * c.p ? a + b - 2 * c.p : a + b; }
  MEMBER Value scaled(Value x, bool of_product) const { return reduced(times(x, of_product ? c.scale : c.plain_scale)); }
  MEMBER Value reduced(Value x) const {
    x = x >= 2 * c.p ? x - 2 * c.p : x;
    return x >= c.p ? x - c.p : x;
  }
};
typedef Prime<uint64_t> Prime62;
typedef Prime<uint32_t> Prime30;

// p < 2^47, integers in double precision. A product is exact: h = ab rounded, l = ab - h, q = h/p rounded, and h - qp and l
// are both integers below 2^53, which fused multiply-adds give without rounding (Dekker, "A floating-point technique for
// extending the available precision", 1971). Factors are at most p/2.
struct Prime47 {
  typedef double Value;
  typedef double Factor;
  struct Constants {
    double p, reciprocal, plain_scale, unused;
  };
  Constants c;

  // Adding and taking off 1.5 * 2^52 rounds to whole numbers.
  MEMBER double whole(double x) const { return __dadd_rn(x, -6755399441055744.0); }
  MEMBER Value times(Value y, Factor w) const {
    const double h = __dmul_rn(y, w), l = __fma_rn(y, w, -h);
    const double q = whole(__fma_rn(h, c.reciprocal, 6755399441055744.0));
    return __dadd_rn(__fma_rn(-q, c.p, h), l);
  }
  // A level adds p/2 and a little to the largest value: below 10p after 16.
  MEMBER void forward(Value& x, Value& y, Factor t) const {
    const double v = times(y, t);
    y = __dadd_rn(x, -v);
    x = __dadd_rn(x, v);
  }
  // Sums double: three levels from p/2 end at 4p, and are settled.
  MEMBER void backward(Value& x, Value& y, Factor t) const {
    const double difference = __dadd_rn(x, -y);
    x = __dadd_rn(x, y);
    y = times(difference, t);
  }
  // To about -p/2 to p/2.
  MEMBER void settle(Value& x) const {
    const double q = whole(__fma_rn(x, c.reciprocal, 6755399441055744.0));
    x = __fma_rn(-q, c.p, x);
  }
  MEMBER Value product(Value a, Value b) const { return times(a, b); }
  MEMBER Value scaled(Value x, bool) const { return reduced(times(x, c.plain_scale)); }
  MEMBER Value reduced(Value x) const {
    settle(x);
    return x < 0 ? __dadd_rn(x, c.p) : x;
  }
};

// ---- Transforms.

struct Shape {
  uint32_t log_size;  // of a polynomial
  uint32_t first;     // level,
  uint32_t levels;    // and how many of them
  uint32_t primes;    // polynomial i is modulo prime i mod primes
  uint32_t segments;  // of all polynomials
};

// Which coefficients a segment is.
struct Segment {
  uint64_t start;   // of the first one, among all
  uint32_t stride;  // between them
  uint32_t block;   // of the level, within the polynomial
  uint32_t prime;
};

DEVICE Segment segment(const Shape& shape, uint32_t index) {
  const uint32_t per = shape.log_size - shape.levels;              // log2 of segments of a polynomial
  const uint32_t log_stride = per - shape.first;
  const uint32_t polynomial = index >> per, within = index & ((1u << per) - 1);
  Segment s;
  s.stride = 1u << log_stride;
  s.block = within >> log_stride;
  s.start = ((uint64_t)polynomial << shape.log_size) + ((uint64_t)s.block << (shape.log_size - shape.first)) + (within & (s.stride - 1));
  s.prime = polynomial % shape.primes;
  return s;
}

// Where coefficient i of a segment lies in shared memory: one word in nine is left free, so that neither rows nor columns
// of eight meet in a bank; nor do segments side by side.
DEVICE uint32_t padded(uint32_t i) { return i + i / 8; }
DEVICE uint32_t segment_size(uint32_t levels) { return padded(1u << levels) + 1; }

// R levels from level `at` of a segment, forward or backward, by threads 0 to 2^(levels - 3) - 1 of the segment.
template <class Field, int R, bool BACKWARD>
DEVICE void pass(const Field& f, typename Field::Value* values, const typename Field::Factor* factors, const Shape& shape,
                 uint32_t block, uint32_t at, uint32_t thread) {
  const uint32_t threads = 1u << (shape.levels - 3), log_step = shape.levels - at - R, step = 1u << log_step;
#pragma unroll
  for (uint32_t group = 0; group < (8u >> R); group++) {
    const uint32_t g = thread + group * threads, b = g >> log_step;
    const uint32_t start = (b << (log_step + R)) + (g & (step - 1));
    typename Field::Value x[1 << R];
#pragma unroll
    for (uint32_t e = 0; e < (1u << R); e++) x[e] = values[padded(start + e * step)];
#pragma unroll
    for (int i = 0; i < R; i++) {
      const int q = BACKWARD ? R - 1 - i : i;
      const typename Field::Factor* t = factors + (1u << (shape.first + at + q)) + (((block << at) + b) << q);
#pragma unroll
      for (uint32_t c = 0; c < (1u << q); c++)
#pragma unroll
        for (uint32_t j = 0; j < (1u << (R - 1 - q)); j++) {
          const uint32_t e = (c << (R - q)) + j, other = e + (1u << (R - 1 - q));
          if (BACKWARD) f.backward(x[e], x[other], t[c]);
          else f.forward(x[e], x[other], t[c]);
        }
    }
#pragma unroll
    for (uint32_t e = 0; e < (1u << R); e++) {
      if (BACKWARD) f.settle(x[e]);
      values[padded(start + e * step)] = x[e];
    }
  }
  __syncthreads();
}

// A block has blockDim.x / 2^(levels - 3) segments, side by side. `other`: what is multiplied to the values first, or null.
template <class Field, bool BACKWARD>
DEVICE void transform(typename Field::Value* x, const typename Field::Value* other, const typename Field::Factor* factors,
                      const typename Field::Constants* constants, const Shape& shape, uint32_t of_product) {
  DYNAMIC_SHARED(shared);
  typename Field::Value* values = (typename Field::Value*)shared;
  const uint32_t size = 1u << shape.levels, log_threads = shape.levels - 3;
  const uint32_t together = blockDim.x >> log_threads, first = blockIdx.x * together;
  const bool columns = shape.first + shape.levels < shape.log_size;

  // Neighbouring threads take neighbouring coefficients: along a segment, or across segments that are columns.
  for (uint32_t i = threadIdx.x; i < together * size; i += blockDim.x) {
    const uint32_t s = columns ? i % together : i >> shape.levels, e = columns ? i / together : i & (size - 1);
    if (first + s >= shape.segments) continue;
    const Segment from = segment(shape, first + s);
    Field f;
    f.c = constants[from.prime];
    const uint64_t at = from.start + (uint64_t)e * from.stride;
    values[s * segment_size(shape.levels) + padded(e)] = other ? f.product(x[at], other[at]) : x[at];
  }
  __syncthreads();

  const uint32_t mine = threadIdx.x >> log_threads, thread = threadIdx.x & ((1u << log_threads) - 1);
  // Threads of segments that are not there work on what is in their memory: they meet the others at barriers.
  const Segment s = segment(shape, first + mine < shape.segments ? first + mine : first);
  Field f;
  f.c = constants[s.prime];
  typename Field::Value* own = values + mine * segment_size(shape.levels);
  const typename Field::Factor* own_factors = factors + ((uint64_t)s.prime << shape.log_size);
  const uint32_t odd = shape.levels % 3;
  if (BACKWARD) {
    for (int at = (int)shape.levels - 3; at >= (int)odd; at -= 3) pass<Field, 3, true>(f, own, own_factors, shape, s.block, at, thread);
    if (odd == 1) pass<Field, 1, true>(f, own, own_factors, shape, s.block, 0, thread);
    if (odd == 2) pass<Field, 2, true>(f, own, own_factors, shape, s.block, 0, thread);
  } else {
    if (odd == 1) pass<Field, 1, false>(f, own, own_factors, shape, s.block, 0, thread);
    if (odd == 2) pass<Field, 2, false>(f, own, own_factors, shape, s.block, 0, thread);
    for (uint32_t at = odd; at < shape.levels; at += 3) pass<Field, 3, false>(f, own, own_factors, shape, s.block, at, thread);
  }

  const bool ends = BACKWARD ? shape.first == 0 : !columns;
  for (uint32_t i = threadIdx.x; i < together * size; i += blockDim.x) {
    const uint32_t s = columns ? i % together : i >> shape.levels, e = columns ? i / together : i & (size - 1);
    if (first + s >= shape.segments) continue;
    const Segment to = segment(shape, first + s);
    Field f;
    f.c = constants[to.prime];
    const typename Field::Value value = values[s * segment_size(shape.levels) + padded(e)];
    x[to.start + (uint64_t)e * to.stride] = !ends ? value : BACKWARD ? f.scaled(value, of_product != 0) : f.reduced(value);
  }
}

#define TRANSFORMS(FIELD, forward_name, backward_name)                                                                       \
  KERNEL void __launch_bounds__(1024)                                                                                        \
      forward_name(FIELD::Value* x, const FIELD::Factor* factors, const FIELD::Constants* constants, ARGUMENT Shape shape) { \
    transform<FIELD, false>(x, nullptr, factors, constants, shape, 0);                                                       \
  }                                                                                                                          \
  EXPORT(forward_name)                                                                                                       \
  KERNEL void __launch_bounds__(1024)                                                                                        \
      backward_name(FIELD::Value* x, const FIELD::Value* other, const FIELD::Factor* factors,                                \
                    const FIELD::Constants* constants, ARGUMENT Shape shape, uint32_t of_product) {                          \
    transform<FIELD, true>(x, other, factors, constants, shape, of_product);                                                 \
  }                                                                                                                          \
  EXPORT(backward_name)
TRANSFORMS(Prime62, ntt62_forward, ntt62_backward)
TRANSFORMS(Prime47, ntt47_forward, ntt47_backward)
TRANSFORMS(Prime30, ntt30_forward, ntt30_backward)

// ---- Sums of products of transforms, with the factor 1/R that a product leaves: sum i is that of pairs starts[i] to
// starts[i + 1] - 1. A pair is the number of a polynomial of `others` and, 32 bits further, that of one of `factors`; each
// has `count` primes.
KERNEL void ntt62_sums(uint64_t* sums, const uint64_t* others, const uint64_t* factors, const uint64_t* pairs,
                       const uint64_t* starts, const Prime62::Constants* constants, uint32_t count, uint32_t log_size,
                       uint64_t all) {
  const uint64_t i = (uint64_t)blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= all) return;
  const uint64_t polynomial = i >> log_size, which = polynomial / count, prime = polynomial % count;
  const uint64_t at = (prime << log_size) + (i & ((1ull << log_size) - 1));
  Prime62 f;
  f.c = constants[prime];
  uint64_t sum = 0;
  for (uint64_t k = starts[which]; k < starts[which + 1]; k++) {
    const uint64_t other = pairs[k] & 0xFFFFFFFF, factor = pairs[k] >> 32;
    sum = f.sum(sum, f.product(others[((other * count) << log_size) + at], factors[((factor * count) << log_size) + at]));
  }
  sums[i] = sum;
}
EXPORT(ntt62_sums)
