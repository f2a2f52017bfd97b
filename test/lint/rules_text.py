"""What stands in a file: its layout, its comments, words that have no place in it."""

import concurrent.futures
import os
import re
import shutil
import subprocess

from rule import Skip, Violation, rule
from tree import NOISE

FLOAT = re.compile(r"\b(?:float|double)\b|#\s*include\s*<math\.h>")
EXIT = re.compile(r"\b(?:_exit|_Exit|exit|quick_exit)\s*\(")
TYPE = r"(?:const|volatile|unsigned|signed|struct|union|enum|void|char|short|int|long|float|double|bool|\w+_t|FILE)\b"
SIZEOF = re.compile(rf"\bsizeof\s*\(\s*(?!{TYPE})[^\n)]*\)?")
# At a line's end; before or between tabs that indent; a tab that does not indent.
BLANKS = re.compile(r"[ \t\r\f\v]+$|^\t* +\t|(?<=[^\t\n])\t", re.M)
OPENING = re.compile(r"\s*(?:/\*.*?\*/|//[^\n]*(?:\n//[^\n]*)*)[^\n]*\n?", re.S)
TAB, COLUMNS = 8, 120
FORMATTER = 14
BATCH = 20

# The share of the lines of all .c files below their opening comment that hold a comment.
COMMENTS_MIN, COMMENTS_MAX = 0.06, 0.12
COMMENTS_ON = True


def find(sources, pattern, what):
    for source in sources:
        for match in pattern.finditer(source.code):
            yield Violation(source.place(match.start()), (source.path,), f"{match.group().strip()}: {what}")


@rule("float", ({
    "src/main.c": "int main(void) { double d = 1; }\n",
    "src/util/good.c": '/* float */ char *s = "( double"; // float\nint floats;\n',
    "src/crypto/h.h": '#include "util/good.h"\n#include <math.h>\n',
    "src/ml/deep/m.h": "float f;\n",
    "test/a.c": "float f;\n",
}, ["src/crypto/h.h:2: ", "src/main.c:1: "]))
def check_float(tree):
    """No float, double or <math.h> outside src/ml, where nodes must agree, and src/bench, where they need not."""
    return find((s for s in tree.src if s.floor not in ("ml", "bench")), FLOAT, "belongs into src/ml")


@rule("exit", ({
    "src/main.c": "int main(void) { exit(d); }\n",
    "src/util/good.c": 'char *s = "exit(";\nint f(void) { return on_exit_do(1); }\n',
    "src/util/bad.c": "int f(void)\n{\n\texit(1);\n}\n",
}, ["src/util/bad.c:3: "]))
def check_exit(tree):
    """Only the mains end the process."""
    return find((s for s in tree.src if s.floor), EXIT, "only the mains in src/*.c end the process")


@rule("sizeof", ({
    "src/util/a.c": "/* sizeof(a) */\n#define COUNT(a) (sizeof(a) / sizeof((a)[0]))\nint f(int n)\n{\n"
                    "\treturn sizeof(n) + sizeof n + sizeof(int) + sizeof(struct a) + sizeof(uint8_t) + sizeof(*n);\n}\n",
    "test/a.c": "int n = sizeof (n);\n",
}, ["src/util/a.c:5: sizeof(*n)", "src/util/a.c:5: sizeof(n)", "test/a.c:1: "]))
def check_sizeof(tree):
    """Parentheses after sizeof are for types; macros, whose arguments need them, aside."""
    for source in tree.files:
        for match in SIZEOF.finditer(source.bare):
            yield Violation(source.place(match.start()), (source.path,), f"{match.group()}: say sizeof x")


@rule("blanks", ({
    "src/util/a.c": "int f(void)\n{\n\t/* good\n\t   so */\n\treturn\n\t    0;\n}\n/* end \n \tmix\n * a\ttab */\n",
    "test/a.c": "int a;\r\n",
}, ["src/util/a.c:10: ", "src/util/a.c:8: ", "src/util/a.c:9: ", "test/a.c:1: "]))
def check_blanks(tree):
    """What the formatter does not see: no blanks at the end of a line, tabs only before blanks and only to indent."""
    for source in tree.files:
        for match in BLANKS.finditer(source.text):
            yield Violation(source.place(match.start()), (source.path,), f"{match.group()!r} has no place here")


