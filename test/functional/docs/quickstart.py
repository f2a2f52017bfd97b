#!/usr/bin/env python3
"""contrib/quickstart without a run of it (that is demonstration.py): its report is of one block, what it installs, its arguments."""

import contextlib
import importlib.util
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import types

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE
from reference.document import SOURCE

DEMO = os.path.join(SOURCE, "contrib", "lib", "demo.py")
TITLE = os.path.join(SOURCE, "data", "genesis.txt")


class Chain:
    """What both stand-in nodes stand on. It grows while questions are asked, as if blocks had been on their way."""

    height = 40


class StandIn:
    """Answers as a node would, as far as the demonstration asks."""

    GROWS = ("getmodelinfo", "getdataset", "getwalletinfo", "auditchain", "getround", "auditrun", "generatetext")

    def __init__(self, name, chain, states):
        self.name, self.chain, self.states = name, chain, states

    def wait(self):
        pass

    def is_idle(self):
        return True

    def call(self, method, *parameters):
        height = self.chain.height
        answers = {
            "getblockcount": height, "getbestblockhash": f"hash {height}", "getnewaddress": self.name, "getbalance": 1000,
            "getnetworkinfo": {"connections": 1}, "listdatasets": [0, 1],
            "getmodelinfo": {"parameters": 1, "model_root": f"root {height}"}, "contributedata": {
                "txid": "ab" * 32, "commitment": "cd" * 32}, "listcontributions": [{"stage": "registered"}],
            "getdataset": {
                "title": "t", "height": 1, "total_paid": 1.0, "total_draws": 3, "burned": 0.5, "status": "quarantine",
                "quarantine": {"since": 5, "until": 9, "draws": 8, "mean_effect": -0.25},
                "last_draws": [{"proofs": 1, "left_out": left_out, "known": True, "effect": 0.5, "own": own, "value": value}
                               for left_out, own, value in ((True, 0.125, 0), (False, 0.375, 0.375))]},
            "getwalletinfo": {"balance": 1, "immature_balance": 0, "unconfirmed_balance": 0},
            "auditchain": {"checked": 1, "valid": True}, "generatetext": {"text": "The \x1b"},
            "auditrun": {"height": 7, "valid": True, "segments": [{"segment": 2}]}, "getround": {
                "void": True, "loss_before": 2.5, "loss_after": None, "seats": [
                    {"height": 1, "state": state, **({} if state == "empty" else {"length": 3})} for state in self.states]},
        }
        if method in self.GROWS:
            self.chain.height += 1
        if method == "getblockhash":
            return f"hash {parameters[0]}"
        if method == "getblock":
            number = int(parameters[0].split()[1])
            proof = {"reward": 0.25}
            return {"height": number, "loss_before": 5 / number, "loss_after": 5 / (number + 1), "proofs": [proof],
                    "late": [proof] * number, "run_payments": [{"amount": 0.5}] * (number == 25), "tx": [{"vout": []}],
                    "model_root_after": f"root {number}", "outcome": {"void": False, "slots": [
                        {"dataset": 1, "proofs": 0, "left_out": False}, {"dataset": 0, "proofs": 1, "left_out": True}]}}
        return answers.get(method)


def load_demo():
    load = importlib.util.spec_from_file_location("demo", DEMO)
    demo = importlib.util.module_from_spec(load)
    load.loader.exec_module(demo)
    return demo


def report(*states):
    """What is printed with stand-ins whose rounds have such seats, and how far their chain is in the end."""
    demo = load_demo()
    run = demo.Demo(types.SimpleNamespace(file=TITLE, blocks=32, spacing=8, keep=False, build="."))
    chain = Chain()
    run.miner, run.owner = StandIn("miner", chain, states), StandIn("owner", chain, states)
    output = io.StringIO()
    try:
        with contextlib.redirect_stdout(output):
            run.run()
    except demo.Failure as why:
        output.write(f"failed: {why}")
    os.remove(run.spec)
    os.rmdir(run.root)
    return output.getvalue(), chain.height


