"""What the pages of operators say, as they say it: as root, at the paths of the system, under systemd.

`tests/foreign/documents.py` runs all pages anywhere, and puts something in the place of what needs root or systemd.
Here the pages that speak of them are run by a bash on a copy of this machine that boots a systemd of its own, with
nothing replaced: the user and the folders that the page makes, the unit that it installs, a backup, a restore under
the service's user. Only this is done beside: a server that runs in the foreground is sent to the background, until
systemd runs it; what is said to be done with the server stopped, is.

`operators.py BINARIES`: a folder with locumd and locum. Needs root.
"""

import argparse
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))

from machine import Machine, in_a_machine  # noqa: E402
from pages import blocks  # noqa: E402
from story import equal  # noqa: E402

PAGES = ("docs/operating/run-locumd.md", "docs/operating/backup-and-restore.md")
CLONE = "root/locum"
BLOCKS_MIN = 10
PRELUDE = r"""
set -euo pipefail
foreground=''
at() { here=$1; echo "$here"; }
trap 'status=$?; ((status == 0)) || printf "FAILED with %s: %s\n" "$status" "$here"' EXIT
setpriv() {
  [[ " $* " == *" locumd serve "* ]] || { command setpriv "$@"; return; }
  command setpriv "$@" 2>>locumd.log & foreground=$!
  for _ in {1..200}; do curl -sf --cacert ca.pem https://127.0.0.1:8444/readyz >/dev/null && return; sleep 0.1; done
  cat locumd.log; return 1
}
systemctl() { # A person presses Ctrl-C before.
  [[ -z $foreground ]] || { kill -INT "$foreground"; wait "$foreground"; foreground=; }
  command systemctl --no-pager "$@"
}
locumd() {
  [[ $1 == journal ]] && command systemctl --quiet is-active locumd || { command locumd "$@"; return; }
  command systemctl stop locumd
  command locumd "$@"
  command systemctl start locumd
}
"""


def script() -> str:
    """The pages, one after the other, in one shell."""
    found = [block for page in PAGES for block in blocks(page) if block.language in ("sh", "toml")]
    parts = [block.on_a_machine() for block in found]
    equal(f"at least {BLOCKS_MIN} blocks", sum(map(bool, parts)) >= BLOCKS_MIN, True)
    return PRELUDE + "\n".join(parts) + "\necho all of them\n"


def cloned(machine: Machine, binaries: Path) -> None:
    """What a reader has before them: a clone that is built, and a folder for backups."""
    clone = machine.path(CLONE)
    shutil.copytree(ROOT / "deploy", clone / "deploy")
    (clone / "target" / "release").mkdir(parents=True)
    for name in ("locumd", "locum"):
        shutil.copy(binaries / name, clone / "target" / "release")
    machine.path("backup").mkdir()


def inside(scratch: Path, told: argparse.Namespace) -> None:
    machine = Machine(scratch, told.systemd)
    try:
        cloned(machine, told.binaries)
        machine.path(f"{CLONE}/pages.sh").write_text(script())
        said = machine.run("bash", "-c", f"cd /{CLONE} && . ./pages.sh 2>&1")
        print(said)
        service = machine.run("systemctl", "show", "--property=ActiveState,User,NRestarts", "locumd").split()
        equal("the service at the end", sorted(service), ["ActiveState=active", "NRestarts=0", "User=locum"])
        owners = set(machine.run("find", "/var/lib/locum", "-printf", "%u:%g\n").split())
        equal("whose the data are", owners, {"locum:locum"})
    except BaseException:
        print(machine.run("journalctl", "--unit", "locumd", "--output", "cat", "--no-pager")[-4000:])
        raise
    finally:
        machine.end()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--systemd", type=Path, metavar="FOLDER", help="its packages, for where it is not installed")
    parser.add_argument("binaries", type=Path)
    told = parser.parse_args()
    if told.inside:
        inside(told.inside, told)
        return 0
    return in_a_machine(__file__, *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
