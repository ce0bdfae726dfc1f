"""Notes, checkpoints and cosignatures: published ones verify, ours are made as specified, others are refused."""

from __future__ import annotations

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimfed.errors import CimfedError, Forged, LogInconsistent
from cimfed.model.names import Federation
from cimfed.trust.keys import KeySigner, PublicKey
from cimfed.trust.tlog import checkpoint as cp
from cimfed.trust.tlog import note as notes
from cimfed.trust.tlog.checkpoint import Checkpoint, Origin
from cimfed.trust.tlog.merkle import EMPTY_ROOT
from cimfed.trust.tlog.note import NoteSignature, SignatureType
from tests.unit.cimfed.trust.tlog.published import (
    ARCHE,
    ARCHE_NOTE,
    PETER,
    PETERS_NOTE,
    PETERS_SEED,
    REMORA,
    REMORA_TIME,
    SPEC_NOTE,
    SPEC_TIME,
    SUMDB,
    SUMDB_NOTE,
)

LOG, WITNESS = Origin(Federation("sco"), "kz.almaty"), Origin(Federation("sco"), "uz.tashkent")
KEY, OTHER = (KeySigner.from_seed(bytes([n]) * 32) for n in (1, 2))
HEAD = Checkpoint(str(LOG), 5, bytes(range(32)))
SIGNED = cp.sign_checkpoint(HEAD, KEY)


def published_key(text: str) -> tuple[str, str, int, PublicKey]:
    """Name, hash, type and key of a verifier key, as signed-note writes it."""
    name, digits, encoded = text.split("+", 2)
    raw = base64.b64decode(encoded)
    return name, digits, raw[0], PublicKey(raw[1:])


@pytest.mark.parametrize("text", [PETER, SUMDB, ARCHE, REMORA])
def test_key_hashes_are_the_published_ones(text: str) -> None:
    name, digits, kind, key = published_key(text)
    assert notes.key_hash(name, SignatureType(kind), key).hex() == digits


@pytest.mark.parametrize(("vkey", "content"), [(PETER, PETERS_NOTE), (SUMDB, SUMDB_NOTE), (ARCHE, ARCHE_NOTE)])
def test_published_notes_verify(vkey: str, content: str) -> None:
    name, _, _, key = published_key(vkey)
    note = notes.parse_note(content.encode())
    assert note.to_bytes() == content.encode()
    assert notes.verify_note(note, name, [key]) == content.rpartition("\n\n")[0] + "\n"
    with pytest.raises(Forged):
        notes.verify_note(note, name, [OTHER.public])
    with pytest.raises(Forged):
        notes.verify_note(notes.parse_note(content.replace("a", "e", 1).encode()), name, [key])


def test_a_published_note_is_made_again() -> None:
    signer = KeySigner.from_seed(bytes.fromhex(PETERS_SEED))
    name, _, _, key = published_key(PETER)
    assert signer.public == key
    text = PETERS_NOTE.rpartition("\n\n")[0] + "\n"
    made = NoteSignature(name, notes.key_hash(name, SignatureType.ED25519, key), signer.sign(text.encode()))
    assert notes.Note(text, (made,)).to_bytes() == PETERS_NOTE.encode()


def test_published_checkpoints_are_read() -> None:
    sumdb = cp.parse_checkpoint(notes.parse_note(SUMDB_NOTE.encode()).text)
    assert (sumdb.origin, sumdb.size) == ("go.sum database tree", 20852163)
    assert base64.b64encode(sumdb.root) == b"CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
    arche = cp.parse_checkpoint(notes.parse_note(ARCHE_NOTE.encode()).text)
    assert (arche.origin, arche.size) == ("arche2025h1.staging.ct.transparency.dev", 1432088532)


def test_a_published_cosignature_verifies() -> None:
    note = notes.parse_note(ARCHE_NOTE.encode())
    name, _, _, key = published_key(REMORA)
    assert cp.cosigned_by(note, name, [key]) == REMORA_TIME
    assert cp.cosigned_by(note, name, [OTHER.public]) is None  # an unknown key's is left alone
    with pytest.raises(Forged):
        cp.cosigned_by(notes.parse_note(ARCHE_NOTE.replace("1432088532", "1432088533").encode()), name, [key])


def test_the_specifications_cosignature_has_its_time() -> None:
    witness = notes.parse_note(SPEC_NOTE.encode()).signatures[1]
    assert witness.name == "witness.example.com/w1"
    assert (len(witness.value), int.from_bytes(witness.value[:8], "big")) == (72, SPEC_TIME)


