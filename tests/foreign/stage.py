"""Puts the stories on: installs into a fresh folder, starts locumd, tells each of them, stops it.

Exit code 0 when all hold and locumd ends in order. With promtool it also reads the metrics that the
stories have left.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from installation import ISSUER, PARTIES, install

START_SECONDS = 20
STOP_SECONDS = 20
ADDRESSES = ("grpc", "http", "metrics")
# The shipped connectors sign with ES256.
EDDSA_CONNECTOR = """
[[connector]]
tenant = "acme"
name = "catalogue"
audience = "https://catalogue.acme.test"
owner = "payments"
tier = "low"
check = "jwks"
algorithm = "EdDSA"
ttl_max = "60s"

[connector.actions.read]
effect = "read"
resources = ["item/*"]
"""


class Locumd:
    """A running broker and the lines that it logs; `under` is a command that it runs under."""

    def __init__(self, binary: Path, settings: Path, under: Sequence[str | Path] = ()) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("LOCUM_")}
        command = [*under, binary, "serve", "--config", settings]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=clean)
        self.lines: list[str] = []
        self.heard = threading.Event()
        self.addresses: dict[str, str] = {}
        self.reader = threading.Thread(target=self._read, name="log", daemon=True)
        self.reader.start()

    def listening(self) -> dict[str, str]:
        """The addresses that it says it listens on."""
        if not self.heard.wait(START_SECONDS) or not self.addresses:
            self.process.kill()
            raise SystemExit("locumd does not listen:\n" + "\n".join(self.lines))
        return self.addresses

    def stop(self) -> int:
        """Asks it to end and answers its exit code."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            self.reader.join(STOP_SECONDS)

    def _read(self) -> None:
        for line in self.process.stderr:
            self.lines.append(line.rstrip())
            if not self.heard.is_set() and "listening" in line:
                self.addresses = addresses_in(line)
                self.heard.set()
        self.heard.set()


def addresses_in(line: str) -> dict[str, str]:
    """`grpc`, `http` and `metrics` of the line `listening`, whether it is JSON or text."""
    words = line.replace('"', " ").replace(",", " ").replace("=", " ").replace(": ", " ").split()
    found = {name: words[words.index(name) + 1] for name in ADDRESSES if name in words[:-1]}
    return found if len(found) == len(ADDRESSES) else {}


def tell(folder: Path, addresses: dict[str, str], script: str = "story.py", further: Sequence[str | Path] = ()) -> int:
    story = [sys.executable, Path(__file__).with_name(script), *further]
    told = ["--grpc", addresses["grpc"], "--https", f"https://{addresses['http']}", "--issuer", ISSUER]
    told += ["--ca", folder / "trust" / "acme.test.pem"]
    for party in PARTIES:
        told += [f"--{party}-cert", folder / "tls" / f"{party}.pem", f"--{party}-key", folder / "tls" / f"{party}.key"]
    return subprocess.run([*story, *told], check=False).returncode


def all_hold(folder: Path, addresses: dict[str, str], npm: Path) -> bool:
    buf, grpcurl = npm / "node_modules" / ".bin" / "buf", Path(sys.executable).with_name("grpcurl")
    stories = {
        "story.py": [],
        "verification.py": ["--npm", npm],
        "possession.py": [],
        "following.py": [],
        "reflection.py": ["--buf", buf, "--grpcurl", grpcurl],
    }
    # Each is told, whatever became of the ones before.
    codes = [tell(folder, addresses, script, further) for script, further in stories.items()]
    return not any(codes)


def metrics_are_fine(promtool: Path, address: str) -> bool:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=START_SECONDS) as answer:  # noqa: S310
        metrics = answer.read()
    checked = subprocess.run([promtool, "check", "metrics"], input=metrics, capture_output=True, check=False)
    lines = metrics.count(b"\n")
    if checked.returncode or lines == 0:
        print(f"promtool on {lines} lines of metrics:\n{checked.stderr.decode()}{checked.stdout.decode()}")
        return False
    print(f"promtool finds no fault in {lines} lines of metrics")
    return True


def export(locum: Path, folder: Path, address: str, into: Path) -> bool:
    """Has the record of the stories written as OCSF; somebody else judges it."""
    party = [folder / "tls" / f"operator.{end}" for end in ("pem", "key")]
    command = [locum, "audit", "export", "--format", "ocsf", "--addr", f"https://{address}"]
    command += ["--ca-file", folder / "trust" / "acme.test.pem", "--cert-file", party[0], "--key-file", party[1]]
    with into.open("w") as file:
        return subprocess.run(command, stdout=file, check=False).returncode == 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Tells the stories to a locumd of their own.")
    parser.add_argument("--promtool", type=Path, metavar="FILE")
    parser.add_argument("--npm", required=True, type=Path, metavar="FOLDER", help="where node_modules is")
    parser.add_argument("--locum", type=Path, metavar="FILE", help="exports the record at the end")
    parser.add_argument("--ocsf", type=Path, metavar="FILE", help="where the export is written to")
    parser.add_argument("locumd", type=Path)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="locum-story-") as name:
        folder = Path(name)
        settings = install(folder)
        with (folder / "registry.toml").open("a") as registry:
            registry.write(EDDSA_CONNECTOR)
        locumd = Locumd(told.locumd, settings)
        try:
            addresses = locumd.listening()
            holds = all_hold(folder, addresses, told.npm)
            if told.promtool:
                holds &= metrics_are_fine(told.promtool, addresses["metrics"])
            if told.locum:
                holds &= export(told.locum, folder, addresses["grpc"], told.ocsf)
        finally:
            stopped = locumd.stop()
    if not holds or stopped:
        print(f"locumd ended with {stopped}; its log:", *locumd.lines[-40:], sep="\n  ")
    return 0 if holds and stopped == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
