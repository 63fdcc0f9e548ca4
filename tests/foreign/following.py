"""A verifier that is not ours: what docs/reference/verifier.md says, in Python, with grpcio and cryptography alone.

It follows the feed of a running locumd as the backend of `orders`. A plugin's tokens are believed, die of what is
revoked at once when `Revoke` says that this is everywhere, and nothing is believed once nobody pings.
"""

import base64
import hashlib
import json
import queue
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator

import contract
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from google.protobuf.duration_pb2 import Duration
from story import AUDIENCE, DEADLINE_SECONDS, READ, WORKLOAD, Broken, HeldTask, Story, arguments, equal, tell

CONNECTOR = "orders"
CONTEXT = b"locum-feed-v1\0"
ALGORITHM = "ES256"
NONCES_MAX = 64
POINT_BYTES = 65
LEVELS = range(1, 11)
TOKEN, TASK, SUBJECT, ACTOR, CONNECTOR_LEVEL, TENANT, OWNER, MODEL, KEY, POLICY = LEVELS


class Stray(Exception):
    """A frame after which only another stream helps."""


class Verifier:
    """What is known of one connector's tokens; `now` is BOOTTIME."""

    def __init__(self, issuer: str, root: str) -> None:
        self.issuer, self.root = issuer, root
        self.lock = threading.Lock()
        self.keys: dict[bytes, tuple[str, ec.EllipticCurvePublicKey]] = {}
        self.key_set = 0
        self.marks: dict[tuple[int, bytes], int] = {}
        self.place: tuple[int, int, int, int, bytes] | None = None
        self.parts: list[object] = []
        self.waiting: dict[bytes, float] = {}
        self.lease_until = 0.0
        self.witness: object = None

    def take(self, frame: object) -> None:
        """Takes a frame as it came."""
        with self.lock:
            known = self.keys.get(frame.kid)
            if known is None or known[0] != "feed":
                self._take_keys(frame)
                return
            signed(known[1], frame)
            said = contract.feed.FeedPayload.FromString(frame.payload)
            if (said.version, said.issuer) != (1, self.issuer):
                raise Stray("not for us")
            body = said.WhichOneof("body")
            if body == "reset":
                self.place, self.lease_until = None, 0.0
            elif body == "snapshot_part":
                self._take_part(said)
            elif body == "delta":
                self._take_delta(said, hashlib.sha256(frame.payload).digest())
            elif body == "heartbeat":
                self._take_heartbeat(said, frame)
            else:
                raise Stray(f"a {body} by a key of the feed")

    def _take_keys(self, frame: object) -> None:
        said = contract.feed.FeedPayload.FromString(frame.payload)
        shown = said.key_set.root
        if thumbprint(shown.public_key) != self.root:
            raise Stray("another root")
        signed(point(shown.public_key), frame)
        if said.issuer != self.issuer or said.key_set.number < self.key_set:
            raise Stray("a set of keys that is not for us, or older")
        keys = [key for key in said.key_set.keys if key.algorithm == ALGORITHM]
        self.keys = {key.kid: (key.purpose, point(key.public_key)) for key in keys}
        self.key_set = said.key_set.number

    def _take_part(self, said: object) -> None:
        part = said.snapshot_part
        self.parts = [] if part.part == 0 else self.parts
        if part.part != len(self.parts):
            raise Stray("a part out of order")
        self.parts.append(part)
        if not part.last:
            return
        entries = [entry for one in self.parts for entry in one.entries]
        whole = hashlib.sha256(b"".join(entry.SerializeToString() for entry in entries)).digest()
        if (len(entries), whole) != (part.count, part.entries_sha256):
            raise Stray("a snapshot that is not whole")
        self._join(entries)
        self.place = (said.home, said.epoch, said.partition, said.sequence, said.previous)

    def _take_delta(self, said: object, digest: bytes) -> None:
        home, epoch, partition, sequence, head = self.place or (0, 0, 0, 0, b"")
        if (said.home, said.epoch, said.partition) != (home, epoch, partition):
            raise Stray("from elsewhere")
        if said.sequence <= sequence:
            return
        self._join(said.delta.entries)
        if said.previous != head:
            self.lease_until = 0.0
            raise Stray("a delta is missing")
        self.place = (home, epoch, partition, said.sequence, digest)

    def _take_heartbeat(self, said: object, frame: object) -> None:
        here = (said.home, said.epoch, said.partition, said.sequence, said.previous)
        if here != self.place or said.heartbeat.key_set != self.key_set:
            self.lease_until = 0.0
            raise Stray("something is missing")
        sent = self.waiting.pop(said.heartbeat.nonce, None)
        if sent is not None:
            self.lease_until = sent + said.heartbeat.lease.ToTimedelta().total_seconds()
            self.witness = frame

    def _join(self, entries: object) -> None:
        for entry in entries:
            if entry.level not in LEVELS:
                raise Stray("a level of another version")
            mark = (entry.level, entry.id)
            self.marks[mark] = max(entry.below_sequence, self.marks.get(mark, 0))

    def begin_stream(self) -> object:
        """The first message of a stream, but for who this is: answers on the one before do not count any more."""
        with self.lock:
            self.waiting, self.parts = {}, []
        first = self.ping()
        if self.witness is not None:
            first.witness.CopyFrom(self.witness)
        return first

    def ping(self) -> object:
        """What to send: a nonce, and how far this is."""
        with self.lock:
            nonce = secrets.token_bytes(16)
            self.waiting[nonce] = now()
            if len(self.waiting) > NONCES_MAX:
                del self.waiting[next(iter(self.waiting))]
            return contract.feed.WatchRevocationsRequest(nonce=nonce, acknowledgement=self._reached())

    def acknowledgement(self) -> object:
        with self.lock:
            return contract.feed.WatchRevocationsRequest(acknowledgement=self._reached())

    def _reached(self) -> object:
        if self.place is None:
            return None
        _home, epoch, _partition, sequence, head = self.place
        return contract.feed.FeedAcknowledgement(epoch=epoch, sequence=sequence, head=head)

    def check(self, token: str) -> str:
        """`active`, `inactive` or `unknown`."""
        with self.lock:
            if now() >= self.lease_until:
                return "unknown"
            try:
                return self._judge(token)
            except (ValueError, KeyError, IndexError, InvalidSignature):
                return "inactive"

    def _judge(self, token: str) -> str:
        header, payload, signature = token.split(".")
        said = json.loads(decoded(header))
        kid = decoded(said["kid"])
        purpose, key = self.keys[kid]
        written = json.dumps({"alg": ALGORITHM, "kid": said["kid"], "typ": "at+jwt"}, separators=(",", ":"))
        if purpose != "token" or decoded(header) != written.encode():
            return "inactive"
        key.verify(der(decoded(signature)), f"{header}.{payload}".encode(), ec.ECDSA(SHA256()))
        claims = json.loads(decoded(payload))
        in_time = claims["nbf"] <= time.time() < claims["exp"]
        if (claims["iss"], claims["aud"], in_time) != (self.issuer, AUDIENCE, True):
            return "inactive"
        flags, place, sequence, partition, targets = standing(claims, kid)
        if place != self.place[:2] or flags & 3:
            return "unknown"
        dead = any(sequence <= self.marks.get(target, -1) for target in targets)
        return "inactive" if dead or partition != self.place[2] else "active"


