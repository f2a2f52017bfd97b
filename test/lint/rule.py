"""What a rule is, and what an exception from it is.

A rule is a function that is given a tree and yields violations. It comes with specimens: made-up trees and what it finds
in them, so that a rule that no longer finds anything fails.

An exception is a line of exceptions.txt: the rule's name and the violation's key. How the two compare, and when the line
is not needed any more, is the rule's kind:

  EXACT    the same words
  MEMBERS  a word, then names: the violation has no others (a ring that lost a file has a shorter line)
  NUMBER   words, then a number that is not exceeded (and is lowered when the truth is a tenth below it)"""

import dataclasses
import os
import tempfile

from tree import Tree

RULES = {}
SLACK = 0.9


class Skip(Exception):
    """A rule cannot be checked here: why."""


@dataclasses.dataclass(frozen=True)
class Violation:
    place: str  # path, or path:line
    key: tuple  # what an exception names; None: there is no exception from this
    why: str

    def __str__(self):
        return f"{self.place}: {self.why}"


class EXACT:
    @staticmethod
    def excuses(words, key):
        return words == key

    @staticmethod
    def shrunk(words, keys):
        return words if keys else None


class MEMBERS:
    @staticmethod
    def excuses(words, key):
        return words[0] == key[0] and set(key[1:]) <= set(words[1:])

    @staticmethod
    def shrunk(words, keys):
        left = {member for key in keys for member in key[1:]}
        return tuple(word for word in words if word in left or word == words[0]) if left else None


class NUMBER:
    @staticmethod
    def excuses(words, key):
        return words[:-1] == key[:-1] and int(key[-1]) <= int(words[-1])

    @staticmethod
    def shrunk(words, keys):
        if not keys:
            return None
        most = max(keys, key=lambda key: int(key[-1]))
        return most if int(most[-1]) < SLACK * int(words[-1]) else words


@dataclasses.dataclass
class Rule:
    name: str
    check: object
    kind: type
    specimens: list  # of ({path: text}, [what is found begins with])
    figure: object  # a function of the tree whose text is printed beside the verdict
    pending: str  # why the tree need not hold it yet

    @property
    def title(self):
        return f"{self.name}: {self.check.__doc__.splitlines()[0]}"


def rule(name, *specimens, kind=EXACT, figure=None, pending=None):
    """Makes a function a rule."""
    def register(check):
        assert name not in RULES and check.__doc__
        RULES[name] = Rule(name, check, kind, list(specimens), figure, pending)
        return check
    return register


def judge(tree, of, exceptions):
    """(violations that no exception excuses, {exception: what it should be, or None}) of a rule."""
    excused, found = {words: [] for words in exceptions}, []
    for violation in of.check(tree):
        words = next((e for e in exceptions if violation.key and of.kind.excuses(e, violation.key)), None)
        if words:
            excused[words].append(violation.key)
        else:
            found.append(violation)
    shrunk = {words: of.kind.shrunk(words, keys) for words, keys in excused.items()}
    return found, {words: new for words, new in shrunk.items() if words != new}


def grown(files):
    """A made-up tree, as a folder."""
    root = tempfile.TemporaryDirectory()
    for path, text in {"src/.may_include": "", **files}.items():
        os.makedirs(os.path.dirname(os.path.join(root.name, path)), exist_ok=True)
        with open(os.path.join(root.name, path), "w", encoding="utf-8", newline="") as file:
            file.write(text)
    return root


def try_rule(of):
    """What is wrong with a rule: it finds exactly what its specimens say, and nothing that an exception names; an
    exception from nothing is found too."""
    if not any(expected for _, expected in of.specimens):
        yield f"the rule '{of.name}' has no specimen of what breaks it"
    for files, expected in of.specimens:
        with grown(files) as root:
            tree = Tree(root)
            found, _ = judge(tree, of, [])
            texts = sorted(str(violation) for violation in found)
            if len(texts) != len(expected) or not all(t.startswith(e) for t, e in zip(texts, sorted(expected))):
                yield f"the rule '{of.name}' should find {sorted(expected)}, but finds {texts}"
            keys = sorted({violation.key for violation in found if violation.key})
            nothing = tuple("1000000" if word.isdigit() else "nothing" for word in keys[0]) if keys else ("nothing", "1")
            left, unneeded = judge(tree, of, [*keys, nothing])
            if any(violation.key for violation in left):
                yield f"an exception from the rule '{of.name}' does not excuse: {left}"
            if unneeded != {nothing: None}:
                yield f"an exception that the rule '{of.name}' does not need should be found, and is not: {unneeded}"


def try_exceptions():
    """What is wrong with the kinds of exceptions: each is outgrown, and shrinks."""
    ring, many = ("chain", "a", "b", "c"), ("src/a.c", "20")
    for kind, words, key, excused, shrunk in (
            (EXACT, many, many, True, many),
            (EXACT, many, ("src/a.c", "19"), False, None),
            (MEMBERS, ring, ring, True, ring),
            (MEMBERS, ring, ("chain", "a", "b"), True, ("chain", "a", "b")),
            (MEMBERS, ring, ("chain", "a", "d"), False, None),
            (MEMBERS, ring, ("net", "a", "b"), False, None),
            (NUMBER, many, many, True, many),
            (NUMBER, many, ("src/a.c", "18"), True, many),
            (NUMBER, many, ("src/a.c", "17"), True, ("src/a.c", "17")),
            (NUMBER, many, ("src/a.c", "21"), False, None),
            (NUMBER, many, ("src/b.c", "20"), False, None)):
        if kind.excuses(words, key) != excused or kind.shrunk(words, [key] if excused else []) != shrunk:
            yield f"{kind.__name__}: {' '.join(words)} is wrong about {' '.join(key)}"
    if not list(try_rule(Rule("empty", lambda tree: [], EXACT, [({}, [])], None, None))):
        yield "a rule without a specimen passes"
