#!/usr/bin/env python3
"""Contributing data as its owner does it: which addresses that uses up, what is refused before anything is burned, what a
wallet restored from its words can go on with, and what it says of data that are refused."""

import http.client
import os
import random
import sys
import threading

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, RpcError, wait_for_same_tip, wait_until
from framework.prose import prose
from reference.spec import built_in

SPEC = built_in("regtest")
GAP = 20  # unused addresses that a wallet looks ahead


def fund(node, coins=2):
    """Gives the wallet coins that can be spent; the address that they came to."""
    address = node.rpc.getnewaddress()
    node.rpc.generatetoaddress(coins, address)
    node.generate(SPEC.maturity)
    return address


def contribute(node, data, owner=None, **more):
    return node.rpc.contributedata(file="", licence="CC0-1.0", title="a title", hexdata=data.hex(),
                                   **{"owner": owner} if owner else {}, **more)


def index_of(node, address):
    return int(node.rpc.getaddressinfo(address)["hdkeypath"].rpartition("/")[2])


def restored(node, words):
    node.rpc.createwallet(wallet_name="again", mnemonic=words)
    wait_until(lambda: node.rpc.getwalletinfo()["scanning"] is False, "it has looked through the chain")


def addresses():
    """Calls that are refused give out no address; owners count as used, and a wallet restored from words finds what is paid"""
    with Node() as node, Node(connect=[node]) as other:
        node.rpc.createwallet("w")
        words, data = node.rpc.dumpmnemonic(), prose("addresses", 40000)
        for _ in range(GAP + 5):
            with tap.raises(-6, "funds"):
                contribute(node, data)
        tap.equal(index_of(node, fund(node)), 0, "the address that is paid")
        for _ in range(GAP + 5):
            with tap.raises(-8, "title"):
                node.rpc.contributedata("", "CC0-1.0", "bell\x07", None, data.hex())
            contribute(node, data, dry_run=True)
        answer = contribute(node, data)
        tap.equal(index_of(node, answer["owner"]), 1, "the owner's address is the next one")
        tap.equal(node.rpc.getaddressinfo(answer["owner"])["labels"], ["data owner"], "its label")
        for _ in range(GAP + 5):
            with tap.raises(-4, "already"):
                contribute(node, data)
        tap.equal(index_of(node, node.rpc.getrawchangeaddress()), 2, "change: the commitment's own and the registration's coin")
        # Most of the gap is given out and never paid; the last of these owns data, and is not paid yet either.
        given = [node.rpc.getnewaddress() for _ in range(GAP - 2)]
        tap.equal(index_of(node, given[0]), 2, "the next address")
        contribute(node, prose("owned", 40000), given[-1])
        while len(node.rpc.listdatasets()) < 3:
            node.generate(1)
        beyond = [node.rpc.getnewaddress() for _ in range(GAP - 1)][-1]
        node.rpc.generatetoaddress(1, beyond)
        wait_for_same_tip(node, other)
        restored(other, words)
        tap.equal(other.rpc.getbalances()["mine"], node.rpc.getbalances()["mine"], "balances")
        tap.equal(other.rpc.getnewaddress(), node.rpc.getnewaddress(), "the next address of both")


def dry_run():
    """A dry run is refused for whatever the call would be, with what is needed, and changes nothing"""
    with Node() as node:
        node.rpc.createwallet("w", False, False, "pass")
        data = prose("dry", 40000)

        def both_refuse(code, text, **more):
            for dry in (True, False):
                with tap.raises(code, text):
                    contribute(node, data, dry_run=dry, **more)

        both_refuse(-13, "walletpassphrase")
        node.rpc.walletpassphrase("pass", 1000)
        # Ten units a byte, the commitment and fees of a few hundred bytes.
        both_refuse(-6, "Insufficient funds: 0.0041")
        both_refuse(-6, "and 0.00000000 can be spent")
        fund(node)
        both_refuse(-5, "Invalid address", owner="nobody")
        for rate in ("0", "0.0", "0.999"):
            both_refuse(-8, "fee rate", fee_rate=rate)
        balance, dry = node.rpc.getbalance(), contribute(node, data, dry_run=True)
        tap.equal((node.rpc.getbalance(), node.rpc.listcontributions(), node.rpc.getrawmempool()), (balance, [], []),
                  "what a dry run leaves behind")
        answer = contribute(node, data)
        tap.equal({name: answer[name] for name in dry}, dry, "what both say")
        tap.equal(set(answer) - set(dry), {"commitment", "txid", "stage"}, "what the call says beside it")
        tap.equal(balance - node.rpc.getbalances()["mine"]["trusted"], answer["burned"] + answer["fee"],
                  "what the call took from the wallet")
        both_refuse(-4, "already")
        with tap.raises(-8, "fee rate"):
            node.rpc.sendtoaddress(address=answer["owner"], amount=1, fee_rate=0)


