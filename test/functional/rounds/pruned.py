#!/usr/bin/env python3
"""A node that prunes goes on as any other, through ends of every kind, as far back as it keeps things, and says what it has
not got any more; who joins late needs somebody who has it."""

import glob
import os
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import rounds, tap
from framework.node import wait_for_same_tip, wait_until
from framework.rounds import P, mine_to, play_round

# The least model there is: some hundred blocks are mined and executed again and again.
SPEC = {**rounds.SPEC, "d": 16, "layers": 1, "heads": 1, "ff": 16, "batch": 1, "iterations": 1, "bench_rows": 1, "segment": 1}
LEAST = 128 + 2 * P
DEPTH = 100  # blocks that a switch may undo
PRUNED = f"-prune={LEAST}"
FIRST_RUNS = 2  # rounds whose runs are trained
HEIGHT = LEAST + 4 * P
KILLS = 6
OLD = 2 * P + 4  # height of a snapshot, in a round whose first runs are disclosed there


def new_node(*options):
    return rounds.new_node(*options, spec=SPEC)


def with_wallet(*options):
    return rounds.with_wallet(*options, spec=SPEC)


def info(node):
    return node.rpc.getblockchaininfo()


def files(node, folder):
    return {os.path.basename(path) for path in glob.glob(os.path.join(node.chaindir, folder, "*"))}


def block_room(node):
    """Bytes that block files take on the disk, whatever their length."""
    return sum(os.stat(path).st_blocks * 512 for path in glob.glob(os.path.join(node.chaindir, "blocks", "blk*")))


def seats(node):
    """Of the first round; not whose own they are."""
    return [{**seat, "own": None} for seat in node.rpc.getround(P)["seats"]]


def hash_at(node, height):
    return node.rpc.getblockhash(height)


def proof_body(node, height):
    return node.rpc.getproof(hash_at(node, height), True)["body"]


def says_pruned(node, known):
    """Whoever asks for what is gone is told so, and gets all that is not gone."""
    gone = info(node)["prune_height"] - 1
    for call, *arguments in (("getproof", hash_at(node, gone), True), ("getblock", hash_at(node, 1), 0, True),
                             ("auditblock", hash_at(node, gone)), ("auditproof", hash_at(node, 1)), ("auditrun", 1),
                             ("getround", P, True)):
        with tap.raises(-1, "is pruned"):
            getattr(node.rpc, call)(*arguments)
    with tap.raises(-20, "is pruned"):
        node.rpc.invalidateblock(hash_at(node, gone))
    tap.equal(node.rpc.getblock(hash_at(node, 1), 2), known["block"], "a block")
    tap.equal(node.rpc.getproof(hash_at(node, 1)), known["proof"], "a proof")
    tap.equal(seats(node), known["seats"], "seats of a round")
    tap.equal(proof_body(node, gone + 1), known["bodies"][gone + 1], "the first body that is here")
    tap.true(node.rpc.auditblock(hash_at(node, gone + 2))["valid"], "an audit of the second block that is here")
    audits = node.rpc.auditchain(20)
    tap.true(audits["valid"] and all(one["height"] > gone for one in audits["blocks"]), "audits of blocks that are here")


def known_of(node):
    return {"block": node.rpc.getblock(hash_at(node, 1), 2), "proof": node.rpc.getproof(hash_at(node, 1)),
            "seats": seats(node),
            "bodies": {height: proof_body(node, height) for height in range(1, node.height() + 1)}}


def refuses_to_start(node, option, text):
    node.launch(option)
    tap.true(node.wait_for_exit() != 0, f"it does not start with {option}")
    with open(node.output_path, encoding="utf-8") as file:
        tap.true(text in file.read(), f"it says {text}")


