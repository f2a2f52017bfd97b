"""Section 10: the state, and what a block does to it."""

import math
import struct
from array import array

from .arithmetic import add, dot16, f32, log, ppm, rounded, scaled, sum16
from .delta import decode
from .draws import BENCHMARK, CHUNK, draw_window, own_window
from .hashing import merkle_root, pages
from .model import loss_and_gradient
from .products import Failed


def model_root(theta, v):
    return merkle_root(pages(array("f", theta).tobytes() + array("f", v).tobytes(), 65536))


def initial_root(theta):
    return initial_root_of([theta])


def initial_root_of(pieces):
    """Of theta in pieces: a list of all its numbers takes eight times the bytes."""
    floats = array("f")
    for piece in pieces:
        floats.extend(piece)
    floats.frombytes(bytes(4 * len(floats)))
    return merkle_root(pages(memoryview(floats).cast("B"), 65536))


def integer(x):
    if not math.isfinite(x):
        return -2 ** 47
    return min(max(round(x * 2.0 ** 32), -2 ** 47), 2 ** 47)


def propose(spec, theta, v, update):
    """By a block. Where there are rounds the momentum belongs to their merges (section 20)."""
    if spec.round_blocks:
        return add(theta, scaled(update, ppm(spec.eta_ppm))), v
    return propose_with_momentum(spec, theta, v, update)


def propose_with_momentum(spec, theta, v, update):
    mu, eta = ppm(spec.mu_ppm), ppm(spec.eta_ppm)
    v2 = add(scaled(v, mu), update)
    return add(theta, scaled(add(update, scaled(v2, mu)), eta)), v2


def mean_of(vectors):
    total = vectors[0]
    for vector in vectors[1:]:
        total = add(total, vector)
    return rounded([a / float(len(vectors)) for a in total])


def entropy(page):
    """Nats a byte."""
    counts = [float(page.count(bytes([byte]))) for byte in range(256)]
    parts = [f32(c * log(c)) if c else 0.0 for c in counts]
    return f32(log(float(len(page))) - f32(sum16(parts) / float(len(page))))


class Slot:
    """What an outcome says of a slot: its proofs, whether it was left out, A and V."""

    def __init__(self, count=0, left_out=False, effect=0, value=0):
        self.count, self.left_out, self.effect, self.value = count, left_out, effect, value


class Outcome:
    def __init__(self, void, slots=()):
        self.void, self.slots = void, list(slots)

    @classmethod
    def parse(cls, payload):
        """Of counts only whether there were proofs."""
        states = struct.iter_unpack("<Bqq", payload[5:])
        outcome = cls(payload[4] == 1, [Slot(state > 0, state == 2, effect, value) for state, effect, value in states])
        if outcome.payload() != payload:
            raise ValueError("no outcome")
        return outcome

    def payload(self):
        if self.void:
            return b"atl\0\1"
        out = b"atl\0\0"
        for slot in self.slots:
            state = (2 if slot.left_out else 1) if slot.count else 0
            out += struct.pack("<Bqq", state, *((slot.effect, slot.value) if slot.count else (0, 0)))
        return out


KNOWN = 0.875


def benchmark_windows(spec, ticket):
    """Group 0."""
    return reserved_windows(spec, ticket, spec.bench_rows)


def reserved_windows(spec, ticket, rows):
    return [draw_window(ticket, BENCHMARK, row, spec.benchmark(), spec.model.ctx) for row in range(rows)]


