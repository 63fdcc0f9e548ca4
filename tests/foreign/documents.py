"""Runs what the documents say: every `sh` and `python` block, page after page, against a locumd of its own.

A reader who follows the pages from top to bottom types these lines; so does this. The pages are run in one
bash, in the order of `PAGES`, in a folder that holds what a clone holds. Only this is not as written: paths
of the system and ports are others (`REPLACED`), what a person would be asked is answered, what would run
for ever does so in the background or for two seconds (`PRELUDE`). A block that needs what no test machine
has says so in its info string, `sh needs=systemd`, and is counted.
"""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    "README.md",
    "docs/operating/run-locumd.md",
    "docs/operating/write-policies.md",
    "docs/operating/write-a-plugin.md",
    "docs/operating/protect-an-api.md",
    "docs/operating/revoke.md",
    "docs/operating/audit.md",
)
SECONDS_MAX = 300
FENCE = re.compile(r"^```(?P<language>\w*) ?(?P<info>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)

PRELUDE = r"""
set -euo pipefail
at() { here=$1; printf '%s\n' "$here" >&3; }
trap 'status=$?; kill "${server:-}" "${api:-}" 2>/dev/null || true
      ((status == 0)) || printf "FAILED with %s: %s\n" "$status" "$here" >&2' EXIT
locumd() {
  case $1 in
  serve)
    command locumd "$@" 2>>locumd.log & server=$!
    for _ in {1..200}; do curl -sf --cacert ca.pem https://127.0.0.1:8444/readyz >/dev/null && return; sleep 0.1; done
    echo "locumd is not ready:"; tail -n 20 locumd.log; return 1 ;;
  journal) # The page says: with the server stopped.
    kill "$server"; wait "$server"
    command locumd "$@"
    locumd serve --config /etc/locum/locumd.toml ;;
  *) command locumd "$@" ;;
  esac
}
locum() {
  case " $* " in
  *" -f "*) timeout 2 locum "$@" || (($? == 124)) ;;
  *" --dry-run "* | *" --yes "*) command locum "$@" ;;
  *" revoke "*) command locum "$@" --yes ;; # A person reads the preview and types the number.
  *) command locum "$@" ;;
  esac
}
pidof() { echo "$server"; }
python() { "$PYTHON" "$@"; }
pip() { "$PYTHON" -m pip --disable-pip-version-check --quiet "$@"; }
orders_api() { # What the page of API owners builds, for the page of plugin authors.
  LOCUM_ADDR=https://127.0.0.1:8443 LOCUM_CA_FILE=ca.pem LOCUM_CERT_FILE=orders-api.pem \
    LOCUM_KEY_FILE=orders-api.key ORDERS_LISTEN=127.0.0.1:8080 command orders_api >orders.log 2>&1 & api=$!
  for _ in {1..100}; do grep -q listening orders.log && return; sleep 0.1; done
  cat orders.log; return 1
}
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    info: str
    text: str

    def script(self) -> str:
        """The block as a part of the one script; empty when it is not for running."""
        begin = f"at '{self.page}:{self.line}'\n"
        match self.language, self.info:
            case "sh", "":
                return begin + self.text
            case "python", "":
                return f"{begin}python - <<'PYTHON_BLOCK'\n{self.text}PYTHON_BLOCK\n"
            case "toml", target if target:
                return f"{begin}cat >> {target} <<'TOML_BLOCK'\n\n{self.text}TOML_BLOCK\n"
        return ""


def blocks(page: str) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = (ROOT / page).read_text()
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found["language"], found["info"].strip(), found["text"])


def forgotten() -> list[str]:
    """Pages with something to run that are not run."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    names = [str(page.relative_to(ROOT)) for page in pages]
    return [name for name in names if name not in PAGES and any(block.script() for block in blocks(name))]


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on just now."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def replaced(folder: Path) -> dict[str, str]:
    """What is not run as it is written, and what is run instead."""
    grpc, https, metrics, orders = free_ports(4)
    return {
        "cargo run --release -p locumd -- demo ": "locumd demo --once ",
        "\ntests/run ": "\ntests/run --help ",
        "https://orders.internal/": "http://127.0.0.1:8080/",
        "-m 0640 -g locum ": "-m 0640 ",
        "/etc/locum": f"{folder}/etc",
        "/var/lib/locum": f"{folder}/data",
        "0.0.0.0": "127.0.0.1",  # noqa: S104
        ":8443": f":{grpc}",
        ":8444": f":{https}",
        ":9464": f":{metrics}",
        ":8080": f":{orders}",
    }


def write(folder: Path) -> Path:
    """What a reader has before them: a clone, empty folders of the system, and the script."""
    instead = replaced(folder)

    def here(text: str) -> str:
        for written, run in instead.items():
            text = text.replace(written, run)
        return text

    for name in ("proto", "tests"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for settings in (folder / "deploy" / "config").glob("*.toml"):
        settings.write_text(here(settings.read_text()))
    for name in ("etc/tls", "etc/trust", "etc/policies"):
        (folder / name).mkdir(parents=True)
    (folder / "data").mkdir(mode=0o700)
    script = PRELUDE
    for page in PAGES:
        script += '\nfor name in "${!LOCUM_@}"; do unset "$name"; done\n'
        # Somebody has an API; the example of the API owners' page.
        script += "orders_api\n" if page.endswith("/write-a-plugin.md") else ""
        script += "\n".join(block.script() for block in blocks(page))
    file = folder / "script"
    file.write_text(here(script))
    return file


def run(folder: Path, binaries: Path) -> bool:
    """Runs the script; shows the block that failed and what was said."""
    script = write(folder)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LOCUM_")}
    environment |= {"PATH": f"{binaries}:{environment['PATH']}", "PYTHON": sys.executable, "HOME": str(folder)}
    environment |= {"XDG_RUNTIME_DIR": str(folder)}
    said = folder / "said"
    with said.open("w") as log:
        process = subprocess.Popen(
            ["bash", "-c", 'exec 3>&1; . "$0"', script],
            cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(SECONDS_MAX)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            # Its own session: the shell, and what it left in the background.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    if code != 0:
        print(*said.read_text().splitlines()[-60:], sep="\n")
    return code == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs what the documents say.")
    parser.add_argument("binaries", type=Path, metavar="FOLDER", help="with locumd, locum and orders_api")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="works there and leaves it")
    asked = parser.parse_args()
    if pages := forgotten():
        print("these pages have blocks to run and are not in PAGES:", *pages)
        return 1
    found = [block for page in PAGES for block in blocks(page)]
    with tempfile.TemporaryDirectory(prefix="locum-documents-") as name:
        folder = asked.keep or Path(name)
        fine = run(folder.resolve(), asked.binaries.resolve())
    done = sum(1 for block in found if block.script())
    needs = [block for block in found if block.info.startswith("needs=")]
    shown = ", ".join(f"{block.page}:{block.line} {block.info}" for block in needs)
    print(f"{done} blocks of {len(PAGES)} pages run; {len(needs)} shown only: {shown}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
