#!/usr/bin/env python3
"""The page's server: its files, the API over RPC's calls, and whom it does not talk to."""

import json
import os
import signal
import socket
import sys
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import Node, wait_until
from framework.prose import prose
from framework.web import Page
from reference.document import SOURCE

FOLDER = os.path.join(SOURCE, "share", "web")


def raw(page, text):
    """The status of an answer to bytes as they are, which http.client would not send."""
    with socket.create_connection(("127.0.0.1", page.port), 60) as connection:
        connection.sendall(text.encode())
        return int(connection.makefile("rb").readline().split()[1])


def files():
    """Files are given out as they lie in the folder, with tags; nothing outside of it is, nor what is hidden"""
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        with open(os.path.join(FOLDER, "index.html"), "rb") as file:
            index = file.read()
        whole = page.ask("/")
        tap.equal((whole.status, whole.body), (200, index), "the page")
        tap.equal(whole.headers["Content-Type"], "text/html; charset=utf-8", "its type")
        tap.equal(page.ask("/index.html").body, index, "the same by its name")
        head = page.ask("/", "HEAD")
        tap.equal((head.status, head.body, head.headers["Content-Length"]), (200, b"", str(len(index))), "HEAD")
        known = page.ask("/", headers={"If-None-Match": whole.headers["ETag"]})
        tap.equal((known.status, known.body), (304, b""), "what the browser has already")
        for path in ("/../web/index.html", "/%2e%2e/web/index.html", "/views/../index.html", "/.hidden",
                     "/etc/passwd", "/lib/../index.html", "/lib/jquery/jquery.js", "/index.html/", "/nothing.js"):
            tap.equal(page.ask(path).status, 404, f"status of {path}")
        tap.equal(page.post("/", {}).status, 405, "status of a POST to a file")
        tap.equal(page.ask("/", "OPTIONS").status, 405, "status of OPTIONS, which would ask for CORS")


def own_folder():
    """-webfolder says where the files lie"""
    with Node(start=False) as node:
        folder = os.path.join(node.root, "page")
        os.makedirs(folder)
        with open(os.path.join(folder, "a.css"), "w", encoding="utf-8") as file:
            file.write("b{}")
        page = Page(node, f"-webfolder={folder}")
        node.start()
        tap.equal(page.ask("/a.css").body, b"b{}", "the file")
        tap.equal(page.ask("/").status, 404, "status of an index that is not there")


def api():
    """Paths below /api/ answer what the calls of RPC do; errors have statuses and say why"""
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        node.generate(3)
        rpc, tip = node.rpc, node.tip()
        block = rpc.getblock(tip, 2)
        txid = block["tx"][0]["txid"]
        for path, expected in (("block/" + tip, block), ("block/3", block), ("block/0", rpc.getblock(node.rpc.getblockhash(0), 2)),
                               ("header/2", rpc.getblockheader(rpc.getblockhash(2))),
                               ("tx/" + txid, rpc.getrawtransaction(txid, 2)),
                               ("curve?points=2&from=2&to=3", rpc.getcurve(2, 2, 3)),
                               ("blocks?count=2&before=3", rpc.listblocks(3, 2)), ("search?text=2", rpc.search("2")),
                               ("search?text=genesis+corpus", rpc.search("genesis corpus")),
                               ("contributors?count=1", rpc.listcontributors(1)),
                               ("address/" + block["miner"] + "?skip=1", rpc.getaddresshistory(block["miner"], 20, 1)),
                               ("dataset/0?points=3", rpc.getdataset(dataset=0, points=3)),
                               ("contributors?count=1", rpc.listcontributors(1)),
                               (f"address/{block['miner']}?count=2&skip=1", rpc.getaddresshistory(block["miner"], 2, 1)),
                               ("proof/" + tip, rpc.getproof(tip)), ("rounds", rpc.getrounds()),
                               ("datasets", rpc.listdatasets()), ("datasets?count=1&skip=1", rpc.listdatasets(1, 1)),
                               ("dataset/0", rpc.getdataset(0)), ("model", rpc.getmodelinfo()),
                               ("spec", rpc.getchainspec()), ("peers", []), ("mempool/txs", {})):
            tap.equal(page.json("/api/" + path), expected, f"/api/{path}")
        tap.equal(page.json("/api/chain")["bestblockhash"], tip, "the tip")
        tap.equal(page.json("/api/summary")["hash"], tip, "the tip, in short")
        for path in ("training", "mining", "mempool", "network", "runs"):
            tap.equal(type(page.json("/api/" + path)), type(getattr(rpc, {"runs": "getruns", "mempool": "getmempoolinfo"}.get(
                path, f"get{path}info"))()), f"/api/{path}")
        # What is kept of answers is never older than the newest block.
        for path in ("chain", "blocks", "summary", "block/4"):
            page.ask("/api/" + path)
        node.generate(1)
        tap.equal([page.json("/api/chain")["blocks"], page.json("/api/blocks")[0]["height"], page.json("/api/summary")["height"],
                   page.json("/api/block/4")["hash"]], [4, 4, 4, node.tip()], "after another block")
        tap.equal(page.json("/api/block/3")["confirmations"], 2, "confirmations of the one before")
        node.rpc.invalidateblock(node.tip())
        answer = page.ask("/api/block/3")
        tap.equal(answer.json(), rpc.getblock(tip, 2), "the tip again")
        tap.equal(answer.headers["Content-Type"], "application/json", "its type")
        tap.equal(page.ask("/api/block/3", headers={"If-None-Match": answer.headers["ETag"]}).status, 304, "a known block")
        for path, status in (("nothing", 404), ("", 404), ("block", 404), ("block/", 404), ("block/4", 404),
                             ("block/-1", 400), ("block/zz", 400), ("block/" + "0" * 64, 404), ("block/3/x", 404),
                             ("block/%ff", 400), ("datasets?count=0", 400), ("datasets?count=x", 400),
                             ("datasets?depth=1", 400), ("datasets?count=1&count=2", 400), ("chain?", 200),
                             ("dataset/9", 404), ("contribute", 405)):
            answer = page.ask("/api/" + path)
            tap.equal(answer.status, status, f"status of /api/{path}")
            if status >= 400:
                tap.true(answer.json()["error"]["message"], f"/api/{path} says why")


