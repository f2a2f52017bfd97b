#!/usr/bin/env python3
"""Recomputes every known answer of doc/protocol.md section 18 with the second implementation, atelier_protocol.py, and
compares atelier-bench's digest with it. The node's own code is held to the same lines by test/unit/consensus/test_known.c.
Prints TAP; with -print, the lines as they should be."""

import copy
import math
import os
import re
import struct
import subprocess
import sys

import atelier_protocol as atelier

SOURCE = os.environ.get("ATELIER_SRCDIR", os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BUILD = os.environ.get("ATELIER_BUILDDIR", SOURCE)

# x coordinates of the curve's generator, its double and its triple.
KEYS = [bytes.fromhex(key) for key in ("79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
                                       "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
                                       "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9")]
MINER = KEYS[0]
# Regtest but for sizes at which every chunk and micro-batch is cut.
ODD = {"name": "odd", "hrp": "rodd", "d": 48, "layers": 1, "heads": 3, "ff": 528, "ctx": 96, "batch": 13, "iterations": 1,
       "bench_rows": 13}
TOO_SLOW = ("digest test", "digest main")  # hours in plain Python: test/functional/bench_digest.py compares them


def read_document():
    with open(os.path.join(SOURCE, "doc", "protocol.md"), encoding="utf-8") as file:
        return file.read()


def read_specs(document):
    """The table of section 16: its first column names fields, the others are regtest, test and main."""
    section = document.split("\n## 16.")[1].split("\n## 17.")[0]
    with open(os.path.join(SOURCE, "data", "genesis.txt"), "rb") as file:
        corpus = file.read()
    columns = [{}, {}, {}]
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 4 or cells[0] in ("field", "---"):
            continue
        names = cells[0].split(", ")
        for column, cell in zip(columns, cells[1:]):
            values = cell.split(", ")
            assert len(values) == len(names), line
            column.update((name, int(v) if v.isdigit() else v) for name, v in zip(names, values))
    for column in columns:
        assert column["corpus_size"] == len(corpus)
    return {column["name"]: (column, corpus) for column in columns + [{**columns[0], **ODD}]}


class Answers:
    """Computes the value of a known answer's name and arguments. Expensive things are computed once."""

    def __init__(self, document):
        self.fields = read_specs(document)
        self.specs, self.headers, self.deltas, self.digests, self.after = {}, {}, {}, {}, {}

    def spec(self, name):
        if name not in self.specs:
            self.specs[name] = atelier.Spec(*self.fields[name])
        return self.specs[name]

    def bits_of(self, name, argument):
        x = atelier.from_bits(argument)
        y = {"exp": atelier.exp, "log": atelier.log, "sin": lambda x: atelier.sin_cos(x)[0],
             "cos": lambda x: atelier.sin_cos(x)[1]}[name](x)
        return atelier.bits(y) & 0xffffffff

    def function(self, name, argument):
        return f"{self.bits_of(name, int(argument, 16)):08x}"

    def sweep(self, name, first, step):
        found = [self.bits_of(name, int(first, 16) + i * int(step)) for i in range(4096)]
        return atelier.H(struct.pack("<4096I", *found)).hex()

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
        loss, dx = atelier.token_loss(logits, int(y), atelier.f32(1 / 96))
        return " ".join(f"{atelier.bits(x) & 0xffffffff:08x}" for x in (loss, dx[0], dx[int(y)]))

    def rounded(self, *row):
        try:
            steps, exponent = atelier.quantise([atelier.from_bits(int(x, 16)) for x in row])
        except atelier.Failed:
            return "fails"
        return " ".join(f"{atelier.bits(math.ldexp(q, exponent)) & 0xffffffff:08x}" for q in steps)

    def encode(self, key, x):
        try:
            return atelier.encode([atelier.from_bits(int(x, 16))] * 64, bytes.fromhex(key)).hex()
        except atelier.Failed:
            return "fails"

    def philox(self, key, domain, index):
        return " ".join(f"{word:08x}" for word in atelier.philox(bytes.fromhex(key), int(domain), int(index)))

    def next_bits(self, name, height, time):
        return f"{atelier.next_bits(self.spec(name), int(height), int(time)):08x}"

    def commitment(self, name):
        return self.spec(name).commitment().hex()

    def initial(self, name):
        return self.spec(name).genesis().model_root[::-1].hex()

    def genesis(self, name):
        return self.spec(name).genesis().id()[::-1].hex()

    def digest_seed(self, name):
        return atelier.H(b"atelier digest" + name.encode())

    def digest_step(self, name):
        if name not in self.digests:
            spec = self.spec(name)
            self.digests[name] = atelier.step(spec, spec.theta, self.digest_seed(name), spec.dataset())
        return self.digests[name]

    def digest(self, name):
        return atelier.H(self.digest_step(name)).hex()

    def window_at(self, name, index):
        spec = self.spec(name)
        return atelier.draw_window(self.digest_seed(name), atelier.WINDOW, index, spec.dataset(), spec.model.ctx)

    def window(self, name, iteration, row):
        return self.window_at(name, int(iteration) * self.spec(name).batch + int(row)).hex()

    def gradient(self, name):
        spec = self.spec(name)
        windows = [self.window_at(name, row) for row in range(spec.batch)]
        loss, g = atelier.loss_and_gradient(spec.model, spec.theta, windows, self.digest_seed(name))
        hashed = atelier.H(struct.pack(f"<{len(g)}f", *g)).hex()
        return f"{atelier.bits(loss):08x} {atelier.bits(atelier.dot16(g, g)):08x} {hashed}"

    def delta(self, name, block):
        return self.digest_step(name)[65 * int(block):][:65].hex()

    def header_of(self, nonce):
        """The example proof of that nonce: a child of regtest's genesis."""
        if nonce not in self.headers:
            spec = self.spec("regtest")
            genesis = spec.genesis()
            header = atelier.Header(prev=genesis.id(), model_root=genesis.model_root, miner=MINER,
                                    time=spec.genesis_time + 1, target_bits=genesis.bits, nonce=nonce)
            self.deltas[nonce] = atelier.step(spec, spec.theta, header.seed(), spec.dataset())
            header.digest = atelier.H(self.deltas[nonce])
            self.headers[nonce] = header
        return self.headers[nonce]

    def slot_of(self, nonce):
        return atelier.mulhi(atelier.draw(self.header_of(nonce).seed(), atelier.SLOT, 0), self.spec("regtest").slots)

    def slot(self, nonce):
        return str(self.slot_of(int(nonce)))

    def step(self, nonce):
        return self.header_of(int(nonce)).digest.hex()

    def seed(self, nonce):
        return self.header_of(int(nonce)).seed()[::-1].hex()

    def ticket(self, nonce):
        return self.header_of(int(nonce)).ticket()[::-1].hex()

    def id(self, nonce):
        return self.header_of(int(nonce)).id()[::-1].hex()

    def order(self):
        """The example proofs' nonces as their block has them."""
        return [1] + sorted((2, 4), key=lambda nonce: self.header_of(nonce).seed())

    def variant_body(self, variant, nonce):
        slot, body = self.slot_of(nonce), self.deltas[nonce]
        if variant == "left-out" and nonce == 1:
            body = bytes(byte if i % 65 == 0 else -byte & 0xff for i, byte in enumerate(body))
        if variant == "still":
            body = bytes(byte if i % 65 == 0 else 0 for i, byte in enumerate(body))
        if variant in ("void", "void-again"):
            body = bytes(byte + 12 & 0xff if i % 65 == 0 else byte for i, byte in enumerate(body))
        slot = {"again": 0, "three-slots": self.order().index(nonce)}.get(variant, slot)
        return slot, body

    def update(self, variant):
        if variant not in self.after:
            spec, ticket = copy.copy(self.spec("regtest")), self.spec("regtest").genesis().ticket()
            parent = self.update("")[0] if variant in ("again", "void-again") else (spec.theta, [0.0] * spec.model.n)
            spec.slots = 3 if variant == "three-slots" else spec.slots
            spec.gate_ppm = 1000000 if variant == "still" else spec.gate_ppm
            proofs = [self.variant_body(variant, nonce) for nonce in self.order()]
            self.after[variant] = atelier.update_state(spec, *parent, ticket, proofs,
                                                       spec.v_min if variant == "left-out" else None)
        return self.after[variant]

    def outcome(self, variant=""):
        return self.update(variant)[1].payload().hex()

    def losses(self, variant=""):
        return " ".join(f"{atelier.bits(loss):08x}" for loss in self.update(variant)[2])

    def state(self, variant=""):
        return atelier.model_root(*self.update(variant)[0])[::-1].hex()

    def value(self, x):
        return str(atelier.integer(atelier.from_bits(int(x, 16))))

    def block(self, form):
        headers = [self.header_of(nonce) for nonce in self.order()]
        transaction = bytes.fromhex(self.coinbase())
        if form == "roots":
            return (atelier.merkle_root([atelier.HH(transaction)]) + atelier.merkle_root([h.id() for h in headers[1:]])).hex()
        raw = headers[0].raw() + b"\1" + transaction + b"\2" + b"".join(h.raw() for h in headers[1:])
        if form == "wire":
            return (raw + b"\0").hex()
        return atelier.H(raw + b"\1" + b"".join(self.deltas[nonce] for nonce in self.order())).hex()

    def subsidy(self, name, height):
        return str(atelier.subsidy(self.spec(name), int(height)))

    def proof_worth(self, name, height, bucket, loose):
        return "{} {}".format(*atelier.proof_worth(self.spec(name), int(height), int(bucket), int(loose)))

    def slot_pay(self, name, height, count, value, v_ref):
        return str(atelier.slot_pay(self.spec(name), int(height), int(count), int(value), int(v_ref)))

    def datasets(self, ticket):
        spec = self.spec("main")
        weights = enumerate((len(spec.dataset()), 70000, 100000, 200000))
        return " ".join(map(str, atelier.draw_datasets(spec, bytes.fromhex(ticket), weights)))

    def coinbase(self):
        spec = self.spec("regtest")
        _, bucket = atelier.proof_worth(spec, 1, 0, 2)
        parent = atelier.Outcome(False, [(2, False, 5000000), (1, True, -300000000)])
        return atelier.coinbase(spec, 2, 1234, KEYS[0], KEYS[1:], bucket, parent, [KEYS[0], None], 4294967).hex()

    def txid(self):
        return atelier.HH(bytes.fromhex(self.coinbase()))[::-1].hex()


def overflow_fails():
    """Whether a step has no result where attention's scores overflow: infinities and NaN must not end elsewhere."""
    model = atelier.Model(16, 1, 1, 16, 32)
    theta = [atelier.f32((i * 37 % 101 - 50) * 6e-4) for i in range(model.n)]
    windows = [bytes(i * i * 7 % 251 for i in range(model.ctx + 1))]
    for name, gain in (("0.norm_mlp", 1.0), ("norm", 1.0), ("0.norm_attention", 1e15)):
        theta[model.offset[name]:model.offset[name] + model.d] = [atelier.f32(gain)] * model.d
    atelier.loss_and_gradient(model, theta, windows)
    for i in range(model.offset["0.wq"], model.offset["0.wv"]):
        theta[i] = atelier.f32(theta[i] * 1e12)
    try:
        atelier.loss_and_gradient(model, theta, windows)
    except atelier.Failed:
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
    document = read_document()
    lines = re.search(r"```\n(.*?)```", document.split("\n## 18.")[1], re.S).group(1).splitlines()
    answers = Answers(document)
    printing = sys.argv[1:] == ["-print"]
    if not printing:
        print(f"1..{len(lines) + 2}", flush=True)
    failed = False
    for number, line in enumerate(lines, 1):
        question, _, want = line.partition(" = ")
        name, *arguments = question.split()
        if question in TOO_SLOW:
            print(line if printing else f"ok {number} - {question} # SKIP takes hours in plain Python")
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
