"""Section 3: exact products, of integers that are exact in Python."""

import math
import sys
from array import array
from operator import mul

from .arithmetic import add, bits

CHUNK = 1024
ROUND_UP, LOWEST, BELOW = 0x10000, 70, 133  # exponents of grids: how the largest is rounded, their least, what they lie below it


class Failed(Exception):
    """The step has no result."""


def grid_exponent(top):
    """Of the grid for values up to `top`."""
    return max(LOWEST, bits(top) + ROUND_UP >> 23) - BELOW


def quantise(row):
    """The row as integers, and the exponent of their grid."""
    e = grid_exponent(max(map(abs, row)))
    if e > 50 or not math.isfinite(sum(row)):
        raise Failed("an operand is too large for its grid")
    scale = math.ldexp(1.0, -e)
    return [round(x * scale) for x in row], e


def census(rows):
    """Of an operand: how many of its values are 8 steps of their grid or more in size, and the sum of the grids' biased exponents."""
    seen = level = 0
    for row in rows:
        for start in range(0, len(row), CHUNK):
            part = row[start:start + CHUNK]
            e = grid_exponent(max(map(abs, part)))
            least = math.ldexp(8.0, e)
            seen += sum(abs(x) >= least for x in part)
            level += e + BELOW
    return seen, level


def integer_products(a, b):
    """sum over k of a[i][k] * b[j][k] for integers whose sums stay below 2^31 in size.

    A column of b becomes one long number with a field of 32 bits for each j, so that a row of a is multiplied with all
    of b at once; 2^31 in every field keeps the fields apart where they are negative."""
    offset = 1 << 31
    offsets = int.from_bytes(array("I", [offset] * len(b)).tobytes(), sys.byteorder)
    columns = []
    for column in zip(*b):
        fields = array("I", [q + offset for q in column])
        columns.append(int.from_bytes(fields.tobytes(), sys.byteorder) - offsets)
    for row in a:
        total = sum(map(mul, row, columns)) + offsets
        yield [q - offset for q in array("I", total.to_bytes(4 * len(b), sys.byteorder))]


def product(a, b):
    """Y[i][j] = sum over k of a[i][k] * b[j][k]."""
    y = None
    for start in range(0, len(a[0]), CHUNK):
        grid_a, exponent_a = zip(*(quantise(row[start:start + CHUNK]) for row in a))
        grid_b, exponent_b = zip(*(quantise(row[start:start + CHUNK]) for row in b))
        scale_b = [math.ldexp(1.0, e) for e in exponent_b]
        part = [[math.ldexp(q * g, e) for q, g in zip(row, scale_b)]
                for row, e in zip(integer_products(grid_a, grid_b), exponent_a)]
        y = part if y is None else [add(old, new) for old, new in zip(y, part)]
    return y


def transposed(rows):
    return [list(column) for column in zip(*rows)]
