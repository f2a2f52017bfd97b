#!/usr/bin/env python3
"""The page in a real browser: clicked through, followed while blocks come, and looked at. Pictures of all views are kept in the
build folder, in test/functional/web/pictures.

    page.py --picture=doc/page.png

makes the picture of the README instead: of two nodes with a few datasets, which takes some minutes.
"""

import json
import os
import re
import sys
import tempfile
import time

sys.path[0] = __file__.rpartition("/functional/")[0]  # the folder test

from framework import tap
from framework.browser import Browser, find_browser
from framework.node import Node, daemon_path, end_all, wait_until
from framework.rounds import P, SPEC, mine_to
from framework.web import Page
from reference.document import SOURCE
from reference.transactions import address

BUILD = os.path.dirname(os.path.abspath(daemon_path()))
PICTURES = os.path.join(BUILD, "test", "functional", "web", "pictures")
AXE = os.path.join(BUILD, "test", "interop", "node_modules", "axe-core", "axe.min.js")
LICENCE = os.path.join(SOURCE, "LICENSE")
FOLDER = f"-webfolder={os.path.join(SOURCE, 'share', 'web')}"
LIBRARY = "/usr/share/javascript/dygraphs"
HOSTILE = "<img src=x onerror=alert(1)> & </title>"  # a title that somebody registers
CONNECTIONS = 6  # that a browser has to a server at most
FIRST_VIEW = 100000  # bytes at most, without the library


