#!/usr/bin/env python3
"""Strangers offer disclosures that nobody made, or keep the bytes of others': honest seats are disclosed in time all the same."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.miners import Miners
from framework.node import wait_for_same_tip, wait_until
from framework.p2p import Peer
from framework.untrained import RULES, codes_of, committed, disclosure, rounds_node
from reference import messages
from reference.hashing import blob_root, sha256
from reference.round_tx import COMMIT, DISCLOSURE, RoundTransaction

FIELDS = {"name": "flood", "hrp": "rnd", "d": 16, "layers": 1, "heads": 1, "ff": 16, "ctx": 32, "batch": 1, "iterations": 1,
          "bench_rows": 1, "maturity": 13, "halving": 10, "round_blocks": 6, "round_work": 1, "round_reveal": 2, "segments": 3,
          "segment": 1, "run_ppm": 500000}


def stranger(node, number):
    return Peer(node, source=f"127.{1 + number // 250}.{number % 250 + 1}.7")


def fake(seat, length, number):
    """A disclosure of bytes that do not exist."""
    return RoundTransaction(DISCLOSURE, seat, length, sha256(b"%d of %d" % (seat, number))).transaction().serialise()


def offer_fakes(peer, seats, length, number):
    for seat in seats:
        peer.send("tx", fake(seat, length, number))
    peer.sync()


def blobs_asked(peer):
    return [payload[:32] for command, payload in list(peer.heard) if command == "getpart"]


def seats_survive():
    """Four addresses offer something else for every seat, a block before the beacon: no stake is taken"""
    miners, count = Miners(FIELDS, 2), FIELDS["round_blocks"]
    beacon = count + FIELDS["round_work"] + 1
    for height in range(1, count + 1):
        miners.mine(height)
    miners.wait_for(COMMIT, count)
    for height in range(count + 1, beacon):
        miners.mine(height)
    liars = [stranger(miners.first, number) for number in range(4)]
    for number, liar in enumerate(liars):
        offer_fakes(liar, range(1, count + 1), FIELDS["segments"], number)
    miners.mine(beacon)
    miners.wait_for(DISCLOSURE, count)
    # By the node alone that had the liars for peers.
    for _ in range(2 * count + 1 - beacon):
        miners.first.rpc.generatetoaddress(1, miners.payees[0])
        wait_for_same_tip(*miners.present())
    tap.equal([seat["state"] for seat in miners.first.rpc.getround(count)["seats"]], ["merged"] * count, "the seats")
    for liar in liars:
        liar.close()
    miners.end()


def bring(node, seats):
    """As a node does: who offers disclosures once, and then answers what it is asked for."""
    disclosures = [disclosure(node, seat, codes_of(seat)) for seat in seats]
    transactions = {transaction.wtxid(): transaction.serialise() for transaction, _ in disclosures}
    answered = 0

    def is_taken():
        nonlocal answered
        requests = [payload for command, payload in list(peer.heard) if command == "getdata"]
        for payload in requests[answered:]:
            for _, wtxid in messages.parse_inventory(payload):
                peer.send("tx", transactions[wtxid])
        answered = len(requests)
        return len(node.rpc.getrawmempool()) == len(transactions)

    with stranger(node, 1000) as peer:
        for _, blob in disclosures:
            peer.give(blob_root(blob), blob)
        peer.send("inv", messages.inventory_payload(*[(messages.INVENTORY_TX, wtxid) for wtxid in transactions]))
        wait_until(is_taken, "all is taken")
        # Nobody is asked for what he has not offered.
        tap.equal(set(blobs_asked(peer)) - {blob_root(blob) for _, blob in disclosures}, set(), "requests for others")


def put_off():
    """More addresses than there are places fill them first: who finds none is asked again, and gets in"""
    with rounds_node() as node:
        committed(node, {seat: codes_of(seat) for seat in (1, 2)})
        liars = [stranger(node, number) for number in range(40)]
        for number, liar in enumerate(liars):
            offer_fakes(liar, (1, 2), RULES.segments, number)
        bring(node, (1, 2))
        for liar in liars:
            liar.close()


def dribbled():
    """Who sends what is asked for byte by byte, or has it not, loses his turn"""
    with rounds_node() as node:
        committed(node, {1: codes_of(1)})
        transaction, blob = disclosure(node, 1, codes_of(1))
        with stranger(node, 1) as slow, stranger(node, 2) as without:
            slow.send("tx", transaction.serialise())
            wait_until(lambda: blobs_asked(slow), "the first is asked")
            without.send("tx", transaction.serialise())
            asked = slow.is_asked_for_blob(blob_root(blob))
            frame, sent = messages.frame(slow.magic, "part", messages.part_payload(asked, blob)), 0

            def is_next_asked():
                nonlocal sent
                slow.send_raw(frame[sent:sent + 1])
                sent += 1
                tap.true(sent < len(frame), "all of it has come")
                return blobs_asked(without)

            wait_until(is_next_asked, "the next is asked")
            without.give(blob_root(blob), None)
            bring(node, [1])


tap.main(seats_survive, put_off, dribbled)
