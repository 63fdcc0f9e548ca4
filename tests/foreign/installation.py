"""An installation in a folder: the shipped configuration, registry and policies, and a CA of its own.

`python installation.py FOLDER` writes `locumd.toml` and all that it points at, for `locumd serve` or
`locumd check-config`, and a client certificate for each party of the story. Test keys, one day.
"""

import datetime
import ipaddress
import shutil
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ISSUER = "https://locum.acme.test"
PARTIES = {
    "plugin": "spiffe://acme.test/agents/refunder",
    "backend": "spiffe://acme.test/services/orders-api",
    "operator": "spiffe://acme.test/operators/on-call",
}
LIFE = datetime.timedelta(days=1)

Key = ec.EllipticCurvePrivateKey


class Authority:
    """The CA of trust domain `acme.test`."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "acme.test")])
        self.certificate = (
            _builder(name, name, self.key)
            .add_extension(x509.SubjectAlternativeName([_uri("spiffe://acme.test")]), critical=False)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_key_usage(signs_certificates=True), critical=True)
            .sign(self.key, hashes.SHA256())
        )

    def issue(self, names: list[x509.GeneralName]) -> tuple[bytes, bytes]:
        """Certificate and key as PEM."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (
            _builder(x509.Name([]), self.certificate.subject, key)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM), _pem(key)


def install(folder: Path) -> Path:
    """Writes everything; answers the settings file."""
    authority = Authority()
    _certificates(folder, authority)
    shutil.copytree(DEPLOY / "policies", folder / "policies")
    shutil.copy(DEPLOY / "registry" / "registry.toml", folder / "registry.toml")
    settings = (DEPLOY / "config" / "locumd.toml").read_text()
    for shipped, here in (
        ("/etc/locum", str(folder)),
        ("/var/lib/locum", str(folder / "data")),
        ('"0.0.0.0:8443"', '"127.0.0.1:0"'),
        ('"0.0.0.0:8444"', '"127.0.0.1:0"'),
        ('"127.0.0.1:9464"', '"127.0.0.1:0"'),
    ):
        if shipped not in settings:
            raise SystemExit(f"the shipped configuration no longer says {shipped}")
        settings = settings.replace(shipped, here)
    (folder / "data").mkdir(mode=0o700)
    file = folder / "locumd.toml"
    file.write_text(settings)
    return file


def _certificates(folder: Path, authority: Authority) -> None:
    for part in ("tls", "trust"):
        (folder / part).mkdir(parents=True)
    root = authority.certificate.public_bytes(serialization.Encoding.PEM)
    (folder / "trust" / "acme.test.pem").write_bytes(root)
    host = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    issued = {"server": authority.issue(host)}
    issued |= {party: authority.issue([_uri(spiffe_id)]) for party, spiffe_id in PARTIES.items()}
    for party, (certificate, key) in issued.items():
        (folder / "tls" / f"{party}.pem").write_bytes(certificate)
        secret = folder / "tls" / f"{party}.key"
        secret.touch(mode=0o600)
        secret.write_bytes(key)


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + LIFE)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def _pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    print(install(Path(sys.argv[1])))
