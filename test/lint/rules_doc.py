"""What doc/architecture.md and doc/economics.md say about the tree, and where links lead."""

import glob
import os
import re

from rule import Violation, rule

ARCHITECTURE, ECONOMICS = "doc/architecture.md", "doc/economics.md"
# A room: the point of a list that begins with its folder, to the end of the point. A file: a lone word in backticks.
ROOM = re.compile(r"^- \*\*`src/([\w/]*)`\*\*(.*(?:\n  .*)*)", re.M)
FILE = re.compile(r"`([\w-]+)`")


@rule("rooms", ({
    ARCHITECTURE: "`lost` and:\n\n- **`src/util/`** Ground; not `a.h`. `a` does it;\n  `b` and `gone`;\n  `a` again.\n"
                  "- **`src/`** `main`.\n- **`src/attic/`** `a` too.\n\n`c`\n",
    "src/main.c": "",
    "src/util/a.c": "",
    "src/util/a.h": "",
    "src/util/b.h": "",
    "src/util/c.c": "",
    "src/util/deep/a.c": "",
}, ["doc/architecture.md:4: ", "doc/architecture.md:5: ", "doc/architecture.md:7: ", "src/util/c: ", "src/util/deep/a: "]))
def check_rooms(tree):
    """doc/architecture.md names every file of src in its room, once, and no others."""
    with open(tree.path(ARCHITECTURE), encoding="utf-8") as file:
        text = file.read()
    modules, named = {source.module for source in tree.src}, set()
    for room in ROOM.finditer(text):
        for match in FILE.finditer(text, room.start(2), room.end(2)):
            module = f"src/{room.group(1)}{match.group(1)}"
            if module not in modules or module in named:
                place = f"{ARCHITECTURE}:{text.count(chr(10), 0, match.start()) + 1}"
                yield Violation(place, (module,), f"{module} " + ("stands twice" if module in named else "is not there"))
            named.add(module)
    for module in sorted(modules - named):
        yield Violation(module, (module,), f"is not named in {ARCHITECTURE}")


# A file, and where it is a test a case of it.
STAGED = re.compile(r"`((?:test|contrib)/[\w/.-]*\w)(?::(\w+))?`")


@rule("attacks", ({
    ECONOMICS: "`test/unit/a.c:test_this`\n`test/unit/a.c:test_that` and `contrib/gone`\n`test/unit/b.c`\n",
    "test/unit/a.c": "static void test_this(void **state)\n{\n}\n/* test_thatch */\n",
}, ["doc/economics.md:2: contrib/gone", "doc/economics.md:2: test_that", "doc/economics.md:3: "]))
def check_attacks(tree):
    """Tests that doc/economics.md names are there."""
    with open(tree.path(ECONOMICS), encoding="utf-8") as file:
        text = file.read()
    for match in STAGED.finditer(text):
        place = f"{ECONOMICS}:{text.count(chr(10), 0, match.start()) + 1}"
        path, case = match.groups()
        if not os.path.isfile(tree.path(path)):
            yield Violation(place, (path,), f"{path} is not there")
        elif case:
            with open(tree.path(path), encoding="utf-8") as file:
                if not re.search(rf"(?:void|def) {case}\(", file.read()):
                    yield Violation(place, (case,), f"{case} is not in {path}")


LINK = re.compile(r"\]\(([\w./-]*)(?:#([\w-]+))?\)")
HEADING = re.compile(r"^#+ +(.*)$", re.M)


def anchors(text):
    """Of its headings, as GitHub makes them."""
    return {re.sub(r"[^\w -]", "", heading).strip().lower().replace(" ", "-") for heading in HEADING.findall(text)}


@rule("links", ({
    "README.md": "[a](doc/a.md) [b](doc/a.md#a-part)\n[c](doc/a.md#part)\n[d](doc/b.md) [e](https://example.org/b)\n",
    "doc/a.md": "# A\n\n## A `part`\n\n[a](#a) [up](../README.md)\n[b](#b)\n",
}, ["README.md:2: ", "README.md:3: ", "doc/a.md:6: "]))
def check_links(tree):
    """Files and headings that texts link to are there."""
    texts = {}
    for path in sorted(glob.glob(tree.path("*.md")) + glob.glob(tree.path("doc/*.md"))):
        with open(path, encoding="utf-8") as file:
            texts[path] = file.read()
    for path, text in texts.items():
        for match in LINK.finditer(text):
            target = os.path.normpath(os.path.join(os.path.dirname(path), match[1])) if match[1] else path
            if not os.path.exists(target) or (match[2] and target in texts and match[2] not in anchors(texts[target])):
                place = f"{os.path.relpath(path, tree.path(''))}:{text.count(chr(10), 0, match.start()) + 1}"
                yield Violation(place, (match[0][2:-1],), f"{match[0][2:-1]} is not there")
