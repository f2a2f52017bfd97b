"""Sections 12 to 14: subsidy and bucket, what slots pay, the coinbase, and the datasets that are drawn."""

from itertools import accumulate

from .draws import DATASET, WORD, draw, mulhi
from .transactions import Transaction, payee, push


def height_script(height):
    return push(height.to_bytes(height.bit_length() // 8 + 1, "little"))


def subsidy(spec, height):
    shift = height // spec.halving
    return spec.subsidy >> shift if shift < 64 else 0


def compute_part(spec, height):
    return subsidy(spec, height) * 7 // 10


def proof_worth(spec, height, bucket, loose):
    """Worth of each proof of a block, and the bucket after it."""
    r = compute_part(spec, height)
    bucket = min(bucket + r, 16 * r)
    w = min(r // spec.k, bucket // (1 + loose))
    return w, bucket - w * (1 + loose)


def slot_pay(spec, height, count, value, v_ref):
    """Pay of one slot of the block at `height`."""
    part = subsidy(spec, height) - compute_part(spec, height)
    return part // spec.slots * min(spec.k, spec.slots * count) * min(v_ref, max(0, value)) // (spec.k * v_ref)


RECORDS = 64


def reference_value(spec, values):
    """v_ref, from the positive values of the slots of the blocks before."""
    return spec.v_0 if len(values) < RECORDS else max(spec.v_min, sorted(values)[(len(values) - 1) // 2])


def coinbase(spec, height, fees, miner, loose_miners, bucket, parent, owners, v_ref):
    """The transaction. bucket: after the parent; parent: its outcome; owners: of its slots' datasets, or None."""
    w, _ = proof_worth(spec, height, bucket, len(loose_miners))
    outputs = [(w + fees + len(loose_miners) * (w // 16), payee(miner))]
    outputs += [(w - w // 16, payee(key)) for key in loose_miners]
    if not parent.void:
        outputs += [(slot_pay(spec, height - 1, count, value, v_ref), payee(owner))
                    for (count, _, value), owner in zip(parent.slots, owners) if owner is not None]
    outputs = [output for output in outputs if output[0] > 0] + [(0, b"\x6a" + push(parent.payload()))]
    return Transaction(1, [(bytes(32), WORD, height_script(height), WORD, [])], outputs)


def draw_datasets(spec, ticket, weights):
    """Numbers of the datasets of the slots; weights: (number, weight) of the candidates, ascending by number."""
    totals = list(accumulate(weight for _, weight in weights))
    draws = [mulhi(draw(ticket, DATASET, i), totals[-1]) for i in range(spec.slots)]
    return [next(number for (number, _), total in zip(weights, totals) if total > r) for r in draws]
