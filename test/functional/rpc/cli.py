#!/usr/bin/env python3
"""atelier-cli against a stand-in server: what it sends for which arguments, what it prints, and how it fails."""

import base64
import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading

CLI = os.path.join(os.environ.get("ATELIER_BUILDDIR", "."), "atelier-cli")
USER = "me:secret"


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers with what the test has put into the server, and keeps what came."""

    def do_POST(self):
        server = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.seen.append((self.path, body.decode()))
        wanted = "Basic " + base64.b64encode(server.credentials.encode()).decode()
        status, answer = server.answers.pop(0) if server.answers else (200, '{"result":null,"error":null,"id":1}')
        if self.headers["Authorization"] != wanted:
            status, answer = 401, ""
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer.encode())))
        self.end_headers()
        self.wfile.write(answer.encode())

    def log_message(self, *args):
        pass


class Bench:
    def __init__(self, folder):
        self.folder = folder
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.seen, self.server.answers, self.server.credentials = [], [], USER
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.access = ["-rpcuser=me", "-rpcpassword=secret"]

    def cli(self, *args, access=None, text=None):
        port = self.server.server_address[1]
        command = [CLI, f"-datadir={self.folder}", f"-rpcport={port}", *(self.access if access is None else access)]
        done = subprocess.run([*command, *args], input=text, capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def sent(self, *args, **more):
        """The path and the request's text for these arguments."""
        self.server.seen.clear()
        code, _, err = self.cli(*args, **more)
        assert code == 0, err
        return self.server.seen[-1]

    def printed(self, answer, *args, status=200):
        self.server.answers.append((status, answer))
        return self.cli(*(args or ["call"]))


def equal(found, wanted):
    assert found == wanted, f"found {found!r}, not {wanted!r}"


def params(text):
    """The params exactly as they were sent."""
    return text[text.index('"params":') + 9 : text.rindex(',"id"')]


def test_arguments(b):
    cases = {
        "5": "5", "-1": "-1", "1.50": "1.50", "1e5": "1e5", "0012": '"0012"', "12" * 40: "12" * 40, "true": "true",
        "null": "null", "True": '"True"', '{"a":[1.10]}': '{"a":[1.10]}', "[": '"["', '"a"': '"\\"a\\""', "a b": '"a b"',
        "": '""', "ä": '"ä"', "18446744073709551615": "18446744073709551615",
    }
    for given, wanted in cases.items():
        equal(params(b.sent("call", given)[1]), f"[{wanted}]")
    equal(params(b.sent("call", "--", "-x")[1]), '["--","-x"]')
    equal(json.loads(b.sent("getblock", "x", "1")[1]), {"method": "getblock", "params": ["x", 1], "id": 1})


def test_named(b):
    equal(params(b.sent("-named", "call", "a=1", "b=x=y", "args=[2]")[1]), '{"a":1,"b":"x=y","args":[2]}')
    code, _, err = b.cli("-named", "call", "a")
    equal(code, 1)
    assert "name=value" in err, err


def test_stdin(b):
    equal(params(b.sent("-stdin", "call", "1", text="a b\n\n2\n")[1]), '[1,"a b","",2]')
    equal(params(b.sent("-stdin", "call", text="last")[1]), '["last"]')
    equal(json.loads(b.sent("-stdin", text="getblock\n7\n")[1])["method"], "getblock")
    equal(params(b.sent("-stdin", "call", text="a\0b\n\0\n")[1]), '["a\\u0000b","\\u0000"]')


def test_wallet(b):
    equal(b.sent("call")[0], "/")
    equal(b.sent("-rpcwallet=a b/c", "call")[0], "/wallet/a%20b%2Fc")


