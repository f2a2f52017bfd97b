#!/usr/bin/env python3
"""Reorganisations over a base, a beacon and a merge: what was said on one branch is refused on the other, and said anew; who
was struck there has his coins here."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from framework.rounds import SPEC
from reference.transactions import address

P = SPEC["round_blocks"]
BEACON = P + SPEC["round_work"] + 1
MERGE, CHILD = 2 * P, 2 * P + 1
OWN = P // 2  # seats of the wallet in the first round: a block may have the disclosures of all
OTHERS, ELSEWHERE = (address(SPEC["hrp"], bytes.fromhex(key)) for key in KEYS[:2])


def pair():
    """Of nodes; the first one's wallet has the first seats. Both are at the height before the base."""
    miner, other = [Node(chain=SPEC["name"], start=False) for _ in range(2)]
    for node in miner, other:
        node.use_spec(SPEC)
        node.start()
    miner.rpc.createwallet("w")
    miner.connect(other)
    mine_to(miner, OWN, miner.rpc.getnewaddress())
    mine_to(miner, P - 1, OTHERS)
    wait_for_same_tip(miner, other)
    return miner, other


def mine_to(node, height, payee):
    while node.height() < height:
        node.rpc.generatetoaddress(1, payee)


def waiting(node):
    """The round transactions of a mempool: {id: what it says}"""
    return {txid: node.rpc.getrawtransaction(txid, 1)["round"] for txid in node.rpc.getrawmempool()}


def wait_for_offers(kind, *nodes):
    for node in nodes:
        wait_until(lambda node=node: [said["kind"] for said in waiting(node).values()] == [kind] * OWN,
                   f"the mempool is the {kind}s of all own seats")


def seats(node, what):
    return [seat.get(what) for seat in node.rpc.getround(P)["seats"][:OWN]]


def facts(node):
    """What depends on the branch."""
    return {"tip": node.tip(), "model_root": node.model_root(), "coins": node.rpc.gettxoutsetinfo()["total_amount"],
            "seats": node.rpc.getround(P)["seats"]}


def shared(*nodes):
    """The same, of all; whose own a seat is, each says for himself."""
    wait_for_same_tip(*nodes)
    found = [facts(node) for node in nodes]
    for seat in [seat for one in found for seat in one["seats"]]:
        del seat["own"]
    tap.equal(found[1:], found[:1] * (len(nodes) - 1), "the others' facts")
    return found[0]


def base():
    """Commitments name their base: with another one they are refused, dropped, and made again"""
    miner, other = pair()
    miner.disconnect(other)
    mine_to(miner, P, OTHERS)
    wait_for_offers("commit", miner)
    first, roots = miner.tip(), {said["root"] for said in waiting(miner).values()}
    old = {txid: miner.rpc.getrawtransaction(txid) for txid in waiting(miner)}
    mine_to(other, P + 1, ELSEWHERE)
    for raw in old.values():
        with tap.raises(-26, "bad-round-signature"):
            other.rpc.sendrawtransaction(raw)
    miner.connect(other)  # which sends them, too
    wait_for_same_tip(miner, other)
    wait_for_offers("commit", miner, other)
    tap.true(not set(old) & set(waiting(miner)), "those of the first base are gone")
    mine_to(other, P + 2, ELSEWHERE)
    wait_for_same_tip(miner, other)
    tap.equal(seats(miner, "state"), ["committed"] * OWN, "seats of the other base")
    # Back to the first base, whose runs are trained already.
    for node in miner, other:
        node.rpc.invalidateblock(node.rpc.getblockhash(P))
    wait_until(lambda: miner.tip() == first, "the first base is back")
    wait_for_offers("commit", miner)
    tap.equal({said["root"] for said in waiting(miner).values()}, roots, "traces of the first base")
    mine_to(miner, P + 1, OTHERS)
    wait_for_same_tip(miner, other)
    tap.equal(seats(other, "state"), ["committed"] * OWN, "seats of the first base")


