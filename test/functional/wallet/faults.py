#!/usr/bin/env python3
"""A disk that fails under a wallet: once or for a while, at any call, and then more calls, an orderly end or kill -9. The
wallet opens again with everything that was acknowledged, and nothing goes out that was answered with an error.

The daemon runs with test/unit/faults.c in LD_PRELOAD, which lets calls fail as a file asks for."""

import contextlib
import errno
import os
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, wait_until
from reference.transactions import address

MATURITY = 10
PAYEE = address("ratl", bytes.fromhex(KEYS[0]))
LIBRARY = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "test", "functional", "faults.so")
WRITE, SYNC, RENAME, OPEN, UNLINK = (1 << n for n in range(5))
EVERY = WRITE | SYNC | RENAME | OPEN | UNLINK
MORE = 8  # calls that follow, and succeed

# What fails: calls, error, how many of them (0: until there is room again), whether half of it is written.
FULL_ONCE = WRITE, errno.ENOSPC, 1, 1
FULL = EVERY, errno.ENOSPC, 0, 1
BAD_WRITE = WRITE, errno.EIO, 1, 0
BAD_SYNC = SYNC, errno.EIO, 1, 0
BAD_FEW = EVERY, errno.EIO, 3, 0
BAD_MANY = EVERY, errno.EIO, 12, 0


class Case:
    """A wallet, and what its owner was told."""

    def __init__(self, name, fault, at):
        self.name, self.fault, self.at = name, fault, at
        self.addresses, self.paid, self.passphrase, self.exists = {}, [], None, False

    def __str__(self):
        return f"{self.name} ({self.at.__name__}, {self.fault})"

    def create(self, rpc):
        rpc.createwallet(wallet_name=self.name, load_on_startup=False)  # so that a new process begins with none of its payments
        self.exists = True

    def address(self, rpc):
        label = f"number {len(self.addresses)} " + 40 * "x"
        self.addresses[rpc.wallet(self.name).getnewaddress(label)] = label

    def label(self, rpc):
        first = next(iter(self.addresses))
        rpc.wallet(self.name).setlabel(first, "another")
        self.addresses[first] = "another"

    def pay(self, rpc):
        if self.passphrase:
            rpc.wallet(self.name).walletpassphrase(self.passphrase, 600)
        self.paid.append(rpc.wallet(self.name).sendtoaddress(PAYEE, "0.5"))

    def encrypt(self, rpc):
        rpc.wallet(self.name).encryptwallet("sesame")
        self.passphrase = "sesame"

    def change(self, rpc):
        if not self.passphrase:
            self.encrypt(rpc)
            return
        rpc.wallet(self.name).walletpassphrasechange("sesame", "open")
        self.passphrase = "open"

    def block(self, rpc):
        """The wallet is told of a block that pays it. That cannot fail for anybody; the wallet must not miss it."""
        rpc.generatetoaddress(1, next(iter(self.addresses)))
        raise RpcError({"code": 0, "message": "as if it were a call of the wallet"})


CASES = [
    (FULL_ONCE, Case.block), (FULL, Case.block),
    (FULL_ONCE, Case.address), (FULL_ONCE, Case.label), (FULL_ONCE, Case.pay), (FULL_ONCE, Case.encrypt),
    (FULL_ONCE, Case.create),
    (FULL, Case.address), (FULL, Case.pay), (FULL, Case.encrypt), (FULL, Case.create),
    (BAD_WRITE, Case.address), (BAD_WRITE, Case.pay), (BAD_WRITE, Case.change),
    (BAD_SYNC, Case.address), (BAD_SYNC, Case.pay), (BAD_SYNC, Case.encrypt), (BAD_SYNC, Case.create),
    (BAD_FEW, Case.address), (BAD_MANY, Case.pay), (BAD_MANY, Case.change),
]
LAST = [Case.address, Case.pay, Case.encrypt, Case.create]  # the disk is full, and the node ends before there is room


class Faults:
    """The control file of faults.c."""

    def __init__(self, node):
        self.path, self.serial = os.path.join(node.root, "faults.txt"), 0
        self.set(0, 0, 0, 0, "-")
        node.environment = {"LD_PRELOAD": LIBRARY, "FAULTS": self.path}

    def set(self, calls, error, times, torn, under):
        self.serial += 1
        with open(self.path + ".new", "w", encoding="ascii") as file:
            file.write(f"{calls} {error} 0 {times} {torn} {under} {self.serial}\n")
        os.rename(self.path + ".new", self.path)

    def clear(self):
        self.set(0, 0, 0, 0, "-")


def refused(case, call, rpc):
    try:
        call(case, rpc)
    except RpcError:
        return
    raise AssertionError(f"{case}: {call.__name__} succeeded")


def prepare(node, cases):
    """Everybody gets a reward that can be spent; who tries its passphrase has one."""
    for case in cases:
        if case.at != Case.create:
            case.create(node.rpc)
            case.address(node.rpc)
            node.rpc.generatetoaddress(1, next(iter(case.addresses)))
        if case.at == Case.change:
            case.encrypt(node.rpc)
    node.generate(MATURITY)


