"""`cimfed policy new-key | public-key | sign | show | publish`: a steward's keys and policy; what is published."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from cimfed import console, passphrase, paths
from cimfed.cli.new_key import new_key, public_key
from cimfed.errors import BadPolicy, BadSignature
from cimfed.model.instants import instant_text
from cimfed.model.limits import LIMITS
from cimfed.policy.document import SALT_BYTES, compose
from cimfed.policy.grant import Grant, Policy
from cimfed.policy.lint import Severity, lint
from cimfed.policy.payload import from_payload, policy_hash, routing_entry, to_payload
from cimfed.policy.shape import EXACT
from cimfed.rpc.service import ServiceClient
from cimfed.trust.directory import publication
from cimfed.trust.directory.documents import address
from cimfed.trust.directory.publication import city_draft, to_file
from cimfed.trust.envelope import PayloadType, from_json, seal, to_json
from cimfed.trust.files import create_file
from cimfed.trust.identity_files import read
from cimfed.trust.token.uri import parse_key_place

app = typer.Typer(no_args_is_help=True, help="A city's access policy: signed by its steward, published in part.")
SUFFIX, ROUTING_SUFFIX = ".policy.json", ".routing.json"


app.command()(new_key)
app.command()(public_key)


@app.command()
def sign(
    policy: Annotated[Path, typer.Argument(help="The policy, in YAML.")],
    key: Annotated[str, typer.Option(help="The steward's private key: a file, or a pkcs11: URI.")],
    out: Annotated[Path, typer.Option(help=f"The signed policy, *{SUFFIX}; the routing entry goes beside it.")],
    accept_findings: Annotated[bool, typer.Option(help="Sign in spite of lint errors.")] = False,
    passphrase_file: passphrase.FileOption = None,
) -> None:
    """Checks a policy, embeds its areas and signs it, with the routing entry for the directory."""
    if not out.name.endswith(SUFFIX):
        raise BadPolicy(f"the signed file must be called *{SUFFIX}", place=str(out))
    beside = out.with_name(out.name.removesuffix(SUFFIX) + ROUTING_SUFFIX)
    paths.new_file(out)
    paths.new_file(beside)
    composed = compose(
        read(policy).decode("utf-8", "replace"),
        str(policy),
        lambda path: (policy.parent / path).read_bytes(),
        secrets.token_bytes(SALT_BYTES),
    )
    findings = lint(composed)
    for finding in findings:
        console.err.print(str(finding), markup=False)
    if not accept_findings and any(finding.severity is Severity.ERROR for finding in findings):
        raise BadPolicy(
            "the policy has lint errors", place=str(policy), remedy="Correct it, or sign with --accept-findings"
        )
    payload = to_payload(composed)
    signer = passphrase.open_key(parse_key_place(key), passphrase_file)
    try:
        create_file(out, to_json(seal(PayloadType.POLICY, payload, signer)))
        routing = seal(PayloadType.ROUTING, routing_entry(composed, payload), signer)
        draft = city_draft(composed.city, composed.version, routing, composed.valid[1])
        published = publication.sign(draft, signer, {composed.city: [signer.public]})
    finally:
        signer.close()
    create_file(beside, to_file(published))
    console.say(f"signed version {composed.version} of {composed.city}: {out} for its node, {beside} to publish")


@app.command()
def show(policy: Annotated[Path, typer.Argument(help=f"A signed policy, *{SUFFIX}.")]) -> None:
    """Shows what a signed policy gives. Whose signature it bears is for the node to check."""
    try:
        envelope = from_json(read(policy), 2 * LIMITS.policy)
    except BadSignature as error:
        raise BadPolicy(error.message, place=str(policy)) from None
    if envelope.payload_type != PayloadType.POLICY:
        raise BadPolicy("not a signed policy", place=str(policy))
    signed = from_payload(envelope.payload, str(policy))
    start, end = map(instant_text, signed.valid)
    console.say(f"{signed.city}, version {signed.version}, valid {start} to {end}")
    console.say(f"hash {policy_hash(envelope.payload).hex()}")
    for signature in envelope.signatures:
        console.say(f"signed by key {signature.key_id.hex()[:16]}")
    for grant in signed.grants:
        console.out.print(console.table(("grant", grant.id), _rows(signed, grant)))


@app.command()
def publish(
    routing: Annotated[Path, typer.Argument(help=f"*{ROUTING_SUFFIX}, as `cimfed policy sign` wrote it.")],
    directory: Annotated[
        str, typer.Option(help="host:port of the directory service.", envvar="CIMFED_DIRECTORY", show_default=False)
    ],
) -> None:
    """Hands a city's routing entry to the directory service. It is signed: anybody may."""
    files = publication.from_file(read(routing), str(routing))
    with ServiceClient(address(directory)) as service:
        version = service.publish(files)
    console.say(f"published in version {version} of the directory")


def _rows(policy: Policy, grant: Grant) -> list[tuple[str, object]]:
    subjects = grant.subjects
    columns = [name if mask == EXACT else f"{name}: {mask}" for name, mask in sorted(grant.columns.items())]
    narrowed = [word for word, part in (("a condition", grant.rows), ("an area", grant.area)) if part is not None]
    return [
        ("to", " and ".join(_words(words) for words in (subjects.org, subjects.country, subjects.role) if words)),
        ("for", _words(grant.purposes)),
        ("collection", grant.collection),
        ("columns", ", ".join(columns)),
        ("geometry", "none" if grant.max_lod is None else f"to level of detail {grant.max_lod}"),
        ("objects", "those of " + " and ".join(narrowed) if narrowed else "all"),
        *([("untouched", "as the files had them, where asked for")] if grant.original else []),
        ("valid", " to ".join(instant_text(time) for time in grant.valid or policy.valid)),
        ("through", "any gateway, or directly" if grant.via is None else _words(grant.via)),
        ("obligations", _words(grant.obligations)),
        ("agreement", grant.agreement.id if grant.agreement else ""),
    ]


def _words(words: Iterable[str]) -> str:
    return ", ".join(sorted(words))
