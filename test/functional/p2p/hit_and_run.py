#!/usr/bin/env python3
"""One address sends false proofs and bodies that nobody can execute, leaves, and comes back.

It gets one step for a block and one for a loose proof, is blamed though it has left, and no byte of it reaches the disk.
The attacker comes from 127.0.0.2; 127.0.0.1 is this machine's own address, which is never discouraged. `contrib/hit-and-run`
does the same for a minute and measures.
"""

import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from reference import messages
from reference.hashing import sha256, shown
from reference.headers import Block, Header
from reference.transactions import Transaction, payee

ATTACKER, STRANGER = "127.0.0.2", "127.0.0.3"
CONNECTIONS = 30
JUNK = 3900000      # bytes of a block, nearly as many as there may be
BRANCH = 24         # false blocks above one another


def mined(steps=1):
    """Two nodes with the same chain, and what the first mines further for itself."""
    # As many places as the attack takes: that an address has few is another test's (places.py).
    maker, victim = Node(), Node(f"-maxinboundperaddress={CONNECTIONS}")
    maker.generate(2)
    maker.rpc.addnode(victim.address, "onetry")
    wait_for_same_tip(maker, victim)
    wait_until(lambda: victim.rpc.getconnectioncount() == 1, "the nodes are connected")
    maker.rpc.setnetworkactive(False)
    maker.generate(steps)
    blocks = [Block.parse(bytes.fromhex(maker.rpc.getblock(maker.rpc.getblockhash(height), 0)))
              for height in range(3, 3 + steps)]
    return maker, victim, blocks


def grind(header, accept):
    """The header with made-up digests until its ticket is right, which costs next to nothing."""
    for number in range(1 << 20):
        one = header.copy(digest=sha256(b"%d" % number))
        if accept(one):
            return one
    raise AssertionError("no ticket was found")


def false_block(block, number):
    return Block(grind(block.header.copy(nonce=number), Header.is_block), block.transactions, block.loose)


def false_proof(block, number):
    return grind(block.header.copy(nonce=number), lambda one: one.is_share(4) and not one.is_block())


def false_branch(first, above):
    """False blocks above one another, each as large as may be but the first."""
    branch = [false_block(first, 0)]
    for number in range(BRANCH):
        below = branch[-1].header
        junk = Transaction(2, [(sha256(b"%d" % number), 0, b"", 0, [bytes(JUNK)])], [(1, payee(bytes.fromhex(KEYS[0])))])
        block = Block(below.copy(prev=below.id(), time=below.time + 1), above.transactions + [junk])
        block.header.tx_root, block.header.proofs_root = block.tx_root(), block.proofs_root()
        block.header = grind(block.header, Header.is_block)
        branch.append(block)
    return branch


def steps(node):
    """Proofs that the node has executed."""
    counts = node.rpc.gettraininginfo()["verification"]
    return counts["proofs_executed"], counts["proofs_false"]


def idle(node):
    counts = node.rpc.gettraininginfo()["verification"]
    return not (counts["blocks_verifying"] or counts["proofs_verifying"])


def block_bytes(node):
    folder = os.path.join(node.chaindir, "blocks")
    return sum(os.path.getsize(os.path.join(folder, name)) for name in os.listdir(folder))


def strike(node, payloads, connections):
    """Hit and run: connects, sends, and goes without waiting for anything. False: it was not let in."""
    try:
        peer = Peer(node, source=ATTACKER)
    except (AssertionError, OSError):
        return False
    connections.append(peer)
    for command, payload in payloads:
        peer.send(command, payload)
    return True


def leave(connections):
    """Ends the sending first: what is on its way arrives."""
    for peer in connections:
        try:
            peer.socket.shutdown(1)
        except OSError:
            pass
    for peer in connections:
        peer.wait_for_close()
        peer.close()


def blamed(node):
    return [one["address"] for one in node.rpc.listbanned()]


def connect_honest(maker, victim, block):
    maker.rpc.setnetworkactive(True)
    maker.rpc.addnode(victim.address, "onetry")
    wait_until(lambda: victim.tip() == shown(block.header.id()), "the honest block is connected")


def false_proofs():
    """False blocks and proofs over 30 connections that have left: one step each is executed, and the address is blamed"""
    maker, victim, (block,) = mined()
    with maker, victim:
        right, wrong = steps(victim)
        connections, refused = [], 0
        for number in range(CONNECTIONS):
            payloads = [("block", false_block(block, number).serialise()),
                        ("proof", false_proof(block, number).serialise())]
            refused += not strike(victim, payloads, connections)
        leave(connections)
        wait_until(lambda: blamed(victim) == [ATTACKER + "/32"], "the address is discouraged, and no other")
        wait_until(lambda: idle(victim), "nothing is left to be executed")
        right_after, wrong_after = steps(victim)
        tap.equal(right_after, right, "right proofs")
        tap.true(1 <= wrong_after - wrong <= 2, f"false proofs executed: {wrong_after - wrong}")
        tap.true(not strike(victim, [], []), "the attacker is not let in again")
        with Peer(victim, source=STRANGER) as peer:
            peer.sync()
        connect_honest(maker, victim, block)
        tap.equal(steps(victim)[1], wrong_after, "false proofs executed")


def asked(peer, branch):
    """What the node has asked for so far, and may have: never the first block of the branch."""
    with peer.changed:
        wanted = [item for command, payload in peer.heard if command == "getdata"
                  for _, item in messages.parse_inventory(payload)]
    return {block.header.id(): block for block in branch[1:] if block.header.id() in wanted}


def serve(peer, branch):
    """Answers until the node asks for no more; how many blocks it was."""
    served = set()
    while True:
        new = {item: block for item, block in asked(peer, branch).items() if item not in served}
        if not new:
            return len(served)
        for block in new.values():
            peer.send("block", block.serialise())
        served |= set(new)
        peer.sync()  # all of it is dealt with
        peer.sync()  # and what follows from that is on its way here


def bodies():
    """Bodies above a block that does not come: no byte is written, and of 96 MB the node asks for 16 at most"""
    maker, victim, (first, above) = mined(2)
    branch = false_branch(first, above)
    with maker, victim:
        before = block_bytes(victim)
        with Peer(victim, source=ATTACKER) as peer:
            peer.send("headers", messages.headers_payload(*(block.header for block in branch)))
            peer.wait_for("getdata")
            served = serve(peer, branch)
            tap.true(2 <= served <= 4, f"bodies taken: {served}")
            tap.true(block_bytes(victim) - before < 1 << 20, "the disk has grown")
        wait_until(lambda: not victim.rpc.gettraininginfo()["verification"]["blocks_waiting"], "his bodies are forgotten")
        tap.equal(steps(victim)[1], 0, "false proofs executed")
        connect_honest(maker, victim, above)
        # Two honest blocks may have 4k loose proofs each, of some 45 KB.
        tap.true(block_bytes(victim) - before < 4 << 20, "the disk has grown")


def main():
    tap.main(false_proofs, bodies)


if __name__ == "__main__":
    main()