def test_a_checkpoint_is_three_lines_and_signed_under_its_origin() -> None:
    root = base64.b64encode(bytes(range(32))).decode()
    text = f"sco/kz.almaty\n5\n{root}\n"
    hashed = hashlib.sha256(b"sco/kz.almaty\n\x01" + KEY.public.raw).digest()[:4]
    line = base64.b64encode(hashed + KEY.sign(text.encode())).decode()
    assert SIGNED.to_bytes().decode() == f"{text}\n\N{EM DASH} sco/kz.almaty {line}\n"
    assert cp.verify_checkpoint(SIGNED.to_bytes(), LOG, [OTHER.public, KEY.public]) == HEAD


def test_a_cosignature_is_over_the_time_and_the_checkpoint() -> None:
    made = cp.cosign(SIGNED, WITNESS, OTHER, 1700000000)
    assert made.name == "sco/uz.tashkent"
    assert made.key_hash == hashlib.sha256(b"sco/uz.tashkent\n\x04" + OTHER.public.raw).digest()[:4]
    assert made.value[:8] == (1700000000).to_bytes(8, "big")
    assert OTHER.public.verifies(made.value[8:], b"cosignature/v1\ntime 1700000000\n" + HEAD.text.encode())
    note = cp.with_signatures(SIGNED, [made, made])
    assert len(note.signatures) == 2
    assert cp.cosigned_at(note, WITNESS, [OTHER.public]) == 1700000000
    assert cp.cosigned_at(note, LOG, [OTHER.public]) is None
    assert cp.cosigned_at(SIGNED, WITNESS, [OTHER.public]) is None
    assert cp.verify_checkpoint(note.to_bytes(), LOG, [KEY.public]) == HEAD


def test_a_cosignature_at_another_time_is_forged() -> None:
    made = cp.cosign(SIGNED, WITNESS, OTHER, 1700000000)
    for value in ((1700000001).to_bytes(8, "big") + made.value[8:], made.value[:-1], made.value[8:], b"\xff" * 72):
        moved = NoteSignature(made.name, made.key_hash, value)
        with pytest.raises(Forged):
            cp.cosigned_at(cp.with_signatures(SIGNED, [moved]), WITNESS, [OTHER.public])


def test_the_first_of_two_cosignatures_counts() -> None:
    made = [cp.cosign(SIGNED, WITNESS, OTHER, seconds) for seconds in (1700000009, 1700000001)]
    assert cp.cosigned_at(cp.with_signatures(SIGNED, made), WITNESS, [OTHER.public]) == 1700000001


def test_a_log_does_not_vouch_for_another_nor_a_cosignature_for_a_signature() -> None:
    with pytest.raises(Forged):
        cp.verify_checkpoint(SIGNED, WITNESS, [KEY.public])
    with pytest.raises(Forged):
        cp.verify_checkpoint(SIGNED, Origin(LOG.federation, LOG.party, 2), [KEY.public])
    with pytest.raises(Forged):
        cp.verify_checkpoint(SIGNED, LOG, [OTHER.public])
    with pytest.raises(Forged):
        cp.verify_checkpoint(SIGNED, LOG, [])
    foreign = cp.sign_checkpoint(Checkpoint(str(WITNESS), 5, HEAD.root), KEY)
    hashed = notes.key_hash(str(LOG), SignatureType.ED25519, KEY.public)
    renamed = notes.Note(foreign.text, (NoteSignature(str(LOG), hashed, foreign.signatures[0].value),))
    with pytest.raises(Forged):
        cp.verify_checkpoint(renamed, LOG, [KEY.public])
    only = notes.Note(SIGNED.text, (cp.cosign(SIGNED, LOG, KEY, 1),))
    with pytest.raises(Forged):
        cp.verify_checkpoint(only, LOG, [KEY.public])


def test_a_known_keys_false_signature_spoils_the_note() -> None:
    false = NoteSignature(str(LOG), SIGNED.signatures[0].key_hash, b"\0" * 64)
    with pytest.raises(Forged):
        cp.verify_checkpoint(cp.with_signatures(SIGNED, [false]), LOG, [KEY.public])


