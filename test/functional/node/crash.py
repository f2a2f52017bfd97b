#!/usr/bin/env python3
"""A miner is killed again and again while it mines, pays and registers data: it loses nothing that it acknowledged."""

import contextlib
import errno
import glob
import http.client
import os
import random
import shutil
import signal
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, RpcError, wait_for_same_tip, wait_until
from framework.rounds import BEACON, P, commit_runs, mine_to, with_wallet

ROUNDS = 20
FAULTS = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faults.so")
WRITE, SYNC, RENAME, KILL = 1, 2, 4, -1  # test/unit/faults.h


def start_mining(node):
    node.start("-mine", "-wallet=w", "-par=1")


class Ledger:
    """What the node acknowledged: it must all be there in the end."""

    def __init__(self):
        self.height, self.tip = 0, None
        self.payments, self.roots = [], []

    def look(self, node):
        tip = node.rpc.getblockchaininfo()
        self.height, self.tip = tip["blocks"], tip["bestblockhash"]

    def act(self, node, round):
        """Payments, a contribution, or nothing, whatever the wallet can afford."""
        wallet = node.rpc.wallet("w")
        try:
            if round % 3 == 0:
                data = random.Random(round).randbytes(32768).hex()
                self.roots.append(wallet.contributedata("", "CC0-1.0", f"round {round}", None, data)["root"])
            self.payments.append(wallet.sendtoaddress(wallet.getnewaddress(), 1))
        except RpcError as error:
            tap.equal(error.code, -6, f"code of '{error}'")  # insufficient funds: too early


def check_after_start(node, ledger):
    height = node.height()
    tap.true(height >= ledger.height, f"height {height} after the start, {ledger.height} before the kill")
    if ledger.tip:
        tap.equal(node.rpc.getblockhash(ledger.height), ledger.tip, "the block that was the tip before the kill")
    wait_until(lambda: node.height() > height, "mining goes on")


def coins_of_wallet(node):
    """What the blocks leave to the wallet, counted apart from it."""
    wallet, owned, coins = node.rpc.wallet("w"), {}, {}
    for height in range(1, node.height() + 1):
        for tx in node.rpc.getblock(node.rpc.getblockhash(height), 2)["tx"]:
            for item in tx["vin"]:
                coins.pop((item.get("txid"), item.get("vout")), None)
            for out in tx["vout"]:
                address = out["scriptPubKey"].get("address")
                if address and address not in owned:
                    owned[address] = wallet.getaddressinfo(address)["ismine"]
                if owned.get(address):
                    coins[tx["txid"], out["n"]] = out["value"]
    return sum(coins.values())


def check_wallet(node, ledger):
    wallet = node.rpc.wallet("w")
    wait_until(lambda: {one["stage"] for one in wallet.listcontributions()} == {"registered"}, "all data are registered")
    wait_until(lambda: not node.rpc.getrawmempool(), "everything is in a block")
    node.rpc.setmining(False)
    wait_until(lambda: node.rpc.getmininginfo()["running"] == 0, "the miner rests")
    wait_until(lambda: node.rpc.gettraininginfo(0)["verification"]["blocks_verifying"] == 0, "its last block is there")
    tap.equal(len(set(ledger.payments)), len(ledger.payments), "payments, each once")
    for txid in ledger.payments:
        tap.true(wallet.gettransaction(txid)["confirmations"] > 0, f"the payment {txid} is not in a block")
    listed = [dataset["root"] for dataset in node.rpc.listdatasets()][1:]
    tap.equal(set(ledger.roots) - set(listed), set(), "roots missing")
    tap.equal(sorted(one["root"] for one in wallet.listcontributions()), sorted(listed), "contributions, each once")
    balances = wallet.getbalances()["mine"]
    tap.equal(balances["untrusted_pending"], 0, "pending")
    tap.equal(balances["trusted"] + balances["immature"], coins_of_wallet(node), "balance")


def killed_while_mining():
    """Killed twenty times at random moments"""
    chance = random.Random(1)
    ledger = Ledger()
    with Node("-threads=1", start=False) as node, Node(start=False) as fresh:
        node.start()
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(12, node.rpc.getnewaddress())
        node.stop()
        for round in range(ROUNDS):
            start_mining(node)
            check_after_start(node, ledger)
            end = time.monotonic() + chance.uniform(0, 0.4)
            ledger.act(node, round)
            ledger.look(node)
            while time.monotonic() < end:
                ledger.look(node)
            node.kill()
        start_mining(node)
        check_after_start(node, ledger)
        tap.true(len(ledger.payments) > ROUNDS / 2 and len(ledger.roots) > 3, "hardly anything was in flight")
        check_wallet(node, ledger)
        audit = node.rpc.auditchain(20)
        tap.true(audit["valid"] and audit["invalid"] == 0, f"audit: {audit}")
        fresh.connections = [f"-addnode={node.address}"]
        fresh.start()
        wait_for_same_tip(node, fresh)
        tap.equal(fresh.model_root(), node.model_root(), "model root")
        tap.equal(fresh.rpc.listdatasets(), node.rpc.listdatasets(), "datasets")
        tap.comment(f"height {node.height()}, {len(ledger.payments)} payments, {len(ledger.roots)} contributions")


