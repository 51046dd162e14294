"""Mutants of the library: what `mutants.toml` says, and how it is applied to sources.

A pattern is Rust, compared token by token: spaces, line breaks, comments and trailing commas do not matter. `$name`
stands for one word, the same wherever the name comes again; `$..name` for any tokens, as few as possible, with their
brackets closed, up to the end of the statement. The replacement is Rust, and may use the same names.

A function is named by the end of its path, such as `Cell::admit` or `step::admit`.
"""

import re
import sys
import tomllib
from pathlib import Path

sys.dont_write_bytecode = True

FILE = Path(__file__).with_name("mutants.toml")

TOKEN = re.compile(
    r"""(?P<skip>\s+|//[^\n]*)
    |(?P<block>/\*)
    |(?P<token>
        b?r(?P<hashes>\#*)"(?s:.*?)"(?P=hashes)
        |[bc]?"(?:\\.|[^"\\])*"
        |b?'(?:\\(?:u\{[^}]*\}|x..|.)|[^'\\])'
        |'\w+
        |\$\.\.\w+|\$\w+
        |(?:r\#)?[A-Za-z_]\w*
        |\d(?:[\w]|\.\d)*
        |.
    )""",
    re.VERBOSE | re.DOTALL,
)
CLOSING = {"(": ")", "[": "]", "{": "}"}


class Misfit(Exception):
    """A mutant that does not apply."""


def block_comment_end(text, at):
    depth = 0
    for mark in re.compile(r"/\*|\*/").finditer(text, at):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return mark.end()
    return len(text)


def tokens(text):
    """Triples of token, start and end, without comments and trailing commas."""
    found, at = [], 0
    while at < len(text):
        match = TOKEN.match(text, at)
        at = match.end()
        if match["block"]:
            at = block_comment_end(text, match.start())
        elif match["token"]:
            if found and found[-1][0] == "," and match[0] in CLOSING.values():
                found.pop()
            found.append((match[0], match.start(), match.end()))
    return found


def closing(found, at):
    """The index of the bracket that closes the one at `at`."""
    depth = 0
    for index in range(at, len(found)):
        token = found[index][0]
        depth += (token in CLOSING) - (token in CLOSING.values())
        if depth == 0:
            return index
    raise Misfit(f"a bracket is not closed: {found[at][0]}")


def self_type(header):
    """The name of the type of an `impl`, from the tokens up to its brace."""
    depth, name = 0, ""
    for before, token in zip(["", *header], header):
        if token == "where" and depth == 0:
            break
        depth += (token == "<") - (token == ">" and before != "-")
        if depth == 0 and re.match(r"[A-Za-z_]", token):
            name = "" if token == "for" else token
    return name


def functions(text, module):
    """Pairs of a function's path and its range in `text`, from `fn` to the closing brace."""
    found = tokens(text)
    scopes = []  # pairs of the index where a scope ends, and its name
    for index, (token, start, _) in enumerate(found):
        scopes = [scope for scope in scopes if scope[0] >= index]
        if token not in ("mod", "impl", "trait", "fn") or index + 1 == len(found):
            continue
        brace = index
        while brace < len(found) and found[brace][0] not in ("{", ";"):
            brace = closing(found, brace) + 1 if found[brace][0] in "([" else brace + 1
        if brace >= len(found) or found[brace][0] == ";" or token == "fn" and found[index + 1][0] == "(":
            continue
        header = [token for token, *_ in found[index + 1 : brace]]
        end = closing(found, brace)
        name = self_type(header) if token == "impl" else header[0]
        path = [*module, *(scope for _, scope in scopes), name]
        if token == "fn":
            yield "::".join(path), (start, found[end][2])
        scopes.append((end, name))


