"""Test cases that print TAP.

A test file defines functions and ends with `tap.main(first, second, ...)`. A function is one case; its docstring is its
name. It passes unless it raises; `raise tap.Skip(reason)` says that it cannot run here.
"""

import contextlib
import os
import sys
import traceback

from . import node


class Skip(Exception):
    """The case cannot run on this machine; the message says why."""


def comment(text):
    for line in text.rstrip("\n").split("\n"):
        print(f"# {line}")


def run_case(number, case):
    name = (case.__doc__ or case.__name__).strip().split("\n")[0].rstrip(".")
    try:
        case()
    except Skip as why:
        print(f"ok {number} - {name} # SKIP {why}", flush=True)
        return True
    except Exception:  # a test may fail in any way, and the next ones still count
        print(f"not ok {number} - {name}")
        comment(traceback.format_exc())
        comment(node.last_words())
        sys.stdout.flush()
        return False
    finally:
        node.end_all()
    print(f"ok {number} - {name}", flush=True)
    return True


def main(*cases):
    if not os.access(node.daemon_path(), os.X_OK):
        print("1..0 # SKIP atelierd has not been built")
        return
    wanted = sys.argv[1:]
    cases = [case for case in cases if not wanted or case.__name__ in wanted]
    print(f"1..{len(cases)}", flush=True)
    good = [run_case(number, case) for number, case in enumerate(cases, 1)]
    sys.exit(0 if all(good) else 1)


def equal(found, expected, what="value"):
    if found != expected:
        raise AssertionError(f"{what}: expected {expected!r}, found {found!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


@contextlib.contextmanager
def raises(code, text=""):
    """The RPC call inside must fail with this code and a message that contains the text."""
    try:
        yield
    except node.RpcError as error:
        equal(error.code, code, f"code of the error '{error}'")
        true(text in str(error), f"'{text}' is not in the error '{error}'")
        return
    raise AssertionError(f"the call succeeded where error {code} was expected")
