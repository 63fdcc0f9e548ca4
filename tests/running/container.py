"""Builds the container image as `deploy/container/Containerfile` says, and runs it: no shell, not root.

It serves too, as an engine would start it: settings and a volume mounted, asked by its own health check, a token for a
task, an orderly stop, and the same task after a second start.

Where the two bases of the file cannot be fetched, they are made of what they are made of: the stage that compiles is
replaced by what it leaves, the binaries of this checkout; the base of the image by the Debian packages of libc and
libgcc, which is what it has of use. Every line of the second stage is built as it is written, by buildah, in a store of
its own. Engines differ in how they isolate; here a chroot of another user does, which needs no engine and no right that
a container of a build machine has not.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "foreign"))

from documents import free_ports  # noqa: E402
from installation import DEPLOY, install  # noqa: E402
from story import equal  # noqa: E402

CONTAINERFILE = DEPLOY / "container" / "Containerfile"
STAGES = re.compile(r"^FROM (?P<base>\S+)(?: AS (?P<name>\w+))?$", re.MULTILINE)
BASES = ["docker.io/library/rust:1.95-bookworm", "gcr.io/distroless/cc-debian12:nonroot"]
LIBRARIES = ("lib64/ld-linux-x86-64.so.2", "lib/x86_64-linux-gnu/libc.so.6", "lib/x86_64-linux-gnu/libgcc_s.so.1")
SECONDS_MAX = 120
TRIES = 3
NOBODY = "65532:65532"


class Buildah:
    """buildah with a store below a folder."""

    def __init__(self, program: str, folder: Path) -> None:
        self.line = [program, "--root", str(folder / "store"), "--runroot", str(folder / "runroot")]
        self.environment = os.environ | {"BUILDAH_ISOLATION": "chroot", "STORAGE_DRIVER": "vfs", "TMPDIR": str(folder)}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.line, *words], env=self.environment, capture_output=True, text=True, check=False, timeout=SECONDS_MAX
        )

    def says(self, *words: str) -> str:
        done = self.run(*words)
        if done.returncode != 0:
            sys.exit(f"buildah {' '.join(words)}: {done.stderr or done.stdout}")
        return done.stdout.strip()


def second_stage(text: str) -> str:
    """The stage that becomes the image, its base left to be named."""
    stages = list(STAGES.finditer(text))
    found = [stage["base"] for stage in stages]
    if found != BASES or stages[0]["name"] != "build":
        sys.exit(f"{CONTAINERFILE.name} builds on {found}, this judge knows {BASES}")
    return text[stages[1].end() :]


def context(folder: Path, binaries: Path, packages: Path) -> Path:
    """What the first stage leaves, the libraries of the second one's base, and the file that joins them."""
    left = folder / "build" / "src" / "target" / "shipping"
    left.mkdir(parents=True)
    for name in ("locumd", "locum"):
        shutil.copy(binaries / name, left / name)
    (folder / "build" / "state").mkdir()
    (folder / "build" / "state" / "locum").mkdir(mode=0o700)
    base = folder / "base"
    for library in LIBRARIES:
        (base / library).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(packages / library, base / library)
    shutil.copytree(packages / "lib" / "x86_64-linux-gnu", base / "lib" / "x86_64-linux-gnu", dirs_exist_ok=True)
    stages = "FROM scratch AS build\nCOPY build/ /\nFROM scratch AS base\nCOPY base/ /\nFROM base\n"
    (folder / "Containerfile").write_text(stages + second_stage(CONTAINERFILE.read_text()))
    return folder


def settings(image: dict) -> list[str]:
    """What is wrong with the image's own settings."""
    config = image["Docker"]["config"]
    expected = {
        "User": NOBODY,
        "Entrypoint": ["/usr/bin/locumd"],
        "Cmd": ["serve", "--config", "/etc/locum/locumd.toml"],
        "StopSignal": "SIGTERM",
        "ExposedPorts": {"8443/tcp": {}, "8444/tcp": {}},
    }
    wrong = [f"{name} is {config.get(name)}" for name, value in expected.items() if config.get(name) != value]
    probe = (config.get("Healthcheck") or {}).get("Test", [])
    return wrong + ([] if probe[1:3] == ["/usr/bin/locumd", "probe"] else [f"the health check is {probe}"])


