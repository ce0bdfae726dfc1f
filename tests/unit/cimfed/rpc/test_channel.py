"""Whom a channel trusts."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from cimfed.rpc import clock
from cimfed.trust.tls import IssuingKey, LeafSource, Use
from tests.unit.cimfed.parties import CITY, SCO

DIAL = """
import sys, grpc
from cimfed.rpc.channel import credentials_for, dialling
from cimfed.trust.tls import Issuer, dns_name
address, *issuers = sys.argv[1:]
trusted = [Issuer(open(path, "rb").read()) for path in issuers]
options = dialling(dns_name("sco", "kz.almaty"), address)
channel = grpc.secure_channel(address, credentials_for(trusted, None), options)
try:
    channel.unary_unary("/any/Method")(b"", timeout=60)
except grpc.RpcError as error:
    print(error.code().name)
"""


@pytest.mark.parametrize(("listed", "met"), [(True, "UNIMPLEMENTED"), (False, "UNAVAILABLE")])
def test_a_party_without_issuers_is_met_by_nobody_whomever_the_host_trusts(
    tmp_path: Path, listed: bool, met: str
) -> None:
    issuing = IssuingKey.make(SCO, CITY, clock.now())
    roots = tmp_path / "roots.pem"
    roots.write_bytes(issuing.issuer.pem)
    leaf = LeafSource(issuing, SCO, CITY, Use.SERVER).current(clock.now())
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([(leaf.key_pem, leaf.chain_pem)]))
    server.start()
    try:
        said = subprocess.run(
            [sys.executable, "-c", DIAL, f"127.0.0.1:{port}", *([str(roots)] if listed else [])],
            env={**os.environ, "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(roots)},  # read once in a process
            capture_output=True, text=True, check=True, timeout=120,
        )  # fmt: skip
    finally:
        server.stop(None).wait()
    assert said.stdout.strip() == met
