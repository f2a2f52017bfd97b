#!/usr/bin/env python3
"""What the daemon cannot work with it says in one line on standard error, and ends with status 1."""

import contextlib
import json
import os
import socket
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, daemon_path


def run(*arguments):
    """Status, standard output and standard error of a daemon that ends by itself."""
    done = subprocess.run([daemon_path(), *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=PATIENCE, check=False)
    return done.returncode, done.stdout, done.stderr


def check_refused(arguments, *texts):
    """The daemon must not start with these arguments, and its one line must contain the texts."""
    status, output, error = run("-web=0", *arguments)  # which would take a port that another test chooses
    shown = f"{arguments[1:]}: status {status}, output {output!r}, error {error!r}"
    tap.equal(status, 1, f"status with {shown}")
    tap.equal(output, "", f"output with {shown}")
    tap.true(error.startswith("Error: ") and error.endswith("\n") and error.count("\n") == 1,
    f"no single line: {shown}")
    for text in texts:
        tap.true(text in error, f"'{text}' is missing: {shown}")


@contextlib.contextmanager
def idle():
    """A node that is not started: for its folder and its free ports."""
    with Node(start=False) as node:
        yield node


@contextlib.contextmanager
def taken_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def help_and_version():
    """-help and -version print and end"""
    status, output, error = run("-version")
    tap.equal((status, output.split()[0], error), (0, "Atelier", ""), "-version")
    for name in ("-help", "-h", "-?"):
        status, output, error = run(name)
        tap.equal((status, error), (0, ""), name)
        for text in ("Usage: atelierd", "-datadir=<folder>", "-mine", "-chainspec=<file>", "-rpcport=<port>",
                     "-recheck=<share>"):
            tap.true(text in output, f"{name} does not explain '{text}'")
        tap.true("mocktime" not in output, "-help shows what is for tests only")


def wrong_arguments():
    """Unknown options and bad values are named"""
    with idle() as node:
        where = [f"-datadir={node.datadir}", "-regtest"]
        for option, *texts in (
                ("-nonsense", "nonsense", "-help lists them"), ("-nonsense=1", "nonsense"), ("--nononsense", "nonsense"),
                ("operand", "operand", "not an option"), ("-port", "-port=<port>"), ("-par=x", "par", "'x'"),
                ("-par=-1", "par", "-1"), ("-par=1000", "par", "1000"), ("-threads=1e3", "threads", "1e3"),
                ("-threads=99999999999999999999", "threads"), ("-port=0", "port", "0"),
                ("-port=65536", "port", "65536"),
                ("-port=", "port"), ("-rpcport=0", "rpcport"), ("-rpcport=http", "rpcport", "http"),
                ("-maxmempool=1", "maxmempool"), ("-prune=-1", "prune"), ("-maxconnections=-5", "maxconnections"),
                ("-snapshotinterval=never", "snapshotinterval", "never"), ("-mocktime=-1", "mocktime"),
                ("-engine=mkl", "-engine=mkl: the engine is openblas, onednn, reference or auto, not mkl"),
                ("-debug=nonsense", "-debug=nonsense", "-help lists them"), ("-mine=maybe", "mine", "maybe"), ("-listen=2", "listen", "2"),
                ("-bind=nonsense", "nonsense"), ("-bind=127.0.0.1:x", "127.0.0.1:x"), ("-rpcbind=nonsense", "nonsense"),
                ("-connect=", "node's name"), ("-addnode=one:two:3", "one:two:3"), ("-addnode=a b", "a b"),
                ("-mineraddress=nonsense", "-mineraddress", "nvalid address"),
                ("-mineraddress=bcrt1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqu0vk7c", "-mineraddress"),
                ("-mine", "-mineraddress", "-wallet"), ("-wallet=nobody", "nobody"),
                ("-wallet=../elsewhere", "elsewhere"),
                ("-chain=nonsense", "Only one of -chain"), ("-testnet", "Only one of -chain"),
                ("-loadblock=/nonexistent/blocks", "/nonexistent/blocks", "No such file"),
                ("-debuglogfile=/nonexistent/log", "/nonexistent/log"), ("-pid=/nonexistent/pid", "/nonexistent/pid"),
                ("-conf=/nonexistent/conf", "/nonexistent/conf", "No such file")):
            check_refused([*where, f"-bind={node.address}", f"-rpcport={node.rpc_port}", option], *texts)
        check_refused([where[0], "-chain=nonsense"], "nonsense", "main, test or regtest")
        check_refused([where[0], "-chain=test", f"-rpcport={node.rpc_port}", "-listen=0", "-connect=0", "-mocktime=1795219300"],
                      "-mocktime")
        check_refused([*where, *(f"-connect=127.0.0.1:{port}" for port in range(1, 66))], "-connect", "65")
        with Node() as sound:  # and all that has done no harm
            tap.equal(sound.height(), 0, "height")


def wrong_configuration():
    """What is wrong in a configuration file is named with file and line"""
    with idle() as node:
        path = os.path.join(node.datadir, "atelier.conf")
        for text, *expected in (
                ("# fine\n\nnonsense=1\n", f"{path}:3", "nonsense"),
                ("mine=0\nmine 1\n", f"{path}:2", "name=value"),
                ("[regtest\n", f"{path}:1", "section"),
                ("datadir=/x\n", f"{path}:1", "datadir"),
                ("mine=maybe\n", f"{path}:1", "maybe"),
                ("[test]\nnonsense=1\n", f"{path}:2", "nonsense"),
                ("mine=0\nmine\0=1\n", f"{path}:2", "zero byte"),
                ("par=x\n", "par", "'x'"),
                ("\xff\xfe\n", f"{path}:1"),
                ("#" * (1 << 20) + "\n", path, "larger")):
            with open(path, "w", encoding="latin-1") as file:
                file.write(text)
            check_refused(node.arguments()[1:], *expected)
        with open(path, "w", encoding="ascii") as file:
            file.write("[test]\npar=3\n[regtest]\nmaxconnections=7\n")
        check_refused([*node.arguments()[1:], "-par=x"], "par")
        for share in "1.5", "-1", "half", "", "0.000000001":
            check_refused([*node.arguments()[1:], f"-recheck={share}"], f"-recheck={share} is not a number from 0 to 1")
        for price in "1000.1", "-1", "much", "":
            check_refused([*node.arguments()[1:], f"-price={price}"], f"-price={price} is not an amount from 0 to 1000")
        check_refused([*node.arguments()[1:], "-confirmations=0"], "confirmations")
        node.start()
        node.stop()


def ports_in_use():
    """A port that somebody else listens on is named"""
    with idle() as node, taken_port() as port:
        start = [f"-datadir={node.datadir}", "-regtest"]
        check_refused([*start, f"-rpcport={port}", f"-bind={node.address}"], "RPC", str(port), "in use")
        check_refused([*start, f"-rpcport={node.rpc_port}", f"-bind=127.0.0.1:{port}"], f"127.0.0.1:{port}", "in use")
        check_refused([*start, f"-rpcport={node.rpc_port}", f"-port={port}"], str(port), "in use")
        check_refused([*start, f"-rpcport={node.rpc_port}", "-bind=192.0.2.1"], "192.0.2.1")
        node.start()  # nothing of these starts is left behind


def same_folder():
    """A second node on the same data directory is refused, and does not harm the first"""
    with Node() as first, idle() as second:
        first.generate(1)
        second.datadir = first.datadir
        check_refused(second.arguments()[1:], "Another node", first.chaindir)
        tap.equal(first.height(), 1, "height")
        first.generate(1)
        first.restart()
        tap.equal(first.height(), 2, "height after a restart")


def impossible_folder():
    """A data directory that cannot be one, or that nobody has made"""
    with idle() as node:
        missing = os.path.join(node.root, "missing")
        check_refused([f"-datadir={missing}/below", "-regtest"], f"{missing}/below", "-datadir")
        tap.true(not os.path.exists(missing), "a folder is made that was named by mistake")
        path = os.path.join(node.root, "file")
        with open(path, "w", encoding="ascii"):
            pass
        check_refused([f"-datadir={path}", "-regtest"], path)
        check_refused([f"-datadir={path}/below", "-regtest"], path)
        with open(os.path.join(node.datadir, "regtest"), "w", encoding="ascii"):
            pass
        check_refused(node.arguments()[1:], node.chaindir)


def folder_without_permission():
    """A data directory that may not be written"""
    if os.geteuid() == 0:
        raise tap.Skip("root may write everywhere")
    with idle() as node:
        os.chmod(node.datadir, 0o500)
        check_refused(node.arguments()[1:], node.chaindir, "ermission")
        os.chmod(node.datadir, 0o700)


def wrong_specs():
    """A chain spec that cannot be: the file and the field are named"""
    sound = {"name": "ours", "hrp": "our"}
    with idle() as node:
        path = os.path.join(node.root, "spec.json")
        node.chain = "ours"
        arguments = [f"-datadir={node.datadir}", f"-chainspec={path}", f"-bind={node.address}",
                     f"-rpcport={node.rpc_port}", "-printtoconsole=0"]

        def check(text, *expected):
            with open(path, "w", encoding="utf-8") as file:
                file.write(text if isinstance(text, str) else json.dumps(text))
            check_refused(arguments, path, *expected)

        check_refused(arguments, path, "No such file")
        check_refused([*arguments[:1], f"-chainspec={node.root}"], node.root)
        check_refused([*arguments, "-regtest"], "Only one of -chain")
        check("")
        check("nonsense")
        check('{"name": "ours",\n "hrp": }', "in line 2")
        check('{"name": "ours", "name": "theirs"}', "there already")
        check("[" * 100000)
        check([], "object")
        check("7")
        check(" " * (2 << 20), "larger")
        check({}, "name")
        for name in ("", "Ours", "a" * 17, "main", "test", "regtest", "blocks", "../x", 7, None, ["x"]):
            check({**sound, "name": name}, "name")
        for hrp in ("", "Our", "our1", "a" * 9, 7):
            check({**sound, "hrp": hrp}, "hrp")
        check({**sound, "nonsense": 1}, "nonsense")
        check({**sound, "corpus_size": 100000}, "corpus_size")
        for field, value in (
                ("k", 0), ("k", 65), ("k", "4"), ("k", 4.5), ("k", -1), ("k", None), ("k", [4]), ("k", True), ("d", 17),
                ("d", 0), ("d", 1 << 40), ("d", -(1 << 63)), ("layers", 65), ("heads", 3), ("heads", 32), ("ff", 17),
                ("ctx", 31), ("ctx", 2048), ("memory", 0), ("batch", 0), ("iterations", 1025), ("slots", 17), ("bench_rows", 0),
                ("bench_bytes", 32), ("lr_ppm", 1 << 24), ("v_0", 0), ("v_min", (1 << 47) + 1), ("subsidy", 10 ** 13),
                ("halving", 0), ("maturity", 0), ("data_delay", 0), ("commit_delay", 0), ("commit_delay", 2017), ("burn_rate", 10 ** 7), ("blob_min", 100),
                ("blob_max", 1 << 25), ("blob_budget", 1 << 31), ("block_weight", 100), ("spacing", 86401),
                ("genesis_time", 0), ("genesis_time", 1 << 32), ("p2p_port", 0), ("rpc_port", 70000)):
            check({**sound, field: value}, field)
        check('{"name": "ours", "k": 99999999999999999999}')
        check('{"name": "ours", "k": 1e400}')
        check({**sound, "d": 4096, "heads": 32, "layers": 64, "ff": 16384})  # more parameters than 2^28
        check({**sound, "memory": 1, "d": 64}, "memory")
        check({**sound, "spacing": 60, "iterations": 3}, "iterations")
        check({**sound, "blob_min": 65536, "blob_max": 40000}, "blob_min", "blob_max")
        check({**sound, "blob_max": 65536, "blob_budget": 65535}, "blob_budget")
        check({**sound, "subsidy": 10 ** 12, "halving": 10 ** 6}, "subsidy")
        check({**sound, "bench_bytes": 262144}, "corpus")
        check({**sound, "corpus": ""}, "corpus")
        check({**sound, "corpus": 7}, "corpus")
        check({**sound, "corpus": "missing.txt"}, "missing.txt", "No such file")
        check({**sound, "corpus": "."})
        for size in (0, 100, (1 << 24) + 1):
            with open(os.path.join(node.root, "corpus.txt"), "wb") as file:
                file.truncate(size)
            check({**sound, "corpus": "corpus.txt"})
        tap.equal(os.listdir(node.datadir), [], "what the refused starts left behind")


tap.main(help_and_version, wrong_arguments, wrong_configuration, ports_in_use, same_folder, impossible_folder,
         folder_without_permission, wrong_specs)
