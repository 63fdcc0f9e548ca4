"""The whole story, told to a running locumd by programs that are not ours.

grpcio speaks the contract over mutual TLS, PyJWT verifies the tokens against the published keys.
A plugin starts a task and gets tokens, a backend checks them, the task ends, an operator revokes;
after each step what must hold is asserted, refusals by their google.rpc.ErrorInfo reason.

The broker has to run with the shipped registry and policies (deploy/registry, deploy/policies) and
nothing else using the workload `refunder`. Exit code 0 when everything held.
"""

import argparse
import hashlib
import secrets
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import contract
import grpc
import jwt
from google.rpc import error_details_pb2
from grpc_status import rpc_status

AUDIENCE = "https://orders.acme.test"
WORKLOAD = "refunder"
ORDER = "order/4711"
READ = "orders:read"
REFUND = "orders:refund"
PURPOSE = "refund-order"
DOMAIN = "locum.dev"
DEADLINE_SECONDS = 10

Call = Callable[[], object]


class Broken(Exception):
    """Something did not hold."""


@dataclass
class HeldTask:
    """A task and the secret that proves who holds it."""

    task_id: str
    secret: bytes


def tell(story: "Story") -> int:
    """Chapter by chapter, until one does not hold; answers the exit code."""
    began = time.monotonic()
    for chapter in story.chapters():
        started = time.monotonic()
        try:
            chapter()
        except (Broken, jwt.PyJWTError) as broken:
            print(f"FAILED  {chapter.__name__}: {broken}")
            return 1
        except grpc.RpcError as error:
            print(f"FAILED  {chapter.__name__}: {error.code().name} {reason_of(error)}: {error.details()}")
            return 1
        print(f"ok      {chapter.__name__} ({time.monotonic() - started:.2f} s)", flush=True)
    print(f"{story.title} holds, {len(story.chapters())} chapters in {time.monotonic() - began:.2f} s", flush=True)
    return 0


