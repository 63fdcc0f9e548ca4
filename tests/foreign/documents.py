"""Runs what the documents say: every `sh` and `python` block, page after page, against a locumd of its own.

A reader who follows the pages from top to bottom types these lines; so does this. The pages are run in one
bash, in the order of `PAGES`, in a folder that holds what a clone holds. Only this is not as written: paths
of the system and ports are others (`REPLACED`), what a person would be asked is answered, what would run
for ever does so in the background or for two seconds, and cargo and systemctl do by hand what they would
(`PRELUDE`). A block that needs what not every machine has says so in its info string, `sh needs=systemd`; those
of systemd and of the package are run by `tests/running/operators.py` and `package.py`, with root and without
anything in the place of anything. What is no block to run is judged too: see `pages.py`.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import ROOT, all_pages, blocks, faults

PAGES = (
    "README.md",
    "docs/operating/run-locumd.md",
    "docs/operating/write-policies.md",
    "docs/operating/write-a-plugin.md",
    "docs/operating/protect-an-api.md",
    "docs/operating/check-offline.md",
    "docs/operating/revoke.md",
    "docs/operating/audit.md",
    "docs/operating/backup-and-restore.md",
)
SECONDS_MAX = 300
PRELUDE = r"""
set -euo pipefail
server='' api=''
at() { here=$1; printf '%s\n' "$here" >&3; }
trap 'status=$?; kill $server $api 2>/dev/null || true
      ((status == 0)) || printf "FAILED with %s: %s\n" "$status" "$here" >&2' EXIT
serve() {
  command locumd "$@" 2>>locumd.log & server=$!
  for _ in {1..200}; do curl -sf --cacert ca.pem https://127.0.0.1:8444/readyz >/dev/null && return; sleep 0.1; done
  echo "locumd is not ready:"; tail -n 20 locumd.log; return 1
}
stop() { kill "$server"; wait "$server"; server=; }
locumd() {
  case $1 in
  serve) serve "$@" ;;
  journal) # The pages say: with the server stopped.
    local ran=$server
    [[ -z $ran ]] || stop
    command locumd "$@"
    [[ -z $ran ]] || serve serve --config /etc/locum/locumd.toml ;;
  *) command locumd "$@" ;;
  esac
}
systemctl() {
  case "$*" in
  "stop locumd") [[ -z $server ]] || stop ;;
  "start locumd") serve serve --config /etc/locum/locumd.toml ;;
  *) echo "no such systemctl here: $*"; return 1 ;;
  esac
}
chown() { :; } # There is no user of the service here,
setpriv() { while [[ $1 == --* ]]; do shift; done; "$@"; } # and nobody to become.
cargo() { # All of it is built.
  case "$*" in
  build\ *) ;;
  "run --release -p locumd -- "*) command locumd "${@:6}" --once ;;
  "run -p locum-examples --bin "*) [[ ${6:---} == -- ]] && command "$5" "${@:7}" ;;
  *) echo "no such cargo here: $*"; return 1 ;;
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
somebodys_orders_api() { # What the page of API owners builds, for the page of plugin authors.
  LOCUM_ADDR=https://127.0.0.1:8443 LOCUM_CA_FILE=ca.pem LOCUM_CERT_FILE=orders-api.pem \
    LOCUM_KEY_FILE=orders-api.key ORDERS_LISTEN=127.0.0.1:8080 orders_api >orders.log 2>&1 & api=$!
  for _ in {1..100}; do grep -q listening orders.log && return; sleep 0.1; done
  cat orders.log; return 1
}
"""


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
        "\ntests/run ": "\ntests/run --help ",
        "-m 0640 -g locum ": "-m 0640 ",
        "/etc/locum": f"{folder}/etc",
        "/var/lib/locum": f"{folder}/data",
        "/backup/": f"{folder}/backup/",
        "0.0.0.0": "127.0.0.1",  # noqa: S104
        ":8443": f":{grpc}",
        ":8444": f":{https}",
        ":9464": f":{metrics}",
        ":8080": f":{orders}",
    }


def write(folder: Path, binaries: Path) -> Path:
    """What a reader has before them: a clone, empty folders of the system, and the script."""
    instead = replaced(folder)

    def here(text: str) -> str:
        for written, run in instead.items():
            text = text.replace(written, run)
        return text

    for name in ("proto", "tests", "examples"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "target").mkdir()
    (folder / "target" / "debug").symlink_to(binaries)
    shutil.copytree(ROOT / "deploy", folder / "deploy")
    for settings in (folder / "deploy" / "config").glob("*.toml"):
        settings.write_text(here(settings.read_text()))
    for name in ("etc/tls", "etc/trust", "etc/policies", "backup"):
        (folder / name).mkdir(parents=True)
    (folder / "data").mkdir(mode=0o700)
    script = PRELUDE
    for page in PAGES:
        script += '\nfor name in "${!LOCUM_@}"; do unset "$name"; done\n'
        # Somebody has an API; the example of the API owners' page.
        script += "somebodys_orders_api\n" if page.endswith("/write-a-plugin.md") else ""
        script += "\n".join(block.script() for block in blocks(page))
        script += "\n[[ -z $api ]] || { kill $api; wait $api || true; api=; }\n"
    file = folder / "script"
    file.write_text(here(script))
    return file


def run(folder: Path, binaries: Path) -> bool:
    """Runs the script; shows the block that failed and what was said."""
    script = write(folder, binaries)
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
    parser.add_argument("binaries", type=Path, metavar="FOLDER", help="with locumd, locum, orders_api and plugin")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="works there and leaves it")
    asked = parser.parse_args()
    if found := faults(PAGES):
        print(*found, sep="\n")
        return 1
    found = [block for page in PAGES for block in blocks(page)]
    with tempfile.TemporaryDirectory(prefix="locum-documents-") as name:
        folder = asked.keep or Path(name)
        fine = run(folder.resolve(), asked.binaries.resolve())
    done = sum(1 for block in found if block.script())
    needs = [block for page in all_pages() for block in blocks(page) if block.info.startswith("needs=")]
    shown = ", ".join(f"{block.place()} {block.info}" for block in needs)
    print(f"{done} blocks of {len(PAGES)} pages run; {len(needs)} not here: {shown}")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
