"""Traces as a collector hears them: OpenTelemetry's own messages for Python, served by grpcio over TLS.

The collector refuses the first batch as unavailable, then takes what comes. A plugin whose calls carry a
`traceparent`, a backend that samples nothing, and an operator without any tell a story; locumd is stopped, and then
every span has to be there once, with parent, names and outcome, and no secret in any of them. A collector
that is gone from the beginning costs the same story nothing.
"""

import argparse
import secrets
import sys
import tempfile
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from installation import ISSUER, PARTIES, install
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.proto.trace.v1 import trace_pb2
from stage import Locumd
from story import ORDER, READ, Broken, Story, arguments, equal, grant, refused

SECONDS_MAX = 30
SERVER = trace_pb2.Span.SPAN_KIND_SERVER
PERMISSION_DENIED = 7
# From closed lists, or proved; nothing else may stand in a span.
NOTED = ("request_id", "workload", "operator", "task_id", "jti", "audience", "reason", "result", "level", "position")
NAMES = {"rpc.system", "rpc.service", "rpc.method", "rpc.grpc.status_code"} | {f"locum.{name}" for name in NOTED}


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what it is told, once it has refused the first batch."""

    def __init__(self) -> None:
        self.batches: list[trace_service_pb2.ExportTraceServiceRequest] = []
        self.refused: trace_service_pb2.ExportTraceServiceRequest | None = None
        self.lock = threading.Lock()

    def Export(  # noqa: N802
        self, request: trace_service_pb2.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> trace_service_pb2.ExportTraceServiceResponse:
        with self.lock:
            if self.refused is None:
                self.refused = request
                context.abort(grpc.StatusCode.UNAVAILABLE, "not yet")
            self.batches.append(request)
        return trace_service_pb2.ExportTraceServiceResponse()

    def spans(self) -> list[trace_pb2.Span]:
        resources = [resource for batch in self.batches for resource in batch.resource_spans]
        return [span for resource in resources for scope in resource.scope_spans for span in scope.spans]


class Traced(Story):
    """The parties, each with its own word on traces."""

    def __init__(self, told: argparse.Namespace) -> None:
        self.trace, self.parent = secrets.token_hex(16), secrets.token_hex(8)
        super().__init__(told)

    def channel(self, certificate: Path, key: Path) -> grpc.Channel:
        sampled = {self.told.plugin_cert: "01", self.told.backend_cert: "00"}.get(certificate)
        channel = super().channel(certificate, key)
        if sampled is None:
            return channel
        return grpc.intercept_channel(channel, Header("traceparent", f"00-{self.trace}-{self.parent}-{sampled}"))

    def tell(self) -> list[str]:
        """A task, a token, a refusal, a check, an end; answers what is secret in it."""
        task = self.start_task()
        token = self.issue(task, READ)
        equal("active", self.introspect(token.token).active, True)
        asked = self.tokens.IssueToken
        wider = grant(READ, "order/1")
        refused(
            "PERMISSION_DENIED", "SCOPE_BEYOND_INTENT", lambda: asked(self.asking(task, wider), timeout=SECONDS_MAX)
        )
        self.end_task(task)
        self.revoked_by_an_operator()
        self.task, self.jti = task.task_id, token.jti
        return [token.token, *token.token.split("."), task.secret.hex(), ORDER]

    @staticmethod
    def asking(task: object, scope: object) -> object:
        from contract import token

        return token.IssueTokenRequest(task_id=task.task_id, holder_secret=task.secret, scope=[scope])


class Header(grpc.UnaryUnaryClientInterceptor):
    """Adds one header to each call."""

    def __init__(self, name: str, value: str) -> None:
        self.header = (name, value)

    def intercept_unary_unary(self, continuation, details, request):  # noqa: ANN001, ANN201
        metadata = [*(details.metadata or ()), self.header]
        return continuation(details._replace(metadata=metadata), request)


def served(folder: Path, collector: Collector) -> tuple[grpc.Server, int]:
    """The collector behind TLS, with the certificate of the installation's server."""
    certificate, key = ((folder / "tls" / f"server.{end}").read_bytes() for end in ("pem", "key"))
    server = grpc.server(ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(collector, server)
    port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([(key, certificate)]))
    server.start()
    return server, port


def traced_by(settings: Path, port: int) -> None:
    """Has locumd tell its traces to this port."""
    text = settings.read_text()
    ca = settings.parent / "trust" / "acme.test.pem"
    section = f'[telemetry]\notlp = "https://localhost:{port}"\notlp_ca_file = "{ca}"\n'
    if "[telemetry]\n" not in text:
        raise SystemExit("the shipped configuration has no section `telemetry`")
    settings.write_text(text.replace("[telemetry]\n", section))


