"""envelope.json."""

from __future__ import annotations

import base64
import json

from cimfed.trust.envelope import Envelope, PayloadType, Signature, pre_authentication, seal, to_json
from cimfed.wire.envelopes import to_message
from vectorgen.forms import Case, Document, accept, block, changed, document, reject
from vectorgen.parties import keys, public, signer

A, B = "inst.tsinghua", "inst.iitd"
QUERY = PayloadType.QUERY
ORDER = 2**252 + 27742317777372353535851937790883648493  # of Ed25519's base point


def documents() -> dict[str, Document]:
    about = (
        "An Envelope message (bytes), or DSSE JSON (json), read as one of payload type `type` that `threshold` of"
        " `keys` must have signed."
    )
    cases = [*_accepted(), *_rejected(), *_json()]
    return {"envelope.json": document("Hashes and signatures", about, cases, keys=keys(A, B))}


def _case(verdict: Case, envelope: Envelope, *roles: str, threshold: int = 1, expected: str = QUERY) -> Case:
    bytes_ = to_message(envelope).SerializeToString(deterministic=True).hex()
    return {
        **verdict,
        "type": expected,
        "keys": [public(role) for role in roles],
        "threshold": threshold,
        "bytes": bytes_,
    }


def _accepted() -> list[Case]:
    plain = seal(QUERY, b"payload", signer(A))
    empty = seal(QUERY, b"", signer(A))
    both = seal(QUERY, b"payload", signer(A), signer(B))
    pae = pre_authentication(QUERY, b"payload")
    assert pae == b"DSSEv1 40 application/vnd.cimfed.query.v1+protobuf 7 payload"
    return [
        _case(accept("one signature", pae=pae.hex(), payload=b"payload".hex()), plain, A),
        _case(accept("an empty payload", pae=pre_authentication(QUERY, b"").hex(), payload=""), empty, A),
        _case(accept("one of several keys that may sign", payload=b"payload".hex()), plain, B, A),
        _case(accept("no hint", payload=b"payload".hex()), _hinted(plain, b""), B, A),
        _case(accept("a hint that leads nowhere", payload=b"payload".hex()), _hinted(plain, bytes(32)), B, A),
        _case(accept("two of two", payload=b"payload".hex()), both, A, B, threshold=2),
        _case(
            accept("a stranger's signature beside a good one", payload=b"payload".hex()),
            seal(QUERY, b"payload", signer("nobody"), signer(A)),
            A,
        ),
    ]


def _rejected() -> list[Case]:
    plain = seal(QUERY, b"payload", signer(A))
    signature = plain.signatures[0].signature
    twice = Envelope(QUERY, b"payload", plain.signatures * 2)
    two_ids = Envelope(QUERY, b"payload", (*plain.signatures, Signature(signer(B).public.id, signature)))
    of_payload = Signature(signer(A).public.id, signer(A).sign(b"payload"))
    high = int.from_bytes(signature[32:], "little") + ORDER
    unreduced = Signature(plain.signatures[0].key_id, signature[:32] + high.to_bytes(32, "little"))

    def bad(name: str) -> Case:
        return reject(name, "bad_signature")

    def with_signature(changed_signature: Signature) -> Envelope:
        return Envelope(QUERY, b"payload", (changed_signature,))

    one = block(1, plain.signatures[0].key_id) + block(2, signature)
    short = Signature(plain.signatures[0].key_id, signature[:63])
    other_bit = Signature(plain.signatures[0].key_id, changed(signature, 5))
    return [
        _case(bad("no signature"), Envelope(QUERY, b"payload", ()), A),
        _case(bad("a key that may not sign"), plain, B),
        _case(bad("nobody may sign"), plain),
        _case(bad("a hint of another key that may sign"), _hinted(plain, signer(B).public.id), B, A),
        _case(bad("a byte of the payload is another"), Envelope(QUERY, b"paYload", plain.signatures), A),
        _case(bad("a bit of the signature is another"), with_signature(other_bit), A),
        _case(bad("a signature is a byte short"), with_signature(short), A),
        _case(bad("a signature's second half is not reduced (RFC 8032, 5.1.7)"), with_signature(unreduced), A),
        _case(bad("signed is the payload alone"), with_signature(of_payload), A),
        _case(bad("another payload type, signed as such"), seal(PayloadType.MANIFEST, b"payload", signer(A)), A),
        _case(
            bad("the payload type is exchanged after it was signed"),
            Envelope(QUERY, b"payload", seal(PayloadType.MANIFEST, b"payload", signer(A)).signatures),
            A,
        ),
        _case(bad("one key does not count twice"), twice, A, B, threshold=2),
        _case(bad("one key does not count twice under two ids"), two_ids, A, B, threshold=2),
        _case(bad("more than 16 signatures"), plain, A)
        | {"bytes": [[block(1, QUERY).hex() + block(2, b"payload").hex(), 1], [block(3, one).hex(), 17]]},
    ]


def _json() -> list[Case]:
    envelope = seal(PayloadType.ROUTING, b"payload", signer(A))
    text = to_json(envelope).decode()
    facts = {"type": PayloadType.ROUTING, "keys": [public(A)], "threshold": 1}
    document = json.loads(text)
    broken = {**document, "payload": base64.b64encode(b"payload").decode()[:-1]}
    without = {key: value for key, value in document.items() if key != "signatures"}
    return [
        accept("DSSE JSON", **facts, payload=b"payload".hex(), json=text),
        accept("DSSE JSON in another order, with blanks", **facts, payload=b"payload".hex(), json=json.dumps(document)),
        reject("DSSE JSON whose base64 lacks its padding", "bad_signature", **facts, json=json.dumps(broken)),
        reject("DSSE JSON without signatures", "bad_signature", **facts, json=json.dumps(without)),
        reject("not JSON", "bad_signature", **facts, json=text[:-1]),
    ]


def _hinted(envelope: Envelope, key_id: bytes) -> Envelope:
    signatures = tuple(Signature(key_id, item.signature) for item in envelope.signatures)
    return Envelope(envelope.payload_type, envelope.payload, signatures)
