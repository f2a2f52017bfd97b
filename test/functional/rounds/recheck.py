#!/usr/bin/env python3
"""A node with idle cores executes the runs of others again, and challenges a forged segment that nobody's draw shows
(doc/protocol.md section 20)."""

import hashlib
import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip, wait_until
from framework.rounds import SPEC
from reference.transactions import address

P = SPEC["round_blocks"]
BEACON = P + SPEC["round_work"] + 1
DISCLOSED = BEACON + SPEC["round_reveal"]
OTHERS = [address(SPEC["hrp"], bytes.fromhex(key)) for key in KEYS[:2]]
CHEAT, FORGED = 3, 1  # height of the seat; its segment that nobody has trained
CHALLENGED = f"a challenge showed its segment {FORGED} false, and what its block earned is lost"
SEATS = range(1, P + 1)


def new_node(*options, connect=()):
    node = Node(*options, chain=SPEC["name"], connect=connect, start=False)
    node.use_spec(SPEC)
    node.start()
    return node


def mine_to(node, height, payee=None):
    while node.height() < height:
        node.rpc.generatetoaddress(1, payee or OTHERS[0])


def wait_for_states(node, state):
    wait_until(lambda: [run["state"] for run in node.rpc.getruns()] == [state] * P, f"all runs are {state}")


def forge(node):
    """A jump where a segment should be. What comes after it is trained from there, and so is right."""
    folder = os.path.join(node.chaindir, "runs")
    run = next(os.path.join(folder, name) for name in os.listdir(folder) if name.startswith(f"{CHEAT}-"))
    with open(os.path.join(run, str(FORGED + 1)), "r+b") as file:
        code = bytearray(file.read()[:-32])
        code[1] = code[1] + 1 if code[1] < 100 else code[1] - 1
        file.seek(0)
        file.write(bytes(code) + hashlib.sha256(code).digest())
    for number in range(FORGED + 2, SPEC["segments"] + 1):
        os.remove(os.path.join(run, str(number)))
    os.remove(os.path.join(run, "signature"))


def disclosed(node, forges, draws=False):
    """All seats are the wallet's, and their runs are disclosed; of the forged one that segment is drawn, or another one."""
    node.rpc.createwallet("w")
    mine_to(node, P, node.rpc.getnewaddress())
    wait_for_states(node, "committing")
    if forges:
        node.stop()
        forge(node)
        node.start("-wallet=w")
        wait_for_states(node, "committing")
    wait_until(lambda: node.rpc.getmempoolinfo()["size"] == P, "all commitments wait")
    mine_to(node, BEACON)
    disclose(node, draws)


def disclose(node, draws=False):
    while (seats(node)[CHEAT]["drawn_segment"] == FORGED) != draws:
        node.rpc.invalidateblock(node.tip())
        node.rpc.generatetoaddress(1, OTHERS[1])
    wait_until(lambda: node.rpc.getmempoolinfo()["size"] >= P, "all disclosures wait")
    mine_to(node, BEACON + 2)
    tap.true({seat["state"] for seat in seats(node).values()} <= {"disclosed", "challenged"}, "the seats")


def seats(node):
    return {seat["height"]: seat for seat in node.rpc.getround(P)["seats"]}


def rechecked(node):
    return {height: seat["rechecked"] for height, seat in seats(node).items() if "rechecked" in seat}


def problems(node):
    """What this node's own runs of the round are told to have gone wrong."""
    return {run["height"]: run["problem"] for run in node.rpc.getruns() if run["base"] == P and "problem" in run}


def found_false(node):
    return {height: seat["false_segment"] for height, seat in seats(node).items() if "false_segment" in seat}


def verdicts(node):
    return {height: seat["state"] for height, seat in seats(node).items()}


