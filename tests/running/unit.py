"""The unit as systemd reads it: it loads without a word, exposes little, and lets locumd work.

The third is what the first two cannot tell: locumd runs under strace while the whole story is told to
it, is reloaded and stopped, and every system call that it made has to be one that the unit lets pass.
Each check is also made on a unit that is wrong, which it has to find.
"""

import argparse
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))

from installation import install  # noqa: E402
from stage import Locumd, tell  # noqa: E402

UNIT = ROOT / "deploy" / "systemd" / "locumd.service"
EXPOSURE_MAX = 1.9
# What systemd 252 lets pass whatever the unit says (systemd.exec(5), SystemCallFilter=).
IMPLICIT = {"execve", "exit", "exit_group", "getrlimit", "rt_sigreturn", "clock_nanosleep", "nanosleep"}
RELOAD_SECONDS = 20

Problems = list[str]


class Systemd:
    """`systemd-analyze` on a root of its own that holds our unit and those that systemd brings."""

    def __init__(self, analyze: Path, units: Path, root: Path) -> None:
        self.analyze = analyze
        self.root = root
        shutil.copytree(units, root / "usr/lib/systemd/system", symlinks=True)
        for program in ("usr/bin/locumd", "bin/kill"):
            (root / program).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy("/bin/true", root / program)

    def verify(self, unit: str) -> Problems:
        """What it says about the unit; some mistakes are told and still end with 0."""
        done = self._run(unit, "verify", "--man=no", "locumd.service")
        said = (done.stdout + done.stderr).splitlines()
        return said or ([f"exit code {done.returncode}"] if done.returncode else [])

    def security(self, unit: str) -> Problems:
        done = self._run(unit, "security", "--offline=true", f"--threshold={EXPOSURE_MAX * 10:.0f}", "locumd.service")
        verdict = [line for line in done.stdout.splitlines() if "Overall exposure level" in line]
        if len(verdict) != 1:
            return [f"no verdict: {done.stderr}"]
        print(verdict[0].strip("→ "))
        return verdict if done.returncode else []

    def filter(self, unit: str) -> set[str]:
        """The system calls that the unit lets pass."""
        sets = self._sets()
        passed: set[str] = set()
        for line in re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE):
            refused = line.startswith("~")
            for word in line.removeprefix("~").split():
                named = set(_members(word, sets))
                passed = passed - named if refused else passed | named
        return passed | IMPLICIT

    def _sets(self) -> dict[str, list[str]]:
        shown = subprocess.run([self.analyze, "syscall-filter"], capture_output=True, text=True, check=True).stdout
        sets: dict[str, list[str]] = {}
        members: list[str] = []
        for line in shown.splitlines():
            if line.startswith("@"):
                members = sets.setdefault(line.strip(), [])
            elif line.startswith("    ") and not line.strip().startswith("#"):
                members.append(line.strip())
            elif not line.strip():
                members = []
        return sets

    def _run(self, unit: str, verb: str, *arguments: str) -> subprocess.CompletedProcess:
        (self.root / "usr/lib/systemd/system/locumd.service").write_text(unit)
        command = [self.analyze, verb, f"--root={self.root}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def _members(word: str, sets: dict[str, list[str]]) -> Iterator[str]:
    if not word.startswith("@"):
        yield word
        return
    for member in sets[word]:
        yield from _members(member, sets)


# SQLite gives its files to the folder's owner when it runs as root, as tests may; the unit's user is none.
MADE_BY_ROOT = {"fchown"} if os.geteuid() == 0 else set()


def calls_made(strace: Path, locumd: Path, folder: Path) -> set[str]:
    """The system calls of a whole life of locumd: start, story, reload, stop."""
    settings = install(folder / "locum")
    # A collector that is not there: what it takes to look for one is called all the same.
    traced = '[telemetry]\notlp = "http://localhost:9"\n'
    settings.write_text(settings.read_text().replace("[telemetry]\n", traced))
    trace = folder / "trace"
    process = Locumd(locumd, settings, [strace, "-f", "-qq", "-e", "trace=all", "-o", trace])
    told = tell(folder / "locum", process.listening())
    # strace passes no signal on: the very process is the one that it started.
    children = Path(f"/proc/{process.process.pid}/task/{process.process.pid}/children")
    (pid,) = (int(child) for child in children.read_text().split())
    os.kill(pid, signal.SIGHUP)
    until = time.monotonic() + RELOAD_SECONDS
    while not any('"reloaded"' in line for line in process.lines) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(pid, signal.SIGTERM)
    ended = process.process.wait(RELOAD_SECONDS)
    if told or ended or not any('"reloaded"' in line for line in process.lines):
        raise SystemExit(f"under strace the story ended with {told}, locumd with {ended}")
    # `123 read(3, …`, `123 <... read resumed>`; signals and exits begin with --- and +++.
    return set(re.findall(r"^\d+ +(?:<\.\.\. )?([a-z_0-9]+)(?:\(| resumed)", trace.read_text(), re.MULTILINE))


def found(systemd: Systemd, made: set[str]) -> Problems:
    unit = UNIT.read_text()
    problems = [f"systemd-analyze verify: {line}" for line in systemd.verify(unit)]
    problems += [f"systemd-analyze security: {line}" for line in systemd.security(unit)]
    refused = made - systemd.filter(unit) - MADE_BY_ROOT
    problems += [f"the unit refuses `{call}`, which locumd makes" for call in sorted(refused)]
    print(f"{len(made)} kinds of system calls, {len(systemd.filter(unit))} pass")
    problems += must_find("verify", systemd.verify, unit, "ProtectHome=yes", "ProtectHoome=yes")
    problems += must_find("verify", systemd.verify, unit, "/usr/bin/locumd", "/usr/bin/locumdd")
    problems += must_find("security", systemd.security, unit, "CapabilityBoundingSet=\n", "")
    narrow = unit.replace("SystemCallFilter=~", "SystemCallFilter=~@sync ")
    if not made - systemd.filter(narrow):
        problems.append("a filter without @sync would do: the story reaches no journal")
    return problems


def must_find(name: str, check: Callable[[str], Problems], unit: str, right: str, wrong: str) -> Problems:
    if right not in unit:
        return [f"the unit no longer says {right!r}"]
    return [] if check(unit.replace(right, wrong)) else [f"{name} does not find {wrong!r}"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("systemd-analyze", "units", "strace", "locumd"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="locum-unit-") as name:
        folder = Path(name)
        made = calls_made(told.strace, told.locumd, folder)
        problems = found(Systemd(told.systemd_analyze, told.units, folder / "root"), made)
    print(*(problems or ["the unit holds"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