# What would make markup, or code, of words; and other servers.
DANGEROUS = re.compile(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|srcdoc|\beval\b|new Function|https?://(?!www\.w3\.org/)")


def harmless():
    """Its files have no way to make markup or code of words, and name no other server"""
    files = [os.path.join(folder, name) for folder, _, names in os.walk(os.path.join(SOURCE, "share", "web")) for name in names]
    tap.true(len(files) > 20, "there are files")
    for path in files:
        with open(path, encoding="utf-8") as file:
            found = DANGEROUS.search(file.read())
        tap.true(found is None, f"{path} has {found and found.group()}")


def require_browser():
    if find_browser() is None:
        raise tap.Skip("there is no Chromium on this machine (Debian: chromium)")


def text_of(size, seed):
    """A file worth contributing: words that no page has twice."""
    words = []
    while sum(map(len, words)) + len(words) < size:
        seed = (seed * 6364136223846793005 + 1442695040888963407) % 2**64
        words.append(f"{seed >> 40:x}")
    return " ".join(words).encode()[:size]


def start(chain="regtest"):
    """A node with a wallet, and its page."""
    node = Node(chain=chain, start=False)
    if chain != "regtest":
        node.use_spec(SPEC)
    page = Page(node, FOLDER)
    node.start()
    node.rpc.createwallet("w")
    node.own = node.rpc.getnewaddress()
    return node, page


def check_quiet(tab, page, but=()):
    """Nothing went wrong in the page, and it asked nobody else for anything."""
    complaints = [line for line in tab.console if not any(word in line for word in but)]
    tap.equal(complaints, [], "what the browser complains of")
    strangers = [url for url in tab.requests if not url.startswith((f"http://{page.host}/", "about:", "data:"))]
    tap.equal(strangers, [], "requests to others")


def clicks():
    """From the first view to a block, to a proof, which is executed again; a block that comes is seen at once"""
    require_browser()
    node, page = start()
    mine_to(node, 12)
    with Browser() as browser:
        tab = browser.open(f"http://{page.host}/")
        tab.show_as(1280)
        tab.wait("document.querySelector('a.tile b')?.textContent === '12'", "the newest tile is of block 12")
        tab.wait("document.querySelector('main .big')?.textContent.includes('nats a byte')", "the model's loss")
        tab.click("form button.main")
        tab.click("details.receipt summary")
        tab.click("details.receipt button")
        tab.wait("document.querySelector('details.receipt .note.good')", "the receipt of a text was followed")
        tap.true(tab.run(FITS), "the receipt fits")
        tap.true(f"http://{page.host}/v1/completions" in tab.requests, "the text came in pieces")
        mine_to(node, 13)
        tab.wait("document.querySelector('a.tile b')?.textContent === '13'", "the tile of a block that came")
        tab.click("a.tile")
        tab.wait("document.querySelector('h1')?.textContent === 'Block 13'", "the block's view")
        tip = node.rpc.getblock(node.tip(), 2)
        tap.true(tip["hash"] in tab.text("main"), "the block's id")
        tab.click("a[href^='#/proof/']")
        tab.there("h1 .mono")
        tap.true(tip["proofs"][0]["digest"] in tab.text("main"), "the digest that was stated")
        tab.click("button.main")
        tab.wait("document.querySelector('.note.good')", "the proof was executed again")
        tap.true("The same digest" in tab.text("main"), "what came of it")
        tab.run("history.back()")
        tab.wait("document.querySelector('h1')?.textContent === 'Block 13'", "the way back")
        tab.do("Input.dispatchKeyEvent", type="keyDown", key="ArrowLeft")
        tab.wait("document.querySelector('h1')?.textContent === 'Block 12'", "the block before it, by a key")
        tab.type("#query", tip["tx"][0]["txid"])
        tab.run("document.getElementById('search').requestSubmit()")
        tab.wait("document.querySelector('h1')?.textContent.startsWith('Transaction')", "what a search found")
        check_quiet(tab, page)
        come_and_go(tab, node)


def tabs():
    """More tabs than a browser has connections to a server follow the chain, as one listens for all"""
    require_browser()
    node, page = start()
    mine_to(node, 2)
    with Browser() as browser:
        opened = [browser.open(f"http://{page.host}/#/blocks") for _ in range(CONNECTIONS + 2)]
        for tab in opened:
            tab.wait("document.getElementById('badge').classList.contains('live')", "a tab hears of events")
        mine_to(node, 3)
        for tab in opened:
            tab.wait("document.querySelector('tbody a')?.textContent === '3'", "a tab shows the block that came")
    node.stop()


def come_and_go(tab, node):
    """The page says when the node is gone, and goes on by itself when it is back"""
    node.stop()
    tab.wait("document.getElementById('badge').classList.contains('lost')", "the page says that the node is gone")
    tab.run("location.hash = '#/blocks'")
    tab.wait("document.querySelector('main [role=alert]')", "there is nothing to be shown")
    node.start()
    tab.wait("document.getElementById('badge').classList.contains('live')", "the page hears of the node again")
    tab.wait("document.querySelectorAll('tbody tr').length > 10 && !document.querySelector('main [role=alert]')", "the blocks are shown")
    node.stop()


def contributes():
    """A file is contributed with the page's key, and not without; its hostile title stays words"""
    require_browser()
    node, page = start()
    mine_to(node, 20)
    with open(os.path.join(node.chaindir, ".web_key"), encoding="ascii") as file:
        key = file.read().strip()
    with tempfile.NamedTemporaryFile(suffix=".txt") as file, Browser() as browser:
        file.write(text_of(40000, 1))
        file.flush()
        tab = browser.open(f"http://{page.host}/#/contribute")
        fill_form(tab, file.name)
        tab.click("button[type=submit]:not(#search *)")
        tab.wait("document.querySelector('main .note.bad')", "a refusal without the key")
        tab.go(f"http://{page.host}/#key={key}")
        tab.wait("location.hash === '#/'", "the key is out of sight")
        tab.run("location.hash = '#/node'")
        tab.wait("document.querySelector('main')?.textContent.includes('Nothing is sold here')", "what is sold, with the key")
        tab.run("location.hash = '#/contribute'")
        fill_form(tab, file.name)
        tab.click("main form button[type=submit]")
        tab.wait("!document.querySelector('main form button.main').disabled", "what it would cost")
        tap.true("burned" in tab.text("main"), "the cost")
        tap.equal(node.rpc.listcontributions(), [], "contributions after a look at the cost")
        tab.click("main form button.main")
        tab.wait("document.querySelector('main .note.good')", "it is committed")
        for _ in range(5):
            node.generate(1)
        wait_until(lambda: node.rpc.listcontributions()[0]["stage"] in ("registering", "registered"), "the registration is made")
        node.generate(1)
        wait_until(lambda: node.rpc.listcontributions()[0]["stage"] == "registered", "the data are registered")
        tab.run("location.hash = '#/dataset/1'")
        tab.wait("document.title.includes('onerror')", "the dataset's view")
        tap.equal(tab.run("document.querySelectorAll('main img').length"), 0, "images made of a title")
        tap.true(HOSTILE in tab.text("h1"), "the title, as it was written")
        check_quiet(tab, page, but=["status of 401"])
    node.stop()


def fill_form(tab, path):
    tab.there("main form input[type=file]")
    tab.choose_file("main form input[type=file]", path)
    tab.type("main form label:nth-of-type(2) input", HOSTILE)
    tab.type("main form input[list]", "CC0-1.0")


FITS = "document.documentElement.scrollWidth <= innerWidth"
AXE_RUN = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(one => one.id + ': ' +
one.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + ' ' + node.any.map(why => why.message)).join(' | ')))"""
VIEWS = {"home": "#/", "blocks": "#/blocks", "block": f"#/block/{2 * P}", "rounds": "#/rounds", "round": f"#/round/{P}/{P}", "data": "#/data",
         "dataset": "#/dataset/0", "people": "#/people", "model": "#/model", "ask": "#/ask", "node": "#/node", "contribute": "#/contribute",
         "search": "#/search/genesis"}
SETTLED = "document.querySelector('main')?.dataset.shown === location.hash && !document.querySelector('main [aria-busy]')"


def looks():
    """All views are drawn, wide and narrow, light and dark, and axe-core finds nothing wrong with them; the first one weighs little"""
    require_browser()
    axe = axe_script()
    node, page = start(SPEC["name"])
    mine_to(node, 2 * P + 2)
    block = node.rpc.getblock(node.tip(), 2)
    views = VIEWS | {"tx": f"#/tx/{block['tx'][-1]['txid']}", "proof": f"#/proof/{block['hash']}", "address": f"#/address/{node.own}"}
    os.makedirs(PICTURES, exist_ok=True)
    with Browser() as browser:
        tab = browser.open("about:blank")
        tab.show_as(1280)
        tab.go(f"http://{page.host}/")
        tab.wait(SETTLED, "the first view")
        weight = tab.run("performance.getEntriesByType('resource').filter(e => /\\.(js|css|svg)$/.test(e.name) && !e.name.includes('/lib/'))"
                         ".reduce((sum, e) => sum + e.decodedBodySize, 0)")
        tap.true(0 < weight < FIRST_VIEW, f"the first view weighs {weight} bytes")
        tab.run(f"{axe}; true")
        wrong = []
        for name, route in views.items():
            for width, dark in ((1280, False), (360, True)):
                tab.show_as(width, dark=dark)
                show(tab, route)
                tap.true(tab.run(FITS), f"{name} fits {width} pixels")
                tap.true(not tab.run("document.querySelector('main [role=alert]')?.innerText"), f"{name} is drawn: {tab.text('main')[:300]}")
                tab.screenshot(os.path.join(PICTURES, f"{name}-{width}.png"))
                wrong += [f"{name}, {width} wide: {one}" for one in tab.run(AXE_RUN)] if axe else []
        tap.equal(wrong, [], "what axe-core finds")
        check_quiet(tab, page, but=[] if os.path.exists(LIBRARY) else ["/lib/"])
    node.stop()


def axe_script():
    if not os.path.exists(AXE):
        tap.comment("axe-core is not installed, and was not asked: test/interop/install brings it")
        return ""
    with open(AXE, encoding="utf-8") as file:
        return file.read()


def show(tab, route):
    tab.run(f"location.hash = {json.dumps(route)}")
    tab.wait(SETTLED, f"the view {route} is drawn")


def without():
    """Where dygraphs is not installed the page says so, and shows line and figures; texts come where the door wants a key"""
    require_browser()
    node, page = start()
    node.rpc.createapikey("others")
    with Browser() as browser:
        tab = browser.open("about:blank")
        tab.do("Network.setBlockedURLs", urls=["*/lib/*"])
        tab.go(f"http://{page.host}/#/block/0")
        for route in "#/block/0", "#/model", "#/":  # before there is anything
            show(tab, route)
            tap.equal(tab.text("main [role=alert]"), "", f"what is wrong with {route} at the genesis")
        tap.equal([line for line in tab.console if "/lib/" not in line], [], "complaints at the genesis")
        mine_to(node, 5)
        tab.wait("document.querySelector('.plot path')", "a line of our own")
        tap.true("libjs-dygraphs" in tab.text(".readout"), "what is missing")
        tap.equal(tab.run("document.querySelectorAll('details tbody tr').length"), 5, "figures in the table")
        tab.click("form button.main")
        tab.wait("document.querySelector('details.receipt')", "a text by the page's own path")
        check_quiet(tab, page, but=["/lib/", "/v1/completions"])
    node.stop()


# --- the picture of the README ---

DEMO = {"name": "ward7", "hrp": "wrd", "spacing": 4, "k": 6, "d": 64, "layers": 2, "heads": 2, "ff": 176, "ctx": 64, "batch": 8,
        "iterations": 4, "slots": 4, "bench_rows": 64, "lr_ppm": 1000, "mu_ppm": 0, "eta_ppm": 1000000, "maturity": 25, "data_delay": 1,
        "commit_delay": 2, "blob_min": 32768, "burn_rate": 100, "round_blocks": 12, "round_work": 6, "round_reveal": 3, "segments": 16,
        "segment": 8, "run_ppm": 500000}
DEMO_BLOCKS = 88
DEMO_DATA = [("protocol.md", "How nodes agree"), ("economics.md", "Who gains what"), ("architecture.md", "The house on one page")]
DEMO_PATIENCE = 1800  # seconds


def draw(path):
    """Two nodes mine, train runs and contribute, until there is something to see; they go on while the picture is taken."""
    spec = {**DEMO, "genesis_time": int(time.time()) - 60}
    nodes = [Node(chain=DEMO["name"], start=False) for _ in range(2)]
    page = Page(nodes[0], FOLDER)
    for node in nodes:
        node.use_spec(spec)
        node.start()
        node.rpc.createwallet("w")
        node.own = node.rpc.getnewaddress()
    nodes[1].connect(nodes[0])
    nodes[0].rpc.setmining(True, 1, nodes[0].own)
    wait_until(lambda: nodes[0].rpc.getbalance() > 20, "there are coins", DEMO_PATIENCE)
    nodes[0].rpc.sendtoaddress(nodes[1].own, 10)
    nodes[1].rpc.setmining(True, 1, nodes[1].own)
    wait_until(lambda: nodes[1].rpc.getbalance() > 1, "the other has coins, too", DEMO_PATIENCE)
    for number, (name, title) in enumerate(DEMO_DATA):
        nodes[number % 2].rpc.contributedata(os.path.join(SOURCE, "doc", name), "MIT", title)
    wait_until(lambda: nodes[0].height() >= DEMO_BLOCKS, f"block {DEMO_BLOCKS} is there", DEMO_PATIENCE)
    with Browser() as browser:
        tab = browser.open("about:blank")
        tab.show_as(1240)
        tab.go(f"http://{page.host}/")
        tab.wait(SETTLED, "the first view")
        tab.type(".prompt", "The model ")
        tab.click("form button.main")
        tab.wait("document.querySelector('.play em')", "a text")
        tab.run("[...document.querySelectorAll('main button')].find(one => one.textContent === 'Execute it here').click()")
        tab.wait("document.querySelector('main .note.good')", "a proof that was executed again")
        tab.screenshot(path)


if __name__ == "__main__":
    wanted = [one.partition("=")[2] for one in sys.argv[1:] if one.startswith("--picture=")]
    if wanted:
        try:
            draw(wanted[0])
        finally:
            end_all()
    else:
        tap.main(harmless, clicks, tabs, contributes, looks, without)
