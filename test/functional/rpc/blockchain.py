#!/usr/bin/env python3
"""What the calls about the chain show is what the blocks hold."""

import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, Node, wait_for_same_tip
from reference.document import known_answers
from reference.hashing import sha256, shown
from reference.headers import Block, Header
from reference.targets import from_compact
from reference.transactions import address

KNOWN = dict(known_answers())
GENESIS, INITIAL, COMMITMENT = (KNOWN[f"{what} regtest"] for what in ("genesis", "initial", "commitment"))
CORPUS = "dccbebd0dd9839d1de7391498eda2507ae34397268d820dde206ac8706f45fd4"


def genesis():
    """A new node stands at the genesis of its spec"""
    with Node() as node:
        tap.equal((node.height(), node.tip(), node.rpc.getblockhash(0)), (0, GENESIS, GENESIS), "genesis")
        info = node.rpc.getblockchaininfo()
        tap.equal([info[name] for name in ("chain", "blocks", "headers", "bestblockhash", "model_root", "difficulty",
                                           "initialblockdownload", "time", "mediantime", "pruned", "size_on_disk", "warnings")],
                  ["regtest", 0, 0, GENESIS, INITIAL, 1, False, 1795219200, 1795219200, False, 0, []], "getblockchaininfo")
        header = node.rpc.getblockheader(GENESIS)
        tap.equal([header[name] for name in ("height", "confirmations", "digest", "bits", "nonce", "nTx")],
                  [0, 1, COMMITMENT, "20400000", "0", 0], "its header")
        tap.true("previousblockhash" not in header and "nextblockhash" not in header, "genesis has neighbours")
        tap.equal(shown(Header.parse(bytes.fromhex(node.rpc.getblockheader(GENESIS, False))).id()),
                  GENESIS, "id of its 212 bytes")
        tap.equal(node.rpc.getblock(GENESIS)["hash"], GENESIS, "getblock")
        with tap.raises(-1, "genesis"):
            node.rpc.getblock(GENESIS, 0)
        spec = node.rpc.getchainspec()
        for name, value in {
                "name": "regtest", "hrp": "ratl", "genesis": GENESIS, "commitment": COMMITMENT, "corpus_root": CORPUS,
                "corpus_size": 262144, "bench_bytes": 65536, "d": 32, "k": 4, "slots": 2, "subsidy": 5000000000,
                "halving": 150, "maturity": 10, "burn_rate": 10}.items():
            tap.equal(spec[name], value, f"{name} in getchainspec")
        tap.equal(node.rpc.getchaintips(), [{"height": 0, "hash": GENESIS, "branchlen": 0, "status": "active"}], "tips")
        tap.equal(node.rpc.gettxoutsetinfo()["txouts"], 0, "coins")


def blocks():
    """Each block in all its forms"""
    with Node() as node:
        ids = [GENESIS, *node.generate(6)]
        tap.equal([node.rpc.getblockhash(height) for height in range(7)], ids, "ids by height")
        work = 0
        for height, block_id in enumerate(ids):
            told = node.rpc.getblock(block_id)
            work += 2 ** 256 // (from_compact(int(told["bits"], 16)) + 1)
            tap.equal(int(told["chainwork"], 16), work, "work of the chain")
            tap.equal((told["height"], told["confirmations"]), (height, 7 - height), "height and confirmations")
            tap.equal((told.get("previousblockhash"), told.get("nextblockhash")),
                      (ids[height - 1] if height else None, ids[height + 1] if height < 6 else None), "neighbours")
            tap.equal({**told, **node.rpc.getblockheader(block_id)}, told, "the header's fields in the block")
            if height == 0:
                continue
            raw = bytes.fromhex(node.rpc.getblock(block_id, 0))
            block = Block.parse(raw)
            tap.equal(block.serialise(), raw, "the block, parsed and written again")
            header, coinbase = block.header, block.transactions[0]
            tap.equal(bytes.fromhex(node.rpc.getblockheader(block_id, False)), header.serialise(), "the header's bytes")
            for name, value in {
                    "hash": shown(header.id()), "merkleroot": shown(block.tx_root()),
                    "proofs_root": shown(block.proofs_root()), "model_root": shown(header.model_root),
                    "miner": address("ratl", header.miner), "time": header.time, "nonce": str(header.nonce),
                    "digest": header.digest.hex(), "seed": shown(header.seed()), "nTx": 1, "size": len(raw),
                    "ticket": shown(header.ticket()), "nproofs": 1 + len(block.loose),
                    "tx": [shown(coinbase.txid())]}.items():
                tap.equal(told[name], value, f"{name} of block {height}")
            tap.equal([proof["id"] for proof in told["proofs"]],
                      [shown(one.id()) for one in (header, *block.loose)], "proofs")
            tap.equal([proof["reward"] * 10 ** 8 for proof in told["proofs"]],
                      [amount for amount, _ in coinbase.outputs[:1 + len(block.loose)]], "rewards")
            with_bodies = bytes.fromhex(node.rpc.getblock(block_id, 0, True))
            size = node.rpc.getmodelinfo()["body_bytes"]
            tap.equal(with_bodies[:len(raw) - 1] + b"\0", raw, "the block before its bodies")
            bodies = with_bodies[len(raw):]
            tap.equal([sha256(bodies[size * i:size * (i + 1)]) for i in range(1 + len(block.loose))],
                      [one.digest for one in (header, *block.loose)], "digests of the bodies")
            for index, one in enumerate((header, *block.loose)):
                proof = node.rpc.getproof(shown(one.id()), True)
                body = bodies[size * index:size * (index + 1)]
                tap.equal((proof["header"], proof["body"], proof["index"], proof["blockhash"]),
                          (one.serialise().hex(), body.hex(), index, block_id), "proof")
            transaction = node.rpc.getblock(block_id, 2)["tx"][0]
            tap.equal([(out["value"] * 10 ** 8, out["scriptPubKey"]["hex"]) for out in transaction["vout"]],
                      [(amount, script.hex()) for amount, script in coinbase.outputs], "outputs")
            tap.equal(bytes.fromhex(node.rpc.getrawtransaction(told["tx"][0])), coinbase.serialise(), "raw coinbase")
            tap.equal(node.rpc.getrawtransaction(told["tx"][0], 1)["vout"], transaction["vout"], "decoded coinbase")
            tap.equal(node.rpc.decoderawtransaction(coinbase.serialise().hex())["txid"], told["tx"][0], "decoded")
            if height < 6:
                child = node.rpc.getblockheader(ids[height + 1])
                tap.equal(child["model_root"], told["model_root_after"], "the next block's model root")
        coins = node.rpc.gettxoutsetinfo()
        issued = sum(out["value"] for block_id in ids[1:] for out in node.rpc.getblock(block_id, 2)["tx"][0]["vout"])
        tap.equal((coins["total_amount"], coins["height"], coins["bestblock"]), (issued, 6, ids[6]), "coins")


