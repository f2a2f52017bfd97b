"""Rooms one can overlook: how long a file and a function are, how full a folder is."""

import collections
import os

from rule import NUMBER, Violation, rule

FILE_LINES, FUNCTION_LINES, FOLDER_FILES, NODE_LINES = 900, 60, 15, 700


@rule("size", ({
    "src/util/short.c": "\n" * FILE_LINES,
    "src/util/long.c": "\n" * (FILE_LINES + 1),
    "test/long.c": "\n" * (FILE_LINES + 1),
}, ["src/util/long.c: "]))
def check_size(tree):
    """No file of src grows beyond what one can read: 900 lines."""
    for source in tree.src:
        if source.text.count("\n") > FILE_LINES:
            yield Violation(source.path, (source.path,), f"has more than {FILE_LINES} lines")


@rule("function", ({
    "src/util/a.c": "static int\nlong_one(struct a *a,\n\tint (*call)(int))\n{" + "\n" * (FUNCTION_LINES - 1) + "}\n"
                    "int good_one(void)\n{" + "\n" * (FUNCTION_LINES - 2) + "}\n",
    "test/a.h": "__attribute__((format(printf, 1, 2))) static inline void long_two(void)\n{\n\tif (1) {\n#if X\n\t}" +
                "\n" * (FUNCTION_LINES) + "}\n",
}, ["src/util/a.c:2: long_one ", "test/a.h:1: long_two "]))
def check_function(tree):
    """No function is longer than 60 lines, from its name to its closing brace."""
    for source in tree.files:
        for function in source.functions:
            lines = function.last - function.first + 1
            if lines > FUNCTION_LINES:
                yield Violation(f"{source.path}:{function.first}", (source.path, function.name),
                                f"{function.name} has {lines} lines")


@rule("folder", ({
    **{f"src/util/a{i}.c": "" for i in range(FOLDER_FILES)},
    **{f"src/util/a{i}.h": "" for i in range(FOLDER_FILES)},
    **{f"src/util/deep/a{i}.c": "" for i in range(FOLDER_FILES)},
    **{f"test/unit/a{i}.c": "" for i in range(FOLDER_FILES + 1)},
}, ["test/unit: 16 "]), kind=NUMBER)
def check_folder(tree):
    """No folder holds more than 15 .c files, those of its own folders aside."""
    count = collections.Counter(os.path.dirname(source.path) for source in tree.files if not source.is_header)
    for folder, files in sorted(count.items()):
        if files > FOLDER_FILES:
            yield Violation(folder, (folder, str(files)), f"{files} .c files, more than {FOLDER_FILES}")


@rule("node", ({
    "src/node/a.c": "\n" * NODE_LINES,
    "src/node/a.h": "\n",
}, ["src/node: 701 "]), ({"src/node/a.c": "\n" * NODE_LINES, "src/net/a.c": "\n"}, []), kind=NUMBER)
def check_node(tree):
    """src/node opens, loops and closes, in 700 lines."""
    lines = sum(source.text.count("\n") for source in tree.src if source.floor == "node")
    if lines > NODE_LINES:
        yield Violation("src/node", ("src/node", str(lines)), f"{lines} lines, more than {NODE_LINES}")
