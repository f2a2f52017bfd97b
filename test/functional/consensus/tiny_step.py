#!/usr/bin/env python3
"""The tiny chain of test/unit/ml/test_step.c, whose model goes through every way of a step and an update, computed by the
second implementation: its answers are those of test/data/digests.txt."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from reference.document import known_digests
from reference.draws import SLOT, draw, mulhi
from reference.hashing import sha256
from reference.spec import built_in
from reference.state import initial_root, model_root, update_state
from reference.step import step

DATA = bytes((i * 7 + i // 11 * 3) % 256 for i in range(1000))
FIELDS = {"name": "tiny", "d": 64, "layers": 1, "heads": 2, "ff": 48, "ctx": 32, "batch": 2, "iterations": 2, "slots": 2,
          "bench_rows": 2, "bench_bytes": 400, "lr_ppm": 2000, "wd_ppm": 10000, "mu_ppm": 900000, "eta_ppm": 700000,
          "gate_ppm": 1050000}


COUNTS = bytes(i % 64 for i in range(32768 + 500))


def values(outcome):
    return ",".join(map(str, [slot.effect for slot in outcome.slots] + [slot.value for slot in outcome.slots]))


def answers():
    spec = built_in("regtest", DATA, **FIELDS)
    theta, d = spec.theta, spec.d
    yield "tiny-initial", initial_root(theta).hex()
    ticket = sha256(b"tiny ticket")
    seeds = [sha256(b"atelier digest" + b"tiny" + bytes([i])) for i in range(2)]
    proofs = [(mulhi(draw(seed, SLOT, 0), 2), step(spec, theta, ticket, seed, spec.dataset())) for seed in seeds]
    yield "tiny-step", sha256(proofs[0][1]).hex()
    # Gains of a quarter before the head make the gradient too small to be clipped.
    at = spec.model.offset["norm"]
    quiet = theta[:at] + [0.25] * d + theta[at + d:]
    yield "tiny-quiet-step", sha256(step(spec, quiet, ticket, seeds[0], spec.dataset())).hex()
    state, outcome, _ = update_state(spec, theta, [0.0] * len(theta), ticket, proofs, 2 ** 47)
    yield "tiny-update", model_root(*state).hex()
    yield "tiny-values", values(outcome)
    # Now from a state with momentum, and with a slot of harmful work: two deltas turned around.
    harmful = [bytes(b if i % 65 == 0 else -b & 0xff for i, b in enumerate(delta)) for _, delta in proofs]
    proofs = [(0, proofs[1][1]), (1, harmful[0]), (0, proofs[0][1]), (1, harmful[1])]
    state, outcome, _ = update_state(spec, *state, ticket, proofs, 1)
    assert [slot.left_out for slot in outcome.slots] == [False, True]
    yield "tiny-left-out", model_root(*state).hex()
    yield "tiny-left-out-values", values(outcome)
    # A model that knows which byte follows in data that count, one own page of which shows what it learns.
    spec = built_in("regtest", COUNTS + bytes(i % 64 for i in range(400)), **FIELDS)
    theta = [0.0] * len(theta)
    for name, at in spec.model.offset.items():
        if "norm" in name:
            theta[at:at + d] = [1.0] * d
    for byte in range(64):
        theta[spec.model.offset["embedding"] + byte * d + byte] = 1.0
        theta[spec.model.offset["head"] + byte * d + (byte + 63) % 64] = 0.5
    proofs = [(mulhi(draw(seed, SLOT, 0), 2), step(spec, theta, ticket, seed, spec.dataset())) for seed in seeds]
    state, outcome, _ = update_state(spec, theta, [0.0] * len(theta), ticket, proofs, 2 ** 47)
    assert all(slot.value > 0 for slot in outcome.slots)
    yield "tiny-known", model_root(*state).hex()
    yield "tiny-known-values", values(outcome)


def main():
    known, failed = {name: digest for name, digest in known_digests().items() if name.startswith("tiny-")}, False
    print(f"1..{len(known)}")
    for number, (name, answer) in enumerate(answers(), 1):
        failed |= known[name] != answer
        print(f"{'ok' if known[name] == answer else 'not ok'} {number} - {name}")
        if known[name] != answer:
            print(f"# found {answer}, known {known[name]}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
