// What stands before and behind Mamba's scan, number by number: softplus of the step sizes' logits,
// and the gate y SiLU(z). Each is one pass over memory, and so is its gradient.

#include "lanes.h"

// The arguments; `activations.py` mirrors this. Arrays of `count` numbers of one precision.
struct Map {
    int64_t level;  // instruction set: 0 baseline, 1 AVX2, 2 AVX-512
    int64_t threads;
    int64_t count;
    const void *a, *b, *grad;  // in: arguments, and the gradient by the result
    void *out, *second;        // the result, or the gradients by a and b
};

namespace {

constexpr int64_t PIECE = 1 << 13;  // numbers of a task

template <class Real> struct Logarithm;

// 2 artanh(s) / s in powers of s^2 up to 1/9, interpolated at Chebyshev points.
template <> struct Logarithm<float> {
    static constexpr int terms = 5;  // relative error 4.1e-9
    static constexpr float series[terms] = {
        0x1.000000107f177p+1f, 0x1.5554e18fe2fe3p-1f, 0x1.99da132e0f76dp-2f,
        0x1.1e5cfbadb960ep-2f, 0x1.2055ed2fe71dbp-2f};
};

template <> struct Logarithm<double> {
    static constexpr int terms = 11;  // 1.3e-18
    static constexpr double series[terms] = {
        0x1p+1, 0x1.5555555555527p-1, 0x1.99999999a1c4fp-2, 0x1.249249201beacp-2,
        0x1.c71c7445b2127p-3, 0x1.745caf74cbe5ep-3, 0x1.3b1e2bc8a12dep-3, 0x1.106443d797a85p-3,
        0x1.f00852a5c69fap-4, 0x1.54f8c703ce149p-4, 0x1.5d1081172f887p-3};
};

// log(1 + e^x) = max(x, 0) + 2 artanh(e / (2 + e)) with e = e^-|x|.
template <class Real, int Bytes> struct Softplus {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    __attribute__((always_inline)) static void forward(const Vec &x, const Vec &, Vec &out) {
        using L = Logarithm<Real>;
        const Vec magnitude = x < 0 ? -x : x;
        Vec faded, sum = Vec{} + L::series[L::terms - 1];
        exp2<Real, Bytes, false>(faded, magnitude, Vec{} - Real(LOG2E));
        const Vec s = faded / (faded + Real(2)), square = s * s;
        for (int term = L::terms - 2; term >= 0; --term) sum = sum * square + L::series[term];
        out = (x > 0 ? x : Vec{}) + s * sum;
    }
    // `y` is the result, whose derivative is 1 - e^-y.
    __attribute__((always_inline)) static void backward(
        const Vec &y, const Vec &, const Vec &grad, Vec &by_x, Vec &) {
        faded_by<Real, Bytes>(by_x, y);
        by_x *= grad;
    }
};

// y SiLU(z).
template <class Real, int Bytes> struct Gate {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    __attribute__((always_inline)) static void forward(const Vec &y, const Vec &z, Vec &out) {
        sigmoid<Real, Bytes>(out, z);
        out *= y * z;
    }
    __attribute__((always_inline)) static void backward(
        const Vec &y, const Vec &z, const Vec &grad, Vec &by_y, Vec &by_z) {
        Vec gate;
        sigmoid<Real, Bytes>(gate, z);
        by_y = grad * (z * gate);
        by_z = grad * y * (gate * (Real(1) + z * (Real(1) - gate)));
    }
};

template <class Real, int Bytes, template <class, int> class Function, bool Second>
INLINE void forward(const Map &m, int64_t task) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t end = smaller((task + 1) * PIECE, m.count);
    for (int64_t at = task * PIECE; at < end; at += Lanes<Real, Bytes>::count) {
        Vec a, b{}, out;
        load(a, (const Real *)m.a + at, end - at);
        if (Second) load(b, (const Real *)m.b + at, end - at);
        Function<Real, Bytes>::forward(a, b, out);
        store((Real *)m.out + at, out, end - at);
    }
}

template <class Real, int Bytes, template <class, int> class Function, bool Second>
INLINE void backward(const Map &m, int64_t task) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t end = smaller((task + 1) * PIECE, m.count);
    for (int64_t at = task * PIECE; at < end; at += Lanes<Real, Bytes>::count) {
        Vec a, b{}, grad, out, second;
        load(a, (const Real *)m.a + at, end - at);
        if (Second) load(b, (const Real *)m.b + at, end - at);
        load(grad, (const Real *)m.grad + at, end - at);
        Function<Real, Bytes>::backward(a, b, grad, out, second);
        store((Real *)m.out + at, out, end - at);
        if (Second) store((Real *)m.second + at, second, end - at);
    }
}

#define KERNELS(NAME, TARGET, BYTES)                                                               \
    template <class Real, template <class, int> class Function, bool Second>                       \
    TARGET void forward_##NAME(const Map &m, int64_t task) {                                       \
        forward<Real, BYTES, Function, Second>(m, task);                                           \
    }                                                                                              \
    template <class Real, template <class, int> class Function, bool Second>                       \
    TARGET void backward_##NAME(const Map &m, int64_t task) {                                      \
        backward<Real, BYTES, Function, Second>(m, task);                                          \
    }

using Kernel = void (*)(const Map &, int64_t);

KERNELS(baseline, , 16)
#if defined(__x86_64__)
KERNELS(avx2, AVX2, 32)
KERNELS(avx512, AVX512, 64)
#define CHOICES(DIRECTION)                                                                         \
    {DIRECTION##_baseline<Real, Function, Second>, DIRECTION##_avx2<Real, Function, Second>,       \
     DIRECTION##_avx512<Real, Function, Second>}
#else
#define CHOICES(DIRECTION) {DIRECTION##_baseline<Real, Function, Second>}
#endif

template <class Real, template <class, int> class Function, bool Second>
void run_forward(const Map &m) {
    static constexpr Kernel kernels[] = CHOICES(forward);
    run(m, kernels[m.level], pieces(m.count, PIECE));
}

template <class Real, template <class, int> class Function, bool Second>
void run_backward(const Map &m) {
    static constexpr Kernel kernels[] = CHOICES(backward);
    run(m, kernels[m.level], pieces(m.count, PIECE));
}

}  // namespace

PUBLIC void softplus_forward_float32(const Map *m) { run_forward<float, Softplus, false>(*m); }
PUBLIC void softplus_forward_float64(const Map *m) { run_forward<double, Softplus, false>(*m); }
PUBLIC void softplus_backward_float32(const Map *m) { run_backward<float, Softplus, false>(*m); }
PUBLIC void softplus_backward_float64(const Map *m) { run_backward<double, Softplus, false>(*m); }
PUBLIC void gate_forward_float32(const Map *m) { run_forward<float, Gate, true>(*m); }
PUBLIC void gate_forward_float64(const Map *m) { run_forward<double, Gate, true>(*m); }
PUBLIC void gate_backward_float32(const Map *m) { run_backward<float, Gate, true>(*m); }
PUBLIC void gate_backward_float64(const Map *m) { run_backward<double, Gate, true>(*m); }