def strangers():
    """Requests that a page from elsewhere or a name from elsewhere could make a browser send are refused"""
    with Node(start=False) as node:
        page = Page(node, "-webhost=node.example")
        node.start()
        for headers, status in (({}, 200), ({"Host": "localhost"}, 200), ({"Host": "LOCALHOST:1"}, 200),
                                ({"Host": "[::1]:8080"}, 200), ({"Host": "node.example"}, 200),
                                ({"Host": "evil.example"}, 421), ({"Host": "127.0.0.1.evil.example"}, 421),
                                ({"Host": "localhost.evil.example:80"}, 421), ({"Host": ""}, 421), ({"Host": ":1"}, 421),
                                ({"Origin": f"http://{page.host}"}, 200), ({"Origin": "null"}, 403),
                                ({"Origin": "https://evil.example"}, 403), ({"Origin": "http://127.0.0.1:1"}, 403),
                                ({"Sec-Fetch-Site": "same-origin"}, 200), ({"Sec-Fetch-Site": "none"}, 200),
                                ({"Sec-Fetch-Site": "cross-site"}, 403), ({"Sec-Fetch-Site": "same-site"}, 403),
                                ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403),
                                ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 200)):
            for path in ("/", "/api/chain"):
                tap.equal(page.ask(path, headers=headers).status, status, f"status of {path} with {headers}")
        tap.equal(raw(page, "GET / HTTP/1.1\r\n\r\n"), 400, "no Host")
        tap.equal(raw(page, f"GET http://{page.host}/ HTTP/1.1\r\nHost: {page.host}\r\n\r\n"), 400, "a whole address")
        tap.equal(raw(page, f"GET //etc/passwd HTTP/1.1\r\nHost: {page.host}\r\n\r\n"), 400, "two slashes")
        tap.equal(raw(page, f"GET / HTTP/1.1\r\nHost: {page.host}\r\nHost: {page.host}\r\n\r\n"), 400, "two Hosts")
        tap.true("Access-Control-Allow-Origin" not in page.ask("/api/chain").headers, "no page elsewhere may read it")


def events():
    """Who listens is told how things stand, and then of a block, its model, transactions; no more listen than may"""
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        node.rpc.createwallet("w")
        payee = node.rpc.getnewaddress()
        listener = page.listen()
        tap.equal(listener.response.headers["Content-Type"], "text/event-stream", "its type")
        first = dict(listener.next() for _ in range(5))
        tap.equal(list(first), ["block", "model", "proof", "tx", "run"], "what is told first")
        tap.equal((first["block"]["height"], first["block"]["hash"]), (0, node.tip()), "the block")
        tap.equal(first["model"]["root"], node.model_root(), "the model")
        node.rpc.generatetoaddress(20, payee)
        told = listener.until("block", lambda data: data["height"] == 20)
        tap.equal(told["hash"], node.tip(), "the tip that is told")
        tap.equal(listener.until("model", lambda data: data["height"] == 20)["root"], node.model_root(), "its model")
        node.rpc.sendtoaddress(payee, 1)
        listener.until("tx", lambda data: data["transactions"] == 1 and data["change"] > 0)
        tap.equal(page.ask("/api/events", "HEAD").headers["Content-Type"], "text/event-stream", "its HEAD")
        others = [page.listen() for _ in range(31)]
        tap.equal(page.ask("/api/events").status, 503, "status of one too many")
        others.pop().close()
        wait_until(lambda: try_to_listen(page), "there is room for another one")
        node.generate(1)
        for other in (listener, *others):
            other.until("block", lambda data: data["height"] == 21)
        for other in others:
            other.close()
        node.stop()
        tap.equal(listener.response.read1(1 << 20)[-1:] in (b"", b"\n"), True, "the end")


