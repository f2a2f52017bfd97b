#!/usr/bin/env python3
"""Late proofs: nobody's proof is lost, none is paid twice, and leaving out the proofs of others gains nothing."""

import functools
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, end_all, wait_for_same_tip, wait_until
from framework.p2p import Peer
from reference import messages
from reference.hashing import shown, stored
from reference.headers import Block, Header
from reference.reward import late_worth, proof_worth
from reference.spec import built_in

SPEC = built_in("regtest")


class Full(Exception):
    """By chance a miner found as many loose proofs as a block takes, so that there was no room for late ones."""


def again(case):
    """The case, from its beginning where that happens: one block in a hundred."""
    @functools.wraps(case)
    def tried():
        for _ in range(5):
            try:
                return case()
            except Full:
                end_all()
        raise AssertionError("full blocks in each of five tries")
    return tried


def mine(node, count=1, key=0, payee=None):
    blocks = node.generate(count, key) if payee is None else node.rpc.generatetoaddress(count, payee)
    for block in blocks:
        told = node.rpc.getblock(block)
        if told["nproofs"] - 1 + told["nlate"] >= 4 * SPEC.k:
            raise Full


def setting():
    """A rival on his own, and two others who talk to each other; all have the same tip."""
    rival, miner = Node(), Node()
    other = Node(connect=[miner])
    mine(miner)
    rival.connect(miner)
    wait_for_same_tip(rival, miner, other)
    rival.rpc.setnetworkactive(False)
    return rival, miner, other


def stale_proofs(rival, count):
    """Right proofs for his tip's child that nobody else has seen: of blocks of his that are taken back at once."""
    headers = []
    while len(headers) < count:
        block = stored(rival.generate(1, key=1)[0])
        headers.append(Header.parse(bytes.fromhex(rival.rpc.getblockheader(shown(block), False))))
        rival.rpc.invalidateblock(shown(block))
    return headers


def late_of(node, height):
    return node.rpc.getblock(node.rpc.getblockhash(height))["late"]


def listed(node):
    """The ids of all proofs of the active chain."""
    blocks = [node.rpc.getblock(node.rpc.getblockhash(height)) for height in range(1, node.height() + 1)]
    return [proof["id"] for block in blocks for proof in block["proofs"] + block["late"]]


def check_paid_once(node):
    ids = listed(node)
    tap.equal(len(ids), len(set(ids)), "proofs that are on the chain twice")


def worths(node, height):
    """What the second implementation says that a loose proof of that block is worth, and each of its late ones."""
    bucket = worth = 0
    for at in range(1, height + 1):
        block = node.rpc.getblock(node.rpc.getblockhash(at))
        backs = [at - 1 - proof["parent_height"] for proof in block["late"]]
        worth, bucket = proof_worth(SPEC, at, bucket, len(block["proofs"]) - 1, backs)
    return worth, [late_worth(worth, back) for back in backs]


