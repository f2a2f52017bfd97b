#!/usr/bin/env python3
"""configure refuses a compiler whose pointers have 32 bits, and says so. Prints TAP."""

import os
import subprocess
import sys
import tempfile

SOURCE = os.path.abspath(os.environ.get("ATELIER_SRCDIR", os.path.join(os.path.dirname(__file__), "../..")))
# Without a library of 32 bits: a machine that has none can compile and link this much.
COMPILER = "gcc -m32 -nostdlib"


def skip(why):
    print(f"ok 1 # SKIP {why}\n1..1")
    sys.exit(0)


def run(arguments, folder, stdin=None):
    return subprocess.run(arguments, cwd=folder, input=stdin, capture_output=True, text=True, timeout=300, check=False)


def main():
    if os.path.exists(os.path.join(SOURCE, "config.status")):
        skip("the source folder itself is configured, so no other folder can be")
    if not os.path.exists(os.path.join(SOURCE, "configure")):
        skip("there is no configure here")
    with tempfile.TemporaryDirectory() as folder:
        try:
            probe = run([*COMPILER.split(), "-x", "c", "-c", "-o", "probe.o", "-"], folder,
                        "int small[sizeof(void *) == 4 ? 1 : -1];\n")
        except FileNotFoundError:
            skip("no gcc")
        if probe.returncode != 0:
            skip("gcc makes no 32-bit code here")
        result = run([os.path.join(SOURCE, "configure"), "-q", "--host=i686-linux-gnu", f"CC={COMPILER}"], folder)
    refused = result.returncode != 0 and "needs a 64-bit target" in result.stderr
    print(("ok" if refused else "not ok") + " 1 - configure refuses 32 bits\n1..1")
    if not refused:
        print("".join(f"# {line}\n" for line in result.stderr.splitlines()[-5:]), end="")


if __name__ == "__main__":
    main()
