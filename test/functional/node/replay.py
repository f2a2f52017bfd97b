#!/usr/bin/env python3
"""contrib/replay: a recorded chain is replayed to equal ends, and one coin that differs is noticed."""

import os
import shutil
import subprocess
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import daemon_path
from reference.document import SOURCE

SCRIPT = os.path.join(SOURCE, "contrib", "replay")
BLOCKS = 40


def replay(*arguments):
    """Exit status and what it said."""
    build = [] if arguments[0] == "compare" else [f"--builddir={os.path.dirname(daemon_path())}"]
    run = subprocess.run([sys.executable, SCRIPT, *arguments, *build], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                         text=True)
    return run.returncode, run.stdout


def expect(status, text, *arguments):
    found, said = replay(*arguments)
    tap.equal(found, status, f"status of {arguments[0]}, which said: {said}")
    tap.true(text in said, f"'{text}' is not in: {said}")


def change_line(path):
    """Another digit at the end of the first line, which is an amount's or a script's."""
    with open(path) as file:
        lines = file.read().splitlines()
    lines[0] = lines[0][:-1] + ("0" if lines[0][-1] != "0" else "1")
    with open(path, "w") as file:
        file.write("\n".join([*lines, ""]))


def flip_bit(path, at):
    with open(path, "r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def record_and_replay():
    """A recording is replayed to equal dumps; a coin, a missing text and a damaged recording are noticed"""
    folder = tempfile.mkdtemp(prefix="atelier-replay-")
    chain, first, second = (os.path.join(folder, name) for name in ("chain", "first", "second"))
    try:
        expect(0, f"{BLOCKS} blocks", "record", chain, f"--blocks={BLOCKS}")
        expect(0, "loadblock", "dump", chain, first)
        expect(0, "", "dump", chain, second)
        expect(0, "reindex: equal", "compare", first, second)
        change_line(os.path.join(second, "loadblock", "coins.txt"))
        expect(1, "coins.txt: -", "compare", first, second)
        os.remove(os.path.join(second, "reindex", "states.txt"))
        expect(1, "states.txt: is in one of them alone", "compare", first, second)
        blocks = os.path.join(chain, "blocks", "blk00000.dat")
        flip_bit(blocks, os.path.getsize(blocks) // 2)
        expect(2, "other hashes", "dump", chain, os.path.join(folder, "third"))
    finally:
        shutil.rmtree(folder)


tap.main(record_and_replay)
