"""What five processes cost that do nothing: the messages of a group-by over three cities, passed on as bytes.

A client, a gateway and three nodes over bare ``grpc.aio`` on loopback: no TLS, no signatures, no policies, no log, no
engine. What a federated group-by takes beside this is ours; this itself is what gRPC in Python takes on this machine.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from typing import Any

import grpc

METHOD = "/floor/Ask"
START, BATCH, HEAD, MANIFEST, COVERAGE = (bytes(size) for size in (700, 1300, 350, 650, 900))
OPTIONS = (("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0))


def handler(answer: Any) -> Any:
    return grpc.method_handlers_generic_handler("floor", {"Ask": grpc.unary_stream_rpc_method_handler(answer)})


async def node(request: bytes, context: Any) -> None:
    for message in (START, BATCH, HEAD, MANIFEST):
        await context.write(message)


async def serve(answer: Any) -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((handler(answer),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until the parent closes our input
    await server.stop(0)


async def gateway(ports: list[str]) -> None:
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) for port in ports]

    async def answer(request: bytes, context: Any) -> None:
        turn = asyncio.Lock()  # gRPC hangs where two tasks write at once

        async def relay(channel: Any) -> None:
            async for message in channel.unary_stream(METHOD)(request):
                async with turn:
                    await context.write(message)

        await asyncio.gather(*map(relay, channels))
        for message in (START, BATCH, COVERAGE):
            await context.write(message)

    await serve(answer)


async def client(port: str, rounds: int) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS) as channel:
        times = []
        for _ in range(rounds):
            begun = time.perf_counter()
            messages = [message async for message in channel.unary_stream(METHOD)(bytes(700))]
            times.append(time.perf_counter() - begun)
            assert len(messages) == 15
        print(f"floor of a group-by over three cities: {statistics.median(times) * 1000:.1f} ms")


def start(*arguments: str) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def main() -> None:
    nodes = [start("node") for _ in range(3)]
    middle = start("gateway", *(port for _, port in nodes))
    try:
        asyncio.run(client(middle[1], 300))
    finally:
        for process, _ in (middle, *nodes):
            process.communicate("")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node"]:
            asyncio.run(serve(node))
        case ["gateway", *given]:
            asyncio.run(gateway(given))
        case _:
            main()
