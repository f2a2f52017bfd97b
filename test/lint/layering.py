#!/usr/bin/env python3
"""Checks what the compiler cannot: layers, names, layout, sizes. Prints TAP.

  layering.py               all rules, tried on made-up trees first (so a rule that no longer finds anything fails too)
  layering.py --list RULE   what breaks one rule, exceptions left out of account: each as a line of exceptions.txt
  layering.py --shrink      takes exceptions that are not needed any more out of exceptions.txt, and conflicts of git too

The rules are in rules_*.py, each with its specimens; exceptions.txt holds what they do not see yet."""

import os
import sys

# The rules put themselves into the list by being loaded.
import rules_doc  # noqa: F401  pylint: disable=unused-import
import rules_layers  # noqa: F401  pylint: disable=unused-import
import rules_names  # noqa: F401  pylint: disable=unused-import
import rules_shape  # noqa: F401  pylint: disable=unused-import
import rules_text  # noqa: F401  pylint: disable=unused-import
from rule import RULES, Skip, judge, try_exceptions, try_rule
from tree import Tree, read_list

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
EXCEPTIONS = os.path.join(HERE, "exceptions.txt")


def exceptions_of(name):
    return [tuple(line[1:]) for line in read_list(EXCEPTIONS) if line[0] == name]


def unneeded_line(name, words, new):
    line = " ".join((name, *words))
    return f"exceptions.txt: {line}: " + ("is not needed any more" if new is None else f"say: {' '.join((name, *new))}")


def check_tree(tree, rule):
    found, unneeded = judge(tree, rule, exceptions_of(rule.name))
    return [str(violation) for violation in found] + [unneeded_line(rule.name, *pair) for pair in sorted(unneeded.items())]


def check_list():
    """Each exception is from a rule there is, and stands once."""
    lines = read_list(EXCEPTIONS)
    return [f"exceptions.txt: {' '.join(line)}: names no rule, or nothing" for line in lines
            if line[0] not in RULES or len(line) < 2] + \
           [f"exceptions.txt: {' '.join(line)}: stands twice" for i, line in enumerate(lines) if line in lines[:i]]


def check_all():
    tree = Tree(ROOT)
    cases = [(f"{rule.name} finds what breaks it", try_rule, (rule,), None) for rule in RULES.values()]
    cases += [("exceptions are outgrown, and shrink", try_exceptions, (), None)]
    cases += [(rule.title, check_tree, (tree, rule), rule.pending) for rule in RULES.values()]
    cases += [("exceptions.txt names rules", check_list, (), None)]
    failed = False
    print(f"1..{len(cases)}")
    for number, (title, check, arguments, skip) in enumerate(cases, 1):
        wrong = []
        try:
            if not skip:
                wrong = list(check(*arguments))
        except Skip as why:
            skip = why
        for line in wrong:
            print(f"# {line}")
        failed |= bool(wrong)
        print(f"{'not ok' if wrong else 'ok'} {number} - {title}{f' # SKIP {skip}' if skip else ''}")
    for rule in RULES.values():
        if rule.figure:
            print(f"# {rule.name}: {rule.figure(tree)}")
    return failed


def list_rule(name):
    if name not in RULES:
        print(f"there is no rule '{name}', but {' '.join(RULES)}", file=sys.stderr)
        return 2
    try:
        for violation in RULES[name].check(Tree(ROOT)):
            print(" ".join((name, *(violation.key or ("-",)))) + f"  # {violation}")
    except Skip as why:
        print(why, file=sys.stderr)
        return 2
    return 0


def shrink():
    """Writes exceptions.txt again: what is needed, once, by rule. What git leaves of a conflict goes too."""
    with open(EXCEPTIONS, encoding="utf-8") as file:
        text = file.read()
    tree, out = Tree(ROOT), [text[:text.index("\n\n") + 1]]
    for rule in RULES.values():
        comments = {tuple(line.split("#")[0].split()): line.partition("#")[2].strip() for line in text.splitlines()}
        kept = {words[1:]: comment for words, comment in comments.items() if len(words) > 1 and words[0] == rule.name}
        try:
            unneeded = judge(tree, rule, list(kept))[1]
        except Skip as why:
            print(f"{rule.name}: {why}", file=sys.stderr)
            unneeded = {}
        for words, new in unneeded.items():
            print(unneeded_line(rule.name, words, new))
            comment = kept.pop(words)
            if new is not None:
                kept[new] = comment
        lines = [" ".join((rule.name, *words)) + (f" # {comment}" if comment else "") for words, comment in kept.items()]
        if lines:
            out.append(f"\n# {rule.check.__doc__.splitlines()[0]}\n" + "".join(f"{line}\n" for line in sorted(lines)))
    with open(EXCEPTIONS, "w", encoding="utf-8") as file:
        file.writelines(out)
    return 0


def main(arguments):
    if not arguments:
        return check_all()
    if arguments == ["--shrink"]:
        return shrink()
    if len(arguments) == 2 and arguments[0] == "--list":
        return list_rule(arguments[1])
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
