#!/usr/bin/env python3
"""The page in a real browser: clicked through, followed while blocks come, and looked at. Pictures of all views are kept in the
build folder, in test/functional/web/pictures.

    page.py --picture=doc/page.png

makes the picture of the README instead: of two nodes with a few datasets, which takes some minutes.
"""

import decimal
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
from framework.prose import prose
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
LIBRARY_GAP = [] if os.path.exists(LIBRARY) else ["/lib/"]  # what a browser may complain of
HOSTILE = "<img src=x onerror=alert(1)> & </title>"  # a title that somebody registers
CONNECTIONS = 6  # that a browser has to a server at most
FIRST_VIEW = 100000  # bytes at most, without the library
LONG = 300  # blocks of a chain that has something to show


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


def start(chain="regtest", *options):
    """A node with a wallet, and its page."""
    node = Node(chain=chain, start=False)
    if chain != "regtest":
        node.use_spec(SPEC)
    page = Page(node, FOLDER, *options)
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
        tab.wait(f"document.querySelector('#standing time')?.textContent", "the tip's age")
        age = tab.text("#standing time")
        tab.wait(f"document.querySelector('#standing time').textContent !== '{age}'", "the tip's age goes on while nothing happens")
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
    tap.true("What you see is as of" in tab.text("#notice"), "what the view shows is said to be old")
    tab.run("location.hash = '#/blocks'")
    tab.wait("document.querySelector('main [role=alert]')", "there is nothing to be shown")
    node.start()
    tab.wait("document.getElementById('badge').classList.contains('live')", "the page hears of the node again")
    tab.wait("document.querySelectorAll('tbody tr').length > 10 && !document.querySelector('main [role=alert]')", "the blocks are shown")
    tap.equal(tab.text("#notice"), "", "what is wrong, when the node is back")
    catch_up(tab, node)
    node.stop()


# What the page is told of a node that knows of ten blocks more than it has executed.
BEHIND = """window.told = fetch;
window.fetch = async (path, options) => {
    const answer = await told(path, options);
    if (path !== '/api/chain')
        return answer;
    const chain = await answer.json();
    return new Response(JSON.stringify({ ...chain, headers: chain.blocks + 10 }));
}; true"""


def catch_up(tab, node):
    """How far a node is that executes what others have mined"""
    tab.run(BEHIND)
    height = node.height() + 1
    mine_to(node, height)
    tab.wait(f"document.getElementById('notice').textContent.includes('{height} of {height + 10} blocks')", "how far the node is")
    tab.there("#notice [role=progressbar]")
    tab.run("window.fetch = told; true")
    mine_to(node, height + 1)
    tab.wait("document.getElementById('notice').hidden", "nothing is said any more")


PAPER = "getComputedStyle(document.body).backgroundColor"
LIGHT, DARK = "rgb(251, 250, 247)", "rgb(19, 20, 23)"
# Kept in the page from its start: what was chosen when there was something to be painted.
EARLY = """new MutationObserver((changes, observer) => {
    if (document.body) {
        window.early = document.documentElement.style.colorScheme;
        observer.disconnect();
    }
}).observe(document, { subtree: true, childList: true });"""
# Whether the curve has a point of this colour.
PAINTED = """(() => {
const canvas = document.querySelector('.plot canvas'), { width, height } = canvas, copy = new OffscreenCanvas(width, height).getContext('2d');
copy.drawImage(canvas, 0, 0);
const { data } = copy.getImageData(0, 0, width, height);
return data.some((_, at) => at %% 4 === 0 && [%d, %d, %d, 255].every((part, place) => data[at + place] === part));
})()"""


