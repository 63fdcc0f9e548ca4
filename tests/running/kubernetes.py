"""The Kubernetes files as a cluster would meet them, as far as that goes without one.

Rendered by `kubectl kustomize`; judged by Kubernetes' own JSON schemas, strictly; held against the restricted
pod security standard; the ConfigMaps laid out as the kubelet does (links to a hidden folder) and read by
`locumd check-config`; the container file by hadolint; what pages show of kubectl by kubectl. Each judge is also
shown something wrong.
"""

import argparse
import copy
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import kubernetes_validate
import yaml

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
CONTAINERFILE = ROOT / "deploy" / "container" / "Containerfile"
SCHEMAS = "1.32"
COMMANDS_MIN = 8
DRAIN_SECONDS = 10
CLAIMS = {"Namespace", "ServiceAccount", "Service", "StatefulSet", "NetworkPolicy", "PodDisruptionBudget", "ConfigMap"}

Manifest = dict
Problems = list[str]


def rendered(name: str) -> list[Manifest]:
    done = subprocess.run(["kubectl", "kustomize", KUBERNETES / name], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"kubectl kustomize {name}: {done.stderr}")
    return list(yaml.safe_load_all(done.stdout))


def by_schema(manifests: list[Manifest]) -> Problems:
    problems = []
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        try:
            kubernetes_validate.validate(manifest, SCHEMAS, strict=True)
        except kubernetes_validate.ValidationError as wrong:
            problems.append(f"{name}: {wrong.message}")
    return problems


def pods(manifests: list[Manifest]) -> Iterator[tuple[str, dict]]:
    for manifest in manifests:
        if manifest["kind"] in {"StatefulSet", "Deployment"}:
            yield manifest["metadata"]["name"], manifest["spec"]["template"]["spec"]


def restricted(name: str, pod: dict) -> Problems:
    """What the restricted standard asks, and what we ask beyond it."""
    of_pod = pod.get("securityContext", {})
    demands = {
        "runs as root": of_pod.get("runAsNonRoot") is True and of_pod.get("runAsUser", 0) > 0,
        "has no seccomp profile": of_pod.get("seccompProfile", {}).get("type") == "RuntimeDefault",
        "is given a token for the cluster": pod.get("automountServiceAccountToken") is False,
        "shares the host": not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
        "mounts the host": not any("hostPath" in volume for volume in pod.get("volumes", [])),
    }
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        demands |= {
            "may gain privileges": own.get("allowPrivilegeEscalation") is False,
            "keeps capabilities": own.get("capabilities", {}).get("drop") == ["ALL"],
            "may write its file system": own.get("readOnlyRootFilesystem") is True,
            "has no bound of memory": "memory" in container.get("resources", {}).get("limits", {}),
        }
    return [f"{name} {problem}" for problem, well in demands.items() if not well]


def hangs_together(manifests: list[Manifest]) -> Problems:
    """Names that one file says and another means."""
    by_kind = {kind: [m for m in manifests if m["kind"] == kind] for kind in CLAIMS}
    problems = [f"there is no {kind}" for kind, found in by_kind.items() if not found]
    (broker,) = by_kind["StatefulSet"]
    (service,) = by_kind["Service"]
    pod = broker["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    problems += [
        f"the service means `{port['targetPort']}`"
        for port in service["spec"]["ports"]
        if port["targetPort"] not in ports
    ]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        asks = container[probe]["httpGet"]
        if asks["path"] != ("/readyz" if probe == "readinessProbe" else "/livez") or asks["port"] not in ports:
            problems.append(f"{probe} asks {asks}")
    made = {m["metadata"]["name"] for m in by_kind["ConfigMap"]} | {"locum-trust"}
    used = {volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume}
    volumes = {volume["name"] for volume in pod["volumes"]} | {
        c["metadata"]["name"] for c in broker["spec"]["volumeClaimTemplates"]
    }
    problems += [f"nobody makes the ConfigMap `{name}`" for name in used - made]
    problems += [
        f"`{m['name']}` is mounted and no volume" for m in container["volumeMounts"] if m["name"] not in volumes
    ]
    if broker["spec"]["replicas"] != 1 or pod.get("enableServiceLinks") is not False:
        problems.append("there is more than one broker, or the kubelet sets LOCUM_ variables for the service")
    return problems


