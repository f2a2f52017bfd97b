#!/usr/bin/env python3
"""contrib/novelty in its short form: no honest text is refused, and copies are (the whole table is in doc/economics.md)."""

import os
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE
from reference.document import SOURCE

PROGRAM = os.path.join(os.environ.get("ATELIER_BUILDDIR", SOURCE), "test", "novelty", "resemblance")
COPIES = ("every 32nd byte", "reordered", "2/5 of it")


def short_table():
    """Six kinds of text: none resembles another, each resembles its copies"""
    if not os.access(PROGRAM, os.X_OK):
        raise tap.Skip("test/novelty/resemblance has not been built")
    done = subprocess.run([os.path.join(SOURCE, "contrib", "novelty"), "--short"], capture_output=True, text=True,
                          timeout=5 * PATIENCE, check=False)
    tap.equal((done.returncode, done.stderr), (0, ""), f"status and errors, with {done.stdout}")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in done.stdout.splitlines() if line.startswith("|")]
    tap.equal(len(rows), 2 + 6, "rows")
    for row in rows[2:]:
        cells = dict(zip(rows[0], row))
        tap.true(float(cells["most in another"]) < 0.25, f"{cells['kind']} resembles another text")
        for copy in COPIES:
            tap.true(float(cells[copy]) > 1 / 3, f"{copy} of {cells['kind']} is no copy")
        tap.true(float(cells["every 16th byte"]) < 0.1, "what the document says evades")


tap.main(short_table)
