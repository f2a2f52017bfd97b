#!/usr/bin/env python3
"""atelier-bench gives the known digests of the built-in chains' steps, with one and two BLAS threads and without BLAS, and
says clearly what it cannot do. (contrib/digest-matrix does this over compilers, kernels and BLAS vendors.)"""
import json
import os
import re
import struct
import subprocess
import sys
import tempfile

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from reference.document import SOURCE, known_answers, known_digests

ROUNDS = {"name": "rounds", "hrp": "rnd", "spacing": 60, "iterations": 4, "maturity": 20, "round_blocks": 8, "round_work": 2,
          "round_reveal": 3, "segments": 4, "segment": 8, "run_ppm": 500000}  # what else there is, as regtest has it

# A step of some seconds: what it takes is mostly the model's.
MODERATE = {"name": "moderate", "hrp": "mod", "d": 192, "layers": 6, "heads": 6, "ff": 512, "ctx": 256, "batch": 16, "iterations": 8,
            "bench_rows": 16}

BENCH = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "atelier-bench")


def bench(*arguments):
    return subprocess.run([BENCH, *arguments], capture_output=True, text=True, check=False)


def judge_document(known):
    """doc/protocol.md's digests are the same; two of them nobody else executes."""
    return all([f"digest {chain}", known[chain]] in known_answers() for chain in ("regtest", "test", "main"))


def judge_onednn(known):
    result = bench("digest", "-spec=regtest", "-engine=onednn")
    if result.returncode != 0:
        return result.stdout == "" and ("no oneDNN" in result.stderr or "no VNNI" in result.stderr)
    return result.stdout == f"regtest {known['regtest']}\n"


def judge_start():
    result = subprocess.run([BENCH, "start", "-spec=regtest"], capture_output=True, check=False)
    head, _, body = result.stdout.partition(b"\n")
    sizes = json.loads(head)
    d, windows = sizes["d"], sizes["iterations"] * sizes["batch"] * (sizes["ctx"] + 1)
    norm = struct.unpack_from(f"<{d}f", body, 4 * sizes["vocabulary"] * d)
    return len(body) == 4 * sizes["parameters"] + windows and norm == (1.0,) * d


def judge_step():
    lines = []
    for engine in ("openblas", "reference"):
        result = bench("step", "-spec=regtest", "-rounds=1", "-iterations=2", "-json", f"-engine={engine}")
        lines += [json.loads(line) for line in result.stdout.splitlines()]
    digests = {line["digest"] for line in lines if line["engine"] != "plain"}
    losses = [line["loss"] for line in lines]
    return len(lines) == 5 and len(digests) == 1 and max(losses) - min(losses) < 0.01 and 5 < losses[0] < 6


