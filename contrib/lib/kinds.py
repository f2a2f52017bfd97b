"""Honest texts of twenty kinds, made by small grammars: as many bytes as one likes, other ones for each number.

Two texts of one kind are like two files of one office: the same language, format and names, another content."""

import base64
import random
import struct

SCRIPTS = {  # consonants and vowels that words are made of
    "prose, Latin": ("bcdfghlmnprstvw", "aeiou"),
    "prose, Cyrillic": ("бвгджзклмнпрстфхцчш", "аеиоуыэюя"),
    "prose, Greek": ("βγδζθκλμνξπρστφχψ", "αεηιουω"),
    "prose, Arabic": ("بتثجحخدذرزسشصضطظعغفقكلمنه", "اويىة"),
    "prose, Han": (None, "".join(chr(0x4e00 + i * 23) for i in range(900))),
}


class Kind:
    """What the texts of a kind share, from its name; and one text's chance."""

    def __init__(self, name, number):
        shared = random.Random(name)
        self.chance = random.Random(f"{name} {number}")
        consonants, vowels = SCRIPTS.get(name, SCRIPTS["prose, Latin"])

        def word():
            if consonants is None:
                return "".join(shared.choices(vowels, k=shared.randint(1, 3)))
            return "".join(shared.choice(consonants) + shared.choice(vowels) for _ in range(shared.randint(1, 4)))
        self.vocabulary = [word() for _ in range(3000)]
        self.weights = [1 / (i + 3) for i in range(3000)]
        self.joint = "" if consonants is None else " "

    def words(self, least, most):
        return self.chance.choices(self.vocabulary, self.weights, k=self.chance.randint(least, most))

    def word(self):
        return self.words(1, 1)[0]

    def sentence(self, least=4, most=16):
        return self.joint.join(self.words(least, most)).capitalize() + ("." if self.joint else "。")

    def number(self, most):
        return self.chance.randrange(most)

    def pick(self, *of):
        return self.chance.choice(of)

    def time(self):
        return f"{self.number(24):02}:{self.number(60):02}:{self.number(60):02}"

    def address(self):
        return ".".join(str(self.number(254) + 1) for _ in range(4))


def prose(kind):
    return paragraph(kind) + "\n\n"


def paragraph(kind):
    return " ".join(kind.sentence() for _ in range(kind.number(6) + 2))


def verse(kind):
    return "\n".join(" ".join(kind.words(5, 8)).capitalize() + kind.pick(",", ";", "") for _ in range(4)) + "\n\n"


def c_code(kind):
    a, b, name = kind.word(), kind.word(), "_".join(kind.words(2, 3))
    lines = [f"/* {kind.sentence()} */", f"static {kind.pick('int', 'size_t', 'bool')} {name}(const struct {a} *{b}, int {kind.word()})", "{"]
    for _ in range(kind.number(8) + 2):
        lines.append(kind.pick(f"\tif ({b}->{kind.word()} {kind.pick('<', '==', '>')} {kind.number(999)})\n\t\treturn {kind.word()};",
                               f"\t{b}->{kind.word()} += {'_'.join(kind.words(2, 2))}({a}, {kind.number(99)});",
                               f"\tfor (size_t i = 0; i < {kind.word()}; i++)\n\t\t{kind.word()}[i] = {kind.number(9999)};"))
    return "\n".join(lines) + f"\n\treturn {kind.word()};\n}}\n\n"


def python_code(kind):
    lines = [f"def {'_'.join(kind.words(1, 3))}({', '.join(kind.words(1, 4))}):", f'    """{kind.sentence()}"""']
    for _ in range(kind.number(7) + 2):
        lines.append(kind.pick(f"    {kind.word()} = [{kind.word()}({kind.word()}) for {kind.word()} in {kind.word()}]",
                               f"    if {kind.word()} is not None and {kind.word()} > {kind.number(500)}:\n        raise ValueError('{kind.sentence(3, 6)}')",
                               f"    self.{kind.word()}[{kind.word()!r}] = {kind.word()}.{kind.word()}({kind.number(99)})"))
    return "\n".join(lines) + f"\n    return {kind.word()}\n\n\n"


def json_lines(kind):
    return (f'{{"id": {kind.number(10 ** 7)}, "name": "{kind.word()} {kind.word()}", "tags": ["{kind.word()}", "{kind.word()}"], '
            f'"price": {kind.number(10 ** 5) / 100}, "text": "{kind.sentence(3, 12)}"}}\n')


def table(kind):
    return (f"{kind.number(10 ** 6)},{kind.word()},{kind.word()} {kind.word()},20{kind.number(25):02}-{kind.number(12) + 1:02}-"
            f"{kind.number(28) + 1:02},{kind.number(10 ** 6) / 100},{kind.number(10 ** 9)}\n")