class Groups:
    """The windows that states are measured by: group 0 is that of the reserved text, 1 + s the own one of slot s."""

    def __init__(self, spec, ticket, datasets, slots):
        ctx, own_rows = spec.model.ctx, max(1, spec.bench_rows // 8)
        self.model, self.ticket, self.rows = spec.model, ticket, spec.bench_rows + spec.slots * own_rows
        self.windows = {0: benchmark_windows(spec, ticket)}
        self.first, self.entropy = {0: 0}, {}
        for s in slots:
            if len(datasets[s]) < CHUNK:
                continue
            drawn = [own_window(ticket, s, row, datasets[s], ctx) for row in range(own_rows)]
            self.windows[1 + s] = [window for window, _ in drawn]
            self.first[1 + s] = spec.bench_rows + s * own_rows
            total = entropy(drawn[0][1])
            for _, page in drawn[1:]:
                total = f32(total + entropy(page))
            self.entropy[s] = f32(total / float(own_rows))

    def measure(self, theta, number):
        """{group: (loss, gradient)}"""
        return {g: finite_pass(*loss_and_gradient(self.model, theta, windows, self.ticket, number * self.rows + self.first[g]))
                for g, windows in self.windows.items()}

    def losses(self, theta):
        return {g: finite_pass(*loss_and_gradient(self.model, theta, windows))[0] for g, windows in self.windows.items()}

    def whole(self, losses):
        """The mean over all windows."""
        total = None
        for g, windows in sorted(self.windows.items()):
            part = f32(float(len(windows)) * losses[g])
            total = part if total is None else f32(total + part)
        return f32(total / float(sum(map(len, self.windows.values()))))


def finite_pass(loss, gradient):
    if not (math.isfinite(loss) and all(map(math.isfinite, gradient or ()))):
        raise Failed("a loss or gradient is not finite")
    return loss, gradient


def area(x, before, after):
    """By how much a delta lowers the loss of a group whose gradients these are."""
    return integer(-f32(f32(dot16(x, before) + dot16(x, after)) * 0.5))


def floor_mean(values):
    return sum(values) // len(values)


def judge(spec, groups, proofs, deltas, before, after, v_ref):
    slots = []
    for s in range(spec.slots):
        mine = [x for (slot, _), x in zip(proofs, deltas) if slot == s]
        if not mine:
            slots.append(Slot())
            continue
        effect = floor_mean([area(x, before[0][1], after[0][1]) for x in mine])
        left_out, value = effect < -v_ref, 0
        if 1 + s in groups.windows and not left_out and before[1 + s][0] < f32(KNOWN * groups.entropy[s]):
            value = floor_mean([area(x, before[1 + s][1], after[1 + s][1]) for x in mine])
        slots.append(Slot(len(mine), left_out, effect, value))
    return slots


def proposal(spec, theta, v, means, used):
    if not used:
        return propose(spec, theta, v, [0.0] * len(theta))
    total = means[used[0]]
    for s in used[1:]:
        total = add(total, means[s])
    return propose(spec, theta, v, rounded([a / float(spec.slots) for a in total]))


def update_state(spec, theta, v, ticket, proofs, v_ref, datasets=None):
    """State after a block, its outcome, and (l0, l1) of the reserved text as far as they were computed. Proofs are (slot, delta) in
    order; datasets: bytes of the slots' ones, dataset 0 in all if it is None."""
    l0 = l1 = math.nan
    deltas = [decode(delta, spec.model.n) for _, delta in proofs]
    with_proofs = sorted({slot for slot, _ in proofs})
    groups = Groups(spec, ticket, datasets or [spec.dataset()] * spec.slots, with_proofs)
    try:
        before = groups.measure(theta, 0)
        l0 = before[0][0]
        means = {s: mean_of([x for (slot, _), x in zip(proofs, deltas) if slot == s]) for s in with_proofs}
        final = proposal(spec, theta, v, means, with_proofs)
        after = groups.measure(final[0], 1)
        slots = judge(spec, groups, proofs, deltas, before, after, v_ref)
        used = [s for s in with_proofs if not slots[s].left_out]
        losses = {g: loss for g, (loss, _) in after.items()}
        if len(used) < len(with_proofs):
            final = proposal(spec, theta, v, means, used)
            losses = groups.losses(final[0])
        l1, gate = losses[0], ppm(spec.gate_ppm)
        whole = groups.whole({g: loss for g, (loss, _) in before.items()})
        finite = all(map(math.isfinite, final[0] + final[1]))
        if not (finite and l1 <= f32(l0 * gate) and groups.whole(losses) <= f32(whole * gate)):
            raise Failed("the gate")
        return final, Outcome(False, slots), (l0, l1)
    except Failed:
        return (theta, v if spec.round_blocks else scaled(v, ppm(spec.mu_ppm))), Outcome(True), (l0, l1)
