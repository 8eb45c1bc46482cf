// The selective scan of Mamba, forward and backward, for processors (arXiv 2312.00752, section 3).
//
//   h_t[n,d] = exp(dt_t[d] A[n,d]) h_{t-1}[n,d] + dt_t[d] x_t[d] B_t[n]
//   y_t[d]   = D[d] x_t[d] + sum_n C_t[n] gain[n,d] h_t[n,d]
//
// Channels are the lanes of vectors and innermost in every array; time is walked in chunks. Forward
// keeps the states at the chunks' beginnings only; backward recomputes those inside a chunk, walks
// it from its end, and so needs memory of order (b, l, d) like the arguments.
//
// A plain C interface, so that it needs no header of torch and fits every version. 2^z is the only
// function it needs, since A comes multiplied by log2(e).

#include "lanes.h"

// The arguments; `native.py` mirrors this. "D" is the number of channels rounded up such that rows
// are whole vectors. All arrays are contiguous and of one precision, those of kind "in" unchanged.
struct Scan {
    int64_t level;     // instruction set: 0 baseline, 1 AVX2, 2 AVX-512
    int64_t threads;
    int64_t batch, length, channels, states;
    const void *x, *dt;       // in: (b, l, d)
    const void *A, *gain;     // in: (n, D), A times log2(e); gain may be null for ones
    const void *B, *C;        // in: (b, l, n)
    const void *skip;         // in: (D)
    void *state;              // (b, n, D); forward: first state in, last one out
    void *boundaries;         // (b, chunks, n, D), written by forward unless null, read by backward
    void *y;                  // (b, l, d), written by forward
    const void *grad_y;       // in: (b, l, d)
    void *grad_state;         // (b, n, D); backward: the last state's gradient in, the first's out
    void *grad_x, *grad_dt;   // (b, l, d)
    void *grad_A, *grad_gain; // (b, n, D), zeros at first; of A as it was before the logarithm
    void *grad_B, *grad_C;    // (groups, b, l, n)
    void *grad_skip;          // (b, D), zeros at first
};

namespace {

constexpr int64_t CHUNK = 64;    // positions between two states that are kept
constexpr int64_t GROUP = 64;    // channels whose gradients of B and C are summed at once
constexpr int64_t TILE = 4;      // states that are walked together, in registers
constexpr int64_t STRIPS = 8;    // vectors of channels, at most, whose chunks follow one another
constexpr double LN2 = 0.693147180559945309417;

// Whether no product with A of what is no further from 0 than `most` leaves the bounds of `exp2`.
template <class Real, int Bytes, int K>
INLINE bool bounded(
    const typename Lanes<Real, Bytes>::Vec &most, const typename Lanes<Real, Bytes>::Vec (&A)[K]) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const Vec bound = Vec{} - Format<Real>::least;
    auto within = bound == bound;
    for (int k = 0; k < K; ++k) {
        const Vec product = most * A[k];
        within &= (product <= bound) & (product >= -bound);
    }
    bool all = true;
    for (int64_t lane = 0; lane < Lanes<Real, Bytes>::count; ++lane) all &= within[lane] != 0;
    return all;
}

// The largest magnitude of each lane, NaN left out: either form of `exp2` keeps it.
template <class Vec> INLINE void largest(Vec &most, const Vec *values, int64_t count) {
    most = Vec{};
    for (int64_t t = 0; t < count; ++t) {
        const Vec magnitude = values[t] < 0 ? -values[t] : values[t];
        most = magnitude > most ? magnitude : most;
    }
}

INLINE int64_t padded(const Scan &s) { return pieces(s.channels, PADDED) * PADDED; }

