#!/usr/bin/env python3
"""What a node knows of rounds outlasts what may happen to it: restarts and kill -9 in the middle of one, a damaged blob, lost
snapshots, a merge that is undone, a new index; and who comes later finds the same."""

import glob
import os
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from framework.story import COPIED, FIELDS, FIRST, HONEST, LAST, OUT_OF_BOUNDS, P, SECOND, Listener, Story
from reference.hashing import blob_root, shown

MERGE = FIRST + P


class Victim(Listener):
    """Hears the right blocks, and has something happen to it between some of them."""

    def __init__(self, story):
        super().__init__(story.chain)
        self.story = story

    def hear(self, block, blobs, reason):
        height = self.chain.height()
        if reason is None and height == MERGE:
            self.spoil(blob_root(self.story.disclosure(1 + HONEST)[1]))
        if reason is None:
            super().hear(block, blobs, reason)
            self.suffer(height)

    def spoil(self, root):
        """The blob's file is another's from now on: it is needed once more, for the merge."""
        with open(os.path.join(self.node.chaindir, "blobs", root.hex()), "r+b") as file:
            file.write(bytes(32))

    def suffer(self, height):
        if height == FIRST + 4:
            for seat, found in ((HONEST, "right"), (SECOND, "right"), (COPIED, "false"), (OUT_OF_BOUNDS, "false")):
                self.node.wait_for_log(f"of the run of seat {1 + seat} is {found}")
            self.node.restart()  # the first challenge comes next
        elif height == FIRST + 5:
            self.node.kill()
            self.node.start()
        elif height == MERGE:
            self.node.wait_for_log("removing a damaged blob")


def forget_states(node):
    """All snapshots of the model go: what is needed of it is replayed."""
    node.stop()
    for path in glob.glob(os.path.join(node.chaindir, "model", "*.state")):
        os.remove(path)
    node.start()


def kept():
    """Rounds go on over restarts and damage; states after merges are replayed, audited, undone, and verified anew"""
    story = Story()
    victim = Victim(story)
    node = victim.node
    story.tell(LAST, victim.hear)
    tip = node.tip()
    for height in range(MERGE, story.chain.height(), P):
        audit = node.rpc.auditblock(node.rpc.getblockhash(height))
        tap.true(audit["valid"], f"the audit of block {height}: {audit}")
        tap.equal(audit["outcome_found"]["merge"], audit["outcome_stated"]["merge"], "the merge, as found and as stated")
        if height == MERGE:
            tap.equal(audit["outcome_found"]["merge"]["seats"][COPIED:], ["struck"] * 5 + ["empty"], "seats of the first merge")
    forget_states(node)
    tap.equal(node.tip(), tip, "the tip after a replay of all")
    node.rpc.invalidateblock(node.rpc.getblockhash(MERGE))
    tap.equal(node.height(), MERGE - 1, "the height without the first merge")
    node.rpc.reconsiderblock(shown(story.chain.branch[MERGE].header.id()))
    wait_until(lambda: node.tip() == tip, "the chain is back")
    node.restart("-reindex")
    wait_until(lambda: node.tip() == tip, "all is verified again")
    with Node(chain=FIELDS["name"], connect=[node], start=False) as late:
        late.use_spec(FIELDS)
        late.start()
        wait_for_same_tip(node, late)
    node.stop()
    node.remove()


def withheld():
    """A block that discloses bytes nobody has holds up nobody; when they come it is verified"""
    story = Story()
    listener = Listener(story.chain)
    node = listener.node
    story.tell(FIRST + 3, lambda block, blobs, reason: reason is None and listener.ask(block, blobs, reason))
    before = story.chain.tip().id()
    block, blobs = story.block(*story.right())
    with Peer(node) as peer:
        peer.send("block", block.serialise())
        peer.wait_for("getpart", lambda payload: payload[:32] in blobs)
        tap.equal(node.tip(), shown(before), "the tip while bytes are missing")
        story.append(story.block())
        listener.ask(story.chain.branch[-1], {}, None)
        listener.compare()
        listener.blobs.update(blobs)
        listener.serve(peer)
        wait_until(lambda: any(tip["hash"] == shown(block.header.id()) and tip["status"] == "valid-proofs"
                               for tip in node.rpc.getchaintips()), "the other block is verified")
    tap.equal(node.tip(), shown(story.chain.tip().id()), "the tip is who was first")
    node.remove()


tap.main(kept, withheld)
