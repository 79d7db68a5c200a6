"""What a server takes from its primary or its append-only file: only what its own snapshots can carry."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable

import hiredis
import pytest

from _servers import FORMS, Server
from _wire import Client, FakePrimary

Start = Callable[..., Server]
Words = tuple[str | bytes | int, ...]

NOW = 1_700_000_000_000
# Later than any test.
LATER = 4_000_000_000_000
LATEST = (1 << 48) - 1
CENTURY = 3_155_760_000_000
APPEND_ONLY = ("--appendonly", "yes", "--aof-use-rdb-preamble", "no")
SET_POLICY = ("POLICY|SET", "H:", "TTL", 1000)
DAMAGED = b"\x02\x01\x01"

SOUND: list[Words] = [
    ("MODEL._APPLY", NOW, "", "POLICY|SET", "S:", "TTL", 600_000, "REFRESH", "ALL"),
    ("MODEL._APPLY", NOW + 5, "", "POLICY|SET", "S:", "TTL", 500_000),
    ("MODEL._APPLY", NOW, str(LATER), "CREATE", "S:1", '{"n":1}'),
    ("MODEL._APPLY", NOW, "-", "CREATE", "S:2", "[1]"),
    ("MODEL._APPLY", LATEST, str(LATEST + CENTURY), "CREATE", "S:3", "[1]"),
    ("MODEL._EXPIREAT", "S:2", LATER + 1),
    ("MODEL._LOAD", "S:4", NOW, 7, 60_000, "null"),
    # Locks as the first release replicated them, and with the time of leases.
    ("MODEL._APPLY", NOW, str(LATER), "LOCK", "S:5", "me", "PX", 60_000),
    ("MODEL._APPLY", f"{NOW},{NOW + 5}", str(LATER), "LOCK", "S:6", "me", "PX", 60_000),
    ("MODEL._LEASES", b"\x01\x01\x05\x03\x01\x07\x64\x05later"),
]

HOSTILE: list[Words] = [
    *(("MODEL._APPLY", now, "", *SET_POLICY) for now in (-1, -(1 << 63), LATEST + 1, (1 << 63) - 1, 1 << 64)),
    *(("MODEL._APPLY", now, "", *SET_POLICY) for now in ("+1", "01", "-0", "", "1;1", "now")),
    *(("MODEL._APPLY", now, str(LATER), "CREATE", "H:1", "1") for now in (-1, LATEST + 1, (1 << 63) - 1)),
    *(
        ("MODEL._APPLY", NOW, at, "SET", "S:1", "$.n", 2)
        for at in ("-1", "0", str(LATEST + CENTURY + 1), "+5", ",")
    ),
    *(("MODEL._APPLY", f"{NOW},{at}", "", *SET_POLICY) for at in (-1, LATEST + 1, "", "+1", "1,1", 1 << 64)),
    ("MODEL._APPLY", NOW, "", "POLICY|SET", "H:"),
    ("MODEL._APPLY", NOW, "-", "CREATE", "H:1"),
    ("MODEL._APPLY", (1 << 63) - 1, "", "LOCK", "H:lock", "me", "PX", CENTURY),
    *(
        ("MODEL._EXPIREAT", "S:2", LATER, "S:1", at)
        for at in (-1, 0, (1 << 63) - 1, LATEST + CENTURY + 1, "+5", "")
    ),
    ("MODEL._EXPIREAT", "S:1", LATER, "S:2"),
    *(("MODEL._LOAD", "H:1", *header, "1") for header in ((-1, 1, 0), (LATEST + 1, 1, 0), (NOW, -1, 0))),
    *(
        ("MODEL._LOAD", "H:1", *header, "1")
        for header in ((NOW, 1 << 32, 0), (NOW, 1, -1), (NOW, 1, CENTURY + 1))
    ),
    ("MODEL._LOAD", "H:1", NOW, 1, 0, "[1,]"),
    ("MODEL._LOAD", "H:1", NOW, 1),
    *(
        ("MODEL._LOAD", "H:1", fields, "1")
        for fields in (b"", b"\x01\x01\x01", b"\x01\x08" + b"\xff" * 8, b"\x01\x05")
    ),
    *(
        ("MODEL._POLICIES", database, b"\x02\x01\x00")
        for database in (-1, 1 << 31, (1 << 63) - 1, "+1", "01", "")
    ),
    *(
        ("MODEL._LEASES", payload)
        for payload in (
            b"",
            b"\x01\x01\x05",
            b"\x01\x08" + b"\xff" * 8 + b"\x03\x00",
            b"\x01\x00\x03\x00\x65\x00",
        )
    ),
    ("MODEL._LEASES", b"\x01\x00\x03\x07" + b"\xff" * 7),
    *(
        ("MODEL._POLICIES", 0, payload)
        for payload in (b"", b"\x00", b"\x03", DAMAGED, b"\x01", b"\x01" + b"\xff" * 8)
    ),
]


def state(client: Client) -> list[object]:
    found: list[object] = [client("MODEL.POLICY", "LIST"), client("DBSIZE")]
    for key in ("S:1", "S:2", "S:3", "S:4", "S:5", "S:6", "H:1", "H:lock"):
        found += [client("MODEL.GET_RO", key), client("MODEL.TTL", "GET", key), client("PEXPIRETIME", key)]
    return found


@pytest.fixture(params=["a primary", "an append-only file"])
def told(request: pytest.FixtureRequest, start: Start) -> Callable[[Iterable[Words]], Server]:
    """A function that has a new server run commands that nobody checked, and waits for it."""

    def by_primary(commands: Iterable[Words]) -> Server:
        server = start()
        with FakePrimary(server) as primary:
            for words in commands:
                primary(*words)
        with Client(server) as client:
            client("REPLICAOF", "NO", "ONE")
        return server

    def by_file(commands: Iterable[Words]) -> Server:
        server = start(*APPEND_ONLY)
        server.kill()
        shutil.rmtree(server.dir / "appendonlydir")
        # The stub's tuple has one element.
        written = [hiredis.pack_command(words) for words in commands]  # type: ignore[arg-type]
        (server.dir / "appendonly.aof").write_bytes(b"".join(written))
        server.restart()
        return server

    return by_primary if request.param == "a primary" else by_file


def test_what_a_server_takes_its_own_snapshot_carries(
    told: Callable[[Iterable[Words]], Server], start: Start
) -> None:
    with Client(told(SOUND)) as client:
        sound = state(client)
    server = told([*SOUND, *HOSTILE])
    with Client(server) as client:
        assert state(client) == sound
        client("SAVE")
    refusals = [line for line in server.log().splitlines() if "MODEL._" in line]
    assert len(refusals) >= len(HOSTILE)
    assert "panic" not in server.log()
    again = start()
    again.kill()
    shutil.copy(server.dir / "dump.rdb", again.dir)
    again.restart()
    with Client(again) as client:
        assert state(client) == sound


HOUR = 3_600_000
AHEAD = 30 * HOUR


@pytest.mark.parametrize("told", ["an append-only file"], indirect=True)
@pytest.mark.parametrize("form", ["as it is", *FORMS])
def test_locks_outlive_a_clock_that_steps_back(
    told: Callable[[Iterable[Words]], Server], carried: Callable[[Server, str], Server], form: str
) -> None:
    # A server took two locks for a second while its clock was thirty hours ahead; of one nothing is left.
    then = time.time_ns() // 1_000_000 + AHEAD
    server = told(
        [
            ("MODEL._APPLY", f"{then},{then}", then + 61_000, "LOCK", "held", "dead", "PX", 1000),
            ("MODEL._APPLY", f"{then},{then}", then + 61_000, "LOCK", "gone", "dead", "PX", 1000),
            ("DEL", "gone"),
        ]
    )
    with Client(server) as client:
        before = json.loads(client("MODEL.GET_RO", "held"))["number"]
        assert before == then * 1000
    if form != "as it is":
        server = carried(server, form)
    with Client(server) as client:
        numbers = [client("MODEL.LOCK", "gone", "next", "PX", 1000)]
        while (number := client("MODEL.LOCK", "held", "next", "PX", 1000)) is None:
            assert len(numbers) < 100, "the lease outlives its time"
            numbers.append(client("MODEL.LOCK", f"other:{len(numbers)}", "next", "PX", 1000))
            time.sleep(0.03)
        numbers.append(number)
        assert [before, *numbers] == sorted({before, *numbers})
