#!/usr/bin/env python3
"""atelier-bench connect: blocks of payments connected twice over, the same chain every time; nothing is left behind."""

import json
import os
import subprocess
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap

BENCH = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "atelier-bench")


def bench(folder):
    return subprocess.run([BENCH, "connect", "-rounds=1", "-json", f"-folder={folder}"], capture_output=True, text=True,
                          check=False)


def connects():
    """Payments come with their blocks and before them; two runs end with one tip, and leave no file"""
    with tempfile.TemporaryDirectory() as folder:
        runs = [bench(folder) for _ in range(2)]
        tap.equal([(run.returncode, run.stderr) for run in runs], [(0, "")] * 2, "status and errors")
        tap.equal(os.listdir(folder), [], "files that are left")
    lines = [[json.loads(line) for line in run.stdout.splitlines()] for run in runs]
    tap.equal([line["payments"] for line in lines[0]], ["new", "relayed"], "what is measured")
    tap.true(all(line["blocks_per_second"] > 0 for line in lines[0]), "a rate is not positive")
    tap.equal(len({line["tip"] for line in lines[0] + lines[1]}), 1, "tips")


def names_the_folder():
    """A folder that is not there is named"""
    run = bench("/nowhere/at/all")
    tap.equal((run.returncode, run.stdout), (1, ""), "status and output")
    tap.true("/nowhere/at/all" in run.stderr, run.stderr)


tap.main(connects, names_the_folder)
