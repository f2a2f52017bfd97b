"""What the project publishes: the text of doc/protocol.md, its known answers, and the digests of test/data."""

import os
import re

SOURCE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def section(number):
    with open(os.path.join(SOURCE, "doc", "protocol.md"), encoding="utf-8") as file:
        return re.search(rf"\n## {number}\. .*?(?=\n## |\Z)", file.read(), re.S).group()


def known_answers():
    """Section 18's questions and answers."""
    blocks = re.findall(r"```\n(.*?)```", section(18), re.S)
    return [line.split(" = ") for block in blocks for line in block.splitlines()]


def known_digests():
    """{name: digest} of test/data/digests.txt."""
    with open(os.path.join(SOURCE, "test", "data", "digests.txt"), encoding="ascii") as file:
        return dict(line.split() for line in file if line.strip() and not line.startswith("#"))
