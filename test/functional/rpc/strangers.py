#!/usr/bin/env python3
"""Connections to the RPC port without credentials: they take neither the last descriptor nor the log from the node, and
do not keep its operator out."""

import os
import resource
import socket
import sys
import threading
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.node import PATIENCE, Node, wait_until

DESCRIPTORS = 160   # that the node may have
STRANGERS = 300
LOG_GROWTH = 20000  # bytes of log and console that they may cause


def few_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))


def limited_node():
    """A node with few descriptors."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, STRANGERS + 200)), hard))
    node = Node("-connect=0", start=False)
    node.preexec = few_descriptors
    node.start()
    return node


def written(node):
    return os.path.getsize(node.log_path) + os.path.getsize(node.output_path)


def knock(node, text=b""):
    """A connection that says this and no more; None if there is no room even in the system's queue."""
    try:
        connection = socket.create_connection(("127.0.0.1", node.rpc_port), timeout=1)
        connection.sendall(text)
        return connection
    except OSError:
        return None


def check_alive(node, rpc):
    """The operator is answered, and the node can open files."""
    height = rpc.getblockcount()
    rpc.createwallet(f"w{height}")
    node.generate(2)
    tap.equal(rpc.getblockcount(), height + 2, "height")


def held_open():
    """Hundreds of idle connections: calls are answered, files can be opened, blocks are mined, the log stays small"""
    with limited_node() as node:
        before = written(node)
        strangers = [knock(node, (b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nContent-Length: 30000000\r\n\r\n")[i % 3])
                     for i in range(STRANGERS)]
        rpc = node.rpc.with_timeout(20)
        check_alive(node, rpc)
        tap.true(node.is_running(), "the node has ended")
        tap.true(written(node) - before < LOG_GROWTH, f"{written(node) - before} bytes of log")
        for one in strangers:
            if one:
                one.close()
        check_alive(node, rpc)


def coming_and_going():
    """The same while strangers keep coming, and guess passwords"""
    with limited_node() as node:
        before, over = written(node), threading.Event()
        wrong = b"POST / HTTP/1.1\r\nAuthorization: Basic eDp5\r\nContent-Length: 2\r\n\r\n{}"

        def storm():
            held = []
            while not over.is_set():
                held.append(knock(node, wrong))
                if len(held) > 100:
                    one = held.pop(0)
                    if one:
                        one.close()
                time.sleep(0.001)

        thread = threading.Thread(target=storm, daemon=True)
        thread.start()
        try:
            rpc = node.rpc.with_timeout(20)
            for _ in range(3):
                check_alive(node, rpc)
        finally:
            over.set()
            thread.join(PATIENCE)
        tap.true(written(node) - before < LOG_GROWTH, f"{written(node) - before} bytes of log")


def not_for_long():
    """Who says nothing is hung up on, and so is who drips"""
    with Node("-connect=0", "-rpcservertimeout=1") as node:
        silent, slow = knock(node), knock(node, b"POST / HTTP/1.1\r\nx: ")

        def closed():
            try:
                slow.send(b"y")
                slow.setblocking(False)
                return slow.recv(1) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True

        wait_until(closed, "the one that drips is closed")
        silent.settimeout(PATIENCE)
        tap.equal(silent.recv(1), b"", "what the silent one hears")
        tap.equal(node.generate(1), [node.tip()], "a call that takes its time")


tap.main(held_open, coming_and_going, not_for_long)
