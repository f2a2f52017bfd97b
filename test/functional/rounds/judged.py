#!/usr/bin/env python3
"""A chain of three rounds as the second implementation makes it, judged by it and by a real node."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip
from framework.story import CHALLENGED, COPIED, FIELDS, FIRST, LAST, OUT_OF_BOUNDS, P, Listener, Story


def struck(chain):
    """Heights of the blocks whose miners lost their coins."""
    return [height for height, block in enumerate(chain.branch[1:], 1)
            if (block.transactions[0].txid(), 0) not in chain.coins]


def detour(story, listener):
    """After the first strikes the node goes over to a branch without the challenge, and comes back."""
    main, other = story.chain, story.before_challenge
    story.chain = other
    while other.height() <= main.height():
        story.append(story.block())
    slips = other.audited(1 + CHALLENGED) != 0
    tap.equal(1 + CHALLENGED in struck(other), not slips, "whether the forged run is struck without a challenge")
    listener.show_branch(other, FIRST + 5)
    story.chain = main
    first = main.height() + 1
    while main.height() <= other.height():
        story.append(story.block(*story.right()))
    listener.show_branch(main, first)


def judged():
    """The judge and a real node take the chain of three rounds, and refuse each wrong block for its reason"""
    story = Story()
    listener = Listener(story.chain)
    story.tell(2 * P + 1, listener.hear)
    tap.equal(struck(story.chain), [1 + seat for seat in range(COPIED, OUT_OF_BOUNDS + 1)], "who lost his coin")
    detour(story, listener)
    story.tell(LAST, listener.hear)
    listener.node.restart()
    listener.compare()
    with Node(chain=FIELDS["name"], connect=[listener.node], start=False) as late:
        late.use_spec(FIELDS)
        late.start()
        wait_for_same_tip(listener.node, late)
        tap.equal(late.model_root(), listener.node.model_root(), "state of who comes late")
    listener.node.remove()


tap.main(judged)