// K states of one vector of channels, through one chunk.
template <class Real, int Bytes, bool Gain, int K, bool Bounded, class Vec>
INLINE void forward_steps(
    const Scan &s, const Vec *dt, const Vec *drive, Vec *y, const Real *B, const Real *C,
    const Vec (&A)[K], const Vec (&gain)[K], Vec (&h)[K], int64_t steps) {
    for (int64_t t = 0; t < steps; ++t, B += s.states, C += s.states) {
        Vec sum = y[t], decay;
        for (int k = 0; k < K; ++k) {
            exp2<Real, Bytes, Bounded>(decay, dt[t], A[k]);
            h[k] = decay * h[k] + drive[t] * B[k];
            sum += Gain ? h[k] * (gain[k] * C[k]) : h[k] * C[k];
        }
        y[t] = sum;
    }
}

// The states n to n + K - 1 of one vector of channels, through one chunk.
template <class Real, int Bytes, bool Gain, int K>
INLINE void forward_tile(
    const Scan &s, const typename Lanes<Real, Bytes>::Vec &most,
    const typename Lanes<Real, Bytes>::Vec *dt, const typename Lanes<Real, Bytes>::Vec *drive,
    typename Lanes<Real, Bytes>::Vec *y, const Real *B, const Real *C, int64_t row, Real *state,
    int64_t steps) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t stride = padded(s);
    Vec A[K], gain[K], h[K];
    for (int k = 0; k < K; ++k) {
        load(A[k], (const Real *)s.A + row + k * stride, PADDED);
        if (Gain) load(gain[k], (const Real *)s.gain + row + k * stride, PADDED);
        load(h[k], state + k * stride, PADDED);
    }
    if (bounded<Real, Bytes, K>(most, A))
        forward_steps<Real, Bytes, Gain, K, true>(s, dt, drive, y, B, C, A, gain, h, steps);
    else
        forward_steps<Real, Bytes, Gain, K, false>(s, dt, drive, y, B, C, A, gain, h, steps);
    for (int k = 0; k < K; ++k) store(state + k * stride, h[k], PADDED);
}

// One sequence's scan over one vector of channels, through one chunk.
template <class Real, int Bytes, bool Gain>
INLINE void forward_chunk(const Scan &s, int64_t item, int64_t channel, int64_t chunk) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t stride = padded(s), count = s.channels - channel;
    const int64_t first = item * s.length + chunk * CHUNK, offset = first * s.channels + channel;
    const int64_t steps = smaller(CHUNK, s.length - chunk * CHUNK);
    Real *state = (Real *)s.state + item * s.states * stride + channel;
    Vec dt[CHUNK], drive[CHUNK], y[CHUNK], skip, most;
    load(skip, (const Real *)s.skip + channel, PADDED);
    for (int64_t t = 0; t < steps; ++t) {
        load(dt[t], (const Real *)s.dt + offset + t * s.channels, count);
        load(drive[t], (const Real *)s.x + offset + t * s.channels, count);
        y[t] = skip * drive[t];
        drive[t] *= dt[t];
    }
    largest(most, dt, steps);
    if (s.boundaries) {
        Real *border = (Real *)s.boundaries
            + (item * pieces(s.length, CHUNK) + chunk) * s.states * stride;
        for (int64_t n = 0; n < s.states; ++n)
            std::memcpy(border + n * stride + channel, state + n * stride, sizeof(Vec));
    }
    const Real *B = (const Real *)s.B + first * s.states;
    const Real *C = (const Real *)s.C + first * s.states;
    int64_t n = 0;
    for (; n + TILE <= s.states; n += TILE)
        forward_tile<Real, Bytes, Gain, TILE>(
            s, most, dt, drive, y, B + n, C + n, n * stride + channel, state + n * stride, steps);
    for (; n < s.states; ++n)
        forward_tile<Real, Bytes, Gain, 1>(
            s, most, dt, drive, y, B + n, C + n, n * stride + channel, state + n * stride, steps);
    for (int64_t t = 0; t < steps; ++t)
        store((Real *)s.y + offset + t * s.channels, y[t], count);
}

// Channels of one task: neighbours in memory, since a vector alone is one line of cache of every
// row, but no more than leave each thread a task.
INLINE int64_t forward_channels(const Scan &s, int64_t width) {
    const int64_t vectors = pieces(s.batch * pieces(s.channels, width), s.threads);
    return smaller(vectors, STRIPS) * width;
}

