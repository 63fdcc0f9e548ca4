"""The Debian package through its whole life, on a copy of this machine that has a systemd of its own.

Installed, configured as the documents say, started by systemd under the unit with all that this confines; reloaded
with a renewed certificate, killed, upgraded as `docs/operating/upgrade.md` says, removed, purged. Needs root.

`package.py FIRST.deb SECOND.deb`: two packages of the same content, the second of a later version.
"""

import argparse
import re
import shutil
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))

from installation import ISSUER, PARTIES, install  # noqa: E402
from machine import Machine, in_a_machine  # noqa: E402
from pages import blocks  # noqa: E402
from story import READ, HeldTask, Story, equal, refused  # noqa: E402

BINARY_BYTES_MAX = 25_000_000
RESTART_SECONDS = 20
UPGRADE = "docs/operating/upgrade.md"
ENABLED = "etc/systemd/system/multi-user.target.wants/locumd.service"
# As the kernel tells it of the process: no capabilities, none to be gained, a filter of system calls.
CONFINED = {"CapEff": "0000000000000000", "CapBnd": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}


class Service:
    """locumd as systemd runs it."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def does(self, verb: str) -> None:
        self.machine.run("systemctl", verb, "locumd")

    def told(self, key: str) -> str:
        return self.machine.run("systemctl", "show", "--property", key, "--value", "locumd").strip()

    def is_new(self, before: str) -> None:
        """Waits until systemd runs another process than it did."""
        until = time.monotonic() + RESTART_SECONDS
        while (self.told("MainPID") in ("0", before) or self.told("ActiveState") != "active") and (
            time.monotonic() < until
        ):
            time.sleep(0.1)
        equal("state", self.told("ActiveState"), "active")
        equal("another process", self.told("MainPID") in ("0", before), False)

    def confined(self) -> None:
        status = self.machine.run("cat", f"/proc/{self.told('MainPID')}/status")
        found = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        equal("confinement", {name: found[name] for name in CONFINED}, CONFINED)
        account = self.machine.run("id", "--user", "locum").strip()
        equal("user", found["Uid"].split(), [account] * 4)

    def log(self) -> str:
        return self.machine.run("journalctl", "--unit", "locumd", "--output", "cat", "--no-pager")


# The chapters.


def dpkg(machine: Machine, verb: str, what: str | Path) -> None:
    if isinstance(what, Path):
        what = str(shutil.copy(what, machine.path("root"))).removeprefix(str(machine.root))
    machine.run("dpkg", verb, what, DEBIAN_FRONTEND="noninteractive")


def owner(machine: Machine, name: str) -> str:
    """Owner, group and mode: `locum:locum 700`."""
    return machine.run("stat", "--format", "%U:%G %a", f"/{name}").strip()


def installed(machine: Machine, package: Path) -> None:
    dpkg(machine, "--install", package)
    account = machine.run("getent", "passwd", "locum").strip().split(":")
    equal("home and shell", account[5:], ["/var/lib/locum", "/usr/sbin/nologin"])
    equal("state", owner(machine, "var/lib/locum"), "locum:locum 700")
    equal("settings", owner(machine, "etc/locum"), "root:root 755")
    equal("TLS", owner(machine, "etc/locum/tls"), "root:locum 750")
    equal("enabled", machine.path(ENABLED).is_symlink(), True)
    for binary in ("usr/bin/locumd", "usr/bin/locum"):
        size = machine.path(binary).stat().st_size
        print(f"{binary}: {size / 1e6:.1f} MB")
        equal(f"{binary} of at most {BINARY_BYTES_MAX} bytes", size <= BINARY_BYTES_MAX, True)
        equal(f"{binary} is stripped", b"\0.debug_line\0" in machine.path(binary).read_bytes(), False)
        machine.run(f"/{binary}", "--version")
    conffiles = machine.run("dpkg-query", "--show", "--showformat=${Conffiles}", "locum")
    for name in ("locumd.toml", "registry.toml", "policies/guardrails.cedar"):
        equal(f"{name} is a conffile", f" /etc/locum/{name} " in conffiles, True)
    manual = machine.run("zcat", "/usr/share/man/man8/locumd.8.gz")
    commands = re.findall(r"^  ([a-z-]+) ", machine.run("/usr/bin/locumd", "--help"), re.MULTILINE)
    for command in commands:
        equal(f"the manual has `{command}`", f".B {command.replace('-', chr(92) + '-')}\n" in manual, True)


def configured(machine: Machine, folder: Path) -> None:
    """What an operator does: certificates, and policies from the examples."""
    laid(machine, folder)
    for example in machine.path("usr/share/doc/locum/examples/policies").glob("*.cedar"):
        shutil.copy(example, machine.path("etc/locum/policies"))
    print(machine.run("/usr/bin/locumd", "check-config", "--config", "/etc/locum/locumd.toml").strip())


def laid(machine: Machine, folder: Path) -> None:
    for name, mode in (("tls/server.pem", 0o644), ("tls/server.key", 0o640), ("trust/acme.test.pem", 0o644)):
        shutil.copy(folder / name, machine.path(f"etc/locum/{name}"))
        machine.path(f"etc/locum/{name}").chmod(mode)
    machine.run("chgrp", "locum", "/etc/locum/tls/server.key")


class Traffic(Story):
    """A plugin's tasks and tokens across everything that happens to the server."""

    def __init__(self, folder: Path) -> None:
        told = argparse.Namespace(
            grpc="localhost:8443", https="https://localhost:8444", issuer=ISSUER, server_name=None,
            ca=folder / "trust" / "acme.test.pem",
        )  # fmt: skip
        for party in PARTIES:
            setattr(told, f"{party}_cert", folder / "tls" / f"{party}.pem")
            setattr(told, f"{party}_key", folder / "tls" / f"{party}.key")
        super().__init__(told)
        self.open: HeldTask | None = None
        self.ended: HeldTask | None = None

    def begins(self) -> None:
        self.open, self.ended = self.start_task(), self.start_task()
        self.kept, dead = self.issue(self.open, READ), self.issue(self.ended, READ)
        self.end_task(self.ended)
        self.dead = dead
        self.holds("before anything happens")

    def holds(self, when: str) -> None:
        equal(f"the live token {when}", self.introspect(self.kept.token).active, True)
        equal(f"the dead token {when}", self.introspect(self.dead.token).active, False)
        refused("FAILED_PRECONDITION", "TASK_ENDED", lambda: self.issue(self.ended, READ))
        self.kept = self.issue(self.open, READ)
        equal(f"a new token {when}", self.introspect(self.kept.token).active, True)


