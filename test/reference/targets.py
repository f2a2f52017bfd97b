"""Section 9: targets."""


def to_compact(target):
    size = (target.bit_length() + 7) // 8
    word = target << 8 * (3 - size) if size <= 3 else target >> 8 * (size - 3)
    if word & 0x800000:
        word, size = word >> 8, size + 1
    return size << 24 | word


def from_compact(n):
    size, word = n >> 24, n & 0x7fffff
    return word >> 8 * (3 - size) if size <= 3 else word << 8 * (size - 3)


def limit(k):
    return min(2 ** 256 // k, 2 ** 256 - 1)


def next_bits(spec, height, time):
    """Of a child of the block at this height with this time."""
    if spec.spacing == 0:
        return spec.start_bits
    anchor, half_life = from_compact(spec.start_bits), 72 * spec.spacing
    late = (time - (spec.genesis_time - spec.spacing) - spec.spacing * (height + 1)) * 65536
    exponent = abs(late) // half_life * (1 if late >= 0 else -1)
    shifts, f = exponent >> 16, exponent & 0xffff
    factor = 65536 + (195766423245049 * f + 971821376 * f * f + 5127 * f ** 3 + 2 ** 47 >> 48)
    target = anchor * factor
    target = target << shifts - 16 if shifts >= 16 else target >> 16 - shifts
    return to_compact(min(max(target, 1), limit(spec.k)))