def theme():
    """Light or dark is the system's choice until another is made, by a key; which all tabs take up, and the next visit before it is painted"""
    require_browser()
    node, page = start()
    mine_to(node, 6)
    with Browser() as browser:
        tab, other = (browser.open(f"http://{page.host}/") for _ in range(2))
        for one in (tab, other):
            one.show_as(1280)
            one.do("Page.addScriptToEvaluateOnNewDocument", source=EARLY)
            one.wait(f"{SETTLED} && {PAPER} === '{LIGHT}'", "the first view, light as the system")
            one.there("#theme[aria-pressed=false]")
        press(tab)
        for one in (tab, other):
            one.wait(f"{PAPER} === '{DARK}'", "a tab that is dark")
            one.there("#theme[aria-pressed=true]")
        if os.path.exists(LIBRARY):
            tab.wait(PAINTED % (229, 138, 79), "the curve in the colours of the dark")
        tab.do("Page.reload")
        tab.wait(f"window.early !== undefined && {SETTLED}", "the page, once more")
        tap.equal(tab.run("window.early"), "dark", "what was chosen, before there was a body")
        tap.equal(tab.run(PAPER), DARK, "the page's colour on the next visit")
        press(tab)
        other.wait(f"{PAPER} === '{LIGHT}'", "both are light again")
        tab.do("Page.bringToFront")  # a tab that nobody sees hears of it later
        tab.show_as(1280, dark=True)
        tab.wait(f"{PAPER} === '{DARK}'", "the system's choice is followed again")
        tab.there("#theme[aria-pressed=true]")
        check_quiet(tab, page, but=LIBRARY_GAP)
    node.stop()


def press(tab):
    """The button for it, by the keyboard."""
    tab.there("#theme:not([hidden])")
    tab.run("document.getElementById('theme').focus()")
    for kind in ("keyDown", "keyUp"):
        tab.do("Input.dispatchKeyEvent", type=kind, key=" ", code="Space", text=" ", windowsVirtualKeyCode=32)


def contributes():
    """A file is contributed with the page's key, and not without; 300 blocks later all views are drawn, and it is seen paid"""
    require_browser()
    node, page = start()
    mine_to(node, 20)
    with tempfile.NamedTemporaryFile(suffix=".txt") as file, Browser() as browser:
        file.write(prose("page", 40000))
        file.flush()
        tab = browser.open(f"http://{page.host}/#/contribute")
        tab.show_as(1280)
        contribute(tab, page, file.name)
        for _ in range(5):
            node.generate(1)
        wait_until(lambda: node.rpc.listcontributions()[0]["stage"] in ("registering", "registered"), "the registration is made")
        node.generate(1)
        wait_until(lambda: node.rpc.listcontributions()[0]["stage"] == "registered", "the data are registered")
        show(tab, "#/dataset/1")
        tab.wait("document.title.includes('onerror')", "the dataset's view")
        tap.equal(tab.run("document.querySelectorAll('main img').length"), 0, "images made of a title")
        tap.true(HOSTILE in tab.text("h1"), "the title, as it was written")
        tap.true("proven" not in tab.text("main"), "nothing is said of what is for rounds alone")
        mine_to(node, LONG)
        tab.wait(f"document.getElementById('badge').textContent.endsWith(' {LONG}')", "the page has heard of all blocks")
        see_paid(tab, node)
        look_through(tab, node)
        walk(tab, node)
        check_quiet(tab, page, but=["status of 401"] + LIBRARY_GAP)
        check_first_view(browser, page)
    node.stop()


def contribute(tab, page, path):
    """By its form, at first without the page's key."""
    fill_form(tab, path)
    tab.click("button[type=submit]:not(#search *)")
    tab.wait("document.querySelector('main .note.bad')", "a refusal without the key")
    tab.go(f"http://{page.host}/#key={page.key().strip()}")
    tab.wait("location.hash === '#/'", "the key is out of sight")
    tab.run("location.hash = '#/node'")
    tab.wait("document.querySelector('main')?.textContent.includes('Nothing is sold here')", "what is sold, with the key")
    tab.run("location.hash = '#/contribute'")
    fill_form(tab, path)
    tab.click("main form button[type=submit]")
    tab.wait("!document.querySelector('main form button.main').disabled", "what it would cost")
    tap.true("burned" in tab.text("main"), "the cost")
    tap.equal(page.node.rpc.listcontributions(), [], "contributions after a look at the cost")
    tab.click("main form button.main")
    tab.wait("document.querySelector('main .note.good')", "it is committed")


