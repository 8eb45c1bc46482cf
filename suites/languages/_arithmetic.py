"""Expressions modulo five: digits, signs and brackets, drawn with their values and read again."""

import torch

MODULUS = 5
PLUS, MINUS, TIMES, OPEN, CLOSE, UNKNOWN, EQUALS = range(MODULUS, MODULUS + 7)
"""Digits come first."""


def expression(length: int, signs: int, rng: torch.Generator) -> tuple[list[int], int]:
    """Draw an expression of so many symbols, and work it out.

    Args:
        length: Symbols, at least one.
        signs: How many of plus, minus and times may stand between two parts.
        rng: A CPU generator.
    """
    if length == 1:
        digit = int(torch.randint(MODULUS, (), generator=rng))
        return [digit], digit
    if length == 2:
        symbols, value = expression(1, signs, rng)
        return [MINUS, *symbols], -value % MODULUS
    if length < 5:
        symbols, value = expression(length - 2, signs, rng)
        return [OPEN, *symbols, CLOSE], value
    cut = int(torch.randint(1, length - 3, (), generator=rng))
    sign = PLUS + int(torch.randint(signs, (), generator=rng))
    left, a = expression(cut, signs, rng)
    right, b = expression(length - 3 - cut, signs, rng)
    value = {PLUS: a + b, MINUS: a - b, TIMES: a * b}[sign] % MODULUS
    return [OPEN, *left, sign, *right, CLOSE], value


def reduced(symbols: list[int]) -> int:
    """Read an expression from the left to the right, with a stack for its brackets."""
    stack: list[list[int]] = [[]]
    for symbol in symbols:
        if symbol == OPEN:
            stack.append([])
        elif symbol == CLOSE:
            value = flat(stack.pop())
            stack[-1].append(value)
        else:
            stack[-1].append(symbol)
    return flat(stack.pop())


def flat(symbols: list[int]) -> int:
    """Work out an expression without brackets: products before sums, signs before digits."""
    total, term, complete = 0, 1, False
    for symbol in symbols:
        if symbol < MODULUS:
            term, complete = term * symbol, True
        elif symbol == TIMES:
            complete = False
        elif not complete:
            term = -term if symbol == MINUS else term
        else:
            total, term, complete = total + term, 1 if symbol == PLUS else -1, False
    return (total + term) % MODULUS
