"""Section 20: what a round's true runs do to the state, and how the next block states it."""

import math

from .arithmetic import add, dot16, f32, ppm, rounded, scaled
from .delta import decode
from .draws import CHUNK, RUN, WINDOW, draw, mulhi, own_page_window
from .model import loss_and_gradient
from .products import Failed
from .state import finite_pass, reserved_windows
from .transactions import push

EMPTY, MERGED, LEFT_OUT, STRUCK = range(4)
FIRST, VOID, SECOND = range(3)  # what came of it
ROWS = 8  # windows of a merge for each of group 0
LEAST_LONGEST, FARTHEST = 3, 9.0


class Statement:
    """Of a merge: what came of it, and what became of each seat."""

    def __init__(self, came, seats):
        self.came, self.seats = came, list(seats)
        self.void = came == VOID

    def futile(self):
        """Void though there were true runs."""
        return self.void and LEFT_OUT in self.seats

    def script(self):
        return b"\x6a" + push(b"atl\x02" + bytes([self.came, *self.seats]))


def is_true(seat):
    return seat in (MERGED, LEFT_OUT)


def own_seats(spec, ticket, count):
    """Of so many the one of each row."""
    return [mulhi(draw(ticket, RUN, row), count) for row in range(ROWS * spec.bench_rows)]


def futile_windows(spec, ticket, datasets):
    """What the merge after a futile one is judged by. datasets: of each seat, dataset 0 where that is not proven."""
    rows = reserved_windows(spec, ticket, ROWS * spec.bench_rows)
    for row, seat in enumerate(own_seats(spec, ticket, len(datasets))):
        if len(datasets[seat]) >= CHUNK:
            rows[row], _ = own_page_window(ticket, WINDOW, row, datasets[seat], spec.model.ctx)
    return rows


class Gate:
    """The losses that a merge is judged by: of a single run over the first rows, which are group 0 if they are of the reserved
    text, of all over more."""

    def __init__(self, spec, windows):
        self.spec, self.windows = spec, windows

    def loss(self, theta, rows):
        """NaN where it fails."""
        try:
            return finite_pass(*loss_and_gradient(self.spec.model, theta, self.windows[:rows]))[0]
        except Failed:
            return math.nan

    def single(self, theta):
        return self.loss(theta, self.spec.bench_rows)

    def all(self, theta):
        return self.loss(theta, len(self.windows))


def median_of(squares, lengths):
    """Each counts as often as it has segments."""
    pairs, so_far = sorted(zip(squares, lengths)), 0
    for square, length in pairs:
        so_far += length
        if 2 * so_far >= sum(lengths):
            return square
    raise AssertionError("no true run")


def within_norm(vectors, lengths):
    """Of each, whether its square for a segment is at most nine times the median's."""
    squares = [f32(dot16(x, x) / float(length)) for x, length in zip(vectors, lengths)]
    return [y <= f32(FARTHEST * median_of(squares, lengths)) for y in squares]


def proposal(spec, state, merged, mu):
    """Of the merged runs: (x, length) each."""
    (theta, v), weights = state, [length for _, length in merged]
    parts = [scaled(x, float(length)) for x, length in merged]
    total = parts[0]
    for part in parts[1:]:
        total = add(total, part)
    update = rounded([a / float(max(sum(weights), LEAST_LONGEST * max(weights))) for a in total])
    v2 = add(scaled(v, mu), update)
    return add(theta, scaled(add(update, scaled(v2, mu)), ppm(spec.eta_ppm))), v2


def merge(spec, state, ticket, seats, datasets=None):
    """The state after the merge, its statement, and (l0, l1) as far as they were computed. seats: code and length of each true
    one, else EMPTY or STRUCK; ticket: of the parent of the block that merges; datasets: of the seats, if the merge before was
    futile."""
    windows = futile_windows(spec, ticket, datasets) if datasets else reserved_windows(spec, ticket, ROWS * spec.bench_rows)
    (theta, v), gate, l0, l1 = state, Gate(spec, windows), math.nan, math.nan
    true = [i for i, seat in enumerate(seats) if isinstance(seat, tuple)]
    stated = [LEFT_OUT if i in true else seat for i, seat in enumerate(seats)]
    void = (theta, [0.0] * len(v)), Statement(VOID, stated)
    before = gate.single(theta) if true else math.nan
    if not math.isnan(before):
        l0 = gate.all(theta)
    if math.isnan(before) or math.isnan(l0):
        return *void, (l0, l1)
    runs, merged = {i: (decode(seats[i][0], spec.model.n), seats[i][1]) for i in true}, {}
    for i, near in zip(true, within_norm(*zip(*runs.values()))):
        loss = gate.single(add(theta, runs[i][0])) if near else math.nan
        if loss <= f32(before * ppm(spec.gate_ppm)):
            merged[i] = loss
    for came, mu in ((FIRST, ppm(spec.mu_ppm)), (SECOND, 0.0)):
        if came == SECOND and len(merged) == 1 or not merged:
            break
        if came == SECOND:
            merged = sorted(sorted(merged, key=lambda i: (merged[i], i))[:(len(merged) + 1) // 2])
        after = proposal(spec, state, [runs[i] for i in sorted(merged)], mu)
        if not all(map(math.isfinite, after[0] + after[1])):
            continue
        l1 = gate.all(after[0])
        if l1 <= l0:
            return after, Statement(came, [MERGED if i in merged else seat for i, seat in enumerate(stated)]), (l0, l1)
    return *void, (l0, l1)
