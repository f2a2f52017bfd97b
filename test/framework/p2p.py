"""A peer of a node under test: says whatever a test wants, and remembers what it heard.

    with Peer(node) as peer:
        peer.send("getheaders", ...)
        payload = peer.wait_for("headers")

A thread reads; it answers pings and the handshake, and getpart for the blobs that the test has given it (or it has not:
None), nothing else.
"""

import socket
import struct
import threading
import time

from reference import messages
from reference.hashing import sha256d, stored

from .node import PATIENCE, wait_until


class Peer:
    def __init__(self, node, handshake=True, source="127.0.0.1"):
        self.magic = magic_of(node)
        self.heard = []             # (command, payload) in order
        self.closed = False         # by the node
        self.blobs = {}             # root: bytes that are sent for it, or None
        self.changed = threading.Condition()
        self.sending = threading.Lock()
        self.socket = socket.create_connection(("127.0.0.1", node.port), timeout=PATIENCE, source_address=(source, 0))
        self.name = "%s:%d" % self.socket.getsockname()
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()
        if handshake:
            self.handshake()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def close(self):
        try:
            self.socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # the node was faster
        self.socket.close()
        self.thread.join(PATIENCE)

    def handshake(self, **fields):
        self.send("version", messages.version_payload(time=int(time.time()), **fields))
        self.wait_for("version")
        self.send("verack")
        self.wait_for("verack")
        self.sync()

    # Sending.

    def send(self, command, payload=b""):
        self.send_raw(messages.frame(self.magic, command, payload))

    def send_raw(self, data):
        try:
            with self.sending:
                self.socket.sendall(data)
        except OSError:
            pass  # the node has closed: whoever cares asks for that

    # Hearing.

    def read(self, size):
        data = b""
        while len(data) < size:
            part = self.socket.recv(size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def listen(self):
        try:
            self.socket.settimeout(None)
            while True:
                head = self.read(24)
                command = head[4:16].rstrip(b"\x00").decode(errors="replace")
                payload = self.read(struct.unpack("<I", head[16:20])[0])
                if head[:4] != self.magic or sha256d(payload)[:4] != head[20:]:
                    raise EOFError
                with self.changed:
                    self.heard.append((command, payload))
                    known = command == "getpart" and payload[:32] in self.blobs
                    self.changed.notify_all()
                if command == "ping":
                    self.send("pong", payload)
                if known:
                    self.send_part(payload)
        except (OSError, EOFError):
            with self.changed:
                self.closed = True
                self.changed.notify_all()

    def send_part(self, asked):
        self.send("part", messages.part_payload(asked, self.blobs[asked[:32]]))

    def give(self, root, blob):
        """Answers what has been asked of a blob, and what will be; None: it is not here."""
        with self.changed:
            asked = [] if root in self.blobs else [payload for command, payload in self.heard
                                                   if command == "getpart" and payload[:32] == root]
            self.blobs[root] = blob
            for payload in asked:  # before what is asked for meanwhile: parts that do not come in order count for nothing
                self.send_part(payload)

    def is_asked_for_blob(self, root):
        """Waits for that; the payload of the first getpart."""
        return self.wait_for("getpart", lambda payload: payload[:32] == root)

    def wait(self, condition, what, seconds=PATIENCE):
        with self.changed:
            if not self.changed.wait_for(condition, seconds):
                raise AssertionError(f"waited {seconds} seconds in vain until {what}; heard "
                                     f"{[command for command, _ in self.heard]}")

    def find(self, command, accept=lambda payload: True):
        for heard, payload in self.heard:
            if heard == command and accept(payload):
                return payload
        return None

    def wait_for(self, command, accept=lambda payload: True):
        """The payload of the first such message, heard before or to come."""
        self.wait(lambda: self.closed or self.find(command, accept) is not None, f"the node sends {command}")
        payload = self.find(command, accept)
        if payload is None:
            raise AssertionError(f"the node closed the connection before it sent {command}")
        return payload

    def wait_for_close(self):
        self.wait(lambda: self.closed, "the node closes the connection")

    def sync(self):
        """Returns when the node has dealt with everything sent before."""
        nonce = struct.pack("<d", time.monotonic())
        self.send("ping", nonce)
        self.wait_for("pong", lambda payload: payload == nonce)

    def count(self, command):
        return sum(heard == command for heard, _ in self.heard)

    def forget(self):
        with self.changed:
            self.heard.clear()


def give(node, source, blocks, done, what, blobs=None):
    """Announces blocks from an address, and sends those that are asked for, and blobs by their roots, until that is so."""
    wanted, sent = {block.header.id(): block.serialise() for block in blocks}, 0
    with Peer(node, source=source) as peer:
        for root, blob in (blobs or {}).items():
            peer.give(root, blob)
        peer.send("headers", messages.headers_payload(*(block.header for block in blocks)))

        def answered():
            nonlocal sent
            with peer.changed:
                asked = [payload for command, payload in peer.heard if command == "getdata"]
            for payload in asked[sent:]:
                for _, item in messages.parse_inventory(payload):
                    if item in wanted:
                        peer.send("block", wanted[item])
            sent = len(asked)
            return done()
        wait_until(answered, what)


def magic_of(node):
    return stored(node.rpc.getblockhash(0))[:4]
