"""The C files of a tree, and what the rules ask about them. Each file is read once.

That a function's name stands in a line that begins in the first column, and its closing brace in one of its own, is for
the rule `format` to see to: no more of C is understood here than that."""

import functools
import os
import re

FOLDERS = ("src", "test")

NOISE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.M)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\((?:[^()]|\([^()]*\))*\)\)")
DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", re.M)
# A name with its parameters at the top level, then the body or a semicolon.
FUNCTION = re.compile(r"^ *((?!typedef\b)[A-Za-z_][\w \t\n*]*?)\b(\w+)[ \t]*\([^;{}]*\)\s*\{", re.M)
PROTOTYPE = re.compile(r"^ *((?!typedef\b)[A-Za-z_][\w \t\n*]*?)\b(\w+)[ \t]*\([^;{}]*\)\s*;", re.M)
MENTION = re.compile(r"(?<!\.)(?<!->)\b[A-Za-z_]\w*")
KEYWORDS = {"void", "return", "if", "while", "for", "switch", "sizeof"}


def blank(match):
    return re.sub(r"[^\n]", " ", match.group())


class Function:
    """A definition: its name, whether it is static, its first and last line, its text."""

    def __init__(self, code, match):
        self.name, self.static = match.group(2), "static" in match.group(1).split()
        brace = match.end() - 1
        end = code.find("}", brace)
        if "\n" in code[brace:end]:
            end = code.find("\n}", brace) + 1
        self.body = code[match.start():end + 1]
        self.first = code.count("\n", 0, match.start(2)) + 1
        self.last = code.count("\n", 0, end) + 1


class Source:
    """A C file: its path below the root, its floor ("" for the mains), its module (the path without .c or .h)."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        parts = path.split("/")
        self.floor = parts[1] if parts[0] == "src" and len(parts) > 2 else ""
        self.module = path[:-2]
        self.name = os.path.basename(self.module)
        self.is_header = path.endswith(".h")

    def line(self, position):
        return self.text.count("\n", 0, position) + 1

    def place(self, position):
        return f"{self.path}:{self.line(position)}"

    @functools.cached_property
    def code(self):
        """The text with comments and strings blanked out, each line where it was."""
        return NOISE.sub(blank, self.text)

    @functools.cached_property
    def bare(self):
        """The code without directives and attributes."""
        return ATTRIBUTE.sub(blank, DIRECTIVE.sub(blank, self.code))

    @functools.cached_property
    def functions(self):
        return [Function(self.bare, match) for match in FUNCTION.finditer(self.bare) if match.group(2) not in KEYWORDS]

    @functools.cached_property
    def top(self):
        """The bare code without what stands in braces."""
        depth, out = 0, []
        for part in re.split(r"([{}])", self.bare):
            depth -= part == "}"
            out.append(part if depth <= 0 else re.sub(r"[^\n]", " ", part))
            depth += part == "{"
        return "".join(out)

    @functools.cached_property
    def prototypes(self):
        """(name, position) of each function that is declared here."""
        return [(match.group(2), match.start(2)) for match in PROTOTYPE.finditer(self.top) if match.group(2) not in KEYWORDS]

    @functools.cached_property
    def offers(self):
        """The names that this file defines for others: functions, and in a header macros."""
        names = {function.name for function in self.functions if self.is_header or not function.static}
        if self.is_header:
            names |= {name for name in DEFINE.findall(self.code) if not name.endswith("_H")}
        return names

    @functools.cached_property
    def mentions(self):
        """The names that this file uses. A prototype alone is no use."""
        text = self.code
        if self.is_header:
            directives = (match.group() for match in DIRECTIVE.finditer(self.code))
            text = "\n".join([function.body for function in self.functions] + list(directives))
        return set(MENTION.findall(text))


def read_list(path):
    """The lines of a file as lists of words, without comments and empty lines."""
    with open(path, encoding="utf-8") as file:
        lines = (line.split("#")[0].split() for line in file)
        return [line for line in lines if line]


class Tree:
    """All C files below src/ and test/ of a root, and the lists beside them."""

    def __init__(self, root):
        self.root = root
        self.files = sorted(self.read(), key=lambda source: source.path)

    def read(self):
        for folder in FOLDERS:
            for base, _, names in os.walk(os.path.join(self.root, folder)):
                for name in names:
                    if name.endswith((".c", ".h")):
                        path = os.path.join(base, name)
                        with open(path, encoding="utf-8", newline="") as file:
                            yield Source(os.path.relpath(path, self.root).replace(os.sep, "/"), file.read())

    @functools.cached_property
    def src(self):
        return [source for source in self.files if source.path.startswith("src/")]

    @property
    def headers(self):
        return [source for source in self.src if source.is_header]

    def path(self, path):
        return os.path.join(self.root, path)

    def list(self, path):
        return read_list(self.path(path))

    def folders(self, top):
        """The folders below one, its own path left out, whether or not there is C in them."""
        for base, names, _ in os.walk(self.path(top)):
            for name in sorted(names):
                yield os.path.relpath(os.path.join(base, name), self.path(top)).replace(os.sep, "/")


def rings(edges):
    """The sets of two or more nodes of which each leads to all others (Tarjan's components)."""
    order, low, stack, found = {}, {}, [], []

    def visit(node):
        order[node] = low[node] = len(order)
        stack.append(node)
        for other in sorted(edges.get(node, ())):
            if other not in order:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], order[other])
        if low[node] == order[node]:
            at = stack.index(node)
            ring, stack[at:] = stack[at:], []
            if len(ring) > 1 or node in edges.get(node, ()):
                found.append(sorted(ring))

    for node in sorted(edges):
        if node not in order:
            visit(node)
    return sorted(found)