def web_log(kind):
    return (f'{kind.address()} - - [{kind.number(28) + 1:02}/Mar/2026:{kind.time()} +0000] "{kind.pick("GET", "GET", "POST")} '
            f'/{kind.word()}/{kind.word()}?{kind.word()}={kind.number(10 ** 6)} HTTP/1.1" {kind.pick(200, 200, 304, 404)} {kind.number(10 ** 5)} '
            f'"https://{kind.word()}.example/{kind.word()}" "{kind.pick("Mozilla/5.0 (X11; Linux x86_64)", "curl/8.5.0", "Mozilla/5.0 (Macintosh)")}"\n')


def system_log(kind):
    return (f"Mar {kind.number(28) + 1:2} {kind.time()} {kind.word()} {kind.word()}[{kind.number(32768)}]: {kind.sentence(3, 8)} "
            f"{kind.word()}={kind.number(10 ** 8):x}\n")


def dna(kind):
    letters = "".join(kind.chance.choices("ACGT", k=700))
    return f">seq{kind.number(10 ** 6)} {kind.word()}\n" + "\n".join(letters[i:i + 70] for i in range(0, 700, 70)) + "\n"


def music(kind):
    """Events of a sequencer: delta time, status, note, strength."""
    notes = [kind.pick(0, 3, 5, 7, 10) + 36 + 12 * kind.number(4) for _ in range(16)]
    events = b"".join(struct.pack("BBBB", kind.number(96), 0x90 + kind.number(4), note, 40 + kind.number(80)) +
                      struct.pack("BBBB", kind.number(96), 0x80, note, 0) for note in notes)
    return events


def markdown(kind):
    return (f"## {' '.join(kind.words(2, 5)).capitalize()}\n\n{paragraph(kind)}\n\n" +
            "".join(f"- **{kind.word()}**: {kind.sentence(3, 9)}\n" for _ in range(kind.number(5) + 2)) + "\n")


def sql(kind):
    return (f"INSERT INTO `{kind.word()}` (`id`, `{kind.word()}`, `{kind.word()}`) VALUES ({kind.number(10 ** 6)}, '{kind.sentence(2, 8)}', "
            f"{kind.number(10 ** 6)});\n")


def xml(kind):
    return (f'<entry id="{kind.number(10 ** 7)}"><title>{kind.sentence(2, 6)}</title><author>{kind.word()} {kind.word()}</author>'
            f"<updated>20{kind.number(25):02}-{kind.number(12) + 1:02}-{kind.number(28) + 1:02}T{kind.time()}Z</updated>"
            f"<summary>{kind.sentence(6, 20)}</summary></entry>\n")


def html(kind):
    return (f'<div class="{kind.word()}"><h2>{kind.sentence(2, 5)}</h2><p>{paragraph(kind)}</p>'
            f'<a href="/{kind.word()}/{kind.number(9999)}">{kind.word()}</a></div>\n')


def chess(kind):
    moves = " ".join(f"{i}. {kind.pick('e', 'N', 'B', 'Q', 'R', 'c', 'd')}{kind.pick(*'abcdefgh')}{kind.number(8) + 1} "
                     f"{kind.pick('e', 'N', 'B', 'Q', 'R', 'c', 'd')}{kind.pick(*'abcdefgh')}{kind.number(8) + 1}"
                     for i in range(1, kind.number(40) + 15))
    return f'[White "{kind.word()}"]\n[Black "{kind.word()}"]\n[Result "{kind.pick("1-0", "0-1", "1/2-1/2")}"]\n\n{moves}\n\n'


def configuration(kind):
    return f"[{kind.word()}.{kind.word()}]\n" + "".join(
        f"{kind.word()}_{kind.word()} = {kind.pick(kind.number(10 ** 4), kind.word(), 'true', 'false')}\n" for _ in range(6)) + "\n"


def mail(kind):
    return (f"From: {kind.word()}@{kind.word()}.example\nSubject: {kind.sentence(2, 6)}\nDate: {kind.number(28) + 1} Mar 2026 {kind.time()} +0000\n\n"
            f"{paragraph(kind)}\n\n")


def attachment(kind):
    return base64.encodebytes(kind.chance.randbytes(570)).decode()


KINDS = {**{name: prose for name in SCRIPTS}, "verse": verse, "C": c_code, "Python": python_code, "JSON": json_lines, "CSV": table,
         "web log": web_log, "system log": system_log, "DNA": dna, "MIDI-like": music, "Markdown": markdown, "SQL": sql, "XML": xml,
         "HTML": html, "chess": chess, "configuration": configuration, "mail": mail, "base64": attachment}


def text(name, number, size):
    kind, made = Kind(name, number), bytearray()
    while len(made) < size:
        piece = KINDS[name](kind)
        made += piece if isinstance(piece, bytes) else piece.encode()
    return bytes(made[:size])
