#!/usr/bin/env python3
"""Paths that a node is given: what is no regular file is refused at once, wherever a file is wanted."""

import json
import os
import shutil
import stat
import subprocess
import sys

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, daemon_path

NO_FILE = "not a regular file"


class Folder:
    """A node that is not started, and beside it one of each that is no regular file."""

    def __init__(self, node):
        self.node = node
        self.pipe, self.folder = os.path.join(node.root, "pipe"), os.path.join(node.root, "folder")
        os.mkfifo(self.pipe)
        os.mkdir(self.folder)
        self.link = os.path.join(node.root, "link")
        os.symlink("pipe", self.link)

    def nothings(self):
        return [self.pipe, self.link, self.folder, "/dev/zero"]

    def check_refused(self, *options, text=NO_FILE, chain=("-regtest",)):
        """The daemon ends by itself (where it waits for a pipe's other end, subprocess ends it), and says why."""
        start = [f"-datadir={self.node.datadir}", *chain, f"-bind={self.node.address}",
                 f"-rpcport={self.node.rpc_port}", "-web=0", "-printtoconsole=0"]
        done = subprocess.run([daemon_path(), *start, *options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=PATIENCE, check=False)
        tap.equal(done.returncode, 1, f"status with {options}: {done.stderr}")
        last = done.stderr.splitlines()[-1]  # -importmodel tells on standard error what it reads
        tap.true(last.startswith("Error: ") and text in last, f"with {options}: {done.stderr!r}")


def write_spec(folder, **fields):
    path = os.path.join(folder, "spec.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"name": "ours", "d": 16, "layers": 1, "heads": 1, "ff": 48, "ctx": 48, **fields}, file)
    return path


def options_that_read():
    """A pipe, a device or a folder is no configuration, no spec, no blocks and no weights"""
    with Node(start=False) as node:
        folder = Folder(node)
        new = os.path.join(node.root, "new.json")
        for path in folder.nothings():
            folder.check_refused(f"-conf={path}")
            folder.check_refused(f"-chainspec={path}", chain=())
            folder.check_refused(f"-loadblock={path}")
            folder.check_refused(f"-importmodel={path}", f"-chainspec={new}", chain=())
            for field in ("corpus", "initial_state"):
                spec = write_spec(node.root, **{field: path})
                folder.check_refused(f"-chainspec={spec}", chain=())
        tap.true(not os.path.exists(new), "a spec was written")
        os.mkfifo(os.path.join(node.datadir, "atelier.conf"))
        folder.check_refused()


def options_that_write():
    """Neither the log nor the process id is written into a pipe, and no file of something else is lost for it"""
    with Node(start=False) as node:
        # No device here: should this test fail, it would be gone.
        folder = Folder(node)
        for path in (folder.pipe, folder.link):
            folder.check_refused(f"-debuglogfile={path}")
            folder.check_refused(f"-pid={path}")
        folder.check_refused(f"-debuglogfile={folder.folder}", text="s a directory")
        folder.check_refused(f"-pid={folder.folder}")
        tap.true(os.path.exists(folder.folder) and stat.S_ISFIFO(os.stat(folder.link).st_mode), "what was refused is gone")
        precious = os.path.join(node.root, "precious")
        with open(precious, "w", encoding="ascii") as file:
            file.write("1 thesis\n")
        folder.check_refused(f"-pid={precious}", text="something else")
        tap.true(os.path.exists(precious), "the file is gone")
        with open(os.path.join(node.chaindir, "atelierd.pid"), "w", encoding="ascii") as file:
            file.write("123\n")
        node.options.append("-debuglogfile=/dev/null")
        node.start()
        tap.equal(node.height(), 0, "height")


def calls():
    """contributedata and exportmodel refuse what is no regular file, and the node goes on"""
    with Node() as node:
        folder = Folder(node)
        node.rpc.createwallet("w")
        for path in folder.nothings():
            with tap.raises(-8, NO_FILE):
                node.rpc.contributedata(path, "CC0-1.0", "a title")
        for path in (folder.pipe, folder.folder):
            with tap.raises(-1, NO_FILE):
                node.rpc.exportmodel(path, "gguf", True)
        tap.equal(node.height(), 0, "height")


def home():
    """A leading ~, which no shell expands behind a =, is the home folder"""
    with Node(start=False) as node:
        at_home = lambda name: os.path.join(node.root, name)
        node.environment = {"HOME": node.root}
        shutil.move(node.datadir, at_home("moved"))
        node.arguments = lambda: [daemon_path(), "-datadir=~/moved", f"-bind={node.address}", f"-rpcport={node.rpc_port}",
                                  "-web=0", "-printtoconsole=0", "-conf=~/conf", "-chainspec=~/spec.json"]
        node.cookie = at_home("moved/ours/.cookie")
        write_spec(node.root)
        with open(at_home("conf"), "w", encoding="ascii") as file:
            file.write("debuglogfile=~/node.log\npid=~/node.pid\n")
        node.start()
        tap.true(os.path.exists(at_home("node.log")) and os.path.exists(at_home("node.pid")), "log and process id")
        node.rpc.createwallet("w")
        with tap.raises(-8, "have 2 bytes"):
            with open(at_home("data"), "w", encoding="ascii") as file:
                file.write("ab")
            node.rpc.contributedata("~/data", "CC0-1.0", "a title")
        tap.equal(node.rpc.exportmodel("~/model")["path"], at_home("model"), "path of the export")
        node.stop()
        done = subprocess.run([daemon_path(), "-importmodel=~/model", "-chainspec=~/next.json"], capture_output=True,
                              text=True, timeout=PATIENCE, check=False, env={**os.environ, "HOME": node.root})
        tap.equal(done.returncode, 0, done.stderr)
        tap.true(os.path.exists(at_home("next.json")), "the spec was not written at home")
        tap.true(not os.path.exists("~"), "a folder of this name was made")


if __name__ == "__main__":
    tap.main(options_that_read, options_that_write, calls, home)