TEXT, LINE = HEAD.text, SIGNED.signatures[0].line


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n\n",
        TEXT.encode(),
        f"{TEXT}{LINE}".encode(),
        f"{TEXT}\n{LINE}".rstrip("\n").encode(),
        f"{TEXT}\n{LINE}\n".encode(),
        f"{TEXT}\n-{LINE[1:]}".encode(),
        f"{TEXT}\n{LINE.replace(' sco', '  sco')}".encode(),
        f"{TEXT}\n{LINE.replace('sco/kz', 'sco+kz')}".encode(),
        f"{TEXT}\n{LINE.replace('sco/kz', 'sco kz')}".encode(),
        f"{TEXT}\n{LINE}".replace("— sco/kz", "— sco\N{NO-BREAK SPACE}kz").encode(),
        f"{TEXT}\n{LINE[:-3]}\n".encode(),
        f"{TEXT}\n{LINE[:-1]} more\n".encode(),
        f"{TEXT}\n\N{EM DASH} sco/kz.almaty AAAA\n".encode(),
        f"{TEXT}\n\N{EM DASH} sco/kz.almaty AAAAAAA=\n".replace("A=", "B=").encode(),
        f"{TEXT}\r\n\n{LINE}".encode(),
        f"{TEXT}\n{LINE}".encode() + b"\xff\n",
        f"{TEXT}\n{LINE * 65}".encode(),
        f"{'x' * 65536}\n\n{LINE}".encode(),
    ],
)
def test_what_is_no_note_is_refused(content: bytes) -> None:
    with pytest.raises(LogInconsistent):
        notes.parse_note(content)


ROOT = base64.b64encode(HEAD.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"sco/kz.almaty\n5\n{ROOT}",
        f"\n5\n{ROOT}\n",
        f"sco/kz.almaty\n05\n{ROOT}\n",
        f"sco/kz.almaty\n+5\n{ROOT}\n",
        f"sco/kz.almaty\n5.0\n{ROOT}\n",
        f"sco/kz.almaty\n٥\n{ROOT}\n",
        f"sco/kz.almaty\n-5\n{ROOT}\n",
        f"sco/kz.almaty\n{2**63}\n{ROOT}\n",
        f"sco/kz.almaty\n{10**40}\n{ROOT}\n",
        f"sco/kz.almaty\n0\n{ROOT}\n",
        f"sco/kz.almaty\n1\n{base64.b64encode(EMPTY_ROOT).decode()}\n",
        f"sco/kz.almaty\n5\n{ROOT}\nmore\n",
        f"sco/kz.almaty\n5\n{ROOT[:-4]}\n",
        f"sco/kz.almaty\n5\n{ROOT[:-2]}9=\n",
        f"sco/kz.almaty\n5\n{ROOT.rstrip('=')}\n",
        f"sco/kz.almaty\n5\n {ROOT}\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(LogInconsistent):
        cp.parse_checkpoint(text)


def test_an_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint(str(LOG), 0, EMPTY_ROOT)
    assert cp.parse_checkpoint(empty.text) == empty


def test_origins_name_party_and_generation() -> None:
    second = Origin(Federation("sco"), "gw.alliance", 2)
    assert (str(LOG), str(second)) == ("sco/kz.almaty", "sco/gw.alliance/2")
    assert cp.parse_origin("sco/gw.alliance/2") == second
    assert cp.parse_origin(str(LOG)) == LOG
    assert str(second.first) == "sco/gw.alliance"


NO_ORIGINS = """
sco|sco/|/kz.almaty|sco/kz|sco/kz.almaty/|sco/kz.almaty/1|sco/kz.almaty/0|sco/kz.almaty/02|sco/kz.almaty/2/3
|SCO/kz.almaty|sco/kz.almaty/x|sco/kz.almaty/-2|cosignature/v1|DSSEv1 / x.y
""".replace("\n", "").split("|")


@pytest.mark.parametrize("text", ["", *NO_ORIGINS])
def test_what_is_no_origin_is_refused(text: str) -> None:
    with pytest.raises(LogInconsistent):
        cp.parse_origin(text)


@given(st.binary(max_size=200))
def test_whatever_bytes_come_only_our_errors_do(content: bytes) -> None:
    for given_bytes in (content, SIGNED.to_bytes() + content, content + SIGNED.to_bytes()):
        try:
            cp.verify_checkpoint(given_bytes, LOG, [KEY.public])
        except CimfedError:
            continue
        assert cp.parse_checkpoint(notes.parse_note(given_bytes).text) == HEAD
