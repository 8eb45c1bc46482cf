"""Operations are counted by formula, and an operator without one gives no number."""

import math

import torch
from torch import nn

from harness.measure.flops import flops


def test_a_matrix_product_is_two_operations_a_term():
    a, b = torch.randn(3, 5), torch.randn(5, 7)

    assert flops(lambda: a @ b) == 2 * 3 * 5 * 7


def test_a_real_transform_is_five_halves_n_log_n():
    x = torch.randn(4, 256)

    assert flops(lambda: torch.fft.rfft(x)) == 4 * 2.5 * 256 * 8
    assert flops(lambda: torch.fft.irfft(torch.fft.rfft(x), n=256)) == 2 * 4 * 2.5 * 256 * 8


def test_attention_is_its_two_products_and_its_gradient_five():
    q, k, v = (torch.randn(1, 2, 8, 4, requires_grad=True) for _ in range(3))
    product = 2 * 2 * 8 * 8 * 4

    def forward():
        return nn.functional.scaled_dot_product_attention(q, k, v)

    assert flops(forward) == 2 * product
    assert flops(lambda: forward().sum().backward()) == 7 * product


def test_an_operator_without_a_formula_gives_none():
    lstm, x = nn.LSTM(4, 4), torch.randn(6, 2, 4)

    assert flops(lambda: lstm(x)) is None


def test_nothing_counted_is_none_and_not_zero():
    assert flops(lambda: torch.ones(3) + math.pi) is None
