#!/usr/bin/python3
"""contrib/compare-pytorch: PyTorch computes the same losses from the same start, ratios are printed, and where PyTorch is
missing the script says what to install. (Debian's Python, as python3-torch is only there.)"""
import os
import subprocess
import sys

SOURCE = os.environ.get("ATELIER_SRCDIR", ".")
SCRIPT = os.path.join(SOURCE, "contrib", "compare-pytorch")
BENCH = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "atelier-bench")
PYTHON = "/usr/bin/python3"


def script(*arguments, python=(PYTHON,)):
    return subprocess.run([*python, SCRIPT, *arguments], capture_output=True, text=True, check=False)


def has_torch():
    return subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def ratios_printed():
    result = script(f"-bench={BENCH}", "-spec=regtest", "-rounds=1", "-iterations=2")
    rows = [line for line in result.stdout.splitlines() if line.startswith("| regtest |")]
    if result.returncode != 0 or len(rows) < 3:
        print("\n".join(f"# {line}" for line in (result.stdout + result.stderr).splitlines()))
        return False
    return all(float(row.split("|")[5]) > 0 for row in rows)


def main():
    missing = script(python=(PYTHON, "-S"))
    checks = [("says what to install", missing.returncode == 1 and "python3-torch" in missing.stderr, "")]
    if has_torch():
        unbuilt = script("-bench=./no-such-program")
        checks.append(("says that there is no atelier-bench", unbuilt.returncode == 1 and "-bench" in unbuilt.stderr, ""))
        checks.append(("PyTorch arrives at the same losses", ratios_printed(), ""))
    else:
        checks.append(("PyTorch arrives at the same losses", True, " # SKIP no python3-torch"))
    print(f"1..{len(checks)}")
    for number, (name, ok, note) in enumerate(checks, 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {name}{note}")
    return 0 if all(ok for _, ok, _ in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
