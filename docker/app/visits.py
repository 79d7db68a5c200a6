"""A web page that counts visits: GET /ada. Who stays away for half an hour starts anew."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from asyncio import StreamReader, StreamWriter
from datetime import timedelta

from redis.asyncio import Redis

from rapyer import AtomicRedisModel, Key, init_rapyer, teardown_rapyer
from rapyer.errors import RapyerConnectionError
from rapyer.types import RedisInt


class Visits(AtomicRedisModel):
    """How often someone came; kept for half an hour after the last time."""

    visitor: Key[str]
    count: RedisInt = RedisInt(0)


Visits.Meta.ttl = timedelta(minutes=30)


async def visit(visitor: str) -> str:
    """Counts one visit. The server does the counting, and starts the half hour anew with it."""
    visits, _ = await Visits.aget_or_create(Visits(visitor=visitor))
    return f"{visitor}: visit {await visits.count.aincrease()}, kept for {await visits.attl():.0f} s\n"


async def serve(reader: StreamReader, writer: StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, text = "404 Not Found", "GET /your-name\n"
        if asked := re.match(r"GET /([\w-]{1,40}) ", head):
            try:
                status, text = "200 OK", await visit(asked[1])
            except RapyerConnectionError as lost:
                status, text = "503 Service Unavailable", f"{lost}\n"
        body = text.encode()
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode())
        writer.write(b"Content-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n" + body)
        await writer.drain()
    finally:
        writer.close()


async def main() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    # The password has a variable of its own: in a URL it would have to be escaped.
    client = Redis.from_url(os.environ["RAPYER_URL"], password=os.environ["RAPYER_PASSWORD"])
    await init_rapyer(redis=client)
    async with client, await asyncio.start_server(serve, port=8000):
        await stopped.wait()
        await teardown_rapyer()


if __name__ == "__main__":
    asyncio.run(main())
