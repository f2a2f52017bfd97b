#!/usr/bin/env python3
"""OpenAI's own clients at our door, for Python and for JavaScript: they read what we answer, streams, and our errors.
test/interop/install brings them where it can."""

import contextlib
import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.dirname(HERE)  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, daemon_path
from framework.web import Page

BUILD = os.path.join(os.path.dirname(os.path.abspath(daemon_path())), "test", "interop")
sys.path.append(os.path.join(BUILD, "python"))
try:
    import openai
except ImportError:
    openai = None

MODEL = "atelier-regtest"


def start():
    if openai is None:
        raise tap.Skip("Python's package openai is not installed")
    node = Node(start=False)
    page = Page(node)
    node.start()
    node.generate(1)
    return node, lambda key="none": openai.OpenAI(base_url=f"http://{page.host}/v1", api_key=key, max_retries=0)


@contextlib.contextmanager
def raises(kind):
    try:
        yield
    except kind:
        return
    raise AssertionError(f"the request succeeded where {kind.__name__} was expected")


def texts():
    """Models, completions and chats, whole and in pieces, with what clients look at"""
    node, client_of = start()
    with node, client_of() as client:
        tap.equal([model.id for model in client.models.list()], [MODEL], "models")
        want = node.rpc.generatetext("The ", 30, 1, 5)
        found = client.completions.create(model=MODEL, prompt="The ", max_tokens=30, seed=5, logprobs=2)
        tap.equal((found.choices[0].text, found.choices[0].finish_reason), (want["text"], "length"), "a completion")
        tap.equal((found.usage.total_tokens, len(found.choices[0].logprobs.token_logprobs)), (34, 30), "usage and logs")
        tap.equal(found.atelier["choices"][0]["hex"], want["hex"], "what is ours alone")
        pieces = list(client.completions.create(model=MODEL, prompt="The ", max_tokens=30, seed=5, stream=True))
        tap.equal("".join(piece.choices[0].text for piece in pieces), want["text"], "a streamed completion")
        messages = [{"role": "user", "content": "What is the work?"}]
        want = node.rpc.generatetext("User: What is the work?\nAssistant:", 30, "0.5", 6)
        chat = {"model": MODEL, "messages": messages, "max_completion_tokens": 30, "temperature": 0.5, "seed": 6}
        found = client.chat.completions.create(**chat, logprobs=True, top_logprobs=1)
        tap.equal(found.choices[0].message.content, want["text"], "a chat")
        tap.equal(bytes(log.bytes[0] for log in found.choices[0].logprobs.content).hex(), want["hex"], "logs of a chat")
        pieces = list(client.chat.completions.create(**chat, stream=True, stream_options={"include_usage": True}))
        tap.equal("".join(piece.choices[0].delta.content for piece in pieces[:-1]), want["text"], "a streamed chat")
        tap.equal((pieces[-1].choices, pieces[-1].usage.completion_tokens), ([], 30), "usage of a stream")


def errors():
    """Each kind of error is the exception that clients expect"""
    node, client_of = start()
    with node, client_of() as client:
        for error, wrong in ((openai.BadRequestError, {"max_tokens": 10 ** 6}), (openai.NotFoundError, {"model": "gpt-4"})):
            with raises(error):
                client.completions.create(**{"model": MODEL, "prompt": "a"} | wrong)
        key = node.rpc.createapikey("small", 20)["key"]
        with raises(openai.AuthenticationError):
            client.completions.create(model=MODEL, prompt="a")
        with client_of(key) as keyed:
            keyed.completions.create(model=MODEL, prompt="a", max_tokens=10)
            with raises(openai.RateLimitError):
                keyed.completions.create(model=MODEL, prompt="a", max_tokens=10)


def javascript():
    """The same in JavaScript: models, completions and chats, whole and in pieces"""
    if not os.path.exists(os.path.join(BUILD, "node_modules", "openai")):
        raise tap.Skip("npm's package openai is not installed")
    with Node(start=False) as node:
        page = Page(node)
        node.start()
        node.generate(1)
        task = {"modules": os.path.join(BUILD, "node_modules"), "url": f"http://{page.host}/v1", "model": MODEL, "prompt": "The ",
                "messages": [{"role": "user", "content": "What is the work?"}], "count": 30, "seed": 5}
        done = subprocess.run([shutil.which("node"), os.path.join(HERE, "openai.mjs")], input=json.dumps(task), capture_output=True,
                              text=True, timeout=PATIENCE, check=False)
        tap.equal(done.returncode, 0, f"status of node, which says {done.stderr}")
        found = json.loads(done.stdout)
        text = node.rpc.generatetext("The ", 30, 1, 5)["text"]
        chat = node.rpc.generatetext("User: What is the work?\nAssistant:", 30, 1, 5)["text"]
        tap.equal((found["models"], found["text"], "".join(found["streamed"])), ([MODEL], text, text), "a completion")
        tap.equal((found["chat"], "".join(found["chatStreamed"])), (chat, chat), "a chat")
        tap.equal((found["usage"]["total_tokens"], found["status"]), (34, 404), "usage, and another model")


tap.main(texts, errors, javascript)
