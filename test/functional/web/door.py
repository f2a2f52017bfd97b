#!/usr/bin/env python3
"""The door for clients of OpenAI's API: texts whole and in pieces, keys with budgets, limits, and what is refused."""

import json
import os
import socket
import stat
import sys
import threading
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, wait_until
from framework.web import Page

MODEL = "atelier-regtest"
TEXTS, CHATS = "/v1/completions", "/v1/chat/completions"


# A model of which 64 long texts take minutes.
LARGE = {"name": "large", "hrp": "rlarge", "d": 256, "layers": 8, "heads": 4, "ff": 704, "ctx": 256}


def start(blocks=1, spec=None):
    node = Node(chain=spec["name"] if spec else "regtest", start=False)
    page = Page(node)
    if spec is not None:
        node.use_spec(spec)
    node.start()
    if blocks:
        node.generate(blocks)
    return node, page


def ask(page, path, key=None, **body):
    """The object that is answered."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = page.post(path, {"model": MODEL} | body, **headers)
    if answer.status != 200:
        raise AssertionError(f"{path} {body}: {answer.status} {answer.body}")
    return answer.json()


def refused(page, path, status, key=None, **body):
    """Type, member and code of an error."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    answer = page.post(path, {"model": MODEL} | body, **headers)
    tap.equal(answer.status, status, f"status of {body}")
    error = answer.json()["error"]
    tap.true(error["message"], "an error has no message")
    return error["type"], error["param"], error["code"]


def pieces(page, path, **body):
    """The objects of a stream, which ends as it should."""
    lines = page.post(path, {"model": MODEL, "stream": True} | body).body.decode().split("\n\n")
    tap.equal(lines[-2:], ["data: [DONE]", ""], "end of the stream")
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]


