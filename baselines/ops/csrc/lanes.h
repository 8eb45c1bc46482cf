// Vectors whose lanes are channels: 2^z and the sigmoid, rows that end within a vector, threads.
//
// Every kernel is a template over the width of a vector, instantiated for each instruction set
// behind a `target` attribute; the caller picks one at run time.

#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#define PUBLIC extern "C" __attribute__((visibility("default")))

namespace {

constexpr int64_t PADDED = 16;  // rows that are whole vectors are padded to a multiple of this
constexpr double LOG2E = 1.44269504088896340736;

template <class Real> struct Format;

template <> struct Format<float> {
    using Bits = uint32_t;
    static constexpr int mantissa = 23, terms = 6;
    static constexpr float rounder = 0x1.8p23f, least = -126;
    // (2^r - 1) / r on [-1/2, 1/2], interpolated at Chebyshev points: relative error 5.1e-9.
    static constexpr float series[terms] = {
        0x1.62e4302fc626ep-1f, 0x1.ebfbe00e63baep-3f, 0x1.c6af6cdbbdcc7p-5f,
        0x1.3b2a53045179ap-7f, 0x1.5f0890162a90ap-10f, 0x1.4413896e1ad27p-13f};
};

template <> struct Format<double> {
    using Bits = uint64_t;
    static constexpr int mantissa = 52, terms = 11;
    static constexpr double rounder = 0x1.8p52, least = -1022;
    // The same with relative error 8.4e-18.
    static constexpr double series[terms] = {
        0x1.62e42fefa39efp-1, 0x1.ebfbdff82c598p-3, 0x1.c6b08d704a0c2p-5, 0x1.3b2ab6fba1ddap-7,
        0x1.5d87fe78a5276p-10, 0x1.430913096fd9fp-13, 0x1.ffcbfc670dcd4p-17,
        0x1.62bfd47773353p-20, 0x1.b524fae627834p-24, 0x1.e6063f7217bc6p-28,
        0x1.e9d3fe3952179p-32};
};

template <class Real, int Bytes> struct Lanes {
    static constexpr int64_t count = Bytes / int64_t(sizeof(Real));
    typedef Real Vec __attribute__((vector_size(Bytes)));
    typedef typename Format<Real>::Bits Bits __attribute__((vector_size(Bytes)));
};

// 2^(a b) for a b up to 127 (1023): nearest integer, which the addition of `rounder` leaves in the
// low bits, a polynomial for the rest, and the integer added to the exponent. Exactly 1 at 0; at
// least the smallest normal number; NaN of NaN. Bounded, it takes what is no further from 0 than
// `least` and spares a product and a comparison.
template <class Real, int Bytes, bool Bounded>
INLINE void exp2(
    typename Lanes<Real, Bytes>::Vec &value, const typename Lanes<Real, Bytes>::Vec &a,
    const typename Lanes<Real, Bytes>::Vec &b) {
    using F = Format<Real>;
    using Vec = typename Lanes<Real, Bytes>::Vec;
    using Bits = typename Lanes<Real, Bytes>::Bits;
    Vec shifted, rest;
    if (Bounded) {
        shifted = a * b + F::rounder;
        rest = a * b - (shifted - F::rounder);
    } else {
        const Vec least = Vec{} + F::least, product = a * b;
        const Vec z = product < least ? least : product;
        shifted = z + F::rounder;
        rest = z - (shifted - F::rounder);
    }
    value = Vec{} + F::series[F::terms - 1];
    for (int term = F::terms - 2; term >= 0; --term) value = value * rest + F::series[term];
    value = value * rest + Real(1);
    value = (Vec)((Bits)value + ((Bits)shifted << F::mantissa));
}

// 1 - e^-y for y from 0, exact to the last digits where it is small too: (2^n - 1) + 2^n (2^r - 1).
template <class Real, int Bytes>
INLINE void faded_by(
    typename Lanes<Real, Bytes>::Vec &value, const typename Lanes<Real, Bytes>::Vec &y) {
    using F = Format<Real>;
    using Vec = typename Lanes<Real, Bytes>::Vec;
    using Bits = typename Lanes<Real, Bytes>::Bits;
    const Vec least = Vec{} + F::least, product = y * -Real(LOG2E);
    const Vec z = product < least ? least : product, shifted = z + F::rounder;
    const Vec rest = z - (shifted - F::rounder);
    const Vec scale = (Vec)((Bits)(Vec{} + Real(1)) + ((Bits)shifted << F::mantissa));
    value = Vec{} + F::series[F::terms - 1];
    for (int term = F::terms - 2; term >= 0; --term) value = value * rest + F::series[term];
    value = (Real(1) - scale) - scale * (value * rest);
}

// 1 / (1 + e^-z), by what cannot overflow. NaN of NaN.
template <class Real, int Bytes>
INLINE void sigmoid(
    typename Lanes<Real, Bytes>::Vec &value, const typename Lanes<Real, Bytes>::Vec &z) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    Vec faded;
    const Vec magnitude = z < 0 ? -z : z;
    exp2<Real, Bytes, false>(faded, magnitude, Vec{} - Real(LOG2E));
    value = (z < 0 ? faded : Vec{} + Real(1)) / (faded + Real(1));
}

template <class Vec, class Real>
INLINE void load(Vec &into, const Real *from, int64_t count) {
    if (count * int64_t(sizeof(Real)) >= int64_t(sizeof(Vec))) {
        std::memcpy(&into, from, sizeof(Vec));
    } else {
        into = Vec{};
        std::memcpy(&into, from, count * sizeof(Real));
    }
}

template <class Vec, class Real>
INLINE void store(Real *into, const Vec &from, int64_t count) {
    if (count * int64_t(sizeof(Real)) >= int64_t(sizeof(Vec)))
        std::memcpy(into, &from, sizeof(Vec));
    else
        std::memcpy(into, &from, count * sizeof(Real));
}

template <class Vec, class Real>
INLINE void accumulate(Real *into, const Vec &more) {
    Vec sum;
    std::memcpy(&sum, into, sizeof(Vec));
    sum += more;
    std::memcpy(into, &sum, sizeof(Vec));
}

INLINE int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t pieces(int64_t whole, int64_t part) { return (whole + part - 1) / part; }

// Decaying states end in subnormal numbers, which processors multiply a hundred times slower; they
// count as zero while a kernel runs.
class FlushSubnormals {
#if defined(__x86_64__)
    const unsigned before = _mm_getcsr();
public:
    FlushSubnormals() { _mm_setcsr(before | 0x8040); }
    ~FlushSubnormals() { _mm_setcsr(before); }
#elif defined(__aarch64__)
    uint64_t before;
public:
    FlushSubnormals() {
        asm volatile("mrs %0, fpcr" : "=r"(before));
        asm volatile("msr fpcr, %0" : : "r"(before | (uint64_t(1) << 24)));
    }
    ~FlushSubnormals() { asm volatile("msr fpcr, %0" : : "r"(before)); }
#else
public:
    FlushSubnormals() {}
#endif
};

// What a call is made of, dealt out to the threads.
template <class Arguments>
void run(const Arguments &arguments, void (*kernel)(const Arguments &, int64_t), int64_t tasks) {
#pragma omp parallel for schedule(dynamic) num_threads(int(arguments.threads))
    for (int64_t task = 0; task < tasks; ++task) {
        FlushSubnormals flush;
        kernel(arguments, task);
    }
}

}  // namespace

#define AVX2 __attribute__((target("avx2,fma")))
#define AVX512 __attribute__((target("avx512f,avx512dq,avx2,fma")))
