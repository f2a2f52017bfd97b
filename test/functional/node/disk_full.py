#!/usr/bin/env python3
"""A disk that is full: the node says so, ends in order, and goes on from where it was once there is room again."""

import contextlib
import http.client
import os
import resource
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, wait_for_same_tip, wait_until
from framework.rounds import SPEC
from reference.transactions import address

MEGABYTE = 1 << 20
PAYEE = address("ratl", bytes.fromhex(KEYS[0]))


def enter_namespace():
    """Once more, with mounts of our own: nobody else sees them, a kill leaves none, and where the system allows that it takes no
    root."""
    ways = [["unshare", "--mount"]] if os.geteuid() == 0 else []
    for way in (*ways, ["unshare", "--map-root-user", "--mount"]):
        with contextlib.suppress(OSError):
            if subprocess.run([*way, "true"], capture_output=True, check=False).returncode == 0:
                os.environ["DISK_FULL_ALONE"] = "1"
                os.execvp(way[0], [*way, sys.executable, *sys.argv])


def mount(*arguments):
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextlib.contextmanager
def small_disk(node, megabytes):
    """Puts the node's data directory on a file system of its own."""
    if os.geteuid() != 0 or not mount("-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", node.datadir):
        raise tap.Skip("no file system can be mounted here")
    try:
        yield
    finally:
        if node.is_running():
            node.kill()
        subprocess.run(["umount", node.datadir], capture_output=True, check=False)


def enlarge(node):
    tap.true(mount("-o", "remount,size=200m", node.datadir), "the file system cannot be enlarged")


def fill(node):
    """All that is left, by a file that goes when there is to be room."""
    filler = os.path.join(node.datadir, "filler")
    with open(filler, "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
    return filler


def mine_until_it_ends(node):
    """The last height that was acknowledged, and its block."""
    seen = None
    try:
        while True:
            seen = node.height(), node.tip()
            node.rpc.generatetoaddress(2, PAYEE)
    except (RpcError, OSError, http.client.HTTPException) as error:
        tap.true(not isinstance(error, RpcError) or "shutting down" not in str(error), f"the caller is told why: {error}")
        return seen


def check_clean_end(node, text):
    tap.equal(node.wait_for_exit(), 1, "exit status")
    with open(node.output_path, encoding="utf-8") as file:
        lines = [line for line in file.read().splitlines() if line.startswith("Error: ")]
    tap.true(len(lines) == 1 and text in lines[0], f"no clear line with '{text}': {lines}")


def check_goes_on(node, seen):
    node.start()
    tap.true(node.height() >= seen[0], f"height {node.height()} after the start, {seen[0]} before")
    tap.equal(node.rpc.getblockhash(seen[0]), seen[1], "the block that was the tip")
    # A block may have reached the files and not the index: it is verified now.
    wait_until(lambda: not any(node.rpc.gettraininginfo(0)["verification"][name]
                               for name in ("blocks_waiting", "blocks_verifying")), "nothing is left to verify")
    before = node.height()
    node.generate(5)
    tap.equal(node.height(), before + 5, "height after mining goes on")
    tap.true(node.rpc.auditchain(10)["valid"], "audit")
    with Node(connect=[node]) as fresh:
        fresh.wait_for_height(node.height())
        tap.equal((fresh.tip(), fresh.model_root()), (node.tip(), node.model_root()), "a fresh node's tip and model")
    node.stop()
    node.start("-reindex")  # every record that the files hold is sound
    node.wait_for_height(before + 5)
    tap.true("damaged" not in node.log(), "there are damaged records")


def start_on_full_disk(node):
    """It ends at once and says why; but the database may find room first, by tidying up: then it ends at the next block."""
    node.launch()

    def is_decided():
        try:
            return node.answers()
        except AssertionError:  # it has ended
            return True

    wait_until(is_decided, "it answers or ends")
    if node.is_running():
        mine_until_it_ends(node)
    tap.equal(node.wait_for_exit(), 1, "exit status on a full disk")


def full_while_mining():
    """A file system that fills up while the node mines"""
    with Node(start=False) as node, small_disk(node, 6):
        node.start()
        node.generate(3)
        seen = mine_until_it_ends(node)
        tap.true(seen[0] > 3, "the disk was full before anything happened")
        check_clean_end(node, "No space left on device")
        start_on_full_disk(node)
        enlarge(node)
        check_goes_on(node, seen)


def full_from_one_moment():
    """A file system that is full all at once: calls that need room fail, and what they were about is not half done"""
    with Node(start=False) as node, small_disk(node, 100):
        node.start()
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
        node.generate(10)
        seen, balance = (node.height(), node.tip()), node.rpc.getbalance()
        filler = fill(node)
        for call in (lambda: node.rpc.createwallet("second"), lambda: node.rpc.contributedata(
                "", "CC0-1.0", "a title", None, os.urandom(MEGABYTE).hex())):
            try:
                call()
            except (RpcError, OSError, http.client.HTTPException) as error:
                tap.true(not isinstance(error, RpcError) or "space" in str(error) or "log" in str(error), str(error))
            else:
                raise AssertionError("the call succeeded without room")
        mine_until_it_ends(node)  # if it has not ended by now
        check_clean_end(node, "No space left on device")
        os.remove(filler)
        check_goes_on(node, seen)
        tap.true(node.rpc.getbalance() >= balance, "balance")
        node.rpc.createwallet("second")


def full_in_a_round():
    """A disk that is full once a node's runs are committed to: with room again they are disclosed, and none is struck"""
    count = SPEC["round_blocks"]
    own = count // 2  # a block may have the disclosures of all of these
    with Node(chain=SPEC["name"], start=False) as node, Node(chain=SPEC["name"], start=False) as other, small_disk(node, 100):
        for one in node, other:
            one.use_spec(SPEC)
            one.start()
        payee = address(SPEC["hrp"], bytes.fromhex(KEYS[0]))
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(own, node.rpc.getnewaddress())
        node.rpc.generatetoaddress(count - own, payee)
        node.connect(other)
        wait_until(lambda: len(other.rpc.getrawmempool()) == own, "the other has all commitments")
        filler = fill(node)
        other.rpc.generatetoaddress(1, payee)
        check_clean_end(node, "No space left on device")
        os.remove(filler)
        other.rpc.generatetoaddress(SPEC["round_work"], payee)
        node.start()
        node.connect(other)
        wait_until(lambda: len(other.rpc.getrawmempool()) == own, "the other has all disclosures")
        other.rpc.generatetoaddress(2 * count - other.height(), payee)
        wait_for_same_tip(node, other)
        tap.equal([seat["state"] for seat in node.rpc.getround(count)["seats"]], ["merged"] * own + ["empty"] * (count - own),
                  "the seats")
        tap.equal(node.model_root(), other.model_root(), "model root")


def file_too_large():
    """A limit on the size of files, met while the node mines"""
    with Node(start=False) as node:
        node.preexec = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MEGABYTE, 2 * MEGABYTE))
        node.start()
        node.generate(3)
        seen = mine_until_it_ends(node)
        tap.true(seen[0] > 3, "the limit was met before anything happened")
        check_clean_end(node, "File too large")
        node.preexec = None
        check_goes_on(node, seen)


if "DISK_FULL_ALONE" not in os.environ:
    enter_namespace()
tap.main(full_while_mining, full_from_one_moment, full_in_a_round, file_too_large)