@rule("width", ({
    "src/a.c": f"\tchar *s = \"{'a' * (COLUMNS - TAB - 13)}\";\n\tchar *s = \"{'a' * (COLUMNS - TAB - 12)}\";\n",
    "src/a.h": f"/* {'ä' * (COLUMNS - 6)} */\n",
    "test/a.c": f"/* {'a' * (COLUMNS - 5)} */\n",
}, ["src/a.c:2: ", "test/a.c:1: "]))
def check_width(tree):
    """No line is wider than 120 columns: the formatter leaves a string that is too long to whoever writes it."""
    for source in tree.files:
        for number, line in enumerate(source.text.splitlines(), 1):
            if len(line.expandtabs(TAB)) > COLUMNS:
                yield Violation(f"{source.path}:{number}", (source.path,), f"{len(line.expandtabs(TAB))} columns")


@rule("opening", ({
    "src/a.c": "/* What lives here. */\nint a;\n",
    "src/b.c": "int b; /* late */\n",
    "test/a.c": "// What lives here.\n",
    "test/b.h": "",
}, ["src/b.c: ", "test/b.h: "]))
def check_opening(tree):
    """A file opens with a comment that says what lives in it."""
    for source in tree.files:
        if not OPENING.match(source.text):
            yield Violation(source.path, (source.path,), "opens with no comment")


def comment_share(tree):
    """(lines with a comment, lines) of all .c files of src below their opening comments."""
    lines = comments = 0
    for source in tree.src:
        if not source.is_header:
            opening = OPENING.match(source.text)
            text = source.text[opening.end():] if opening else source.text
            lines += text.count("\n")
            comments += len({line for match in NOISE.finditer(text) if match.group().startswith("/")
                             for line in range(text.count("\n", 0, match.start()), text.count("\n", 0, match.end()) + 1)})
    return comments, lines


@rule("comments", ({
    "src/a.c": "/* Not\n * counted. */\n" + "int a; /* so */\n" + "int a;\n" * 19,
    "src/a.h": "/* not counted */\n" * 9,
}, ["src: 1 of 20 "]), ({
    "src/a.c": "/* Not counted. */\n/* So\n * and\n * so. */\n" + "int a;\n" * 17,
}, ["src: 3 of 20 "]), ({
    "src/a.c": "int a;\n" * 46 + "/* so */\nint a; /* so */\nint a; // so\n" + 'char *s = "/* no */";\n',
}, []), figure=lambda tree: "{} of {} lines of the .c files hold a comment".format(*comment_share(tree)),
      pending=None if COMMENTS_ON else "the comments are being written")
def check_comments(tree):
    """Between 6 and 12 % of the lines of src/**/*.c, opening comments left out, hold a comment."""
    comments, lines = comment_share(tree)
    if not COMMENTS_MIN <= comments / max(lines, 1) <= COMMENTS_MAX:
        yield Violation("src", None, f"{comments} of {lines} lines hold a comment")


def find_formatter():
    for name in (f"clang-format-{FORMATTER}", "clang-format"):
        if shutil.which(name):
            said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
            if f"version {FORMATTER}." in said:
                return name
    raise Skip(f"there is no clang-format {FORMATTER}")


@rule("format", ({
    ".clang-format": "BasedOnStyle: LLVM\n",
    "src/a.c": "int  a;\n",
    "src/b.c": "int b;\n",
    "test/c.h": "int c;\nint\td;\nint  e;\n",
}, ["src/a.c:1: ", "test/c.h:2: "]), ({
    ".clang-format": "BasedOnStyle: Nobody's\n",
    "src/a.c": "int a;\n",
}, ["clang-format"]))
def check_format(tree):
    """A file is what clang-format makes of it."""
    name, paths = find_formatter(), [source.path for source in tree.files]

    def run(batch):
        done = subprocess.run([name, "--style=file", "--dry-run", "-Werror", *batch], cwd=tree.root, capture_output=True,
                              text=True, check=False)
        first = {}
        for path, line in re.findall(r"^([^\s:]+):(\d+):\d+: error: ", done.stderr, re.M):
            if path in batch:
                first.setdefault(path, line)
        if done.returncode != 0 and not first:
            return [Violation(name, None, done.stderr.strip()[:500])]
        return [Violation(f"{path}:{line}", (path,), f"run {name} -i {path}") for path, line in first.items()]

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for found in pool.map(run, [paths[i:i + BATCH] for i in range(0, len(paths), BATCH)]):
            yield from found