// One sequence's scan over the channels of one task.
template <class Real, int Bytes, bool Gain>
INLINE void forward(const Scan &s, int64_t task) {
    constexpr int64_t width = Lanes<Real, Bytes>::count;
    const int64_t members = forward_channels(s, width), groups = pieces(s.channels, members);
    const int64_t item = task / groups, begin = task % groups * members;
    const int64_t end = smaller(begin + members, s.channels);
    for (int64_t chunk = 0; chunk < pieces(s.length, CHUNK); ++chunk)
        for (int64_t channel = begin; channel < end; channel += width)
            forward_chunk<Real, Bytes, Gain>(s, item, channel, chunk);
}

// What a vector of channels needs and gathers in one chunk; `by_drive` and `by_rate` are the
// gradients of dt x and of dt A / A.
template <class Vec> struct Strip {
    Vec most, dt[CHUNK], drive[CHUNK], x[CHUNK], grad[CHUNK], by_drive[CHUNK], by_rate[CHUNK];
};

// K states of one vector of channels, forward through one chunk: what the way back needs of them.
template <class Real, int Bytes, bool Gain, int K, bool Bounded, class Vec>
INLINE void recall(
    const Scan &s, const Strip<Vec> &strip, Vec (*by_C)[K], const Real *B, const Real *C,
    const Vec (&A)[K], const Vec (&gain)[K], Vec (&h)[K], Vec (&by_gain)[K],
    Vec (&before)[CHUNK][K], Vec (&decays)[CHUNK][K], int64_t steps) {
    for (int64_t t = 0; t < steps; ++t, B += s.states, C += s.states) {
        const Vec drive = strip.drive[t], grad = strip.grad[t];
        for (int k = 0; k < K; ++k) {
            Vec decay;
            exp2<Real, Bytes, Bounded>(decay, strip.dt[t], A[k]);
            before[t][k] = h[k];
            decays[t][k] = decay;
            h[k] = decay * h[k] + drive * B[k];
            const Vec product = grad * h[k];
            by_C[t][k] += Gain ? product * gain[k] : product;
            if (Gain) by_gain[k] += product * C[k];
        }
    }
}

// The states n to n + K - 1 of one vector of channels, forward and then backward through one chunk.
template <class Real, int Bytes, bool Gain, int K>
INLINE void backward_tile(
    const Scan &s, Strip<typename Lanes<Real, Bytes>::Vec> &strip,
    typename Lanes<Real, Bytes>::Vec (*by_B)[K], typename Lanes<Real, Bytes>::Vec (*by_C)[K],
    const Real *B, const Real *C, int64_t row, const Real *border, int64_t item, int64_t steps) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    const int64_t stride = padded(s), own = item * s.states * stride + row;
    Vec A[K], gain[K], h[K], carry[K], by_A[K], by_gain[K], before[CHUNK][K], decays[CHUNK][K];
    for (int k = 0; k < K; ++k) {
        load(A[k], (const Real *)s.A + row + k * stride, PADDED);
        if (Gain) load(gain[k], (const Real *)s.gain + row + k * stride, PADDED);
        load(h[k], border + row + k * stride, PADDED);
        load(carry[k], (const Real *)s.grad_state + own + k * stride, PADDED);
        by_A[k] = by_gain[k] = Vec{};
    }
    if (bounded<Real, Bytes, K>(strip.most, A))
        recall<Real, Bytes, Gain, K, true>(
            s, strip, by_C, B, C, A, gain, h, by_gain, before, decays, steps);
    else
        recall<Real, Bytes, Gain, K, false>(
            s, strip, by_C, B, C, A, gain, h, by_gain, before, decays, steps);
    B += steps * s.states;
    C += steps * s.states;
    for (int64_t t = steps - 1; t >= 0; --t) {
        B -= s.states;
        C -= s.states;
        const Vec drive = strip.drive[t], grad = strip.grad[t], dt = strip.dt[t];
        Vec by_drive = strip.by_drive[t], by_rate = strip.by_rate[t];
        for (int k = 0; k < K; ++k) {
            const Vec adjoint = carry[k] + grad * (Gain ? gain[k] * C[k] : Vec{} + C[k]);
            by_B[t][k] += adjoint * drive;
            by_drive += adjoint * B[k];
            carry[k] = adjoint * decays[t][k];
            const Vec by_exponent = carry[k] * before[t][k];
            by_rate += by_exponent * A[k];
            by_A[k] += by_exponent * dt;
        }
        strip.by_drive[t] = by_drive;
        strip.by_rate[t] = by_rate;
    }
    for (int k = 0; k < K; ++k) {
        store((Real *)s.grad_state + own + k * stride, carry[k], PADDED);
        accumulate((Real *)s.grad_A + own + k * stride, by_A[k]);
        if (Gain) accumulate((Real *)s.grad_gain + own + k * stride, by_gain[k]);
    }
}

