"""Section 10: the state, and what a block does to it."""

import math
import struct
from array import array

from .arithmetic import add, dot16, f32, ppm, rounded, scaled
from .delta import decode
from .draws import BENCHMARK, draw_window
from .hashing import merkle_root, pages
from .model import loss_and_gradient
from .products import Failed


def model_root(theta, v):
    return merkle_root(pages(array("f", theta).tobytes() + array("f", v).tobytes(), 65536))


def initial_root(theta):
    return model_root(theta, [0.0] * len(theta))


def integer(x):
    if not math.isfinite(x):
        return -2 ** 47
    return min(max(round(x * 2.0 ** 32), -2 ** 47), 2 ** 47)


def propose(spec, theta, v, update):
    mu, eta = ppm(spec.mu_ppm), ppm(spec.eta_ppm)
    v2 = add(scaled(v, mu), update)
    return add(theta, scaled(add(update, scaled(v2, mu)), eta)), v2


def mean_of(vectors):
    total = vectors[0]
    for vector in vectors[1:]:
        total = add(total, vector)
    return rounded([a / float(len(vectors)) for a in total])


class Outcome:
    def __init__(self, void, slots=()):
        self.void, self.slots = void, list(slots)  # of each slot: (count, left out, value)

    @classmethod
    def parse(cls, payload):
        """Of counts only whether there were proofs."""
        states = list(struct.iter_unpack("<Bq", payload[5:]))
        outcome = cls(payload[4] == 1, [(state > 0, state == 2, value) for state, value in states])
        if outcome.payload() != payload:
            raise ValueError("no outcome")
        return outcome

    def payload(self):
        if self.void:
            return b"atl\0\1"
        out = b"atl\0\0"
        for count, left_out, value in self.slots:
            out += struct.pack("<Bq", (2 if left_out else 1) if count else 0, value if count else 0)
        return out


def update_state(spec, theta, v, ticket, proofs, v_ref=None):
    """State after a block, its outcome, and (l0, l1) as far as they were computed. Proofs are (slot, delta) in order, v_ref None
    where no records stand."""
    model, n = spec.model, spec.model.n
    l0 = l1 = math.nan
    windows = [draw_window(ticket, BENCHMARK, row, spec.benchmark(), model.ctx) for row in range(spec.bench_rows)]
    deltas = [decode(delta, n) for _, delta in proofs]
    try:
        l0, g0 = loss_and_gradient(model, theta, windows, ticket)
        means = {s: mean_of([x for (slot, _), x in zip(proofs, deltas) if slot == s]) for s, _ in sorted(proofs)}
        final = propose(spec, theta, v, mean_of([means[s] for s in sorted(means)]))
        l1, g1 = loss_and_gradient(model, final[0], windows, ticket, spec.bench_rows)
        half = scaled(add(g0, g1), 0.5)
        values = [integer(-dot16(x, half)) for x in deltas]
        slots, used = [], []
        for s in range(spec.slots):
            mine = [value for (slot, _), value in zip(proofs, values) if slot == s]
            value = sum(mine) // len(mine) if mine else 0
            left_out = bool(mine) and v_ref is not None and value < -v_ref
            slots.append((len(mine), left_out, value))
            if mine and not left_out:
                used.append(s)
        if not used:
            raise Failed("no slot is left")
        if len(used) < len(means):
            final = propose(spec, theta, v, mean_of([means[s] for s in used]))
            l1, _ = loss_and_gradient(model, final[0], windows)
        finite = all(map(math.isfinite, g0 + g1 + final[0] + final[1] + [l0, l1]))
        if not (finite and l1 <= f32(l0 * ppm(spec.gate_ppm))):
            raise Failed("the gate")
        return final, Outcome(False, slots), (l0, l1)
    except Failed:
        return (theta, [0.0] * n), Outcome(True), (l0, l1)
