"""What a layer gives a GPU to do does not grow in number with the sequence."""

import pytest
import torch

from harness.plugins.loading import load_model
from tests.numerics.interpreted import kernels
from tools.cuda.launches import given, table, touched

kernels("launch")


MATRIX = ["mamba2", "mamba3", "hgrn2", "gla", "retnet", "linear-attention", "performer"]
DELTA = ["deltanet", "gated-deltanet", "gated-deltaproduct", "kda"]
LINEAR = ["dlr", "dss", "lru", "s4", "s4d", "s5", "sgconv"]


@pytest.mark.parametrize(
    "name", ["conv", "gated-ssm", "hawk", "mamba", "mlstm", "rwkv7", *DELTA, *LINEAR, *MATRIX]
)
def test_a_layer_launches_at_most_60_kernels_at_every_length(name: str) -> None:
    short, long = (given(load_model(name), width=512, length=n) for n in (4096, 262_144))
    assert short.launches == long.launches
    assert long.launches.total() <= 60
    # Parameters aside, twice as much is moved for twice the length.
    twice = given(load_model(name), width=512, length=2 * 262_144)
    assert twice.bytes - long.bytes == pytest.approx(long.bytes - short.bytes, rel=0.02)


def test_a_table_names_the_layers_and_their_counts() -> None:
    rows = table(["gated-ssm"]).splitlines()
    count = given(load_model("gated-ssm"), width=512, length=4096).launches.total()
    assert rows[2].startswith(f"| gated-ssm | {count} | {count} | {count} |")


def test_a_tensor_is_touched_once_and_an_expanded_one_where_it_is() -> None:
    x = torch.empty(4, 8, device="meta")
    assert touched([x, x, None, x[:1].expand(4, 8)]) == 4 * (32 + 8)
