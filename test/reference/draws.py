"""Section 7: draws."""

import struct
import sys
from array import array

SLOT, WINDOW, NOISE, DATASET, BENCHMARK, INIT, RUN, AUDIT, DITHER, OFFSET, TEXT = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11
WORD = 0xffffffff


def mulhi(r, n):
    return r * n >> 64


def philox_words(key, domain, first, count):
    """The draws of the indices first .. first + count - 1: four words each, in a row."""
    return philox_counters(key, [(index, domain) for index in range(first, first + count)])


def philox_counters(key, counters):
    """Philox4x32-10 (Salmon et al., 2011) for pairs of index and domain: four words each, in a row.

    All of them go through the rounds at once, as fields of 64 bits in long numbers: a field is as wide as a product."""
    def fields(values):
        return int.from_bytes(array("Q", values).tobytes(), sys.byteorder)

    count = len(counters)
    ones = fields([1] * count)
    low = ones * WORD
    k0, k1, k2, k3 = struct.unpack("<4I", key[:16])
    c0, c1, c2, c3 = *map(fields, zip(*counters)), ones * k2, ones * k3
    for _ in range(10):
        a, b = c0 * 0xd2511f53, c2 * 0xcd9e8d57
        c0, c1, c2, c3 = b >> 32 & low ^ c1 ^ ones * k0, b & low, a >> 32 & low ^ c3 ^ ones * k1, a & low
        k0, k1 = k0 + 0x9e3779b9 & WORD, k1 + 0xbb67ae85 & WORD
    columns = [array("Q", c.to_bytes(8 * count, sys.byteorder)) for c in (c0, c1, c2, c3)]
    return [word for words in zip(*columns) for word in words]


def philox(key, domain, index):
    return tuple(philox_words(key, domain, index, 1))


def draw(key, domain, index):
    o = philox(key, domain, index)
    return o[0] | o[1] << 32


def window(key, domain, index, data, offset, ctx):
    return struct.pack("<2I", *philox(key, domain, index)[:2]) + data[offset:offset + ctx - 7]


def draw_window(key, domain, index, data, ctx):
    """From any offset."""
    o = philox(key, domain, index)
    return window(key, domain, index, data, mulhi(o[2] | o[3] << 32, len(data) - (ctx - 7) + 1), ctx)


CHUNK, PAGE, PIECE, GROUPS = 32768, 4096, 28672, 8


def training_offset(r, size, ctx):
    """Of a window in data of this size whose own pages it leaves out, by a draw."""
    span, pages = ctx - 7, size // CHUNK
    y = mulhi(r, size - PAGE * pages - span + 1)
    j = y // PIECE
    return CHUNK * j + min(y % PIECE, PIECE - span) if j < pages else y + PAGE * pages


def step_window(ticket, seed, slots, index, data, ctx):
    """Of the step of a seed on a chain of so many slots."""
    group = GROUPS * mulhi(draw(seed, SLOT, 0), slots) + mulhi(draw(seed, SLOT, 1), GROUPS)
    offset = training_offset(draw(ticket, OFFSET, group * 2 ** 20 + index), len(data), ctx)
    return window(seed, WINDOW, index, data, offset, ctx)


def run_window(segment_seed, index, data, ctx):
    """Of a segment of a run (section 20)."""
    o = philox(segment_seed, WINDOW, index)
    return window(segment_seed, WINDOW, index, data, training_offset(o[2] | o[3] << 32, len(data), ctx), ctx)


def own_page_window(key, domain, index, data, ctx):
    """A window from an own page of a dataset, and that page."""
    o = philox(key, domain, index)
    r = mulhi(o[2] | o[3] << 32, PAGE * (len(data) // CHUNK))
    page = CHUNK * (r // PAGE) + PIECE
    offset = page + min(r % PAGE, PAGE - (ctx - 7))
    return window(key, domain, index, data, offset, ctx), data[page:page + PAGE]


def own_window(ticket, slot, row, data, ctx):
    """Of the own group of a slot."""
    return own_page_window(ticket, BENCHMARK, (slot + 1 << 16) + row, data, ctx)