def fits_the_image(manifests: list[Manifest], containerfile: str) -> Problems:
    """What the pod says of the image, against what the container file and the settings say."""
    (broker,) = (m for m in manifests if m["kind"] == "StatefulSet")
    pod = broker["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (settings,) = (m["data"]["locumd.toml"] for m in manifests if m["metadata"]["name"].startswith("locum-settings"))
    told = tomllib.loads(settings)
    of = {word: rest for word, _, rest in (line.partition(" ") for line in containerfile.splitlines())}
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    listening = {"grpc": told["server"]["grpc"], "https": told["server"]["http"]}
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    named = [told["data_dir"], *told["server"]["tls"].values(), told["registry"]["path"], told["policy"]["dir"]]
    named += [issuer["jwks_file"] for issuer in told["oidc_issuer"]]
    user, group = of["USER"].split(":")
    identity = pod["securityContext"]
    demands = {
        "runs as another user than the image": str(identity["runAsUser"]) == user,
        "runs as another group than the image": {str(identity[key]) for key in ("runAsGroup", "fsGroup")} == {group},
        "says another command": "command" not in container and json.loads(of["CMD"]) == container["args"],
        "opens other ports than the image": {str(port) for port in ports.values()} == set(of["EXPOSE"].split()),
        "opens other ports than the settings": {n: int(at.rpartition(":")[2]) for n, at in listening.items()} == ports,
        "listens on loopback alone": all(at.startswith("0.0.0.0:") for at in listening.values()),  # noqa: S104
        "has settings elsewhere": container["args"][-1] in mounts,
        "names a file that is not mounted": all(any(Path(n).is_relative_to(m) for m in mounts) for n in named),
        "is killed before it has drained": pod["terminationGracePeriodSeconds"] > DRAIN_SECONDS,
    }
    return [f"the pod {problem}" for problem, well in demands.items() if not well]


def laid_out(manifests: list[Manifest], folder: Path) -> Path:
    """`/etc/locum` as the container sees it; the keys and certificates that an operator brings are made here."""
    (broker,) = (m for m in manifests if m["kind"] == "StatefulSet")
    pod = broker["spec"]["template"]["spec"]
    data = {m["metadata"]["name"]: m["data"] for m in manifests if m["kind"] == "ConfigMap"}
    data["locum-trust"] = {"kubernetes.jwks.json": brought_keys()}
    tls = folder / "brought"
    tls.mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1",
         "-keyout", tls / "tls.key", "-out", tls / "tls.crt", "-subj", "/O=locum",
         "-addext", "subjectAltName=DNS:locum.locum.svc.cluster.local"],
        check=True, capture_output=True,
    )  # fmt: skip
    data["locum-tls"] = {name: (tls / name).read_text() for name in ("tls.key", "tls.crt")}
    sources = {}
    for volume in pod["volumes"]:
        named = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
        sources[volume["name"]] = data[named]
    root = folder / "root"
    for mount in pod["containers"][0]["volumeMounts"]:
        target = root / mount["mountPath"].lstrip("/")
        if mount["name"] not in sources:
            target.mkdir(parents=True)
        elif "subPath" in mount:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(sources[mount["name"]][mount["subPath"]])
        else:
            as_the_kubelet(target, sources[mount["name"]])
    settings = root / "etc/locum/locumd.toml"
    moved = settings.read_text().replace('"/etc/locum', f'"{root}/etc/locum').replace('"/var/lib', f'"{root}/var/lib')
    settings.write_text(moved)
    return settings


def as_the_kubelet(target: Path, files: dict[str, str]) -> None:
    hidden = target / "..2026_01_01"
    hidden.mkdir(parents=True)
    (target / "..data").symlink_to(hidden.name)
    for name, text in files.items():
        (hidden / name).write_text(text)
        (hidden / name).chmod(0o440)
        (target / name).symlink_to(f"..data/{name}")


def brought_keys() -> str:
    """The key set that a cluster publishes, from the tests of assertions."""
    return (ROOT / "crates/identity/src/assertion/fixtures/kubernetes.jwks.json").read_text()


def checked(locumd: Path, settings: Path, variables: dict[str, str]) -> subprocess.CompletedProcess:
    command = [locumd, "check-config", "--config", settings]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=variables)


