"""A plugin in Python over plain grpcio: refunds one order, with a credential for each call and none afterwards.

    pip install grpcio grpcio-tools grpcio-status
    mkdir -p stubs
    python -m grpc_tools.protoc -I proto --python_out=stubs --grpc_python_out=stubs proto/locum/broker/v1/*.proto

    export LOCUM_ADDR=… LOCUM_CA_FILE=… LOCUM_CERT_FILE=… LOCUM_KEY_FILE=…   # the plugin's own
    ORDERS_ADDR=127.0.0.1:8080 PYTHONPATH=stubs python examples/plugin.py 1881

What to copy from here:

1. `Task` opens a task for the bounded piece of work, keeps its lease in the background, and ends it however
   the block is left: completed, or failed with an exception.
2. `Tokens` holds a token for one kind of call and asks for the next in time. A token goes into a header, never
   into a variable of the environment, a prompt or a log.
3. A retry of a call whose answer was lost shows the same `request_id`, so that nothing is done twice.
4. `reason` finds out why something was refused. Decide by it, never by the message.
"""

import hashlib
import os
import secrets
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from locum.broker.v1 import scope_pb2 as scope
from locum.broker.v1 import task_service_pb2 as task
from locum.broker.v1 import task_service_pb2_grpc, token_service_pb2_grpc
from locum.broker.v1 import token_service_pb2 as token

SECONDS_MAX = 10
ATTEMPTS = 3
# Nobody answered, or what was asked may have been done all the same: ask again with the same request id.
TRY_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


class Broker:
    """The connection, by the variables that every client of Locum reads."""

    def __init__(self) -> None:
        def read(variable: str) -> bytes | None:
            return Path(os.environ[variable]).read_bytes() if variable in os.environ else None

        identity = grpc.ssl_channel_credentials(read("LOCUM_CA_FILE"), read("LOCUM_KEY_FILE"), read("LOCUM_CERT_FILE"))
        channel = grpc.secure_channel(urlsplit(os.environ["LOCUM_ADDR"]).netloc, identity)
        self.tasks = task_service_pb2_grpc.TaskServiceStub(channel)
        self.tokens = token_service_pb2_grpc.TokenServiceStub(channel)

    @staticmethod
    def ask(method: grpc.UnaryUnaryMultiCallable, request: object) -> object:
        """Calls, with the assertion where that is who we are; once more where that can help."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return method(request, timeout=SECONDS_MAX, metadata=Broker.assertion())
            except grpc.RpcError as error:
                if error.code() not in TRY_AGAIN or attempt == ATTEMPTS:
                    raise
                time.sleep(0.1 * 2**attempt)
        raise AssertionError("every attempt returns or raises")

    @staticmethod
    def assertion() -> list[tuple[str, str]]:
        """Read each time: the platform writes a new one before the old one expires."""
        file = os.environ.get("LOCUM_ASSERTION_FILE")
        return [("authorization", "Bearer " + Path(file).read_text().strip())] if file else []


class Task:
    """A bounded piece of work; use it with `with`."""

    def __init__(self, broker: Broker, purpose: str, grants: list[scope.Grant], justification: str) -> None:
        self.broker = broker
        self.secret = secrets.token_bytes(32)  # the holder secret: for Locum alone
        self.over = threading.Event()
        asked = task.StartTaskRequest(
            intent=scope.Intent(purpose=purpose, scope=grants),
            holder_sha256=hashlib.sha256(self.secret).digest(),
            justification=justification,
            request_id=secrets.token_hex(16),
        )
        started = broker.ask(broker.tasks.StartTask, asked)
        self.id = started.task.task_id
        self.renew_every = started.task.lease.ToNanoseconds() / 1e9 / 3
        threading.Thread(target=self._keep, daemon=True).start()

    def __enter__(self) -> "Task":
        print(f"{self.id} started")
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        self.over.set()
        outcome = task.TASK_OUTCOME_FAILED if kind else task.TASK_OUTCOME_COMPLETED
        asked = task.EndTaskRequest(task_id=self.id, holder_secret=self.secret, outcome=outcome)
        try:
            self.broker.ask(self.broker.tasks.EndTask, asked)
            print(f"{self.id} ended")
        except grpc.RpcError as error:
            # It was over before, or it lapses now. What went wrong first is what to tell.
            if kind is None:
                raise
            print(f"{self.id} was not ended: {reason(error)}", file=sys.stderr)

    def tokens(self, grant: scope.Grant) -> "Tokens":
        return Tokens(self, grant)

    def _keep(self) -> None:
        """Renews the lease until the task is over; a plugin that dies lets it lapse, and its tokens with it."""
        while not self.over.wait(self.renew_every):
            try:
                asked = task.RenewTaskRequest(task_id=self.id, holder_secret=self.secret)
                self.broker.ask(self.broker.tasks.RenewTask, asked)
            except grpc.RpcError as error:
                print(f"{self.id} was not renewed: {reason(error)}", file=sys.stderr)


class Tokens:
    """Tokens for one kind of call."""

    def __init__(self, of: Task, grant: scope.Grant) -> None:
        self.task, self.grant = of, grant
        self.token, self.good_until = "", 0.0

    def header(self) -> dict[str, str]:
        """For the call at hand."""
        if time.monotonic() >= self.good_until:
            asked = token.IssueTokenRequest(
                task_id=self.task.id,
                holder_secret=self.task.secret,
                scope=[self.grant],
                request_id=secrets.token_hex(16),
            )
            before = time.monotonic()
            issued = self.task.broker.ask(self.task.broker.tokens.IssueToken, asked)
            self.token, self.good_until = issued.token, before + issued.refresh_in.ToNanoseconds() / 1e9
        return {"authorization": "Bearer " + self.token}


def reason(error: grpc.RpcError) -> str:
    """Why it was refused: a code of docs/reference/errors.md, or what gRPC says where nobody answered."""
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return info.reason
    return error.code().name


def refund(order: str, orders_addr: str) -> None:
    resource = f"order/{order}"
    read = scope.Grant(operation="orders:read", resources=[resource])
    back = scope.Grant(operation="orders:refund", resources=[resource])

    def call(method: str, path: str, tokens: Tokens) -> None:
        asked = urllib.request.Request(f"http://{orders_addr}{path}", method=method, headers=tokens.header())
        with urllib.request.urlopen(asked, timeout=SECONDS_MAX) as answer:  # noqa: S310
            print(answer.read().decode())

    with Task(Broker(), "refund-order", [read, back], "the customer sent it back") as work:
        # Two calls, two tokens, neither good for the other call.
        call("GET", f"/orders/{order}", work.tokens(read))
        call("POST", f"/orders/{order}/refund", work.tokens(back))


if __name__ == "__main__":
    for variable, what in (("LOCUM_ADDR", "the broker's address"), ("ORDERS_ADDR", "host:port of the orders API")):
        if variable not in os.environ:
            sys.exit(f"{variable} is not set: {what}")
    try:
        refund(sys.argv[1] if len(sys.argv) > 1 else "1881", os.environ["ORDERS_ADDR"])
    except grpc.RpcError as refused:
        sys.exit(f"refused: {reason(refused)}: {refused.details()}")
    except urllib.error.URLError as failed:
        sys.exit(f"the orders API answered {failed}")
