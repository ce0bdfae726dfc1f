"""What goes on while servers are killed: partners who ask and present again, administrators who publish, a reader.

None of it believes the servers: what was signed is kept, and compared with the logs at the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alliance import SERVICE, CommandFailed
from cimfed.cli.office import read_office
from cimfed.client.connect import connect_async
from cimfed.client.federation import AsyncFederation
from cimfed.errors import CimfedError
from cimfed.model.answer import Manifest, Outcome
from cimfed.rpc import clock
from cimfed.rpc.authorisation import READ
from cimfed.rpc.mirror import UnknownService
from cimfed.trust.directory import layout, proof
from cimfed.trust.directory.mirrors import Served
from cimfed.trust.directory.publication import parsed
from cimfed.wire import frames
from cimfed.wire.answers import decode_manifest
from cimfed.wire.envelopes import decode_ask
from cimfed.wire.receipts import decode_receipt
from scenarios import generated
from tests.federation.commands import GATEWAY, PATIENCE, Commands

CITY = "kz.almaty"
PARTNERS = ("inst.tsinghua", "inst.fudan", "inst.tongji")
BUILDINGS = 40
AT_A_TIME = 2  # questions of one partner
EARLIER = 200  # queries of one asker that are presented a third time and more
BACKLOG = 20  # queries that were not presented again
SECONDS = 5.0  # for an answer
PAUSE = 0.02  # seconds between two questions of one partner
LONGER = 0.1  # after one that reached nobody
LOOKS = 1.0  # seconds between two readings of the whole directory: a service gives one address 50 files a second
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"

# What may become of a question while servers die. Anything else is wrong.
ENDINGS = {
    "node_unreachable", "timed_out", "not_enough", "truncated", "overloaded", "policy_changed", "view_gone",
}  # fmt: skip
BEHIND = (
    "ask again when the gateway has the current one",  # it has just come back
    "of the directory, only ",  # the partner cannot have that one yet: whom it would ask is away
)


def made(folder: Path) -> Commands:
    """An alliance of one city that does not serve yet, its directory service apart."""
    alliance = Commands(folder)
    alliance.found()
    file = folder / f"{CITY}.city.jsonl"
    words = [str(SCRIPTS / "make_city"), CITY, "--buildings", str(BUILDINGS), "--format", "cityjsonseq"]
    subprocess.run([sys.executable, *words, "--out", str(file)], check=True, stdout=subprocess.DEVNULL)
    (city,) = generated(folder, SCRIPTS / "mappings", {CITY: BUILDINGS})
    alliance.join(city)
    for partner in PARTNERS:
        alliance.admit(partner, "CN", "researcher")
    return alliance


@dataclass
class Record:
    """What partners hold: every manifest that the city signed for them, and how their questions ended."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    manifests: list[Manifest] = field(default_factory=list)
    receipts: Counter[str] = field(default_factory=Counter)  # with an answer of the city, by who was asked
    through: set[bytes] = field(default_factory=set)  # hashes of queries that the gateway signed a coverage of
    answered: set[bytes] = field(default_factory=set)  # hashes of queries that the city signed an answer to
    replays: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def signed(self, manifest: Manifest) -> None:
        with self.lock:
            self.manifests.append(manifest)
            if manifest.outcome is Outcome.ANSWERED:
                self.answered.add(manifest.request_hash)