def see_paid(tab, node):
    """What the owner of the data has earned, on all views that tell it."""
    data = node.rpc.getdataset("1")
    paid, short = data["total_paid"], data["total_paid"].quantize(decimal.Decimal("0.01"), decimal.ROUND_HALF_UP)
    tap.true(paid > 0, f"the data earned nothing in {LONG} blocks, of {data['total_draws']} draws")
    show(tab, "#/data")
    tap.true(f"{short}" in tab.text("main tbody tr:has(a[href='#/dataset/1'])"), "earned, in the list of data")
    tab.click("main a[href='#/dataset/1']")
    tab.wait(SETTLED, "the dataset's view")
    tap.equal(tab.text("main .big"), f"{short} earned by its owner", "earned, on the dataset's view")
    tap.equal(tab.run("document.querySelectorAll('main tbody tr').length"), len(data["last_draws"]), "its last draws")
    tab.click(f"main a[href='#/address/{data['owner']}']")
    tab.wait(f"document.title.startsWith('Address') && {SETTLED}", "the owner's view")
    paid = paid.quantize(decimal.Decimal("0.0001"), decimal.ROUND_HALF_UP)
    tap.true(f"paid for data\n{paid}" in tab.text("main"), f"what the owner was paid: {tab.text('main')[:600]}")