def story_of(folder: Path, addresses: dict[str, str]) -> Traced:
    words = ["--grpc", addresses["grpc"], "--https", f"https://{addresses['http']}", "--issuer", ISSUER]
    words += ["--ca", folder / "trust" / "acme.test.pem"]
    for party in PARTIES:
        words += [f"--{party}-cert", folder / "tls" / f"{party}.pem", f"--{party}-key", folder / "tls" / f"{party}.key"]
    return Traced(arguments(__doc__).parse_args([str(word) for word in words]))


def attributes(span: trace_pb2.Span) -> dict[str, object]:
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def what_is_wrong(collector: Collector, story: Traced, secret: list[str]) -> list[str]:
    spans = collector.spans()
    problems = []

    def has_to(what: str, holds: object) -> None:
        if not holds:
            problems.append(f"{what}: {spans}")

    ids = [span.span_id for span in spans]
    has_to("each span once", len(ids) == len(set(ids)) > 5)
    mine = [span for span in spans if span.trace_id.hex() == story.trace]
    has_to("the plugin's trace", mine and all(span.parent_span_id.hex() == story.parent for span in mine))
    others = [span for span in spans if span not in mine]
    has_to("traces of its own without a parent", others and not any(span.parent_span_id for span in others))
    has_to("what the backend does not sample", not any("Introspect" in span.name for span in spans))
    has_to("the kind", all(span.kind == SERVER and span.flags & 1 for span in spans))
    now = time.time_ns()
    has_to("times", all(now - 60e9 < span.start_time_unix_nano <= span.end_time_unix_nano <= now for span in spans))
    has_to("names of attributes", all(set(attributes(span)) <= NAMES for span in spans))
    has_to("no error of ours", not any(span.status.code for span in spans))
    issues = [attributes(span) for span in mine if span.name == "locum.broker.v1.TokenService/IssueToken"]
    good = [one for one in issues if one.get("locum.jti") == story.jti]
    has_to("the token by its id alone", len(good) == 1 and good[0]["locum.task_id"] == story.task)
    has_to("the workload", all(one["locum.workload"] == PARTIES["plugin"] for one in issues))
    beyond = [one for one in issues if one.get("locum.reason") == "SCOPE_BEYOND_INTENT"]
    has_to("the refusal", [one["rpc.grpc.status_code"] for one in beyond] == [PERMISSION_DENIED])
    operator = [attributes(span) for span in others if span.name.endswith("/Revoke")]
    has_to("the operator by name", operator and all(one["locum.operator"] == "on-call" for one in operator))
    (resource,) = {str(resource.resource) for batch in collector.batches for resource in batch.resource_spans}
    has_to("the service", '"locumd"' in resource and "service.instance.id" in resource)
    retried = {span.span_id for scope in collector.refused.resource_spans[0].scope_spans for span in scope.spans}
    has_to("what was refused at first is told again", retried and retried <= set(ids))
    told = "".join(str(batch) for batch in collector.batches)
    has_to("no secret", not any(one in told for one in secret))
    return problems


def one_story(locumd: Path, collector: Collector | None) -> list[str]:
    """Tells the story with a collector, or with a port that nobody answers."""
    with tempfile.TemporaryDirectory(prefix="locum-traces-") as name:
        folder = Path(name)
        settings = install(folder)
        server, port = served(folder, collector or Collector())
        if collector is None:
            server.stop(None).wait()
        traced_by(settings, port)
        process = Locumd(locumd, settings)
        try:
            addresses = process.listening()
            story = story_of(folder, addresses)
            secret = story.tell()
            until = time.monotonic() + SECONDS_MAX
            # Unavailable at first: the metric tells when a later try was taken.
            while collector and 'result="exported"} 0' in metrics(addresses) and time.monotonic() < until:
                time.sleep(0.1)
        finally:
            ended = process.stop()
        server.stop(None).wait()
    problems = [f"locumd ended with {ended}"] if ended else []
    if collector is None:
        warned = [line for line in process.lines if "takes no spans" in line]
        return problems if len(warned) == 1 else [*problems, f"one warning, not {warned}"]
    print(f"{len(collector.spans())} spans in {len(collector.batches)} batches")
    return problems + what_is_wrong(collector, story, secret)


def metrics(addresses: dict[str, str]) -> str:
    with urllib.request.urlopen(f"http://{addresses['metrics']}/metrics", timeout=SECONDS_MAX) as answer:  # noqa: S310
        return answer.read().decode()


def main() -> int:
    parser = argparse.ArgumentParser(description="Listens to the traces of a locumd of its own.")
    parser.add_argument("locumd", type=Path)
    told = parser.parse_args()
    try:
        problems = one_story(told.locumd, Collector()) + one_story(told.locumd, None)
    except Broken as broken:
        problems = [str(broken)]
    print(*(problems or ["traces hold"]), sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
