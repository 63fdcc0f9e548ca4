"""Runs what the page about performance says, as a smoke run: every bench to its end, every answer judged.

Each command of the page is run as it is written with `--smoke` behind it: tiny tables, no optimisation. What the
figures come to means nothing here. What counts is that no program fails, that every row that the page shows is still
measured, that `--json` is one array, and that `--record` writes the table between the markers of the page, the curves
and the baseline, into a folder of its own and not into the tree. Rows beside a peer that cannot be had are passed over.
"""

import argparse
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "foreign"))
from pages import ROOT, blocks

PAGE = "docs/performance/README.md"
BASELINE = "benches/baseline/figures.json"
NEEDS = "needs=benches"
MARKERS = ("<!-- figures: written by benches/run --record -->", "<!-- end of figures -->")
CURVES = ("check_in_process.svg", "check_served.svg", "connections.svg", "revoke.svg")
PEERS = ("Redis", "PostgreSQL", "oidc-provider", "OpenBao", "NATS")
NUMBER = re.compile(r"\d[\d.,]*")
# Smoke runs have a size of their own: with it and without it they are one run.
SIZE = "--quick"
# Far more than a run takes: the machine may be busy, and peers are installed first.
SECONDS_MAX = 900


def commands() -> list[list[str]]:
    """What the page has its readers type, without the comments; of those that are one smoke run, the last."""
    text = "".join(block.text for block in blocks(PAGE) if block.info == NEEDS)
    written = [shlex.split(line, comments=True) for line in text.splitlines()]
    runs = {tuple(word for word in command if word != SIZE): command for command in written}
    return list(runs.values())


def rows(shown: str) -> dict[tuple[str, str], dict]:
    """The rows of a JSON array by what they are about, whatever the sizes of the run."""
    found = {}
    for row in json.loads(shown):
        number, _, what = row["row"].partition(". ")
        found[f"{number}. {NUMBER.sub('N', what)}", NUMBER.sub("N", row["alternative"])] = row
    return found


def missing(measured: dict, shown: dict, said: str) -> list[str]:
    """Rows that are shown and not measured, but for those beside a peer that is not here or broke."""
    gone = {peer for peer in PEERS if f"{peer} cannot be installed here" in said}
    peer = ""
    for line in said.splitlines():
        step = line.removeprefix("   … ")
        peer = next((name for name in PEERS if step.startswith(name)), peer)
        if step.startswith("it broke") or " broke in its turn" in step:
            gone.add(peer)
    if gone:
        print(f"passed over: {', '.join(sorted(gone))}")
    beside_the_gone = tuple(gone)
    whats = {what for what, _ in measured}
    return [
        f"{what}, beside {beside or 'nothing'}"
        for what, beside in shown
        if (what, beside) not in measured
        and not (beside_the_gone and beside.startswith(beside_the_gone))
        or (beside.startswith("NATS") and what not in whats)
    ]


def run(command: list[str]) -> tuple[str, str]:
    """Runs it in the root; what it shows and what it says. Fails when it fails."""
    began = time.monotonic()
    done = subprocess.run(
        [*command, "--smoke"], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS_MAX, check=False
    )
    print(f"{shlex.join(command)} --smoke: {done.returncode} in {time.monotonic() - began:.0f} s", flush=True)
    if done.returncode != 0:
        sys.exit(done.stderr + done.stdout)
    if "THE FIGURES MEAN NOTHING" not in done.stderr:
        sys.exit("it does not say that its figures mean nothing")
    return done.stdout, done.stderr


def recorded(root: Path, said: str) -> list[str]:
    """What is wrong with what `--record` wrote below `root`."""
    faults = []
    page, before = (root / PAGE).read_text(), (ROOT / PAGE).read_text()
    (above, table, below), (above_before, _, below_before) = (between(text) for text in (page, before))
    if (above, below) != (above_before, below_before):
        faults.append("recording changed the page outside of its markers")
    baseline = json.loads((root / BASELINE).read_text())
    if "mean nothing" not in table or "mean nothing" not in baseline["commit"]:
        faults.append("what a smoke run recorded does not say so")
    lines = [line for line in table.splitlines() if re.match(r"\| \d", line)]
    if len(lines) != len(baseline["rows"]):
        faults.append(f"{len(lines)} rows in the table, {len(baseline['rows'])} in the baseline")
    faults += [f"no {name}" for name in CURVES if "<svg" not in text_of(root / Path(PAGE).parent / name)]
    shown = json.loads((ROOT / BASELINE).read_text())["rows"]
    measured, shown = rows(json.dumps(baseline["rows"])), rows(json.dumps(shown))
    faults += [f"the page shows what is no longer measured: {row}" for row in missing(measured, shown, said)]
    for what, beside in measured.keys() - shown.keys():
        print(f"not recorded yet: {what}, beside {beside or 'nothing'}")
    return faults


def between(page: str) -> tuple[str, str, str]:
    """The page before its markers, between them and behind them."""
    above, _, rest = page.partition(MARKERS[0])
    table, _, below = rest.partition(MARKERS[1])
    return above, table, below


def text_of(file: Path) -> str:
    return file.read_text() if file.exists() else ""


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs every bench, small.")
    parser.add_argument("target", type=Path, metavar="FOLDER", help="cargo's, where it records")
    scratch = parser.parse_args().target / "bench-smoke"
    tree = [ROOT / BASELINE, *(ROOT / PAGE).parent.iterdir()]
    before = [file.read_bytes() for file in tree]
    faults = []
    written = commands()
    for command in written:
        shown, said = run(command)
        if "--record" in command:
            faults += recorded(scratch, said)
        elif not shown.strip():
            faults.append(f"{shlex.join(command)} shows nothing")
    if not any("--record" in command for command in written):
        faults.append("the page records nothing")
    # Without a peer, and with the flag that the page names in a sentence.
    shown, _ = run(["benches/run", "--only", "3", "--json"])
    if not all(what.startswith("3. ") for what, _ in rows(shown)):
        faults.append("rows of other goals are among those of the third")
    if before != [file.read_bytes() for file in tree]:
        faults.append("a smoke run wrote into the tree")
    print(*faults, sep="\n", end="\n" if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
