"""Attention of linear time: by kernel features, and within windows."""

from benchmarks.given import Timed, a_commit_that_has_it


class LinearTimeAttention(Timed):
    """Causal attention of two heads of 16 features; windows of 128 positions."""

    version = "1"
    params = (["kernel", "windows"], [1024, 16_384])
    param_names = ("form", "length")

    def setup(self, form: str, length: int) -> None:
        with a_commit_that_has_it():
            import torch  # noqa: PLC0415

            from baselines.linear_attention import EluPlusOne  # noqa: PLC0415
            from baselines.ops.kernel_attention import causal_attend  # noqa: PLC0415
            from baselines.ops.windows import attend_causal_windows  # noqa: PLC0415
            from harness.core.seeding import stream  # noqa: PLC0415
        rng = stream("benchmarks")
        q, k, v = (torch.randn(1, length, 2, 16, generator=rng) for _ in "qkv")
        state, features = torch.zeros(1, 2, 16, 17), EluPlusOne(16)
        self.call = {
            "kernel": lambda: causal_attend(q, k, v, state, features),
            "windows": lambda: attend_causal_windows(q, k, v, 128),
        }[form]

    def time_linear_time_attention(self, form: str, length: int) -> None:
        self.call()
