"""The Debian package through its whole life, on a copy of this machine that is thrown away.

Installed, configured as the documents say, started by the unit's own command as the package's user on a
system that is read-only but for its state; killed, upgraded, removed, purged. The copy is an overlay over
`/` in namespaces of its own, so nothing of it stays and no port is taken. Needs root.

`package.py FIRST.deb SECOND.deb`: two packages of the same content, the second of a later version.
"""

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))

from installation import ISSUER, PARTIES, install  # noqa: E402
from story import READ, HeldTask, Story, equal, refused  # noqa: E402

BINARY_BYTES_MAX = 25_000_000
NEEDS_ROOT = 77
READY_SECONDS = 20
STOP_SECONDS = 20
NOTIFY = "locum-package"
UNIT = "usr/lib/systemd/system/locumd.service"
ENABLED = "etc/systemd/system/multi-user.target.wants/locumd.service"
NAMESPACES = ["--mount", "--pid", "--fork", "--net", "--kill-child", "--propagation", "private"]


class Machine:
    """The copy: what is written goes to memory."""

    def __init__(self, scratch: Path) -> None:
        run("mount", "-t", "tmpfs", "tmpfs", scratch)
        self.root = scratch / "root"
        upper, work = scratch / "upper", scratch / "work"
        for folder in (self.root, upper, work):
            folder.mkdir()
        layers = f"lowerdir=/,upperdir={upper},workdir={work}"
        run("mount", "-t", "overlay", "overlay", "-o", layers, self.root)
        run("mount", "-t", "proc", "proc", self.root / "proc")
        # Never the machine's own: what goes wrong here must not reach it.
        run("mount", "-t", "tmpfs", "tmpfs", self.root / "dev")
        for device in ("null", "zero", "random", "urandom"):
            (self.root / "dev" / device).touch()
            run("mount", "--bind", f"/dev/{device}", self.root / "dev" / device)
        run("mount", "-t", "tmpfs", "tmpfs", self.root / "run")
        run("ip", "link", "set", "lo", "up")

    def path(self, name: str) -> Path:
        return self.root / name

    def run(self, *command: str | Path) -> str:
        return run("chroot", self.root, *command)

    def dpkg(self, *arguments: str | Path) -> None:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run("chroot", self.root, "dpkg", *arguments, environment=environment)

    def install(self, package: Path) -> None:
        shutil.copy(package, self.path("locum.deb"))
        self.dpkg("--install", "/locum.deb")
        self.path("locum.deb").unlink()

    def owner(self, name: str) -> tuple[str, str]:
        """Owner, group and mode: `locum:locum 700`."""
        return self.run("stat", "--format", "%U:%G %a", f"/{name}").strip()


