"""Section 2: numbers are Python floats that hold binary32 values. Every operation is done in binary64 and rounded once,
which for + - * / and sqrt of binary32 operands is the correctly rounded binary32 result."""

import math
import struct
from array import array
from operator import mul


def rounded(values):
    """Each value to the nearest binary32."""
    return array("f", values).tolist()


def f32(x):
    return array("f", (x,))[0]


def bits(x):
    return struct.unpack("<i", struct.pack("<f", x))[0]


def from_bits(n):
    return struct.unpack("<f", struct.pack("<I", n & 0xffffffff))[0]


def ppm(n):
    return f32(float(n) / 1000000.0)


def add(x, y):
    return rounded([a + b for a, b in zip(x, y)])


def multiply(x, y):
    return rounded(map(mul, x, y))


def scaled(x, factor):
    return rounded([a * factor for a in x])


def sum16(x):
    lanes = [0.0] * 16
    whole = len(x) - len(x) % 16
    for i in range(0, whole, 16):
        lanes = add(lanes, x[i:i + 16])
    lanes[:len(x) - whole] = add(lanes, x[whole:])
    for half in (8, 4, 2, 1):
        lanes = add(lanes[:half], lanes[half:])
    return lanes[0]


def dot16(x, y):
    return sum16(multiply(x, y))


MAGIC = 12582912.0
LOG2_E, LN2_HIGH, LN2_LOW = f32(1.44269504088896341), f32(0.693145751953125), f32(1.42860682030941723e-6)
EXP = rounded([1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1])
LOG = rounded([7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1,
               2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1])
SQRT_2, LOG_LOW, LOG_HIGH = f32(1.41421356), f32(-2.12194440e-4), f32(0.693359375)
TWO_OVER_PI = f32(0.636619772)
HALF_PI = rounded([1.5703125, 4.837512969970703125e-4, 7.54978995489188e-8])
SIN = rounded([-1.9515295891e-4, 8.3321608736e-3, 1.6666654611e-1])
COS = rounded([2.443315711809948e-5, 1.388731625493765e-3, 4.166664568298827e-2])


def exp_all(xs):
    """exp of each, an operation at a time over all of them."""
    x = [min(max(a, -87.0), 87.0) for a in xs]
    t = rounded([a + MAGIC for a in scaled(x, LOG2_E)])
    k = rounded([a - MAGIC for a in t])
    # bits(t) - bits(12582912): between 2^23 and 2^24 a step of the bits is a step of one. NaN stays NaN, whatever n is.
    n = [0 if math.isnan(a) else int(a) for a in k]
    r = rounded([a - b for a, b in zip(x, scaled(k, LN2_HIGH))])
    r = rounded([a - b for a, b in zip(r, scaled(k, LN2_LOW))])
    p = [EXP[0]] * len(x)
    for c in EXP[1:]:
        p = rounded([a + c for a in multiply(p, r)])
    p = add(multiply(p, multiply(r, r)), r)
    p = rounded([a + 1.0 for a in p])
    return rounded(map(math.ldexp, p, n))


def exp(x):
    return exp_all([x])[0]


def log(x):
    e = (bits(x) >> 23) - 127
    m = from_bits(bits(x) & 0x7fffff | 0x3f800000)
    if m > SQRT_2:
        m, e = f32(m * 0.5), e + 1
    z = f32(m - 1.0)
    y = LOG[0]
    for c in LOG[1:]:
        y = f32(f32(y * z) + c)
    zz = f32(z * z)
    y = f32(f32(y * z) * zz)
    y = f32(y + f32(float(e) * LOG_LOW))
    y = f32(y - f32(0.5 * zz))
    return f32(f32(z + y) + f32(float(e) * LOG_HIGH))


def sin_cos(x):
    t = f32(f32(x * TWO_OVER_PI) + MAGIC)
    k = f32(t - MAGIC)
    q = bits(t) & 3
    r = x
    for part in HALF_PI:
        r = f32(r - f32(k * part))
    w = f32(r * r)
    s = f32(f32(SIN[0] * w) + SIN[1])
    s = f32(f32(s * w) - SIN[2])
    s = f32(f32(f32(s * w) * r) + r)
    c = f32(f32(COS[0] * w) - COS[1])
    c = f32(f32(c * w) + COS[2])
    c = f32(f32(c * w) * w)
    c = f32(f32(c - f32(0.5 * w)) + 1.0)
    return (s, c, -s, -c)[q], (c, -s, -c, s)[q]
