#!/usr/bin/env python3
"""A block with any bit changed is refused with a reason, however it comes; the true one is still taken afterwards."""

import os
import random
import struct
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, RpcError, wait_until
from reference.hashing import compact, sha256, shown, stored
from reference.headers import Block, HEADER_SIZE, Header
from reference.transactions import Transaction

# Where the fields of a header begin, and how many bytes they have.
SMALL = {"version": (0, 4), "time": (164, 4), "bits": (168, 4), "nonce": (172, 8)}
LARGE = {"prev": (4, 32), "tx_root": (36, 32), "proofs_root": (68, 32), "model_root": (100, 32), "miner": (132, 32),
         "digest": (180, 32)}
SAMPLE = 64     # bits of a large field
# A changed header has another seed, hence another ticket, and mostly that is no block's; where it is, execution tells.
DRAWN = {"high-hash", "bad-proof-digest"}
REASONS = {
    "version": {"bad-version"}, "time": DRAWN | {"time-too-old", "time-too-new"}, "bits": {"bad-diffbits"},
    "nonce": DRAWN,
    "prev": {"prev-blk-not-found"}, "tx_root": {"high-hash", "bad-txnmrklroot"},
    "proofs_root": {"high-hash", "bad-proofs-root"}, "model_root": {"high-hash", "bad-model-root"},
    "miner": DRAWN | {"bad-proof-key", "bad-cb-outputs"}, "digest": DRAWN,
}


