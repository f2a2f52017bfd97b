"""The page's server of a node: requests to it, as bytes or JSON.

    with Node(start=False) as node:
        page = Page(node)  # adds the options; the node is started behind it
        node.start()
        page.json("/api/chain")["blocks"]
"""

import decimal
import http.client
import json
import os

from framework.node import PATIENCE, free_ports

OWN = ("Content-Security-Policy", "X-Content-Type-Options", "Referrer-Policy")  # heads of every answer


class Answer:
    def __init__(self, response):
        self.status, self.headers, self.body = response.status, response.headers, response.read()

    def json(self):
        return json.loads(self.body, parse_float=decimal.Decimal)


class Listener:
    """Events, as they come."""

    def __init__(self, page):
        self.connection = page.connect()
        self.connection.request("GET", "/api/events")
        self.response = self.connection.getresponse()

    def next(self, name=None):
        """The next event of this name, or of any: name and data. The others before it are thrown away."""
        while True:
            event, data = None, None
            while (line := self.response.readline().decode().rstrip("\n")) or event is None:
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    data = json.loads(line[6:])
                elif not line and self.response.isclosed():
                    raise AssertionError("the events have ended")
            if name in (None, event):
                return event, data

    def until(self, name, condition):
        while not condition(data := self.next(name)[1]):
            pass
        return data

    def close(self):
        self.response.close()
        self.connection.close()


class Page:
    def __init__(self, node, *options):
        self.port, = free_ports(1)
        self.host = f"127.0.0.1:{self.port}"
        self.node = node
        node.options += ["-web=1", f"-webport={self.port}", *options]

    def connect(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, path, method="GET", body=None, headers=None):
        """Of a connection of its own; every answer has the heads that keep other pages out."""
        connection = self.connect()
        try:
            connection.request(method, path, body, headers or {})
            answer = Answer(connection.getresponse())
        finally:
            connection.close()
        missing = [name for name in OWN if name not in answer.headers]
        if missing:
            raise AssertionError(f"{method} {path}: the answer lacks {missing}")
        return answer

    def post(self, path, body, key=None, **headers):
        """What an action answers: its result, or the status and what is wrong."""
        headers = {"Content-Type": "application/json", **headers}
        if key is not None:
            headers["X-Atelier-Key"] = key
        return self.ask(path, "POST", json.dumps(body), headers)

    def key(self):
        with open(os.path.join(self.node.chaindir, ".web_key"), encoding="ascii") as file:
            return file.read()

    def listen(self):
        return Listener(self)

    def json(self, path):
        answer = self.ask(path)
        if answer.status != 200:
            raise AssertionError(f"GET {path}: {answer.status} {answer.body[:200]}")
        return answer.json()
