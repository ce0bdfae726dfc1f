"""A federation as a partner sees it: questions in, answers out. ``Federation`` waits, ``AsyncFederation`` awaits."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Generic, Protocol, Self, TypeVar

from cimfed.client import ask
from cimfed.client.answer import Answer, AsyncAnswer
from cimfed.client.ask import Bbox, Measures, Question, Where
from cimfed.client.feed import Feed
from cimfed.client.intake import Intake
from cimfed.client.loop import Loop
from cimfed.client.transport import Transport
from cimfed.client.verify import Stale
from cimfed.errors import CimfedError
from cimfed.model.names import CityName
from cimfed.query.check import check_request
from cimfed.query.query import Aggregate, Catalog, Read, Request
from cimfed.rpc import authorisation, clock
from cimfed.trust.directory.listing import Directory
from cimfed.trust.keys import Signer
from cimfed.wire.envelopes import encode_ask

log = logging.getLogger(__name__)

METHODS: Mapping[type[Request], str] = {
    Read: authorisation.READ,
    Aggregate: authorisation.AGGREGATE,
    Catalog: authorisation.CATALOG,
}
LOOK_AGAIN = 30.0  # seconds
PROVING = 20.0  # seconds for a city to prove that its log has a decision
CATALOG_PURPOSE = "catalog"
"""What a catalogue is asked for where the caller names nothing: it shows grants of every purpose."""


class Directories(Protocol):
    """The directory in force, and asking for a newer one (``cimfed.trust.directory.follow``)."""

    def current(self, now: int) -> Directory: ...

    def refresh(self) -> Directory:
        """Waits for mirrors. CimfedError where none is up to date."""
        ...

    def close(self) -> None: ...


class Asker:
    """Signs questions and opens their answers: everything that both kinds of federation share.

    ``source`` is the gateway to ask, or one city that is asked itself. Before its first question, and then every half
    minute that it asks, it looks for a newer directory, so that members are known and revoked keys are not taken.
    """

    def __init__(
        self,
        source: str,
        directories: Directories,
        signer: Signer,
        transport: Transport,
        now: Callable[[], int] = clock.now,
    ) -> None:
        self.source = source
        self.now = now
        self._directories, self._signer, self._transport = directories, signer, transport
        self._looked: float | None = None  # monotonic seconds
        self._feeds: weakref.WeakSet[Feed] = weakref.WeakSet()

    async def open(self, question: Question) -> tuple[Intake, Feed]:
        fresh = self._looked is None or time.monotonic() - self._looked > LOOK_AGAIN
        if fresh:
            await self._look()
        now = self.now()
        directory = await asyncio.to_thread(self._directories.current, now)
        if not fresh and not directory.members.keys() >= {*question.cities, *question.grants}:
            await self._look()  # it may have been admitted meanwhile
            directory = await asyncio.to_thread(self._directories.current, now)
        question.check_members(self.source, directory.members)
        query = ask.make_query(question, directory.federation, self.source, now, secrets.token_bytes(16))
        envelope = ask.sign(query, self._signer)
        intake = Intake(query, envelope, self.source, directory)
        messages = self._transport.stream(METHODS[type(question.request)], encode_ask(envelope), question.timeout)
        feed = Feed(messages, rows=not isinstance(question.request, Aggregate))
        self._feeds.add(feed)
        return intake, feed

    async def newer_directory(self, stale: Stale) -> Directory:
        """The newest directory that the server has; what made us ask, where it has none."""
        try:
            return await asyncio.to_thread(self._directories.refresh)
        except CimfedError:
            log.warning("no newer directory from %s", self.source, exc_info=True)
            raise stale.cause from None

    def turned_away(self) -> str | None:
        """Why servers take no connection of ours, if the directory that is known here tells; for people."""
        now = self.now()
        try:
            self._directories.current(now).access_key(self._signer.public.id, now)
        except CimfedError as error:
            return f"It turns us away: {error.message}; cimfed doctor tells more"
        return None

    async def prove(self, city: CityName, request: bytes) -> bytes:
        """That a city's log has a decision: asked of the city itself."""
        return await self._transport.unary(city, authorisation.PROVE, request, PROVING)

    async def close(self) -> None:
        for feed in list(self._feeds):
            await feed.close()
        await self._transport.close()
        await asyncio.to_thread(self._directories.close)
        self._signer.close()

    async def _look(self) -> None:
        """What goes wrong here shows, if it matters, when the question is asked."""
        self._looked = time.monotonic()
        with contextlib.suppress(CimfedError):
            await asyncio.to_thread(self._directories.refresh)


