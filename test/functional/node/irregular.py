#!/usr/bin/env python3
"""Each file that a node cannot do without, and some that it can: missing, empty, cut short, with a bit flipped, and a folder, a
pipe or a device in its place. At once it either runs, at the same tip, or ends and says which file it is, or what to do."""

import glob
import os
import shutil
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until

HEIGHT = 4
KINDS = ("missing", "empty", "cut", "flipped", "folder", "pipe", "device")
WALLET_FILES = ("CURRENT", "MANIFEST*", "*.log")
NEEDED = ("blocks/blk00000.dat", "blocks/rev00000.dat", "chainstate/CURRENT", "chainstate/MANIFEST*", "chainstate/*.log", ".genesis")

# What is needed and runs all the same: what a log of the database had is read from the blocks again; a bit far from the tip is
# met by who reads it; a folder without .genesis is an older version's.
RUNS = {(".genesis", "missing"), ("chainstate/*.log", "missing"), ("chainstate/*.log", "empty"), ("chainstate/*.log", "cut"),
        ("blocks/blk00000.dat", "flipped"), ("blocks/rev00000.dat", "flipped")}


def damage(path, kind):
    with open(path, "rb") as file:
        data = file.read()
    os.remove(path)
    if kind == "folder":
        os.mkdir(path)
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        os.symlink("/dev/zero", path)
    elif kind != "missing":
        middle = len(data) // 2
        with open(path, "wb") as file:
            file.write({"empty": b"", "cut": data[:middle],
                        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:]}[kind])


class Files:
    """A stopped node's files, to be put back as they were."""

    def __init__(self, node):
        self.folder, self.good = node.chaindir, {}
        for folder, _, names in os.walk(node.chaindir):
            for name in names:
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    self.good[path] = file.read()

    def find(self, pattern):
        found = glob.glob(os.path.join(self.folder, pattern))
        tap.true(found, f"there is no {pattern}")
        return found

    def damage(self, pattern, kind):
        for path in self.find(pattern):
            damage(path, kind)

    def put_back(self):
        shutil.rmtree(self.folder)
        for path, data in self.good.items():
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as file:
                file.write(data)


def made():
    node = Node()
    for file in range(len(WALLET_FILES)):
        node.rpc.createwallet(f"w{file}")
    node.generate(HEIGHT)
    tip, root = node.tip(), node.model_root()
    node.stop()
    return node, Files(node), tip, root


def last_error(node):
    with open(node.output_path, encoding="utf-8") as file:
        return [line for line in file.read().splitlines() if line.startswith("Error: ")][-1]


def runs_at(node, tip, root):
    node.start()
    wait_until(lambda: node.tip() == tip, "the tip is the same", 30)
    tap.equal(node.model_root(), root, "model root")


def what_is_needed():
    """Of the files it needs a node says what is wrong with which, and waits for nobody"""
    node, files, tip, root = made()
    with node:
        for kind in KINDS:
            for pattern in NEEDED:
                files.damage(pattern, kind)
                if (pattern, kind) in RUNS:
                    runs_at(node, tip, root)
                    node.kill()
                else:
                    path = files.find(pattern)[0] if kind != "missing" else ""
                    node.launch()
                    tap.equal(node.wait_for_exit(30), 1, f"status with {pattern}: {kind}")
                    said = last_error(node)
                    tap.true("-reindex" in said or (path and path in said) or "-datadir" in said, f"{pattern}, {kind}: {said}")
                files.put_back()
        runs_at(node, tip, root)


def what_is_not():
    """Without snapshots, the explorer's index or a wallet a node runs, and says what it has not loaded"""
    node, files, tip, root = made()
    with node:
        for kind in KINDS:
            for pattern in ("model/*.state", "explorer/CURRENT", *(f"wallets/w{i}/{name}" for i, name in enumerate(WALLET_FILES))):
                files.damage(pattern, kind)
            runs_at(node, tip, root)
            loaded = node.rpc.listwallets()
            tap.true("w0" not in loaded and "w1" not in loaded, f"wallets that are loaded with {kind}: {loaded}")
            tap.true(f"{node.chaindir}/wallets/w0" in node.log(), "what was not loaded")
            node.kill()
            files.put_back()
        runs_at(node, tip, root)
        tap.equal(sorted(node.rpc.listwallets()), ["w0", "w1", "w2"], "wallets when all is put back")


tap.main(what_is_needed, what_is_not)
