#!/usr/bin/env python3
"""Bytes of runs that are lost or damaged after a block has disclosed them: made again from the trace, or fetched from a
peer; and where nobody has them the node says so, and which."""

import errno
import os
import shutil
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import wait_until
from framework.rounds import (BEACON, LAST_DISCLOSURE, P, commit_runs, disclose_runs, kill_and_restart, mine_to, new_node,
                              wait_for_offers, wait_for_state, with_wallet)
from reference.hashing import blob_root

MERGE = 2 * P
FAULTS = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faults.so")
READ, LOOK = 32, 64  # test/unit/faults.h


def disclosed(node):
    """The roots of the first round's disclosures."""
    return [seat["blob"] for seat in node.rpc.getround(P)["seats"]]


def path_of(node, root):
    return os.path.join(node.chaindir, "blobs", root)


def damage(node, root):
    with open(path_of(node, root), "r+b") as file:
        file.seek(100)
        file.write(b"damage")


def is_sound(node, root):
    try:
        with open(path_of(node, root), "rb") as file:
            return blob_root(file.read()).hex() == root
    except FileNotFoundError:
        return False


def wait_until_sound(node, roots):
    wait_until(lambda: all(is_sound(node, root) for root in roots), "the bytes are here again")


def with_disclosed():
    node = with_wallet()
    commit_runs(node)
    disclose_runs(node)
    return node, disclosed(node)


def warnings(node):
    return node.rpc.getnetworkinfo()["warnings"]


def assert_merged(node):
    mine_to(node, MERGE + 1)
    verdicts = {seat["state"] for seat in node.rpc.getround(P)["seats"]}
    tap.true(verdicts <= {"merged", "left out"}, f"all runs are true: {verdicts}")
    wait_until(lambda: warnings(node) == [], "no warning is left")


def made_again_from_the_trace():
    """What a node's own run has disclosed is made again from the trace, after a kill and while it runs"""
    node, roots = with_disclosed()
    node.kill()
    os.remove(path_of(node, roots[1]))
    damage(node, roots[2])
    node.start("-wallet=w")
    wait_until_sound(node, roots)
    kill_and_restart(node)
    mine_to(node, MERGE - 1)
    os.remove(path_of(node, roots[0]))
    damage(node, roots[3])
    assert_merged(node)
    wait_until_sound(node, roots)


def asked_for_again():
    """Others' bytes are fetched from a peer as soon as it shows that they are lost, and not when the merge needs them"""
    node, roots = with_disclosed()
    other = new_node()
    other.connect(node)
    other.wait_for_height(node.height())
    other.stop()
    os.remove(path_of(other, roots[4]))
    damage(other, roots[5])
    other.start(f"-addnode={node.address}")
    wait_until_sound(other, roots)
    tap.equal(other.height(), node.height(), "nothing was mined for that")
    assert_merged(node)
    other.wait_for_height(node.height())
    tap.equal(other.model_root(), node.model_root(), "the model")


def cut_short():
    """A file that was cut short accuses nobody: who trained the run makes it anew, who did not fetches it, -reindex too"""
    node = with_wallet()
    commit_runs(node)
    mine_to(node, P + BEACON)
    wait_for_offers(node)
    other = new_node()
    other.connect(node)
    wait_for_offers(other)
    roots = sorted(os.listdir(os.path.join(node.chaindir, "blobs")))
    for one, root in (node, roots[0]), (other, roots[1]):
        one.stop()
        os.truncate(path_of(one, root), 50)
    node.start("-wallet=w")
    wait_for_offers(node)
    other.start(f"-addnode={node.address}")
    wait_for_offers(other)
    wait_until_sound(other, roots)
    mine_to(node, P + LAST_DISCLOSURE)
    wait_for_state(node, "disclosed")
    assert_merged(node)
    other.wait_for_height(node.height())
    other.stop()
    os.truncate(path_of(other, roots[2]), 50)
    other.start("-reindex", f"-addnode={node.address}")
    wait_until(lambda: other.tip() == node.tip(), "all is verified again")
    wait_until_sound(other, roots)


