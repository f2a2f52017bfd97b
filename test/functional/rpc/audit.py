#!/usr/bin/env python3
"""auditproof, auditblock and auditchain execute again what the chain states, and say where it differs."""

import hashlib
import os
import struct
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node
from reference.hashing import sha256, shown, stored
from reference.headers import Block, HEADER_SIZE, Header


def mined(blocks=3):
    """A node whose tip's parent has loose proofs."""
    node = Node()
    node.generate(blocks)
    while node.rpc.getblock(node.rpc.getblockhash(node.height() - 1))["nproofs"] < 2:
        node.generate(1)
    return node


def check_proof(node, report, header, block):
    """An audited proof against its header."""
    entry = next(one for one in node.rpc.getblock(block)["proofs"] if one["id"] == shown(header.id()))
    names = ("id", "seed", "digest", "found_digest", "valid", "iterations", "dataset", "slot")
    digest = header.digest.hex()
    tap.equal([report[name] for name in names],
              [shown(header.id()), shown(header.seed()), digest, digest, True, 2, entry["dataset"],
               entry["slot"]], "the report")


def check_summary(chain, blocks, proofs, skipped):
    """auditchain's summary: right and false ones, and how many were skipped for which reason."""
    summary = chain["summary"]
    tap.equal([summary[name] for name in ("blocks_checked", "blocks_right", "blocks_false")], [sum(blocks), *blocks],
              "blocks of the summary")
    tap.equal([summary[name] for name in ("proofs_executed", "proofs_right", "proofs_false")], [sum(proofs), *proofs],
              "proofs of the summary")
    tap.equal((summary["blocks_skipped"], summary["skipped"]), (sum(skipped.values()), skipped), "what was skipped")
    tap.true(summary["seconds"] >= 0, "no seconds")


def everything_right():
    """A sound chain: every proof's seed, slot, dataset, expected and found digest"""
    with mined() as node:
        block_id = node.rpc.getblockhash(node.height() - 1)
        block = Block.parse(bytes.fromhex(node.rpc.getblock(block_id, 0)))
        report = node.rpc.auditblock(block_id)
        tap.equal((report["blockhash"], report["height"], report["valid"]), (block_id, node.height() - 1, True), "audit")
        tap.equal(len(report["proofs"]), 1 + len(block.loose), "proofs")
        for index, header in enumerate([block.header, *block.loose]):
            check_proof(node, report["proofs"][index], header, block_id)
            for single in (node.rpc.auditproof(shown(header.id())), node.rpc.auditproof(block_id, index)):
                check_proof(node, single, header, block_id)
                tap.equal((single["blockhash"], single["height"]), (block_id, node.height() - 1), "its block")
        tap.equal((report["outcome_valid"], report["outcome_found"]), (True, report["outcome_stated"]), "outcome")
        outcome = node.rpc.getblock(block_id)["outcome"]
        tap.equal([(s["has_proofs"], s["left_out"], s["value"]) for s in report["outcome_found"]["slots"]],
                  [(s["proofs"] > 0, s.get("left_out", False), s.get("value", 0)) for s in outcome["slots"]],
                  "outcome as getblock shows it")
        child = node.rpc.getblockheader(node.tip())
        tap.equal((report["model_root_valid"], report["model_root_found"], report["model_root_stated"]),
                  (True, child["model_root"], child["model_root"]), "model root")
        tap.true(node.rpc.auditblock(node.tip())["valid"], "the tip, whose child does not exist yet")
        chain = node.rpc.auditchain(50)
        tap.equal((chain["valid"], chain["samples"], chain["checked"], chain["invalid"]),
                  (True, 50, len(chain["blocks"]), 0), "the chain")
        tap.equal([b["height"] for b in chain["blocks"]], sorted({b["height"] for b in chain["blocks"]}), "heights")
        proofs = sum(len(b["proofs"]) for b in chain["blocks"])
        check_summary(chain, blocks=(chain["checked"], 0), proofs=(proofs, 0), skipped={})
        tap.equal(list(chain)[-1], "summary", "what comes last")
        tap.true(f"auditchain: 1 of {chain['checked']} blocks" in node.log() and
                 f"auditchain: {chain['checked']} of {chain['checked']} blocks" in node.log(), "progress in the log")
        with tap.raises(-8, f"between 0 and {len(block.loose)} in this block, not {len(block.loose) + 1}"):
            node.rpc.auditproof(block_id, len(block.loose) + 1)
        lost = node.tip()
        node.rpc.invalidateblock(lost)
        node.generate(1, key=1)
        with tap.raises(-1, "not verified"):
            node.rpc.auditblock(lost)


