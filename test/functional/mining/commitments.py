#!/usr/bin/env python3
"""Contributions belong to who committed to them first (doc/protocol.md section 12), and a wallet sees to both transactions
by itself: locked, restarted, killed, or after a reorganisation."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, RpcError, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.contributions import Registration, may_replace, opened
from reference.spec import built_in
from reference.transactions import address

CHANGES = {"name": "commit", "hrp": "cmt", "maturity": 1, "data_delay": 8, "commit_delay": 3}
SPEC = built_in("regtest", **CHANGES)
PAYEE = address("cmt", bytes.fromhex(KEYS[0]))


def private_node(connect=()):
    node = Node(chain="commit", connect=connect, start=False)
    node.use_spec(CHANGES)
    node.start()
    return node


def mine(node, count):
    node.rpc.generatetoaddress(count, PAYEE)


def fund(node, passphrase=""):
    node.rpc.createwallet("w", False, False, passphrase)
    node.rpc.generatetoaddress(3, node.rpc.getnewaddress())
    mine(node, 1)


def contribute(node, data):
    return node.rpc.contributedata("", "CC0-1.0", "a title", None, data.hex())


def has_bytes(node, root):
    try:
        node.rpc.getblob(root, 0, 1)
        return True
    except RpcError as refusal:
        tap.equal(str(refusal), "Blob not found", "the answer for a blob that is not here")
        return False


def stage(node):
    contribution = node.rpc.listcontributions()[-1]
    return contribution["stage"], contribution["depth"], contribution["needed"]


def by_itself():
    """Locked, killed, restarted and reorganised, the wallet registers the data, once; the second implementation agrees"""
    with private_node() as node:
        fund(node, "pass")
        node.rpc.walletpassphrase("pass", 1000)
        data = prose("commitments", 40000)
        answer = contribute(node, data)
        node.rpc.walletlock()
        tap.equal(stage(node), ("committing", 0, 3), "at first")
        tap.equal(node.rpc.getrawmempool(), [answer["commitment"]], "the mempool at first")
        node.kill()
        node.start()
        wait_until(lambda: node.rpc.getrawmempool() == [answer["commitment"]], "the commitment is offered again")
        mine(node, 2)
        tap.equal(stage(node), ("waiting", 2, 3), "before it is deep enough")
        node.restart()
        tap.equal(node.rpc.getrawmempool(), [], "the mempool before it is deep enough")
        # A reorganisation takes its block away.
        first = node.height() - 1
        node.rpc.invalidateblock(node.rpc.getblockhash(first))
        wait_until(lambda: node.rpc.getrawmempool() == [answer["commitment"]], "the commitment waits again")
        tap.equal(stage(node), ("committing", 0, 3), "after the reorganisation")
        mine(node, 3)
        wait_until(lambda: node.rpc.getrawmempool() == [answer["txid"]], "the registration is due")
        tap.equal(stage(node), ("registering", 3, 3), "when it is deep enough")
        node.kill()
        node.start()
        wait_until(lambda: node.rpc.getrawmempool() == [answer["txid"]], "the registration is offered again")
        raw = node.rpc.decoderawtransaction(node.rpc.getrawtransaction(answer["txid"]))
        registration = Registration.parse(bytes.fromhex(raw["vout"][0]["scriptPubKey"]["hex"]))
        committed = [out["scriptPubKey"].get("commitment") for out in node.rpc.decoderawtransaction(
            node.rpc.gettransaction(answer["commitment"])["hex"])["vout"]]
        tap.true(registration.commitment_hash().hex() in committed, "what was committed to")
        tap.equal(opened(SPEC, node.height() + 1, [first]), first, "the commitment that it opens")
        mine(node, 1)
        tap.equal((node.rpc.listdatasets()[1]["txid"], stage(node)[0]), (answer["txid"], "registered"), "in the end")
        node.wait_for_log("is dataset 1 since block")
        mine(node, 3)
        tap.equal((len(node.rpc.listdatasets()), len(node.rpc.listcontributions())), (2, 1), "datasets and contributions")


def given_up():
    """Who abandons a registration, or unloads its wallet, before it is due, has registered nothing"""
    with private_node() as node:
        fund(node)
        answer = contribute(node, prose("given up", 40000))
        node.rpc.abandontransaction(answer["txid"])
        tap.equal(stage(node)[0], "failed", "the stage after abandoning")
        mine(node, 5)
        tap.equal(node.rpc.getblob(answer["root"], 0, 4), prose("given up", 40000)[:4].hex(), "bytes that are kept")
        tap.equal((node.rpc.getrawmempool(), len(node.rpc.listdatasets())), ([], 1), "mempool and datasets after abandoning")
        kept = contribute(node, prose("unloaded", 40000))
        node.rpc.unloadwallet("w")
        mine(node, 5)
        tap.equal((node.rpc.getrawmempool(), len(node.rpc.listdatasets())), ([], 1), "mempool and datasets without the wallet")
        node.rpc.loadwallet("w")
        wait_until(lambda: node.rpc.getrawmempool() == [kept["txid"]], "with the wallet it goes on")
        mine(node, 1)
        tap.equal(node.rpc.listdatasets()[1]["txid"], kept["txid"], "the dataset")
        mine(node, 100)
        tap.equal(node.rpc.getblob(kept["root"], 0, 4), prose("unloaded", 40000)[:4].hex(), "bytes of the dataset")
        wait_until(lambda: not has_bytes(node, answer["root"]), "the bytes of what was given up are gone")


def front_running():
    """Who copies data that wait, commits to them too, and keeps the owner's out of his blocks, is replaced by the owner"""
    with private_node() as owner, private_node(connect=[owner]) as thief:
        fund(owner)
        wait_for_same_tip(owner, thief)
        fund(thief)
        wait_for_same_tip(owner, thief)
        data = prose("front-running", 40000)
        mine_of_owner = contribute(owner, data)
        mine(owner, 1)
        committed = owner.height()
        wait_for_same_tip(owner, thief)
        thief.disconnect(owner)
        # He has the bytes, and mines alone; the owner's registration is not among what he mines.
        stolen = contribute(thief, data)
        mine(thief, 4)
        tap.equal([one["txid"] for one in thief.rpc.listdatasets()[1:]], [stolen["txid"]], "whose they are at the thief's")
        registered = thief.height()
        owner.connect(thief)
        wait_for_same_tip(owner, thief)
        wait_until(lambda: mine_of_owner["txid"] in owner.rpc.getrawmempool(), "the owner's registration is offered")
        dataset = owner.rpc.listdatasets()[1]
        tap.true(may_replace(SPEC, registered + 1, len(data), committed, (len(data), registered, committed + 1)),
                 "the second implementation lets him")
        mine(owner, 1)
        wait_for_same_tip(owner, thief)
        for node in (owner, thief):
            found = node.rpc.listdatasets()
            tap.equal([(one["txid"], one["owner"], one["height"]) for one in found[1:]],
                      [(mine_of_owner["txid"], mine_of_owner["owner"], dataset["height"])], "whose they are in the end")
        tap.equal(stage(thief)[0], "failed", "the thief's contribution")
        mine(owner, 1)
        tap.equal(thief.rpc.listcontributions()[0]["txid"], stolen["txid"], "what he is told of")
        with tap.raises(-27, "dataset 1"):
            contribute(thief, data)


tap.main(by_itself, given_up, front_running)
