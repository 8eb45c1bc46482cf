"""Attention of linear time: by kernel features, and within windows."""

from benchmarks.benchmark import Benchmark, Case, find, rng


class LinearTimeAttention(Benchmark):
    """Causal attention of two heads of 16 features; windows of 128 positions."""

    params = (["kernel", "windows"], [1024, 16_384])

    def build(self, form: str, length: int) -> Case:
        import torch

        draws = rng()
        q, k, v = (torch.randn(1, length, 2, 16, generator=draws) for _ in "qkv")
        features = find("baselines", "linear_attention").EluPlusOne(16)
        kernel = find("baselines", "kernel_attention")
        # States of older commits are the sums alone.
        empty = getattr(kernel, "empty_sums", torch.Tensor.new_zeros)
        state = empty(q, 1, 2, 16, 17)
        within_windows = find("baselines", "window_attention", "windows").attend_causal_windows

        def check(y: torch.Tensor) -> None:
            attend = find("baselines", "softmax_attention", "attention").attend
            seen = slice(length - 256, length) if form == "windows" else slice(1)
            at = seen.stop - 1
            torch.testing.assert_close(y[:, at], attend(q[:, [at]], k[:, seen], v[:, seen])[:, 0])

        calls = {
            "kernel": lambda: kernel.causal_attend(q, k, v, state, features)[0],
            "windows": lambda: within_windows(q, k, v, 128),
        }
        return Case(calls[form], check=check)

    time_linear_time_attention = Benchmark.forward