def behaviour(buildah: Buildah, container: str, folder: Path) -> list[str]:
    """What is wrong with what runs in it, as the image's user."""
    scratch = folder / "scratch"
    scratch.mkdir()
    scratch.chmod(0o1777)
    wrong = []

    def runs(code: int, seen: str, *words: str) -> None:
        told = ""
        for _ in range(TRIES):  # The chroot's runner may lose what a program says right before its end.
            done = buildah.run("run", "--user", NOBODY, "--volume", f"{scratch}:/tmp", container, "--", *words)
            if told := done.stdout + done.stderr:
                break
        if done.returncode != code or seen not in told:
            wrong.append(f"{' '.join(words)} ended with {done.returncode}, not {code} and `{seen}`: {told[-400:]}")

    runs(0, "locumd ", "/usr/bin/locumd", "--version")
    runs(0, "locum ", "/usr/bin/locum", "--version")
    # A server, a plugin and an API tell the whole story: TLS, the journal, randomness, the clock.
    runs(0, '"revoked_call_refused","outcome":"ok"', "/usr/bin/locumd", "demo", "--once", "-o", "json")
    # Nothing is mounted: it says what is missing, and does not start.
    runs(1, "/etc/locum/locumd.toml", "/usr/bin/locumd", "serve", "--config", "/etc/locum/locumd.toml")
    if buildah.run("run", "--user", NOBODY, container, "--", "/bin/sh", "-c", "true").returncode == 0:
        wrong.append("there is a shell in it")
    place = Path(buildah.says("mount", container))
    state = (place / "var/lib/locum").stat()
    if (state.st_uid, state.st_gid, state.st_mode & 0o777) != (65532, 65532, 0o700):
        wrong.append(f"/var/lib/locum is of {state.st_uid}:{state.st_gid}, mode {state.st_mode & 0o777:o}")
    return wrong


