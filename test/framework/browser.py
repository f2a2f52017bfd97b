"""Headless Chromium, driven over its DevTools protocol, with a WebSocket by hand.

    with Browser() as browser:
        page = browser.open("http://127.0.0.1:8080/")
        page.wait("document.title !== ''", "the page has a title")
        page.click("nav a[href='#/blocks']")
        page.screenshot("/somewhere/blocks.png")

It has a profile of its own in a temporary folder, and may reach nothing but this machine: every other name resolves to nothing,
and what a page asked for is kept, to be looked at.
"""

import base64
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from .node import PATIENCE, wait_until

NAMES = ("chromium", "chromium-browser", "google-chrome")
CHUNK = 1 << 16


def find_browser():
    """The program's path; None: there is none on this machine."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


class Gone(Exception):
    """The browser has ended the connection."""


class WebSocket:
    """Messages of text to a server on this machine. (RFC 6455: what a client sends is masked.)"""

    def __init__(self, port, path):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.received = b""
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n").encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.take(1)
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise Gone(head.decode(errors="replace"))

    def take(self, size):
        while len(self.received) < size:
            more = self.socket.recv(CHUNK)
            if not more:
                raise Gone("the browser has closed the connection")
            self.received += more
        taken, self.received = self.received[:size], self.received[size:]
        return taken

    def send(self, text):
        body, mask = text.encode(), os.urandom(4)
        size = bytes([0x80 | len(body)]) if len(body) < 126 else struct.pack(">BH", 0x80 | 126, len(body)) \
            if len(body) < 1 << 16 else struct.pack(">BQ", 0x80 | 127, len(body))
        mask_stream = (mask * (len(body) // 4 + 1))[:len(body)]
        masked = (int.from_bytes(body, "big") ^ int.from_bytes(mask_stream, "big")).to_bytes(len(body), "big")
        self.socket.sendall(b"\x81" + size + mask + masked)

    def receive(self, seconds):
        """The next message, or None if none begins within so many seconds."""
        text = b""
        while True:
            if not self.received:
                self.socket.settimeout(seconds)
                try:
                    self.received = self.socket.recv(CHUNK)
                except socket.timeout:
                    return None
                finally:
                    self.socket.settimeout(PATIENCE)
                if not self.received:
                    raise Gone("the browser has closed the connection")
            first, size = self.take(2)
            if size == 126:
                size, = struct.unpack(">H", self.take(2))
            elif size == 127:
                size, = struct.unpack(">Q", self.take(8))
            body = self.take(size)
            if first & 0x0f == 8:
                raise Gone("the browser has closed the connection")
            if first & 0x0f in (0, 1):
                text += body
                if first & 0x80:
                    return text.decode()

    def close(self):
        self.socket.close()


class PageError(Exception):
    """A script failed in the page."""


class Tab:
    """A page. `console` has what it complained of, `requests` the addresses that it asked for."""

    def __init__(self, socket_, session):
        self.socket, self.session = socket_, session
        self.last, self.answers = 0, {}
        self.console, self.requests = [], []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")

    def do(self, method, **parameters):
        self.last += 1
        wanted = self.last
        self.socket.send(json.dumps({"id": wanted, "sessionId": self.session, "method": method, "params": parameters}))
        end = time.monotonic() + PATIENCE
        while wanted not in self.answers:
            if time.monotonic() > end:
                raise AssertionError(f"the browser does not answer {method}")
            self.hear(1)
        answer = self.answers.pop(wanted)
        if "error" in answer:
            raise PageError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def hear(self, seconds=0.01):
        """Takes in a message, if one comes. True: one came."""
        text = self.socket.receive(seconds)
        if text is None:
            return False
        message = json.loads(text)
        if "id" in message:
            self.answers[message["id"]] = message
        elif message.get("sessionId") == self.session:
            self.note(message["method"], message["params"])
        return True

    def note(self, method, what):
        if method == "Network.requestWillBeSent":
            self.requests.append(what["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            details = what["exceptionDetails"]
            self.console.append(details.get("exception", {}).get("description", details["text"]))
        elif method == "Runtime.consoleAPICalled" and what["type"] in ("error", "warning", "assert"):
            self.console.append(" ".join(str(one.get("value", one.get("description"))) for one in what["args"]))
        elif method == "Log.entryAdded" and what["entry"]["level"] in ("error", "warning"):
            self.console.append(f"{what['entry']['text']} {what['entry'].get('url', '')}")

    def go(self, url):
        self.do("Page.navigate", url=url)

    def run(self, script):
        """The value of an expression; a promise is waited for."""
        found = self.do("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True, userGesture=True)
        if "exceptionDetails" in found:
            raise PageError(found["exceptionDetails"].get("exception", {}).get("description", "the script failed"))
        return found["result"].get("value")

    def wait(self, script, what):
        """Until the expression is true. It may fail for a while, as a page that is left takes its scripts with it."""
        def holds():
            while self.hear():
                pass
            try:
                return self.run(f"Boolean({script})")
            except PageError:
                return False
        wait_until(holds, what)

    def there(self, selector):
        """Until the page has such an element."""
        self.wait(f"document.querySelector({json.dumps(selector)})", f"the page has '{selector}'; it has: {self.text()[:400]}")

    def text(self, selector="body"):
        return self.run(f"(document.querySelector({json.dumps(selector)}) ?? {{ innerText: '' }}).innerText")

    def click(self, selector):
        """A real click, in the middle of the element, which is scrolled to."""
        self.there(selector)
        x, y = self.run("(() => {const e = document.querySelector(%s); e.scrollIntoView({block: 'center'});"
                        "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];})()" % json.dumps(selector))
        for kind in ("mousePressed", "mouseReleased"):
            self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, selector, text):
        self.run(f"(document.querySelector({json.dumps(selector)}).focus(), document.querySelector({json.dumps(selector)}).select?.())")
        self.do("Input.insertText", text=text)

    def choose_file(self, selector, path):
        root = self.do("DOM.getDocument")["root"]["nodeId"]
        element = self.do("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.do("DOM.setFileInputFiles", nodeId=element, files=[path])

    def show_as(self, width, height=900, dark=False):
        """How wide the window is, and whether its user likes it dark."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.do("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce"}])

    def screenshot(self, path, whole=True):
        shot = self.do("Page.captureScreenshot", format="png", captureBeyondViewport=whole,
                       **({"clip": self.extent()} if whole else {}))
        with open(path, "wb") as file:
            file.write(base64.b64decode(shot["data"]))

    def extent(self):
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        return {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}


