#!/usr/bin/env python3
"""Recomputes every known answer of doc/protocol.md section 18 with the second implementation, test/reference, and
compares atelier-bench's digest with it. The node's own code is held to the same lines by test/unit/consensus/known.
Prints TAP; with -print, the lines as they should be."""

import copy
import math
import os
import re
import struct
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import node, rounds
from reference import arithmetic, data, merge, novelty, pace, reward, runs, targets
from reference.contributions import Registration, opened
from reference.delta import decode, encode
from reference.document import SOURCE, known_answers
from reference.draws import SLOT, draw, mulhi, own_window, philox, philox_words, step_window
from reference.hashing import Reader, blob_root, sha256, shown
from reference.headers import Block, Header
from reference.model import Model, attention_head, loss_and_gradient, token_loss
from reference.products import Failed, quantise
from reference.round_tx import CHALLENGE, COMMIT, DISCLOSURE, Round, RoundTransaction, commit_hash, is_round, most_of
from reference.signatures import verifies
from reference.spec import built_in, built_in_fields
from reference.state import Outcome, Slot, entropy, integer, model_root, update_state
from reference.step import step
from reference.text import Reader as TextReader, pick
from reference.transactions import Transaction

BUILD = os.environ.get("ATELIER_BUILDDIR", SOURCE)

KEYS = [bytes.fromhex(key) for key in node.KEYS]
MINER = KEYS[0]
EXAMPLE_PARENT = bytes([18]) * 32  # id and ticket of the example proofs' parent
# Regtest but for sizes at which every chunk and micro-batch is cut.
ODD = {"name": "odd", "hrp": "rodd", "d": 48, "layers": 1, "heads": 3, "ff": 528, "ctx": 96, "batch": 13, "iterations": 1,
       "bench_rows": 13}
SHARED = {"name": "shared", "hrp": "shr", "usage_ppm": 250000}
ADMITTED = ["MIT", "CC0-1.0", "GPL-2.0-only WITH Classpath-exception-2.0", "Apache-2.0+"]
TOO_SLOW = ("digest test", "digest main")  # hours in plain Python: test/functional/bench/digest.py compares them


