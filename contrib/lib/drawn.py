"""What `atelier-bench train` draws and cuts (src/bench/train.c), from its own draws in test/reference: so that another training starts
from the same weights, learns the same text, and is judged by the same windows."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "test"))
from reference.draws import BENCHMARK, WINDOW, draw_window, step_window
from reference.hashing import sha256
from reference.model import Model, drawn_theta

VALIDATION_ROWS = 128


def key_of(seed, what, number):
    return sha256(f"atelier train {seed} {what} {number}".encode())


def cut(text, bench_bytes):
    """What is learned, the benchmark, and what is kept for validation."""
    kept = len(text) // 10 * 9
    return text[:kept - bench_bytes], text[kept - bench_bytes:kept], text[kept:]


def validation(rest, ctx):
    return [draw_window(bytes(32), BENCHMARK, index, rest, ctx) for index in range(VALIDATION_ROWS)]


def layout(sizes):
    return Model(*(sizes[name] for name in ("d", "layers", "heads", "ff", "ctx")))


def initial(sizes, seed):
    return drawn_theta(layout(sizes), key_of(seed, "initial", 0))


def step_windows(ticket, key, sizes, learned):
    return [step_window(ticket, key, sizes["slots"], index, learned, sizes["ctx"])
            for index in range(sizes["iterations"] * sizes["batch"])]


def adamw_step(seed, number, sizes, learned):
    """The windows of a step, as -mode=adamw draws them."""
    ticket, key = key_of(seed, "block", number // (sizes["k"] + 1)), key_of(seed, "step", number)
    return step_windows(ticket, key, sizes, learned)


def uniform(seed, count, sizes, learned):
    """Windows from any offset of all that is learned, as who owes nobody a proof would draw them."""
    key = key_of(seed, "uniform", 0)
    return [draw_window(key, WINDOW, index, learned, sizes["ctx"]) for index in range(count)]
