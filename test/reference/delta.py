"""Section 6: the delta code."""

import math
import struct

from .arithmetic import add
from .draws import NOISE, philox_words
from .products import Failed

BLOCK, STEPS, LOWEST = 64, 126.0, -40
CODED = f"<b{BLOCK}b"


def encode(x, seed):
    out = bytearray()
    noise = philox_words(seed, NOISE, 0, (len(x) + BLOCK - 1) // BLOCK * BLOCK // 4)
    for start in range(0, len(x), BLOCK):
        block = x[start:start + BLOCK]
        block += [0.0] * (BLOCK - len(block))
        top = max(map(abs, block))
        e = next((e for e in range(LOWEST, 1) if math.ldexp(top, -e) <= STEPS), None)
        if e is None:
            raise Failed("a difference is too large for the delta code")
        u = [math.ldexp(word >> 8, -24) for word in noise[start:start + BLOCK]]
        out += struct.pack(CODED, e, *(math.floor(a) for a in add([math.ldexp(a, -e) for a in block], u)))
    return bytes(out)


def decode(delta, n):
    out = []
    for e, *q in struct.iter_unpack(CODED, delta):
        out += [math.ldexp(a, e) for a in q]
    return out[:n]