class Browser:
    def __init__(self, program=None):
        self.profile = tempfile.mkdtemp(prefix="atelier-browser-")
        self.process = subprocess.Popen(
            [program or find_browser(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
             "--disable-default-apps", "--no-default-browser-check", "--metrics-recording-only", "--hide-scrollbars",
             "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--remote-debugging-port=0", f"--user-data-dir={self.profile}",
             "about:blank"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        self.socket = None

    def __enter__(self):
        told = os.path.join(self.profile, "DevToolsActivePort")
        wait_until(lambda: self.process.poll() is not None or (os.path.exists(told) and "\n" in open(told).read()),
                   "the browser listens")
        if self.process.poll() is not None:
            raise AssertionError(f"the browser ended with status {self.process.returncode}")
        with open(told, encoding="ascii") as file:
            port, path = file.read().split("\n")[:2]
        self.socket = WebSocket(int(port), path)
        return self

    def call(self, method, **parameters):
        """Of the browser itself, before there are tabs."""
        self.socket.send(json.dumps({"id": 0, "method": method, "params": parameters}))
        while True:
            message = json.loads(self.socket.receive(PATIENCE) or "{}")
            if message.get("id") == 0:
                return message["result"]

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        tab = Tab(self.socket, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"])
        tab.go(url)
        return tab

    def __exit__(self, *what):
        if self.socket is not None:
            self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        try:
            os.killpg(self.process.pid, signal.SIGKILL)  # its helpers, which write into the profile
        except ProcessLookupError:
            pass
        shutil.rmtree(self.profile, ignore_errors=True)
