#!/usr/bin/env python3
"""Whatever git tracks is in the tarball that `make dist` makes, but for what is git's and the CI service's own."""

import os
import subprocess
import sys

NOT_SHIPPED = (".gitignore", ".gitattributes", ".ci/")
BUILD = os.environ.get("ATELIER_BUILDDIR", ".")
SOURCE = os.environ.get("ATELIER_SRCDIR", os.path.join(os.path.dirname(__file__), "..", ".."))


def lines_of(*command):
    # Not as a part of the make that runs this.
    environment = {name: value for name, value in os.environ.items() if "MAKE" not in name and name != "MFLAGS"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout.split()


def main():
    if not os.path.exists(os.path.join(SOURCE, ".git")):
        print("1..0 # SKIP this is no checkout: there is nothing to compare with")
        return 0
    print("1..1")
    # A name is below the source folder, unless it leads there, from the build folder or from the root.
    shipped = {os.path.relpath(os.path.join(BUILD, path), SOURCE) if path.startswith(("../", "/")) else os.path.normpath(path)
               for path in lines_of("make", "-s", "-C", BUILD, "print-dist")}
    tracked = lines_of("git", "-C", SOURCE, "ls-files")
    missing = [path for path in tracked if not path.startswith(NOT_SHIPPED) and path not in shipped and
               not any(path.startswith(folder + "/") for folder in shipped)]
    for path in missing:
        print(f"# not in the tarball: {path} (name it in the EXTRA_DIST of its folder's module.am)")
    print(f"{'not ok' if missing else 'ok'} 1 - every tracked file is in the tarball")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
