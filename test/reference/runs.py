"""Section 20: the run of a seat, the codes between its segments, and what is shown of it."""

import math
import struct

from .arithmetic import add, f32, rounded
from .delta import BLOCK, CODED, LOWEST, decode, encode
from .draws import AUDIT, draw, mulhi, run_window
from .hashing import sha256
from .model import loss_and_gradient
from .products import CHUNK, Failed, census, transposed
from .step import train


def most_exponent(lr_ppm, segment, segments):
    """e_max."""
    return next(e for e in range(LOWEST, 1) if 126 * 10 ** 6 << e - LOWEST >= 4 * lr_ppm * segment * segments << -LOWEST)


def code_size(spec):
    return (1 + BLOCK) * -(-spec.model.n // BLOCK)


def disclosure_size(spec, length):
    return 32 * length + 2 * code_size(spec)


def first_code(spec):
    return struct.pack(CODED, LOWEST, *[0] * BLOCK) * (code_size(spec) // (1 + BLOCK))


def exponents(code):
    return [blocks[0] for blocks in struct.iter_unpack(CODED, code)]


def within_bounds(spec, code):
    if len(code) != code_size(spec):
        return False
    most = most_exponent(spec.lr_ppm, spec.segment, spec.segments)
    padding = code_size(spec) // (1 + BLOCK) * BLOCK - spec.model.n
    return all(LOWEST <= e <= most for e in exponents(code)) and not any(code[len(code) - padding:])


class Census:
    """What the products of a batch see, from (X, W, sharp) of each, micro-batch after micro-batch."""

    def __init__(self, operands, tokens, matrices):
        self.work, self.levels, self.parts, self.sharp = 0, [], [], []
        for i in range(matrices):
            xs, w = [x for x, _, _ in operands[i::matrices]], operands[i][1]
            self.sharp.append(sum(sharp for _, _, sharp in operands[i::matrices]))
            seen, level = map(sum, zip(*map(census, xs)))
            self.count(seen * len(w), level, parts(tokens, len(w[0])))
            for side in (w, transposed(w)):
                seen, level = census(side)
                self.count(seen * tokens, level, parts(len(side), len(side[0])))

    def count(self, work, level, count):
        self.work += work
        self.levels.append(level)
        self.parts.append(count)


def parts(rows, width):
    return rows * -(-width // CHUNK)


def busy(base, start, queries):
    """Whether the products of a start see as much as those of the base, nearly, and attention too. queries: of all layers."""
    if 6 * start.work < 5 * base.work:
        return False
    if 4 * (sum(start.sharp) - sum(base.sharp)) > queries:
        return False
    for i, (before, after, count) in enumerate(zip(base.levels, start.levels, base.parts)):
        is_x = i % 3 == 0
        if not -4 * count <= after - before <= (8 if is_x else 4) * count:
            return False
    return True


class Run:
    """Of one seat, from the base's state on. ticket: of the base; seat_id: id of the seat's block; data: the dataset."""

    def __init__(self, spec, theta, ticket, seat_id, data):
        self.spec, self.theta, self.data = spec, theta, data
        self.seed = sha256(b"atelier run" + ticket + seat_id)

    def segment_seed(self, j):
        return sha256(self.seed + struct.pack("<I", j))

    def windows(self, j):
        count = self.spec.segment * self.spec.batch
        return [run_window(self.segment_seed(j), index, self.data, self.spec.model.ctx) for index in range(count)]

    def bound(self, windows):
        """Whether a segment over these windows goes on, from its first batch's loss and operands."""
        operands, model = [], self.spec.model
        loss, _ = loss_and_gradient(model, self.theta, windows[:self.spec.batch], operands=operands)
        base = self.census(operands)

        def begins(loss_at_start, operands_at_start):
            return (loss_at_start <= f32(f32(1.0625 * loss) + 0.0625) and
                    busy(base, self.census(operands_at_start), self.spec.batch * model.ctx * model.heads * model.layers))

        return begins

    def census(self, operands):
        return Census(operands, self.spec.batch * self.spec.model.ctx, 4 * self.spec.model.layers + 1)

    def segment(self, j, code, is_bound=True):
        """Q_(j+1) from Q_j; Failed: there is none. is_bound: whether its first batch may fail it."""
        seed, windows = self.segment_seed(j), self.windows(j)
        # Q_0 is the base: that is what it would be compared with.
        begins = self.bound(windows) if is_bound and code != first_code(self.spec) else None
        w = train(self.spec, add(self.theta, decode(code, self.spec.model.n)), seed, windows, begins)
        result = encode(rounded([a - b for a, b in zip(w, self.theta)]), seed)
        if not within_bounds(self.spec, result):
            raise Failed("a code is out of bounds")
        return result

    def codes(self, length=None):
        """Q_0 .. Q_t; t: all segments if left out."""
        codes = [first_code(self.spec)]
        for j in range(length or self.spec.segments):
            codes.append(self.segment(j, codes[j]))
        return codes

    def follows(self, j, code, digest):
        """Whether segment j from this code gives the code of this digest."""
        try:
            return within_bounds(self.spec, code) and sha256(self.segment(j, code)) == digest
        except Failed:
            return False


def digest_list(codes):
    """d_1 | .. | d_t."""
    return b"".join(map(sha256, codes[1:]))


def audited(ticket, length, seat):
    """j of a seat with a run of this length, by the ticket of the block at height b + round_work + 1."""
    return mulhi(draw(ticket, AUDIT, seat), length)


class Disclosure:
    """The parts of a disclosure's blob."""

    def __init__(self, spec, blob):
        at = len(blob) - 2 * code_size(spec)
        self.list, self.code, self.last = blob[:at], blob[at:-code_size(spec)], blob[-code_size(spec):]
        self.digests = [sha256(first_code(spec))] + [self.list[i:i + 32] for i in range(0, at, 32)]


def make_disclosure(codes, j):
    return digest_list(codes) + codes[j] + codes[-1]


def is_disclosure(spec, blob, length, root, j):
    """Of a seat whose commit has this length and root and whose segment j was drawn."""
    assert len(blob) == disclosure_size(spec, length), "bytes of another size are not the blob"
    parts = Disclosure(spec, blob)
    return (sha256(parts.list) == root and sha256(parts.code) == parts.digests[j] and within_bounds(spec, parts.last) and
            sha256(parts.last) == parts.digests[-1])


def is_challenge(run, disclosed, j, blob):
    """Whether the blob shows that segment j of a run is not what was disclosed."""
    assert len(blob) == code_size(run.spec), "bytes of another size are not the blob"
    return sha256(blob) == disclosed.digests[j] and not run.follows(j, blob, disclosed.digests[j + 1])
