"""The server alone: a refreshing read against the server's own GETEX, and what documents weigh."""

from __future__ import annotations

import csv
import io
import os
import random
import shutil
import subprocess
import uuid
from collections.abc import Iterable, Iterator

import redis

from _servers import Server
from benchmarks._ratio import Result, compare_rates

TTL = 1_800_000
BATCH = 1_000


def text(length: int) -> str:
    """A session as JSON text of about this many bytes."""
    head = '{"user_id":"u-184467","last_page":"/checkout","visits":42,"tags":["a","b"],"note":"'
    return head + "x" * max(0, length - len(head) - 2) + '"}'


def fill(client: redis.Redis, commands: Iterable[tuple[str | int, ...]]) -> None:
    pipeline = client.pipeline(transaction=False)
    for number, command in enumerate(commands, start=1):
        # redis-py leaves its generic call untyped.
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
        if number % BATCH == 0:
            pipeline.execute()
    pipeline.execute()


def reads() -> Iterator[Result]:
    """MODEL.GET with refresh against GETEX of the same text.

    Of one key, which moves its deadline once a millisecond, and of so many that every read moves one.
    """
    yield _reads(200, keys=1, requests=2_000_000, goal=1.1)
    yield _reads(16_384, keys=1, requests=200_000, goal=1.0)
    yield _reads(200, keys=100_000, requests=1_000_000, goal=0.85)
    yield _reads(16_384, keys=10_000, requests=200_000, goal=0.8)


def _reads(length: int, keys: int, requests: int, goal: float) -> Result:
    server = Server.start("redis")
    try:
        with server.client() as client:
            client.execute_command("MODEL.POLICY", "SET", "Doc:", "TTL", TTL, "REFRESH", "ALL")
            body = text(length)
            fill(client, (("MODEL.CREATE", f"Doc:{at:012}", body) for at in range(keys)))
            fill(client, (("SET", f"Str:{at:012}", body, "PX", TTL) for at in range(keys)))
        pinned = shutil.which("taskset") is not None and (os.cpu_count() or 1) > 1
        if pinned:
            os.sched_setaffinity(server.pid, {0})

        def rate(*command: str) -> float:
            return _benchmark(server, pinned, keys, requests, *command)

        return compare_rates(
            f"MODEL.GET with refresh against GETEX, {length:,} B, {keys:,} {'keys' if keys > 1 else 'key'}",
            lambda: rate("MODEL.GET", "Doc:__rand_int__"),
            lambda: rate("GETEX", "Str:__rand_int__", "EX", str(TTL // 1000)),
            goal,
        )
    finally:
        server.stop()


def _benchmark(server: Server, pinned: bool, keys: int, requests: int, *command: str) -> float:
    """Requests per second as redis-benchmark counts them, pipelined by 32 over 20 connections."""
    program = server.program.with_name(f"{server.kind}-benchmark")
    load = ["-P", "32", "-c", "20", "-n", str(requests), "-r", str(keys)]
    output = subprocess.run(
        [
            *(("taskset", "-c", "1") if pinned else ()),
            program,
            "-p",
            str(server.port),
            *load,
            "--csv",
            *command,
        ],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    *_, row = csv.reader(io.StringIO(output))
    return float(row[1])


def memory() -> Iterator[Result]:
    """used_memory of documents against plain string keys of the same texts and TTLs."""
    chance = random.Random(7)
    texts = {
        f"Session:{uuid.UUID(int=chance.getrandbits(128))}": text(chance.randint(120, 320))
        for _ in range(100_000)
    }
    ours = _weight("MODEL.CREATE", texts, ())
    anchor = _weight("SET", texts, ("PX", TTL))
    yield Result(
        "memory of 100 000 documents of 120 to 320 B against string keys",
        f"{ours / len(texts):.0f} B each",
        f"{anchor / len(texts):.0f} B each",
        ours / anchor,
        (ours / anchor, ours / anchor),
        1.08,
        more_is_better=False,
    )


def _weight(command: str, texts: dict[str, str], options: tuple[str | int, ...]) -> int:
    server = Server.start("redis")
    try:
        with server.client() as client:
            client.execute_command("MODEL.POLICY", "SET", "Session:", "TTL", TTL, "REFRESH", "ALL")
            # The first key brings the tables' own memory along.
            client.execute_command(command, "Session:first", "{}", *options)
            before = int(client.info("memory")["used_memory"])
            fill(client, ((command, key, body, *options) for key, body in texts.items()))
            return int(client.info("memory")["used_memory"]) - before
    finally:
        server.stop()