def check_pay(node, height):
    """Every late proof of the block gets its worth less a sixteenth, by the block's coinbase."""
    _, late = worths(node, height)
    told = late_of(node, height)
    tap.equal([proof["reward"] * 10 ** 8 for proof in told], [worth - worth // 16 for worth in late], "pay of late proofs")
    block = Block.parse(bytes.fromhex(node.rpc.getblock(node.rpc.getblockhash(height), 0)))
    tap.equal([proof["id"] for proof in told], [shown(header.id()) for header in block.late], "late proofs")


def offer(node, *headers):
    """Sends proofs, one after the other, and waits until each is a candidate."""
    with Peer(node, source="127.0.0.3") as peer:
        for header in headers:
            before = node.rpc.getmininginfo()["late_proofs"]
            peer.send("proof", header.serialise())
            wait_until(lambda: node.rpc.getmininginfo()["late_proofs"] == before + 1, "the proof is a candidate")


@again
def left_out():
    """What one miner leaves out is passed on, and paid by the next, a sixteenth less than in time"""
    rival, miner, other = setting()
    with rival, miner, other:
        header, = stale_proofs(rival, 1)
        mine(miner)  # without the rival's proof, which it has not seen
        wait_for_same_tip(miner, other)
        offer(miner, header)
        wait_until(lambda: other.rpc.getmininginfo()["late_proofs"] >= 1, "the proof reaches the other miner")
        with Peer(other) as newcomer:
            newcomer.wait_for("inv", lambda payload: header.id() in payload)
            newcomer.send("getdata", messages.inventory_payload((messages.INVENTORY_PROOF, header.id())))
            tap.equal(newcomer.wait_for("proof"), header.serialise(), "the proof on request")
        mine(other, key=2)
        wait_for_same_tip(miner, other)
        told = {proof["id"]: proof for proof in late_of(miner, 3)}[shown(header.id())]
        tap.equal((told["parent_height"], float(told["worth"])), (1, 0.9375), "its parent, and its worth")
        check_pay(other, 3)
        loose_worth, _ = worths(other, 3)
        worth = loose_worth * 15 // 16
        tap.equal(told["reward"] * 10 ** 8, worth - worth // 16, "its pay is a sixteenth less than that of a loose proof")
        proof = other.rpc.getproof(shown(header.id()), True)
        tap.equal((proof["height"], proof["parent_height"], "body" in proof), (3, 1, False), "where it is")
        audit = miner.rpc.auditproof(shown(header.id()))
        tap.equal((audit["valid"], audit["found_digest"]), (True, header.digest.hex()), "its audit")
        # What it got is money.
        coinbase = miner.rpc.getblock(miner.tip(), 2)["tx"][0]
        paid = [out["value"] for out in coinbase["vout"] if out["scriptPubKey"]["hex"] == "5120" + KEYS[1]]
        tap.true(told["reward"] in paid, "an output of the coinbase pays it")
        # It is known, and not taken, executed or paid again, nor is one that a block listed in time; by a node that has
        # only the chain to know them from neither.
        loose = [one for height in (2, 3) for one in Block.parse(bytes.fromhex(
            miner.rpc.getblock(miner.rpc.getblockhash(height), 0))).proofs()]
        other.restart()
        for node in (miner, other):
            executed = node.rpc.gettraininginfo()["verification"]["proofs_executed"]
            with Peer(node, source="127.0.0.3") as peer:
                for one in (header, *loose):
                    peer.send("proof", one.serialise())
                peer.sync()
            tap.equal(node.rpc.getmininginfo()["late_proofs"], 0, "candidates")
            mine(node)
            wait_for_same_tip(miner, other)
            tap.equal(node.rpc.gettraininginfo()["verification"]["proofs_executed"], executed, "proofs executed")
        check_paid_once(miner)


@again
def stale_block():
    """The own proof of a block that lost its place is paid, with those that it had listed"""
    rival, miner, other = setting()
    with rival, miner, other:
        rival.rpc.createwallet("w")
        mine(rival, payee=rival.rpc.getnewaddress())
        lost = rival.tip()
        proofs = {proof["id"] for proof in rival.rpc.getblock(lost)["proofs"]}
        mine(miner, 2)
        wait_for_same_tip(miner, other)
        rival.rpc.setnetworkactive(True)
        wait_for_same_tip(rival, miner, other)
        for node in (rival, miner, other):
            wait_until(lambda: node.rpc.getmininginfo()["late_proofs"] == len(proofs), "all know them as candidates")
        mine(other, key=2)
        wait_for_same_tip(rival, miner, other)
        told = late_of(miner, 4)
        tap.equal({proof["id"] for proof in told}, proofs, "late proofs")
        tap.equal({(proof["parent_height"], float(proof["worth"])) for proof in told}, {(1, 0.75)}, "their worth")
        check_pay(rival, 4)
        check_paid_once(rival)
        tap.equal(rival.rpc.getbalances()["mine"]["immature"], sum(proof["reward"] for proof in told), "what its wallet has")
        tap.equal({one["category"] for one in rival.rpc.listtransactions() if one["confirmations"] == 1}, {"immature"},
                  "what its wallet calls it")


@again
def worth_by_age():
    """Worth falls with age: 15/16, 3/4, then 1/2; what is older is neither executed nor taken, and nobody is blamed"""
    rival, miner, other = setting()
    with rival, miner, other:
        *headers, passed = stale_proofs(rival, 7)
        mine(miner)
        for header, worth in zip(headers, (0.9375, 0.75, 0.5, 0.5, 0.5, 0.5)):
            offer(miner, header)
            mine(miner)
            told, = late_of(miner, miner.height())
            tap.equal((told["id"], told["parent_height"], float(told["worth"])), (shown(header.id()), 1, worth), "worth")
            check_pay(miner, miner.height())
        executed = miner.rpc.gettraininginfo()["verification"]["proofs_executed"]
        with Peer(miner) as peer:
            peer.send("proof", passed.serialise())
            peer.sync()
        verification = miner.rpc.gettraininginfo()["verification"]
        tap.equal((verification["proofs_executed"], verification["proofs_verifying"]), (executed, 0), "proofs executed")
        tap.equal(miner.rpc.getmininginfo()["late_proofs"], 0, "candidates")
        wait_for_same_tip(miner, other)
        check_paid_once(other)


@again
def two_branches():
    """Two branches may pay the same proof; the one that stays has paid it once"""
    rival, miner, other = setting()
    with rival, miner, other:
        header, = stale_proofs(rival, 1)
        mine(miner)
        wait_for_same_tip(miner, other)
        offer(miner, header)
        wait_until(lambda: other.rpc.getmininginfo()["late_proofs"] >= 1, "the proof reaches the other miner")
        miner.rpc.setnetworkactive(False)
        mine(miner)
        mine(other, 2, key=2)
        proof = shown(header.id())
        for node in (miner, other):
            tap.true(proof in [one["id"] for one in late_of(node, 3)], "each branch pays it")
        miner.rpc.setnetworkactive(True)
        wait_for_same_tip(miner, other)
        tap.equal(miner.height(), 4, "the longer branch")
        mine(miner)
        wait_for_same_tip(miner, other)
        tap.equal(listed(miner).count(proof), 1, "how often it is paid")
        check_paid_once(miner)
        # What the shorter branch had is listed late, its own proof too.
        tap.true(len(late_of(miner, 5)) >= 1, "proofs of the branch that lost")
        check_pay(miner, 5)


@again
def false_proof():
    """Who sends a false late proof is dropped and discouraged; it is neither kept nor passed on"""
    rival, miner, other = setting()
    with rival, miner, other:
        header, = stale_proofs(rival, 1)
        mine(miner, 2)
        wait_for_same_tip(miner, other)
        false = header.copy(digest=bytes([header.digest[0] ^ 1]) + header.digest[1:])
        with Peer(miner, source="127.0.0.2") as liar, Peer(other) as listener:
            liar.send("proof", false.serialise())
            liar.wait_for_close()
            miner.wait_for_log("bad-proof-digest")
            listener.sync()
            tap.equal(listener.count("proof"), 0, "proofs passed on")
        tap.equal((miner.rpc.getmininginfo()["late_proofs"], [one["address"] for one in miner.rpc.listbanned()]),
                  (0, ["127.0.0.2/32"]), "candidates, and who is discouraged")


tap.main(left_out, stale_block, worth_by_age, two_branches, false_proof)
