#!/usr/bin/env python3
"""What is found out about segments on a branch that breaks rules: it says nothing of other branches."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.story import FIRST, HONEST, NONE, P, Listener, Story
from reference.hashing import blob_root
from reference.round_tx import CHALLENGE, DISCLOSURE, RoundTransaction, most_of
from reference.signatures import public_key

SEAT = 1 + HONEST
BEACON = FIRST + 2


def go_on(chain, block):
    """Appends a block that is not judged: one that breaks rules, or is not to be looked at."""
    coins, _ = chain.spend(block)
    chain.go_on(block, [chain.judge_step(proof, chain.height()) for proof in block.proofs()], coins, {})
    chain.register(block, {})
    chain.draw()


def other_beacon(fork, drawn):
    """Mines it until another segment is drawn."""
    for secret in range(10, 100):
        beacon = fork.fork()
        go_on(beacon, beacon.child(public_key(secret)))
        if beacon.audited(SEAT) != drawn:
            return beacon
    raise AssertionError("no such beacon")


def doomed_branch(fork, disclosed):
    """From the beacon to the merge. One block has more disclosures than a block may: the last one shows what another branch drew."""
    filler = RoundTransaction(DISCLOSURE, 1 + NONE, disclosed.number, disclosed.root)
    crowd = [filler] * most_of(fork.spec, DISCLOSURE) + [disclosed]
    go_on(fork, fork.child(public_key(7), [one.transaction() for one in crowd]))
    while fork.height() < FIRST + P - 1:
        go_on(fork, fork.child(public_key(7)))
    return [*fork.branch[BEACON:], fork.child(public_key(7))]


def disclosed_alone(story, listener):
    """One honest run is disclosed; up to the last block that may have a challenge of it. The chain before that block."""
    main, before_last = story.chain, None
    while main.height() < FIRST + P - 1:
        before_last = main.fork()
        pair = story.block(*[story.disclosure(SEAT)] if main.height() == BEACON else [])
        story.append(pair)
        listener.hear(*pair, None)
    return before_last


def doomed():
    """A run that fails the audit of a branch which is refused has failed nowhere else: a challenge of it is false"""
    story = Story()
    listener = Listener(story.chain)
    story.tell(FIRST + 1, lambda block, blobs, reason: reason or listener.hear(block, blobs, reason))
    fork, main = story.chain.fork(), story.chain
    before_last = disclosed_alone(story, listener)
    fork = other_beacon(fork, main.audited(SEAT))
    drawn = fork.audited(SEAT)
    branch = doomed_branch(fork, story.disclosure(SEAT)[0])
    for block in branch[:-1]:
        listener.ask(block, {}, "inconclusive")
    # The merge has more work than the tip, and is executed; then the branch is held to its rules.
    listener.ask(branch[-1], {}, "bad-prevblk")
    listener.compare()
    listener.node.rpc.invalidateblock(listener.node.tip())
    blob = story.codes[SEAT][drawn]
    false = RoundTransaction(CHALLENGE, SEAT, drawn, blob_root(blob))
    block = before_last.child(public_key(7), [false.transaction()])
    listener.ask(block, {false.root: blob}, "bad-round-challenge")
    listener.node.remove()


tap.main(doomed)