def judge_round():
    """A chain without rounds says so; of one with them, a run is its segments, and what is disclosed is the list and two codes."""
    none = bench("round", "-spec=regtest", "-json")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(ROUNDS, file)
        result = bench("round", f"-chainspec={path}", "-rounds=3", "-json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**ROUNDS, "corpus": "notes.txt"}, file)
        lost = bench("round", f"-chainspec={path}")
        with open(os.path.join(SOURCE, "data", "genesis.txt"), "rb") as text, \
                open(os.path.join(folder, "notes.txt"), "wb") as file:
            file.write(text.read()[:100000])
        own = bench("round", f"-chainspec={path}", "-rounds=1", "-json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**ROUNDS, "round_work": 3}, file)
        impossible = bench("round", f"-chainspec={path}")
    line = json.loads(result.stdout)
    iteration = line["median_ms"] / 1e3 / line["measured_iterations"]
    proofs = iteration * (5 * 4 + 2 * 3)  # five steps; gradients of the reserved text and two slots' own pages, twice
    parts = (line["audits_s"] / 8 + proofs) / 60
    return (json.loads(none.stdout)["rounds"] == "none" and line["best_ms"] > 0 and line["segments"] == ROUNDS["segments"]
            and line["measured_iterations"] < line["segment"] == ROUNDS["segment"]
            and abs(line["run_s"] - iteration * 4 * 8) < 1e-6 and line["audits_s"] > iteration * 8 * 8
            and abs(line["validating_part_of_two_cores"] - parts / 2) < 1e-6
            and line["round_bytes"] == 8 * line["disclosed_bytes"] == 8 * (32 * 4 + 2 * (line["trace_bytes"] / 4 - 32))
            and lost.returncode == 1 and "notes.txt" in lost.stderr
            and json.loads(own.stdout)["disclosed_bytes"] == line["disclosed_bytes"]
            and impossible.returncode == 1 and "round_work" in impossible.stderr)


def judge_hostile():
    result = bench("hostile", "-spec=regtest", "-starts=20", "-rounds=1", "-json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    return {"reference", "openblas"} <= {line["engine"] for line in lines} and all(
        line["starts"] == 20 and line["differing"] == 0 and line["honest_ms"] > 0 and line["slowest_ms"] > 0 for line in lines)


def judge_memory(engine):
    """What a step says that it takes, and what the process has grown by: libraries and the delta add some."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(MODERATE, file)
        result = bench("step", f"-chainspec={path}", f"-engine={engine}", "-rounds=1", "-iterations=1", "-json")
    if result.returncode != 0:
        return engine == "onednn" and result.stdout == ""
    line = json.loads(result.stdout.splitlines()[0])
    return 0.9 * line["memory_bytes"] <= line["peak_rss_bytes"] <= line["memory_bytes"] + 16e6 and line["peak_rss_bytes"] < 200e6


def judge_kernels():
    """A processor with newer instructions is not taken for a Pentium 4, unless the user says so. No x86, or another BLAS: nothing to
    judge."""
    def kernels(**environment):
        command = [BENCH, "encode", "-spec=regtest", "-rounds=1", "-json"]
        told = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=True).stdout
        return json.loads(told.splitlines()[0])["kernels"]

    if kernels(OPENBLAS_CORETYPE="Prescott") != "Prescott":
        return True
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        flags = set(re.search(r"^flags\s*:(.*)", file.read(), re.MULTILINE)[1].split())
    return (kernels() == "Prescott") != ({"avx2", "fma"} <= flags) or "OPENBLAS_CORETYPE" in os.environ


def main():
    known = known_digests()
    checks = [("the document has these digests", judge_document(known))]
    for chain, options in (("regtest", []), ("test", []), ("main", ["-threads=2"]), ("regtest", ["-threads=2"]), ("test", ["-threads=2"]),
                           ("regtest", ["-engine=reference"])):
        result = bench("digest", f"-spec={chain}", *options)
        checks.append((" ".join([chain, *options]), result.stdout == f"{chain} {known[chain]}\n"))
    for command in ("step", "product", "encode", "value", "verify"):
        result = bench("-spec=regtest", command, "-rounds=1", "-json", "-engine=auto")
        lines = [json.loads(line) for line in result.stdout.splitlines()] if result.returncode == 0 else []
        checks.append((f"{command} is timed", bool(lines) and all(line["best_ms"] > 0 and line["threads"] == 1 for line in lines)))
    commands = re.findall(r"^  (\w+) +\w", bench("-help").stdout, re.MULTILINE)
    checks.append(("OpenBLAS has kernels for this processor", judge_kernels()))
    checks.append(("the help says what each command is", {"digest", "round", "connect", "train"} < set(commands)))
    checks.append(("round tells of a chain's rounds, or that it has none", judge_round()))
    checks.append(("hostile starts give the same on all engines", judge_hostile()))
    checks.append(("start gives sizes, theta and windows", judge_start()))
    checks.append(("measured steps have one digest, and the plain one's loss is near", judge_step()))
    checks.append(("oneDNN agrees, or the reason is told why it cannot be had", judge_onednn(known)))
    for engine in ("openblas", "onednn"):
        checks.append((f"a step of 2.8 million parameters over {engine} takes under 200 MB, and as much as it says", judge_memory(engine)))
    for arguments in (["-spec=other", "digest"], ["-engine=abacus", "digest"], ["-threads=x", "digest"], ["dance"], [],
                      ["-unknown", "digest"], ["digest", "step"], ["connect", "-chainspec=ward7.json"]):
        result = bench(*arguments)
        told = result.stderr.startswith("error: ") or "Usage" in result.stdout
        checks.append((f"refuses '{' '.join(arguments)}'", result.returncode == 1 and told))
    print(f"1..{len(checks)}")
    for number, (name, ok) in enumerate(checks, 1):
        print(f"{'ok' if ok else 'not ok'} {number} - {name}")
    return 0 if all(ok for _, ok in checks) else 1


if __name__ == "__main__":
    sys.exit(main())