def outputs():
    """gettxout follows the chain and the mempool"""
    with Node() as node:
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(1, node.rpc.getnewaddress())
        node.generate(10)
        coin = node.rpc.listunspent()[0]
        found = node.rpc.gettxout(coin["txid"], coin["vout"])
        tap.equal((found["value"], found["confirmations"], found["coinbase"], found["bestblock"],
                   found["scriptPubKey"]["address"]), (coin["amount"], 11, True, node.tip(), coin["address"]), "a coin")
        tap.equal(node.rpc.gettxout(coin["txid"], 99), None, "no such output")
        txid = node.rpc.sendtoaddress(address("ratl", bytes.fromhex(KEYS[1])), "0.5")
        spent = node.rpc.getrawtransaction(txid, 1)["vin"][0]
        tap.equal(node.rpc.gettxout(spent["txid"], spent["vout"]), None, "a coin that the mempool spends")
        tap.true(node.rpc.gettxout(spent["txid"], spent["vout"], False) is not None, "the same, on the chain alone")
        entry = node.rpc.getmempoolentry(txid)
        tap.equal((node.rpc.getmempoolinfo()["size"], list(node.rpc.getrawmempool(True))), (1, [txid]), "the mempool")
        tap.true(entry["vsize"] > 0 and entry["fees"]["base"] > 0, f"its entry: {entry}")
        node.generate(1)
        tap.equal(node.rpc.getrawmempool(), [], "the mempool afterwards")
        tap.equal(node.rpc.getrawtransaction(txid, 1)["confirmations"], 1, "confirmations")
        with tap.raises(-5):
            node.rpc.getmempoolentry(txid)
        tap.equal(node.rpc.gettxout(spent["txid"], spent["vout"], False), None, "the coin on the chain afterwards")


def branches():
    """invalidateblock and reconsiderblock move the tip there and back"""
    with Node() as node, Node(connect=[node]) as other:
        ids = node.generate(5)
        wait_for_same_tip(node, other)
        other.disconnect(node)
        root = node.model_root()
        node.rpc.invalidateblock(ids[2])
        tap.equal((node.height(), node.tip(), node.model_root()),
                  (2, ids[1], node.rpc.getblock(ids[1])["model_root_after"]), "after invalidateblock")
        tips = {tip["hash"]: (tip["status"], tip["branchlen"]) for tip in node.rpc.getchaintips()}
        tap.equal(tips, {ids[1]: ("active", 0), ids[4]: ("invalid", 3)}, "tips")
        tap.equal(node.rpc.getblock(ids[4])["confirmations"], -1, "confirmations off the chain")
        new = node.generate(1, key=1)
        tap.equal(node.rpc.getblockhash(3), new[0], "another block at that height")
        node.restart()
        tap.equal(node.tip(), new[0], "after a restart")
        node.rpc.reconsiderblock(ids[2])
        tap.equal((node.tip(), node.model_root()), (ids[4], root), "as soon as reconsiderblock has answered")
        node.rpc.reconsiderblock(ids[2])
        node.rpc.reconsiderblock(new[0])
        tap.equal(node.tip(), ids[4], "after reconsidering what was not refused")
        with tap.raises(-20):
            node.rpc.invalidateblock(GENESIS)
        node.generate(1)
        other.connect(node)
        wait_for_same_tip(node, other)


def help_texts():
    """Every call that help lists explains itself"""
    with Node() as node:
        names = [line.split(" ")[0] for line in node.rpc.help().splitlines() if line and not line.startswith("==")]
        tap.true(len(names) > 60 and len(set(names)) == len(names), f"{len(names)} calls")
        for name in names:
            text = node.rpc.help(name)
            tap.true(text.startswith(name) and "\n\n" in text, f"help of {name}: {text[:100]}")
            tap.true(all(len(line) <= 120 for line in text.splitlines()[1:]), f"long lines in the help of {name}")
        with tap.raises(-32601, "unknown"):
            node.rpc.help("nonsense")


tap.main(genesis, blocks, outputs, branches, help_texts)
