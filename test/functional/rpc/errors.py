#!/usr/bin/env python3
"""What is wrong with a call is told with Bitcoin Core's codes; nothing that a client sends harms the node."""

import base64
import json
import os
import socket
import struct
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import KEYS, PATIENCE, Node, wait_until
from reference.transactions import address

PARSE, INVALID_REQUEST, NO_METHOD, MISC, TYPE, ADDRESS, PARAMETER, DECODE = (
    -32700, -32600, -32601, -1, -3, -5, -8, -22)
HASH = "00" * 32


def call(node, method, *parameters, **more):
    """HTTP status and answer of one call, whatever it is."""
    status, text = node.post(json.dumps({"method": method, "params": list(parameters), "id": 1}), **more)
    return status, json.loads(text)


def arguments():
    """Wrong numbers, types, forms and ranges of arguments"""
    with Node() as node:
        node.rpc.createwallet("w")
        for code, text, method, *parameters in (
                (NO_METHOD, "not found", "nonsense"), (NO_METHOD, "not found", ""),
                (NO_METHOD, "not found", "x" * 100000),
                (MISC, "getblockcount", "getblockcount", 1), (MISC, "getblockhash", "getblockhash"),
                (MISC, "getblockhash", "getblockhash", 1, 2), (MISC, "getblockhash", "getblockhash", None),
                (TYPE, "height", "getblockhash", "1"), (TYPE, "height", "getblockhash", []),
                (TYPE, "height", "getblockhash", {"height": 1}), (TYPE, "height", "getblockhash", True),
                (MISC, "integer", "getblockhash", 1.5), (MISC, "integer", "getblockhash", 10 ** 30),
                (PARAMETER, "out of range", "getblockhash", 1), (PARAMETER, "out of range", "getblockhash", -1),
                (PARAMETER, "height", "getblockhash", 1 << 40),
                (PARAMETER, "length 64", "getblock", "00"), (PARAMETER, "hexadecimal", "getblock", "z" * 64),
                (ADDRESS, "not found", "getblock", HASH), (TYPE, "blockhash", "getblock", []),
                (PARAMETER, "verbosity", "getblock", HASH, 3), (TYPE, "bodies", "getblock", HASH, 0, 1),
                (ADDRESS, "not found", "getblockheader", HASH), (TYPE, "verbose", "getblockheader", HASH, "true"),
                (ADDRESS, "not found", "invalidateblock", HASH), (ADDRESS, "not found", "reconsiderblock", HASH),
                (ADDRESS, "No such", "getrawtransaction", HASH),
                (DECODE, "TX decode failed", "decoderawtransaction", "0"),
                (DECODE, "TX decode failed", "decoderawtransaction", "zz"),
                (DECODE, "decode failed", "decoderawtransaction", "00"),
                (DECODE, "decode failed", "decoderawtransaction", ""),
                (DECODE, "TX decode failed. Make sure the tx has at least one input.", "sendrawtransaction", "xy"),
                (DECODE, "decode failed", "sendrawtransaction", "00" * 60),
                (DECODE, "Block decode failed", "submitblock", "0g"), (DECODE, "decode failed", "submitblock", ""),
                (DECODE, "decode failed", "submitblock", "00" * 211),
                (DECODE, "decode failed", "submitblock", "ff" * 400),
                (ADDRESS, "Invalid address", "generatetoaddress", 1, "nonsense"),
                (PARAMETER, "nblocks", "generatetoaddress", -1, "x"),
                (PARAMETER, "nblocks", "generatetoaddress", 10 ** 9, "x"),
                (ADDRESS, "Invalid address", "setmining", True, 1, "nonsense"),
                (PARAMETER, "threads", "setmining", True, 0),
                (TYPE, "mine", "setmining", "yes"),
                (ADDRESS, "No such", "getdataset", "1"), (ADDRESS, "No such", "getdataset", "-1"),
                (ADDRESS, "No such", "getdataset", HASH), (PARAMETER, "dataset", "getdataset", "0" * 65),
                (ADDRESS, "not found", "getblob", HASH), (PARAMETER, "size", "getblob", HASH, 0, 0),
                (ADDRESS, "No such proof", "getproof", HASH), (ADDRESS, "No such proof", "auditproof", HASH),
                (ADDRESS, "not found", "auditblock", HASH), (PARAMETER, "samples", "auditchain", 0),
                (PARAMETER, "no proofs", "auditblock", node.tip()), (MISC, "no block", "auditchain"),
                (MISC, "has no rounds", "getround"),
                (PARAMETER, "nblocks", "gettraininginfo", 2017), (PARAMETER, "count", "listdatasets", 0),
                (PARAMETER, "bytes", "contributedata", "x", "l", "t" * 65),
                (PARAMETER, "No such file", "contributedata", "/nonexistent/data", "CC0-1.0", "title"),
                (PARAMETER, "either", "contributedata", "x", "CC0-1.0", "title", None, "00"),
                (PARAMETER, "have 1 bytes", "contributedata", "", "CC0-1.0", "title", None, "00"),
                (TYPE, "amount", "sendtoaddress", "nonsense", "much"),
                (ADDRESS, "Invalid address", "sendtoaddress", "nonsense", 1),
                (MISC, "help", "help", 1, 2)):
            status, answer = call(node, method, *parameters)
            shown = f"{method[:40]} {parameters}: {status} {answer}"
            tap.true(isinstance(answer["error"], dict) and answer["result"] is None, f"no error: {shown[:600]}")
            tap.equal(answer["error"]["code"], code, f"code of {shown[:600]}")
            tap.true(text.lower() in answer["error"]["message"].lower(), f"'{text}' is not in {shown[:600]}")
            tap.equal(status, 404 if code == NO_METHOD else 500, f"status of {shown[:600]}")
        with tap.raises(PARAMETER, "Unknown named parameter nonsense"):
            node.rpc.getblockhash(nonsense=1)
        with tap.raises(PARAMETER, "twice"):
            node.rpc.getblockhash(args=[1], height=1)
        tap.equal(node.rpc.getblockhash(args=[0]), node.rpc.getblockhash(height=0), "named arguments")
        tap.equal(node.height(), 0, "height in the end")