class Answers:
    """Computes the value of a known answer's name and arguments. Expensive things are computed once."""

    def __init__(self):
        self.specs, self.headers, self.deltas, self.digests, self.after = {}, {}, {}, {}, {}

    def spec(self, name):
        if name not in self.specs:
            changes = {"odd": ODD, "shared": SHARED, "rounds": rounds.SPEC}.get(name)
            self.specs[name] = built_in("regtest", **changes) if changes else built_in(name)
        return self.specs[name]

    def bits_of(self, name, argument):
        x = arithmetic.from_bits(argument)
        y = {"exp": arithmetic.exp, "log": arithmetic.log, "sin": lambda x: arithmetic.sin_cos(x)[0],
             "cos": lambda x: arithmetic.sin_cos(x)[1]}[name](x)
        return arithmetic.bits(y) & 0xffffffff

    def function(self, name, argument):
        return f"{self.bits_of(name, int(argument, 16)):08x}"

    def sweep(self, name, first, step):
        found = [self.bits_of(name, int(first, 16) + i * int(step)) for i in range(4096)]
        return sha256(struct.pack("<4096I", *found)).hex()

    def exp(self, x):
        return self.function("exp", x)

    def log(self, x):
        return self.function("log", x)

    def sin(self, x):
        return self.function("sin", x)

    def cos(self, x):
        return self.function("cos", x)

    def token_loss(self, y):
        logits = [64 + (j * 40503 % 65536) * 2.0 ** -14 for j in range(256)]
        loss, dx = token_loss(logits, int(y), arithmetic.f32(1 / 96))
        return " ".join(f"{arithmetic.bits(x) & 0xffffffff:08x}" for x in (loss, dx[0], dx[int(y)]))

    def rounded(self, *row):
        try:
            steps, exponent = quantise([arithmetic.from_bits(int(x, 16)) for x in row])
        except Failed:
            return "fails"
        return " ".join(f"{arithmetic.bits(math.ldexp(q, exponent)) & 0xffffffff:08x}" for q in steps)

    def encode(self, key, x):
        try:
            return encode([arithmetic.from_bits(int(x, 16))] * 64, bytes.fromhex(key)).hex()
        except Failed:
            return "fails"

    def philox(self, key, domain, index):
        return " ".join(f"{word:08x}" for word in philox(bytes.fromhex(key), int(domain), int(index)))

    def siphash(self, string):
        return f"{novelty.siphash(bytes.fromhex(string)):016x}"

    def blob(self, number, size):
        words = philox_words(bytes([int(number)]) * 32, 0, 0, (int(size) + 3) // 4)
        return bytes(word & 0xff for word in words)[:int(size)]

    def pages(self, period, size):
        blob = (self.blob(1, period) * (int(size) // int(period) + 1))[:int(size)]
        main = built_in_fields("main")
        return " ".join(novelty.page_verdicts(blob, main["page_distinct"], main["page_judged"]))

    def samples(self, number, size):
        found = sorted(novelty.samples(self.blob(number, size)))
        return f"{len(found)} {sha256(struct.pack(f'<{len(found)}Q', *found)).hex()}"

    def shared(self, size, changed):
        other = self.blob(2, size)
        mixed = other[:int(changed)] + self.blob(1, size)[int(changed):]
        pairs = [(novelty.samples(blob), novelty.strings(blob, 8)) for blob in (mixed, other)]
        return " ".join(f"{len(ours)} {len(ours & theirs)}" for ours, theirs in zip(*pairs))

    def next_bits(self, name, height, time):
        return f"{targets.next_bits(self.spec(name), int(height), int(time)):08x}"

    def pace(self, name, height, base_time, time):
        spec, base_time = self.spec(name), int(base_time)
        return f"{pace.least_time(spec, int(height), base_time)} {pace.most_proofs(spec, int(time), base_time)}"

    def commitment(self, name):
        return self.spec(name).commitment().hex()

    def initial(self, name):
        return shown(self.spec(name).genesis().model_root)

    def genesis(self, name):
        return shown(self.spec(name).genesis().id())

    def digest_seed(self, name):
        return sha256(b"atelier digest" + name.encode())

    def digest_step(self, name):
        if name not in self.digests:
            spec = self.spec(name)
            seed = self.digest_seed(name)
            self.digests[name] = step(spec, spec.theta, seed, seed, spec.dataset())
        return self.digests[name]

    def digest(self, name):
        return sha256(self.digest_step(name)).hex()

    def window_at(self, name, index):
        spec = self.spec(name)
        return step_window(self.digest_seed(name), self.digest_seed(name), spec.slots, index, spec.dataset(), spec.model.ctx)

    def window(self, name, iteration, row):
        return self.window_at(name, int(iteration) * self.spec(name).batch + int(row)).hex()

    def gradient(self, name):
        spec = self.spec(name)
        windows = [self.window_at(name, row) for row in range(spec.batch)]
        loss, g = loss_and_gradient(spec.model, spec.theta, windows, self.digest_seed(name))
        hashed = sha256(struct.pack(f"<{len(g)}f", *g)).hex()
        return f"{arithmetic.bits(loss):08x} {arithmetic.bits(arithmetic.dot16(g, g)):08x} {hashed}"

    def delta(self, name, block):
        return self.digest_step(name)[65 * int(block):][:65].hex()

    def header_of(self, nonce):
        """The example proof of that nonce."""
        if nonce not in self.headers:
            spec = self.spec("regtest")
            genesis = spec.genesis()
            header = Header(prev=EXAMPLE_PARENT, model_root=genesis.model_root, miner=MINER, time=spec.genesis_time + 1,
                            bits=genesis.bits, nonce=nonce)
            self.deltas[nonce] = step(spec, spec.theta, EXAMPLE_PARENT, header.seed(), spec.dataset())
            header.digest = sha256(self.deltas[nonce])
            self.headers[nonce] = header
        return self.headers[nonce]

    def slot_of(self, nonce):
        return mulhi(draw(self.header_of(nonce).seed(), SLOT, 0), self.spec("regtest").slots)

    def slot(self, nonce):
        return str(self.slot_of(int(nonce)))

    def step(self, nonce):
        return self.header_of(int(nonce)).digest.hex()

    def seed(self, nonce):
        return shown(self.header_of(int(nonce)).seed())

    def ticket(self, nonce):
        return shown(self.header_of(int(nonce)).ticket())

    def id(self, nonce):
        return shown(self.header_of(int(nonce)).id())

    def order(self):
        """The example proofs' nonces as their block has them."""
        return [1] + sorted((2, 4), key=lambda nonce: self.header_of(nonce).seed())

    def variant_body(self, variant, nonce):
        body = self.deltas[nonce]
        if variant == "left-out" and nonce == 1:
            body = bytes(byte if i % 65 == 0 else -byte & 0xff for i, byte in enumerate(body))
        if variant == "still":
            body = bytes(byte if i % 65 == 0 else 0 for i, byte in enumerate(body))
        if variant == "order" and nonce == 4:
            body = bytes(max((byte ^ 128) - 128 - 20, -40) & 0xff if i % 65 == 0 else byte for i, byte in enumerate(body))
        if variant in ("void", "void-again"):
            body = bytes(byte + 12 & 0xff if i % 65 == 0 else byte for i, byte in enumerate(body))
        slot = {"again": 0, "order": 0, "three-slots": self.order().index(nonce)}.get(variant, int(nonce == 1))
        return slot, body

    def update(self, variant):
        if variant not in self.after:
            spec, ticket = copy.copy(self.spec("regtest")), EXAMPLE_PARENT
            parent = self.update("")[0] if variant in ("again", "void-again") else (spec.theta, [0.0] * spec.model.n)
            spec.slots = 3 if variant == "three-slots" else spec.slots
            spec.gate_ppm = 1000000 if variant == "still" else spec.gate_ppm
            proofs = [self.variant_body(variant, nonce) for nonce in self.order()]
            self.after[variant] = update_state(spec, *parent, ticket, proofs,
                                               spec.v_min if variant == "left-out" else 2 ** 47)
        return self.after[variant]

    def outcome(self, variant=""):
        return self.update(variant)[1].payload().hex()

    def losses(self, variant=""):
        return " ".join(f"{arithmetic.bits(loss):08x}" for loss in self.update(variant)[2])

    def state(self, variant=""):
        return shown(model_root(*self.update(variant)[0]))

    def value(self, x):
        return str(integer(arithmetic.from_bits(int(x, 16))))

    def block(self, form, of=None):
        own, *loose = [self.header_of(nonce) for nonce in self.order()]
        late = [loose.pop()] if form == "late" else []
        form = of or form
        block = Block(own, [self.pay()], loose, late)
        if form == "roots":
            return (block.tx_root() + block.proofs_root()).hex()
        if form == "wire":
            return block.serialise().hex()
        return sha256(block.serialise([self.deltas[nonce] for nonce in self.order()][:len(block.proofs())])).hex()

    def subsidy(self, name, height):
        return str(reward.subsidy(self.spec(name), int(height)))

    def proof_worth(self, name, height, bucket, loose, *backs):
        found = reward.proof_worth(self.spec(name), int(height), int(bucket), int(loose), list(map(int, backs)))
        return "{} {}".format(*found)

    def late_worth(self, worth, back):
        late = reward.late_worth(int(worth), int(back))
        return f"{late - late // 16} {late // 16}"

    def slot_pay(self, name, *numbers):
        return str(reward.slot_pay(self.spec(name), *map(int, numbers)))

    def own_window(self, size, ctx, ticket, slot, row):
        data = bytes(i * i // 977 % 256 for i in range(int(size)))
        window, page = own_window(bytes.fromhex(ticket), int(slot), int(row), data, int(ctx))
        return f"{window.hex()} {arithmetic.bits(entropy(page)):08x}"

    def harmful(self, v_ref, *effects):
        return str(reward.is_harmful(list(map(int, effects)), int(v_ref))).lower()

    def data_rate(self, name, rate, debt, used):
        return "{} {}".format(*data.next_rate(self.spec(name), int(rate), int(debt), int(used)))

    def data_burn(self, rate, size):
        return str(data.least_burn(int(rate), int(size)))

    def licence(self, *words):
        return data.judge_licence(" ".join(words), ADMITTED)

    def datasets(self, ticket):
        spec = self.spec("main")
        weights = list(enumerate((len(spec.dataset()), 70000, 100000, 200000)))
        return " ".join(map(str, reward.draw_datasets(spec, bytes.fromhex(ticket), weights)))

    def registration(self):
        return Registration(sha256(b"root"), 70000, KEYS[0], sha256(b"salt"), "CC0-1.0", "Known")

    def commits(self):
        return self.registration().commitment_script().hex()

    def registers(self):
        return self.registration().script().hex()

    def opens(self, name, height, *committed):
        return str(opened(self.spec(name), int(height), map(int, committed)) or "none")

    def pay(self, late=None):
        spec, height, listed = self.spec("regtest"), 2, []
        _, bucket = reward.proof_worth(spec, 1, 0, 2)
        if late:
            height, listed = 4, list(zip(KEYS, (3, 2, 1)))
            for before in (2, 3):
                _, bucket = reward.proof_worth(spec, before, bucket, 0)
        parent = Outcome(False, [Slot(2, False, -7, 5000000), Slot(1, True, -300000000, 0)])
        return reward.coinbase(spec, height, 1234, KEYS[0], KEYS[1:], bucket, parent, [KEYS[0], None], 4294967, 12345678,
                               listed)

    def coinbase(self, *late):
        return self.pay(*late).serialise().hex()

    def txid(self, *late):
        return shown(self.pay(*late).txid())


class RoundAnswers(Answers):
    """Those of section 20."""

    KINDS = {"commit": COMMIT, "disclosure": DISCLOSURE, "challenge": CHALLENGE}
    SEAT = bytes([19]) * 32  # id of the block of the example run's seat
    STATEMENT, LENGTHS = (1, 0, 3, 2, 1, 0, 0, 3), (4, 0, 2, 1, 3, 0, 0, 4)
    GATES = {"gate": 1000000, "worse": 1000000, "together": 1006800, "still": 1000000}

    def __init__(self):
        super().__init__()
        self.codes, self.merged = None, {}

    def round_limit(self, *numbers):
        fields = dict(zip(("round_blocks", "segments", "first_segments"), map(int, numbers)))
        return str(built_in("regtest", **fields).most_segments(int(numbers[3])))

    def round_counts(self, *numbers):
        spec = built_in("regtest", **dict(zip(("round_blocks", "round_work", "round_reveal"), map(int, numbers))))
        return f"{most_of(spec, DISCLOSURE)} {most_of(spec, CHALLENGE)}"

    def e_max(self, *numbers):
        return str(runs.most_exponent(*map(int, numbers)))

    def code_bounds(self, exponent, padding):
        code = bytearray(runs.first_code(self.spec("rounds")))
        code[0], code[-1] = int(exponent) & 0xff, int(padding)
        return "good" if runs.within_bounds(self.spec("rounds"), bytes(code)) else "bad"

    def round_datasets(self, ticket):
        weights = list(enumerate((len(self.spec("main").dataset()), 70000, 100000, 200000)))
        return " ".join(map(str, reward.draw_seats(weights, [0, 2], bytes.fromhex(ticket), self.spec("rounds").round_blocks)))

    def run_audit(self, ticket, length, seat):
        return str(runs.audited(bytes.fromhex(ticket), int(length), int(seat)))

    def run(self):
        """The example run."""
        spec = self.spec("rounds")
        return runs.Run(spec, spec.theta, EXAMPLE_PARENT, self.SEAT, spec.dataset())

    def run_codes(self):
        self.codes = self.codes or self.run().codes()
        return self.codes

    def run_seed(self, j=None):
        return (self.run().seed if j is None else self.run().segment_seed(int(j))).hex()

    def run_window(self, j, iteration, row):
        return self.run().windows(int(j))[int(iteration) * self.spec("rounds").batch + int(row)].hex()

    def run_digest(self, j):
        return sha256(self.run_codes()[int(j)]).hex()

    def run_code(self, j, block):
        return self.run_codes()[int(j)][65 * int(block):][:65].hex()

    def strange(self, lr_ppm, number, below, spread):
        """The example run with that lr_ppm, and a code that a stranger could send."""
        spec = copy.copy(self.spec("rounds"))
        spec.lr_ppm = int(lr_ppm)
        most = runs.most_exponent(spec.lr_ppm, spec.segment, spec.segments)
        code = bytearray(self.blob(number, runs.code_size(spec)))
        for at in range(0, len(code), 65):
            code[at] = max(-40, most - int(below) - code[at] % int(spread)) & 0xff
        padding = -spec.model.n % 64
        code[len(code) - padding:] = bytes(padding)
        assert runs.within_bounds(spec, bytes(code))
        return runs.Run(spec, spec.theta, EXAMPLE_PARENT, self.SEAT, spec.dataset()), bytes(code)

    def segment_from(self, *numbers):
        run, code = self.strange(*numbers)
        try:
            return sha256(run.segment(0, code, False)).hex()
        except Failed:
            return "fails"

    def segment_start(self, *numbers):
        """What the start and the base lose on the first batch, their work there, and whether the segment goes on."""
        run, code = self.strange(*numbers)
        found = [self.first_batch(run, w) for w in (arithmetic.add(run.theta, decode(code, run.spec.model.n)), run.theta)]
        try:
            run.segment(0, code)
            came = "good"
        except Failed:
            came = "fails"
        return " ".join([f"{arithmetic.bits(loss):08x} {census.work}" for loss, census in found] + [came])

    def segment_levels(self, *numbers):
        """Of the start's operands on the first batch; and the sharp weights of each layer."""
        run, code = self.strange(*numbers)
        census = self.first_batch(run, arithmetic.add(run.theta, decode(code, run.spec.model.n)))[1]
        return " ".join(map(str, census.levels + census.sharp[1::4]))

    def first_batch(self, run, weights):
        operands = []
        loss, _ = loss_and_gradient(run.spec.model, weights, run.windows(0)[:run.spec.batch], operands=operands)
        return loss, run.census(operands)

    def round_attention(self, x):
        places = range(16)
        k, v = ([[-float(x) * j] * 16 for j in places], [[float(j == c) for c in places] for j in places])
        a, _ = attention_head([[1.0] * 16] * 16, k, v, self.spec("rounds").model.least_weight)
        return " ".join(f"{arithmetic.bits(weight):08x}" for weight in a[15])

    def run_root(self, length):
        return sha256(runs.digest_list(self.run_codes()[:int(length) + 1])).hex()

    def disclosure_root(self, j, length):
        return blob_root(runs.make_disclosure(self.run_codes()[:int(length) + 1], int(j))).hex()

    def challenge_root(self, j):
        return blob_root(self.run_codes()[int(j)]).hex()

    def commit_hash(self, base_id, seat_id, length, root):
        return commit_hash(bytes.fromhex(base_id), bytes.fromhex(seat_id), int(length), bytes.fromhex(root)).hex()

    def commit_valid(self, *parts):
        return str(verifies(*map(bytes.fromhex, parts))).lower()

    def round_tx(self, kind, height, number, *parts):
        fields = map(bytes.fromhex, parts)
        transaction = RoundTransaction(self.KINDS[kind], int(height), int(number), *fields).transaction()
        return f"{transaction.serialise().hex()} {shown(transaction.txid())}"

    def round_form(self, text):
        reader = Reader(bytes.fromhex(text))
        transaction = Transaction.read(reader)
        assert not reader.rest()
        if not is_round(transaction):
            return "none"
        try:
            kind = RoundTransaction.parse(self.spec("rounds"), transaction).kind
        except ValueError:
            return "bad"
        return next(name for name, value in self.KINDS.items() if value == kind)

    def round_heights(self, kind):
        """Of blocks in the round of base 8; a challenge needs the disclosure in an earlier one."""
        found, spec = Round(self.spec("rounds"), [], 0), self.spec("rounds")
        found.base = spec.round_blocks
        heights = found.window(self.KINDS[kind])
        first = found.window(DISCLOSURE)[0] + 1 if kind == "challenge" else heights[0]
        return f"{first} {heights[-1]}"

    def own_seats(self, count):
        spec = self.spec("rounds")
        return " ".join(map(str, merge.own_seats(spec, EXAMPLE_PARENT, int(count))))

    def merge_seats(self, variant):
        """What the seats of an example merge have: code and length, or what else they are."""
        codes, bodies = self.run_codes(), [self.header_of(nonce) and self.deltas[nonce] for nonce in (1, 4, 2)]
        empty, struck = merge.EMPTY, merge.STRUCK
        return {
            "two": [(self.changed(codes[4], lift=1), 1), (bodies[0], 1)],
            "slow": [(self.changed(codes[4], lift=1), 4), (bodies[0], 1)],
            "own": [(codes[4], 4), empty, (codes[1], 1), (self.changed(codes[3], sign=-1), 3), (bodies[0], 1)],
            "many": [(codes[4], 4), (codes[1], 1), (codes[3], 3), (codes[2], 2), (bodies[0], 1), (codes[4], 4)],
            "worse": [(self.changed(codes[4], sign=-1), 4), empty, (self.changed(codes[3], sign=-1), 4)],
            "together": [(self.changed(codes[4], sign=-1), 4), empty, (self.changed(codes[3], sign=-1), 4)],
            "halved": [(self.changed(codes[4], sign=-1), 4), empty, (codes[4], 1)],
            "short": [(codes[1], 1), (self.changed(codes[1], lift=-4), 1), (codes[4], 4), (self.changed(codes[1], lift=-4), 1)],
            "none": [empty, struck],
            "still": [(codes[0], 1), (codes[0], 4)],
        }.get(variant, [(codes[4], 4), empty, (bodies[0], 1), struck, (bodies[1], 1), empty, (bodies[2], 1),
                        (self.changed(codes[3], lift=1), 1)])

    def changed(self, code, lift=0, sign=1):
        """With so much added to the exponents that are not the lowest, and the mantissas' sign."""
        out = bytearray()
        for at in range(0, len(code), 65):
            e = (code[at] ^ 128) - 128
            out += bytes([(e + lift * (e > -40)) & 0xff, *(sign * q & 0xff for q in code[at + 1:at + 65])])
        return bytes(out)

    def do_merge(self, variant):
        if variant not in self.merged:
            spec, ticket = copy.copy(self.spec("rounds")), EXAMPLE_PARENT
            spec.gate_ppm = self.GATES.get(variant, spec.gate_ppm)
            state = self.do_merge("")[0] if variant in ("two", "slow", "halved", "none") else (spec.theta, [0.0] * spec.model.n)
            datasets = [spec.dataset(), spec.dataset()[:4096]] * 4 if variant == "own" else None
            self.merged[variant] = merge.merge(spec, state, ticket, self.merge_seats(variant), datasets)
        return self.merged[variant]

    def merge(self, variant=""):
        return self.do_merge(variant)[1].script().hex()

    def merge_losses(self, variant=""):
        texts = ["none" if math.isnan(loss) else f"{arithmetic.bits(loss):08x}" for loss in self.do_merge(variant)[2]]
        return " ".join(texts)

    def merge_state(self, variant=""):
        return shown(model_root(*self.do_merge(variant)[0]))

    def round_state(self, variant=""):
        """After an ordinary block, on the state after the example merge, whose momentum is not 0."""
        bodies = [self.header_of(nonce) and self.deltas[nonce] for nonce in (1, 4)]
        if variant == "void":
            bodies = [self.changed(body, lift=12) for body in bodies]
        found = update_state(self.spec("rounds"), *self.do_merge("")[0], EXAMPLE_PARENT, list(enumerate(bodies)), 2 ** 47)
        assert found[1].void == (variant == "void")
        return shown(model_root(*found[0]))

    def run_pay(self, name, height, length):
        return str(reward.run_pay(self.spec(name), int(height), int(length)))

    def merge_statement(self, void, *seats):
        return merge.Statement(int(void), map(int, seats)).script().hex()

    def round_pay(self):
        """The coinbase of section 18, as that of the child of a merge."""
        spec, seats = self.spec("rounds"), enumerate(self.STATEMENT, 1)
        _, bucket = reward.proof_worth(spec, 16, 0, 2)
        parent = Outcome(False, [Slot(2, False, -7, 5000000), Slot(1, True, -300000000, 0)])
        true = [(height, self.LENGTHS[height - 1], KEYS[height % 3]) for height, seat in seats if merge.is_true(seat)]
        return reward.coinbase(spec, 17, 1234, KEYS[0], KEYS[1:], bucket, parent, [KEYS[0], None], 4294967, 12345678,
                               merge=(true, merge.Statement(False, self.STATEMENT).script()))

    def round_coinbase(self):
        return f"{self.round_pay().serialise().hex()} {shown(self.round_pay().txid())}"


class TextAnswers(RoundAnswers):
    """Those of section 21."""

    def pick(self, *numbers):
        logits = [(j * 40503 % 65536) * 2.0 ** -13 for j in range(256)]
        logits[:4] = [7.75] * 4
        return str(pick(logits, list(map(int, numbers[:4])), int(numbers[4])))

    def text_reader(self, name):
        return TextReader(self.spec(name).model, self.spec(name).theta)

    def text_logits(self, name, prompt):
        found = self.text_reader(name).logits(bytes.fromhex(prompt))
        return f"{arithmetic.bits(found[0]) & 0xffffffff:08x} {sha256(struct.pack('<256f', *found)).hex()}"

    def text(self, name, *numbers):
        *options, count = map(int, numbers[:5])
        return self.text_reader(name).write(bytes.fromhex("".join(numbers[5:])), options, count).hex()


def overflow_fails():
    """Whether a step has no result where attention's scores overflow: infinities and NaN must not end elsewhere."""
    model = Model(16, 1, 1, 16, 32)
    theta = [arithmetic.f32((i * 37 % 101 - 50) * 6e-4) for i in range(model.n)]
    windows = [bytes(i * i * 7 % 251 for i in range(model.ctx + 1))]
    for name, gain in (("0.norm_mlp", 1.0), ("norm", 1.0), ("0.norm_attention", 1e15)):
        theta[model.offset[name]:model.offset[name] + model.d] = [arithmetic.f32(gain)] * model.d
    loss_and_gradient(model, theta, windows)
    for i in range(model.offset["0.wq"], model.offset["0.wv"]):
        theta[i] = arithmetic.f32(theta[i] * 1e12)
    try:
        loss_and_gradient(model, theta, windows)
    except Failed:
        return True
    return False


def bench_digest():
    """What atelier-bench finds, or None if it is not built."""
    program = os.path.join(BUILD, "atelier-bench")
    if not os.path.exists(program):
        return None
    done = subprocess.run([program, "digest", "-spec=regtest"], capture_output=True, text=True, timeout=100, check=True)
    return re.findall(r"\b[0-9a-f]{64}\b", done.stdout)


def main():
    lines, answers = known_answers(), TextAnswers()
    printing = sys.argv[1:] == ["-print"]
    if not printing:
        print(f"1..{len(lines) + 2}", flush=True)
    failed = False
    for number, (question, want) in enumerate(lines, 1):
        name, *arguments = question.split(" ")
        if question in TOO_SLOW:
            print(f"{question} = {want}" if printing else f"ok {number} - {question} # SKIP takes hours in plain Python")
            continue
        found = getattr(answers, name)(*arguments)
        failed |= found != want
        if printing:
            print(f"{question} = {found}")
        else:
            print(f"{'ok' if found == want else 'not ok'} {number} - {question[:60]}", flush=True)
            if found != want:
                print(f"# found {found}\n# want  {want}")
    if printing:
        return 0
    found, want = bench_digest(), answers.digest("regtest")
    good = found is None or want in found
    print(f"{'ok' if good else 'not ok'} {len(lines) + 1} - atelier-bench finds the digest{'' if found else ' # SKIP not built'}")
    fails = overflow_fails()
    print(f"{'ok' if fails else 'not ok'} {len(lines) + 2} - overflowing scores make a step fail")
    return 0 if good and fails and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
