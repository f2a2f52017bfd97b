#!/usr/bin/env python3
"""Transactions between nodes: announced by wtxid, asked for once, passed on when the mempool has taken them."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_for_same_tip, wait_until
from framework.p2p import Peer
from reference import messages
from reference.hashing import Reader
from reference.transactions import Transaction


def setting():
    """A node that can pay, with its network off, a payment only it knows of, and a victim on the same chain."""
    payer, victim = Node(), Node()
    victim.connect(payer)
    payer.rpc.createwallet("w")
    wallet = payer.rpc.wallet("w")
    payer.rpc.generatetoaddress(2, wallet.getnewaddress())
    payer.generate(12, key=2)
    wait_for_same_tip(payer, victim)
    payer.rpc.setnetworkactive(False)
    victim.disconnect(payer)
    txid = wallet.sendtoaddress(wallet.getnewaddress(), 1)
    raw = bytes.fromhex(payer.rpc.getrawtransaction(txid))
    return payer, victim, txid, Transaction.read(Reader(raw))


def inventory(tx):
    return messages.inventory_payload((messages.INVENTORY_TX, tx.wtxid()))


def mentions(tx):
    return lambda payload: (messages.INVENTORY_TX, tx.wtxid()) in messages.parse_inventory(payload)


def relay():
    """A transaction is asked of the first who offers it, then announced to everybody else"""
    payer, victim, txid, tx = setting()
    with payer, victim, Peer(victim) as first, Peer(victim) as second, Peer(victim) as third:
        first.send("inv", inventory(tx))
        first.wait_for("getdata", mentions(tx))
        second.send("inv", inventory(tx))
        second.sync()
        tap.equal(second.count("getdata"), 0, "requests to the second that offers it")
        first.send("tx", tx.serialise())
        third.wait_for("inv", mentions(tx))
        tap.equal(victim.rpc.getrawmempool(), [txid], "the mempool")
        third.send("getdata", inventory(tx))
        tap.equal(third.wait_for("tx"), tx.serialise(), "the transaction on request")
        for peer in (first, second):
            peer.sync()
            tap.equal(peer.count("inv"), 0, "announcements to who has it")
        with Peer(victim) as late:  # whoever connects later is told what waits
            late.wait_for("inv", mentions(tx))
        first.send("inv", inventory(tx))
        first.sync()
        tap.equal(first.count("getdata"), 1, "requests for what is here")


def next_offer():
    """Who offers and does not have it is passed over"""
    payer, victim, txid, tx = setting()
    with payer, victim, Peer(victim) as empty, Peer(victim) as leaving, Peer(victim) as good:
        for peer in (empty, leaving, good):
            peer.send("inv", inventory(tx))
            peer.sync()
        empty.wait_for("getdata", mentions(tx))
        empty.send("notfound", inventory(tx))
        leaving.wait_for("getdata", mentions(tx))
        leaving.close()
        good.wait_for("getdata", mentions(tx))
        good.send("tx", tx.serialise())
        wait_until(lambda: victim.rpc.getrawmempool() == [txid], "the transaction is in the mempool")


def false_signature():
    """A wrong signature costs the connection"""
    payer, victim, _, tx = setting()
    with payer, victim, Peer(victim) as liar, Peer(victim) as honest:
        previous, index, script, sequence, witness = tx.inputs[0]
        tx.inputs[0] = (previous, index, script, sequence, [witness[0][:-1] + bytes([witness[0][-1] ^ 1])])
        liar.send("tx", tx.serialise())
        liar.wait_for_close()
        victim.wait_for_log("bad-txns-signature")
        honest.sync()
        tap.equal((victim.rpc.getrawmempool(), honest.count("inv")), ([], 0), "what became of it")


def not_the_senders_fault():
    """What is refused because of where this node stands costs nothing"""
    payer, victim, _, tx = setting()
    with payer, victim, Peer(victim) as peer:
        previous = tx.inputs[0][:2]
        tx.inputs[0] = (bytes(31) + b"\x01", *tx.inputs[0][1:])  # a coin nobody knows
        peer.send("tx", tx.serialise())
        peer.sync()
        tap.true(not peer.closed, "the connection stays")
        tap.equal(victim.rpc.getrawmempool(), [], "the mempool")
        tx.inputs[0] = (*previous, *tx.inputs[0][2:])
        peer.send("tx", tx.serialise())
        peer.sync()
        wait_until(lambda: len(victim.rpc.getrawmempool()) == 1, "the right one is taken")


tap.main(relay, next_offer, false_signature, not_the_senders_fault)