def standing(claims: dict, kid: bytes) -> tuple[int, tuple[int, int], int, int, list[tuple[int, bytes]]]:
    """What the claim `locum` says: flags, home and epoch, sequence, connector, and all that can kill the token."""
    rest = decoded(claims["locum"])

    def take(count: int) -> bytes:
        nonlocal rest
        taken, rest = rest[:count], rest[count:]
        return taken

    version, flags = take(2)
    if version != 1 or flags > 7:
        raise ValueError("another version")
    place = (number(take(2)), number(take(4)))
    sequence = number(take(6))
    tenant, connector, owner, policy = (take(4) for _ in range(4))
    targets = [(TENANT, tenant), (CONNECTOR_LEVEL, connector), (OWNER, owner), (POLICY, policy)]
    for _ in range(number(take(1))):
        targets += [(ACTOR, take(4)), (OWNER, take(4))]
        targets += [(MODEL, take(4))] if take(1) == b"\1" else []
    targets += [(TASK, take(8)) for _ in range(number(take(1)))]
    subject = hashlib.sha256(tenant + claims["sub"].encode()).digest()[:16]
    targets += [(SUBJECT, subject), (TOKEN, bytes.fromhex(claims["jti"])), (KEY, kid[:16])]
    if rest:
        raise ValueError("more than a claim")
    return flags, place, sequence, number(connector), [(level, value.rjust(16, b"\0")) for level, value in targets]