A = TypeVar("A", Answer, AsyncAnswer)


class _Questions(Generic[A]):
    """The questions that can be asked. Each gives an answer at once; nothing is sent before that is used."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    @property
    def source(self) -> str:
        """The gateway that is asked, or the city."""
        return self._asker.source

    def read(
        self,
        collection: str,
        *,
        where: Where = None,
        bbox: Bbox = None,
        properties: Iterable[str] | None = None,
        purpose: str | None = None,
        grants: Mapping[str, str] | None = None,
        cities: Iterable[str] | None = None,
        require: str | int = "any",
        timeout: float | None = None,
        compression: str = "",
        original: bool = False,
    ) -> A:
        """Rows of a collection, from all cities or those named.

        ``where``: a filter in CQL2 text, such as ``height > 50 AND function IN ('office', 'retail')``. ``bbox``: xmin,
        ymin, xmax, ymax in degrees (OGC:CRS84). ``properties``: names; all that is granted where None. ``grants``: the
        grant to use of a city, where several match. ``require``: how many cities must answer (``all``, ``any``, a
        number); fewer is an error at the end. ``timeout``: seconds for the whole answer. ``compression``: "lz4" or
        "zstd", where the link is slow. ``original``: beside each row its object as the city's file had it,
        from cities that grant that (``Answer.headers`` has what belongs to it).
        Raises BadQuery, UnknownProperty and the like at once for what needs no server, NotFound before anything is
        asked for a city that the directory does not list.
        """
        request = ask.read_request(collection, where, bbox, properties, compression, original)
        return self._ask(request, purpose, cities, grants, require, timeout)

    def aggregate(
        self,
        collection: str,
        measures: str | Measures = ("count",),
        *,
        by: Iterable[str] = (),
        where: Where = None,
        bbox: Bbox = None,
        purpose: str | None = None,
        grants: Mapping[str, str] | None = None,
        cities: Iterable[str] | None = None,
        require: str | int = "all",
        timeout: float | None = None,
    ) -> A:
        """Groups of rows of a collection, added up over all cities from the parts that each signed.

        ``measures``: ``count``, or ``sum``, ``mean``, ``min``, ``max`` of a property as in ``mean:height``; or a
        mapping such as ``{"*": "count", "height": ["mean", "max"]}``. ``by``: properties, ``city`` among them. The
        rest as for ``read``; a total that lacks a city is an error unless ``require`` says otherwise.
        """
        request = ask.aggregate_request(collection, measures, by, where, bbox)
        return self._ask(request, purpose, cities, grants, require, timeout)

    def catalog(
        self,
        collection: str | None = None,
        *,
        purpose: str | None = None,
        cities: Iterable[str] | None = None,
        require: str | int = "any",
        timeout: float | None = None,
    ) -> A:
        """What the cities grant to this partner, for which purposes, and what they list: one row for a property.

        ``purpose``: only grants that serve it, and what is listed.
        """
        request = ask.catalog_request(collection)
        check_request(request)
        question = ask.question(request, CATALOG_PURPOSE, cities, None, require, timeout)
        return self._answer(replace(question, serving=purpose or ""))

    def _ask(
        self,
        request: Request,
        purpose: str | None,
        cities: Iterable[str] | None,
        grants: Mapping[str, str] | None,
        require: str | int,
        timeout: float | None,
    ) -> A:
        check_request(request)
        return self._answer(ask.question(request, purpose, cities, grants, require, timeout))

    def _answer(self, question: Question) -> A:
        raise NotImplementedError


class Federation(_Questions[Answer]):
    """Waits for answers. A context manager; ``close`` ends everything that still runs."""

    def __init__(self, asker: Asker) -> None:
        super().__init__(asker)
        self._loop = Loop()

    def close(self) -> None:
        if not self._loop.closed:
            self._loop.run(self._asker.close())
            self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, question: Question) -> Answer:
        return Answer(self._asker, question, self._loop)


class AsyncFederation(_Questions[AsyncAnswer]):
    """Awaits answers, in one event loop. An async context manager; ``aclose`` ends everything that still runs."""

    async def aclose(self) -> None:
        await self._asker.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def _answer(self, question: Question) -> AsyncAnswer:
        return AsyncAnswer(self._asker, question)