class Watched:
    """A transport that keeps every request."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        self.last = b""

    def stream(self, method: str, request: bytes, within: float | None) -> AsyncGenerator[bytes, None]:
        self.last = request
        found: AsyncGenerator[bytes, None] = self._inner.stream(method, request, within)
        return found

    async def close(self) -> None:
        await self._inner.close()


class Load:
    """Every partner asks, twice at a time: the first two through the gateway, the last one the city itself. Each query
    is presented again, some of them long after. In a thread of its own, until it is left."""

    def __init__(self, alliance: Commands) -> None:
        self.record = Record()
        self._alliance = alliance
        self._ending = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), name="load")

    def __enter__(self) -> Record:
        self._thread.start()
        return self.record

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    async def _all(self) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for partner in PARTNERS * AT_A_TIME:
                    group.create_task(self._partner(partner, directly=partner == PARTNERS[-1]))
        except* Exception as errors:
            self.record.wrong.append(repr(errors.exceptions))

    async def _partner(self, partner: str, directly: bool) -> None:
        profile = str(self._alliance.profiles / partner / "sco")
        async with connect_async(profile, city=CITY if directly else None) as fed:
            watched = fed._asker._transport = Watched(fed._asker._transport)
            asked: deque[tuple[bytes, bool]] = deque()  # requests, and whether the partner holds an answer
            earlier: deque[tuple[bytes, bool]] = deque(maxlen=EARLIER)
            for count in itertools.count():
                if self._ending.is_set():
                    break
                if earlier and count % 5 == 0:  # of before the last deaths, more often than not
                    asked.append(earlier[0])
                    earlier.rotate(-1)
                first = list(asked)[:1]
                reached = await self._present_one(watched, asked)
                if reached:
                    earlier.extend(first)
                if len(asked) < BACKLOG:
                    reached &= await self._ask(fed, watched, asked)
                await asyncio.sleep(PAUSE if reached else LONGER)
            last = time.monotonic()
            while asked:
                if await self._present_one(watched, asked):
                    last = time.monotonic()
                elif time.monotonic() > last + PATIENCE:
                    raise TimeoutError
                else:
                    await asyncio.sleep(LONGER)

    async def _ask(self, fed: AsyncFederation, watched: Watched, asked: deque[tuple[bytes, bool]]) -> bool:
        """Whether somebody was reached."""
        record, watched.last = self.record, b""
        answer = fed.read("building", purpose="research", require=1, timeout=SECONDS)
        try:
            await answer.to_table()
            ending = "answered"
        except CimfedError as error:
            ending = error.reason
            if ending not in ENDINGS and not any(words in str(error) for words in BEHIND):
                record.wrong.append(f"asked: {error}")
        if watched.last:
            asked.append((watched.last, ending == "answered"))
        if answer.ended:
            self._keep(answer.receipt)
        record.endings[ending] += 1
        return ending == "answered"

    def _keep(self, receipt: bytes) -> None:
        known = decode_receipt(receipt)
        if known.coverage is not None:
            self.record.through.add(known.query.payload_hash)
        for item in known.cities:
            manifest = decode_manifest(item.manifest.payload)
            self.record.signed(manifest)
            if manifest.outcome is Outcome.ANSWERED:
                self.record.receipts[GATEWAY if known.coverage else CITY] += 1

    async def _present_one(self, watched: Watched, asked: deque[tuple[bytes, bool]]) -> bool:
        """Presents the query that waits longest again, on the way that it went; whether somebody was reached."""
        if not asked:
            return True
        record, (request, held) = self.record, asked.popleft()
        query, _ = decode_ask(request)
        held |= query.payload_hash in record.answered
        said = ""
        try:
            async for data in watched.stream(READ, request, SECONDS):
                match frames.decode(data).part:
                    case frames.Manifest(envelope):
                        manifest = decode_manifest(envelope.payload)
                        record.signed(manifest)
                        said = manifest.reason or str(manifest.outcome)
                        if held and manifest.outcome is Outcome.ANSWERED:
                            record.wrong.append("a query was answered twice")
        except CimfedError as error:
            said = said or error.reason
        said = said or "node_unreachable"  # the gateway's word
        record.replays[said] += 1
        if said in ("node_unreachable", "timed_out"):
            asked.appendleft((request, held))
            return False
        return True


class Publishing:
    """The revoker, the registrar and a steward publish in turn, as fast as the service lets them."""

    def __init__(self, alliance: Commands) -> None:
        self.done: list[tuple[str, int]] = []  # the role and the version that were acknowledged
        self.failed: Counter[str] = Counter()
        self._alliance = alliance
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._all, name="publishing")
        self._policy = 1

    def __enter__(self) -> Publishing:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _all(self) -> None:
        while True:
            for role in (layout.REVOKER, layout.REGISTRAR, CITY):
                if self._ending.wait(0.2):
                    return
                self.publish(role)

    def publish(self, role: str) -> bool:
        alliance = self._alliance
        try:
            if role == CITY:
                self._activate()
            else:
                words = ("revoke", "renew") if role == layout.REVOKER else ("directory", "renew", "--yes")
                alliance.run("cimfed", *words, "--home", str(alliance.office))
            # As it is after the command: a later version of the role does not come from anybody else.
            self.done.append((role, read_office(alliance.office).current().versions[role]))
            return True
        except (CommandFailed, CimfedError) as error:
            self.failed[f"{role}: {str(error).splitlines()[-1][:70]}"] += 1
            return False

    def _activate(self) -> None:
        alliance = self._alliance
        steward = alliance._steward(CITY)
        self._policy += 1
        source, signed = steward / "policy.yaml", steward / f"{self._policy}.policy.json"
        text = source.read_text("utf-8").replace(f"\nversion: {self._policy - 1}\n", f"\nversion: {self._policy}\n")
        source.write_text(text, "utf-8")
        alliance.run(
            "cimfed", "policy", "sign", str(source), "--key", str(steward / "steward.key"), "--out", str(signed)
        )  # fmt: skip
        alliance.run("cimfed-node", "activate", str(signed), "--home", str(alliance.home(CITY)))


class Reader:
    """Reads the whole directory from the service over and over, and looks at what gateway and node have put in force.

    ``wrong``: what did not verify, or a version below one that was seen.
    """

    def __init__(self, alliance: Commands) -> None:
        self.reads = 0
        self.wrong: list[str] = []
        self._alliance, self._root = alliance, alliance.root.read_bytes()
        self._seen: dict[tuple[str, str], int] = {}
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._all, name="reader")

    def __enter__(self) -> Reader:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        self._thread.join()

    def _all(self) -> None:
        service = UnknownService(self._alliance.service)
        with contextlib.closing(service):
            while not self._ending.wait(LOOKS):
                self._read(service)
                for name, home in ((GATEWAY, "directory"), (CITY, "control/directory")):
                    file = self._alliance.home(name) / home / "trusted" / "timestamp.json"
                    self._see(name, layout.TIMESTAMP, parsed(file.read_bytes()).signed.version)

    def _read(self, service: UnknownService) -> None:
        try:
            directory = proof.read(Served(service), self._root, clock.now())
        except CimfedError as error:
            if error.reason not in ("node_unreachable", "overloaded"):
                self.wrong.append(str(error))
            return
        self.reads += 1
        self._see(SERVICE, "directory", directory.version)
        timestamp = parsed(directory.files[layout.TIMESTAMP_FILE]).signed
        for role, version in {**directory.versions, layout.TIMESTAMP: timestamp.version}.items():
            self._see(SERVICE, role, version)

    def _see(self, name: str, role: str, version: int) -> None:
        last = self._seen.get((name, role), 0)
        if version < last:
            self.wrong.append(f"{role} at {name} went from {last} back to {version}")
        self._seen[name, role] = version


@dataclass
class Killer:
    """Ends servers at random points of their work, and starts them again; sometimes they die while they start."""

    alliance: Commands
    drawn: random.Random
    rounds: int = 0
    killed: Counter[str] = field(default_factory=Counter)

    def round(self) -> str:
        """Whom it was that died."""
        self.rounds += 1
        name = self.drawn.choice((CITY, GATEWAY, SERVICE))
        self._wait(self.drawn.uniform(0, 0.4))
        self.alliance.kill(name)
        self.killed[name] += 1
        if self.drawn.random() < 0.2:
            self._dies_starting(name)
        self.alliance.start(name)
        return name

    def _dies_starting(self, name: str) -> None:
        starting = threading.Thread(target=self._start, args=(name,))
        known = self.alliance.servers.keys()
        starting.start()
        while name not in known and starting.is_alive():
            self._wait(0.005)
        self._wait(self.drawn.uniform(0, 1.5))
        self.alliance.servers[name].kill()
        starting.join()
        self.alliance.servers.pop(name).wait()
        self.killed[f"{name}, starting"] += 1

    def _start(self, name: str) -> None:
        with contextlib.suppress(CommandFailed):
            self.alliance.start(name)

    @staticmethod
    def _wait(seconds: float) -> None:
        """Where in the work a process dies is drawn; nothing waits for anything by it."""
        threading.Event().wait(seconds)


@contextlib.contextmanager
def all_of_it(alliance: Commands) -> Iterator[tuple[Record, Publishing, Reader]]:
    with Reader(alliance) as reader, Publishing(alliance) as publishing, Load(alliance) as record:
        yield record, publishing, reader
