#!/usr/bin/env python3
"""The commands in README.md and doc/ do what they say when they are pasted, a block at a time, into a shell.

Each runs in a home of its own, with a configuration file for its ports. What is not ours (a compiler, other people's
programs that read models) is played by a script of the same name, which looks at what it is given."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, daemon_path, free_ports, wait_until
from reference.document import SOURCE

PROGRAMS = os.path.dirname(os.path.abspath(daemon_path()))
LICENCE = "/usr/share/common-licenses/GPL-3"
TRANSFORMERS = """
import json, os
def pipeline(task, path):
    with open(os.path.join(path, "config.json")) as file:
        assert json.load(file)["model_type"] == "llama"
    return lambda prompt: [task + " after " + prompt]
"""


def blocks(name):
    """The indented blocks of a page, as somebody would copy them."""
    with open(os.path.join(SOURCE, name), encoding="utf-8") as file:
        text = file.read()
    found = re.findall(r"(?<=\n\n)(?: {4}.*\n)+(?:\n(?: {4}.*\n)+)*", text)
    return [re.sub(r"^ {4}", "", block, flags=re.M) for block in found]


def block(name, word):
    """The one that has the word in it."""
    found = [one for one in blocks(name) if word in one]
    tap.equal(len(found), 1, f"blocks with '{word}' in {name}")
    return found[0]


def write(path, text, mode=0o600):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


class Place:
    """A home, a folder to work in, and programs to be found before the system's."""

    def __init__(self, node):
        self.home, self.work = os.path.join(node.root, "home"), os.path.join(node.root, "work")
        self.bin = os.path.join(node.root, "bin")
        for folder in (self.home, self.work, self.bin):
            os.mkdir(folder)

    def program(self, name, text):
        write(os.path.join(self.bin, name), f"#!/bin/sh\nset -e\n{text}\n", 0o700)

    def paste(self, text):
        """Standard output of a shell that gets the lines; the first that fails ends it."""
        environment = {**os.environ, "HOME": self.home, "PYTHONPATH": self.bin,
                       "PATH": os.pathsep.join([self.bin, PROGRAMS, os.environ["PATH"]])}
        shell = subprocess.Popen(["bash", "-e"], cwd=self.work, env=environment, stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
        try:
            output, error = shell.communicate(text, PATIENCE)
        finally:  # what it left running, were it to fail
            try:
                os.killpg(shell.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        tap.equal(shell.returncode, 0, f"status of\n{text}which ends with\n{output[-600:]}{error[-600:]}and its status")
        return output


def readme_node():
    """README's first node: built, mined, a file contributed, drawn, paid, and all that in one go"""
    if not os.path.exists(LICENCE):
        raise tap.Skip(f"{LICENCE} is not here")
    with Node(start=False) as node:
        place = Place(node)
        for name in ("autoreconf", "make"):
            place.program(name, f"echo {name} >>'{node.root}/built'")
        place.program("../work/configure", f"for p in atelierd atelier-cli; do ln -s '{PROGRAMS}'/$p .; done")
        p2p, rpc = free_ports(2)
        write(os.path.join(place.home, ".atelier", "atelier.conf"),
              f"[regtest]\nrpcport={rpc}\nbind=127.0.0.1:{p2p}\nthreads=1\nweb=0\n")
        # Standard output is a pipe that the daemon holds too: reading it to the end waits until that is gone.
        output = place.paste(block("README.md", "./atelierd"))
        with open(os.path.join(node.root, "built"), encoding="ascii") as file:
            tap.equal(file.read(), "autoreconf\nmake\n", "how it was built")
        dataset = json.loads(output[output.rindex("\n{"):output.rindex("}") + 1])
        tap.equal((dataset["title"], dataset["size"]), ("GNU GPL version 3", os.path.getsize(LICENCE)), "the dataset")
        tap.true(dataset["total_paid"] > 0, f"nothing was paid: {dataset}")
        exported = os.path.join(place.home, ".atelier", "regtest", "exports", "model.gguf")
        tap.true(exported in output and os.path.exists(exported), "the model was not exported")
        for text in ('"valid": true', '"prompt": "The "', '"steps_per_second"'):
            tap.true(text in output, f"the output has no {text}")


def readme_packages():
    """README names the packages that contrib/quickstart installs"""
    with open(os.path.join(SOURCE, "contrib", "lib", "setup.sh"), encoding="utf-8") as file:
        wanted = re.search(r'build_packages="([^"]*)"', file.read()).group(1).split()
    line = block("README.md", "apt-get").replace("\\\n", " ").split()
    tap.equal(line, ["apt-get", "install", "-y", *wanted], "the command")
    for script in ("contrib/quickstart", "contrib/check"):
        tap.equal(block("README.md", script + "\n"), script + "\n", "the block")
        tap.true(os.access(os.path.join(SOURCE, script), os.X_OK), f"{script} cannot be run")


def at_home(node):
    """The node's data directory becomes a home's, so that atelier-cli needs no options."""
    place = Place(node)
    write(os.path.join(node.datadir, "atelier.conf"), f"regtest=1\nrpcport={node.rpc_port}\n")
    os.symlink(node.datadir, os.path.join(place.home, ".atelier"))
    node.start()
    return place


def wallet_page():
    """doc/wallet.md: wallets with and without a passphrase, the words of one, and what the next start loads"""
    with Node(start=False) as node:
        place = at_home(node)
        pasted = blocks("doc/wallet.md")
        tap.equal(len(pasted), 2, "blocks")
        output = place.paste(pasted[0])
        tap.equal(sorted(node.rpc.listwallets()), ["alice", "bob"], "wallets")
        tap.true(node.rpc.wallet("alice").dumpmnemonic() in output, f"the words are not shown:\n{output}")
        with tap.raises(-13):  # it asks for the passphrase
            node.rpc.wallet("bob").dumpmnemonic()
        place.paste(pasted[1])
        node.restart()
        tap.equal(sorted(node.rpc.listwallets()), ["alice", "bob", "carol"], "wallets that were loaded at the start")


def weights_page():
    """doc/weights.md: models for transformers and for llama.cpp, where these look for them"""
    with Node(start=False) as node:
        place = at_home(node)
        write(os.path.join(place.bin, "transformers.py"), TRANSFORMERS)
        place.program("python3", f"exec '{sys.executable}' \"$@\"")
        place.program("llama-cli", 'test "$1" = -m && head -c 4 "$2" | grep -q GGUF && echo "llama reads $2"')
        pasted = blocks("doc/weights.md")
        tap.equal(len(pasted), 2, "blocks")  # the second is for who has npm: contrib/check runs it
        tap.true("test/interop/install" in pasted[1], "the second block")
        output = place.paste(pasted[0])
        for text in ("text-generation after The ", f"llama reads {place.home}/atelier.gguf"):
            tap.true(text in output, f"the output has no '{text}':\n{output}")


def chainspec_page():
    """doc/chainspec.md: the spec it shows makes a chain, with rounds or without, and so does a model there is"""
    with Node(start=False) as node:
        spec, _, calls, formula, rounds, command = blocks("doc/chainspec.md")
        path = os.path.join(node.root, "ward7.json")
        write(path, spec)
        shutil.copy(os.path.join(SOURCE, "data", "genesis.txt"), os.path.join(node.root, "corpus.txt"))
        with Node(f"-chainspec={path}", chain="ward7") as shown:
            tap.equal(shown.rpc.getchainspec()["name"], "ward7", "name")
            tap.equal(shown.rpc.getchainspec().get("round_blocks", 0), 0, "rounds")
            for call in re.findall(r'json" (.*)', calls):
                subprocess.run([os.path.join(PROGRAMS, "atelier-cli"), f"-datadir={shown.datadir}", f"-chainspec={path}",
                                f"-rpcport={shown.rpc_port}", *call.split()], check=True, stdout=subprocess.DEVNULL)
            wait_until(lambda: shown.rpc.getmininginfo()["mining"] and shown.height() > 0, "it mines")
        bits = subprocess.run(formula, shell=True, check=True, capture_output=True, text=True).stdout.strip()
        write(path, spec.replace('"name"', f'{rounds}"start_bits": {bits}, "name"', 1))
        with Node(f"-chainspec={path}", chain="ward7") as shown:
            told = shown.rpc.getchainspec()
            tap.true(119 < shown.rpc.getdifficulty() * told["k"] < 121, "a block takes so many steps")
            tap.equal({name: told[name] for name in json.loads("{" + rounds.rstrip(",\n") + "}")},
                      json.loads("{" + rounds.rstrip(",\n") + "}"), "its rounds")
        place = Place(node)
        node.start()
        node.generate(2)
        root = node.model_root()
        os.mkdir(os.path.join(place.home, "models"))
        node.rpc.exportmodel(os.path.join(place.home, "models", "notes"))
        place.paste(command)
        with Node(f"-chainspec={place.home}/ward7/ward7.json", chain="ward7") as begun:
            wait_until(lambda: begun.height() == 0, "the chain begins")
            theta = node.rpc.getlogits("54")["logits"]
            tap.equal(begun.rpc.getlogits("54")["logits"], theta, f"logits of the model {root}")


if __name__ == "__main__":
    tap.main(readme_node, readme_packages, wallet_page, weights_page, chainspec_page)
