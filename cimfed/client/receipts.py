"""Receipts: an answer without its rows, which anyone can check later with the directory's root alone.

What ``verify_receipt`` checks, without network and without trusting any part of the receipt:

1. the directory in it follows from that root;
2. the query is signed by an access key that this directory lists, valid when it was issued;
3. each city stands once, is a member and was addressed, and its manifest is signed by the city and bound to the query;
4. the chain of the batch hashes is the one that the manifest signs;
5. the coverage keeps every rule of ``cimfed.client.settle`` (but for the total, whose parts are rows), and the
   manifests are all there; without a coverage there is just one city, asked directly;
6. the directory was in force when it was answered; what was revoked or suspended then counts for nothing;
7. where it has a part of a city's log, that shows the decision on the query (``cimfed.client.logged``).

``cimfed.client.complete`` asks cities for 7, once their logs have a checkpoint with the decision.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from cimfed.client import logged, settle
from cimfed.client.columns import Said
from cimfed.client.coverage import Coverage, of_outcomes
from cimfed.client.logged import Asking, Logged, Signed
from cimfed.client.verify import Verifier
from cimfed.errors import (
    BadAnswer,
    BadDirectory,
    BadSignature,
    ChainBroken,
    CimfedError,
    CoverageMismatch,
    Forged,
)
from cimfed.model.answer import Manifest
from cimfed.model.instants import instant_text
from cimfed.model.limits import LIMITS
from cimfed.model.names import CityName, PartnerName
from cimfed.model.texts import plain
from cimfed.query.query import Query
from cimfed.trust.answer import Asked, check_counts, open_manifest
from cimfed.trust.chain import Chain
from cimfed.trust.directory import proof
from cimfed.trust.directory.listing import AccessKey, Directory
from cimfed.trust.envelope import Envelope, PayloadType, verify
from cimfed.wire.answers import decode_manifest
from cimfed.wire.batches import read_schema_message
from cimfed.wire.queries import decode_query
from cimfed.wire.receipts import CityReceipt, Receipt, decode_receipt, encode_receipt


@dataclass(frozen=True)
class Report:
    """What a receipt proves. ``answered_at``: microseconds since the epoch, by the gateway's or the city's clock.

    ``logged``: of the cities whose decision is shown to be in their log. ``signers``: whose keys signed a part of it.
    """

    organisation: PartnerName
    query: Query
    answered_at: int
    directory_version: int
    coverage: Coverage
    schemas: Mapping[CityName, pa.Schema]
    logged: Mapping[CityName, Logged]
    manifests: Mapping[CityName, Manifest]
    signers: tuple[Signed, ...]
    asking: Asking
    directory: Directory

    @property
    def log_lines(self) -> list[str]:
        """A line for each city that decided: how far its decision is proven to be in its log."""
        return [f"{city}: {self.logged.get(city) or 'no proof of the log yet'}" for city in sorted(self.manifests)]

    def __str__(self) -> str:
        request = self.query.request
        return "\n".join(
            (
                f"{self.organisation} asked {type(request).__name__.lower()} {request.collection or ''}".rstrip()
                + f" for {plain(self.query.purpose)} on {instant_text(self.query.issued)}",
                f"answered {instant_text(self.answered_at)} under version {self.directory_version} of the directory"
                + (f", through {self.coverage.gateway}" if self.coverage.gateway else ", directly"),
                f"{self.coverage.rows} rows",
                "",
                self.coverage.table(),
                *(("", *self.log_lines) if self.manifests else ()),
            )
        )


def make_receipt(query: Envelope, verifier: Verifier) -> bytes:
    """Of an answer that was verified to its end."""
    return encode_receipt(
        Receipt(
            query=query,
            cities=tuple(
                CityReceipt(city, answer.schema or b"", tuple(answer.batch_hashes), answer.ending[1])
                for city, answer in sorted(verifier.cities.items())
                if answer.ending is not None
            ),
            coverage=verifier.coverage[1] if verifier.coverage else None,
            directory=proof.for_receipt(
                verifier.directory, [key.organisation for key in _hinted(query, verifier.directory)]
            ),
        )
    )


def verify_receipt(data: bytes, root: bytes) -> Report:
    """What the receipt proves, or the DataLoss of the check that fails."""
    return opened(decode_receipt(data), root)


def opened(receipt: Receipt, root: bytes) -> Report:
    """As ``verify_receipt``, of one that is decoded."""
    # 1
    try:
        directory = proof.read(receipt.directory, root, at=0)  # 6 looks at its dates
        directory = directory.as_of(directory.issued)
    except BadDirectory as error:
        raise Forged(f"the receipt's directory: {error.message}", remedy=error.remedy) from None
    # 2
    query, access = _query(receipt.query, directory)
    signers = [Signed(access.organisation, access.key)]
    asked = Asked(receipt.query.payload_hash, query.federation, query.request.collection or "")
    # 3, 4
    endings: dict[CityName, settle.Ending | None] = {}
    schemas: dict[CityName, pa.Schema] = {}
    for item in receipt.cities:
        if item.city in endings:
            raise BadAnswer(f"the receipt holds {item.city[:100]} twice")
        endings[item.city] = _ending(item, asked, query, directory), item.manifest
        keys = directory.member(item.city).keys
        signers.append(Signed(item.city, verify(item.manifest, PayloadType.MANIFEST, keys)[0]))
        if item.schema:
            schemas[item.city] = read_schema_message(item.city, item.schema)
    manifests = {city: ending[0] for city, ending in endings.items() if ending}
    # 5
    coverage, presenter = None, str(access.organisation)
    if receipt.coverage is not None:
        signed = _signer_of(receipt.coverage, query, directory)
        coverage = settle.settle(receipt.coverage, query, asked, signed.party, directory, endings, now=None)
        answered_at, presenter = coverage.now, signed.party
        signers.append(signed)
    else:
        answered_at = _direct(manifests, query)
    # 6
    tolerance = int(LIMITS.clock_tolerance * settle.SECOND)
    if not directory.issued - tolerance <= answered_at < directory.expires + tolerance:
        raise CoverageMismatch("the receipt's directory was not in force when the query was answered")
    said = {city: Said.of(schema) for city, schema in schemas.items()}
    # 7
    asking = Asking(query, asked.request_hash, access.key.id, access.organisation, presenter)
    return Report(
        access.organisation,
        query,
        answered_at,
        directory.version,
        of_outcomes(coverage, directory.version, manifests, said),
        schemas,
        logged_in(receipt, manifests, asking, directory),
        manifests,
        tuple(signers),
        asking,
        directory,
    )


def logged_in(
    receipt: Receipt, manifests: Mapping[CityName, Manifest], asking: Asking, directory: Directory
) -> dict[CityName, Logged]:
    """Check 7."""
    found: dict[CityName, Logged] = {}
    for item in receipt.log:
        manifest = manifests.get(item.city)
        if manifest is None or item.city in found:
            raise BadAnswer(f"the receipt has the log of {item.city[:100]} twice, or without an answer")
        found[item.city] = logged.check(item.city, item.proven, manifest, asking, directory)
    return found


def _query(envelope: Envelope, directory: Directory) -> tuple[Query, AccessKey]:
    """Check 2: the signature before anything is parsed, then the key's dates."""
    known = _hinted(envelope, directory)
    try:
        (signed,) = verify(envelope, PayloadType.QUERY, [access.key for access in known])
        query = decode_query(envelope.payload)
    except (BadSignature, ValueError):
        raise Forged("the receipt's query is not signed by an access key that its directory lists") from None
    except CimfedError as error:
        raise BadAnswer(f"the receipt's query: {error.message}") from None
    (access,) = (access for access in known if access.key == signed)
    if not access.valid[0] <= query.issued < access.valid[1]:
        raise Forged("the receipt's query is signed by an access key that was not valid then")
    if query.federation != directory.federation:
        raise CoverageMismatch("the receipt's query is for another federation than its directory")
    return query, access