def beacon():
    """Another beacon draws other segments: what was disclosed before is disclosed anew, and each branch merges and pays its own"""
    miner, other = pair()
    mine_to(miner, P, OTHERS)
    wait_for_offers("commit", miner, other)
    mine_to(miner, BEACON - 1, OTHERS)
    wait_for_same_tip(miner, other)
    miner.disconnect(other)
    mine_to(miner, BEACON, OTHERS)
    wait_for_offers("disclosure", miner)
    mine_to(miner, BEACON + 1, OTHERS)
    first = miner.tip()
    drawn, blobs = seats(miner, "drawn_segment"), seats(miner, "blob")
    # The other's branch is longer, and has another block for the beacon until the drawn segments are others.
    payees = (address(SPEC["hrp"], bytes.fromhex(key)) for key in KEYS)
    while other.height() < BEACON or seats(other, "drawn_segment") == drawn:
        if other.height() == BEACON:
            other.rpc.invalidateblock(other.tip())
        other.rpc.generatetoaddress(1, next(payees))
    mine_to(other, BEACON + 2, ELSEWHERE)
    miner.connect(other)
    wait_for_same_tip(miner, other)
    wait_for_offers("disclosure", miner, other)
    mine_to(other, BEACON + 3, ELSEWHERE)
    wait_for_same_tip(miner, other)
    tap.equal(seats(miner, "state"), ["disclosed"] * OWN, "seats on the other branch")
    tap.true(seats(miner, "blob") != blobs, "it is not what was disclosed before")
    mine_to(other, CHILD, ELSEWHERE)
    after_second = shared(miner, other)
    tap.equal([seat["paid"] for seat in after_second["seats"]], [True] * OWN + [False] * (P - OWN), "who is paid")
    # Back to the first branch, which the other has not had yet, and to the second again.
    second = miner.rpc.getblockhash(BEACON)
    for node in miner, other:
        node.rpc.invalidateblock(second)
    wait_until(lambda: {node.tip() for node in (miner, other)} == {first}, "the first branch is back")
    tap.equal((seats(other, "drawn_segment"), seats(other, "blob")), (drawn, blobs), "segments and bytes of the first branch")
    mine_to(miner, CHILD, OTHERS)
    after_first = shared(miner, other)
    tap.equal([seat["paid"] for seat in after_first["seats"]], [True] * OWN + [False] * (P - OWN), "who is paid there")
    for node in miner, other:
        node.rpc.invalidateblock(node.rpc.getblockhash(BEACON))
        node.rpc.reconsiderblock(second)
    wait_until(lambda: miner.tip() == after_second["tip"] == other.tip(), "the second branch is back")
    tap.equal(shared(miner, other), after_second, "facts of the second branch")
    for node in miner, other:
        audit = node.rpc.auditblock(node.rpc.getblockhash(MERGE))
        tap.true(audit["valid"], f"the audit of the merge: {audit}")
    # Who has only ever seen one branch comes to the same.
    with Node(chain=SPEC["name"], connect=[other], start=False) as late:
        late.use_spec(SPEC)
        late.start()
        tap.equal(shared(miner, late), after_second, "what a stranger finds")


def stakes(node):
    """Of the own seats, those whose miner has what his block paid him."""
    coinbases = [node.rpc.getblock(node.rpc.getblockhash(height))["tx"][0] for height in range(1, OWN + 1)]
    return [height for height, txid in enumerate(coinbases, 1) if node.rpc.gettxout(txid, 0) is not None]


def merge():
    """Two branches merge the same round, one with runs that nobody disclosed on the other: strikes and pay go and come back"""
    miner, other = pair()
    mine_to(miner, P, OTHERS)
    wait_for_offers("commit", miner, other)
    mine_to(miner, BEACON - 1, OTHERS)
    wait_for_same_tip(miner, other)
    miner.disconnect(other)
    mine_to(miner, BEACON, OTHERS)
    other.rpc.submitblock(miner.rpc.getblock(miner.tip(), 0))
    wait_for_offers("disclosure", miner)
    mine_to(miner, CHILD, OTHERS)
    mine_to(other, CHILD + 1, ELSEWHERE)
    with Node(chain=SPEC["name"], start=False) as friend:
        friend.use_spec(SPEC)
        friend.start()
        friend.connect(miner)
        with_runs = shared(miner, friend)
        tap.equal([seat["paid"] for seat in with_runs["seats"]], [True] * OWN + [False] * (P - OWN), "who is paid")
        tap.equal(stakes(miner), list(range(1, OWN + 1)), "stakes")
        friend.disconnect(miner)
        tap.equal(stakes(other), [], "stakes where nobody disclosed")
        miner.connect(other)
        struck = shared(miner, other)
        tap.equal([seat["state"] for seat in struck["seats"]], ["struck"] * OWN + ["empty"] * (P - OWN), "the other branch")
        tap.equal(stakes(miner), [], "stakes over there")
        # Back, by work again, and by one who has seen no disclosure yet.
        mine_to(friend, CHILD + 3, OTHERS)
        friend.connect(other)
        tap.equal(shared(friend, miner, other)["seats"], with_runs["seats"], "seats")
        for node in miner, other:
            tap.equal(stakes(node), list(range(1, OWN + 1)), "stakes that came back")
            audit = node.rpc.auditblock(node.rpc.getblockhash(MERGE))
            tap.true(audit["valid"], f"the audit of the merge: {audit}")
    for node in miner, other:
        node.remove()


tap.main(base, beacon, merge)
