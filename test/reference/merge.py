"""Section 20: what a round's true runs do to the state, and how the next block states it."""

import math

from .arithmetic import add, dot16, f32, ppm, rounded, scaled
from .delta import decode
from .model import loss_and_gradient
from .products import Failed
from .state import benchmark_windows, finite_pass, propose_with_momentum
from .transactions import push

EMPTY, MERGED, LEFT_OUT, STRUCK = range(4)
LEAST_LONGEST, FARTHEST = 3, 9.0


class Statement:
    """Of a merge: void or not, and what became of each seat."""

    def __init__(self, void, seats):
        self.void, self.seats = void, list(seats)

    def script(self):
        return b"\x6a" + push(b"atl\x02" + bytes([self.void, *self.seats]))


def is_true(seat):
    return seat in (MERGED, LEFT_OUT)


class Gate:
    """The losses of group 0 of a block."""

    def __init__(self, spec, ticket):
        self.spec, self.windows = spec, benchmark_windows(spec, ticket)

    def loss(self, theta):
        """NaN where it fails."""
        try:
            return finite_pass(*loss_and_gradient(self.spec.model, theta, self.windows))[0]
        except Failed:
            return math.nan

    def passes(self, loss, before):
        return loss <= f32(before * ppm(self.spec.gate_ppm))


def within_norm(vectors, lengths):
    """Of each, whether its square for a segment is at most nine times the median's."""
    squares = [f32(dot16(x, x) / float(length)) for x, length in zip(vectors, lengths)]
    median = sorted(squares)[(len(squares) - 1) // 2]
    return [y <= f32(FARTHEST * median) for y in squares]


def merge(spec, state, ticket, seats):
    """The state after the merge, its statement, and (l0, l1) as far as they were computed. seats: code and length of each true
    one, else EMPTY or STRUCK; ticket: of the parent of the block that merges."""
    (theta, v), gate, l1 = state, Gate(spec, ticket), math.nan
    true = [i for i, seat in enumerate(seats) if isinstance(seat, tuple)]
    stated = [LEFT_OUT if i in true else seat for i, seat in enumerate(seats)]
    void = (theta, [0.0] * len(v))
    l0 = gate.loss(theta) if true else math.nan
    if math.isnan(l0):
        return void, Statement(True, stated), (l0, l1)
    vectors, lengths = [decode(seats[i][0], spec.model.n) for i in true], [seats[i][1] for i in true]
    merged = []
    for i, x, length, near in zip(true, vectors, lengths, within_norm(vectors, lengths)):
        if near and gate.passes(gate.loss(add(theta, x)), l0):
            stated[i] = MERGED
            merged.append((x, length))
    if not merged:
        return void, Statement(True, stated), (l0, l1)
    parts = [scaled(x, float(length)) for x, length in merged]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    weights = [length for _, length in merged]
    update = rounded([a / float(max(sum(weights), LEAST_LONGEST * max(weights))) for a in total])
    after = propose_with_momentum(spec, theta, v, update)
    if not all(map(math.isfinite, after[0] + after[1])):
        return void, Statement(True, stated), (l0, l1)
    l1 = gate.loss(after[0])
    if not gate.passes(l1, l0):
        return void, Statement(True, stated), (l0, l1)
    return after, Statement(False, stated), (l0, l1)
