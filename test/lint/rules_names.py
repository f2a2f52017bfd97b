"""One word, one thing; and a name that says where a thing lives."""

import re

from rule import NUMBER, Violation, rule

TAG = re.compile(r"\b(?:struct|union|enum)\s+(\w+)\s*\{")
ALIASES = "test/lint/names.txt"


@rule("tags", ({
    "src/ml/a.c": "struct run {\n\tint a;\n};\nstruct own { int a; };\n",
    "src/net/b.c": "static enum run { A } r; /* struct own { */\nstruct own *f(struct own *o) {\n\treturn o;\n}\n",
    "test/b.c": "struct own {\n\tint a;\n};\n",
}, ["src/ml/a.c:1: run "]), kind=NUMBER)
def check_tags(tree):
    """No tag of a struct, union or enum is defined in two files of src."""
    places = {}
    for source in tree.src:
        for match in TAG.finditer(source.code):
            places.setdefault(match.group(1), {}).setdefault(source.path, source.place(match.start()))
    for tag, where in sorted(places.items()):
        if len(where) > 1:
            first, *others = where.values()
            yield Violation(first, (tag, str(len(where))), f"{tag} is defined in {', '.join(others)} too")


def is_named_after(name, words):
    return any(name == word or name.startswith(word + "_") for word in words)


@rule("names", ({
    "test/lint/names.txt": "util/buf reader # reads\nutil/buf writer # unneeded\nutil/attic a # gone\n",
    "src/util/buf.h": "#define X(a) a(b)\nstruct buf {\n\tint (*call)(int);\n};\ntypedef int (*buffer)(int);\n"
                      "int buf(void);\nstruct buf *buf_a(struct buf *b,\n\tint (*call)(int));\nint reader_a(void);\n"
                      "int\nbuffer_b(void);\nstatic inline int put(int a)\n{\n\treturn got(a);\n}\nint util_buf_a(void);\n",
    "src/util/buf.c": "int elsewhere(void)\n{\n\treturn 0;\n}\n",
    "src/chain/mempool/admit.h": "void admit_tx(void);\nvoid mempool_admit(void);\nextern const int chain_admit;\n"
                                 "void mempool_admission(void);\n",
}, ["src/chain/mempool/admit.h:4: mempool_admission ", "src/util/buf.h:11: buffer_b ", "src/util/buf.h:12: put ",
    "test/lint/names.txt: util/attic a ", "test/lint/names.txt: util/buf writer "]))
def check_names(tree):
    """What a header offers is named after it (x_do or folder_x_do in folder/x.h), or after an alias in names.txt."""
    aliases = {tuple(line[:2]): False for line in tree.list(ALIASES)}
    for source in tree.headers:
        *folders, name = source.module.split("/")
        words = {name, f"{folders[-1]}_{name}"}
        others = {alias for module, alias in aliases if f"src/{module}" == source.module}
        inline = [(function.name, f"{source.path}:{function.first}") for function in source.functions]
        for function, place in [(n, source.place(at)) for n, at in source.prototypes] + inline:
            if is_named_after(function, words):
                continue
            alias = next((alias for alias in sorted(others) if is_named_after(function, [alias])), None)
            if alias:
                aliases[(source.module[len("src/"):], alias)] = True
            else:
                yield Violation(place, (function,), f"{function} is not named after its module {name}")
    for (module, alias), used in aliases.items():
        if not used:
            yield Violation(ALIASES, None, f"{module} {alias} is not needed any more")


@rule("oneword", ({
    "src/util/a.c": "static int take(void)\n{\n\treturn 0;\n}\n\nstatic inline int run(int a)\n{\n\treturn a;\n}\n"
                    "static int take_a(void)\n{\n\treturn 0;\n}\nint fail(void)\n{\n\treturn 0;\n}\nstatic int later(void);\n",
    "src/util/b.h": "static inline int b(void)\n{\n\treturn 0;\n}\n",
    "test/a.c": "static int take(void)\n{\n\treturn 0;\n}\n",
}, ["src/util/a.c: take, run "]), kind=NUMBER)
def check_oneword(tree):
    """A static function of a .c of src has a name of two words or more, so that a stack trace reads."""
    for source in tree.src:
        names = [function.name for function in source.functions if function.static and "_" not in function.name]
        if names and not source.is_header:
            yield Violation(source.path, (source.path, str(len(names))), f"{', '.join(names)} of one word")
