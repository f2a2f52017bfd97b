"""Section 8: how fast a chain may go."""

BACK, SPACINGS = 8, 2


def least_time(spec, height, base_time):
    """Of a block at this height; base_time is that of its ancestor 8 blocks back, or of genesis."""
    if spec.spacing == 0:
        return 0
    if height < BACK:
        return spec.genesis_time + -(-height * spec.spacing // 4)
    return base_time + SPACINGS * spec.spacing


def future_limit(spec):
    return min(7200, 60 + spec.spacing // 2) if spec.spacing else 7200


def most_proofs(spec, time, base_time):
    """Beside the block's own."""
    if spec.spacing == 0:
        return 4 * spec.k
    return min(4 * spec.k, max(spec.k, spec.k * (time - base_time) // (SPACINGS * spec.spacing)))
