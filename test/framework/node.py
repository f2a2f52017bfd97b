"""A daemon in a data directory of its own, and its RPC.

    with Node() as a, Node(connect=[a]) as b:
        a.generate(3)
        wait_until(lambda: b.rpc.getblockcount() == 3)

Ports are free ones, everything listens on 127.0.0.1 alone. Only processes that were started here are ever ended; their
directories go with them. KEEP=1 in the environment keeps the directories, and says where they are.
"""

import base64
import decimal
import http.client
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from reference.document import SOURCE
from reference.hashing import stored
from reference.transactions import address

PATIENCE = 120  # seconds that any wait may take; a machine may be slow, so nothing depends on less
LOG_TAIL = 25
REPORT_LINES = 60

# Keys that may be paid where nobody has to spend: the x coordinates of G, 2G and 3G.
KEYS = [
    "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
    "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
]

running = []  # nodes that were started and not yet removed


class RpcError(Exception):
    """An error that the node answered."""

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


class Rpc:
    """Calls by attribute: rpc.getblockhash(1), rpc.getblock(blockhash=..., verbosity=0). `wallet` names the wallet."""

    def __init__(self, node, wallet=None, timeout=PATIENCE):
        self._node, self._wallet, self._timeout = node, wallet, timeout

    def __getattr__(self, method):
        def call(*arguments, **named):
            if arguments and named:
                named["args"] = list(arguments)
            return self._call(method, named or list(arguments))
        return call

    def wallet(self, name):
        return Rpc(self._node, name, self._timeout)

    def with_timeout(self, seconds):
        return Rpc(self._node, self._wallet, seconds)

    def _call(self, method, parameters):
        connection = http.client.HTTPConnection("127.0.0.1", self._node.rpc_port, timeout=self._timeout)
        try:
            connection.request("POST", f"/wallet/{self._wallet}" if self._wallet is not None else "/",
                               json.dumps({"id": 1, "method": method, "params": parameters}),
                               {"Authorization": self._node.credentials(), "Content-Type": "application/json"})
            text = connection.getresponse().read()
        finally:
            connection.close()
        answer = json.loads(text, parse_float=decimal.Decimal)
        if answer.get("error"):
            raise RpcError(answer["error"])
        return answer["result"]


