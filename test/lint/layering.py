#!/usr/bin/env python3
"""Checks what the compiler cannot: who may include whom, no floats where nodes must agree, no exit() below the mains,
and files that one can still read. Prints TAP. The rules are tried on a made-up tree first, so a rule that no longer
finds anything fails too."""

import os
import re
import sys
import tempfile

FLOORS = [["util"], ["crypto"], ["ml"], ["consensus"], ["chain"], ["net", "wallet"], ["rpc"], ["node", "bench"]]
LEVEL = {folder: level for level, floor in enumerate(FLOORS) for folder in floor}
LINES_MAX = 900
GENERATED = ("config.h",)

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
FLOAT = re.compile(r"\b(?:float|double)\b|#\s*include\s*<math\.h>")
EXIT = re.compile(r"\b(?:_exit|_Exit|exit|quick_exit)\s*\(")


def sources(root):
    """(path below root, folder under src or "", text) of every C file under src/."""
    for base, _, names in os.walk(os.path.join(root, "src")):
        for name in sorted(names):
            if name.endswith((".c", ".h")):
                path = os.path.relpath(os.path.join(base, name), root)
                parts = path.split(os.sep)
                with open(os.path.join(root, path), encoding="utf-8") as file:
                    yield path, parts[1] if len(parts) > 2 else "", file.read()


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def code_of(text):
    """The text with comments and strings blanked out, each line where it was."""
    return NOISE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)


def read_list(path):
    with open(path, encoding="utf-8") as file:
        lines = (line.split("#")[0].split() for line in file)
        return [line for line in lines if line]


def check_include(root):
    """Each folder includes only from itself and the folders in its .may_include, which are all below it."""
    allowed = {}
    src = os.path.join(root, "src")
    for folder in sorted(os.listdir(src)):
        if not os.path.isdir(os.path.join(src, folder)):
            continue
        path = os.path.join(src, folder, ".may_include")
        if folder not in LEVEL or not os.path.exists(path):
            yield f"src/{folder}", "is no known folder, or has no .may_include"
            continue
        allowed[folder] = {line[0] for line in read_list(path)}
        for other in sorted(allowed[folder]):
            if LEVEL.get(other, len(FLOORS)) >= LEVEL[folder]:
                yield f"src/{folder}/.may_include", f"{other} is not below {folder}"
    for path, folder, text in sources(root):
        for match in INCLUDE.finditer(text):
            target, place = match.group(2), f"{path}:{line_of(text, match.start())}"
            if match.group(1) == "<" or target in GENERATED:
                continue
            if "/" not in target or ".." in target:
                yield place, f'"{target}" is not rooted at src/'
                continue
            other = target.split("/")[0]
            if folder and other != folder and other not in allowed.get(folder, ()):
                yield place, f"{folder} may not include from {other}"


def find(root, pattern, wanted, what):
    for path, folder, text in sources(root):
        if wanted(folder):
            for match in pattern.finditer(code_of(text)):
                yield f"{path}:{line_of(text, match.start())}", f"{match.group().strip()}: {what}"


def check_float(root):
    """No float, double or <math.h> outside src/ml, where nodes must agree, and src/bench, where they need not."""
    return find(root, FLOAT, lambda folder: folder not in ("ml", "bench"), "belongs into src/ml")


def check_exit(root):
    """Only the mains end the process."""
    return find(root, EXIT, lambda folder: folder != "", "only the mains in src/*.c end the process")


def check_size(root):
    """No file grows beyond what one can read."""
    for path, _, text in sources(root):
        if text.count("\n") > LINES_MAX:
            yield path, f"has more than {LINES_MAX} lines"


RULES = {"include": check_include, "float": check_float, "exit": check_exit, "size": check_size}


def violations(root, rule, exceptions):
    """What breaks a rule, less the exceptions, plus the exceptions that are not needed."""
    excused, used = {path for name, path in exceptions if name == rule}, set()
    for place, why in RULES[rule](root):
        path = place.split(":")[0]
        if path in excused:
            used.add(path)
        else:
            yield f"{place}: {why}"
    for path in sorted(excused - used):
        yield f"exceptions.txt: {path} needs no exception from the rule '{rule}' any more"


SPECIMEN = {
    "src/util/.may_include": "",
    "src/crypto/.may_include": "util # below\n",
    "src/ml/.may_include": "chain\n",
    "src/chain/a.h": "",
    "src/main.c": '#include "ml/m.h"\nint main(void) { double d = 1; exit(d); }\n',
    "src/util/good.c": '/* float */ char *s = "exit( double"; // float\nint floats; int f(void) { return on_exit_do(1); }\n',
    "src/util/up.c": '#include "crypto/h.h"\n#include "up.h"\n',
    "src/crypto/h.h": '#include "util/good.h"\n#include <math.h>\n',
    "src/ml/m.h": "float f;\n",
    "src/util/bad.c": 'int f(void)\n{\n\texit(1);\n}\n',
    "src/util/long.c": "\n" * (LINES_MAX + 1),
}
EXPECTED = {
    "include": ["src/chain:", "src/ml/.may_include:", "src/util/up.c:1:", "src/util/up.c:2:"],
    "float": ["src/crypto/h.h:2:", "src/main.c:2:"],
    "exit": ["src/util/bad.c:3:"],
    "size": ["src/util/long.c:", "exceptions.txt: src/util/good.c "],
}


def check_specimen(rule):
    """The rule finds exactly what is wrong with the made-up tree."""
    with tempfile.TemporaryDirectory() as root:
        for path, text in SPECIMEN.items():
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)
        found = sorted(violations(root, rule, [("size", "src/util/good.c")]))
    expected = sorted(EXPECTED[rule])
    if len(found) != len(expected) or not all(f.startswith(e) for f, e in zip(found, expected)):
        return [f"the rule '{rule}' should find {expected}, but finds {found}"]
    return []


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.dirname(os.path.dirname(here))
    exceptions = [tuple(line) for line in read_list(os.path.join(here, "exceptions.txt"))]
    cases = [(f"the rule finds what breaks it: {rule}", check_specimen(rule)) for rule in RULES]
    cases += [(RULES[rule].__doc__, list(violations(root, rule, exceptions))) for rule in RULES]
    print(f"1..{len(cases)}")
    for number, (name, wrong) in enumerate(cases, 1):
        for line in wrong:
            print(f"# {line}")
        print(f"{'not ok' if wrong else 'ok'} {number} - {name}")
    return any(wrong for _, wrong in cases)


if __name__ == "__main__":
    sys.exit(main())
