"""A running locumd explored by buf curl and grpcurl, which know the contract by reflection alone.

Both list exactly what proto/ says, ask for health, and start, list and end a task over mutual TLS;
without a certificate they are refused.
"""

import base64
import hashlib
import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import contract
from story import DEADLINE_SECONDS, DOMAIN, ORDER, PURPOSE, READ, Broken, Story, arguments, equal, tell

HEALTH = "grpc.health.v1.Health"
TASKS = "locum.broker.v1.TaskService"
DETAILS = ["google.rpc.ErrorInfo", "google.rpc.RequestInfo"]
NOT_FOUND = 5
UNAUTHENTICATED = 16

Command = list[str | Path]


class Reflection(Story):
    """A person with a terminal and no proto files."""

    title = "reflection"

    def chapters(self) -> list[Callable[[], None]]:
        return [self.buf_curl_over_v1, self.buf_curl_over_v1alpha, self.grpcurl_over_v1alpha]

    def buf_curl_over_v1(self) -> None:
        self.buf_curl("v1")

    def buf_curl_over_v1alpha(self) -> None:
        self.buf_curl("v1alpha")

    def buf_curl(self, version: str) -> None:
        told, url = self.told, f"https://{self.told.grpc}"
        stranger = [told.buf, "curl", "--protocol", "grpc", "--reflect-protocol", f"grpc-{version}"]
        stranger += ["--cacert", told.ca]
        plugin = [*stranger, "--cert", told.plugin_cert, "--key", told.plugin_key]
        methods = set(lines([*plugin, "--list-methods", url]))
        listed(version, set(lines([*plugin, "--list-services", url])), methods)
        called(lambda method: [*plugin, "--data", "@-", f"{url}/{method}"])
        # As buf has it: the code, shifted by three bits.
        ended_with(UNAUTHENTICATED << 3, [*stranger, "--data", "@-", f"{url}/{TASKS}/ListTasks"])
        said = json.loads(refusal(NOT_FOUND << 3, [*plugin, "--data", "@-", f"{url}/{TASKS}/GetTask"]))
        # buf names the details' types and leaves their bytes as they are.
        equal("details", [detail["type"] for detail in said["details"]], DETAILS)

    def grpcurl_over_v1alpha(self) -> None:
        told = self.told
        stranger = [told.grpcurl, "-cacert", told.ca]
        plugin = [*stranger, "-cert", told.plugin_cert, "-key", told.plugin_key]
        services = set(lines([*plugin, told.grpc, "list"]))
        dotted = [line for service in services for line in lines([*plugin, told.grpc, "list", service])]
        listed("v1alpha", services, {"/".join(line.rsplit(".", 1)) for line in dotted})
        called(lambda method: [*plugin, "-d", "@", told.grpc, method])
        # As grpcurl has it: the code, and 64.
        ended_with(UNAUTHENTICATED + 64, [*stranger, "-d", "@", told.grpc, f"{TASKS}/ListTasks"])
        said = refusal(NOT_FOUND + 64, [*plugin, "-format-error", "-d", "@", told.grpc, f"{TASKS}/GetTask"])
        details = json.loads(said)["details"]
        equal("details", [detail["@type"].rpartition("/")[2] for detail in details], DETAILS)
        equal("why", (details[0]["reason"], details[0]["domain"]), ("TASK_NOT_FOUND", DOMAIN))
        described = ended_with(0, [*plugin, told.grpc, "describe", "google.rpc.ErrorInfo"])
        equal("the details' type is described", "string reason = 1;" in described, True)


def listed(version: str, services: set[str], methods: set[str]) -> None:
    """They are the contract's, health, and the reflection that was asked."""
    expected = contract.methods() | {f"{HEALTH}/Check", f"{HEALTH}/Watch"}
    expected.add(f"grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
    equal("methods", sorted(methods), sorted(expected))
    equal("services", sorted(services), sorted({method.split("/")[0] for method in expected}))
    print(f"        {len(services)} services and {len(methods)} methods listed")


def called(command: Callable[[str], Command]) -> None:
    """Health, and a task from its start to its end; secrets go through stdin."""
    equal("health", answer(command(f"{HEALTH}/Check"), {}), {"status": "SERVING"})
    secret = secrets.token_bytes(32)
    intent = {"purpose": PURPOSE, "scope": [{"operation": READ, "resources": [ORDER]}]}
    holder = base64.b64encode(hashlib.sha256(secret).digest()).decode()
    asked = {"intent": intent, "holderSha256": holder, "justification": "the customer asks for order 4711"}
    task = answer(command(f"{TASKS}/StartTask"), asked)["task"]
    equal("state", task["state"], "TASK_STATE_ACTIVE")
    active = answer(command(f"{TASKS}/ListTasks"), {"state": "TASK_STATE_ACTIVE"})["tasks"]
    equal("the task is listed", task["taskId"] in [each["taskId"] for each in active], True)
    proof = {"taskId": task["taskId"], "holderSecret": base64.b64encode(secret).decode()}
    ended = answer(command(f"{TASKS}/EndTask"), proof | {"outcome": "TASK_OUTCOME_COMPLETED"})
    equal("state at the end", ended["task"]["state"], "TASK_STATE_ENDED")
    print("        health is SERVING; a task started, listed and ended")


def refusal(code: int, command: Command) -> str:
    """What the command says of a task that does not exist."""
    return ran_to(code, command, {"taskId": "task-1-281474976710655"}).stderr


def answer(command: Command, request: dict) -> dict:
    return json.loads(ended_with(0, command, request))


def lines(command: Command) -> list[str]:
    return ended_with(0, command).split()


def ended_with(code: int, command: Command, request: dict | None = None) -> str:
    return ran_to(code, command, request).stdout


def ran_to(code: int, command: Command, request: dict | None = None) -> subprocess.CompletedProcess:
    """The command, which has to end with this exit code."""
    asked = json.dumps(request or {})
    ran = subprocess.run(
        command, input=asked, capture_output=True, text=True, timeout=3 * DEADLINE_SECONDS, check=False
    )
    if ran.returncode != code:
        raise Broken(f"{command[-1]}: exit code {ran.returncode}, expected {code}: {ran.stderr.strip()}")
    return ran


if __name__ == "__main__":
    parser = arguments("Has a running locumd listed and called by buf curl and grpcurl.")
    parser.add_argument("--buf", required=True, type=Path, metavar="FILE")
    parser.add_argument("--grpcurl", required=True, type=Path, metavar="FILE")
    sys.exit(tell(Reflection(parser.parse_args())))
