"""Tokens of a running locumd, verified by npm's jose and by joserfc with nothing but the published keys.

Each verifier believes a token for its audience, and refuses it with a bit flipped, for another
audience, of another issuer and past its time. The broker has to run with the shipped registry and
policies and a connector `catalogue` that signs with EdDSA (stage.py adds it).
"""

import base64
import json
import os
import re
import ssl
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from joserfc import jwt
from joserfc.errors import BadSignatureError, ClaimError, SecurityWarning
from joserfc.jwk import KeySet
from story import AUDIENCE, DEADLINE_SECONDS, ORDER, READ, Broken, Story, arguments, equal, grant, tell

CATALOGUE = "https://catalogue.acme.test"
BROWSE = "catalogue:read"
ITEM = "item/17"
SIGNATURE = "signature"
JOSE_SIGNATURE = "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"

# RFC 9864 would have the name say the curve; `kid` names the one key either way.
warnings.filterwarnings("ignore", "EdDSA is deprecated", SecurityWarning)


@dataclass(frozen=True)
class Case:
    """What a verifier is asked; `refused` is what it has to hold against the token, if anything."""

    what: str
    refused: str
    token: str
    algorithm: str
    issuer: str
    audience: str
    now: int


class Verification(Story):
    """A plugin gets a token, two strangers verify it."""

    title = "verification"

    def chapters(self) -> list[Callable[[], None]]:
        return [self.es256_is_verified, self.eddsa_is_verified]

    def es256_is_verified(self) -> None:
        self.verified_by_both("ES256", READ, ORDER, AUDIENCE, CATALOGUE)

    def eddsa_is_verified(self) -> None:
        self.verified_by_both("EdDSA", BROWSE, ITEM, CATALOGUE, AUDIENCE)

    def verified_by_both(self, algorithm: str, operation: str, resource: str, audience: str, other: str) -> None:
        task = self.start_task(scope=[grant(operation, resource)])
        issued = self.issue(task, operation, resource)
        now, issuer = int(time.time()), self.told.issuer
        past = issued.expire_time.seconds + 1
        cases = [
            Case("as it is", "", issued.token, algorithm, issuer, audience, now),
            Case("a bit flipped", SIGNATURE, flipped(issued.token), algorithm, issuer, audience, now),
            Case("another audience", "aud", issued.token, algorithm, issuer, other, now),
            Case("another issuer", "iss", issued.token, algorithm, "https://other.test", audience, now),
            Case("past its time", "exp", issued.token, algorithm, issuer, audience, past),
        ]
        for verifier in (self.jose, self.joserfc):
            name = verifier.__name__
            for case, (claims, refused) in zip(cases, verifier(cases), strict=True):
                equal(f"{name}, {case.what}, refused for", refused, case.refused)
                equal(f"{name}, {case.what}, jti", claims.get("jti", ""), "" if refused else issued.jti)
            print(f"        {name} believes {algorithm}, refuses " + ", ".join(case.what for case in cases[1:]))
        self.end_task(task)

    # The verifiers: each answers the claims, or no claims and what it holds against the token.

    def jose(self, cases: list[Case]) -> list[tuple[dict, str]]:
        script = Path(__file__).with_name("verify.mjs")
        ran = subprocess.run(
            ["node", script, self.told.npm.resolve()],
            input=json.dumps({"jwks": self.jwks(), "cases": [asdict(case) for case in cases]}),
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(self.told.ca)},
            capture_output=True,
            text=True,
            timeout=3 * DEADLINE_SECONDS,
            check=False,
        )
        if ran.returncode:
            raise Broken(f"node ended with {ran.returncode}: {ran.stderr}")
        answers = [(answer.get("claims", {}), answer.get("refused", "")) for answer in json.loads(ran.stdout)]
        return [(claims, SIGNATURE if refused == JOSE_SIGNATURE else refused) for claims, refused in answers]

    def joserfc(self, cases: list[Case]) -> list[tuple[dict, str]]:
        trusted = ssl.create_default_context(cafile=self.told.ca)
        with urllib.request.urlopen(self.jwks(), timeout=DEADLINE_SECONDS, context=trusted) as answer:  # noqa: S310
            keys = KeySet.import_key_set(json.load(answer))
        return [joserfc_on(case, keys) for case in cases]

    def jwks(self) -> str:
        return f"{self.told.https}/.well-known/jwks.json"


def joserfc_on(case: Case, keys: KeySet) -> tuple[dict, str]:
    rules = jwt.JWTClaimsRegistry(
        now=case.now,
        iss={"essential": True, "value": case.issuer},
        aud={"essential": True, "value": case.audience},
        exp={"essential": True},
    )
    try:
        token = jwt.decode(case.token, keys, algorithms=[case.algorithm])
        rules.validate(token.claims)
    except BadSignatureError:
        return {}, SIGNATURE
    except ClaimError as error:
        return {}, error.claim
    equal("typ, as joserfc reads it", token.header["typ"], "at+jwt")
    return token.claims, ""


def flipped(token: str) -> str:
    """The token with one bit of `exp` the other way: still JSON, so that nothing but the signature can tell."""
    header, payload, signature = token.split(".")
    claims = bytearray(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    claims[re.search(rb'"exp":\d+', claims).end() - 1] ^= 1
    return ".".join((header, base64.urlsafe_b64encode(claims).rstrip(b"=").decode(), signature))


if __name__ == "__main__":
    parser = arguments("Has tokens of a running locumd verified by jose and joserfc.")
    parser.add_argument("--npm", required=True, type=Path, metavar="FOLDER", help="where node_modules with jose is")
    sys.exit(tell(Verification(parser.parse_args())))
