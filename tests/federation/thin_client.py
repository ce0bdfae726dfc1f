"""A client of forty lines: protobuf messages, one Ed25519 signature, a TLS leaf and a gRPC channel.

    python -m tests.federation.thin_client HOME DIRECTORY ROOT GATEWAY REQUEST

It has a partner's key files (HOME), the folder of the directory's files, the root.json to begin with and the name of a
gateway; REQUEST is a JSON object of the fields of a Read or, with measures, of an Aggregate. Once ``tests.oracle.wire``
has verified the answer, it prints what came of each city, and the rows, as JSON. Of cimfed it uses the generated
messages alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from cimfed.v1 import envelope_pb2, query_pb2, query_service_pb2
from tests.oracle.wire.answers import Answer, read_answer
from tests.oracle.wire.directory import read_directory
from tests.oracle.wire.envelopes import pre_authentication

FEDERATION = "sco"
QUERY = "application/vnd.cimfed.query.v1+protobuf"


def leaf(home: Path, name: str) -> tuple[bytes, bytes]:
    """A key and a certificate for use as a client, issued by the organisation's own key for an hour."""
    issuing = serialization.load_pem_private_key((home / "keys/tls.key").read_bytes(), None)
    issuer = x509.load_pem_x509_certificate((home / "keys/tls.pem").read_bytes())
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    names = [
        x509.UniformResourceIdentifier(f"spiffe://{FEDERATION}/partner/{name}"),
        x509.DNSName(f"{name}.{FEDERATION}.invalid"),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(seconds=30))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(True, *[False] * 8), critical=True)  # digitalSignature
        .add_extension(x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.public_key()), critical=False)
        .sign(issuing, hashes.SHA256())
    )
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(*form), certificate.public_bytes(serialization.Encoding.PEM)


def signed_query(home: Path, gateway: str, request: dict[str, Any]) -> bytes:
    """The payload is what counts; it is signed and never changed again. Gives the request's bytes."""
    now = time.time_ns() // 1000
    query = query_pb2.Query(
        federation=FEDERATION,
        purpose="research",
        via=[gateway],
        issued=now,
        expires=now + 60_000_000,
        nonce=os.urandom(16),
        **{"aggregate" if "measures" in request else "read": request},
    )
    payload = query.SerializeToString()
    key = serialization.load_pem_private_key((home / "keys/access.key").read_bytes(), None)
    signature = envelope_pb2.Signature(
        key_id=hashlib.sha256(key.public_key().public_bytes_raw()).digest(),
        signature=key.sign(pre_authentication(QUERY, payload)),
    )
    envelope = envelope_pb2.Envelope(payload_type=QUERY, payload=payload, signatures=[signature])
    return query_service_pb2.Ask(query=envelope).SerializeToString()


def messages(home: Path, name: str, gateway: str, listed: dict[str, Any], method: str, request: bytes) -> list[bytes]:
    key, certificate = leaf(home, name)
    credentials = grpc.ssl_channel_credentials(listed["issuers"][0].encode(), key, certificate)
    options = (
        ("grpc.ssl_target_name_override", f"{gateway}.{FEDERATION}.invalid"),
        ("grpc.max_receive_message_length", 5 * 1024 * 1024),
        ("grpc.enable_http_proxy", 0),
    )
    with grpc.secure_channel(listed["address"], credentials, options=options) as channel:
        return list(channel.unary_stream(method)(request, timeout=30))


def rows(found: list[bytes], answer: Answer) -> list[dict[str, Any]]:
    """What the verified batches hold."""
    schemas = {
        name: pa.ipc.read_schema(pa.py_buffer(city.schema)) for name, city in answer.cities.items() if city.schema
    }
    batches = (
        pa.ipc.read_record_batch(pa.py_buffer(payload), schemas[name]).to_pylist() for name, payload in answer.batches
    )
    return [row for batch in batches for row in batch]


def main() -> None:
    home, folder, root, gateway, text = sys.argv[1:]
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*.json")}
    directory, request = read_directory(files, Path(root).read_bytes(), time.time_ns() // 1000), json.loads(text)
    listed = directory.served[gateway]
    asked = signed_query(Path(home), gateway, request)
    method = "Aggregate" if "measures" in request else "Read"
    name = Path(home).name
    found = messages(Path(home), name, gateway, listed, f"/cimfed.v1.QueryService/{method}", asked)
    payload = query_service_pb2.Ask.FromString(asked).query.payload
    answer = read_answer(found, gateway, directory, hashlib.sha256(payload).digest(), request["collection"])
    assert answer.coverage is not None
    ours = sorted(module for module in sys.modules if module.startswith("cimfed"))
    outcomes = {line["city"]: [line["outcome"], line["reason"]] for line in answer.coverage["cities"]}
    print(json.dumps({"outcomes": outcomes, "rows": rows(found, answer), "cimfed": ours}, default=str))


if __name__ == "__main__":
    main()
