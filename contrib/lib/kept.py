"""Results of experiments in one JSON file, an experiment a line, so that a change can be read and a stopped run goes on."""
import json
import os


def load(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def save(path, results, order=()):
    """Those of `order` first, in that order; then the others in theirs."""
    names = [name for name in order if name in results] + [name for name in results if name not in order]
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.write("{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(results[name])}" for name in names) + "\n}\n")
    os.replace(path + ".new", path)
