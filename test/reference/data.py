"""Section 12: what data contributions burn."""

RATE_MAX = 1 << 54
RATE_WINDOW = 12


def first_rate(spec):
    return spec.burn_rate * 65536


def next_rate(spec, rate, used):
    """The rate after a block that registers so many bytes, from the rate after its parent."""
    target = spec.blob_budget // 64
    rate += rate * (min(used, 2 * target) - target) // (8 * target)
    return min(RATE_MAX, max(first_rate(spec), rate))


def asked_rate(rates):
    """What the child of the last of some blocks must pay; rates: after each of them, from genesis on."""
    return min(rates[-RATE_WINDOW:])


def least_burn(rate, size):
    return -(-rate * size // 65536)