class Node:
    """Starts at once unless start=False. `connect` lists nodes; `options` are further arguments."""

    def __init__(self, *options, connect=(), chain="regtest", start=True):
        self.root = tempfile.mkdtemp(prefix="atelier-functional-")
        self.chain = chain
        self.datadir = os.path.join(self.root, "data")
        self.chaindir = os.path.join(self.datadir, chain)
        self.cookie = os.path.join(self.chaindir, ".cookie")
        self.log_path = os.path.join(self.chaindir, "debug.log")
        self.output_path = os.path.join(self.root, "output.txt")
        os.makedirs(self.datadir)
        self.port, self.rpc_port = free_ports(2)
        self.address = f"127.0.0.1:{self.port}"
        self.connections = [f"-addnode={other.address}" for other in connect]
        self.options = list(options)
        self.process = None
        self.preexec = None  # called in the new process before the daemon begins
        self.environment = {}  # what it has besides this one's
        self.rpc = Rpc(self)
        running.append(self)
        if start:
            self.start()

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        # A case that fails leaves its nodes to tap, which shows their last words.
        if kind is None:
            if self.is_running():
                self.stop()
            self.remove()

    def arguments(self):
        chain = ["-regtest"] if self.chain == "regtest" else []
        return [daemon_path(), f"-datadir={self.datadir}", *chain, f"-bind={self.address}",
                f"-rpcport={self.rpc_port}", "-web=0", "-printtoconsole=0", "-debug=net", "-threads=1",
                *self.connections, *self.options]

    def use_spec(self, spec):
        """From the next start on its chain is the one of these fields; files that they name are in `root`."""
        path = os.path.join(self.root, "spec.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        if f"-chainspec={path}" not in self.options:
            self.options.append(f"-chainspec={path}")

    def launch(self, *options):
        """Starts the process and does not wait for it."""
        with open(self.output_path, "ab") as output:
            self.process = subprocess.Popen([*self.arguments(), *options], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, start_new_session=True,
                                            preexec_fn=self.preexec, env={**os.environ, **self.environment})

    def start(self, *options):
        self.launch(*options)
        wait_until(self.answers, "the node answers")

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with status {self.process.returncode}")
        try:
            self.rpc.getblockcount()
            return True
        except (OSError, RpcError, http.client.HTTPException, ValueError):
            return False

    def wait_for_exit(self, seconds=PATIENCE):
        """The exit status."""
        return self.process.wait(seconds)

    def stop(self):
        """Asks for an orderly end, and insists on one."""
        self.process.send_signal(signal.SIGTERM)
        status = self.wait_for_exit()
        if status != 0:
            raise AssertionError(f"the daemon ended with status {status}\n{self.sanitizer_report()}")

    def sanitizer_report(self):
        """The first thing that a sanitizer found, if the daemon was built with one."""
        with open(self.output_path, errors="replace") as file:
            lines = file.read().splitlines()
        first = next((i for i, line in enumerate(lines) if "Sanitizer" in line or "runtime error:" in line), len(lines))
        return "\n".join(lines[first:first + REPORT_LINES])

    def kill(self):
        self.process.kill()
        self.process.wait()

    def restart(self, *options):
        self.stop()
        self.start(*options)

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def remove(self):
        if self.is_running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        if self in running:
            running.remove(self)
        if os.environ.get("KEEP"):
            print(f"# kept: {self.root}")
        else:
            shutil.rmtree(self.root, ignore_errors=True)

    def credentials(self):
        """The cookie, as HTTP's Authorization wants it."""
        with open(self.cookie, "rb") as file:
            return "Basic " + base64.b64encode(file.read().strip()).decode()

    def post(self, body, path="/", method="POST", authorization=None):
        """Sends the bytes as they are, to the RPC port; the HTTP status and the text that comes back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.rpc_port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {"Authorization": authorization or self.credentials()})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    # What tests do all the time.

    def generate(self, count, key=0):
        return self.rpc.generatetoaddress(count, address("ratl", bytes.fromhex(KEYS[key])))

    def contribute(self, *arguments, wallet=None, blocks=1, **named):
        """contributedata, and the blocks that its commitment needs: the registration is in the mempool then."""
        answer = Rpc(self, wallet).contributedata(*arguments, **named)
        self.generate(blocks)
        wait_until(lambda: answer["txid"] in self.rpc.getrawmempool(), "the registration is in the mempool")
        return answer

    def tip(self):
        return self.rpc.getbestblockhash()

    def height(self):
        return self.rpc.getblockcount()

    def model_root(self):
        return self.rpc.getmodelinfo()["model_root"]

    def connect(self, other):
        """Adds a connection and waits until its handshake is done on both sides."""
        before = len(ready_peers(other))
        self.rpc.addnode(other.address, "add")
        wait_until(lambda: any(peer["name"] == other.address for peer in ready_peers(self)) and
                   len(ready_peers(other)) > before, "the nodes are connected")

    def disconnect(self, other):
        self.rpc.addnode(other.address, "remove")
        try:
            self.rpc.disconnectnode(other.address)
        except RpcError:
            pass  # not connected at this moment
        wait_until(lambda: not any(peer["name"] == other.address for peer in self.rpc.getpeerinfo()),
                   "the nodes are disconnected")

    def log(self):
        with open(self.log_path, errors="replace") as file:
            return file.read()

    def export_blocks(self, path):
        """Writes its blocks to a file, as -loadblock takes them."""
        magic = stored(self.rpc.getblockhash(0))[:4]
        with open(path, "wb") as file:
            for height in range(1, self.height() + 1):
                raw = bytes.fromhex(self.rpc.getblock(self.rpc.getblockhash(height), 0))
                file.write(magic + struct.pack("<I", len(raw)) + raw)

    def wait_for_height(self, height):
        wait_until(lambda: self.height() == height, f"the height is {height}")

    def wait_for_log(self, text, seconds=PATIENCE):
        wait_until(lambda: text in self.log(), f"the log says '{text}'", seconds)


def ready_peers(node):
    return [peer for peer in node.rpc.getpeerinfo() if peer["handshake_done"]]


def daemon_path():
    build = os.environ.get("ATELIER_BUILDDIR") or os.path.join(SOURCE)
    return os.environ.get("ATELIERD") or os.path.join(build, "atelierd")


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def wait_until(condition, what="the condition holds", seconds=PATIENCE):
    end, pause = time.monotonic() + seconds, 0.002
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} seconds in vain until {what}")
        time.sleep(pause)
        pause = min(2 * pause, 0.05)


def wait_for_same_tip(*nodes, seconds=PATIENCE):
    wait_until(lambda: len({node.tip() for node in nodes}) == 1, "all nodes have the same tip", seconds)


def end_all():
    for node in list(running):
        node.remove()


def last_words():
    """The ends of the logs of the nodes that are still there: why a case may have failed."""
    text = []
    for node in running:
        for path in (node.output_path, node.log_path):
            if os.path.exists(path):
                with open(path, errors="replace") as file:
                    lines = file.read().splitlines()[-LOG_TAIL:]
                text += [f"--- {os.path.basename(path)} of the node at {node.address}", *lines]
    return "\n".join(text)