def test_printing(b):
    equal(b.printed('{"result":"a\\nb","error":null}'), (0, "a\nb\n", ""))
    equal(b.printed('{"result":50.00000000,"error":null}'), (0, "50.00000000\n", ""))
    equal(b.printed('{"result":null,"error":null}'), (0, "", ""))
    equal(b.printed('{"result":true,"error":null}'), (0, "true\n", ""))
    equal(b.printed('{"result":{"b":[1,0.10],"a":"ä"},"error":null}'),
          (0, '{\n  "b": [\n    1,\n    0.10\n  ],\n  "a": "ä"\n}\n', ""))
    # A model writes any byte, 0 too.
    equal(b.printed('{"result":{"text":"a\\u0000b"},"error":null}'), (0, '{\n  "text": "a\\u0000b"\n}\n', ""))
    equal(b.printed('{"result":"a\\u0000b","error":null}'), (0, "a\0b\n", ""))


def test_errors(b):
    error = '{"result":null,"error":{"code":-8,"message":"Bad\\nthing"},"id":1}'
    equal(b.printed(error, status=500), (8, "", "error code: -8\nerror message:\nBad\nthing\n"))
    code, out, err = b.printed('{"result":null,"error":{"code":-19,"message":"Which wallet?"}}', status=500)
    equal((code, out), (19, ""))
    assert "-rpcwallet" in err, err
    code, _, err = b.printed("<html>", status=500)
    equal(code, 1)
    assert "500" in err, err
    code, _, err = b.printed('{"error":"odd"}')
    equal((code, err), (1, "error: odd\n"))
    code, _, err = b.cli()
    equal(code, 1)
    assert "Too few" in err, err
    code, _, err = b.cli("-nonsense", "call")
    equal(code, 1)
    assert "-nonsense" in err, err


def test_access(b):
    code, _, err = b.cli("call", access=["-rpcuser=me", "-rpcpassword=wrong"])
    equal(code, 1)
    assert "refuses" in err, err
    code, _, err = b.cli("call", access=[])
    equal(code, 1)
    assert os.path.join(b.folder, ".cookie") in err, err
    os.mkdir(os.path.join(b.folder, "regtest"))
    with open(os.path.join(b.folder, "regtest", ".cookie"), "w", encoding="ascii") as file:
        file.write("__cookie__:abc")
    b.server.credentials = "__cookie__:abc"
    try:
        equal(b.cli("-regtest", "call", access=[])[0], 0)
    finally:
        b.server.credentials = USER


def test_unreachable(b):
    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_address[1]
    for place in (f"-rpcconnect=127.0.0.1:{port}", f"-rpcconnect=[::1]:{port}"):
        code, _, err = b.cli(place, "call")
        equal(code, 1)
        assert f"port {port}" in err and "atelierd" in err, err
    code, _, err = b.cli("-rpcconnect=127.0.0.1:x", "call")
    equal(code, 1)
    assert "port" in err, err


def test_wait(b):
    warm = (500, '{"result":null,"error":{"code":-28,"message":"Loading"}}')
    b.server.answers += [warm, (200, '{"result":"up","error":null}')]
    equal(b.cli("-rpcwait", "call"), (0, "up\n", ""))
    b.server.answers.append(warm)
    equal(b.cli("call")[0], 28)
    b.server.answers += [warm] * 3
    equal(b.cli("-rpcwait", "-rpcwaittimeout=1", "call")[0], 28)
    b.server.answers.clear()


def test_help(b):
    code, out, _ = b.cli("-help")
    equal(code, 0)
    assert "-rpcconnect=<host>" in out and "-datadir=<folder>" in out, out
    code, out, _ = b.cli("-version")
    equal(code, 0)
    assert out.startswith("atelier-cli "), out


def test_shared_configuration(b):
    """The daemon's options in the file do not disturb the client."""
    path = os.path.join(b.folder, "atelier.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("mine=1\nrpcuser=me\nrpcpassword=secret\n")
    try:
        equal(b.cli("call", access=[])[0], 0)
    finally:
        os.remove(path)


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    failed = 0
    print(f"1..{len(tests)}")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(folder)
        for number, (name, test) in enumerate(tests, 1):
            try:
                test(bench)
                print(f"ok {number} - {name}")
            except (AssertionError, subprocess.SubprocessError) as error:
                failed += 1
                print("# " + str(error).replace("\n", "\n# "))
                print(f"not ok {number} - {name}")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