class Service:
    """locumd, started as systemd would: the unit's command, its user, its writable folder."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        unit = machine.path(UNIT).read_text()
        self.command, self.user = (setting(unit, key) for key in ("ExecStart", "User"))
        self.state = f"var/lib/{setting(unit, 'StateDirectory')}"
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.bind(f"\0{NOTIFY}")
        ear.settimeout(READY_SECONDS)
        root = shlex.quote(str(self.machine.root))
        confined = (
            f"mount --bind {root}/{self.state} {root}/{self.state} && mount -o remount,bind,ro {root} && "
            f"exec chroot {root} setpriv --reuid={self.user} --regid={self.user} --clear-groups --no-new-privs "
            f"--bounding-set=-all --inh-caps=-all {self.command}"
        )
        environment = {"NOTIFY_SOCKET": f"@{NOTIFY}", "WATCHDOG_USEC": "30000000"}
        log = self.machine.root.parent.joinpath("log").open("ab")
        self.process = subprocess.Popen(
            ["/usr/bin/unshare", "--mount", "/bin/sh", "-c", confined], env=environment, stderr=log
        )
        with ear:
            told = ear.recv(4096).decode()
        equal("what systemd hears first", told, "READY=1\n")

    def end(self, number: signal.Signals) -> int:
        self.process.send_signal(number)
        return self.process.wait(STOP_SECONDS)

    def log(self) -> str:
        return self.machine.root.parent.joinpath("log").read_text()


def setting(unit: str, key: str) -> str:
    (value,) = re.findall(rf"^{key}=(.*)$", unit, re.MULTILINE)
    return value


def run(*command: str | Path, environment: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{shlex.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


# The chapters.


def installed(machine: Machine, package: Path) -> None:
    machine.install(package)
    account = machine.run("getent", "passwd", "locum").strip().split(":")
    equal("home and shell", account[5:], ["/var/lib/locum", "/usr/sbin/nologin"])
    equal("state", machine.owner("var/lib/locum"), "locum:locum 700")
    equal("settings", machine.owner("etc/locum"), "root:root 755")
    equal("TLS", machine.owner("etc/locum/tls"), "root:locum 750")
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
    for name, mode in (("tls/server.pem", 0o644), ("tls/server.key", 0o640), ("trust/acme.test.pem", 0o644)):
        shutil.copy(folder / name, machine.path(f"etc/locum/{name}"))
        machine.path(f"etc/locum/{name}").chmod(mode)
    machine.run("chgrp", "locum", "/etc/locum/tls/server.key")
    for example in machine.path("usr/share/doc/locum/examples/policies").glob("*.cedar"):
        shutil.copy(example, machine.path("etc/locum/policies"))
    print(machine.run("/usr/bin/locumd", "check-config", "--config", "/etc/locum/locumd.toml").strip())


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


def killed(service: Service, traffic: Traffic) -> None:
    equal("exit code of the kill", service.end(signal.SIGKILL), -signal.SIGKILL)
    service.start()
    traffic.holds("after kill -9")


def upgraded(service: Service, traffic: Traffic, package: Path) -> None:
    settings = service.machine.path("etc/locum/locumd.toml")
    changed = settings.read_text() + '\n[log]\nlevel = "warn"\n'
    settings.write_text(changed)
    before = service.machine.run("dpkg-query", "--show", "--showformat=${Version}", "locum")
    equal("exit code", service.end(signal.SIGTERM), 0)
    service.machine.install(package)
    after = service.machine.run("dpkg-query", "--show", "--showformat=${Version}", "locum")
    equal(f"upgraded from {before}", after != before, True)
    equal("the operator's settings", settings.read_text(), changed)
    service.start()
    traffic.holds("after the upgrade")
    equal("exit code", service.end(signal.SIGTERM), 0)
    print(service.machine.run("/usr/bin/locumd", "journal", "verify", "/var/lib/locum/journal").splitlines()[-1])


def removed(machine: Machine) -> None:
    files = [line for line in machine.run("dpkg", "--listfiles", "locum").split() if machine.path(line[1:]).is_file()]
    equal("files of the package, at least the two binaries", len(files) > 2, True)
    machine.dpkg("--remove", "locum")
    left = [name for name in files if machine.path(name[1:]).exists() and not name.startswith("/etc/")]
    equal("files after the removal", left, [])
    equal("settings after the removal", machine.path("etc/locum/locumd.toml").exists(), True)
    equal("state after the removal", machine.path("var/lib/locum/journal").is_dir(), True)
    machine.dpkg("--purge", "locum")
    left = [name for name in files if machine.path(name[1:]).exists()]
    equal("files after the purge", left, [])
    equal("state after the purge", machine.path("var/lib/locum").exists(), False)
    equal("enabled after the purge", machine.path(ENABLED).is_symlink(), False)
    equal("the operator's key after the purge", machine.path("etc/locum/tls/server.key").exists(), True)


def inside(scratch: Path, parties: Path, first: Path, second: Path) -> None:
    """The whole life. Ends the process, and with it the namespaces and all that is mounted in them."""
    service = None
    try:
        machine = Machine(scratch)
        installed(machine, first)
        configured(machine, parties)
        service = Service(machine)
        service.start()
        traffic = Traffic(parties)
        traffic.begins()
        killed(service, traffic)
        upgraded(service, traffic, second)
        removed(machine)
    except BaseException as broken:  # noqa: BLE001
        print(f"FAILED  {broken!r}\n{broken}\n{service.log()[-4000:] if service else ''}", flush=True)
        os._exit(1)
    print("installed, killed, upgraded, removed and purged", flush=True)
    os._exit(0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inside", nargs=2, type=Path, help=argparse.SUPPRESS)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    told = parser.parse_args()
    if told.inside:
        inside(*told.inside, told.first, told.second)
    if os.geteuid() != 0:
        print("not possible here: a copy of the machine needs root")
        return NEEDS_ROOT
    # Everything is mounted in there by the child alone: out here it is and stays an empty folder.
    scratch = tempfile.mkdtemp(prefix="locum-machine-")
    with tempfile.TemporaryDirectory(prefix="locum-parties-") as parties:
        install(Path(parties) / "locum")
        command = [sys.executable, __file__, "--inside", scratch, f"{parties}/locum", told.first, told.second]
        ended = subprocess.run(["unshare", *NAMESPACES, *command], check=False).returncode
    os.rmdir(scratch)
    return ended


if __name__ == "__main__":
    sys.exit(main())
