// The short causal convolution before a scan, with SiLU behind it where asked for.
//
//   z_t[d] = bias[d] + sum_j weight[j,d] x_{t-k+1+j}[d],    y = SiLU(z) or z
//
// Time is cut into segments, the tasks. Backward keeps the gradient by z of one segment and of the
// k - 1 positions after it, which it makes a second time, and so nothing but its arguments is
// needed; the gradients of weights and bias are summed over a segment each.

#include "lanes.h"

#include <vector>

// The arguments; `causal_conv.py` mirrors this. Contiguous and of one precision, those of kind "in"
// unchanged. "D" is the number of channels rounded up such that rows are whole vectors.
struct Conv {
    int64_t level;  // instruction set: 0 baseline, 1 AVX2, 2 AVX-512
    int64_t threads;
    int64_t batch, length, channels, taps, silu;
    const void *x;              // in: (b, l, d)
    const void *weight, *bias;  // in: (k, D) and (D)
    const void *state;          // in: (b, k-1, d), the inputs before the first one
    void *y;                    // (b, l, d), written by forward
    const void *grad_y;         // in: (b, l, d)
    void *grad_x, *grad_state;  // (b, l, d) and (b, k-1, d), written by backward
    void *grad_weight;          // (b, segments, k, D), zeros at first
    void *grad_bias;            // (b, segments, D), zeros at first
};

namespace {

constexpr int64_t SEGMENT = 128;  // positions of a task

INLINE int64_t segments(const Conv &c) { return pieces(c.length, SEGMENT); }
INLINE int64_t row(const Conv &c) { return pieces(c.channels, PADDED) * PADDED; }

// The inputs that one output sees, in rows of `channels` numbers: where they lie, or gathered in
// `window` at the beginning, where some lie before the first position.
template <class Real>
INLINE const Real *seen(const Conv &c, int64_t item, int64_t t, int64_t taps, Real *window) {
    const Real *x = (const Real *)c.x + item * c.length * c.channels;
    const int64_t missing = taps - 1 - t;
    if (missing <= 0) return x - missing * c.channels;
    const Real *state = (const Real *)c.state + (item * (taps - 1) + t) * c.channels;
    std::memcpy(window, state, missing * c.channels * sizeof(Real));
    std::memcpy(window + missing * c.channels, x, (t + 1) * c.channels * sizeof(Real));
    return window;
}

// z of one vector of channels.
template <class Real, class Vec>
INLINE void convolve(
    const Real *x, const Real *weight, const Real *bias, int64_t taps, int64_t channels,
    int64_t row, int64_t count, Vec &z) {
    load(z, bias, PADDED);
    for (int64_t j = 0; j < taps; ++j) {
        Vec factor, input;
        load(factor, weight + j * row, PADDED);
        load(input, x + j * channels, count);
        z += factor * input;
    }
}

// Taps is their number if the compiler is to know it, else 0.
template <class Real, int Bytes, int Taps> INLINE void forward(const Conv &c, int64_t task) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t taps = Taps ? Taps : c.taps, channels = c.channels, rows = row(c);
    const int64_t item = task / segments(c), begin = task % segments(c) * SEGMENT;
    const int64_t end = smaller(begin + SEGMENT, c.length);
    const Real *weight = (const Real *)c.weight, *bias = (const Real *)c.bias;
    Real *y = (Real *)c.y + (item * c.length + begin) * channels;
    const bool silu = c.silu;
    std::vector<Real> window(taps * channels);
    for (int64_t t = begin; t < end; ++t, y += channels) {
        const Real *x = seen(c, item, t, taps, window.data());
        for (int64_t channel = 0; channel < channels; channel += Lanes<Real, Bytes>::count) {
            const int64_t count = channels - channel;
            Vec z, gate;
            convolve(
                x + channel, weight + channel, bias + channel, taps, channels, rows, count, z);
            if (silu) {
                sigmoid<Real, Bytes>(gate, z);
                z *= gate;
            }
            store(y + channel, z, count);
        }
    }
}