def actions():
    """Proofs, blocks and text on demand, within limits, if it is JSON that this server's own page could have sent"""
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        node.generate(3)
        tip, rpc = node.tip(), node.rpc
        for path, body, expected in (("audit/proof", {"id": tip}, rpc.auditproof(tip)),
                                     ("audit/block", {"blockhash": 2}, rpc.auditblock(rpc.getblockhash(2))),
                                     ("generate", {"prompt": "a", "bytes": 5, "seed": "7"}, rpc.generatetext("a", 5, seed=7))):
            answer = page.post("/api/" + path, body)
            tap.equal((answer.status, answer.json()), (200, expected), f"/api/{path}")
        for path, body, status in (("audit/proof", {}, 400), ("audit/proof", {"id": "00" * 32}, 404),
                                   ("audit/proof", {"proof": tip}, 400), ("audit/proof", [tip], 400), ("audit/block", {"blockhash": 9}, 404),
                                   ("audit/run", {"height": 1, "challenge": True}, 400), ("generate", {"bytes": 2049}, 400),
                                   ("generate", {"bytes": "5e9"}, 400), ("stop", {}, 405), ("chain", {}, 405), ("contribute", {}, 401),
                                   ("generate", {"prompt": "a" * 140000}, 413)):
            tap.equal(page.post("/api/" + path, body).status, status, f"status of /api/{path} with {str(body)[:80]}")
        wrote = json.loads(page.post("/api/generate", {"prompt": "a", "bytes": 5, "receipt": True}).body)
        slip = {"receipt": wrote["receipt"], "prompt": "a", "output": wrote["hex"]}
        tap.equal(page.post("/api/verify", slip).json()["valid"], True, "a receipt that is followed")
        tap.equal(page.post("/api/verify", {**slip, "prompt": "b"}).json()["valid"], False, "a receipt of another prompt")
        body = json.dumps({"bytes": 1}).encode()
        for headers, status in (({}, 415), ({"Content-Type": "text/plain"}, 415), ({"Content-Type": "application/jsonx"}, 415),
                                ({"Content-Type": "application/json; charset=utf-8"}, 200),
                                ({"Content-Type": "application/json", "Origin": f"http://{page.host}"}, 200),
                                ({"Content-Type": "application/json", "Origin": "https://evil.example"}, 403),
                                ({"Content-Type": "application/json", "Host": "evil.example"}, 421)):
            answer = page.ask("/api/generate", "POST", body, headers)
            tap.equal(answer.status, status, f"status with {headers}")
            if status != 200:
                tap.equal((answer.json()["error"]["code"], "message" in answer.json()["error"]), (status, True), "the error")
        tap.equal(page.ask("/api/generate", "POST", b"{", {"Content-Type": "application/json"}).status, 400, "no JSON")
        tap.equal(page.ask("/api/generate").status, 405, "a GET of it")


def turns():
    """Of one address one thing is done at a time, in order; so many may wait, and who comes then is told"""
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        node.generate(1)
        body = json.dumps({"bytes": 2048, "seed": 1}).encode()
        waiting = []
        node.process.send_signal(signal.SIGSTOP)  # they come all at once
        for _ in range(40):
            waiting.append(page.connect())
            waiting[-1].request("POST", "/api/generate", body, {"Content-Type": "application/json"})
        node.process.send_signal(signal.SIGCONT)
        tap.equal(page.json("/api/chain")["blocks"], 1, "an answer beside that")
        statuses = [connection.getresponse().status for connection in waiting]
        tap.equal(sorted(set(statuses)), [200, 429], "statuses")
        tap.true(17 <= statuses.count(200) < 40, f"one at work and 16 that wait: {statuses}")
        for connection in waiting:
            connection.close()
        # What is at work and what waits when the node ends is over with it.
        for path, body in (("generate", {"bytes": 2048}), ("audit/block", {"blockhash": 1})) * 2:
            waiting.append(page.connect())
            waiting[-1].request("POST", "/api/" + path, json.dumps(body), {"Content-Type": "application/json"})
        node.stop()