def whole():
    """A completion is what generatetext writes, with logarithms of probabilities, several at once, from text or bytes"""
    node, page = start()
    with node:
        tap.equal(page.json("/v1/models")["data"][0]["id"], MODEL, "the model")
        tap.equal(page.json(f"/v1/models/{MODEL}")["id"], MODEL, "the model by its name")
        tap.equal(page.ask("/v1/models/other").status, 404, "another model")
        same = node.rpc.generatetext("The ", 40, "0.7", 5, 30, "0.9")
        found = ask(page, TEXTS, prompt="The ", max_tokens=40, temperature=0.7, seed=5, top_k=30, top_p=0.9, logprobs=3)
        choice, own = found["choices"][0], found["atelier"]
        tap.equal((own["choices"][0]["hex"], choice["text"]), (same["hex"], same["text"]), "what is written")
        tap.equal((own["model_root"], own["height"]), (same["model_root"], 1), "whose it is")
        tap.equal(found["system_fingerprint"], same["model_root"][:16], "fingerprint")
        tap.equal((choice["finish_reason"], found["usage"]), ("length", {"prompt_tokens": 4, "completion_tokens": 40,
                                                                         "total_tokens": 44}), "its end")
        logs = choice["logprobs"]
        tap.equal([len(logs[name]) for name in ("tokens", "token_logprobs", "top_logprobs", "text_offset")], [40] * 4, "logs")
        tap.true(all(len(top) == 3 and max(top.values()) >= log for top, log in zip(logs["top_logprobs"], logs["token_logprobs"])),
                 "the likeliest are as likely as what was drawn")
        prompts = [[84, 104, 101, 32], list(b"The\x00")]
        many = ask(page, TEXTS, prompt=prompts, n=3, max_tokens=10, seed=7)
        tap.equal([one["index"] for one in many["choices"]], list(range(6)), "choices")
        for i, one in enumerate(many["atelier"]["choices"]):
            want = node.rpc.generatetext(bytes(prompts[i // 3]).decode(), 10, 1, 7 + i % 3)
            tap.equal((one["seed"], one["hex"]), (want["seed"], want["hex"]), f"choice {i}")
        drawn = ask(page, TEXTS, prompt="a", max_tokens=10, receipt=True)["atelier"]["choices"][0]
        receipt = {name: str(value) if name.startswith("t") else value for name, value in drawn["receipt"].items()}
        receipt["top_k"] = int(receipt["top_k"])
        tap.equal(node.rpc.verifycompletion(receipt, "a", drawn["hex"])["valid"], True, "the receipt")
    node.stop()


def in_pieces():
    """A stream is the same text in pieces, in characters that are whole; a stop ends it before it is told"""
    node, page = start()
    with node:
        seeds = (seed for seed in range(300) if b"e" in bytes.fromhex(node.rpc.generatetext("The ", 150, 1, seed)["hex"])[20:])
        seed = next(seeds)
        same = node.rpc.generatetext("The ", 150, 1, seed)
        text = bytes.fromhex(same["hex"])
        stop = text[text.index(b"e", 20) - 1:][:2]
        options = {"prompt": "The ", "max_tokens": 150, "seed": seed, "logprobs": 1}
        found = pieces(page, TEXTS, **options, stream_options={"include_usage": True})
        tap.equal("".join(one["choices"][0]["text"] for one in found[:-1]), same["text"], "the text")
        tap.equal(sum(len(one["choices"][0]["logprobs"]["tokens"]) for one in found[:-1]), 150, "tokens told")
        tap.equal((found[-1]["choices"], found[-1]["usage"]["completion_tokens"]), ([], 150), "usage")
        tap.equal((found[-2]["choices"][0]["finish_reason"], found[-2]["atelier"]["choices"][0]["hex"]), ("length", text.hex()),
                  "the last piece")
        if all(byte < 128 for byte in stop):
            ended = pieces(page, TEXTS, **options, stop=["never that long a stop", stop.decode()])
            told = bytes.fromhex(ended[-1]["atelier"]["choices"][0]["hex"])
            tap.equal((told, ended[-1]["choices"][0]["finish_reason"]), (text[:text.index(stop)], "stop"), "a stop")
        chat = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                {"role": "assistant", "content": "Ho"}, {"role": "user", "content": "Hu"}]
        prompt = "Be kind.\n\nUser: Hi\nAssistant: Ho\nUser: Hu\nAssistant:"
        want = node.rpc.generatetext(prompt, 60, 1, 9)
        one = ask(page, CHATS, messages=chat, max_completion_tokens=60, seed=9, logprobs=True, top_logprobs=2)
        tap.equal((one["object"], one["choices"][0]["message"]["content"]), ("chat.completion", want["text"]), "a chat")
        logs = one["choices"][0]["logprobs"]["content"]
        tap.equal(bytes(log["bytes"][0] for log in logs).hex(), want["hex"], "bytes of the logs")
        found = pieces(page, CHATS, messages=chat, max_tokens=60, seed=9)
        tap.equal("".join(one["choices"][0]["delta"]["content"] for one in found), want["text"], "a streamed chat")
        tap.equal(found[-1]["choices"][0]["finish_reason"], "length", "its end")
    node.stop()


def keys():
    """Without keys this machine needs none; with one everybody does; budgets, ends and revocation are kept over restarts"""
    node, page = start()
    with node:
        small = {"prompt": "abcd", "max_tokens": 10}
        ask(page, TEXTS, key="anything", **small)
        key = node.rpc.createapikey("friend", 30, 2)["key"]
        other = node.rpc.createapikey("other")["key"]
        for wrong in (None, key[:-1], key + "0", ""):
            tap.equal(refused(page, TEXTS, 401, key=wrong, **small), ("authentication_error", None, "invalid_api_key"), "no key")
        tap.equal(page.ask("/v1/models").status, 401, "models without a key")
        # What a stranger asks for is not waited for.
        with socket.create_connection(("127.0.0.1", page.port), PATIENCE) as stranger:
            stranger.sendall(f"POST {TEXTS} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                             "Content-Length: 10\r\n\r\n".encode())
            answer = b"".join(iter(lambda: stranger.recv(65536), b"")).partition(b"\r\n\r\n")
        tap.equal((answer[0][:12], json.loads(answer[2])["error"]["code"]), (b"HTTP/1.1 401", "invalid_api_key"), "by his head")
        tap.equal(refused(page, TEXTS, 429, key=key, prompt="abcd", max_tokens=27)[2], "insufficient_quota", "more than the budget")
        ask(page, TEXTS, key=key, **small)
        ask(page, TEXTS, key=key, **small)
        tap.equal(refused(page, TEXTS, 429, key=key, **small)[2], "insufficient_quota", "an empty budget")
        ask(page, TEXTS, key=other, **small)
        listed = {one["name"]: one for one in node.rpc.listapikeys()}
        tap.equal((listed["friend"]["used"], listed["other"]["used"], "key" in listed["friend"]), (28, 14, False), "what is listed")
        path = os.path.join(node.chaindir, ".api_keys")
        tap.equal(stat.S_IMODE(os.stat(path).st_mode), 0o600, "mode of the file")
        node.restart()
        tap.equal({one["name"]: one["used"] for one in node.rpc.listapikeys()}, {"friend": 28, "other": 14}, "after a restart")
        with open(path, encoding="utf-8") as file:
            tap.true(key[4:] not in file.read(), "the key itself is in the file")
        node.stop()
        os.rename(path, path + "2")
        os.symlink(path + "3", path)
        node.launch()
        tap.equal(node.wait_for_exit(), 1, "exit status where the file is a link to nowhere")
        os.rename(path + "2", path)
        node.start()
        node.rpc.setmocktime(int(time.time()) + 3 * 86400)
        refused(page, TEXTS, 401, key=key, **small)
        ask(page, TEXTS, key=other, **small)
        with tap.raises(-8, "name"):
            node.rpc.createapikey("other")
        hasty = node.rpc.createapikey("hasty", 0, 0, 1)["key"]
        ask(page, TEXTS, key=hasty, **small)
        tap.equal(refused(page, TEXTS, 429, key=hasty, **small)[2], "rate_limit_exceeded", "a second in the same minute")
        tap.equal(page.ask("/v1/models", headers={"Authorization": f"Bearer {hasty}"}).status, 200, "what is no text")
        node.rpc.revokeapikey("hasty")
        node.rpc.revokeapikey("other")
        refused(page, TEXTS, 401, key=other, **small)
        node.rpc.revokeapikey("friend")
        ask(page, TEXTS, **small)
    node.stop()


def refusals():
    """What is wrong is named with its member; other pages and other types get nothing"""
    node, page = start(0)
    with node:
        good = {"prompt": "a", "max_tokens": 1}
        for member, value in (("prompt", None), ("prompt", 5), ("prompt", []), ("prompt", [256]), ("prompt", [-1]), ("prompt", ["a"] * 9),
                              ("max_tokens", 0), ("max_tokens", 4097), ("temperature", -1), ("temperature", "hot"), ("top_p", 2), ("n", 9),
                              ("n", 0), ("best_of", 2), ("stop", ["a"] * 5), ("stop", [""]), ("stop", "x" * 65), ("stop", 1), ("stream", 1),
                              ("logprobs", 21), ("seed", -1), ("presence_penalty", 0.5), ("logit_bias", {"5": 1}), ("echo", True),
                              ("suffix", "b"), ("model", 5), ("response_format", {"type": "json_object"})):
            tap.equal(refused(page, TEXTS, 400, **good | {member: value}), ("invalid_request_error", member, None), f"{member} {value}")
        for messages in (None, [], "a", [{"role": "tool", "content": "a"}], [{"content": "a"}], [{"role": "user"}], [5],
                         [{"role": "user", "content": [{"type": "image_url"}]}]):
            tap.equal(refused(page, CHATS, 400, messages=messages)[1], "messages", f"messages {messages}")
        for many in ({"stream": True, "max_tokens": 1000, "logprobs": 5}, {"max_tokens": 4000, "logprobs": 20, "n": 2}):
            tap.equal(refused(page, TEXTS, 400, **good | many)[1], "logprobs", "more than can be told")
        tap.equal(ask(page, TEXTS, **good, temperature=0.30000000000000004, top_p=0.1 + 0.2)["choices"][0]["index"], 0, "doubles")
        tap.equal(refused(page, TEXTS, 404, **good | {"model": "gpt"})[2], "model_not_found", "another model")
        # What means nothing here, or no more than nothing, is let through.
        ask(page, TEXTS, **good, user="me", presence_penalty=0, logit_bias={}, stop=None, response_format={"type": "text"})
        json_type = {"Content-Type": "application/json"}
        tap.equal(page.ask(TEXTS, "POST", "[]", json_type).status, 400, "no object")
        tap.equal(page.ask(TEXTS, "POST", "{", json_type).status, 400, "no JSON")
        # Clients look for an error's words in JSON alone, whoever refuses.
        for method, body, headers, status in (("POST", "{}", {"Content-Type": "text/plain"}, 415),
                                              ("POST", "{}", json_type | {"Origin": "http://elsewhere"}, 403),
                                              ("POST", "{}", json_type | {"Host": "elsewhere"}, 421),
                                              ("POST", "x" * (513 << 10), json_type, 413),
                                              ("POST", "{}", json_type | {"Expect": "much"}, 417),
                                              ("POST", iter([b"{}"]), json_type, 411),
                                              ("GET", None, {"X": "x" * 9000}, 431), ("PUT", "{}", json_type, 405)):
            answer = page.ask(TEXTS, method, body, headers)
            tap.equal((answer.status, answer.headers["Content-Type"]), (status, "application/json"), f"{method} with {headers}")
            error = answer.json()["error"]
            tap.equal((sorted(error), error["type"]), (["code", "message", "param", "type"], "invalid_request_error"), "its error")
            tap.true(error["message"].strip() == error["message"] != "", f"its words: {error}")
        tap.equal((page.ask(TEXTS).status, page.ask("/v1/none").status), (405, 404), "other paths")
    node.stop()


def limits():
    """Many wait, but not without end, and keep nobody out; who leaves makes room; a node that ends answers those who wait"""
    node, page = start(0, LARGE)
    model, answered, held = page.json("/v1/models")["data"][0]["id"], [], []
    long, short = ({"model": model, "prompt": "a", "max_tokens": count} for count in (4096, 1))

    def wait():
        answered.append(page.post(TEXTS, long).status)

    with node:
        busy, other = (node.rpc.createapikey(name, 64 * 4097 + 10)["key"] for name in ("busy", "other"))
        # All that one key may have here, half of it as streams; and the others' answers do not come before they leave.
        for number in range(64):
            connection = page.connect()
            connection.request("POST", TEXTS, json.dumps(long | {"stream": number % 2 == 0}),
                               {"Content-Type": "application/json", "Authorization": f"Bearer {busy}"})
            held.append((connection, connection.getresponse() if number % 2 == 0 else None))
        wait_until(lambda: node.rpc.getdoorinfo()["requests"] == 64, "all ask")
        # What is promised to them is not there for others of the key, so that they cannot use more together than there is.
        tap.equal(refused(page, TEXTS, 429, key=busy, **long)[2], "insufficient_quota", "a budget that is promised")
        answer = page.post(TEXTS, short, Authorization=f"Bearer {busy}")
        tap.equal((answer.status, answer.json()["error"]["code"], answer.headers["Retry-After"]),
                  (429, "rate_limit_exceeded", "2"), "one more")
        ask(page, TEXTS, key=other, **short)
        for connection, response in held:
            if response is not None:
                response.close()
            connection.close()
        wait_until(lambda: node.rpc.getdoorinfo()["requests"] == 0, "nothing is done for who has left")
        ask(page, TEXTS, key=busy, **short)
        used = {one["name"]: one["used"] for one in node.rpc.listapikeys()}
        tap.true(used["busy"] < 32 * 4096, f"{used['busy']} bytes were written for who had left")
        for name in ("busy", "other"):
            node.rpc.revokeapikey(name)
        threads = [threading.Thread(target=wait) for _ in range(40)]
        for thread in threads:
            thread.start()
        wait_until(lambda: node.rpc.getdoorinfo()["requests"] == 40, "all ask")
        node.stop()
        for thread in threads:
            thread.join(PATIENCE)
        tap.equal(answered, [503] * 40, "those who waited are answered")


def together():
    """Thirty streams side by side, while blocks come: each has the text that it would have alone"""
    node, page = start()
    got = {}

    def one(number):
        got[number] = pieces(page, TEXTS, prompt=f"Number {number}: ", max_tokens=200, seed=number, n=1 + number % 2,
                             stream_options={"include_usage": True})

    with node:
        root = node.rpc.generatetext("a", 1)["model_root"]
        for blocks in (0, 2):
            got.clear()
            threads = [threading.Thread(target=one, args=(number,)) for number in range(30)]
            for thread in threads:
                thread.start()
            if blocks:
                node.generate(blocks)
            for thread in threads:
                thread.join()
            tap.equal(sorted(got), list(range(30)), "all are answered")
            tap.equal([found[-1]["usage"]["completion_tokens"] for found in (got[0], got[1])], [200, 400], "bytes")
            for number, found in got.items():
                ends = {piece["choices"][0]["index"]: piece["atelier"]["choices"][0] for piece in found if "atelier" in piece}
                tap.equal(sorted(ends), list(range(1 + number % 2)), "all texts end")
                for index, end in ends.items():
                    told = "".join(piece["choices"][0]["text"] for piece in found[:-1] if piece["choices"][0]["index"] == index)
                    tap.equal(len(bytes.fromhex(end["hex"])), 200, "bytes of a text")
                    if not blocks:
                        want = node.rpc.generatetext(f"Number {number}: ", 200, 1, number + index)
                        tap.equal((told, end["hex"], end["model_root"]), (want["text"], want["hex"], root), "a text")
        tap.equal(page.json("/api/door"), node.rpc.getdoorinfo(), "what the page knows of it")
        tap.equal({name: page.json("/api/door")[name] for name in ("requests", "writing", "answered", "text_bytes")},
                  {"requests": 0, "writing": 0, "answered": 60, "text_bytes": 2 * 15 * 600}, "what was written")
    node.stop()


tap.main(whole, in_pieces, keys, refusals, limits, together)