def by_locumd(locumd: Path, manifests: list[Manifest], folder: Path) -> Problems:
    settings = laid_out(manifests, folder)
    good = checked(locumd, settings, {})
    print((good.stdout or good.stderr).strip())
    problems = [] if good.returncode == 0 else ["locumd refuses the ConfigMaps"]
    linked = checked(locumd, settings, {"LOCUM_SERVICE_HOST": "10.0.0.1", "LOCUM_PORT": "tcp://10.0.0.1:8443"})
    if linked.returncode == 0:
        problems.append("service links do no harm, so `enableServiceLinks` need not be said")
    return problems


def by_hadolint(hadolint: Path, folder: Path) -> Problems:
    def said(file: Path) -> str:
        return subprocess.run([hadolint, "--no-color", file], capture_output=True, text=True, check=False).stdout

    problems = said(CONTAINERFILE).splitlines()
    text = CONTAINERFILE.read_text()
    for needed in ("USER 65532:65532", "HEALTHCHECK", "STOPSIGNAL SIGTERM", "--profile shipping"):
        if needed not in text:
            problems.append(f"the container file no longer says {needed}")
    careless = folder / "Containerfile"
    careless.write_text(text.replace(":nonroot", ":latest").replace("USER 65532:65532", "USER root"))
    return problems + ([] if said(careless) else ["hadolint does not mind `latest`"])


def shown_commands() -> Iterator[tuple[str, list[str]]]:
    """Every complete command of kubectl in the prose and the blocks of the pages, with its place."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    for page in listed.stdout.split():
        text = (ROOT / page).read_text()
        for found in re.finditer(r"(?:^|`|\$\()(kubectl [a-z-][^`\n]*)", text, re.MULTILINE):
            # Of `$(kubectl …)` within quotes the rest is not its own.
            command = found[1].partition(')"')[0] if "$(" not in found[1] else found[1]
            yield page, shlex.split(command, comments=True)


def understood(command: list[str]) -> bool:
    """Whether kubectl knows its words and flags: it says no to others before it helps."""
    return subprocess.run([*command, "--help"], capture_output=True, check=False).returncode == 0


def by_kubectl() -> Problems:
    commands = list(shown_commands())
    problems = [
        f"{page}: kubectl does not know `{shlex.join(words)}`" for page, words in commands if not understood(words)
    ]
    if len(commands) < COMMANDS_MIN:
        problems.append(f"only {len(commands)} commands of kubectl are on the pages")
    if understood(["kubectl", "aply", "-k", "base"]) or understood(["kubectl", "apply", "--nonsense"]):
        problems.append("kubectl knows everything")
    return problems


def judges_can_say_no(manifests: list[Manifest]) -> Problems:
    wrong = copy.deepcopy(manifests)
    (broker,) = (m for m in wrong if m["kind"] == "StatefulSet")
    pod = broker["spec"]["template"]["spec"]
    pod["terminationGracePeriod"] = 30
    problems = [] if by_schema(wrong) else ["the schemas do not mind an unknown field"]
    del pod["containers"][0]["securityContext"], pod["securityContext"]
    if len(restricted("broker", pod)) < 5:
        problems.append("a pod without a security context passes")
    if not fits_the_image(manifests, CONTAINERFILE.read_text().replace("USER 65532:65532", "USER 1000:1000")):
        problems.append("another user of the image passes")
    pod["containers"][0]["volumeMounts"][0]["name"] = "nothing"
    pod["enableServiceLinks"] = True
    return problems if len(hangs_together(wrong)) >= 2 else [*problems, "a mount of nothing passes"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hadolint", type=Path, required=True)
    parser.add_argument("locumd", type=Path)
    told = parser.parse_args()
    os.umask(0o022)
    base, plugin = rendered("base"), rendered("plugin")
    problems = by_schema(base + plugin) + hangs_together(base) + fits_the_image(base, CONTAINERFILE.read_text())
    problems += judges_can_say_no(base) + by_kubectl()
    for name, pod in pods(base + plugin):
        problems += restricted(name, pod)
    with tempfile.TemporaryDirectory(prefix="locum-kubernetes-") as name:
        problems += by_locumd(told.locumd, base, Path(name)) + by_hadolint(told.hadolint, Path(name))
    for shared in ("guardrails.cedar", "refunds.cedar"):
        if (KUBERNETES / "base/config" / shared).read_text() != (ROOT / "deploy/policies" / shared).read_text():
            problems.append(f"{shared} is not the one of deploy/policies")
    print(*(problems or [f"{len(base) + len(plugin)} manifests hold"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