def requests():
    """What is no JSON, or no request"""
    with Node() as node:
        for status, code, body in (
                (500, PARSE, b""), (500, PARSE, b"nonsense"), (500, PARSE, b"{"),
                (500, PARSE, b'{"method": "uptime"} x'),
                (500, PARSE, b'{"method": "upt\xffime"}'), (500, PARSE, b"\0" * 100), (500, PARSE, b"7"),
                (500, PARSE, b'"x"'),
                (500, PARSE, b"[" * 200000), (500, PARSE, b'{"a":' * 200000),
                (500, PARSE, b"[" + b"1," * 2000000 + b"1]"),
                (500, PARSE, b'{"method": "uptime", "method": "stop"}'),
                (400, INVALID_REQUEST, b"{}"), (400, INVALID_REQUEST, b'{"method": 7}'),
                (400, INVALID_REQUEST, b'{"method": null}'),
                (400, INVALID_REQUEST, b'{"method": "uptime", "params": 7}'),
                (400, INVALID_REQUEST, b'{"method": "uptime", "id": {}}'),
                (400, INVALID_REQUEST, b'{"method": "uptime", "jsonrpc": "3.0"}'),
                (400, INVALID_REQUEST, b"[" + b"{}," * 1000 + b"{}]")):
            found, text = node.post(body)
            answer = json.loads(text)
            tap.equal((found, answer["error"]["code"]), (status, code), f"{body[:60]}: {text[:200]}")
            tap.true(answer["error"]["message"] != "", f"no message for {body[:60]}")
        tap.equal(node.height(), 0, "height")


def batches():
    """A batch is answered call by call"""
    with Node() as node:
        status, text = node.post(json.dumps([
            {"method": "getblockcount", "id": 1}, {"method": "nonsense", "id": "b"}, 7,
            {"method": "getblockhash", "params": [99], "id": None}, {"method": "getblockcount", "jsonrpc": "2.0",
            "id": 5},
            {"method": "getblockcount", "jsonrpc": "2.0"}]))
        answers = json.loads(text)
        tap.equal(status, 200, "status")
        tap.equal([(a.get("id"), a.get("result"), (a.get("error") or {}).get("code")) for a in answers],
                  [(1, 0, None), ("b", None, NO_METHOD), (None, None, INVALID_REQUEST), (None, None, PARAMETER),
                   (5, 0, None)], "answers")
        tap.equal(node.post("[]"), (200, "[]\n"), "an empty batch")
        tap.equal(node.post('{"method": "getblockcount", "jsonrpc": "2.0"}'), (204, ""), "a notification")


