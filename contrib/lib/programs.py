"""What is compared: atelier-bench, and PyTorch in a process of its own (pytorch_llama.py)."""
import json
import os
import subprocess
import sys

WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pytorch_llama.py")


class Failure(Exception):
    """Something the person at the terminal should read; no traceback."""


class PyTorch:
    """The worker: a process that holds the model and does what it is told."""

    def __init__(self, start, threads, kernels):
        # Threads that wait by spinning are in each other's way where a machine lends its cores by shares. The kernels of
        # atelier-bench: left alone OpenBLAS may take the processor for a much older one (src/ml/kernel/engine.c).
        environment = {**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **({"OPENBLAS_CORETYPE": kernels} if kernels else {})}
        for library in ("OMP", "OPENBLAS", "BLIS", "MKL"):
            environment[f"{library}_NUM_THREADS"] = str(threads)
        self.process = subprocess.Popen([sys.executable, WORKER, start, str(threads)], env=environment, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.about = self.answer()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Failure("The PyTorch process ended.")
        return json.loads(line)

    def ask(self, task):
        self.process.stdin.write(task + "\n")
        self.process.stdin.flush()
        return self.answer()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.process.stdin.close()
        self.process.wait()


class Bench:
    """atelier-bench with options that all its commands get."""

    def __init__(self, path, *options):
        self.path, self.options = path, options

    def begin(self, *arguments):
        try:
            return subprocess.Popen([self.path, *arguments, *self.options], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        except OSError as error:
            raise Failure(f"{self.path} cannot be run ({error.strerror}); build it, or name it with -bench.") from error

    def run(self, *arguments):
        """What it prints."""
        process = self.begin(*arguments)
        out, errors = process.communicate()
        if process.returncode != 0:
            raise Failure(errors.decode().strip())
        return out

    def lines(self, *arguments):
        """Its lines of JSON, as they come."""
        process = self.begin(*arguments, "-json")
        try:
            yield from map(json.loads, process.stdout)
            errors = process.stderr.read()
            if process.wait() != 0:
                raise Failure(errors.decode().strip())
        finally:
            process.kill()
            process.communicate()

    def kernels(self):
        """OpenBLAS's name of those that it multiplies with; "" if it is another BLAS."""
        return next(self.lines("encode", "-engine=openblas", "-rounds=1"))["kernels"]

    def available(self, engine):
        """Whether it has that engine; if not, says why."""
        try:
            self.run("encode", f"-engine={engine}", "-rounds=1")
            return True
        except Failure as failure:
            print(f"{engine} is left out: {failure}")
            return False