def restored_from_words():
    """A wallet restored from its words opens its own commitment with the same bytes, and burns nothing for it again"""
    with Node() as node, Node(connect=[node]) as other:
        node.rpc.createwallet("w")
        words, data = node.rpc.dumpmnemonic(), prose("restored", 40000)
        fund(node)
        first = contribute(node, data)
        # The wallet is lost before the registration was sent; its commitment is in a block.
        node.rpc.unloadwallet("w")
        node.generate(2)
        tap.equal(node.rpc.getrawmempool(), [], "the mempool without the wallet")
        wait_for_same_tip(node, other)
        restored(other, words)
        tap.equal(other.rpc.listcontributions(), [], "what it knows of")
        dry = contribute(other, data, dry_run=True)
        tap.equal((dry["committed_before"], dry["owner"], dry["burned"] * 10 ** 8), (True, first["owner"], 400000), "a dry run")
        # For another owner it would be another commitment. (The first address is paid, the next the one that it was for.)
        tap.equal(other.rpc.getnewaddress(), first["owner"], "the next address")
        tap.equal(contribute(other, data, other.rpc.getnewaddress(), dry_run=True)["committed_before"], False, "for another")
        answer = contribute(other, data)
        tap.equal((answer["commitment"], answer["owner"], answer["stage"]), (first["commitment"], first["owner"], "registering"),
                  "what it goes on with")
        tap.equal(other.rpc.getrawmempool(), [answer["txid"]], "what it sends")
        with tap.raises(-4, "already"):
            contribute(other, data)
        wait_until(lambda: node.rpc.getrawmempool() == [answer["txid"]], "it reaches the other node")
        node.generate(1)
        wait_for_same_tip(node, other)
        dataset = other.rpc.listdatasets()[1]
        tap.equal((dataset["txid"], dataset["owner"]), (answer["txid"], first["owner"]), "the dataset")
        tap.equal(other.rpc.listcontributions()[0]["stage"], "registered", "the stage")
        # The wallet that was thought lost sees that it is done.
        node.rpc.loadwallet("w")
        wait_until(lambda: node.rpc.listcontributions()[0]["stage"] == "failed", "its own registration is void")


def given_up():
    """Who has abandoned a registration and contributes the bytes again opens the commitment that is there"""
    with Node() as node:
        node.rpc.createwallet("w")
        fund(node)
        data = prose("given up", 40000)
        first = contribute(node, data)
        node.rpc.abandontransaction(first["txid"])
        tap.equal(node.rpc.listcontributions()[0]["stage"], "failed", "the stage")
        answer = contribute(node, data)  # the commitment is in the mempool yet
        tap.equal((answer["committed_before"], answer["commitment"], answer["stage"]), (True, first["commitment"], "committing"),
                  "the answer")
        node.generate(1)
        wait_until(lambda: node.rpc.getrawmempool() == [answer["txid"]], "the registration is due")
        node.generate(1)
        tap.equal([one["txid"] for one in node.rpc.listdatasets()[1:]], [answer["txid"]], "datasets")
        tap.equal([one["stage"] for one in node.rpc.listcontributions()], ["failed", "registered"], "stages")