// The states n to n + K - 1 of a group of channels through one chunk: the sums over channels.
template <class Real, int Bytes, bool Gain, int K>
INLINE void backward_states(
    const Scan &s, Strip<typename Lanes<Real, Bytes>::Vec> *strips, int64_t item, int64_t channel,
    int64_t chunk, int64_t n, int64_t group) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    constexpr int64_t width = Lanes<Real, Bytes>::count;
    const int64_t steps = smaller(CHUNK, s.length - chunk * CHUNK), stride = padded(s);
    const int64_t vectors = pieces(smaller(GROUP, s.channels - channel), width);
    const int64_t at = (item * s.length + chunk * CHUNK) * s.states + n;
    const Real *border = (const Real *)s.boundaries
        + (item * pieces(s.length, CHUNK) + chunk) * s.states * stride;
    Vec by_B[CHUNK][K], by_C[CHUNK][K];
    std::memset(by_B, 0, steps * sizeof by_B[0]);
    std::memset(by_C, 0, steps * sizeof by_C[0]);
    for (int64_t v = 0; v < vectors; ++v)
        backward_tile<Real, Bytes, Gain, K>(
            s, strips[v], by_B, by_C, (const Real *)s.B + at, (const Real *)s.C + at,
            n * stride + channel + v * width, border, item, steps);
    const int64_t out = group * s.batch * s.length * s.states + at;
    for (int64_t t = 0; t < steps; ++t)
        for (int k = 0; k < K; ++k) {
            Real sum_B = 0, sum_C = 0;
            for (int64_t lane = 0; lane < width; ++lane) {
                sum_B += by_B[t][k][lane];
                sum_C += by_C[t][k][lane];
            }
            ((Real *)s.grad_B)[out + t * s.states + k] = sum_B;
            ((Real *)s.grad_C)[out + t * s.states + k] = sum_C;
        }
}

