"""The pages of the repository: what they hold for running, and whether what they show can be held to account.

Every fenced block says what it is, and each kind is judged by something: `sh` and `python` blocks are run
(`documents.py`), or say what they need that a test machine has not (`sh needs=systemd`). `rust` is compiled by
`cargo test --doc`. `toml FILE` is added to that file while the page is run; `toml from=FILE` and `cedar from=FILE`
show a part of a file of the repository, and are compared with it. `text` is for looking at alone.
Links lead to files that are there, and to headings that they have; the tests that the threat model names are there.
"""

import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^ *```(?P<language>\w*) ?(?P<info>[^\n]*)\n(?P<text>.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (?P<text>.+)$", re.MULTILINE)
# Which pages' Rust is compiled stands where the compiler is told.
COMPILED = ROOT / "crates" / "sdk" / "src" / "lib.rs"
PROMISES = "docs/threat-model.md"
PROOFS_MIN = 25
# What a block may need that not every machine has. Root and systemd are had by `tests/running/operators.py`, a package
# by `tests/running/package.py`. What measures is run small by `tests/running/benches.py`, what counts instructions by
# `.ci/run`.
NEEDS = ("systemd", "a-package", "benches", "valgrind")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    info: str
    text: str

    def place(self) -> str:
        return f"{self.page}:{self.line}"

    def script(self) -> str:
        """The block as a part of the one script; empty when it is not for running."""
        begin = f"at '{self.place()}'\n"
        match self.language, self.info:
            case "sh", "":
                return begin + self.text
            case "python", "":
                return f"{begin}python - <<'PYTHON_BLOCK'\n{self.text}PYTHON_BLOCK\n"
            case "toml", target if target and not target.startswith("from="):
                return f"{begin}cat >> {target} <<'TOML_BLOCK'\n\n{self.text}TOML_BLOCK\n"
        return ""

    def on_a_machine(self) -> str:
        """The same where there is root, and a systemd of its own."""
        if self.info == "needs=systemd":
            return Block(self.page, self.line, self.language, "", self.text).script()
        return self.script()

    def fault(self, compiled: set[str]) -> str | None:
        """What keeps the block from being judged by anything."""
        source = ROOT / self.info.removeprefix("from=")
        match self.language, self.info:
            case "rust", "" if self.page not in compiled:
                return "is not compiled: name the page in crates/sdk/src/lib.rs"
            case (("toml" | "cedar"), info) if info.startswith("from=") and not self.is_in(source):
                return f"is not what {source.name} says"
        return None if self.is_judged() else f"is of no kind that is judged: `{self.language} {self.info}`"

    def is_judged(self) -> bool:
        """Whether blocks of this kind are run, compiled, compared or only looked at."""
        match self.language:
            case "text" | "python" | "rust":
                return not self.info
            case "sh":
                return not self.info or self.info.removeprefix("needs=") in NEEDS
            case "toml":
                return bool(self.info)
            case "cedar":
                return self.info.startswith("from=")
        return False

    def is_in(self, file: Path) -> bool:
        """Whether the file says this too: its tables, or its very lines."""
        if self.language == "toml":
            return within(tomllib.loads(self.text), tomllib.loads(file.read_text()))
        return self.text in file.read_text()


def within(shown: object, there: object) -> bool:
    """Every key that is shown is there with the same value; of a list's tables each is one of those there."""
    if isinstance(shown, dict) and isinstance(there, dict):
        return all(key in there and within(value, there[key]) for key, value in shown.items())
    if isinstance(shown, list) and isinstance(there, list) and all(isinstance(row, dict) for row in shown):
        return all(any(within(row, other) for other in there) for row in shown)
    return shown == there


def all_pages() -> list[str]:
    """Every page that is part of the repository."""
    return listed("*.md")


def listed(pattern: str) -> list[str]:
    """The files of the repository whose names match."""
    found = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return sorted(name for name in found.stdout.split() if (ROOT / name).exists())


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text()
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["language"], found["info"].strip(), found["text"])


def faults(run: tuple[str, ...]) -> list[str]:
    """What no test answers for, page by page; `run` are the pages that are run."""
    compiled = set(re.findall(r'include_str!\("(?:\.\./)+([^"]+\.md)"\)', COMPILED.read_text()))
    found = []
    for page in all_pages():
        for block in blocks(page):
            if fault := block.fault(compiled):
                found.append(f"{block.place()}: {fault}")
            if block.script() and page not in run:
                found.append(f"{block.place()}: would be run, but the page is not in PAGES")
        found += [f"{page}: {fault}" for fault in dead_links(page)]
    return found + [f"{PROMISES}: {fault}" for fault in missing_proofs()]


def missing_proofs() -> Iterator[str]:
    """Files and tests that the table of promises names and that are not there."""
    table = (ROOT / PROMISES).read_text().partition("\n## What is promised")[2].partition("\n## ")[0]
    files = listed("*.rs")
    for file in set(re.findall(r"`([\w/]+\.rs)`", table)):
        if not any(path == file or path.endswith("/" + file) for path in files):
            yield f"there is no `{file}`"
    sources = "".join((ROOT / path).read_text() for path in files)
    tests = set(re.findall(r"`([a-z0-9]+(?:_[a-z0-9]+){3,})`", table))
    if len(tests) < PROOFS_MIN:
        yield f"only {len(tests)} tests are named"
    yield from (f"there is no test `{test}`" for test in tests if f"fn {test}(" not in sources)


def dead_links(page: str) -> Iterator[str]:
    text = FENCE.sub("", (ROOT / page).read_text())
    for found in LINK.finditer(text):
        target, _, anchor = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (ROOT / page).parent / target if target else ROOT / page
        if not file.exists():
            yield f"`{found['target']}` leads nowhere"
        elif anchor and anchor not in anchors(file):
            yield f"`{found['target']}`: there is no such heading"


def anchors(file: Path) -> set[str]:
    """The headings of a page, as links name them."""
    text = FENCE.sub("", file.read_text())
    plain = (re.sub(r"[^\w\- ]", "", heading["text"].lower()) for heading in HEADING.finditer(text))
    return {heading.replace(" ", "-") for heading in plain}