def refused():
    """A registration that is refused for what its bytes are says so, with what they resemble, and is not offered for ever"""
    with Node() as node, Node("-debug=wallet", connect=[node]) as late:
        for one in (node, late):
            one.rpc.createwallet("w")
            fund(one)
            wait_for_same_tip(node, late)
        late.disconnect(node)
        text = prose("refused", 40000)
        original = contribute(node, text)
        while len(node.rpc.listdatasets()) < 2:
            node.generate(1)
        registered = node.rpc.getdataset("1")["height"]
        # Who knows of no original commits to a copy.
        copy = contribute(late, bytes(byte ^ (i % 32 == 16) for i, byte in enumerate(text)))
        with tap.raises(-5, "its contribution by the wallet w is committing"):
            late.rpc.getdataset(copy["root"])
        node.rpc.sendrawtransaction(late.rpc.gettransaction(copy["commitment"])["hex"])
        node.generate(1)
        late.connect(node)
        wait_for_same_tip(node, late)
        wait_until(lambda: late.rpc.listcontributions()[0]["stage"] == "refused", "the stage of the copy")
        why = late.rpc.listcontributions()[0]["why"]
        tap.true("bad-contrib-novelty" in why and "dataset 1" in why, why)
        with tap.raises(-5, "is refused: bad-contrib-novelty"):
            late.rpc.getdataset(copy["root"])
        late.wait_for_log("is refused, and not offered again on this branch: bad-contrib-novelty")
        told = late.log().count("bad-contrib-novelty")
        for _ in range(3):
            node.generate(1)
            wait_for_same_tip(node, late)
            late.rpc.getbalance()
        late.rpc.stop()
        tap.equal(late.wait_for_exit(), 0, "exit status")
        tap.equal(late.log().count("bad-contrib-novelty"), told, "how often the log tells of it")
        # Another branch is another judge, which the bytes are brought before again: here the original is registered first too.
        late.start()
        wait_until(lambda: late.rpc.listcontributions()[0]["stage"] == "refused", "it is refused after a restart")
        told = late.log().count("bad-contrib-novelty")
        late.disconnect(node)
        late.rpc.invalidateblock(late.rpc.getblockhash(registered))
        tap.equal(late.rpc.listcontributions()[0]["stage"], "committing", "the stage on the other branch")
        for _ in range(4):
            late.generate(1)
        wait_until(lambda: late.log().count("bad-contrib-novelty") > told, "it is judged again")
        tap.equal([one["txid"] for one in late.rpc.listdatasets()[1:]], [original["txid"]], "datasets")


def large():
    """Large data are judged by a worker; who waits for that when the node ends is answered, and nothing is lost"""
    with Node() as node:
        node.rpc.createwallet("w")
        fund(node)
        data = random.Random(1).randbytes(300000)
        for dry in (True, False):
            with tap.raises(-26, "bad-contrib-pages"):
                contribute(node, bytes(300000), dry_run=dry)
        dry = contribute(node, data, dry_run=True)
        tap.equal(contribute(node, data)["root"], dry["root"], "the root that both say")
        with tap.raises(-8, "No such file or directory; a relative path is looked for where the node was started"):
            node.rpc.contributedata("large", "CC0-1.0", "large", dry_run=True)
        path = os.path.join(node.root, "large")
        with open(path, "wb") as file:
            file.write(random.Random(2).randbytes(SPEC.blob_max))
        answers = []

        def ask():
            try:
                answers.append(node.rpc.contributedata(path, "CC0-1.0", "large", dry_run=True))
            except (RpcError, OSError, http.client.HTTPException) as refusal:
                answers.append(refusal)
        asking = threading.Thread(target=ask)
        asking.start()
        node.rpc.getblockcount()
        node.restart()
        asking.join()
        tap.equal(len(answers), 1, "answers")
        # Both are offered again after the start, the registration when a worker has judged its bytes.
        for awaited in ("commitment", "registration"):
            wait_until(lambda: node.rpc.getrawmempool(), f"the {awaited} is offered")
            node.generate(1)
        tap.equal(node.rpc.listdatasets()[1]["root"], dry["root"], "the dataset")


tap.main(addresses, dry_run, restored_from_words, given_up, refused, large)