class Served:
    """The container, started with the image's own words: `/etc/locum` and the data are mounted."""

    def __init__(self, buildah: Buildah, container: str, image: dict, folder: Path) -> None:
        self.buildah, self.container, self.config = buildah, container, image["Docker"]["config"]
        self.mounts = {name: folder / name for name in ("etc", "data", "tmp")}
        shutil.rmtree(install(self.mounts["etc"]).parent / "data")
        self.grpc, self.http, metrics = free_ports(3)
        settings = (DEPLOY / "config" / "locumd.toml").read_text()
        for shipped, here in ((8443, self.grpc), (8444, self.http), (9464, metrics)):
            settings = settings.replace(f":{shipped}", f":{here}")
        (self.mounts["etc"] / "locumd.toml").write_text(settings)
        for name in ("data", "tmp"):
            self.mounts[name].mkdir(mode=0o700)
        for file in (self.mounts["data"], self.mounts["tmp"], *self.mounts["etc"].glob("tls/*")):
            os.chown(file, *map(int, NOBODY.split(":")))
        self.process: subprocess.Popen | None = None

    def line(self, *words: str) -> list[str]:
        targets = {"etc": "/etc/locum:ro", "data": "/var/lib/locum", "tmp": "/tmp"}  # noqa: S108
        volumes = [word for name, path in self.mounts.items() for word in ("--volume", f"{path}:{targets[name]}")]
        shell = {"HOME": "/tmp", "LOCUM_ADDR": f"https://localhost:{self.grpc}"}  # noqa: S108
        files = {"CA": "trust/acme.test.pem", "CERT": "tls/plugin.pem", "KEY": "tls/plugin.key"}
        shell |= {f"LOCUM_{name}_FILE": f"/etc/locum/{file}" for name, file in files.items()}
        # What clients read says nothing to a server.
        told = [word for name, value in shell.items() for word in ("--env", f"{name}={value}")]
        return ["run", "--user", NOBODY, *volumes, *told, self.container, "--", *words]

    def says(self, *words: str) -> str:
        for _ in range(TRIES):  # As above.
            if said := self.buildah.says(*self.line(*words)):
                return said
        sys.exit(f"{' '.join(words)} says nothing")

    def start(self) -> None:
        words = self.line(*self.config["Entrypoint"], *self.config["Cmd"])
        log = self.mounts["tmp"].parent.joinpath("log").open("ab")
        self.process = subprocess.Popen([*self.buildah.line, *words], env=self.buildah.environment, stderr=log)
        health = self.config["Healthcheck"]["Test"]
        equal("how the health check is asked", health[0], "CMD")
        until = time.monotonic() + SECONDS_MAX
        while self.buildah.run(*self.line(*health[1:])).returncode != 0:
            if time.monotonic() > until or self.process.poll() is not None:
                sys.exit(f"it never is healthy:\n{self.mounts['tmp'].parent.joinpath('log').read_text()[-3000:]}")

    def stop(self) -> None:
        """As an engine does: the image's signal, to its first process."""
        self.signal(signal.Signals[self.config["StopSignal"]])
        equal("how it ends", self.process.wait(SECONDS_MAX), 0)

    def end(self) -> None:
        """Whatever happened: nothing is left running."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.process.wait(SECONDS_MAX)

    def signal(self, number: signal.Signals) -> None:
        (server,) = (pid for pid in descendants(self.process.pid) if name_of(pid) == "locumd")
        os.kill(server, number)


def descendants(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    children = {int(child) for thread in threads for child in (thread / "children").read_text().split()}
    return [found for child in children for found in (child, *descendants(child))]


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def serves(served: Served) -> None:
    try:
        over_two_starts(served)
    finally:
        served.end()


def over_two_starts(served: Served) -> None:
    served.start()
    locum, scope = "/usr/bin/locum", ("--scope", "orders:read=order/1881")
    task = served.says(locum, "task", "start", "refund-order", *scope, "--lease", "5m", "--justification", "a drill")
    first = served.says(locum, "token", "request", task, "orders", *scope)
    served.stop()
    served.start()
    second = served.says(locum, "token", "request", task, "orders", *scope)
    equal("parts of both tokens", [len(token.split(".")) for token in (first, second)], [3, 3])
    equal("two tokens of one task", first != second, True)
    served.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description="Builds the container image and runs it.")
    parser.add_argument("--buildah", required=True)
    parser.add_argument("--packages", type=Path, required=True, metavar="FOLDER", help="libc6 and libgcc-s1, unpacked")
    parser.add_argument("binaries", type=Path, metavar="FOLDER", help="with locumd and locum")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="locum-container-") as name:
        folder = Path(name)
        buildah = Buildah(asked.buildah, folder)
        made = context(folder / "context", asked.binaries.resolve(), asked.packages.resolve())
        policy = folder / "policy.json"
        policy.write_text('{"default": [{"type": "insecureAcceptAnything"}]}')  # Nothing is fetched.
        trusting = ("--signature-policy", str(policy))
        buildah.says(
            "bud", *trusting, "--format", "docker", "--tag", "locumd", "--file", str(made / "Containerfile"), str(made)
        )
        image = json.loads(buildah.says("inspect", "--type", "image", "localhost/locumd"))
        wrong = settings(image)
        container = buildah.says("from", *trusting, "localhost/locumd")
        wrong += behaviour(buildah, container, folder)
        try:
            if not wrong:
                serves(Served(buildah, container, image, folder))
        finally:
            buildah.run("umount", container)
            buildah.run("rm", container)
        size = buildah.says("images", "--format", "{{.Size}}", "localhost/locumd")
    if wrong:
        print(*wrong, sep="\n")
        return 1
    print(f"the image builds ({size}) and runs: version, demo, a server over two starts; no shell, not root")
    return 0


if __name__ == "__main__":
    sys.exit(main())