def flip(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


class Setting:
    """A maker with a chain whose tip has one loose proof, and a fresh node that has all but the tip."""

    def __init__(self):
        self.chance = random.Random(7)
        self.maker, self.fresh = Node(), Node()
        self.maker.generate(4)
        self.raw = b""
        while not self.raw or len(self.block.loose) != 1:
            self.maker.generate(1)
            self.raw = bytes.fromhex(self.maker.rpc.getblock(self.maker.tip(), 0, True))
            self.block = Block.parse(self.raw)
        self.body_size = self.maker.rpc.getmodelinfo()["body_bytes"]
        self.bodies = self.raw[-self.body_size * (1 + len(self.block.loose)):]
        for height in range(1, self.maker.height()):
            tap.equal(self.fresh.rpc.submitblock(self.maker.rpc.getblock(self.maker.rpc.getblockhash(height), 0)), None,
                      f"block {height}")
        self.parent = self.fresh.tip()

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind is None:
            self.maker.remove()
            self.fresh.remove()

    def reason(self, raw):
        """Why a block is refused; None: it is not."""
        try:
            return self.fresh.rpc.submitblock(raw.hex())
        except RpcError as error:
            tap.equal(error.code, -22, f"code of '{error}'")
            tap.true(str(error).startswith("Block decode failed: "), str(error))
            return str(error).split(": ", 1)[1].split(" ")[0]

    def check(self, raw, reasons, what):
        reason = self.reason(raw)
        tap.true(reason in reasons, f"{what}: expected one of {sorted(reasons)}, found {reason!r}")
        return reason

    def check_true_block(self):
        tap.equal(self.fresh.tip(), self.parent, "tip after everything was refused")
        tap.equal(self.reason(self.raw), None, "the true block")
        tap.equal((self.fresh.tip(), self.fresh.model_root()), (self.maker.tip(), self.maker.model_root()),
                  "tip and model")


def header_variants(setting):
    """Each small field's bits, and a sample of each large one's; without bodies, so that all checks are reached."""
    bare = setting.block.serialise()
    for name, (start, size) in {**SMALL, **LARGE}.items():
        bits = range(8 * size) if name in SMALL else sorted(setting.chance.sample(range(256), SAMPLE))
        for bit in bits:
            yield name, bit, flip(bare, 8 * start + bit)


def header_bits():
    """Bits of the header"""
    with Setting() as setting:
        found = {}
        for name, bit, raw in header_variants(setting):
            reason = setting.check(raw, REASONS[name], f"bit {bit} of {name}")
            found.setdefault(name, set()).add(reason)
        for bit in range(0, 256, 5):  # with the body, its digest is looked at first
            setting.check(flip(setting.raw, 8 * LARGE["digest"][0] + bit), {"bad-proof-body"}, f"digest's bit {bit}")
        for name in ("nonce", "digest"):
            tap.equal(found[name], DRAWN, f"reasons met for {name}: by ticket and by execution")
        setting.check_true_block()


def coinbase_bits():
    """Every bit of the coinbase's outputs, as it is and with the root of the transactions made to fit"""
    with Setting() as setting:
        coinbase, bare = setting.block.transactions[0], setting.block.serialise()
        start = bare.index(coinbase.serialise(), HEADER_SIZE)
        at = bare.index(compact(len(coinbase.outputs)) + struct.pack("<q", coinbase.outputs[0][0]), start) + 1
        for index, (_, script) in enumerate(coinbase.outputs):
            length = 8 + 1 + len(script)
            for bit in range(8 * length):
                reason = setting.reason(flip(bare, 8 * at + bit))
                # A flipped length of a script makes nonsense of what follows.
                tap.true(reason == "bad-txnmrklroot" or 64 <= bit < 72 and reason.startswith("bad-"),
                         f"bit {bit} of output {index}: {reason!r}")
            at += length
        for index, (amount, script) in enumerate(coinbase.outputs):
            variants = [(amount ^ 1 << bit, script) for bit in range(63)] + [(amount - 2 ** 63, script)]
            variants += [(amount, flip(script, bit)) for bit in range(8 * len(script))]
            for changed in variants:
                outputs = [*coinbase.outputs]
                outputs[index] = changed
                block = Block.parse(bare)
                block.transactions[0] = Transaction(coinbase.version, coinbase.inputs, outputs, coinbase.locktime)
                block.header.tx_root = block.tx_root()
                reason = setting.reason(block.serialise())
                tap.true(reason in DRAWN or reason.startswith("bad-cb-") or reason.startswith("bad-txns-") or
                         reason == "bad-contrib-format", f"output {index} as {changed}: {reason!r}")
        setting.check_true_block()


def delta_bits():
    """A bit of each block of the stored delta, as it is and with the digest made to fit"""
    with Setting() as setting:
        start = len(setting.raw) - len(setting.bodies)
        found = set()
        tap.true(setting.body_size // 65 >= 256, "blocks of the delta")
        for number in range(setting.body_size // 65):
            bit = 8 * 65 * number + setting.chance.randrange(8 * 65)
            raw = flip(setting.raw, 8 * start + bit)
            setting.check(raw, {"bad-proof-body"}, f"bit {bit} of the body")
            if number % 2:
                continue
            header = setting.block.header.copy(digest=sha256(raw[start:start + setting.body_size]))
            found.add(setting.check(header.serialise() + raw[HEADER_SIZE:], DRAWN | {"bad-proof-body"},
                                    f"bit {bit} of the body with its digest"))
        tap.true(DRAWN <= found, f"reasons met: {found}")
        for number in range(64):  # and of the loose proofs' bodies
            bit = setting.chance.randrange(8 * setting.body_size, 8 * len(setting.bodies))
            setting.check(flip(setting.raw, 8 * start + bit), {"bad-proof-body"}, f"bit {bit} of the bodies")
        setting.check_true_block()


def loose_bits():
    """Bits of a loose proof's header, as it is and with the root of the proofs made to fit"""
    with Setting() as setting:
        for bit in setting.chance.sample(range(8 * HEADER_SIZE), 200):
            block = Block.parse(setting.raw)
            block.loose[0] = Header.parse(flip(block.loose[0].serialise(), bit))
            reason = setting.reason(block.serialise())
            tap.true(reason == "bad-proofs-root" or reason.startswith("bad-proof-"), f"bit {bit}: {reason!r}")
            block.header.proofs_root = block.proofs_root()
            reason = setting.reason(block.serialise())
            tap.true(reason in ("high-hash", "bad-cb-outputs") or reason.startswith("bad-proof-"),
                     f"bit {bit} with its root: {reason!r}")
        setting.check_true_block()


def loaded_from_file():
    """The same through -loadblock: all variants are refused in the log, the true block behind them is taken"""
    with Setting() as setting:
        magic = stored(setting.maker.rpc.getblockhash(0))[:4]
        variants = [raw for name, _, raw in header_variants(setting) if setting.chance.random() < 0.2]
        for _ in range(100):
            variants.append(flip(setting.raw, setting.chance.randrange(8 * HEADER_SIZE, 8 * len(setting.raw))))
        path, at, offsets = os.path.join(setting.fresh.root, "blocks"), 0, []
        with open(path, "wb") as file:
            for raw in variants:
                offsets.append(at)
                at += file.write(magic + struct.pack("<I", len(raw)) + raw)
            file.write(b"damaged" + magic + b"\xff\xff\xff\xff" + magic)
            file.write(magic + struct.pack("<I", len(setting.raw)) + setting.raw)
            file.write(magic + struct.pack("<I", len(setting.raw)) + setting.raw[:1000])
        setting.fresh.restart(f"-loadblock={path}")
        wait_until(lambda: setting.fresh.tip() == setting.maker.tip(), "the true block is connected")
        wait_until(lambda: not setting.fresh.rpc.gettraininginfo()["verification"]["blocks_verifying"], "all is judged")
        log = setting.fresh.log()
        for offset, raw in zip(offsets, variants):
            id_text = shown(Header.parse(raw[:HEADER_SIZE]).id())
            tap.true(f"offset {offset} is not taken" in log or f"no block at offset {offset}:" in log or
                     f"block {id_text} at height {setting.maker.height()} is invalid" in log,
                     f"the log does not tell why the block at offset {offset} was refused")
        tap.equal(setting.fresh.model_root(), setting.maker.model_root(), "model root")


def flip_on_disk(node, data):
    """Flips a bit in the middle of these bytes in the node's block files; the file's path."""
    folder = os.path.join(node.chaindir, "blocks")
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        with open(path, "r+b") as file:
            at = file.read().find(data)
            if at >= 0:
                file.seek(at + len(data) // 2)
                file.write(bytes([data[len(data) // 2] ^ 16]))
                return path
    raise AssertionError("the bytes are in none of the block files")


def check_named(node, path, what):
    lines = [line for line in node.log().splitlines() if path in line and "damaged" in line]
    tap.true(len(lines) == 1 and what in lines[0], f"the log does not name '{what}' in {path}: {lines}")


def damaged_delta_on_disk():
    """A bit of a delta flipped in a stopped node's files: audit and serving name block and file; -reindex mends it"""
    with Setting() as setting:
        node, body = setting.maker, setting.bodies[:setting.body_size]
        block, root = node.tip(), node.model_root()
        node.generate(2)
        tip = node.tip()
        node.stop()
        path = flip_on_disk(node, body)
        node.start()
        tap.equal(node.tip(), tip, "tip")
        for call in (lambda: node.rpc.auditblock(block), lambda: node.rpc.getblock(block, 0, True),
                     lambda: node.rpc.getproof(block, True), lambda: node.rpc.auditproof(block)):
            try:
                call()
            except RpcError as error:
                tap.equal(error.code, -1, f"code of '{error}'")
                tap.true(all(text in str(error) for text in (block, path, "digest")), str(error))
            else:
                raise AssertionError("the damage is not noticed")
        node.restart("-reindex")
        wait_until(lambda: node.tip() == tip, "the chain is verified again")
        check_named(node, path, f"bodies of block {block}")
        tap.equal(node.rpc.getblock(block, 0, True), setting.raw.hex(), "the block")
        tap.equal(node.rpc.getblock(block)["model_root_after"], root, "model root")
        tap.true(node.rpc.auditblock(block)["valid"], "audit")


def damaged_block_on_disk():
    """A bit of a block flipped in a stopped node's files: what needs it names block and file"""
    with Setting() as setting:
        node, block = setting.maker, setting.maker.tip()
        node.generate(2)
        node.stop()
        path = flip_on_disk(node, setting.block.transactions[0].serialise())
        node.start()
        for call in (lambda: node.rpc.auditblock(block), lambda: node.rpc.getblock(block, 0),
                     lambda: node.rpc.getproof(block)):
            try:
                call()
            except RpcError as error:
                tap.true(block in str(error) and path in str(error), str(error))
            else:
                raise AssertionError("the damage is not noticed")
        node.restart("-reindex")  # the block is lost, and what builds on it: a peer has to bring it again
        tap.true(node.height() < setting.fresh.height() + 1, "height")
        check_named(node, path, f"block {block}")
        wait_until(lambda: node.tip() == setting.parent, "the blocks before it are verified again")
        tap.equal(node.rpc.submitblock(setting.raw.hex()), None, "the true block")
        tap.equal(node.tip() == block or node.height() > setting.fresh.height(), True, "tip")


tap.main(header_bits, coinbase_bits, delta_bits, loose_bits, loaded_from_file, damaged_delta_on_disk,
         damaged_block_on_disk)