def killed_while_starting():
    """Killed while it starts, opens its files and replays"""
    chance = random.Random(2)
    with Node() as node:
        node.generate(30)
        tip, root = node.tip(), node.model_root()
        node.kill()
        for _ in range(8):
            node.launch()
            time.sleep(chance.uniform(0, 0.5))
            node.kill()
        node.start()
        tap.equal((node.tip(), node.model_root()), (tip, root), "tip and model root")
        tap.true(node.rpc.auditchain(5)["valid"], "audit")


def killed_while_reindexing():
    """Killed during -reindex: the next start finishes it"""
    chance = random.Random(3)
    with Node() as node:
        node.generate(30)
        tip, root = node.tip(), node.model_root()
        node.stop()
        for _ in range(5):
            node.launch("-reindex")
            time.sleep(chance.uniform(0, 1))
            node.kill()
        node.start()
        wait_until(lambda: node.tip() == tip, "the tip is back")
        tap.equal(node.model_root(), root, "model root")
        tap.true(node.rpc.auditchain(5)["valid"], "audit")


def killed_before_a_sync():
    """Killed between writing a block and syncing it: no start names the block in the index before it is synced"""
    with Node(start=False) as node:
        control = os.path.join(node.root, "faults")
        node.environment = {"LD_PRELOAD": FAULTS, "FAULTS": control}

        def set_fault(error):
            with open(control, "w", encoding="utf-8") as file:
                file.write(f"{SYNC} {error} 0 0 0 /blocks/blk\n" if error else "")

        node.start()
        node.generate(5)
        set_fault(KILL)
        try:
            node.generate(1)
        except OSError:
            pass  # it answers no more
        tap.equal(node.wait_for_exit(), -signal.SIGKILL, "how it ended")
        for options in ([], ["-reindex"]):
            set_fault(errno.EIO)
            node.launch(*options)
            tap.equal(node.wait_for_exit(), 1, f"exit status of a start {options} that cannot sync")
            with open(node.output_path, encoding="utf-8") as file:
                tap.true("Cannot sync" in file.read().splitlines()[-1], "it does not say why")
        set_fault(None)
        node.start()
        node.wait_for_height(6)
        tap.true(node.rpc.auditchain(5)["valid"], "audit")


def killed_in_a_reorganisation():
    """Killed half way to a better branch, on a disk that fails when the next start goes on: that start ends and says so"""
    with Node(start=False) as node, Node() as rival:
        control = os.path.join(node.root, "faults")
        node.environment = {"LD_PRELOAD": FAULTS, "FAULTS": control}

        def set_fault(error, skip):
            with open(control, "w", encoding="utf-8") as file:
                file.write(f"{WRITE} {error} {skip} 0 0 /blocks/rev\n" if error else "")

        node.start()
        node.generate(3)
        rival.generate(6, key=1)
        set_fault(KILL, 3)  # each record takes two writes: one block of the branch is connected
        node.rpc.addnode(rival.address, "add")
        tap.equal(node.wait_for_exit(), -signal.SIGKILL, "how it ended")
        set_fault(errno.EIO, 0)
        for _ in range(2):
            node.launch()
            tap.equal(node.wait_for_exit(), 1, "exit status of a start that cannot go on")
            with open(node.output_path, encoding="utf-8") as file:
                tap.true("cannot be written" in file.read().splitlines()[-1], "it does not say why")
        set_fault(0, 0)
        node.connections = [f"-addnode={rival.address}"]
        node.start()
        wait_for_same_tip(node, rival)
        tap.equal(node.model_root(), rival.model_root(), "model root")
        tap.true(node.rpc.auditchain(5)["valid"], "audit")


def killed_while_writing():
    """Half a snapshot, and half a run's bytes, that a kill has left are gone after the next start"""
    node = with_wallet()
    control = os.path.join(node.root, "faults")
    node.stop()
    node.environment = {"LD_PRELOAD": FAULTS, "FAULTS": control}

    def kill_at(folder, act):
        with open(control, "w", encoding="utf-8") as file:
            file.write(f"{RENAME} {KILL} 0 0 0 /{folder}/")
        node.start("-wallet=w")
        act()
        tap.equal(node.wait_for_exit(), -signal.SIGKILL, f"how it ended with {folder}")
        os.remove(control)
        drafts = glob.glob(os.path.join(node.chaindir, folder, "*.new"))
        tap.true(drafts, f"there is no half of a file in {folder}")
        if folder == "blobs":
            shutil.rmtree(os.path.join(node.chaindir, "runs"))  # or the same file is written again
        node.start()
        tap.true(not any(map(os.path.exists, drafts)), f"{drafts} are there for good")
        node.stop()

    def mine(height):
        with contextlib.suppress(RpcError, OSError, http.client.HTTPException):
            mine_to(node, height)

    kill_at("model", lambda: mine(P))
    node.start("-wallet=w")
    commit_runs(node)
    node.stop()
    kill_at("blobs", lambda: mine(P + BEACON))


tap.main(killed_while_writing, killed_while_mining, killed_while_starting, killed_while_reindexing, killed_before_a_sync,
         killed_in_a_reorganisation)
