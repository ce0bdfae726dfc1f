"""The directory service's RPCs: bytes in, bytes out, each in a thread; and how often nobody in particular may call.

A call is a plain function here (``calls``), so that it is tested without a server; ``handlers`` are what the server
takes. What a transaction gave back as an error is raised after the transaction was kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from cimfed.errors import CimfedError
from cimfed.model.admission import Status
from cimfed.rpc.authorisation import (
    ADMINISTER,
    CHECKPOINT,
    CONSISTENCY,
    ENTRIES,
    FETCH,
    HEALTH_CHECK,
    JOIN,
    JOIN_STATUS,
    PUBLISH,
    REQUEST_ACCESS,
)
from cimfed.rpc.throttle import Allowance
from cimfed.wire import admissions as wire
from cimfed_gateway.directory import admission
from cimfed_gateway.directory.administration import administer
from cimfed_gateway.directory.repository import Repository
from cimfed_gateway.directory.tables import Records

Call = Callable[[bytes], bytes]

ALLOWANCES: Mapping[str, Allowance] = {
    FETCH: Allowance(rate=50, burst=400, slots_each=16, slots=64),  # a first fetch takes some thirty files
    HEALTH_CHECK: Allowance(rate=5, burst=20, slots_each=4, slots=16),
    JOIN: Allowance(rate=0.2, burst=10, slots_each=2, slots=8),
    JOIN_STATUS: Allowance(rate=1, burst=20, slots_each=2, slots=8),
    ADMINISTER: Allowance(rate=1, burst=30, slots_each=2, slots=8),
    REQUEST_ACCESS: Allowance(rate=0.2, burst=10, slots_each=2, slots=8),
    PUBLISH: Allowance(rate=0.5, burst=20, slots_each=2, slots=4),
    CHECKPOINT: Allowance(rate=2, burst=20, slots_each=2, slots=8),
    CONSISTENCY: Allowance(rate=2, burst=20, slots_each=2, slots=8),
    ENTRIES: Allowance(rate=2, burst=50, slots_each=1, slots=4),
}
"""Calls a second from one address, and at once: behind one address there may be all of an institution."""


class Service:
    """``now`` in microseconds since 1970-01-01T00:00Z."""

    def __init__(self, records: Records, repository: Repository, now: Callable[[], int]) -> None:
        self._records, self._repository, self._now = records, repository, now

    def calls(self) -> Mapping[str, Call]:
        """By full method name; all but Fetch."""
        return {
            JOIN: self._join,
            JOIN_STATUS: self._join_status,
            ADMINISTER: self._administer,
            REQUEST_ACCESS: self._request_access,
            PUBLISH: self._publish,
        }

    def handlers(self) -> Mapping[str, Callable[[bytes, Any], Awaitable[bytes]]]:
        return {method: _in_thread(call) for method, call in self.calls().items()}

    def _join(self, request: bytes) -> bytes:
        joining, roster = wire.decode_join(request), self._repository.roster()
        with self._records.writing() as transaction:
            found: Status | CimfedError
            if joining.invitation or joining.code:
                found = admission.join(transaction, roster, joining, self._now())
            else:
                found = admission.renew(transaction, roster, joining.card, self._now())
        if isinstance(found, CimfedError):
            raise found
        return wire.encode_status(found)

    def _join_status(self, request: bytes) -> bytes:
        asking = wire.decode_ask_status(request)
        with self._records.writing() as transaction:
            found = admission.status(transaction, asking, self._now())
        if isinstance(found, CimfedError):
            raise found
        return wire.encode_status(found)

    def _administer(self, request: bytes) -> bytes:
        envelope, roster = wire.decode_administer(request), self._repository.roster()
        with self._records.writing() as transaction:
            result = administer(transaction, roster, envelope, self._now())
        return wire.encode_administered(result)

    def _request_access(self, request: bytes) -> bytes:
        envelope, roster = wire.decode_request_access(request), self._repository.roster()
        with self._records.writing() as transaction:
            admission.request_access(transaction, roster, envelope, self._now())
        return wire.encode_access_kept()

    def _publish(self, request: bytes) -> bytes:
        return wire.encode_published(self._repository.publish(wire.decode_publish(request)).version)


def _in_thread(call: Call) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def handle(request: bytes, _context: Any) -> bytes:
        return await asyncio.to_thread(call, request)

    return handle
