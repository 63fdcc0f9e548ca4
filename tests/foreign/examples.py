"""Runs the example plugins of examples/, in Rust, Python and a shell, at the example orders API.

All three do the same and have to tell the same: refund an order; be refused before any call what
is not there; end the task as failed where the API is not there. A locumd of their own says how each task came out.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from installation import PARTIES, install
from stage import Locumd
from story import Broken, equal

ROOT = Path(__file__).resolve().parents[2]
SECONDS_MAX = 60
ORDER = "1881"
# No such resource: the connector has `order/*`.
NO_ORDER = "1881/all"
# Nobody listens there: port 1 of loopback.
NOWHERE = "127.0.0.1:1"


@dataclass
class Place:
    """Where everything is."""

    folder: Path
    binaries: Path
    grpc: str

    def environment(self, party: str, **more: str) -> dict[str, str]:
        """That of a program which is this party, and of nobody else."""
        tls = self.folder / "tls"
        own = {
            "PATH": f"{self.binaries}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.folder / "stubs"),
            "LOCUM_ADDR": f"https://{self.grpc}",
            "LOCUM_CA_FILE": str(self.folder / "trust" / "acme.test.pem"),
            "LOCUM_CERT_FILE": str(tls / f"{party}.pem"),
            "LOCUM_KEY_FILE": str(tls / f"{party}.key"),
        }
        return own | more

    def run(self, command: list[str | Path], party: str, **more: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            command, cwd=ROOT, env=self.environment(party, **more), capture_output=True, text=True,
            timeout=SECONDS_MAX, check=False,
        )  # fmt: skip

    def outcome(self, task: str) -> str:
        """How the record says that a task came out."""
        shown = self.run([self.binaries / "locum", "audit", "show", task, "-o", "json"], "operator")
        equal(f"`locum audit show {task}`", (shown.returncode, shown.stderr), (0, ""))
        return shown.stdout


def plugins(binaries: Path) -> dict[str, list[str | Path]]:
    """Each language and its command."""
    return {
        "rust": [binaries / "plugin"],
        "python": [sys.executable, "examples/plugin.py"],
        "shell": ["sh", "examples/plugin.sh"],
    }


@contextmanager
def orders_api(place: Place) -> Iterator[tuple[str, subprocess.Popen]]:
    """The running API: its address and what it prints."""
    said = place.folder / "orders.log"
    with said.open("w") as log:
        process = subprocess.Popen(
            [place.binaries / "orders_api"], env=place.environment("backend", ORDERS_LISTEN="127.0.0.1:0"),
            stdout=subprocess.PIPE, stderr=log, text=True,
        )  # fmt: skip
        try:
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                raise SystemExit(f"the orders API does not listen: {line}{said.read_text()}")
            yield line.removeprefix("listening on ").strip(), process
        finally:
            process.kill()
            process.wait()


def stubs(folder: Path) -> None:
    """As the page for plugin authors says."""
    (folder / "stubs").mkdir()
    protos = [str(file) for file in sorted((ROOT / "proto" / "locum" / "broker" / "v1").glob("*.proto"))]
    made = [f"--python_out={folder}/stubs", f"--grpc_python_out={folder}/stubs"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", ROOT / "proto", *made, *protos], check=True)


def judge(language: str, command: list[str | Path], place: Place, api: tuple[str, subprocess.Popen]) -> None:
    """What this plugin does and says."""
    addr, orders = api
    done = place.run([*command, ORDER], "plugin", ORDERS_ADDR=addr)
    lines = done.stdout.splitlines()
    equal(f"{language}: exit code ({done.stderr.strip()})", done.returncode, 0)
    task = lines[0].split()[0]
    shown = f"order {ORDER}: 2 items, paid (shown to {PARTIES['plugin']})"
    equal(language, lines, [f"{task} started", shown, f"order {ORDER} refunded", f"{task} ended"])
    served = orders.stdout.readline()
    equal(f"{language}: the API's log names the task", served.strip().endswith(task), True)
    equal(f"{language}: completed", '"completed"' in place.outcome(task), True)

    refused = place.run([*command, NO_ORDER], "plugin", ORDERS_ADDR=addr)
    equal(f"{language}, refused: exit code and output", (refused.returncode != 0, refused.stdout), (True, ""))
    equal(f"{language} says why: {refused.stderr}", "SCOPE_UNKNOWN" in refused.stderr, True)

    failed = place.run([*command, ORDER], "plugin", ORDERS_ADDR=NOWHERE)
    lines = failed.stdout.split("\n")
    task = lines[0].split()[0]
    equal(f"{language}, without an API: exit code", failed.returncode != 0, True)
    equal(language, [line for line in lines if line], [f"{task} started", f"{task} ended"])
    equal(f"{language}: failed", '"failed"' in place.outcome(task), True)


def main() -> int:
    parser = argparse.ArgumentParser(description="Runs the example plugins at the example API.")
    parser.add_argument("binaries", type=Path, metavar="FOLDER", help="with locumd, locum, orders_api and plugin")
    binaries = parser.parse_args().binaries.resolve()
    with tempfile.TemporaryDirectory(prefix="locum-examples-") as name:
        folder = Path(name)
        settings = install(folder)
        stubs(folder)
        locumd = Locumd(binaries / "locumd", settings)
        code = 0
        try:
            place = Place(folder, binaries, locumd.listening()["grpc"])
            with orders_api(place) as api:
                for language, command in plugins(binaries).items():
                    judge(language, command, place, api)
                    print(f"ok      the plugin in {language}: completed, refused, failed", flush=True)
        except Broken as broken:
            print(f"FAILED  {broken}")
            print("locumd's log:", *locumd.lines[-20:], sep="\n  ")
            code = 1
        finally:
            stopped = locumd.stop()
    return code or stopped


if __name__ == "__main__":
    sys.exit(main())