def forged_segments_are_found():
    """Who rechecks all finds a forged segment that was not drawn and has its run struck, after a reorganisation too"""
    with new_node() as node, new_node("-recheck=1") as watcher:
        disclosed(node, True)
        watcher.connect(node)
        wait_for_same_tip(node, watcher)
        wait_until(lambda: len(rechecked(watcher)) == P and "challenge" in seats(watcher)[CHEAT], "all are rechecked")
        txid = seats(watcher)[CHEAT]["challenge"]
        wait_until(lambda: node.rpc.getrawmempool() == [txid], "others have the challenge")
        honest = {height: SPEC["segments"] for height in SEATS if height != CHEAT}
        wait_until(lambda: {**rechecked(watcher), **honest} == rechecked(watcher), "honest runs to their end")
        tap.equal(found_false(watcher), {CHEAT: FORGED}, "false segments")
        told = watcher.rpc.getrounds(1)[0]
        tap.equal((told["rechecked"], told["found_false"]), (sum(rechecked(watcher).values()), 1), "in all")
        tap.true(any(f"1 of the runs that began with block {P} " in text for text in watcher.rpc.getnetworkinfo()["warnings"]), "it warns")
        watcher.wait_for_log(f"Segment {FORGED} of the run of block {CHEAT} is false: challenged")
        tap.equal((rechecked(node), "rechecked" in node.rpc.getrounds(1)[0]), ({}, False), "who was not told to")
        mine_to(node, BEACON + 3)
        wait_for_same_tip(node, watcher)
        tap.equal(verdicts(watcher)[CHEAT], "challenged", "the seat")
        tap.equal(problems(node), {CHEAT: CHALLENGED}, "its owner is told why it will be struck")
        # The branch goes, with what was drawn and disclosed on it: what was found is found again on another.
        undone = node.rpc.getblockhash(BEACON)
        node.rpc.invalidateblock(undone)
        node.rpc.generatetoaddress(1, OTHERS[1])
        disclose(node)
        watcher.rpc.invalidateblock(undone)
        wait_for_same_tip(node, watcher)
        wait_until(lambda: verdicts(node)[CHEAT] == "challenged" or txid in node.rpc.getrawmempool(), "it is challenged")
        mine_to(node, 2 * P + 1, OTHERS[1])
        tap.equal({height for height, state in verdicts(node).items() if state == "struck"}, {CHEAT}, "who is struck")
        tap.equal(problems(node), {CHEAT: CHALLENGED}, "its owner is told why")
        wait_for_same_tip(node, watcher)
        tap.equal(verdicts(watcher), verdicts(node), "verdicts")
        wait_until(lambda: watcher.rpc.getnetworkinfo()["warnings"] == [], "the warning ends with the round")


def honest_runs_are_not_accused():
    """Of honest runs all segments are rechecked in vain, or the share that was asked for"""
    with new_node() as node, new_node("-recheck=1", connect=[node]) as watcher, \
            new_node("-recheck=0.28125", connect=[node]) as half:
        disclosed(node, False)
        wait_for_same_tip(node, watcher, half)
        whole = dict.fromkeys(SEATS, SPEC["segments"])
        wait_until(lambda: rechecked(watcher) == whole, "all are rechecked")
        # 9 of 32: two runs, and of a third the first segment.
        wait_until(lambda: sorted(rechecked(half).values()) == [1, 4, 4], "a part of them")
        mine_to(node, 2 * P + 1)
        wait_for_same_tip(node, watcher, half)
        for one in watcher, half:
            tap.equal((found_false(one), one.rpc.getrounds(2)[1]["found_false"]), ({}, 0), "found false")
            tap.true("struck" not in verdicts(one).values(), "nobody is struck")
            tap.equal(one.rpc.getnetworkinfo()["warnings"], [], "warnings")
        # What a restart forgets is not begun again for a round that is over.
        watcher.restart()
        tap.equal(rechecked(watcher), {}, "after a restart")


def without_it_nothing_is_done():
    """With -recheck=0 and without it a forged segment that was not drawn passes"""
    with new_node() as node, new_node("-recheck=0", connect=[node]) as other:
        disclosed(node, True)
        mine_to(node, 2 * P + 1)
        wait_for_same_tip(node, other)
        for one in node, other:
            tap.equal((rechecked(one), found_false(one)), ({}, {}), "what was rechecked")
            tap.true("struck" not in verdicts(one).values(), "nobody is struck")
        tap.equal(other.rpc.getrawmempool(), [], "no challenge")


def drawn_segment_is_false():
    """Whose run shows a forged segment is told that it was struck for that, after a restart too"""
    with new_node() as node:
        disclosed(node, True, True)
        tap.equal(problems(node), {}, "before the verdict")
        mine_to(node, 2 * P + 1)
        tap.equal({height for height, state in verdicts(node).items() if state == "struck"}, {CHEAT}, "who is struck")
        told = {CHEAT: f"its segment {FORGED}, the drawn one, is false, and what its block earned is lost"}
        tap.equal(problems(node), told, "its owner is told why")
        node.restart()
        tap.equal(problems(node), told, "after a restart")


tap.main(drawn_segment_is_false, forged_segments_are_found, honest_runs_are_not_accused, without_it_nothing_is_done)