def one_block():
    """The report is of one block, though others come while it is written"""
    told_text, height = report("merged", "left out", "empty")
    stood = re.findall(r"stands on +hash (\d+)\n +model_root root (\d+)", told_text)
    tap.equal(len(stood), 2, "nodes in the report")
    tap.equal(len({number for pair in stood for number in pair}), 1, f"blocks in {stood}")
    after = re.search(r"after (\d+) blocks", told_text).group(1)
    tap.equal(after, stood[0][0], "height of the report")
    for told in ("quarantine, drawn 3 times", "A on the reserved text +0.500000", "O on their own pages +0.250000",
                 "known at 2:", "left out of the update 1 times", "worth pay at 1:", "    1+1  genesis corpus* ", " 1+40  genesis corpus* ", "from block 5 to 9: mean effect -0.250000 in 8 draws",
                 "merge   2.5000  was 2.5000: 3 seats, 2 true (6 segments), 1 left out, 0 struck, 1 empty  (merge void)",
                 "segment 2 of the run of block 7 re-executed by the second node: as disclosed", "(0.5000 for runs)",
                 "0.50000000 ATL for 1 runs", f"sends the owner {os.path.getsize(TITLE) * 100 / 1e8 + 1:.8f} ATL"):
        tap.true(told in told_text, f"{told!r} is not in the report")
    tap.true(height > int(after), "the chain did not grow meanwhile: this shows nothing")
    tap.equal(told_text.count("\nmerge "), int(after) // 12 - 1, "merges that were told of")
    tap.true("\x1b" not in told_text, "a control character goes to the terminal")
    tap.true("failed" not in told_text, "it failed")
    struck, _ = report("merged", "struck")
    tap.true("1 struck" in struck and "failed: a run was struck" in struck, f"a run that was struck: {struck[-200:]}")


def patience():
    """What was waited for in vain is told with whole seconds"""
    demo = load_demo()
    try:
        demo.wait_until("it rains", lambda: False, 0.2345678)
        raise AssertionError("it did not give up")
    except demo.Failure as why:
        tap.equal(str(why), "waited 0 seconds in vain until it rains", "message")


def builds():
    """Without arguments for configure there are no empty brackets"""
    setup = shlex.quote(os.path.join(SOURCE, "contrib", "lib", "setup.sh"))
    for arguments, shown in (("", "Configuring out"), ("--with-onednn -q", "Configuring out (--with-onednn -q)")):
        with tempfile.TemporaryDirectory(prefix="atelier-functional-") as folder:
            os.symlink(shutil.which("false"), os.path.join(folder, "configure"))
            done = subprocess.run(["bash", "-c", f". {setup}; source_dir=$PWD; build_tree out all {arguments}"], cwd=folder,
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
            tap.equal((done.returncode, done.stdout), (1, f"\n== {shown}\n"), f"status and output: {done.stderr}")


def installs():
    """Packages that are missing are installed, as root or with sudo; without either it says what is missing"""
    script = f". {shlex.quote(os.path.join(SOURCE, 'contrib', 'lib', 'setup.sh'))}; install_packages here missing other"
    programs = {"dpkg-query": '[ "$4" = here ] && echo "install ok installed"', "apt-get": 'echo "apt-get $*" >&2',
                "sudo": 'echo "sudo $*" >&2', "id": 'echo "$FAKE_ID"'}
    with tempfile.TemporaryDirectory(prefix="atelier-functional-") as folder:
        for name in ("bash", "env", "grep"):
            os.symlink(shutil.which(name), os.path.join(folder, name))
        for name, text in programs.items():
            with open(os.path.join(folder, name), "w", encoding="ascii") as file:
                file.write(f"#!{shutil.which('bash')}\n{text}\n")
            os.chmod(os.path.join(folder, name), 0o755)

        def run(number):
            done = subprocess.run(["bash", "-u", "-c", script], env={"PATH": folder, "FAKE_ID": number},
                                  capture_output=True, text=True, timeout=PATIENCE, check=False)
            return done.returncode, done.stderr.splitlines()
        install = "apt-get install -y -qq --no-install-recommends missing other"
        tap.equal(run("0"), (0, ["apt-get update -qq", install]), "as root")
        tap.equal(run("1000"), (0, ["sudo apt-get update -qq", f"sudo env DEBIAN_FRONTEND=noninteractive {install}"]),
                  "with sudo")
        os.remove(os.path.join(folder, "sudo"))
        status, lines = run("1000")
        tap.true(status == 1 and lines[0].endswith("first: missing other"), f"without sudo: {status}, {lines}")


def arguments():
    """What quickstart cannot do it says before it builds"""
    for given, text in ((["--blocks", "0"], "from 1"), (["--blocks", "x"], "from 1"), (["--file", "/dev/null"], "of at least"),
                        (["--file", SOURCE], "not a file")):
        done = subprocess.run([sys.executable, DEMO, "--check", *given], capture_output=True, text=True, timeout=PATIENCE,
                              check=False)
        tap.true(done.returncode not in (0, None) and text in done.stderr, f"{given}: {done.stderr!r}")
    done = subprocess.run([sys.executable, DEMO, "--check"], capture_output=True, text=True, timeout=PATIENCE, check=False)
    tap.equal((done.returncode, done.stdout), (0, ""), "--check alone")


if __name__ == "__main__":
    tap.main(one_block, patience, builds, installs, arguments)
