#!/usr/bin/env python3
"""RPC while the node starts: calls fail with -28 and tell how far it is, few are answered, -rpcwait waits, stop ends it."""

import json
import os
import re
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.heavy import BLOCKS, forget_states, heavy_node
from framework.node import RpcError, daemon_path, wait_until
from framework.web import Page

RPC_IN_WARMUP = -28
PROGRESS = re.compile(rf"Replaying the model: (\d+) of {BLOCKS}")


def warmup(node, method):
    """What a call that is not taken yet is told; None: it was taken, "": nobody listens yet."""
    try:
        getattr(node.rpc, method)()
    except RpcError as error:
        tap.equal(error.code, RPC_IN_WARMUP, "code")
        return str(error)
    except OSError:
        return ""
    return None


def wait_for_warmup(node):
    told = []

    def is_told():
        told.append(warmup(node, "getblockcount"))
        tap.true(told[-1] is not None, "the start was over before it told how far it is")
        return PROGRESS.fullmatch(told[-1])

    wait_until(is_told, "a call is told how far the start is")
    return int(PROGRESS.fullmatch(told[-1])[1])


def check_batch(node):
    """All in one request: the start is not slow enough for many."""
    methods = ["help", "uptime", "getblockcount", "nosuchcall"]
    _, body = node.post(json.dumps([{"id": method, "method": method} for method in methods]),
                        authorization=node.credentials())
    help_text, uptime, *refused = json.loads(body)
    tap.true("stop" in help_text["result"] and uptime["result"] >= 0, "these are answered from the beginning")
    for answer in refused:  # no name is known to be wrong yet
        tap.equal(answer["error"]["code"], RPC_IN_WARMUP, answer["id"])
        tap.true(PROGRESS.fullmatch(answer["error"]["message"]), answer)


def calls():
    """Calls during the start, and after it"""
    node, tip, root = heavy_node()
    page = Page(node)
    with node:
        node.launch()
        tap.true(0 < wait_for_warmup(node) <= BLOCKS, "progress")
        listener = page.listen()
        check_batch(node)
        client = os.path.join(os.path.dirname(daemon_path()), "atelier-cli")
        arguments = [client, f"-datadir={node.datadir}", node.options[0], f"-rpcport={node.rpc_port}"]
        once = subprocess.run([*arguments, "getblockcount"], capture_output=True, text=True, check=False)
        tap.equal(once.returncode, -RPC_IN_WARMUP, f"status of the client: {once}")
        tap.true(PROGRESS.search(once.stderr), f"what the client says: {once.stderr}")
        waiting = subprocess.run([*arguments, "-rpcwait", "getblockcount"], capture_output=True, text=True, check=False)
        tap.equal((waiting.returncode, waiting.stdout, waiting.stderr), (0, f"{BLOCKS}\n", ""), "-rpcwait")
        tap.equal((node.tip(), node.model_root()), (tip, root), "tip and model root")
        tap.equal(listener.next("model")[1], {"height": BLOCKS, "root": root}, "what who listened is told then")


def stop():
    """The page, and stop, during the start: nothing is waited for, and nothing lost"""
    node, tip, root = heavy_node()
    with node:
        page, since = Page(node), len(node.log())
        node.launch()
        wait_for_warmup(node)
        listener = page.listen()
        answer = page.ask("/api/chain")
        tap.equal((answer.status, answer.json()["error"]["code"]), (503, RPC_IN_WARMUP), "what the page hears")
        tap.equal(listener.response.status, 200, "status of events")
        tap.equal(node.rpc.stop(), "Atelier is stopping", "the answer")
        tap.equal(node.wait_for_exit(), 0, "status")
        log = node.log()[since:]
        tap.true(f"at block {BLOCKS}" not in log, "the whole replay was waited for")
        tap.true("Error" not in log and "Warning" not in log, f"an end that was asked for is no trouble:\n{log}")
        forget_states(node)
        node.start()
        tap.equal((node.tip(), node.model_root()), (tip, root), "tip and model root after another start")


tap.main(calls, stop)
