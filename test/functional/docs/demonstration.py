#!/usr/bin/env python3
"""contrib/quickstart's demonstration, run: a short one ends well, and nodes that are kept can be used."""

import os
import re
import subprocess
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, daemon_path, wait_until
from reference.document import SOURCE

DEMO = os.path.join(SOURCE, "contrib", "lib", "demo.py")


def is_alive(number):
    """Whether the process is there; one that has ended and that nobody waits for is not."""
    try:
        with open(f"/proc/{number}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def paste(lines, folder):
    done = subprocess.run(["bash", "-e"], cwd=folder, input="\n".join(lines) + "\n", capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    tap.equal(done.returncode, 0, f"status of {lines}: {done.stderr}")
    return done.stdout


def short_and_kept():
    """--blocks 6 --keep ends well, and the nodes are used and ended by the very lines that it prints"""
    with tempfile.TemporaryDirectory(prefix="atelier functional ") as root:
        build = os.path.dirname(os.path.abspath(daemon_path()))
        done = subprocess.run([sys.executable, DEMO, "--build", os.path.relpath(build, SOURCE), "--blocks", "6",
                               "--spacing", "4", "--keep"],
                              cwd=SOURCE, env={**os.environ, "TMPDIR": root}, capture_output=True, text=True,
                              timeout=6 * PATIENCE, check=False)
        pids = []
        try:
            for folder, _, names in os.walk(root):
                if "atelierd.pid" in names:
                    with open(os.path.join(folder, "atelierd.pid"), encoding="ascii") as file:
                        pids.append(int(file.read()))
            tap.equal(done.returncode, 0, f"status: {done.stdout[-1500:]}{done.stderr}")
            blocks = [int(number) for number in re.findall(r"^ +(\d+)  +\d\.\d{4}", done.stdout, re.M)]
            tap.true(blocks == list(range(1, len(blocks) + 1)) and len(blocks) >= 6, f"blocks {blocks}")
            # So few draws may earn nothing, but no line pays what the sum does not have. A block may come after the lines.
            pays = re.findall(r"^ +\d+ .*owner (\d+\.\d{4})", done.stdout, re.M)
            earned = float(re.search(r"burned, (\d+\.\d{8}) paid to the owner", done.stdout).group(1))
            tap.true(sum(map(float, pays)) <= earned + 0.0001 * len(pays), f"paid {pays}, in all {earned}")
            roots = re.findall(r"model_root (\w{64})", done.stdout)
            tap.true(len(roots) == 2 and len(set(roots)) == 1, f"model roots {roots}")
            merges = re.findall(r"^merge .* 12 seats, (\d+) true .* (\d+) struck", done.stdout, re.M)
            tap.true(sum(true != "0" for true, _ in merges) >= 2, f"merges of true runs: {merges}")
            tap.true(all(struck == "0" for _, struck in merges), f"runs that were struck: {merges}")
            tap.equal(len(pids), 2, "nodes that go on")
            commands = re.findall(r"^    (.*atelier-cli.*)$", done.stdout, re.M)
            tap.equal(len(commands), 8, "commands that are printed")
            page = re.search(r"browser on this machine: (http://127\.0\.0\.1:\d+/#key=\w{64})\n$", done.stdout)
            tap.true(page is not None, f"the page's address at the end: {done.stdout[-300:]}")
            # From another folder, as another terminal would.
            used = paste(commands[:-2], "/")
            tap.true(page.group(1) in used, "the same address from the node")
            for text in ('"title": "GPL-3"', '"prompt": "The "', '"disclosures_until"'):
                tap.true(text in used, used[-1500:])
            paste(commands[-2:], "/")
            wait_until(lambda: not any(map(is_alive, pids)), "both nodes have ended")
        finally:
            for pid in filter(is_alive, pids):
                os.kill(pid, 9)


tap.main(short_and_kept)