// One sequence's gradients of one group of channels.
template <class Real, int Bytes, bool Gain>
INLINE void backward(const Scan &s, int64_t task) {
    using Vec = typename Lanes<Real, Bytes>::Vec;
    constexpr int64_t width = Lanes<Real, Bytes>::count;
    const int64_t groups = pieces(s.channels, GROUP);
    const int64_t item = task / groups, group = task % groups, channel = group * GROUP;
    const int64_t members = smaller(GROUP, s.channels - channel), vectors = pieces(members, width);
    Strip<Vec> strips[GROUP / width];
    for (int64_t chunk = pieces(s.length, CHUNK) - 1; chunk >= 0; --chunk) {
        const int64_t steps = smaller(CHUNK, s.length - chunk * CHUNK);
        const int64_t offset = (item * s.length + chunk * CHUNK) * s.channels + channel;
        for (int64_t v = 0; v < vectors; ++v) {
            Strip<Vec> &strip = strips[v];
            Vec by_skip{};
            for (int64_t t = 0; t < steps; ++t) {
                const int64_t at = offset + t * s.channels + v * width, count = members - v * width;
                load(strip.dt[t], (const Real *)s.dt + at, count);
                load(strip.x[t], (const Real *)s.x + at, count);
                load(strip.grad[t], (const Real *)s.grad_y + at, count);
                strip.drive[t] = strip.dt[t] * strip.x[t];
                by_skip += strip.x[t] * strip.grad[t];
                strip.by_drive[t] = strip.by_rate[t] = Vec{};
            }
            largest(strip.most, strip.dt, steps);
            accumulate((Real *)s.grad_skip + item * padded(s) + channel + v * width, by_skip);
        }
        int64_t n = 0;
        for (; n + TILE <= s.states; n += TILE)
            backward_states<Real, Bytes, Gain, TILE>(s, strips, item, channel, chunk, n, group);
        for (; n < s.states; ++n)
            backward_states<Real, Bytes, Gain, 1>(s, strips, item, channel, chunk, n, group);
        for (int64_t v = 0; v < vectors; ++v) {
            const Strip<Vec> &strip = strips[v];
            Vec skip;
            load(skip, (const Real *)s.skip + channel + v * width, PADDED);
            for (int64_t t = 0; t < steps; ++t) {
                const int64_t at = offset + t * s.channels + v * width, count = members - v * width;
                const Vec by_x = skip * strip.grad[t] + strip.dt[t] * strip.by_drive[t];
                const Vec by_dt = strip.x[t] * strip.by_drive[t] + strip.by_rate[t] * Real(LN2);
                store((Real *)s.grad_x + at, by_x, count);
                store((Real *)s.grad_dt + at, by_dt, count);
            }
        }
    }
}

using Kernel = void (*)(const Scan &, int64_t);

#define KERNELS(NAME, TARGET, BYTES)                                                               \
    template <class Real, bool Gain> TARGET void forward_##NAME(const Scan &s, int64_t task) {     \
        forward<Real, BYTES, Gain>(s, task);                                                       \
    }                                                                                              \
    template <class Real, bool Gain> TARGET void backward_##NAME(const Scan &s, int64_t task) {    \
        backward<Real, BYTES, Gain>(s, task);                                                      \
    }

KERNELS(baseline, , 16)
#if defined(__x86_64__)
KERNELS(avx2, AVX2, 32)
KERNELS(avx512, AVX512, 64)
#define CHOICES(DIRECTION)                                                                         \
    {DIRECTION##_baseline<Real, Gain>, DIRECTION##_avx2<Real, Gain>, DIRECTION##_avx512<Real, Gain>}
#else
#define CHOICES(DIRECTION) {DIRECTION##_baseline<Real, Gain>}
#endif

template <class Real, bool Gain> void run_forward(const Scan &s) {
    static constexpr Kernel kernels[] = CHOICES(forward);
    if (!s.batch || !s.channels) return;  // no tasks, among which nothing can be divided
    const int64_t width = (int64_t(16) << s.level) / int64_t(sizeof(Real));
    run(s, kernels[s.level], s.batch * pieces(s.channels, forward_channels(s, width)));
}

template <class Real, bool Gain> void run_backward(const Scan &s) {
    static constexpr Kernel kernels[] = CHOICES(backward);
    run(s, kernels[s.level], s.batch * pieces(s.channels, GROUP));
}

}  // namespace

PUBLIC void scan_forward_float32(const Scan *s) {
    s->gain ? run_forward<float, true>(*s) : run_forward<float, false>(*s);
}
PUBLIC void scan_forward_float64(const Scan *s) {
    s->gain ? run_forward<double, true>(*s) : run_forward<double, false>(*s);
}
PUBLIC void scan_backward_float32(const Scan *s) {
    s->gain ? run_backward<float, true>(*s) : run_backward<float, false>(*s);
}
PUBLIC void scan_backward_float64(const Scan *s) {
    s->gain ? run_backward<double, true>(*s) : run_backward<double, false>(*s);
}

// The best instruction set of this processor, as `Scan.level` counts them.
PUBLIC int64_t scan_level() {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return 2;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 1;
#endif
    return 0;
}

PUBLIC int64_t scan_chunk() { return CHUNK; }
PUBLIC int64_t scan_group() { return GROUP; }
PUBLIC int64_t scan_padded() { return PADDED; }