def matched(pattern, found, at, names):
    """Where a match of `pattern` at `at` ends, and the names in it; `None` if there is none."""
    if not pattern:
        return at, names
    first, rest = pattern[0], pattern[1:]
    if first.startswith("$.."):
        end = at
        while end <= len(found):
            if match := matched(rest, found, end, names | {first: (at, end)}):
                return match
            if end == len(found) or found[end][0] in (";", *CLOSING.values()):
                return None
            end = closing(found, end) + 1 if found[end][0] in CLOSING else end + 1
        return None
    if at == len(found):
        return None
    if first.startswith("$"):
        known = names.get(first, (at, at + 1))
        if found[known[0]][0] != found[at][0] or not re.match(r"['\"\w]", found[at][0]):
            return None
        return matched(rest, found, at + 1, names | {first: known})
    return matched(rest, found, at + 1, names) if found[at][0] == first else None


class Change:
    """A replacement within one function."""

    def __init__(self, entry):
        self.function, self.find, self.put = entry["in"], entry["find"].strip(), entry["put"].strip()
        self.times = entry.get("times", 1)
        self.pattern = [token for token, *_ in tokens(self.find)]

    def apply(self, sources):
        """The names of the files that it changes in `sources`, a map from path to text."""
        changes, is_there = [], False
        for path, text in sources.items():
            # Most files do not have the function, and need not be read.
            if f"fn {self.function.split('::')[-1]}" not in text:
                continue
            for name, (start, end) in functions(text, module_of(path)):
                if f"::{name}".endswith(f"::{self.function}"):
                    is_there = True
                    changes += ((path, start + first, start + last, put) for first, last, put in self.places(text[start:end]))
        if len(changes) != self.times:
            what = f"matches {len(changes)} times instead of {self.times}:\n{self.find}" if is_there else "is not there"
            raise Misfit(f"{self.function}: {what}")
        for path, start, end, put in reversed(changes):
            sources[path] = sources[path][:start] + put + sources[path][end:]
        return {path for path, *_ in changes}

    def places(self, text):
        found = tokens(text)
        at = 0
        while at < len(found):
            match = matched(self.pattern, found, at, {})
            if match is None or match[0] == at:
                at += 1
                continue
            end, names = match
            yield found[at][1], found[end - 1][2], self.replacement(text, found, names)
            at = end

    def replacement(self, text, found, names):
        def source(name):
            if name[0] not in names:
                raise Misfit(f"{self.function}: {name[0]} is not in the pattern")
            start, end = names[name[0]]
            return text[found[start][1] : found[end - 1][2]] if end > start else ""

        return re.sub(r"\$(?:\.\.)?\w+", source, self.put)


def module_of(path):
    """The modules of a file below `src`."""
    parts = list(Path(path).with_suffix("").parts)
    return parts[:-1] if parts[-1] in ("mod", "lib") else parts


class Mutant:
    def __init__(self, name, entry):
        self.name, self.wrong, self.models = name, entry["wrong"], entry["models"]
        self.changes = [Change(change) for change in entry.get("changes", [entry])]

    def applied(self, sources):
        """The changed files: a map from path below `src` to text."""
        sources = dict(sources)
        try:
            changed = set().union(*[change.apply(sources) for change in self.changes])
        except Misfit as misfit:
            raise Misfit(f"{self.name}: {misfit}") from None
        return {path: sources[path] for path in changed}

    def models_in(self, file):
        return [model for model in self.models if model.split("::")[0] == file]


def read_mutants():
    return {name: Mutant(name, entry) for name, entry in tomllib.loads(FILE.read_text()).items()}


def read_sources(root):
    """The texts of the library by path below `src`, without the files of tests."""
    paths = sorted((root / "src").rglob("*.rs"))
    return {str(path.relative_to(root / "src")): path.read_text() for path in paths if path.stem != "tests"}


def models_of_files(root):
    """The loom models, as `file::name`, by file."""
    paths = sorted((root / "loom-tests/tests").glob("*.rs"))
    return {path.stem: [f"{path.stem}::{name}" for name in re.findall(r"(?m)^#\[test\]\nfn (\w+)", path.read_text())]
            for path in paths}