def bans():
    """setban says in Core's words what is banned already, what is not, and what is no subnet"""
    known, bad = -23, -30
    with Node("-connect=0") as node:
        node.rpc.setban("10.1.2.0/24", "add")
        for subnet in ("10.1.2.0/24", "10.1.2.3"):
            with tap.raises(known, "Error: IP/Subnet already banned"):
                node.rpc.setban(subnet, "add")
        tap.equal([ban["address"] for ban in node.rpc.listbanned()], ["10.1.2.0/24"], "bans")
        node.rpc.setban("10.0.0.0/8", "add", 100)  # another subnet, though around the first
        with tap.raises(bad, "Error: Unban failed. Requested address/subnet was not previously manually banned."):
            node.rpc.setban("10.1.2.3", "remove")
        for command in ("add", "remove"):
            with tap.raises(bad, "Error: Invalid IP/Subnet"):
                node.rpc.setban("10.1.2.3/33", command)
        node.rpc.setban("10.0.0.0/8", "remove")
        node.rpc.setban("10.1.2.0/24", "remove")
        tap.equal(node.rpc.listbanned(), [], "bans in the end")


def reachable(node):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", node.rpc_port)) == 0


def access():
    """Wrong credentials, wrong addresses and wrong HTTP methods are refused; a password replaces the cookie"""
    with Node() as node:
        body = '{"method": "getblockcount", "id": 1}'
        for wrong in ("nonsense", "Basic " + base64.b64encode(b"__cookie__:wrong").decode(), "Basic",
        node.credentials() + "x",
                      node.credentials()[:-1]):
            status, text = node.post(body, authorization=wrong)
            tap.equal((status, text), (401, "Unauthorized\n"), wrong)
        tap.equal(node.post(body, method="GET")[0], 405, "GET")
        tap.equal(node.post(body, path="/elsewhere")[0], 404, "another address")
        tap.equal(os.stat(node.cookie).st_mode & 0o777, 0o600, "mode of the cookie file")
        status, answer = call(node, "getbalance", path="/wallet/nobody")
        tap.equal((status, answer["error"]["code"]), (500, -18), "a wallet that is not loaded")
        node.stop()
        tap.true(not os.path.exists(node.cookie), "the cookie file outlives the node")
        node.launch("-rpcuser=me", "-rpcpassword=secret:with colon")
        right = "Basic " + base64.b64encode(b"me:secret:with colon").decode()
        wait_until(lambda: reachable(node), "the node listens")
        tap.equal(node.post(body, authorization=right)[0], 200, "the password")
        tap.equal(node.post(body, authorization="Basic " + base64.b64encode(b"me:secret").decode())[0], 401,
        "another one")
        tap.true(not os.path.exists(node.cookie), "there is a cookie file beside the password")


def raw(node, data, end=False):
    """What comes back for these bytes until the node closes, or goes on waiting."""
    with socket.create_connection(("127.0.0.1", node.rpc_port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(data)
            if end:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b""
            connection.shutdown(socket.SHUT_WR)
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
            return b"".join(parts)
        except OSError:
            return b""  # closed while we were still sending


def torn_http():
    """Bodies beyond the limit, and what is no HTTP at all"""
    with Node() as node:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nAuthorization: {node.credentials()}\r\n".encode()
        answer = raw(node, head + b"Content-Length: 999999999999\r\n\r\n{")
        tap.true(b"413" in answer.split(b"\r\n")[0], f"an oversized body: {answer[:80]}")
        for data in (b"", b"\r\n\r\n", b"nonsense\r\n\r\n", b"\0" * 1000, b"GET / HTTP/9.9\r\n\r\n",
        b"POST " + b"x" * 100000,
                     head + b"x: " + b"y" * 100000 + b"\r\n\r\n", head + b"Content-Length: -1\r\n\r\n",
                     head + b"Content-Length: x\r\n\r\n{}", head + b"Content-Length: 100\r\n\r\n{",
                     head + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
                     head + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
                     head + b"Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n"):
            answer = raw(node, data)
            tap.true(not answer.startswith(b"HTTP/1.1 200"), f"{data[:60]}: {answer[:60]}")
            raw(node, data, end=True)
        # A client that goes away before its answer is there.
        wait = json.dumps({"method": "generatetoaddress", "params": [2, address("ratl",
        bytes.fromhex(KEYS[0]))]}).encode()
        raw(node, head + b"Content-Length: %d\r\n\r\n" % len(wait) + wait, end=True)
        tap.true(node.is_running() and node.height() >= 0, "the node is alive")
        node.generate(1)


tap.main(arguments, requests, batches, bans, access, torn_http)
