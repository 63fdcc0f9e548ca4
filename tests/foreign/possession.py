"""Tokens of a running locumd, bound to keys by DPoP proofs (RFC 9449) that joserfc makes.

A plugin with a key of each kind gets a token for its proof; the API asks about it with the proof of each request.
What nobody could have made for this very request is refused. The broker has to run with the shipped registry and
policies.
"""

import base64
import hashlib
import secrets
import sys
import time
import warnings
from collections.abc import Callable

import contract
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from story import DEADLINE_SECONDS, ORDER, READ, Story, arguments, equal, grant, refused, tell

ISSUE = "/locum.broker.v1.TokenService/IssueToken"
ORIGIN = "https://orders.acme.test"
KINDS = {
    "ES256": lambda: ECKey.generate_key("P-256"),
    "ES384": lambda: ECKey.generate_key("P-384"),
    "EdDSA": lambda: OKPKey.generate_key("Ed25519"),
    "RS256": lambda: RSAKey.generate_key(2048),
}
Key = ECKey | OKPKey | RSAKey

# RFC 9864 would have the name say the curve; the key in the proof says it too.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


class Possession(Story):
    """A plugin proves its key, an API asks."""

    title = "possession"

    def chapters(self) -> list[Callable[[], None]]:
        return [self.every_kind_of_key_is_proved, self.nothing_else_is_a_proof]

    def every_kind_of_key_is_proved(self) -> None:
        task = self.start_task(scope=[grant(READ, ORDER)])
        for algorithm, fresh in KINDS.items():
            key = fresh()
            issued = self.issue_for(task, proof(algorithm, key, ("POST", self.told.issuer + ISSUE)))
            cnf = self.verified(issued.token, ORIGIN)["cnf"]
            equal(f"cnf of {algorithm}, as joserfc has it", cnf, {"jkt": key.thumbprint()})
            shown = proof(algorithm, key, ("GET", f"{ORIGIN}/{ORDER}"), token=issued.token)
            equal(f"{algorithm}, proved", self.asked(issued.token, shown).active, True)
            equal(f"{algorithm}, the same again", self.asked(issued.token, shown).active, False)
            equal(f"{algorithm}, not proved", self.introspect(issued.token).active, False)
            other = proof(algorithm, fresh(), ("GET", f"{ORIGIN}/{ORDER}"), token=issued.token)
            equal(f"{algorithm}, another key", self.asked(issued.token, other).active, False)
        print("        a key of each kind: " + ", ".join(KINDS))
        self.end_task(task)

    def nothing_else_is_a_proof(self) -> None:
        task = self.start_task(scope=[grant(READ, ORDER)])
        key, uri, now = KINDS["ES256"](), self.told.issuer + ISSUE, int(time.time())
        private = key.as_dict(private=True)
        wrong = {
            "another method": proof("ES256", key, ("GET", uri)),
            "another server": proof("ES256", key, ("POST", "https://evil.test" + ISSUE)),
            "too old": proof("ES256", key, ("POST", uri), iat=now - 90),
            "too early": proof("ES256", key, ("POST", uri), iat=now + 90),
            "another typ": proof("ES256", key, ("POST", uri), header={"typ": "JWT"}),
            "a private key in it": proof("ES256", key, ("POST", uri), header={"jwk": private}),
            "another's key in it": proof("ES256", key, ("POST", uri), header={"jwk": public(KINDS["ES256"]())}),
            "a member more": proof("ES256", key, ("POST", uri), header={"kid": "x"}),
            "no jti": proof("ES256", key, ("POST", uri), jti=None),
        }
        for what, shown in wrong.items():
            refused("INVALID_ARGUMENT", "PROOF_INVALID", lambda shown=shown: self.issue_for(task, shown))
            equal(f"{what} is long enough", len(shown) > 100, True)
        issued = self.issue_for(task, proof("ES256", key, ("POST", uri)))
        target = f"{ORIGIN}/{ORDER}"
        for what, shown in {
            "another path": proof("ES256", key, ("GET", f"{ORIGIN}/order/1"), token=issued.token),
            "another token": proof("ES256", key, ("GET", target), token="x.y.z"),
            "no token": proof("ES256", key, ("GET", target)),
            "too old": proof("ES256", key, ("GET", target), token=issued.token, iat=now - 90),
        }.items():
            answer = self.asked(issued.token, shown)
            equal(what, answer, contract.check.IntrospectTokenResponse(active=False))
        print("        refused: " + ", ".join(wrong))
        self.end_task(task)

    def issue_for(self, task: object, shown: str) -> object:
        request = contract.token.IssueTokenRequest(
            task_id=task.task_id, holder_secret=task.secret, scope=[grant(READ, ORDER)]
        )
        return self.tokens.IssueToken(request, timeout=DEADLINE_SECONDS, metadata=[("dpop", shown)])

    def asked(self, token: str, shown: str) -> object:
        presented = contract.check.Presented(
            proof=contract.check.PresentedProof(proof=shown, method="GET", uri=f"{ORIGIN}/{ORDER}")
        )
        request = contract.check.IntrospectTokenRequest(token=token, connector="orders", presented=presented)
        return self.checks.IntrospectToken(request, timeout=DEADLINE_SECONDS)


def public(key: Key) -> dict:
    members = key.as_dict(private=False)
    return {name: members[name] for name in ("kty", "crv", "x", "y", "n", "e") if name in members}


def proof(
    algorithm: str, key: Key, target: tuple[str, str], token: str = "", header: dict | None = None, **claims: object
) -> str:
    said = {"jti": secrets.token_urlsafe(16), "htm": target[0], "htu": target[1], "iat": int(time.time())} | claims
    if token:
        said["ath"] = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
    said = {name: value for name, value in said.items() if value is not None}
    head = {"typ": "dpop+jwt", "alg": algorithm, "jwk": public(key)} | (header or {})
    return jwt.encode(head, said, key, algorithms=[algorithm])


if __name__ == "__main__":
    sys.exit(tell(Possession(arguments("Binds tokens of a running locumd to keys that joserfc holds.").parse_args())))