def kills(node):
    """An old folder is pruned, up to a snapshot that it has, by a process that is killed again and again; what is left is whole."""
    blobs = files(node, "blobs")
    node.stop()
    before = block_room(node)
    for kill in range(KILLS):
        node.start(PRUNED)
        time.sleep(kill / 10)  # somewhere within the first steps, or before
        node.kill()
    node.start(PRUNED)
    tap.true(node.rpc.auditblock(hash_at(node, info(node)["prune_height"] + 1))["valid"], "what is not pruned is whole")
    wait_until(lambda: info(node)["prune_height"] == OLD + 1, "it is pruned up to the snapshot")
    wait_until(lambda: files(node, "blobs") < blobs, "bytes of runs are gone")
    wait_until(lambda: before - block_room(node) > before // 20, "bodies are gone")


def reorganise(node, other):
    """Onto a branch of another that leaves as far below the tip as is done without asking."""
    node.disconnect(other)
    old = other.height()
    other.rpc.invalidateblock(hash_at(other, old - DEPTH + 1))
    other.rpc.generatetoaddress(DEPTH + 1, other.own)
    node.connect(other)
    wait_until(lambda: node.tip() == other.tip(), "the longer branch is taken", 120)
    tap.equal(node.height(), old + 1, "the height")
    tap.equal(node.model_root(), other.model_root(), "the model on the other branch")
    tap.true(node.rpc.auditblock(hash_at(node, old - DEPTH + 1))["valid"], "an audit of its first block")


def newcomer(pruned, full):
    """He gets every block of one who prunes, and old bytes of runs only from who has them."""
    with new_node() as late:
        late.connect(pruned)
        wait_until(lambda: any("all of them are pruned" in text for text in info(late)["warnings"]), "it says what it lacks", 120)
        tap.true(late.height() < FIRST_RUNS * P, "it waits where the first runs are disclosed")
        tap.equal([peer["services"] for peer in late.rpc.getpeerinfo()], [f"{1 << 10:016x}"], "what one who prunes says he has")
        late.connect(full)
        wait_for_same_tip(late, pruned)
        tap.equal(late.model_root(), pruned.model_root(), "the newcomer's model")
        wait_until(lambda: info(late)["warnings"] == [], "nothing is missing any more")


def pruned():
    """Pruned from the first sync on: it mines, audits, ends and begins again, reorganises, and says what is gone"""
    full = with_wallet()
    for base in range(P, (1 + FIRST_RUNS) * P, P):
        play_round(full, base)
    full.rpc.generatetoaddress(HEIGHT - full.height(), full.own)
    tap.equal((info(full)["pruned"], "prune_height" in info(full)), (False, False), "who keeps all")
    known = known_of(full)
    node = with_wallet(PRUNED)
    node.connect(full)
    wait_for_same_tip(node, full)
    wait_until(lambda: info(node)["prune_height"] > 2 * P, "the first rounds are pruned")
    wait_until(lambda: files(node, "blobs") < files(full, "blobs"), "bytes of the first runs are gone")
    wait_until(lambda: info(node)["size_on_disk"] < info(full)["size_on_disk"], "it takes less room")
    tap.true(all(int(name[:8]) >= info(node)["prune_height"] - 1 for name in files(node, "model")), "snapshots that are left")
    says_pruned(node, known)
    gone = info(node)["prune_height"]
    node.rpc.generatetoaddress(P, node.own)
    wait_for_same_tip(node, full)
    node.restart("-wallet=w")
    node.connect(full)
    reorganise(node, full)
    node.kill()
    node.start("-wallet=w")
    node.connect(full)
    tap.true(info(node)["prune_height"] >= gone, "it is pruned as far as before")
    play_round(node, node.height() // P * P + P)
    wait_for_same_tip(node, full)
    newcomer(node, full)
    node.remove()
    full.remove()


def old_folder():
    """A folder that has all is pruned through kills; without -prune it is not opened; -reindex makes it whole with another's help"""
    full = with_wallet()
    play_round(full, P)
    with new_node("-snapshotinterval=1000") as node:
        for height in OLD, LEAST, HEIGHT:
            mine_to(full, height)
            node.connect(full)
            wait_for_same_tip(node, full)
            node.restart()  # the end leaves a snapshot
        kills(node)
        pruned_blobs = files(node, "blobs")
        node.stop()
        refuses_to_start(node, "-prune=0", "is pruned here")
        refuses_to_start(node, f"-prune={LEAST - 1}", f"at least {LEAST} blocks")
        node.start("-reindex")
        node.wait_for_log("lack their bodies")
        node.connect(full)
        wait_until(lambda: node.tip() == full.tip(), "all is verified again", 120)
        tap.equal(info(node)["pruned"], False, "it is pruned no more")
        tap.equal(proof_body(node, 1), proof_body(full, 1), "a body that is made again")
        tap.true(files(node, "blobs") > pruned_blobs, "bytes of runs are here again")
    full.remove()


tap.main(pruned, old_folder)
