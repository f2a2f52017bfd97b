"""Who may know whom: floors, rings of modules, circles of headers."""

import re

from rule import MEMBERS, Violation, rule
from tree import rings

GENERATED = ("config.h",)
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)
FLOORS = "test/lint/floors.txt"


@rule("include", ({
    "test/lint/floors.txt": "util # ground\ncrypto ml\nchain\n",
    "src/util/.may_include": "",
    "src/crypto/.may_include": "util # below\n",
    "src/ml/.may_include": "chain\n",
    "src/ml/kernel/.may_include": "util\n",
    "src/ml/kernel/k.c": '#include "ml/m.h"\n#include "ml/kernel/k.h"\n#include "util/good.h"\n',
    "src/chain/a.h": "",
    "src/attic/a.h": "",
    "src/main.c": '#include "config.h"\n#include "ml/kernel/m.h"\n',
    "src/util/up.c": '#include "crypto/h.h"\n#include "up.h"\n#include <sys/up.h>\n',
    "src/crypto/h.h": '#include "util/good.h"\n',
}, ["src/attic: ", "src/chain: ", "src/ml/.may_include: ", "src/ml/kernel/.may_include: ", "src/ml/kernel/k.c:3: ",
    "src/util/up.c:1: ", "src/util/up.c:2: "]))
def check_include(tree):
    """A folder includes from itself and the floors in its .may_include, which are all below it."""
    level = {folder: number for number, floor in enumerate(tree.list(FLOORS)) for folder in floor}
    allowed = {}
    for folder in tree.folders("src"):
        path = f"src/{folder}/.may_include"
        try:
            allowed[folder] = {line[0] for line in tree.list(path)}
        except FileNotFoundError:
            allowed[folder] = None
        if "/" in folder:
            if allowed.pop(folder) is not None:
                yield Violation(path, None, "only a floor has one")
        elif folder not in level or allowed[folder] is None:
            yield Violation(f"src/{folder}", (f"src/{folder}",), f"is not in {FLOORS}, or has no .may_include")
            allowed[folder] = set()
        else:
            for other in sorted(allowed[folder]):
                if level.get(other, len(level)) >= level[folder]:
                    yield Violation(path, (path,), f"{other} is not below {folder}")
    for source in tree.src:
        for match in INCLUDE.finditer(source.text):
            target, place = match.group(2), source.place(match.start())
            if match.group(1) == "<" or target in GENERATED:
                continue
            if "/" not in target or ".." in target:
                yield Violation(place, (source.path,), f'"{target}" is not rooted at src/')
                continue
            other = target.split("/")[0]
            if source.floor and other != source.floor and other not in allowed[source.floor]:
                yield Violation(place, (source.path,), f"{source.floor} may not include from {other}")


@rule("circle", ({
    "src/util/a.h": '#include "util/b.h"\n',
    "src/util/b.h": '#include "util/deep/c.h"\n',
    "src/util/deep/c.h": '#include "util/a.h"\n#include "util/d.h"\n',
    "src/util/d.h": "",
    "src/util/d.c": '#include "util/a.h"\n',
}, ["src/util/a.h: "]), kind=MEMBERS)
def check_circle(tree):
    """No header includes itself by way of others."""
    includes = {source.path: {f"src/{match.group(2)}" for match in INCLUDE.finditer(source.text)} for source in tree.headers}
    for ring in rings(includes):
        yield Violation(ring[0], ("src", *ring), "includes itself: " + ", ".join(ring))


@rule("ring", ({
    "src/chain/a.h": "int a_do(void);\n",
    "src/chain/a.c": "int a_do(void)\n{\n\treturn b_do(a_table);\n}\n",
    "src/chain/deep/b.c": "int b_do(const struct t *t)\n{\n\treturn c_do(5);\n}\n",
    "src/chain/c.h": "static inline int c_do(int i)\n{\n\treturn i < 0 ? a_do() : i;\n}\n",
    "src/chain/d.c": "static int b_do(void)\n{\n\treturn a_do();\n}\nint d_do(void)\n{\n\treturn e.f_do ? b_do() : 1;\n}\n",
    "src/chain/e.c": "int e_do(void)\n{\n\treturn d_do(); /* not f_do */\n}\n",
    "src/chain/f.h": "int d_do(void);\nint f_do(void);\n",
    "src/chain/f.c": "int f_do(void)\n{\n\treturn e_do();\n}\n",
    "src/net/e.c": "int net_e(void)\n{\n\treturn net_f;\n}\nstatic const int e_table[] = {\n\tnet_f,\n};\n",
    "src/net/f.c": "int net_f(void)\n{\n\treturn net_e();\n}\n",
    "src/ml/g.h": "#define G_MOST h_do\n",
    "src/ml/h.c": "int h_do(void)\n{\n\treturn G_MOST;\n}\n",
}, ["src/chain: a c deep/b", "src/ml: g h", "src/net: e f"]), kind=MEMBERS)
def check_ring(tree):
    """Within a floor, the modules that mention each other's functions form no ring."""
    for floor in sorted({source.floor for source in tree.src if source.floor}):
        sources = [source for source in tree.src if source.floor == floor]
        owner, own = {}, {}
        for source in sources:
            owner.update((name, source.module) for name in source.offers)
            own.setdefault(source.module, set()).update(
                source.offers, *([function.name] for function in source.functions))
        uses = {module: {} for module in own}
        for source in sources:
            for name in sorted(source.mentions - own[source.module]):
                if name in owner:
                    uses[source.module].setdefault(owner[name], name)
        for ring in rings(uses):
            names = [module[len(f"src/{floor}/"):] for module in ring]
            how = "; ".join(f"{one[len(f'src/{floor}/'):]} needs " + ", ".join(sorted(
                uses[one][other] for other in uses[one] if other in ring)) for one in ring)
            yield Violation(f"src/{floor}", (floor, *names), f"{' '.join(names)} lean on each other: {how}")