def bad_place():
    """A file that cannot be opened for a while is tried again; one on a bad place of the disk is fetched from a peer"""
    if not os.path.exists(FAULTS):
        raise tap.Skip("faults.so has not been built")
    node, roots = with_disclosed()
    mine_to(node, MERGE - 1)
    other = new_node("-debug=model")
    other.connect(node)
    other.wait_for_height(MERGE - 1)
    wait_until(lambda: other.log().count(" is right") == P, "all are audited")
    other.stop()
    control = os.path.join(other.root, "faults")
    other.environment = {"LD_PRELOAD": FAULTS, "FAULTS": control}

    def set_fault(calls, error, times):
        with open(control, "w", encoding="utf-8") as file:
            file.write(f"{calls} {error} 0 {times} 0 {roots[3]}")

    set_fault(LOOK, errno.EMFILE, 0)
    other.start(f"-addnode={node.address}")
    assert_merged(node)
    wait_until(lambda: any(f"Block {MERGE} " in text and roots[3] in text for text in warnings(other)), "a warning says so")
    set_fault(READ, errno.EIO, 1)  # a worker's look
    other.wait_for_height(node.height())
    wait_until(lambda: warnings(other) == [], "no warning is left")
    other.wait_for_log("The bytes of a run cannot be read: ")
    other.wait_for_log("removing a damaged blob")
    other.wait_for_log(f"sent blob {roots[3]}")
    tap.equal(other.model_root(), node.model_root(), "the model")
    wait_until_sound(other, roots)


def nobody_has_them():
    """Without trace and peers the node says which bytes are missing, mines nothing for nothing, and goes on when they come"""
    node, roots = with_disclosed()
    other = new_node()
    other.connect(node)
    other.wait_for_height(node.height())
    other.disconnect(node)
    node.stop()
    shutil.rmtree(os.path.join(node.chaindir, "runs"))
    os.remove(path_of(node, roots[6]))
    node.start("-wallet=w")

    def is_named(texts):
        return any(roots[6] in text and f"block {MERGE} " in text for text in texts)

    wait_until(lambda: is_named(warnings(node)), "a warning names the bytes")
    for _ in range(2):
        with tap.raises(-32603, roots[6]):
            node.rpc.generatetoaddress(2, node.own)
    tap.equal([(tip["height"], tip["status"]) for tip in node.rpc.getchaintips()], [(MERGE - 1, "active")], "branches")
    # A file that goes while the node runs shows when the merge reads it: one block is found for that, and no second.
    os.remove(path_of(node, roots[7]))
    other.connect(node)
    wait_until_sound(node, [roots[6]])
    other.disconnect(node)
    for _ in range(2):
        with tap.raises(-32603, roots[7]):
            node.rpc.generatetoaddress(2, node.own)
    tap.equal(sorted(tip["height"] for tip in node.rpc.getchaintips()), [MERGE - 1, MERGE], "branches")
    other.connect(node)
    node.wait_for_height(MERGE)
    assert_merged(node)


def a_replay_names_them():
    """A start that has to replay a merge whose bytes are lost says which, and what to do; with them it goes on"""
    node, roots = with_disclosed()
    assert_merged(node)
    merged = [seat["blob"] for seat in node.rpc.getround(P)["seats"] if seat["state"] == "merged"][-1]
    tip, root = node.tip(), node.model_root()
    node.stop()
    for name in os.listdir(os.path.join(node.chaindir, "model")):
        os.remove(os.path.join(node.chaindir, "model", name))
    os.rename(path_of(node, merged), os.path.join(node.root, "aside"))
    node.launch("-wallet=w")
    tap.equal(node.wait_for_exit(), 1, "exit status")
    with open(node.output_path, encoding="utf-8") as file:
        said = file.read()
    tap.true(merged in said and "-reindex" in said and "Put the file back" in said, f"it names file and remedy: {said}")
    os.rename(os.path.join(node.root, "aside"), path_of(node, merged))
    node.start("-wallet=w")
    tap.equal((node.tip(), node.model_root()), (tip, root), "tip and model")


tap.main(a_replay_names_them, made_again_from_the_trace, asked_for_again, cut_short, bad_place, nobody_has_them)
