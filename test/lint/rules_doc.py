"""What doc/architecture.md says about the tree."""

import re

from rule import Violation, rule

ARCHITECTURE = "doc/architecture.md"
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