def _hinted(envelope: Envelope, directory: Directory) -> list[AccessKey]:
    """The access keys whose ids stand on a query."""
    hints = {signature.key_id for signature in envelope.signatures}
    return [key for partner in directory.partners.values() for key in partner.keys if key.key.id in hints]


def _signer_of(coverage: Envelope, query: Query, directory: Directory) -> Signed:
    """The gateway that the query names and whose key signed the coverage."""
    for gateway in query.via:
        if gateway in directory.gateways:
            with contextlib.suppress(BadSignature):
                (key,) = verify(coverage, PayloadType.COVERAGE, directory.gateway(gateway).keys)
                return Signed(gateway, key)
    raise Forged("the receipt's coverage is not signed by a gateway that its query names")


def _ending(item: CityReceipt, asked: Asked, query: Query, directory: Directory) -> Manifest:
    if item.city not in directory.members or (query.cities and item.city not in query.cities):
        raise CoverageMismatch(f"the receipt holds {item.city[:100]}, which is no member or was not asked")
    manifest = open_manifest(asked, item.city, directory.member(item.city).keys, item.manifest, decode_manifest)
    chain = Chain.start(asked.request_hash, item.city, item.schema, manifest.view) if item.schema else None
    for batch_hash in item.batch_hashes:
        if chain is None or len(batch_hash) != 32:
            raise ChainBroken(f"{item.city}: the receipt's batch hashes are none")
        chain.add_hash(batch_hash)
    check_counts(manifest, chain, manifest.view)
    return manifest


def _direct(manifests: Mapping[CityName, Manifest], query: Query) -> int:
    """When the one city that was asked without a gateway answered."""
    if len(manifests) != 1 or query.via:
        raise CoverageMismatch("the receipt holds no coverage, but its query did not ask one city directly")
    (manifest,) = manifests.values()
    if manifest.narrowing_hash:
        raise CoverageMismatch(f"{manifest.city} was asked through a gateway, but the receipt holds no coverage")
    return manifest.now