template <class Real, int Bytes, int Taps> INLINE void backward(const Conv &c, int64_t task) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t taps = Taps ? Taps : c.taps, before = taps - 1;
    const int64_t channels = c.channels, rows = row(c);
    const int64_t item = task / segments(c), segment = task % segments(c);
    const int64_t begin = segment * SEGMENT, end = smaller(begin + SEGMENT, c.length);
    const Real *weight = (const Real *)c.weight, *bias = (const Real *)c.bias;
    Real *by_weight = (Real *)c.grad_weight + task * taps * rows;
    Real *by_bias = (Real *)c.grad_bias + task * rows;
    const bool silu = c.silu;
    std::vector<Real> window(taps * channels);
    // Positions after the sequence have no outputs: their gradients by z stay zero.
    std::vector<Real> grads((end - begin + before) * rows);
    for (int64_t t = begin; t < smaller(end + before, c.length); ++t) {
        const Real *x = seen(c, item, t, taps, window.data());
        const Real *above = (const Real *)c.grad_y + (item * c.length + t) * channels;
        Real *inner = grads.data() + (t - begin) * rows;
        for (int64_t channel = 0; channel < channels; channel += Lanes<Real, Bytes>::count) {
            const int64_t count = channels - channel;
            Vec grad, z, gate;
            load(grad, above + channel, count);
            if (silu) {
                convolve(
                    x + channel, weight + channel, bias + channel, taps, channels, rows, count, z);
                sigmoid<Real, Bytes>(gate, z);
                grad *= gate * (Real(1) + z * (Real(1) - gate));
            }
            store(inner + channel, grad, PADDED);
            if (t >= end) continue;  // the next segment counts it
            accumulate(by_bias + channel, grad);
            for (int64_t j = 0; j < taps; ++j) {
                Vec input;
                load(input, x + j * channels + channel, count);
                accumulate(by_weight + j * rows + channel, grad * input);
            }
        }
    }
    for (int64_t t = segment ? begin : -before; t < end; ++t) {
        Real *into = t < 0 ? (Real *)c.grad_state + (item * before + t + before) * channels
                           : (Real *)c.grad_x + (item * c.length + t) * channels;
        // The tap j met this input at the output before - j positions later.
        const int64_t met = smaller(taps, t + before - begin + 1);
        const Real *latest = grads.data() + (t + before - begin) * rows;
        for (int64_t channel = 0; channel < channels; channel += Lanes<Real, Bytes>::count) {
            Vec sum{};
            for (int64_t j = 0; j < met; ++j) {
                Vec factor, grad;
                load(factor, weight + j * rows + channel, PADDED);
                load(grad, latest - j * rows + channel, PADDED);
                sum += factor * grad;
            }
            store(into + channel, sum, channels - channel);
        }
    }
}

#define KERNELS(NAME, TARGET, BYTES)                                                               \
    template <class Real> TARGET void forward_##NAME(const Conv &c, int64_t task) {                \
        c.taps == 4 ? forward<Real, BYTES, 4>(c, task) : forward<Real, BYTES, 0>(c, task);         \
    }                                                                                              \
    template <class Real> TARGET void backward_##NAME(const Conv &c, int64_t task) {               \
        c.taps == 4 ? backward<Real, BYTES, 4>(c, task) : backward<Real, BYTES, 0>(c, task);       \
    }

KERNELS(baseline, , 16)
#if defined(__x86_64__)
KERNELS(avx2, AVX2, 32)
KERNELS(avx512, AVX512, 64)
#define CHOICES(DIRECTION)                                                                         \
    {DIRECTION##_baseline<Real>, DIRECTION##_avx2<Real>, DIRECTION##_avx512<Real>}
#else
#define CHOICES(DIRECTION) {DIRECTION##_baseline<Real>}
#endif

using Kernel = void (*)(const Conv &, int64_t);

template <class Real> void run_forward(const Conv &c) {
    static constexpr Kernel kernels[] = CHOICES(forward);
    run(c, kernels[c.level], c.batch * segments(c));
}

template <class Real> void run_backward(const Conv &c) {
    static constexpr Kernel kernels[] = CHOICES(backward);
    run(c, kernels[c.level], c.batch * segments(c));
}

}  // namespace

PUBLIC void conv_forward_float32(const Conv *c) { run_forward<float>(*c); }
PUBLIC void conv_forward_float64(const Conv *c) { run_forward<double>(*c); }
PUBLIC void conv_backward_float32(const Conv *c) { run_backward<float>(*c); }
PUBLIC void conv_backward_float64(const Conv *c) { run_backward<double>(*c); }

PUBLIC int64_t conv_segment() { return SEGMENT; }