class BlockFile:
    """A stopped node's first block file, to be changed behind its back, checksums and all."""

    HEAD = 21

    def __init__(self, node):
        self.path = os.path.join(node.chaindir, "blocks", "blk00000.dat")
        with open(self.path, "rb") as file:
            self.data = bytearray(file.read())
        self.magic = bytes(self.data[:4])

    def records(self):
        """(kind, where the payload begins, its size) of each."""
        at = 0
        while at + self.HEAD <= len(self.data):
            tap.equal(bytes(self.data[at:at + 4]), self.magic, "magic of a record")
            kind, size = struct.unpack_from("<BQ", self.data, at + 4)
            yield kind, at + self.HEAD, size
            at += self.HEAD + size

    def find(self, kind, block_id):
        for found, at, size in self.records():
            data = bytes(self.data[at:at + size])
            if found == kind and block_id == (Header.parse(data[:HEADER_SIZE]).id() if kind == 1 else data[:32]):
                return at, size
        raise AssertionError("no such record")

    def replace(self, at, size, data):
        tap.equal(len(data), size, "size of the new payload")
        self.data[at:at + size] = data
        head = self.data[at - self.HEAD + 4:at - 8]
        self.data[at - 8:at] = hashlib.sha256(head + data).digest()[:8]
        with open(self.path, "wb") as file:
            file.write(self.data)


def false_proof():
    """A loose proof whose body and digest were changed together: found digest and expected digest differ"""
    with mined() as node:
        height, size = node.height() - 1, node.rpc.getmodelinfo()["body_bytes"]
        block_id = node.rpc.getblockhash(height)
        node.stop()
        files, place = BlockFile(node), stored(block_id)
        at, length = files.find(2, place)
        bodies = bytearray(files.data[at:at + length])
        bodies[32 + size + 1000] ^= 1
        files.replace(at, length, bytes(bodies))
        at, length = files.find(1, place)
        block = Block.parse(bytes(files.data[at:at + length]))
        right, wrong = block.loose[0].digest, sha256(bytes(bodies[32 + size:32 + 2 * size]))
        block.loose[0] = block.loose[0].copy(digest=wrong)
        files.replace(at, length, block.serialise())
        node.start()
        report = node.rpc.auditblock(block_id)
        tap.equal((report["valid"], "model_root_found" in report), (False, False), "the audit")
        tap.equal([proof["valid"] for proof in report["proofs"][:2]], [True, False], "its proofs")
        false = report["proofs"][1]
        tap.equal((false["seed"], false["digest"], false["found_digest"]),
                  (shown(block.loose[0].seed()), wrong.hex(), right.hex()), "seed, expected and found digest")
        tap.true(false["detail"] != "", "no detail")
        tap.equal(node.rpc.auditproof(block_id, 1)["found_digest"], right.hex(), "the proof alone")
        tap.true(node.rpc.auditproof(block_id, 0)["valid"], "the block's own proof")
        # Where the false body counts, the state before the next block cannot be had any more: that is told as well.
        chain = node.rpc.auditchain(1000)
        wrong = [one for one in chain["blocks"] if not one["valid"]]
        tap.equal((chain["valid"], chain["invalid"], wrong[0]["height"]), (False, len(wrong), height), "the chain")
        tap.equal([one["height"] for one in chain["blocks"]], list(range(1, height + 2)), "blocks looked at")
        tap.true(all("state" in one["error"] for one in wrong[1:]), f"errors: {wrong[1:]}")
        executed = [proof["valid"] for one in chain["blocks"] for proof in one.get("proofs", [])]
        check_summary(chain, blocks=(height + 1 - len(wrong), 1), proofs=(executed.count(True), 1),
                      skipped={one["error"]: len(wrong) - 1 for one in wrong[1:]})
        tap.true(f"audit of block {height} found a difference" in node.log(), "the log does not tell")


def false_statement():
    """A value changed in what the next coinbase states: the outcome differs, all else is right"""
    with mined() as node:
        block_id, child_id = node.rpc.getblockhash(node.height() - 1), node.tip()
        node.stop()
        files = BlockFile(node)
        at, length = files.find(1, stored(child_id))
        child = Block.parse(bytes(files.data[at:at + length]))
        script = bytearray(child.transactions[0].outputs[-1][1])
        script[8] ^= 1  # the lowest byte of the first slot's value
        child.transactions[0].outputs[-1] = (0, bytes(script))
        files.replace(at, length, child.serialise())
        node.start()
        report = node.rpc.auditblock(block_id)
        tap.equal([report[name] for name in ("valid", "outcome_valid", "model_root_valid")], [False, False, True],
        "the audit")
        tap.true(report["outcome_found"] != report["outcome_stated"], "found and stated")
        tap.true(all(proof["valid"] for proof in report["proofs"]), "the proofs")


tap.main(everything_right, false_proof, false_statement)
