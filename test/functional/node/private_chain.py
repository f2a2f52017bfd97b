#!/usr/bin/env python3
"""A chain of one's own: a spec and a corpus in files, and nobody else's nodes on it."""

import json
import os
import subprocess
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, PATIENCE, Node, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.transactions import address

SPEC = {"name": "ours", "hrp": "our", "genesis_time": 1795219201, "k": 2, "slots": 1, "d": 16, "layers": 1, "heads": 1,
        "ff": 48, "ctx": 48, "batch": 3, "iterations": 2, "bench_rows": 4, "bench_bytes": 2048, "maturity": 3,
        "subsidy": 1000000000, "halving": 50, "blob_min": 32768, "burn_rate": 1, "corpus": "corpus.txt"}
PAYEE = address("our", bytes.fromhex(KEYS[0]))


def corpus():
    return prose("a private chain", 10000)


def write_spec(folder, data=corpus(), **changes):
    """Writes a spec and its corpus beside it; the spec's path."""
    path = os.path.join(folder, "spec.json")
    spec = {**SPEC, **changes}
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    with open(os.path.join(folder, spec["corpus"]), "wb") as file:
        file.write(data)
    return path


def private_node(connect=(), **changes):
    node = Node(connect=connect, chain=changes.get("name", "ours"), start=False)
    node.options = [f"-chainspec={write_spec(node.root, **changes)}"]
    node.start()
    return node


def mined_together():
    """Two nodes with the same files mine one chain, train its model, and pay"""
    with private_node() as a, private_node(connect=[a]) as b:
        spec = a.rpc.getchainspec()
        tap.equal({name: spec[name] for name in SPEC if name != "corpus"},
                  {name: value for name, value in SPEC.items() if name != "corpus"}, "the spec as the node tells it")
        tap.equal((spec["corpus_size"], a.rpc.getblockchaininfo()["chain"]), (len(corpus()), "ours"), "corpus and name")
        tap.equal((a.rpc.getmodelinfo()["d"], a.rpc.getmodelinfo()["ctx"]), (16, 48), "sizes of the model")
        a.rpc.generatetoaddress(4, PAYEE)
        wait_for_same_tip(a, b)
        b.rpc.createwallet("w")
        own = b.rpc.getnewaddress()
        tap.true(own.startswith("our1"), f"the address {own}")
        with tap.raises(-5, "Invalid address"):
            b.rpc.generatetoaddress(1, address("ratl", bytes.fromhex(KEYS[0])))
        b.rpc.generatetoaddress(4, own)
        wait_for_same_tip(a, b)
        b.rpc.contributedata("", "CC0-1.0", "ours", None, prose(1, 32768).hex())
        txid = b.rpc.sendtoaddress(PAYEE, 1)
        wait_until(lambda: txid in a.rpc.getrawmempool(), "the payment reaches the other node")
        a.rpc.generatetoaddress(1, PAYEE)
        wait_for_same_tip(a, b)
        wait_until(a.rpc.getrawmempool, "the registration, with its bytes, reaches the other node")
        a.rpc.generatetoaddress(7, PAYEE)
        wait_for_same_tip(a, b)
        tap.equal(a.model_root(), b.model_root(), "model root")
        tap.equal([one["title"] for one in b.rpc.listdatasets()][1:], ["ours"], "datasets")
        tap.true(a.rpc.auditchain(10)["valid"], "audit")
        tip, root = a.tip(), a.model_root()
        a.restart()
        tap.equal((a.tip(), a.model_root()), (tip, root), "after a restart")


def with_spacing():
    """A chain with a spacing makes blocks that come too fast harder"""
    with private_node(name="spaced", spacing=20, iterations=4, genesis_time=int(time.time())) as node:
        node.rpc.generatetoaddress(10, PAYEE)
        tap.true(node.rpc.getdifficulty() > 1, "the difficulty")
        tap.true(node.rpc.getmininginfo()["difficulty"] > node.rpc.getdifficulty(), "the next block's difficulty")
        tap.true(node.rpc.auditchain(5)["valid"], "audit")


def not_begun():
    """A chain whose genesis is in the future says when it begins, instead of that a clock is wrong"""
    with private_node(genesis_time=int(time.time()) + 100000) as node:
        wait_until(lambda: any("The chain begins in" in text for text in node.rpc.getblockchaininfo()["warnings"]), "it says so")


def strangers():
    """Nodes of different specs do not connect, even where only one number or one byte of the corpus differs"""
    with private_node() as ours, Node() as regtest:
        ours.rpc.generatetoaddress(2, PAYEE)
        for changes in ({"burn_rate": 2}, {"data": corpus() + b"."}, {"name": "theirs"}):
            with private_node(connect=[ours, regtest], **changes) as theirs:
                tap.true(theirs.rpc.getblockhash(0) != ours.rpc.getblockhash(0), "the genesis blocks are the same")
                theirs.wait_for_log("disconnected")
                wait_until(lambda: theirs.log().count("is it of another chain") >= 2, "both refuse, and it is told why")
                tap.true(f"genesis {theirs.rpc.getblockhash(0)}" in theirs.log(), "the log has what is to be compared")
                for node in (theirs, ours, regtest):
                    tap.equal([one for one in node.rpc.getpeerinfo() if one["handshake_done"]], [], "peers")
                theirs.rpc.generatetoaddress(1, PAYEE)
        tap.equal((ours.height(), regtest.height()), (2, 0), "heights")


def changed_spec():
    """A data directory keeps to the spec it was made with"""
    with private_node() as node:
        node.rpc.generatetoaddress(2, PAYEE)
        tip = node.tip()
        node.stop()
        for changes in ({"burn_rate": 2}, {"data": corpus() + b"."}, {"d": 32}):
            write_spec(node.root, **changes)
            for options in ((), ("-reindex",)):
                node.launch(*options)
                tap.equal(node.wait_for_exit(), 1, f"status with {changes}")
                with open(node.output_path, encoding="utf-8") as file:
                    line = file.read().strip().split("\n")[-1]
                tap.true(line.startswith("Error: ") and "-chainspec" in line, f"no clear error with {changes}: {line}")
        write_spec(node.root)
        node.start()
        tap.equal(node.tip(), tip, "tip")


def found_by_the_client():
    """atelier-cli finds the node through the spec"""
    with private_node() as node:
        cli = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "atelier-cli")
        if not os.access(cli, os.X_OK):
            raise tap.Skip("atelier-cli has not been built")
        call = [cli, f"-datadir={node.datadir}", *node.options, f"-rpcport={node.rpc_port}", "getchainspec"]
        done = subprocess.run(call, capture_output=True, text=True, timeout=PATIENCE, check=False)
        tap.equal((done.returncode, done.stderr), (0, ""), "status and errors")
        tap.equal(json.loads(done.stdout)["name"], "ours", "name")


tap.main(mined_together, with_spacing, not_begun, strangers, changed_spec, found_by_the_client)