def look_through(tab, node):
    """All views, of a chain without rounds."""
    block = node.rpc.getblock(node.rpc.getblockhash(LONG // 2), 2)
    for name, route in (VIEWS | views_of(node, block)).items():
        if name != "round":
            show(tab, route)
            tap.true(not tab.run("document.querySelector('main [role=alert]')?.innerText"), f"{name}: {tab.text('main')[:300]}")


def walk(tab, node):
    """From the curve to a block, to a proof of it, which is executed again."""
    show(tab, "#/model")
    tab.wait("document.querySelectorAll('details tbody tr').length > 10", "the curve's figures")
    height = click_curve(tab) if os.path.exists(LIBRARY) else click_figures(tab)
    tab.wait(f"document.querySelector('h1')?.textContent === 'Block {height}' && {SETTLED}", "the block's view")
    proof = node.rpc.getblock(node.rpc.getblockhash(height), 2)["proofs"][0]
    tab.click("a[href^='#/proof/']")
    tab.wait(f"document.title.startsWith('Proof') && {SETTLED}", "the proof's view")
    tap.true(proof["digest"] in tab.text("main"), "the digest that was stated")
    tab.click("button.main")
    tab.wait("document.querySelector('.note.good')", "the proof was executed again")


# The middle of what is highlighted on the curve, as the window sees it; null: nothing is.
HIGHLIGHT = """(() => {
const canvas = [...document.querySelectorAll('.plot canvas')].at(-1), { width, height } = canvas, box = canvas.getBoundingClientRect();
const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
copy.drawImage(canvas, 0, 0);
const { data } = copy.getImageData(0, 0, width, height);
let sum = 0, across = 0, down = 0;
for (let at = 0; at < width * height; at++) {
    const weight = data[4 * at + 3];
    sum += weight, across += weight * (at % width), down += weight * Math.floor(at / width);
}
return sum && [box.x + (across / sum + 0.5) * box.width / width, box.y + (down / sum + 0.5) * box.height / height];
})()"""


def click_curve(tab):
    """Points at the curve's middle, and clicks what is highlighted. The block that the page says it is."""
    tab.there(".plot canvas")
    x, y = tab.run("(() => {const e = document.querySelector('.plot'); e.scrollIntoView({block: 'center'});"
                   "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2];})()")
    tab.do("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    tab.wait(HIGHLIGHT, "a point of the curve is highlighted")
    height = int(re.match(r"block (\d+) ", tab.text(".readout")).group(1))
    x, y = tab.run(HIGHLIGHT)
    for kind in ("mousePressed", "mouseReleased"):
        tab.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    return height


def click_figures(tab):
    """What there is for the keyboard, and without the library."""
    tab.run("document.querySelector('.plot ~ details').open = true")
    found = "document.querySelectorAll('.plot ~ details tbody a')[2]"
    tab.wait(found, "the figures lead to blocks")
    height = int(tab.run(f"{found}.textContent"))
    tab.click(f".plot ~ details tbody a[href='#/block/{height}']")
    return height


# Kept in the page from its start: when its view was drawn.
WATCH = """new MutationObserver((changes, observer) => {
    if (%s) {
        window.drawn = performance.now();
        observer.disconnect();
    }
}).observe(document, { subtree: true, childList: true, attributes: true });"""
FIGURES = """(() => {
const all = performance.getEntriesByType('resource'), [page] = performance.getEntriesByType('navigation');
const files = all.filter((one) => /\\.(js|css|svg)$/.test(one.name) && !one.name.includes('/lib/'));
return { bytes: files.reduce((sum, one) => sum + one.decodedBodySize, page.decodedBodySize),
    paint: performance.getEntriesByName('first-contentful-paint')[0]?.startTime, interactive: page.domInteractive, drawn: window.drawn };
})()"""


def check_first_view(browser, page):
    """What a browser that has seen nothing of it loads, and for those who measure, when it is there."""
    tab = browser.open("about:blank")
    tab.do("Network.setCacheDisabled", cacheDisabled=True)
    tab.do("Page.addScriptToEvaluateOnNewDocument", source=WATCH % SETTLED)
    tab.go(f"http://{page.host}/")
    tab.wait(f"window.drawn && performance.getEntriesByName('first-contentful-paint').length && {SETTLED}", "the first view")
    found = tab.run(FIGURES)
    tap.comment("first view: {bytes} bytes without the library; milliseconds until its first paint {paint:.0f}, its document can be "
                "used {interactive:.0f}, all of it is drawn {drawn:.0f}".format(**found))
    tap.true(0 < found["bytes"] < FIRST_VIEW, f"the first view weighs {found['bytes']} bytes")


def fill_form(tab, path):
    tab.there("main form input[type=file]")
    tab.choose_file("main form input[type=file]", path)
    tab.type("main form label:nth-of-type(2) input", HOSTILE)
    tab.type("main form input[list]", "CC0-1.0")


FITS = "document.documentElement.scrollWidth <= innerWidth"
CUT = """[...document.querySelectorAll('.scroll')].filter(one => one.checkVisibility() && one.scrollWidth > one.clientWidth)
.map(one => one.innerText.slice(0, 80))"""
AXE_RUN = """axe.run(document, {resultTypes: ['violations']}).then(found => found.violations.map(one => one.id + ': ' +
one.nodes.slice(0, 3).map(node => node.html.slice(0, 160) + ' ' + node.any.map(why => why.message)).join(' | ')))"""
VIEWS = {"home": "#/", "blocks": "#/blocks", "block": f"#/block/{2 * P}", "rounds": "#/rounds", "round": f"#/round/{P}/{P}", "data": "#/data",
         "dataset": "#/dataset/0", "people": "#/people", "model": "#/model", "ask": "#/ask", "node": "#/node", "contribute": "#/contribute",
         "search": "#/search/genesis"}
SETTLED = "document.querySelector('main')?.dataset.shown === location.hash && !document.querySelector('main [aria-busy]')"


def views_of(node, block):
    return {"tx": f"#/tx/{block['tx'][-1]['txid']}", "proof": f"#/proof/{block['hash']}", "address": f"#/address/{node.own}"}


def looks():
    """All views are drawn, wide and narrow, light and dark, and axe-core finds nothing wrong with them"""
    require_browser()
    axe = axe_script()
    node, page = start(SPEC["name"])
    mine_to(node, 2 * P + 2)
    views = VIEWS | views_of(node, node.rpc.getblock(node.tip(), 2))
    os.makedirs(PICTURES, exist_ok=True)
    with Browser() as browser:
        tab = browser.open("about:blank")
        tab.show_as(1280)
        tab.go(f"http://{page.host}/")
        tab.wait(SETTLED, "the first view")
        tab.run(f"{axe}; true")
        wrong = []
        for name, route in views.items():
            for width, dark in ((1280, False), (360, True)):
                tab.show_as(width, dark=dark)
                show(tab, route)
                tap.true(tab.run(FITS), f"{name} fits {width} pixels")
                tap.true(not tab.run("document.querySelector('main [role=alert]')?.innerText"), f"{name} is drawn: {tab.text('main')[:300]}")
                tab.screenshot(os.path.join(PICTURES, f"{name}-{width}.png"))
                wrong += [f"{name}, {width} wide: {one}" for one in tab.run(CUT) + (tab.run(AXE_RUN) if axe else [])]
        tap.equal(wrong, [], "tables that are cut, and what axe-core finds")
        check_quiet(tab, page, but=LIBRARY_GAP)
    node.stop()


def void_merge():
    """A round whose merge is void: the block that ends it has trained the model all the same, and the page says so"""
    require_browser()
    node, page = start(SPEC["name"], "-run=0")
    mine_to(node, 2 * P)
    merged = node.rpc.getround(P)
    tap.true(merged["void"] and merged["loss_after"] != merged["loss_before"], f"a round without runs: {merged}")
    with Browser() as browser:
        tab = browser.open("about:blank")
        tab.go(f"http://{page.host}/#/round/{P}")
        tab.wait(SETTLED, "the round's view")
        for text in (f"{merged['loss_before']:.4f} → {merged['loss_after']:.4f}", "by the block's proofs: the merge is void",
                     "reserved text"):
            tap.true(text in tab.text("main"), f"'{text}' is missing: {tab.text('main')[:600]}")
    node.stop()


def proven():
    """Where a chain has rounds the page says of a dataset whether it is proven"""
    require_browser()
    node, page = start(SPEC["name"], "-run=0")
    mine_to(node, SPEC["maturity"] + 2)
    node.rpc.contributedata(file="", licence="CC0-1.0", title="new", hexdata=prose("page", 40000).hex())
    mine_to(node, node.height() + 1)
    wait_until(lambda: node.rpc.listcontributions()[0]["stage"] == "registering", "the registration is made")
    mine_to(node, node.height() + 1)
    tap.equal([one["proven"] for one in node.rpc.listdatasets()], [True, False], "what is proven")
    with Browser() as browser:
        tab = browser.open("about:blank")
        tab.go(f"http://{page.host}/#/dataset/0")
        for number, said in enumerate(("yes: ", "not now: ")):
            show(tab, f"#/dataset/{number}")
            tap.true(f"proven\n{said}" in tab.text("main"), f"'{said}' is missing: {tab.text('main')[:600]}")
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
        tab.wait("document.querySelector('.first')?.innerText.includes('atelier-cli -regtest setmining true')", "how to begin")
        tap.equal(tab.text("main .big"), "untrained", "the loss at the genesis")
        tap.equal([line for line in tab.console if "/lib/" not in line], [], "complaints at the genesis")
        mine_to(node, 5)
        tab.wait("document.querySelector('.plot path')", "a line of our own")
        tap.true("libjs-dygraphs" in tab.text(".readout"), "what is missing")
        tab.wait("document.querySelectorAll('details tbody tr').length === 5", "figures in the table")
        tap.true(tab.run("document.querySelector('.first').hidden"), "how to begin is not told who has begun")
        click_figures(tab)
        tab.wait("document.querySelector('h1')?.textContent === 'Block 3'", "the block that a figure is of")
        tab.show_as(1280)
        show(tab, "#/blocks")
        tap.equal(tab.text("thead").split(), ["block", "age", "proofs", "loss", "change,", "nats", "paid", "transactions", "mined", "by"],
                  "columns that say something, without rounds and data that is paid")
        show(tab, "#/")
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
        tap.main(harmless, clicks, theme, tabs, contributes, looks, void_merge, proven, without)