def started(service: Service) -> None:
    service.does("start")
    equal("after the start", (service.told("ActiveState"), service.told("Type")), ("active", "notify"))
    service.confined()


def reloaded(service: Service, traffic: Traffic, parties: Path, renewed: Path) -> None:
    """Another authority and a certificate of it, and back again; nobody's tokens, tasks or connections mind."""
    before = service.told("MainPID")
    bundle = service.machine.path("etc/locum/trust/acme.test.pem")
    for folder, other in ((renewed, parties), (parties, renewed)):
        equal("who is believed before", (serves(other), serves(folder)), (True, False))
        laid(service.machine, folder)
        bundle.write_text("".join((one / "trust" / "acme.test.pem").read_text() for one in (parties, renewed)))
        service.does("reload")
        until = time.monotonic() + RESTART_SECONDS
        while not serves(folder) and time.monotonic() < until:
            time.sleep(0.05)
        equal("who is believed after", (serves(other), serves(folder)), (False, True))
        traffic.holds("after the reload")
    equal("the process", service.told("MainPID"), before)


def serves(folder: Path) -> bool:
    """Whether the server shows a certificate of this installation's authority, to a new connection."""
    try:
        with (
            socket.create_connection(("localhost", 8444)) as plain,
            ssl.create_default_context(cafile=folder / "trust" / "acme.test.pem").wrap_socket(
                plain, server_hostname="localhost"
            ),
        ):
            return True
    except ssl.SSLCertVerificationError:
        return False


