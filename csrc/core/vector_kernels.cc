#include "core/vector_kernels.h"

#include <cstdint>
#include <cstring>

#define NMT_TRT_INLINE inline __attribute__((always_inline))
#if defined(__x86_64__)
#define NMT_TRT_TARGET(name) __attribute__((target(name)))
#endif

namespace nmt_trt {
namespace {

// A block is added up in this many lanes whatever the width of the vectors, so that the width does not show
// in the sum.
constexpr size_t kLanes = 16;

/// The kernels on vectors of `Bytes` bytes (the vector extensions of GCC and Clang). Everything is inlined
/// into functions compiled for a CPU that has such vectors; vectors are passed by reference, their calling
/// convention differing from CPU to CPU.
template <size_t Bytes>
struct Kernels {
  static constexpr size_t kWidth = Bytes / sizeof(float);
  static constexpr size_t kParts = kLanes / kWidth;

  // typedef, since GCC ignores a size that depends on the template in an alias.
  typedef float Floats __attribute__((vector_size(Bytes)));
  typedef uint32_t Bits __attribute__((vector_size(Bytes)));
  typedef int32_t Ints __attribute__((vector_size(Bytes)));

  static NMT_TRT_INLINE void load(const float* from, Floats& to) { std::memcpy(&to, from, sizeof(to)); }

  // y = exp(y) for y <= 0, with y below -87 taken for -87; NaN stays NaN.
  // exp(y) = 2^n exp(r), n = round(y / ln 2), |r| <= ln 2 / 2; ln 2 in two parts, the first short enough for
  // an exact product. The polynomial 1 + r + r^2 q(r) is the minimax one for the relative error (Remez), 3e-9
  // before rounding.
  static NMT_TRT_INLINE void exp_in_place(Floats& y) {
    constexpr float kLowest = -87.0F;
    constexpr float kLog2E = 1.44269504F;
    constexpr float kRound = 12582912.0F;  // 1.5 * 2^23: adding it leaves round(y) in the low bits
    constexpr float kLn2High = 0.693359375F;
    constexpr float kLn2Low = -2.12194440e-4F;
    const Floats lowest = Floats{} + kLowest;
    y = y < lowest ? lowest : y;
    const Floats shifted = y * kLog2E + kRound;
    const Floats n = shifted - kRound;
    const Floats r = (y - n * kLn2High) - n * kLn2Low;
    Floats q = r * 0.00138145986F + 0.00836871688F;
    q = q * r + 0.0416683880F;
    q = q * r + 0.166665206F;
    q = q * r + 0.499999934F;
    const Floats power = (q * r) * r + r + 1.0F;
    Bits bits;
    std::memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 127U) << 23U;  // the upper bits of kRound fall off
    Floats scale;
    std::memcpy(&scale, &bits, sizeof(scale));
    y = power * scale;
  }

  // x = log(x) for normal x > 0: x = 2^n (1 + f), 1 + f from sqrt(1/2) to sqrt(2), and with s = f / (2 + f)
  // log(1 + f) = 2 artanh(s), whose series ends here with an error of 2e-9.
  static NMT_TRT_INLINE void log_in_place(Floats& x) {
    constexpr int32_t kSqrtHalf = 0x3F3504F3;  // its bits
    constexpr float kLn2 = 0.693147181F;
    constexpr float kRound = 12582912.0F;  // as above; adding to its bits adds to its value
    constexpr int32_t kRoundBits = 0x4B400000;
    Ints bits;
    std::memcpy(&bits, &x, sizeof(bits));
    const Ints exponent = (bits - kSqrtHalf) >> 23;
    const Ints shifted = exponent + kRoundBits;
    Floats n;
    std::memcpy(&n, &shifted, sizeof(n));
    n -= kRound;
    bits -= exponent << 23;
    Floats f;
    std::memcpy(&f, &bits, sizeof(f));
    f -= 1.0F;
    const Floats s = f / (f + 2.0F);
    const Floats square = s * s;
    Floats q = square * (1.0F / 9.0F) + 1.0F / 7.0F;
    q = q * square + 1.0F / 5.0F;
    q = q * square + 1.0F / 3.0F;
    const Floats twice = s + s;
    x = n * kLn2 + (twice + twice * square * q);
  }

  static NMT_TRT_INLINE void maxima(const float* x, size_t blocks, float* maxima) {
    for (size_t b = 0; b < blocks; ++b, x += kBlock) {
      Floats best = Floats{} - __builtin_inff();
      for (size_t i = 0; i < kBlock; i += kWidth) {
        Floats v;
        load(x + i, v);
        best = v > best ? v : best;
      }
      float lanes[kWidth];
      std::memcpy(lanes, &best, sizeof(lanes));
      for (size_t width = kWidth / 2; width > 0; width /= 2) {
        for (size_t i = 0; i < width; ++i)
          lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
      }
      maxima[b] = lanes[0];
    }
  }