def arguments(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--grpc", required=True, metavar="HOST:PORT")
    parser.add_argument("--https", required=True, metavar="URL", help="where the key set is, without its path")
    parser.add_argument("--issuer", required=True, metavar="URL", help="as in `iss`")
    parser.add_argument("--ca", required=True, type=Path, metavar="FILE", help="whom the server's certificate is from")
    parser.add_argument("--server-name", metavar="NAME", help="in the server's certificate, if not the host's")
    for who in ("plugin", "backend", "operator"):
        parser.add_argument(f"--{who}-cert", required=True, type=Path, metavar="FILE")
        parser.add_argument(f"--{who}-key", required=True, type=Path, metavar="FILE")
    return parser


class Story:
    """The parties and what they do, in order."""

    title = "the story"

    def __init__(self, told: argparse.Namespace) -> None:
        self.told = told
        self.plugin = self.channel(told.plugin_cert, told.plugin_key)
        self.backend = self.channel(told.backend_cert, told.backend_key)
        self.operator = self.channel(told.operator_cert, told.operator_key)
        self.tasks = contract.task_rpc.TaskServiceStub(self.plugin)
        self.tokens = contract.token_rpc.TokenServiceStub(self.plugin)
        self.checks = contract.check_rpc.CheckServiceStub(self.backend)
        self.revocations = contract.revocation_rpc.RevocationServiceStub(self.operator)

    def chapters(self) -> list[Callable[[], None]]:
        return [
            self.a_task_and_its_token,
            self.a_retry_is_the_same_task,
            self.foreign_verification,
            self.authorized_to_the_letter,
            self.ended_with_the_task,
            self.used_once,
            self.revoked_by_an_operator,
            self.strangers_are_refused,
            self.compressed_requests_are_refused,
            self.unknown_methods_are_refused,
        ]

    # The chapters.

    def a_task_and_its_token(self) -> None:
        task = self.start_task()
        asks = contract.token.IssueTokenRequest
        thief = asks(task_id=task.task_id, holder_secret=secrets.token_bytes(32), scope=[grant(READ, ORDER)])
        refused("PERMISSION_DENIED", "TASK_NOT_HELD", lambda: self.tokens.IssueToken(thief, timeout=DEADLINE_SECONDS))
        wider = asks(task_id=task.task_id, holder_secret=task.secret, scope=[grant(READ, "order/1")])
        refused(
            "PERMISSION_DENIED",
            "SCOPE_BEYOND_INTENT",
            lambda: self.tokens.IssueToken(wider, timeout=DEADLINE_SECONDS),
        )
        issued = self.issue(task, READ)
        equal("audience", issued.audience, AUDIENCE)
        answer = self.introspect(issued.token)
        equal("active", answer.active, True)
        equal("jti", answer.token.jti, issued.jti)
        equal("task", answer.token.task_id, task.task_id)
        equal("audience", answer.token.audience, AUDIENCE)
        equal("scope", [(g.operation, list(g.resources)) for g in answer.token.scope], [(READ, [ORDER])])
        garbage = self.introspect(issued.token[:-8] + "AAAAAAAA")
        equal("a forged token", garbage, contract.check.IntrospectTokenResponse(active=False))
        self.end_task(task)

    def a_retry_is_the_same_task(self) -> None:
        request_id = secrets.token_hex(16)
        secret = secrets.token_bytes(32)
        first = self.start_task(secret=secret, request_id=request_id)
        second = self.start_task(secret=secret, request_id=request_id)
        equal("task of the retry", second.task_id, first.task_id)
        refused(
            "FAILED_PRECONDITION",
            "REQUEST_ID_REUSED",
            lambda: self.start_task(secret=secrets.token_bytes(32), request_id=request_id),
        )
        self.end_task(first)

    def foreign_verification(self) -> None:
        task = self.start_task()
        issued = self.issue(task, READ)
        header = jwt.get_unverified_header(issued.token)
        equal("header", sorted(header), ["alg", "kid", "typ"])
        equal("typ", header["typ"], "at+jwt")
        claims = self.verified(issued.token, AUDIENCE)
        equal("jti", claims["jti"], issued.jti)
        equal("exp", claims["exp"], issued.expire_time.seconds)
        equal("scope", claims["scope"].split()[0].startswith(READ), True)
        equal("life of at most a minute", 0 < claims["exp"] - claims["iat"] <= 60, True)
        self.rejected(issued.token, "https://mail.acme.test", jwt.InvalidAudienceError)
        self.rejected(issued.token[:-8] + "AAAAAAAA", AUDIENCE, jwt.InvalidSignatureError)
        self.end_task(task)

    def authorized_to_the_letter(self) -> None:
        task = self.start_task()
        issued = self.issue(task, READ)
        equal("read", self.authorize(issued.token, READ, ORDER).permitted, True)
        for operation, resource in ((REFUND, ORDER), (READ, "order/4712")):
            answer = self.authorize(issued.token, operation, resource)
            equal(f"{operation} on {resource}", (answer.permitted, answer.insufficient_scope), (False, True))
        self.end_task(task)
        answer = self.authorize(issued.token, READ, ORDER)
        equal("after the task", answer, contract.check.AuthorizeResponse(permitted=False))

    def ended_with_the_task(self) -> None:
        task = self.start_task()
        issued = self.issue(task, READ)
        equal("while the task is active", self.introspect(issued.token).active, True)
        self.end_task(task)
        equal("after it", self.introspect(issued.token), contract.check.IntrospectTokenResponse(active=False))
        refused("FAILED_PRECONDITION", "TASK_ENDED", lambda: self.issue(task, READ))
        # The signature alone still holds: who cannot ask has to wait for `exp`.
        self.verified(issued.token, AUDIENCE)

    def used_once(self) -> None:
        task = self.start_task()
        issued = self.issue(task, REFUND)
        answer = self.introspect(issued.token)
        equal("limited", (answer.token.use_limited, answer.token.uses_left), (True, 1))
        equal("the first use", self.authorize(issued.token, REFUND, ORDER).permitted, True)
        equal("the second use", self.authorize(issued.token, REFUND, ORDER).permitted, False)
        self.end_task(task)

    def revoked_by_an_operator(self) -> None:
        task = self.start_task()
        issued = self.issue(task, READ)
        equal("before", self.introspect(issued.token).active, True)
        selector = contract.selector.Selector(workload=WORKLOAD)
        preview = self.revocations.PreviewRevoke(
            contract.revocation.PreviewRevokeRequest(selector=selector), timeout=DEADLINE_SECONDS
        )
        equal("tokens that would die, at least one", preview.tokens >= 1, True)
        equal("still", self.introspect(issued.token).active, True)
        request = contract.revocation.RevokeRequest(selector=selector, reason="the story")
        revoked = self.revocations.Revoke(request, timeout=DEADLINE_SECONDS)
        equal("matches", [(match.level, match.name) for match in revoked.matches], [("workload", WORKLOAD)])
        equal("after", self.introspect(issued.token), contract.check.IntrospectTokenResponse(active=False))
        refused("FAILED_PRECONDITION", "TASK_REVOKED", lambda: self.issue(task, READ))
        fresh = self.start_task()
        equal("a new task's token", self.introspect(self.issue(fresh, READ).token).active, True)
        self.end_task(fresh)

    def strangers_are_refused(self) -> None:
        request = contract.check.IntrospectTokenRequest(token="x", connector="orders")
        plugin = contract.check_rpc.CheckServiceStub(self.plugin)
        refused(
            "PERMISSION_DENIED",
            "CONNECTOR_NOT_SERVED",
            lambda: plugin.IntrospectToken(request, timeout=DEADLINE_SECONDS),
        )
        operator = contract.task_rpc.TaskServiceStub(self.operator)
        listing = contract.task.ListTasksRequest()
        refused(
            "PERMISSION_DENIED",
            "ROLE_MISSING",
            lambda: operator.ListTasks(listing, timeout=DEADLINE_SECONDS),
        )
        revocations = contract.revocation_rpc.RevocationServiceStub(self.plugin)
        revoke = contract.revocation.RevokeRequest(
            selector=contract.selector.Selector(workload=WORKLOAD), reason="not an operator"
        )
        refused("PERMISSION_DENIED", "ROLE_MISSING", lambda: revocations.Revoke(revoke, timeout=DEADLINE_SECONDS))

    def compressed_requests_are_refused(self) -> None:
        # Long and dull, so that compressing it pays and is really done.
        request = contract.check.IntrospectTokenRequest(token="x" * 4096, connector="orders")
        expect_code(
            "UNIMPLEMENTED",
            lambda: self.checks.IntrospectToken(request, timeout=DEADLINE_SECONDS, compression=grpc.Compression.Gzip),
        )
        equal("the same uncompressed", self.introspect("x" * 4096).active, False)

    def unknown_methods_are_refused(self) -> None:
        for path in ("/locum.broker.v1.TokenService/SignAnything", "/locum.none.v1.Nothing/Call"):
            method = self.plugin.unary_unary(path)
            expect_code("UNIMPLEMENTED", lambda method=method: method(b"", timeout=DEADLINE_SECONDS))

    # What the parties do.

    def start_task(self, secret: bytes | None = None, request_id: str = "", scope: Sequence[object] = ()) -> HeldTask:
        secret = secret or secrets.token_bytes(32)
        scope = scope or [grant(READ, ORDER), grant(REFUND, ORDER)]
        request = contract.task.StartTaskRequest(
            intent=contract.scope.Intent(purpose=PURPOSE, scope=scope),
            holder_sha256=hashlib.sha256(secret).digest(),
            justification="the customer returned order 4711",
            request_id=request_id,
        )
        started = self.tasks.StartTask(request, timeout=DEADLINE_SECONDS)
        equal("state", started.task.state, contract.task.TASK_STATE_ACTIVE)
        return HeldTask(started.task.task_id, secret)

    def issue(self, task: HeldTask, operation: str, resource: str = ORDER) -> object:
        request = contract.token.IssueTokenRequest(
            task_id=task.task_id, holder_secret=task.secret, scope=[grant(operation, resource)]
        )
        return self.tokens.IssueToken(request, timeout=DEADLINE_SECONDS)

    def end_task(self, task: HeldTask) -> None:
        request = contract.task.EndTaskRequest(
            task_id=task.task_id, holder_secret=task.secret, outcome=contract.task.TASK_OUTCOME_COMPLETED
        )
        ended = self.tasks.EndTask(request, timeout=DEADLINE_SECONDS)
        equal("state", ended.task.state, contract.task.TASK_STATE_ENDED)

    def introspect(self, token: str) -> object:
        request = contract.check.IntrospectTokenRequest(token=token, connector="orders")
        return self.checks.IntrospectToken(request, timeout=DEADLINE_SECONDS)

    def authorize(self, token: str, operation: str, resource: str) -> object:
        request = contract.check.AuthorizeRequest(token=token, operation=operation, resource=resource)
        return self.checks.Authorize(request, timeout=DEADLINE_SECONDS)

    def verified(self, token: str, audience: str) -> dict:
        """What PyJWT makes of a token with nothing but the published keys."""
        trusted = ssl.create_default_context(cafile=self.told.ca)
        keys = jwt.PyJWKClient(f"{self.told.https}/.well-known/jwks.json", ssl_context=trusted)
        return jwt.decode(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["ES256"],
            audience=audience,
            issuer=self.told.issuer,
            options={"require": ["iss", "aud", "exp", "iat", "nbf", "jti", "sub"]},
        )

    def rejected(self, token: str, audience: str, error: type[Exception]) -> None:
        try:
            self.verified(token, audience)
        except error:
            return
        raise Broken(f"a bad token was believed, expected {error.__name__}")

    def channel(self, cert: Path, key: Path) -> grpc.Channel:
        credentials = grpc.ssl_channel_credentials(self.told.ca.read_bytes(), key.read_bytes(), cert.read_bytes())
        name = self.told.server_name
        options = [("grpc.ssl_target_name_override", name)] if name else []
        return grpc.secure_channel(self.told.grpc, credentials, options)


def grant(operation: str, *resources: str) -> object:
    return contract.scope.Grant(operation=operation, resources=resources)


def equal(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise Broken(f"{what}: {found!r}, expected {expected!r}")


def expect_code(code: str, call: Call) -> grpc.RpcError:
    try:
        answer = call()
    except grpc.RpcError as error:
        if error.code().name != code:
            raise Broken(f"{error.code().name} ({error.details()}), expected {code}") from error
        return error
    raise Broken(f"answered {type(answer).__name__}, expected {code}")


def refused(code: str, reason: str, call: Call) -> None:
    """The call is refused with this code and this google.rpc.ErrorInfo reason."""
    equal("reason", reason_of(expect_code(code, call)), reason)


def reason_of(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason if info.domain == DOMAIN else f"of domain {info.domain}"
    return "no google.rpc.ErrorInfo"


if __name__ == "__main__":
    sys.exit(tell(Story(arguments("Tells the whole story to a running locumd.").parse_args())))
