"""A copy of this machine that is thrown away, with a systemd of its own as its first process.

The copy is an overlay over `/`, written to memory, in namespaces of its own: mounts, processes, network, names and
groups of processes. Nothing of it stays, no port is taken, and the kernel's own settings can only be read. Its
systemd boots to `basic.target` and knows no unit of this machine's services. Needs root, not a container engine.

`in_a_machine(FILE, WORDS)` runs `FILE --inside FOLDER WORDS` where a `Machine(FOLDER)` can be made.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SYSTEMD = "lib/systemd/systemd"
NEEDS_ROOT = 77
BOOT_SECONDS = 30
RUN_SECONDS = 120
DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
# What a first process does to a kernel or to devices: neither is the copy's own.
NOT_OURS = (
    "systemd-sysctl.service", "systemd-modules-load.service", "systemd-remount-fs.service", "systemd-udevd.service",
    "systemd-journald-audit.socket", "systemd-binfmt.service", "dev-hugepages.mount", "dev-mqueue.mount",
    "sys-fs-fuse-connections.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount",
    "proc-sys-fs-binfmt_misc.automount", "dbus.socket", "dbus.service",
)  # fmt: skip
BOOT = """
echo $$ >{group}/cgroup.procs
exec unshare --mount --pid --ipc --uts --cgroup --fork --kill-child --propagation private -- /bin/sh -c '
  mount -t proc proc {root}/proc
  mount --bind {root}/proc/sys {root}/proc/sys
  mount -o remount,bind,ro {root}/proc/sys
  mount -t cgroup2 cgroup2 {root}/sys/fs/cgroup
  cd {root}
  pivot_root . mnt
  umount --lazy mnt
  exec env -i container=locum PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /{systemd} --system --unit=basic.target --show-status=0 --log-target=journal'
"""


class Machine:
    """The copy, booted. It ends with the process that made it, at the latest by `end`."""

    def __init__(self, scratch: Path, packages: Path | None = None) -> None:
        run("mount", "-t", "tmpfs", "tmpfs", scratch)
        self.root = scratch / "root"
        upper, work, groups = scratch / "upper", scratch / "work", scratch / "groups"
        for folder in (self.root, upper, work, groups):
            folder.mkdir()
        run("mount", "-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", self.root)
        # Never the machine's own: what goes wrong here must not reach it.
        for place in ("dev", "run", "tmp"):
            run("mount", "-t", "tmpfs", "tmpfs", self.root / place)
        for device in DEVICES:
            (self.root / "dev" / device).touch()
            run("mount", "--bind", f"/dev/{device}", self.root / "dev" / device)
        for folder in ("pts", "shm"):
            (self.root / "dev" / folder).mkdir()
        run("mount", "-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", self.root / "dev" / "pts")
        (self.root / "dev" / "ptmx").symlink_to("pts/ptmx")
        run("mount", "-t", "sysfs", "-o", "ro", "sysfs", self.root / "sys")
        if not (self.root / "sys/fs/cgroup").is_mount():
            run("mount", "-t", "tmpfs", "tmpfs", self.root / "sys/fs/cgroup")
        run("mount", "-t", "cgroup2", "cgroup2", groups)
        run("ip", "link", "set", "lo", "up")
        self._bring_systemd(packages)
        self._forget_units()
        self.group = groups / f"locum-machine-{os.getpid()}"
        self.group.mkdir()
        self._boot()

    def _bring_systemd(self, packages: Path | None) -> None:
        """Where this machine has none, the copy has the one of Debian's packages."""
        if self.path(SYSTEMD).exists():
            return
        if packages is None:
            raise SystemExit("there is no systemd here, and no package of it was given")
        shutil.copytree(packages, self.path("packages"))
        run("chroot", self.root, "sh", "-c", "dpkg --install /packages/*.deb")

    def _forget_units(self) -> None:
        """Of this machine's services the copy starts none."""
        shutil.rmtree(self.path("etc/systemd/system"))
        self.path("etc/systemd/system").mkdir()
        for unit in NOT_OURS:
            self.path(f"etc/systemd/system/{unit}").symlink_to("/dev/null")
        # Images of containers forbid packages to start and stop services.
        self.path("usr/sbin/policy-rc.d").unlink(missing_ok=True)

    def _boot(self) -> None:
        line = BOOT.format(group=self.group, root=shlex.quote(str(self.root)), systemd=SYSTEMD)
        self.process = subprocess.Popen(["/bin/sh", "-euc", line])
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        until = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < until:
            self.first = children.read_text().strip()
            if self.first and self._is_up():
                return
            time.sleep(0.05)
        raise SystemExit("the copy's systemd does not boot")

    def _is_up(self) -> bool:
        if not Path("/proc", self.first, "root", "run", "systemd", "system").exists():
            return False
        asked = subprocess.run(
            [*self._entered(), "systemctl", "is-active", "basic.target"], capture_output=True, check=False
        )
        return asked.returncode == 0

    def _entered(self) -> list[str]:
        spaces = ["--mount", "--pid", "--ipc", "--uts", "--cgroup", "--root", "--wdns=/"]
        environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        return ["nsenter", f"--target={self.first}", *spaces, "env", "-i", *environment]

    def path(self, name: str) -> Path:
        return self.root / name

    def run(self, *command: str | Path, **environment: str) -> str:
        """What the command says; another exit code than 0 ends the test."""
        settings = [f"{name}={value}" for name, value in environment.items()]
        return run(*self._entered(), *settings, *command)

    def end(self) -> None:
        """Ends every process of the copy, and takes its groups away."""
        self.process.kill()
        self.process.wait()
        (self.group / "cgroup.kill").write_text("1")
        until = time.monotonic() + BOOT_SECONDS
        while "populated 1" in (self.group / "cgroup.events").read_text() and time.monotonic() < until:
            time.sleep(0.02)
        for folder, _, _ in os.walk(self.group, topdown=False):
            os.rmdir(folder)


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=RUN_SECONDS)
    if done.returncode:
        raise SystemExit(f"{shlex.join(map(str, command))} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def in_a_machine(file: str, *words: str | Path) -> int:
    """Runs the file again, where what it mounts is seen by nobody else, in a network of its own."""
    if os.geteuid() != 0:
        print("not possible here: a copy of the machine needs root")
        return NEEDS_ROOT
    scratch = tempfile.mkdtemp(prefix="locum-machine-")
    command = [sys.executable, file, "--inside", scratch, *words]
    ended = subprocess.run(["unshare", "--mount", "--net", "--propagation", "private", *command], check=False)
    # Everything was mounted in there by the child alone: out here it is and stays an empty folder.
    os.rmdir(scratch)
    return ended.returncode
