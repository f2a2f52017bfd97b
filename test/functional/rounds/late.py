#!/usr/bin/env python3
"""Who joins a chain with rounds late finds what all others found, of them or of one another; believes nothing that the chain
says of a round that is over; and so does a node that makes its index anew."""

import functools
import os
import shutil
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import give
from framework.story import (CHALLENGED, COPIED, FIELDS, FIRST, HONEST, LAST, NONE, P, SECOND, SILENT, Listener, Story,
                             secret_of)
from reference.hashing import shown
from reference.merge import EMPTY, LEFT_OUT, MERGED, STRUCK, Statement
from reference.signatures import public_key

MERGE = FIRST + P
ABOVE = 2  # blocks above a lie: more work than the honest chain has


class RightStory(Story):
    """Without the blocks that break a rule."""

    def wrongs(self, right):
        return ()


class Told:
    """The story, told once for both cases: the blocks of the whole of it, and the chain at the merge."""

    def __init__(self):
        story, self.pairs = RightStory(), []
        self.genesis = story.chain.fork()
        story.tell(MERGE, self.keep)
        self.merged = story.chain.fork()
        story.tell(LAST, self.keep)

    def keep(self, block, blobs, reason):
        tap.equal(reason, None, "of a right block")
        self.pairs.append((block, blobs))

    def listener(self, height):
        """A node that was shown the blocks up to there."""
        listener = Listener(self.genesis)
        for block, blobs in self.pairs[:height]:
            listener.ask(block, blobs, None)
        return listener


told = functools.cache(Told)


def late_node(*connect):
    node = Node(chain=FIELDS["name"], connect=connect, start=False)
    node.use_spec(FIELDS)
    node.start()
    return node


def facts(node):
    """What all nodes agree on: tip, model, coins, and what became of each run."""
    return {"tip": node.tip(), "model_root": node.model_root(), "coins": node.rpc.gettxoutsetinfo(),
            "rounds": [node.rpc.getround(base) for base in range(P, node.height() + 1, P)]}


def lose(node, *folders):
    node.stop()
    for folder in folders:
        shutil.rmtree(os.path.join(node.chaindir, folder))


def lost_database(node, known):
    """It does not begin anew beside files that it has; told to, it makes all anew, though it is killed meanwhile."""
    lose(node, "chainstate", "model")
    node.launch()
    tap.true(node.wait_for_exit() != 0, "it does not start")
    with open(node.output_path, encoding="utf-8") as file:
        tap.true("-reindex" in file.read(), "it says what helps")
    node.start("-reindex")
    wait_until(lambda: node.height() > FIRST, "it is in the middle of the rounds")
    node.kill()
    node.start()
    wait_until(lambda: node.tip() == known["tip"], "all is verified again")
    tap.equal(facts(node), known, "what is found once more")


def lost_blobs(node, peer, known):
    """Bytes of runs are asked for where the chain is verified anew without them."""
    blobs = os.path.join(node.chaindir, "blobs")
    names = sorted(os.listdir(blobs))
    tap.true(names, "there are bytes of runs")
    lose(node, "blobs")
    node.start("-reindex")
    wait_until(lambda: node.height() == FIRST + 3, "it waits for the first disclosures")
    peer.start()
    wait_until(lambda: node.tip() == known["tip"], "all is verified again")
    tap.equal(facts(node), known, "what is found with the bytes of others")
    tap.equal(sorted(os.listdir(blobs)), names, "bytes of runs")
    peer.stop()


def joined_late():
    """Merges, struck seats and a void one: the same by whoever has them, from a peer, a late one, or files of one's own"""
    full = told().listener(LAST).node
    known = facts(full)
    tap.equal([one["void"] for one in full.rpc.getrounds()[1:]], [True, False, False], "rounds, the newest first")
    late = late_node(full)
    for height in range(FIRST + 3, MERGE + 1):
        wait_until(lambda height=height: late.height() >= height, f"height {height}")
        late.kill()
        late.start()
    wait_for_same_tip(full, late)
    tap.equal(facts(late), known, "what a late one finds, through kills")
    full.stop()
    later = late_node(late)
    wait_for_same_tip(late, later)
    tap.equal(facts(later), known, "what one finds of him alone")
    late.stop()
    lost_database(later, known)
    lost_blobs(later, late, known)
    for node in full, late, later:
        node.remove()


def say(seat, state):
    """Of one seat."""
    def lie(chain):
        seats = list(chain.merged.seats)
        tap.true(seats[seat] != state, "it is a lie")
        seats[seat] = state
        chain.merged = Statement(chain.merged.void, seats)
    return lie


def say_void(chain):
    chain.merged = Statement(not chain.merged.void, chain.merged.seats)


def merge_nothing(chain):
    """And say so."""
    parent, tip = chain.states[-2:]
    tap.true(parent != tip, "something was merged")
    chain.states[-1] = parent
    chain.merged = Statement(True, [LEFT_OUT if seat == MERGED else seat for seat in chain.merged.seats])


LIES = {
    "an honest run is left out": ("bad-cb-outcome", say(HONEST, LEFT_OUT)),
    "a silent one never committed": ("bad-cb-outcome", say(SILENT, EMPTY)),
    "an empty seat is struck": ("bad-cb-outcome", say(NONE, STRUCK)),
    "a merge is void": ("bad-cb-outcome", say_void),
    "a copied run is true": ("bad-cb-outputs", say(COPIED, MERGED)),
    "a challenged run is true": ("bad-cb-outputs", say(CHALLENGED, LEFT_OUT)),
    "an honest run is struck": ("bad-cb-outputs", say(SECOND, STRUCK)),
    "nothing is merged": ("bad-model-root", merge_nothing),
}


def lies():
    """What a longer chain says falsely of a round that is over is found out by who joins late; the honest one is taken"""
    listener = told().listener(MERGE + 1)
    honest = facts(listener.node)
    for what, (reason, lie) in LIES.items():
        forged = told().merged.fork()
        lie(forged)
        for height in range(MERGE + 1, MERGE + 2 + ABOVE):
            forged.judge(forged.child(public_key(secret_of(height))))
        node = late_node()
        give(node, "127.0.0.2", forged.branch[1:], lambda: reason in node.log(), f"{reason} is found where {what}", listener.blobs)
        tap.equal(node.height(), MERGE, "what is right of it is taken")
        node.connect(listener.node)
        wait_for_same_tip(listener.node, node)
        tap.equal(facts(node), honest, f"what is true where {what}")
        statuses = {one["hash"]: one["status"] for one in node.rpc.getchaintips()}
        tap.equal(statuses[shown(forged.tip().id())], "invalid", "the longer chain")
        node.stop()
        node.remove()
    listener.node.remove()


tap.main(joined_late, lies)