  static NMT_TRT_INLINE double sum(const float* x, size_t blocks, float shift) {
    double lanes[kLanes] = {};
    for (size_t b = 0; b < blocks; ++b, x += kBlock) {
      Floats sums[kParts] = {};  // of a block only, so that fp32 is enough
      for (size_t i = 0; i < kBlock; i += kLanes) {
        for (size_t part = 0; part < kParts; ++part) {
          Floats v;
          load(x + i + part * kWidth, v);
          v -= shift;
          exp_in_place(v);
          sums[part] += v;
        }
      }
      float block[kLanes];
      std::memcpy(block, sums, sizeof(block));
      for (size_t i = 0; i < kLanes; ++i) lanes[i] += static_cast<double>(block[i]);
    }
    double total = 0;
    for (const double lane : lanes) total += lane;
    return total;
  }

  static NMT_TRT_INLINE void exps(const float* x, size_t blocks, float shift, float* y) {
    for (size_t i = 0; i < blocks * kBlock; i += kWidth) {
      Floats v;
      load(x + i, v);
      v -= shift;
      exp_in_place(v);
      std::memcpy(y + i, &v, sizeof(v));
    }
  }

  static NMT_TRT_INLINE void log_prob(const NormalisedLogits& row, size_t i, Floats& to) {
    load(row.logits + i, to);
    to = (to - row.largest) - row.log_sum;
  }

  // The largest log-probability, and what the mean is relatively to it: no token is too unlikely.
  static NMT_TRT_INLINE void log_means(const NormalisedLogits* rows, size_t count, size_t blocks, float* y) {
    const auto models = static_cast<float>(count);
    const Floats finite = Floats{} - __FLT_MAX__;
    for (size_t i = 0; i < blocks * kBlock; i += kWidth) {
      Floats best = Floats{} - __builtin_inff();
      for (size_t row = 0; row < count; ++row) {
        Floats v;
        log_prob(rows[row], i, v);
        best = v > best ? v : best;
      }
      const Floats shift = best > finite ? best : finite;
      Floats sum = {};
      for (size_t row = 0; row < count; ++row) {
        Floats v;
        log_prob(rows[row], i, v);
        v -= shift;
        exp_in_place(v);
        sum += v;
      }
      sum /= models;
      log_in_place(sum);
      sum += best;
      std::memcpy(y + i, &sum, sizeof(sum));
    }
  }
};

struct Table {
  void (*maxima)(const float*, size_t, float*);
  double (*sum)(const float*, size_t, float);
  void (*exps)(const float*, size_t, float, float*);
  void (*log_means)(const NormalisedLogits*, size_t, size_t, float*);
};

// 16 bytes are what every x86-64 and every aarch64 has.
void maxima_16(const float* x, size_t blocks, float* maxima) { Kernels<16>::maxima(x, blocks, maxima); }
double sum_16(const float* x, size_t blocks, float shift) { return Kernels<16>::sum(x, blocks, shift); }
void exps_16(const float* x, size_t blocks, float shift, float* y) { Kernels<16>::exps(x, blocks, shift, y); }
void log_means_16(const NormalisedLogits* rows, size_t count, size_t blocks, float* y) {
  Kernels<16>::log_means(rows, count, blocks, y);
}

#if defined(__x86_64__)
NMT_TRT_TARGET("avx2") void maxima_32(const float* x, size_t blocks, float* maxima) {
  Kernels<32>::maxima(x, blocks, maxima);
}
NMT_TRT_TARGET("avx2") double sum_32(const float* x, size_t blocks, float shift) {
  return Kernels<32>::sum(x, blocks, shift);
}
NMT_TRT_TARGET("avx2") void exps_32(const float* x, size_t blocks, float shift, float* y) {
  Kernels<32>::exps(x, blocks, shift, y);
}
NMT_TRT_TARGET("avx2")
void log_means_32(const NormalisedLogits* rows, size_t count, size_t blocks, float* y) {
  Kernels<32>::log_means(rows, count, blocks, y);
}
NMT_TRT_TARGET("avx512f") void maxima_64(const float* x, size_t blocks, float* maxima) {
  Kernels<64>::maxima(x, blocks, maxima);
}
NMT_TRT_TARGET("avx512f") double sum_64(const float* x, size_t blocks, float shift) {
  return Kernels<64>::sum(x, blocks, shift);
}
NMT_TRT_TARGET("avx512f") void exps_64(const float* x, size_t blocks, float shift, float* y) {
  Kernels<64>::exps(x, blocks, shift, y);
}
NMT_TRT_TARGET("avx512f")
void log_means_64(const NormalisedLogits* rows, size_t count, size_t blocks, float* y) {
  Kernels<64>::log_means(rows, count, blocks, y);
}
#endif

Table widest() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {maxima_64, sum_64, exps_64, log_means_64};
  if (__builtin_cpu_supports("avx2")) return {maxima_32, sum_32, exps_32, log_means_32};
#endif
  return {maxima_16, sum_16, exps_16, log_means_16};
}

const Table& table() {
  static const Table chosen = widest();
  return chosen;
}

}  // namespace

void block_maxima(const float* x, size_t blocks, float* maxima) { table().maxima(x, blocks, maxima); }

double sum_exp(const float* x, size_t blocks, float shift) { return table().sum(x, blocks, shift); }

void exp_shifted(const float* x, size_t blocks, float shift, float* y) { table().exps(x, blocks, shift, y); }

void log_mean_exp(const NormalisedLogits* rows, size_t count, size_t blocks, float* y) {
  table().log_means(rows, count, blocks, y);
}

}  // namespace nmt_trt