def run(node, faults, case):
    faults.set(*case.fault, case.name)
    refused(case, case.at, node.rpc)
    if case.fault == FULL:
        for call in (Case.address, Case.pay):
            refused(case, call, node.rpc)
    elif not case.exists:
        tap.true(case.name not in {w["name"] for w in node.rpc.listwalletdir()["wallets"]}, f"{case}: half a wallet")
    if case.fault == BAD_MANY:
        for _ in range(12):  # as long as opening it fails too
            with contextlib.suppress(RpcError):
                case.address(node.rpc)
    faults.clear()
    if not case.exists:
        case.create(node.rpc)
    for _ in range(MORE):
        case.address(node.rpc)
    case.label(node.rpc)
    if case.at not in (Case.create, Case.block):  # nothing to pay with; a block takes what was paid before
        case.pay(node.rpc)
    if case.at in (Case.encrypt, Case.change):  # others keep the files that met the fault
        case.change(node.rpc)


def check(node, case):
    rpc = node.rpc.wallet(case.name)
    if case.name not in node.rpc.listwallets():
        node.rpc.loadwallet(case.name)
    wait_until(lambda: rpc.getwalletinfo()["scanning"] is False, f"{case}: it is level with the chain")
    for given, label in case.addresses.items():
        info = rpc.getaddressinfo(given)
        tap.equal((info["ismine"], info["labels"]), (True, [label]), f"{case}: an address")
    tap.true(rpc.getnewaddress() not in case.addresses, f"{case}: an address is given out twice")
    entries = rpc.listtransactions("*", 1000)
    tap.equal({e["txid"] for e in entries if e["category"] == "send" and not e["abandoned"]}, set(case.paid),
              f"{case}: payments")
    rewards = [e for e in entries if e["category"] in ("immature", "generate")]
    tap.equal(len({e["txid"] for e in rewards}), {Case.create: 0, Case.block: 2}.get(case.at, 1), f"{case}: rewards")
    if case.passphrase:
        rpc.walletpassphrase(case.passphrase, 60)
    tap.equal(len(rpc.dumpmnemonic().split()), 24, f"{case}: words")


def matrix(end):
    """All cases on one node, which ends only once."""
    if not os.path.exists(LIBRARY):
        raise tap.Skip("faults.so has not been built")
    with Node(start=False) as node:
        faults = Faults(node)
        node.start()
        cases = [Case(f"case{number:02}", *case) for number, case in enumerate(CASES)]
        last = [Case(f"last{number}", FULL, at) for number, at in enumerate(LAST)]
        prepare(node, cases + last)
        for case in cases:
            run(node, faults, case)
        faults.set(*FULL, "last")
        for case in last:
            for call in (case.at, Case.address):
                refused(case, call, node.rpc)
        paid = {txid for case in cases for txid in case.paid}
        tap.equal(set(node.rpc.getrawmempool()), paid, "what went out")
        end(node)
        faults.clear()
        node.start()
        tap.equal(node.rpc.getrawmempool(), [], "the mempool of a new process")
        cases += last
        tap.equal({w["name"] for w in node.rpc.listwalletdir()["wallets"]}, {c.name for c in cases if c.exists}, "wallets")
        for case in cases:
            if not case.exists:
                case.create(node.rpc)
            check(node, case)
        wait_until(lambda: set(node.rpc.getrawmempool()) == paid, "the payments are offered again, and no others")
        node.generate(1)
        tap.equal(node.rpc.getrawmempool(), [], "what is left for the next block")
        tap.comment(f"{len(cases)} of {len(cases)} wallets open again with everything that was acknowledged")


def stopped():
    """A call of the disk fails, more calls, an orderly end: everything acknowledged is there"""
    matrix(Node.stop)


def killed():
    """A call of the disk fails, more calls, kill -9: everything acknowledged is there"""
    matrix(Node.kill)


def fill(path):
    with open(path, "wb", buffering=0) as file:
        for size in (4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))


def small_disk():
    """A file system for wallets alone is full, has room again, and kill -9"""
    with Node(start=False) as node:
        wallets = os.path.join(node.chaindir, "wallets")
        os.makedirs(wallets)
        if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", wallets],
                                               capture_output=True, check=False).returncode != 0:
            raise tap.Skip("no file system can be mounted here")
        try:
            node.start()
            case = Case("w", FULL, Case.address)
            prepare(node, [case])
            fill(os.path.join(wallets, "filler"))
            with contextlib.suppress(RpcError):
                for _ in range(10000):  # as long as there is room in the last page
                    case.address(node.rpc)
            for call in (Case.address, Case.pay, Case.encrypt):
                refused(case, call, node.rpc)
            with tap.raises(-4):
                node.rpc.createwallet("second")
            tap.equal(len(node.rpc.getnetworkinfo()["warnings"]) > 0, True, "there is no warning")
            os.remove(os.path.join(wallets, "filler"))
            for call in (Case.address, Case.pay, Case.encrypt, Case.address):
                call(case, node.rpc)
            node.rpc.createwallet(wallet_name="second", load_on_startup=False)
            node.kill()
            node.start()
            check(node, case)
            node.rpc.loadwallet("second")
            wait_until(lambda: node.rpc.getrawmempool() == case.paid, "the payment is offered again")
        finally:
            if node.is_running():
                node.kill()
            subprocess.run(["umount", wallets], capture_output=True, check=False)


tap.main(stopped, killed, small_disk)
