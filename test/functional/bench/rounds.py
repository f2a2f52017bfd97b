#!/usr/bin/python3
"""contrib/rounds: curves say about each other what they should; a short form trains, measures, prints and draws, begins where
PyTorch does, and goes on where it was stopped; and where PyTorch is missing it says what to install. (Debian's Python, as
python3-torch is only there.)"""
import json
import os
import subprocess
import sys
import tempfile
import xml.dom.minidom

SOURCE = os.environ.get("ATELIER_SRCDIR", ".")
SCRIPT = os.path.join(SOURCE, "contrib", "rounds")
BENCH = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "atelier-bench")
EMBEDDED = os.path.join(SOURCE, "data", "genesis.txt")
PYTHON = "/usr/bin/python3"
SHORT = ("-model=tiny", "-merges=2", "-runs=2", "-segments=2", "-segment=4", "-blocks=8", "-iterations=40", "-rates=1000,2000",
         "-threads=1", "-rounds=1")

sys.path.append(os.path.join(SOURCE, "contrib", "lib"))
from curves import loss_at, minutes_to  # pylint: disable=wrong-import-position


def script(*arguments, python=(PYTHON,)):
    return subprocess.run([*python, SCRIPT, f"-bench={BENCH}", f"-corpus={EMBEDDED}", *arguments], capture_output=True, text=True,
                          check=False)


def has_torch():
    return subprocess.run([PYTHON, "-c", "import torch"], capture_output=True, check=False).returncode == 0


def judged():
    """Losses at a time and times to a loss, of the best so far"""
    curve = [(1, 4.0), (2, 3.0), (3, 3.5), (5, 2.0), (6, 2.5)]
    return ([loss_at(curve, minutes) for minutes in (0.5, 1, 1.5, 2, 3.5, 5, 6, 7)] ==
            [(4.0, True), (4.0, True), (3.5, True), (3.0, True), (2.5, True), (2.0, True), (2.0, True), (2.0, False)] and
            [minutes_to(curve, loss) for loss in (4.5, 4.0, 3.5, 3.0, 2.5, 2.0, 1.9)] ==
            [(1, True), (1, True), (1.5, True), (2, True), (3.5, True), (5, True), (6, False)])


def results(folder):
    with open(os.path.join(folder, "rounds.json"), encoding="utf-8") as file:
        return json.load(file)


def made(run):
    """What a run did not find among the results, by its first word."""
    return [line.split("/")[0] for line in run.stdout.splitlines() if line.endswith(" ...")]


def fails(run):
    """Whether it did, with what it said."""
    if run.returncode != 0:
        print("\n".join(f"# {line}" for line in (run.stdout + run.stderr).splitlines()))
    return run.returncode != 0


def told(run, found):
    """Whether the tables have a row a merge with the loss that was measured, and curves were kept from the first block on."""
    points = {name.split("/")[0]: result["points"] for name, result in found.items() if "points" in result}
    tables = run.stdout.split("| merges | ")[1:]
    rows = [[row for row in table.splitlines() if row[:3] in ("| 1", "| 2")] for table in tables]
    losses = [min(point[1] for point in points["rounds"][:8 + merges]) for merges in (1, 2)]
    return (len(tables) >= 4 and all([float(row.split("|")[3]) for row in two] == losses for two in rows) and
            all(float(row.split("|")[5].strip("≥≤ ")) > 0 for two in rows for row in two) and
            [point[0] for point in points["rounds"]] == [4 * block for block in range(1, 9)] + [40, 48] and
            len(points["lottery"]) == 24 and points["pytorch"][-1][0] == 40 and run.stdout.count("as many minutes: ") == len(tables))


def goes_on(folder, found):
    """What is there is not made again, what is taken out is, and more merges need a longer lottery."""
    path = os.path.join(folder, "rounds.json")
    again = script(f"-folder={folder}", *SHORT)
    stopped = {name: result for name, result in found.items() if "lr 2000" not in name}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(stopped, file)
    resumed = script(f"-folder={folder}", *SHORT)
    same = {name: result for name, result in results(folder).items() if name in stopped} == stopped
    longer = script(f"-folder={folder}", *SHORT, "-merges=1")
    return made(again) == [] and made(resumed) == ["pytorch"] and same and made(longer) == ["rounds", "lottery"]


def trains():
    with tempfile.TemporaryDirectory() as folder:
        first = script(f"-folder={folder}", *SHORT)
        if fails(first):
            return False
        found = results(folder)
        for name in ("rounds-machine.svg", "rounds-chain.svg"):
            xml.dom.minidom.parse(os.path.join(folder, name))
        ok = made(first) == ["check", "times", "rounds", "lottery", "pytorch", "pytorch"] and told(first, found)
        if not ok:
            print("\n".join(f"# {line}" for line in first.stdout.splitlines()))
        return ok and goes_on(folder, found)


def refuses():
    """Says what is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        for arguments, reason in (((f"-bench={folder}/none",), "-bench"), ((f"-corpus={folder}/none",), "none"),
                                  (("-work=6",), "-work"), (("-runs=0",), "0 is not"), (("-rates=a",), "-rates")):
            run = script(f"-folder={folder}", *SHORT, *arguments)
            if run.returncode == 0 or reason not in run.stderr or "Traceback" in run.stderr:
                print(f"# {arguments}: {run.returncode} {run.stderr}")
                return False
    return True


def main():
    missing = script(python=(PYTHON, "-S"))
    checks = [("says what to install", missing.returncode == 1 and "python3-torch" in missing.stderr, ""),
              ("compares curves", judged(), "")]
    for name, case in (("says what is wrong", refuses), ("trains, prints, draws and goes on", trains)):
        checks.append((name, case(), "") if has_torch() else (name, True, " # SKIP no python3-torch"))
    print(f"1..{len(checks)}")
    for number, (name, ok, note) in enumerate(checks, 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {name}{note}")
    return 0 if all(ok for _, ok, _ in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
