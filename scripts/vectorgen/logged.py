"""receipt-log.json: receipts that have a part of the logs of their cities."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cimfed.model.answer import Outcome
from cimfed.model.names import CityName
from cimfed.query.query import Catalog
from cimfed.trust.directory.layout import ROOT, metadata_file
from cimfed.trust.hashing import sha256
from cimfed.trust.tlog.checkpoint import Checkpoint, sign_checkpoint
from cimfed.trust.tlog.entries import Entry, Position, Restored, encode
from cimfed.trust.tlog.note import Note
from cimfed.v1 import receipt_pb2
from cimfed.wire.receipts import CityReceipt, LogProof, Receipt, encode_receipt
from vectorgen.coverages import Read, outcomes_of
from vectorgen.forms import Case, Document, accept, block, changed, document, edits, encoded, number, reject
from vectorgen.logs import ACTS, AT, BOTH, Log, decision, witness
from vectorgen.parties import ALMATY, DELHI, GATEWAY, MOSCOW, NOW, PARTNER, SCO, SECOND, TASHKENT, signer
from vectorgen.receipts import through_gateway
from vectorgen.repository import LOG, SERVICE, directory
from vectorgen.streams import BATCHES, SCHEMA_MESSAGE, Stream, batch, query, sign

ABOUT = (
    "Receipts with a part of the logs of their cities. proves.logged: of each city whose decision is shown to be in its"
    " log the log's name, the entry's index, the log's size and who cosigned."
)
WHOLE = "a decision in the log of its city, cosigned by two others"
INCONSISTENT = "log_inconsistent"


def documents() -> dict[str, Document]:
    root = directory()[metadata_file(ROOT, 1)].decode()
    cases = _Cases()
    found = [*cases.taken(), *cases.direct(), *cases.entries(), *cases.checkpoints(), *cases.proofs(), *cases.parts()]
    return {"receipt-log.json": document("Receipts", ABOUT, found, root=root, collection="building")}


class _Cases:
    """Of the receipt of an answer through the gateway, and of answers of one city that was asked directly."""

    def __init__(self) -> None:
        read = Read()
        self.receipt, self.outcomes = through_gateway(read), outcomes_of(read.lines)
        self.request_hash = read.asked.payload_hash
        self.entry = decision(self.request_hash)
        self.log = Log(self.entry)
        self.delhi = decision(self.request_hash, reason="not_granted", grant="", view="")
        self.base = self._with(self.log.part())

    def _with(self, *parts: LogProof) -> bytes:
        return encode_receipt(replace(self.receipt, log=parts))

    def _of(self, data: bytes) -> dict[str, Any]:
        kept = b"".join(
            block(6, block(1, path) + block(2, content)) for path, content in self.receipt.directory.items()
        )
        return {"of": WHOLE, "edits": edits(self.base, data, kept)}

    def _taken(self, name: str, *logs: tuple[Log, tuple[str, ...]]) -> Case:
        data = self._with(*(log.part() for log, _ in logs))
        return accept(name, **self._of(data), proves=self._proves(*logs))

    def _proves(self, *logs: tuple[Log, tuple[str, ...]]) -> dict[str, Any]:
        shown = {log.city: log.shown(*cosigned) for log, cosigned in logs}
        return {"organisation": PARTNER, "rows": 2, "outcomes": self.outcomes, "logged": shown}

    def _bad(self, name: str, reason: str, *parts: LogProof) -> Case:
        return reject(name, reason, **self._of(self._with(*parts)))

    def taken(self) -> list[Case]:
        both, log = (DELHI, TASHKENT), self.log
        before = Restored(NOW - SECOND, f"{SCO}/{ALMATY}", 9, sha256(b"the log before"))
        again = Log(self.entry, name=f"{SCO}/{ALMATY}/2", before=[before], after=[])
        refused = Log(self.delhi, DELHI, lines=(witness(ALMATY),))
        empty = Log(self.entry, TASHKENT, lines=(witness(ALMATY), witness(MOSCOW)))
        late = (witness(TASHKENT, at=AT + 5), witness(TASHKENT))
        return [
            accept(WHOLE, bytes=encoded(self.base), proves=self._proves((log, both))),
            self._taken("cosigned by nobody", (replace(log, lines=()), ())),
            self._taken("a log of a later generation", (again, both)),
            self._taken("a refused manifest's", (refused, (ALMATY,))),
            self._taken("of two cities", (log, both), (empty, (ALMATY, MOSCOW))),
            self._taken("an entry that is alone in its log", (replace(log, before=(), after=()), both)),
            self._taken("the last entry of seven", (replace(log, before=ACTS, after=()), both)),
            self._taken("one witness cosigned twice", (replace(log, lines=late), (TASHKENT,))),
            self._taken(
                "cosigned 31 s before it was decided",
                (replace(log, lines=(witness(TASHKENT, at=NOW // SECOND - 31),)), (TASHKENT,)),
            ),
        ]

    def direct(self) -> list[Case]:
        """One city that was asked directly: its manifest, and the entry that goes with it."""
        refused = {"outcome": Outcome.REFUSED, "grant": "", "view": "", "rows": 0, "batches": 0, "chain": b""}
        first = {"reason": "replayed", "grant": "another", "policy": 2, "view": ""}
        again = {**refused, "reason": "replayed", "message": "asked before"}
        catalog, of_catalog = Catalog(None), {"kind": "catalog", "collection": "", "grant": "", "policy": 0}
        off, quota = {"outcome": Outcome.REFUSED, "reason": "policy_changed"}, {"reason": "quota"}
        return [
            self._direct("presented by the organisation itself", {}, {}),
            self._direct("an answer that was granted and broke off", off, {}),
            self._direct(
                "a refusal that names no policy",
                {**refused, "reason": "blocked", "policy_version": 0},
                {"reason": "blocked", "grant": "", "view": ""},
            ),
            self._direct("a refusal that was given before", again, {**first, "time": NOW - SECOND}),
            self._direct("a catalogue without a policy", {"policy_version": 0, "grant": ""}, of_catalog, catalog),
            self._direct("presented by a gateway, though there is no coverage", {}, {"presenter": GATEWAY}, good=False),
            self._direct("refused in the log, answered", {}, {"reason": "not_granted"}, good=False),
            self._direct("granted under another policy, and broke off", off, {"policy": 4}, good=False),
            self._direct("an answer that names no policy", {"policy_version": 0}, {}, good=False),
            self._direct("refused by another policy", {**again, **quota}, {**first, **quota, "grant": ""}, good=False),
            self._direct("a refusal given before, but logged after", again, {**first, "time": NOW + 1}, good=False),
        ]  # fmt: skip

    def _direct(
        self,
        name: str,
        manifest: Mapping[str, Any],
        entry: Mapping[str, Any],
        request: Any = None,
        *,
        good: bool = True,
    ) -> Case:
        asked = sign(query(7, request=request))
        stream, payload = Stream(ALMATY, asked), batch(ALMATY, BATCHES[0])
        stream.batch(payload, 2)
        value = replace(stream.manifest_value(), collection="" if request else "building", **manifest)
        sent = bool(value.batches)
        part = CityReceipt(
            ALMATY, SCHEMA_MESSAGE if sent else b"", (sha256(payload),) if sent else (), stream.sealed(value)
        )
        log = Log(decision(asked.payload_hash, **{"presenter": PARTNER, **entry}), before=(), after=())
        receipt = Receipt(asked, (part,), None, self.receipt.directory, (log.part(),))
        facts = self._of(encode_receipt(receipt)) | ({"collection": ""} if request else {})
        if not good:
            return reject(name, INCONSISTENT, **facts)
        answered = value.outcome is Outcome.ANSWERED
        proves = {
            "organisation": PARTNER,
            "rows": 2 if answered else 0,
            "outcomes": {ALMATY: str(value.outcome)},
            "logged": {ALMATY: log.shown(DELHI, TASHKENT)},
        }
        return accept(name, **facts, proves=proves)

    def entries(self) -> list[Case]:
        """Rule 1."""
        log, whole = replace(self.log, lines=()), encode(self.entry)
        others: dict[str, Any] = {
            "position": Position(42),
            "request_hash": sign(query(9)).payload_hash,
            "key_id": signer(ALMATY).public.id,
            "organisation": "inst.iitd",
            "presenter": "gw.other",
            "kind": "aggregate",
            "purpose": "planning",
            "collection": "facility",
            "policy": 4,
            "grant": "footprints",
            "view": "view-2",
            "time": NOW + 1,
            "reason": "not_granted",
        }

        def bad(name: str, entry: Entry | bytes) -> Case:
            return self._bad(name, INCONSISTENT, replace(log, entry=entry).part())

        def delhi(name: str, **other: Any) -> Case:
            entry = replace(self.delhi, **other)
            return self._bad(name, INCONSISTENT, Log(entry, DELHI, lines=()).part())

        return [
            *(bad(f"an entry of another {name}", replace(self.entry, **{name: to})) for name, to in others.items()),
            delhi("a refused manifest's entry of another reason", reason="quota"),
            delhi("a refused manifest's entry of another grant", grant="massing"),
            bad("an entry that is no decision", ACTS[0]),
            bad("an entry that lacks the organisation", whole.replace(b'"organisation":"inst.tsinghua",', b"")),
            bad("an entry with a field that decisions do not have", whole.replace(b'{"', b'{"also":"x","', 1)),
            bad("an entry with an empty field", whole.replace(b'"request_hash"', b'"reason":"","request_hash"')),
            bad("an entry with its policy as text", whole.replace(b'"policy":3', b'"policy":"3"')),
            bad("an entry with a blank", whole.replace(b'":', b'": ', 1)),
            bad("an entry that is no JSON", b"a decision"),
        ]  # fmt: skip

    def checkpoints(self) -> list[Case]:
        """Rules 2 and 4: what is signed, and by whom."""
        log, note = self.log, self.log.note
        own, *cosignatures = note.signatures

        def bad(name: str, reason: str, /, **other: Any) -> Case:
            return self._bad(name, reason, replace(log, **other).part())

        def noted(name: str, reason: str, note: Note | str) -> Case:
            data = note.encode() if isinstance(note, str) else note.to_bytes()
            return self._bad(name, reason, log.part(checkpoint=data))

        def resigned(name: str, text: str) -> Case:
            return noted(name, INCONSISTENT, Note(text, (replace(own, value=signer(ALMATY).sign(text.encode())),)))

        def lines(name: str, *more: Any, reason: str = "forged") -> Case:
            return bad(name, reason, lines=(*BOTH, *more))

        made = log.checkpoint
        root = base64.b64encode(made.root).decode()
        other = sign_checkpoint(replace(made, size=made.size + 1), signer(ALMATY))
        first_name = sign_checkpoint(replace(made, origin=f"{SCO}/{ALMATY}/2"), signer(ALMATY))
        late = replace(cosignatures[0], value=changed(cosignatures[0].value, 7))
        as_log = sign_checkpoint(replace(made, origin=f"{SCO}/{MOSCOW}"), signer(MOSCOW)).signatures[0]
        return [
            bad("the log of another city", INCONSISTENT, name=f"{SCO}/{TASHKENT}", by=TASHKENT),
            bad("the log of another city, signed by this one", INCONSISTENT, name=f"{SCO}/{TASHKENT}"),
            bad("the log of another federation", INCONSISTENT, name=f"oas/{ALMATY}"),
            bad("a first generation that is numbered", INCONSISTENT, name=f"{SCO}/{ALMATY}/1"),
            bad("a generation with a zero in front", INCONSISTENT, name=f"{SCO}/{ALMATY}/02"),
            bad("a checkpoint signed by a stranger", "forged", by="stranger"),
            bad("a checkpoint signed by another city", "forged", by=TASHKENT),
            bad("a checkpoint signed by the city's steward", "forged", by=f"steward of {ALMATY}"),
            noted("a checkpoint that is cosigned alone", "forged", replace(note, signatures=tuple(cosignatures))),
            noted("a checkpoint's signature does not hold", "forged",
                  replace(note, signatures=(replace(own, value=changed(own.value, 0)), *cosignatures))),
            noted("a later generation signed under the first one's name", "forged",
                  replace(first_name, signatures=(replace(first_name.signatures[0], name=own.name),))),
            noted("a checkpoint that nobody signed", INCONSISTENT, made.text),
            noted("a checkpoint without its last newline", INCONSISTENT, note.to_bytes().decode()[:-1]),
            noted("a signature that is not in base64", INCONSISTENT, note.to_bytes().decode()[:-2] + "!\n"),
            resigned("a checkpoint of one more line", f"{made.text}more\n"),
            resigned("a checkpoint's size with a zero in front", made.text.replace("\n7\n", "\n07\n")),
            resigned("a checkpoint's root in other base64", made.text.replace(root, _other_base64(root))),
            lines("cosigned by a stranger", witness("cn.qingdao")),
            lines("cosigned under a member's name by a stranger", witness(MOSCOW, by="stranger")),
            lines("cosigned by the city itself", witness(ALMATY)),
            lines("cosigned by the gateway", witness(GATEWAY)),
            lines("cosigned by the directory service", witness(SERVICE, by=LOG)),
            lines("another city signs it as its own log", lambda _: as_log),
            lines("a cosignature of another checkpoint", lambda _: witness(MOSCOW)(other)),
            lines("a cosignature that does not hold", lambda note: _false(witness(MOSCOW)(note))),
            noted("a cosignature of another time", "forged", replace(note, signatures=(own, late, cosignatures[1]))),
            lines("cosigned 32 s before it was decided", witness(MOSCOW, at=NOW // SECOND - 32), reason=INCONSISTENT),
        ]  # fmt: skip

    def proofs(self) -> list[Case]:
        """Rule 3."""
        log = self.log
        good = log.part().proven

        def bad(name: str, **other: Any) -> Case:
            return self._bad(name, INCONSISTENT, log.part(**other))

        def smaller(note: Checkpoint) -> bytes:
            return sign_checkpoint(note, signer(ALMATY)).to_bytes()

        return [
            bad("a proof of another index", index=3),
            bad("an index beyond the log", index=7),
            bad("a hash of the proof is another", proof=(changed(good.proof[0], 0), *good.proof[1:])),
            bad("the proof lacks its first hash", proof=good.proof[1:]),
            bad("the proof lacks its last hash", proof=good.proof[:-1]),
            bad("no proof", proof=()),
            bad("a hash more in the proof", proof=(*good.proof, bytes(32))),
            bad("a hash of the proof is cut short", proof=(*good.proof[:-1], good.proof[-1][:31])),
            bad("hashes of the proof in another order", proof=good.proof[::-1]),
            bad("the root of another log", checkpoint=smaller(replace(log.checkpoint, root=sha256(b"another")))),
            bad("another size with the same root", checkpoint=smaller(replace(log.checkpoint, size=5))),
        ]  # fmt: skip

    def parts(self) -> list[Case]:
        """Whose parts there are."""
        part, unknown = self.log.part(), receipt_pb2.Receipt.FromString(self.base)
        unknown.log[0].MergeFromString(number(9, 1))
        return [
            self._bad("a city twice", "bad_answer", part, part),
            self._bad("of a city without a manifest", "bad_answer", Log(self.entry, MOSCOW).part()),
            self._bad("of a city that is no member", "bad_answer", replace(part, city=CityName("cn.qingdao"))),
            reject("an unknown field in the part", "bad_answer", **self._of(unknown.SerializeToString())),
        ]


def _false(line: Any) -> Any:
    return replace(line, value=changed(line.value, -1))


def _other_base64(text: str) -> str:
    """The same 32 bytes, with another of the two bits that are left over."""
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    return text[:-2] + digits[digits.index(text[-2]) + 1] + "="