def signed(key: ec.EllipticCurvePublicKey, frame: object) -> None:
    key.verify(der(frame.signature), CONTEXT + frame.payload, ec.ECDSA(SHA256()))


def point(encoded: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)


def der(signature: bytes) -> bytes:
    if len(signature) != 64:
        raise ValueError("r and s, 32 bytes each")
    return utils.encode_dss_signature(number(signature[:32]), number(signature[32:]))


def thumbprint(encoded: bytes) -> str:
    if len(encoded) != POINT_BYTES:
        return ""
    x, y = (base64url(half) for half in (encoded[1:33], encoded[33:]))
    return base64url(hashlib.sha256(f'{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}'.encode()).digest())


def base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def decoded(text: str) -> bytes:
    octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64url(octets) != text:
        raise ValueError("another spelling")
    return octets


def number(octets: bytes) -> int:
    return int.from_bytes(octets, "big")


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Following(Story):
    """A plugin, an operator, and a backend whose verifier is a stranger's."""

    title = "a verifier of a stranger"

    def __init__(self, told: object) -> None:
        super().__init__(told)
        control = contract.control_rpc.ControlServiceStub(self.operator)
        keys = control.ListKeys(contract.control.ListKeysRequest(), timeout=DEADLINE_SECONDS).keys
        root = next(key.kid for key in keys if (key.purpose, key.state) == ("keyset-root", "active"))
        root = base64url(bytes.fromhex(root)) if len(root) == 64 else root
        self.verifier = Verifier(told.issuer, root)
        self.pings: queue.SimpleQueue = queue.SimpleQueue()
        self.pinging = threading.Event()
        self.trouble: list[Exception] = []
        self.instance = secrets.token_bytes(16)
        self.streams = self.resets = 0
        self.call: object = None

    def chapters(self) -> list[Callable[[], None]]:
        return [
            self.it_follows,
            self.hostile_tokens_are_refused,
            self.every_end_is_heard,
            self.cut_off_it_knows_nothing,
            self.it_comes_back_with_a_witness,
        ]

    def it_follows(self) -> None:
        self.pinging.set()
        for work in (self.follow, self.keep_pinging):
            threading.Thread(target=work, daemon=True).start()
        task = self.start_task()
        token = self.issue(task, READ).token
        self.comes_to(token, "active")
        self.end_task(task)
        self.comes_to(token, "inactive")

    def hostile_tokens_are_refused(self) -> None:
        task = self.start_task()
        one, other = (self.issue(task, READ).token.split(".") for _ in range(2))
        self.comes_to(".".join(one), "active")
        spliced = [[one[0], one[1], other[2]], [one[0], other[1], one[2]], one[:2], [*one, ""], [one[0], one[1], ""]]
        bare = [base64url(b'{"alg":"none","typ":"at+jwt"}'), one[1], ""]
        for parts in [*spliced, bare]:
            self.is_refused("a hostile token", ".".join(parts))
        self.end_task(task)

    def every_end_is_heard(self) -> None:
        for level in ("token", "task", "subject", "workload", "owner", "connector", "tenant"):
            task = self.start_task()
            issued = self.issue(task, READ)
            self.comes_to(issued.token, "active")
            names = self.names_of(issued, task)
            if level not in names:
                continue
            selector = contract.selector.Selector(**{level: names[level]})
            wait = Duration(seconds=DEADLINE_SECONDS)
            request = contract.revocation.RevokeRequest(selector=selector, reason="the story", wait=wait)
            revoked = self.revocations.Revoke(request, timeout=2 * DEADLINE_SECONDS)
            equal("everywhere", (revoked.everywhere, list(revoked.missing)), (True, []))
            # It has acknowledged: no check that starts from here on believes the token.
            self.is_refused(f"a token whose {level} was revoked", issued.token)
            equal("who is asked says so too", self.introspect(issued.token).active, False)

    def cut_off_it_knows_nothing(self) -> None:
        task = self.start_task()
        token = self.issue(task, READ).token
        self.comes_to(token, "active")
        self.pinging.clear()
        self.comes_to(token, "unknown")
        self.pinging.set()
        self.comes_to(token, "active")
        self.end_task(task)

    def it_comes_back_with_a_witness(self) -> None:
        task = self.start_task()
        token = self.issue(task, READ).token
        self.comes_to(token, "active")
        for _ in range(3):
            streams, resets = self.streams, self.resets
            self.call.cancel()
            self.until("another stream", lambda streams=streams: self.streams > streams)
            began = now()
            # A lease that began on this stream.
            self.until("its lease", lambda began=began: self.verifier.lease_until > began + 2)
            equal("told everything once more", self.resets - resets, 0)
            self.comes_to(token, "active")
        self.end_task(task)
        self.comes_to(token, "inactive")

    def names_of(self, issued: object, task: HeldTask) -> dict[str, str]:
        seen = self.introspect(issued.token).token
        return {
            "token": issued.jti,
            "task": task.task_id,
            "subject": seen.subject,
            "workload": WORKLOAD,
            "connector": CONNECTOR,
            "owner": "payments",
            "tenant": "acme",
        }

    def comes_to(self, token: str, expected: str) -> None:
        self.until(expected, lambda: self.verifier.check(token) == expected)

    def is_refused(self, what: str, token: str) -> None:
        """At once, and for good as soon as it may answer."""
        equal(f"{what} is believed", self.verifier.check(token) == "active", False)
        self.comes_to(token, "inactive")

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE_SECONDS
        while not holds():
            if self.trouble or time.monotonic() > end:
                raise Broken(f"{what} does not come: {self.trouble}")
            time.sleep(0.02)

    def follow(self) -> None:
        """One stream after the other, until one ends by anything but our own will."""
        service = contract.feed_rpc.FeedServiceStub(self.backend)
        while not self.trouble:
            self.pings = queue.SimpleQueue()
            self.call = service.WatchRevocations(self.sent(self.pings))
            self.streams += 1
            try:
                for frame in self.call:
                    self.verifier.take(frame)
                    self.resets += contract.feed.FeedPayload.FromString(frame.payload).HasField("reset")
                    # How far it is, as soon as the entries count. A broker reads a thousand of these in a second.
                    if self.verifier.place is not None:
                        self.pings.put(self.verifier.acknowledgement())
            except Exception as error:  # noqa: BLE001
                if not self.call.cancelled():
                    self.trouble.append(error)

    def sent(self, pings: queue.SimpleQueue) -> Iterator[object]:
        first = self.verifier.begin_stream()
        first.connector, first.instance, first.version = CONNECTOR, self.instance, "stranger 1.0"
        yield first
        while True:
            yield pings.get()

    def keep_pinging(self) -> None:
        while True:
            self.pinging.wait()
            self.pings.put(self.verifier.ping())
            time.sleep(0.4)


def main() -> int:
    return tell(Following(arguments("A stranger's verifier follows a running locumd.").parse_args()))


if __name__ == "__main__":
    sys.exit(main())
