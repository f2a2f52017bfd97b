"""Sections 12 to 14: subsidy and bucket, what slots pay, the coinbase, and the datasets that are drawn."""

from itertools import accumulate

from .draws import DATASET, RUN, WORD, draw, mulhi
from .transactions import Transaction, payee, push


def height_script(height):
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def subsidy(spec, height):
    shift = height // spec.halving
    return spec.subsidy >> shift if shift < 64 else 0


def compute_part(spec, height):
    return subsidy(spec, height) * 7 // 10


def run_part(spec, height):
    """What is for the run of a block's seat, taken out of the compute part (section 20)."""
    return compute_part(spec, height) * spec.run_ppm // 10 ** 6


def run_pay(spec, height, length):
    """What a true run of so many segments earns of that."""
    part = run_part(spec, height)
    return part * length // spec.segments if part >= max(1, spec.segments) else 0


def late_sixteenths(back):
    """Of a late proof whose parent lies so many blocks below that of its block."""
    return {1: 15, 2: 12}.get(back, 8)


def late_worth(worth, back):
    return late_sixteenths(back) * worth // 16


def proof_worth(spec, height, bucket, loose, backs=()):
    """Worth of the own and of each loose proof of a block, and the bucket after it; backs: of its late proofs."""
    r = compute_part(spec, height) - run_part(spec, height)
    bucket = min(bucket + r, 16 * r)
    w = min(r // spec.k, 16 * bucket // (16 * (1 + loose) + sum(map(late_sixteenths, backs))))
    return w, bucket - w * (1 + loose) - sum(late_worth(w, back) for back in backs)


FULL_WEIGHT = 2 ** 24


def slot_pay(spec, height, count, value, v_ref, weight):
    """Pay of one slot of the block at `height`; weight: of all datasets that could be drawn."""
    part = (subsidy(spec, height) - compute_part(spec, height)) // spec.slots
    part *= min(spec.k, spec.slots * count) * min(v_ref, max(0, value)) * min(weight, FULL_WEIGHT)
    return part // (spec.k * v_ref * FULL_WEIGHT)


RECORDS = 64


def reference_value(spec, values):
    """v_ref, from the values of the slots of the blocks before that are v_min at least."""
    return spec.v_0 if len(values) < RECORDS else sorted(values)[(len(values) - 1) // 4]


BOUNDS = {8: 196, 16: 100}


def is_harmful(effects, v_ref):
    """Whether the last of these effects, floor(A / 65536) of a dataset's draws, brings quarantine."""
    draws, total, squares = len(effects), sum(effects), sum(x * x for x in effects)
    bound = BOUNDS.get(draws, 0 if draws % 32 else 81)
    return (bound > 0 and 131072 * total < -v_ref * draws and
            4 * total ** 2 * (draws - 1) > bound * (draws * squares - total ** 2))


PROVEN_DRAWS = 32


def is_proven(spec, effects):
    """Whether these effects of a dataset's draws are enough, and hardly harm."""
    return len(effects) >= PROVEN_DRAWS and 131072 * sum(effects) >= -spec.v_0 * len(effects)


def coinbase(spec, height, fees, miner, loose_miners, bucket, parent, owners, v_ref, weight, late=(), merge=None):
    """The transaction. bucket: after the parent; parent: its outcome; owners: of its slots' datasets, or None;
    weight: that these were drawn from; late: miner and back of each late proof; merge: where the parent merged a round,
    height, length and key of each true seat, and the statement's script."""
    w, _ = proof_worth(spec, height, bucket, len(loose_miners), [back for _, back in late])
    listed = [(w, key) for key in loose_miners] + [(late_worth(w, back), key) for key, back in late]
    outputs = [(w + fees + sum(worth // 16 for worth, _ in listed), payee(miner))]
    outputs += [(worth - worth // 16, payee(key)) for worth, key in listed]
    if not parent.void:
        outputs += [(slot_pay(spec, height - 1, slot.count, slot.value, v_ref, weight), payee(owner))
                    for slot, owner in zip(parent.slots, owners) if owner is not None]
    runs, statement = merge or ([], None)
    outputs += [(run_pay(spec, seat_height, length), payee(key)) for seat_height, length, key in runs]
    outputs = [output for output in outputs if output[0] > 0] + [(0, b"\x6a" + push(parent.payload()))]
    outputs += [(0, statement)] if statement else []
    return Transaction(1, [(bytes(32), WORD, height_script(height), WORD, [])], outputs)


def draw_datasets(spec, ticket, weights):
    """Numbers of the datasets of the slots; weights: (number, weight) of the candidates, ascending by number."""
    return draw_weighted(weights, ticket, DATASET, spec.slots)


PROVEN_SEAT = 4


def draw_seats(weights, proven, ticket, seats):
    """Of a round (section 20). proven: numbers of those of the candidates that are."""
    of_proven = draw_weighted([pair for pair in weights if pair[0] in proven], ticket, RUN, seats)
    of_all = draw_weighted(weights, ticket, RUN, seats)
    return [(of_all if i % PROVEN_SEAT else of_proven)[i] for i in range(seats)]


def draw_weighted(weights, ticket, domain, count):
    totals = list(accumulate(weight for _, weight in weights))
    draws = [mulhi(draw(ticket, domain, i), totals[-1]) for i in range(count)]
    return [next(number for (number, _), total in zip(weights, totals) if total > r) for r in draws]
