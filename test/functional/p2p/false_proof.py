#!/usr/bin/env python3
"""Who sends a false proof is dropped, the reason is logged, and nobody else is harmed."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from reference import messages
from reference.hashing import sha256, shown
from reference.headers import Block

REASON = "bad-proof-digest"


def next_block(maker):
    """A right block on the maker's tip that nobody else has: the maker's network is off meanwhile."""
    maker.rpc.setnetworkactive(False)
    maker.generate(1)
    return Block.parse(bytes.fromhex(maker.rpc.getblock(maker.tip(), 0)))


def variants(header):
    """The same header with one bit of the digest flipped, then with digests that have nothing to do with it."""
    for bit in range(256):
        digest = bytearray(header.digest)
        digest[bit // 8] ^= 1 << bit % 8
        yield header.copy(digest=bytes(digest))
    for i in range(1000):
        yield header.copy(digest=sha256(b"%d" % i))


def setting():
    maker, honest = Node(), Node()
    victim = Node(connect=[honest])
    honest.generate(2)
    wait_for_same_tip(honest, victim)
    maker.rpc.addnode(honest.address, "onetry")
    wait_for_same_tip(maker, honest)
    return maker, honest, victim


def check_unharmed(victim, honest, tip):
    """The victim still talks to its honest peer and follows it."""
    tap.equal(victim.tip(), tip, "tip of the victim")
    tap.equal(victim.rpc.getconnectioncount(), 1, "connections of the victim")
    tap.equal(victim.rpc.listbanned(), [], "bans: behind loopback are honest peers too")
    honest.generate(1)
    wait_for_same_tip(honest, victim)
    with Peer(victim) as peer:  # new connections from the same address are taken
        peer.sync()


def false_block():
    """A block whose digest is wrong, though its ticket is right"""
    maker, honest, victim = setting()
    with maker, honest, victim:
        tip = victim.tip()
        block = next_block(maker)
        block.header = next(header for header in variants(block.header) if header.is_block())
        with Peer(victim) as liar:
            liar.send("headers", messages.headers_payload(block.header))
            liar.wait_for("getdata", lambda payload: block.header.id() in payload)
            tap.equal(victim.tip(), tip, "tip before the block is there")
            liar.send("block", block.serialise())
            liar.wait_for_close()
        victim.wait_for_log(REASON)
        false_id = shown(block.header.id())
        states = {one["hash"]: one["status"] for one in victim.rpc.getchaintips()}
        tap.equal(states.get(false_id), "invalid", "status of the false block")
        tap.true(false_id not in honest.log(), "the false block is not passed on")
        check_unharmed(victim, honest, tip)
        # Whoever comes with it again is not believed, and the block is not executed again.
        executed = victim.rpc.gettraininginfo()["verification"]["proofs_executed"]
        with Peer(victim) as other:
            other.send("block", block.serialise())
            other.sync()
        tap.equal(victim.rpc.gettraininginfo()["verification"]["proofs_executed"], executed, "proofs executed")


def another_nonce():
    """A step gives one ticket and no more: another nonce under the same digest makes another, which nothing backs"""
    maker, honest, victim = setting()
    with maker, honest, victim:
        tip = victim.tip()
        block = next_block(maker)
        right = block.header
        block.header = next(one for one in (right.copy(nonce=nonce) for nonce in range(1000))
                            if one.is_block() and one.nonce != right.nonce)
        with Peer(victim, source="127.0.0.2") as liar:
            liar.send("block", block.serialise())
            liar.wait_for_close()
        victim.wait_for_log(REASON)
        tap.equal((victim.tip(), [one["address"] for one in victim.rpc.listbanned()]), (tip, ["127.0.0.2/32"]),
                  "tip, and who is discouraged")
        honest.generate(1)
        wait_for_same_tip(honest, victim)


def unasked_block():
    """The same, sent without being asked for"""
    maker, honest, victim = setting()
    with maker, honest, victim:
        tip = victim.tip()
        block = next_block(maker)
        block.header = next(header for header in variants(block.header) if header.is_block())
        with Peer(victim) as liar:
            liar.send("block", block.serialise())
            liar.wait_for_close()
        victim.wait_for_log(REASON)
        check_unharmed(victim, honest, tip)


def false_loose_proof():
    """A loose proof with one bit of its digest flipped"""
    maker, honest, victim = setting()
    with maker, honest, victim:
        tip = victim.tip()
        header = next_block(maker).header
        false = next(one for one in variants(header) if one.is_share(4) and not one.is_block())
        with Peer(victim) as liar, Peer(honest) as listener:
            liar.send("proof", false.serialise())
            liar.wait_for_close()
            victim.wait_for_log(REASON)
            listener.sync()
            tap.equal(listener.count("proof"), 0, "proofs passed on")
        tap.equal(victim.rpc.gettraininginfo()["loose_proofs"], 0, "loose proofs kept")
        with Peer(victim) as other:  # it is known to be false now: no execution is needed
            other.send("proof", false.serialise())
            other.wait_for_close()
        victim.wait_for_log("already found false")
        check_unharmed(victim, honest, tip)


def right_loose_proof():
    """A right proof is executed, kept, and passed on to everybody else"""
    maker, honest, victim = setting()
    with maker, honest, victim:
        wait_until(lambda: honest.rpc.getconnectioncount() >= 1, "the nodes are connected")
        proof = None
        while proof is None:  # a block's own header is no loose proof, but what its maker found on the way is
            block = next_block(maker)
            loose = [one for one in block.loose if not one.is_block()]
            if loose:
                proof = loose[0]
            else:
                honest.rpc.submitblock(block.serialise().hex())
                wait_for_same_tip(maker, honest, victim)
        with Peer(victim) as sender, Peer(honest) as listener, Peer(victim) as near:
            sender.send("proof", proof.serialise())
            tap.equal(listener.wait_for("proof"), proof.serialise(), "the proof at the honest node's peer")
            near.wait_for("proof")
            tap.equal(sender.count("proof"), 0, "proofs sent back")
            tap.equal(victim.rpc.gettraininginfo()["loose_proofs"], 1, "loose proofs kept")
            peers = {one["addr"]: one for one in victim.rpc.getpeerinfo()}
            tap.equal(peers[sender.name]["proofs_valid"], 1, "right proofs counted")
            # One that comes later is offered it.
            with Peer(victim) as late:
                late.wait_for("inv", lambda payload: proof.id() in payload)
                late.send("getdata", messages.inventory_payload((messages.INVENTORY_PROOF, proof.id())))
                tap.equal(late.wait_for("proof"), proof.serialise(), "the proof on request")


def wrong_in_other_ways():
    """Headers without work, headers that do not follow each other, and a block that is not its header's"""
    maker, honest, victim = setting()
    with maker, honest, victim:
        tip = victim.tip()
        block = next_block(maker)
        workless = next(one for one in variants(block.header) if not one.is_block())
        misplaced = block.header.copy(bits=block.header.bits - 1)
        for command, payload, reason in (
                ("headers", messages.headers_payload(workless), "high-hash"),
                ("headers", messages.headers_payload(block.header, block.header), "do not follow each other"),
                *(("proof", next(one for one in variants(misplaced) if one.is_block() == of_a_block).serialise(),
                   "bad-proof-parent") for of_a_block in (True, False))):
            with Peer(victim) as liar:
                liar.send(command, payload)
                liar.wait_for_close()
            victim.wait_for_log(reason)
        changed = Block(block.header, block.transactions + block.transactions[:1], block.loose)
        with Peer(victim) as liar:
            liar.send("headers", messages.headers_payload(block.header))
            liar.wait_for("getdata")
            liar.send("block", changed.serialise())
            liar.wait_for_close()
        # The header itself is right: its block is still taken from who has it.
        with Peer(victim) as good:
            good.send("headers", messages.headers_payload(block.header))
            good.wait_for("getdata")
            good.send("block", block.serialise())
            wait_until(lambda: victim.tip() == shown(block.header.id()), "the right block is connected")
            tap.true(not good.closed, "who sent the right block stays")
        wait_for_same_tip(honest, victim)
        check_unharmed(victim, honest, honest.tip())
        tap.true(victim.tip() != tip, "the chain has grown")


tap.main(false_block, another_nonce, unasked_block, false_loose_proof, right_loose_proof, wrong_in_other_ways)