def key():
    """What touches a wallet needs the page's key, which is in a file of this run and in the address that a call tells"""
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        node.rpc.createwallet("w")
        node.rpc.generatetoaddress(20, node.rpc.getnewaddress())
        path = os.path.join(node.chaindir, ".web_key")
        first = page.key()
        tap.equal(os.stat(path).st_mode & 0o777, 0o600, "mode of the file")
        tap.equal(node.rpc.getpageaddress(), f"http://{page.host}/#key={first}", "the address")
        tap.true(f"http://{page.host}/ " in node.log(), "the log tells where the page is")
        tap.true(first not in node.log(), "the key is in the log, which people show around")
        wanted = {"wallet": "w", "licence": "CC0-1.0", "title": "t", "hexdata": prose(1, 40000).hex()}
        for wrong in (None, "", first[:-1], first + "0", first[:-1] + ("0" if first[-1] != "0" else "1")):
            answer = page.post("/api/contribute", wanted, wrong)
            tap.equal((answer.status, answer.json()["error"]["code"]), (401, 401), f"status with the key {wrong}")
        tap.equal(page.post("/api/contribute", wanted, first, Origin="https://evil.example").status, 403, "from elsewhere")
        tap.equal(page.post("/api/wallets", {}, first).json(), ["w"], "wallets")
        tap.equal(page.post("/api/contribute", {**wanted, "file": "/etc/passwd"}, first).status, 400, "a file of this machine")
        refused = page.post("/api/contribute", {**wanted, "licence": "Nonsense"}, first)
        with tap.raises(refused.json()["error"]["code"], refused.json()["error"]["message"]):
            node.rpc.contributedata("", "Nonsense", "t", None, wanted["hexdata"])
        made = page.post("/api/contribute", wanted, first)
        tap.equal((made.status, set(made.json()) & {"error"}), (200, set()), f"the contribution: {made.body}")
        listed = page.post("/api/contributions", {"wallet": "w"}, first).json()
        tap.equal([contribution["root"] for contribution in listed], [made.json()["root"]], "contributions")
        node.stop()
        tap.true(not os.path.exists(path), "the key is gone with the node")
        node.start()
        tap.true(page.key() != first, "each start has a key of its own")
        tap.equal(page.post("/api/wallets", {}, first).status, 401, "the old one")
        node.restart("-web=0")
        with tap.raises(-1, "serves no page"):
            node.rpc.getpageaddress()


def try_to_listen(page):
    listener = page.listen()
    listener.close()
    return listener.response.status == 200


def resident(node):
    with open(f"/proc/{node.process.pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bounds():
    """Who asks and does not read is hung up on, and costs no memory; who says nothing makes room for who comes"""
    with Node("-rpcservertimeout=2", start=False) as node:
        page = Page(node)
        node.start()
        node.generate(2)
        page.json("/api/block/2")
        before = resident(node)
        silent = [socket.create_connection(("127.0.0.1", page.port), 60) for _ in range(100)]
        tap.equal(page.json("/api/chain")["blocks"], 2, "an answer beside many who say nothing")
        request = f"GET /api/block/2 HTTP/1.1\r\nHost: {page.host}\r\n\r\n".encode() * 100
        deaf = [socket.create_connection(("127.0.0.1", page.port), 60) for _ in range(4)]
        for connection in deaf:
            connection.setblocking(False)
        while deaf:
            for connection in list(deaf):
                try:
                    connection.send(request)
                except BlockingIOError:
                    time.sleep(0.01)
                except OSError:
                    deaf.remove(connection)  # hung up on
            tap.true(resident(node) - before < 64 << 20, "it takes no more memory")
        tap.equal(page.json("/api/chain")["blocks"], 2, "it answers as before")
        for connection in silent:
            connection.close()


def port():
    """A port that is taken costs the page if nobody asked for it, and the start if somebody did; with -web=0 there is none"""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        number = taken.getsockname()[1]
        with Node(start=False) as node:
            node.rpc_port = number - 10
            node.start("-web=1")
            wait_until(lambda: any("no page in the browser" in text for text in node.rpc.getblockchaininfo()["warnings"]),
                       "the warning is there")
            node.stop()
            node.launch("-web=1", f"-webport={number}")
            tap.equal(node.wait_for_exit(), 1, "status with a port that was asked for")
            tap.true("The page cannot be bound" in node.log(), "the log says why")
            node.launch("-web=1", "-webhost=http://a/")
            tap.equal(node.wait_for_exit(), 1, "status with a host that is none")


tap.main(files, own_folder, api, strangers, events, actions, turns, key, bounds, port)