def killed(service: Service, traffic: Traffic) -> None:
    """Nobody starts it again but systemd."""
    before = service.told("MainPID")
    service.machine.run("systemctl", "kill", "--signal=KILL", "locumd")
    service.is_new(before)
    equal("restarts", service.told("NRestarts"), "1")
    traffic.holds("after kill -9")


def upgraded(service: Service, traffic: Traffic, parties: Path, package: Path) -> None:
    """The block of the page, as it is written, in an operator's shell."""
    machine = service.machine
    settings = machine.path("etc/locum/locumd.toml")
    changed = settings.read_text() + '\n[log]\nlevel = "warn"\n'
    settings.write_text(changed)
    before, running = version(machine), service.told("MainPID")
    (block,) = (block for block in blocks(UPGRADE) if block.info == "needs=a-package")
    (name,) = re.findall(r"\./(\S+\.deb)", block.text)
    shutil.copy(package, machine.path(f"root/{name}"))
    shutil.copytree(parties, machine.path("root/parties"))
    shell = {"CA": "trust/acme.test.pem", "CERT": "tls/operator.pem", "KEY": "tls/operator.key"}
    told = {f"LOCUM_{name}_FILE": f"parties/{file}" for name, file in shell.items()}
    block_said = machine.run("bash", "-euc", f"cd /root\n{block.text}", LOCUM_ADDR="https://localhost:8443", **told)
    print(*re.findall(r"^(?:Unpacking|Setting up) .*|^version .*", block_said, re.MULTILINE), sep="\n")
    equal(f"upgraded from {before}", version(machine), name.split("_")[1])
    equal("the operator's settings", settings.read_text(), changed)
    service.is_new(running)
    traffic.holds("after the upgrade")
    service.does("stop")
    equal("how it ended", service.told("Result"), "success")
    print(machine.run("/usr/bin/locumd", "journal", "verify", "/var/lib/locum/journal").splitlines()[-1])


def version(machine: Machine) -> str:
    return machine.run("dpkg-query", "--show", "--showformat=${Version}", "locum")


def removed(machine: Machine) -> None:
    files = [line for line in machine.run("dpkg", "--listfiles", "locum").split() if machine.path(line[1:]).is_file()]
    equal("files of the package, at least the two binaries", len(files) > 2, True)
    dpkg(machine, "--remove", "locum")
    left = [name for name in files if machine.path(name[1:]).exists() and not name.startswith("/etc/")]
    equal("files after the removal", left, [])
    equal("settings after the removal", machine.path("etc/locum/locumd.toml").exists(), True)
    equal("state after the removal", machine.path("var/lib/locum/journal").is_dir(), True)
    dpkg(machine, "--purge", "locum")
    left = [name for name in files if machine.path(name[1:]).exists()]
    equal("files after the purge", left, [])
    equal("state after the purge", machine.path("var/lib/locum").exists(), False)
    equal("enabled after the purge", machine.path(ENABLED).is_symlink(), False)
    equal("the operator's key after the purge", machine.path("etc/locum/tls/server.key").exists(), True)


def inside(scratch: Path, folder: Path, told: argparse.Namespace) -> None:
    parties, renewed = folder / "locum", folder / "renewed"
    machine = Machine(scratch, told.systemd)
    service = Service(machine)
    try:
        installed(machine, told.first)
        configured(machine, parties)
        started(service)
        traffic = Traffic(parties)
        traffic.begins()
        reloaded(service, traffic, parties, renewed)
        killed(service, traffic)
        upgraded(service, traffic, parties, told.second)
        removed(machine)
    except BaseException:
        print(service.log()[-4000:], flush=True)
        raise
    finally:
        machine.end()
    print("installed, reloaded, killed, upgraded, removed and purged")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inside", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--systemd", type=Path, metavar="FOLDER", help="its packages, for where it is not installed")
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    told = parser.parse_args()
    if told.inside:
        inside(*told.inside, told)
        return 0
    with tempfile.TemporaryDirectory(prefix="locum-parties-") as folder:
        for name in ("locum", "renewed"):
            install(Path(folder) / name)
        return in_a_machine(__file__, folder, *sys.argv[1:])


if __name__ == "__main__":
    sys.exit(main())
