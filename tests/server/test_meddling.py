"""Other modules act inside the server's notifications while a command is under way, and it bears that.

A subscriber writes, deletes, replaces, flushes, sets policies and runs commands on documents, for every
command, on documents, on absent keys and on expired ones. The command may find what it did gone again; the
server goes on, and nothing panics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from _calls import DOCUMENT, TABLE, call, keys_of
from _meddling import (
    ACTIONS,
    EVERYWHERE,
    FOR_EXPIRED,
    GENTLE,
    HAS_EXPIRE,
    IN_NEW,
    KEY,
    KEYS,
    OTHER,
    ROUGH,
    STATES,
    THIRD,
    Meddled,
    Words,
    faults,
    meddle,
)
from _servers import EVERY_KIND, MODULE, Kind, Server, ServerMissing
from _wire import Client, CommandFailed, wait_for


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def server(kind: Kind, meddler: Path, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Server]:
    arguments = ["--loadmodule", str(meddler), "--enable-debug-command", "yes", "--appendonly", "yes"]
    try:
        server = Server.start(kind, [*arguments, "--appendfsync", "no"])
    except ServerMissing as missing:
        left_out(missing)
    yield server
    server.stop()


@pytest.fixture
def meddled(server: Server) -> Iterator[Meddled]:
    meddled = Meddled(server)
    yield meddled
    meddled.close()


@pytest.mark.parametrize("action", ACTIONS)
def test_a_subscriber_may_do_this_inside_every_event(server: Server, meddled: Meddled, action: str) -> None:
    in_new = IN_NEW
    if server.kind in {"valkey-8.1", "valkey-9"}:
        in_new = set(ROUGH) - HAS_EXPIRE - EVERYWHERE
    event = "*" if action in {*GENTLE, *in_new} else "!new"
    # Waiting until a document has expired takes longer than all the rest.
    states = [state for state in STATES if state != "expired" or action in {*ROUGH, *FOR_EXPIRED}]
    done = 0
    for name in TABLE:
        keys = [KEY, OTHER][: keys_of(name)]
        for state in states:
            words = call(name, keys)
            try:
                replies, seen = meddle(meddled, state, words, event, ACTIONS[action])
            except (ConnectionError, OSError) as error:
                pytest.fail(f"the server ended at {words} on {state} keys: {error}\n{server.log()[-3000:]}")
            assert faults(replies, seen) == [], (words, state)
            done += sum(line.startswith(b"did ") for line in seen)
    assert done > 20
    assert "INTERNAL" not in server.log()
    assert meddled(["DEBUG", "RELOAD"]) == [b"OK"]


# What makes the server fire an event of its own, and that event: its number and that of its part.
EVENTS: dict[str, tuple[str, list[Words]]] = {
    "flush starts": ("server:2:0", [["FLUSHALL"]]),
    "flush ends": ("server:2:1", [["FLUSHDB"]]),
    "loading starts": ("server:3:0", [["DEBUG", "RELOAD"]]),
    "loading ends": ("server:3:3", [["DEBUG", "RELOAD"]]),
    "cron": ("server:8:0", [["MEDDLER.WAIT", "1"]]),
    "databases are swapped": ("server:11:0", [["SWAPDB", "0", "1"], ["SWAPDB", "0", "1"]]),
    "a child is born to save": ("server:13:0", [["BGSAVE"]]),
    "a child is born to rewrite": ("server:13:0", [["BGREWRITEAOF"]]),
    "configuration changes": ("server:16:0", [["CONFIG", "SET", "hz", "20"]]),
    "a key is loaded": ("loaded", [["DEBUG", "RELOAD"]]),
}
READS = ("reads it and others", "sets policies", "removes the policy", "asks for policies")
IN_EVENTS = {name: [word.replace("{key}", KEY) for word in GENTLE[name]] for name in GENTLE}


@pytest.mark.parametrize("event", EVENTS)
def test_a_subscriber_may_act_inside_the_events_of_the_server(
    server: Server, meddled: Meddled, event: str
) -> None:
    name, triggers = EVENTS[event]
    # Nothing may be written where the server is about to put what it loads.
    for action in IN_EVENTS if name not in {"loaded", "server:3:0"} else READS:
        prepare = [
            ["MEDDLER.FORGET"],
            ["FLUSHALL"],
            ["MODEL.POLICY", "SET", "Doc:", "TTL", "60000", "REFRESH", "ALL"],
            *(["MODEL.CREATE", key, DOCUMENT] for key in (KEY, OTHER, THIRD)),
        ]
        meddled(*prepare, ["MEDDLER.WHEN", name, "*", "1", *IN_EVENTS[action]])
        meddled(*triggers)
        until = time.monotonic() + 5
        while meddled(["MEDDLER.SEEN"]) == [0]:
            assert time.monotonic() < until, "the event did not happen"
            time.sleep(0.01)
        replies = meddled(["MEDDLER.FORGET"], ["PING"], *(["MODEL.GET_RO", key] for key in KEYS))
        assert faults(replies, replies[0]) == []
        assert replies[1] == b"PONG"
        until = time.monotonic() + 20
        while b"aof_rewrite_in_progress:1" in (info := meddled(["INFO", "persistence"])[0]) or (
            b"rdb_bgsave_in_progress:1" in info
        ):
            assert time.monotonic() < until, "the child does not end"
            time.sleep(0.01)
        assert b"aof_last_bgrewrite_status:ok" in info
        assert b"rdb_last_bgsave_status:ok" in info
    assert "INTERNAL" not in server.log()


# Redis 7.0 has no such event. The others bear no write in it, not even of a deadline.
@pytest.mark.parametrize("kind", [kind for kind in EVERY_KIND if kind != "redis"], indirect=True)
@pytest.mark.parametrize("twin", [name for name in TABLE if TABLE[name]["twin"]])
def test_a_subscriber_may_read_a_document_while_it_goes(server: Server, meddled: Meddled, twin: str) -> None:
    gone: dict[str, list[Words]] = {
        "server:17:0": [["MODEL.DEL", KEY], ["DEL", KEY], ["MODEL.EXEC", "1", KEY, "2", "MODEL.DEL", KEY]],
        "server:17:1": [["MEDDLER.WAIT", "1"]],
        "server:17:3": [["SET", KEY, "text"], ["RENAME", OTHER, KEY], ["COPY", OTHER, KEY, "REPLACE"]],
    }
    words = call(twin, [KEY, OTHER][: keys_of(twin)])
    for event, calls in gone.items():
        for last in calls:
            replies = meddled(
                *(["FLUSHALL"], ["MEDDLER.FORGET"]),
                *(["MODEL.CREATE", key, DOCUMENT] for key in (KEY, OTHER)),
                *(
                    [["MODEL.TTL", "SET", KEY, "PX", "1"], ["MEDDLER.WAIT", "2"]]
                    if event == "server:17:1"
                    else []
                ),
                ["MEDDLER.WHEN", event, "*", "9", "CALL", "-", *words],
                *(last, ["EXISTS", KEY], ["MEDDLER.FORGET"], ["PING"]),
            )
            assert replies[-1] == b"PONG"
            assert faults(replies, replies[-2]) == []
            # What takes a key's place tells of it as overwritten on some servers, as deleted on the others.
            assert replies[-2] or event == "server:17:3"
    assert "INTERNAL" not in server.log()


@pytest.fixture
def alone(kind: Kind, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Callable[..., Server]]:
    """A function that starts a server without the module, which may be loaded while it runs."""
    started: list[Server] = []

    def start(*arguments: str) -> Server:
        try:
            started.append(Server.start(kind, [*arguments, "--enable-module-command", "yes"], module=False))
        except ServerMissing as missing:
            left_out(missing)
        return started[-1]

    yield start
    for server in started:
        server.stop()


# What is taken before the module is loaded, how it is loaded, and what the log then says.
REFUSED: dict[str, tuple[Words, Words, str]] = {
    "an argument": ([], ["LOAD", str(MODULE), "word"], "it takes no arguments"),
    "a data type of the same name": (
        ["TYPE", "rapyermdl"],
        ["LOAD", str(MODULE)],
        "another module has a data type of the same name",
    ),
    "a command of the same name": (
        ["COMMAND", "model.policy"],
        ["LOAD", str(MODULE)],
        "the server refuses the",
    ),
    "the last command of the same name": (
        ["COMMAND", "model._policies"],
        ["LOAD", str(MODULE)],
        "the server refuses the",
    ),
    "a setting out of range": (
        [],
        ["LOADEX", str(MODULE), "CONFIG", "rapyer.max-depth", "0"],
        "rapyer is not loaded: ",
    ),
    "a setting that is no number": (
        [],
        ["LOADEX", str(MODULE), "CONFIG", "rapyer.max-reply", "large"],
        "rapyer is not loaded: ",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_server_that_could_not_load_the_module_goes_on_without_it(
    alone: Callable[..., Server], meddler: Path, reason: str
) -> None:
    taken, load, logged = REFUSED[reason]
    server = alone("--loadmodule", str(meddler), *taken)
    with Client(server) as client:
        client("SET", "k", "text")
        for _ in range(2):
            with pytest.raises(CommandFailed, match="Error loading the extension"):
                client("MODULE", *load)
        assert logged in server.log()
        lives_on(server, client)


# Valkey fails by itself when it takes a module back that has a data type.
@pytest.mark.parametrize("kind", ["redis", "redis-8.0", "redis-8.2"], indirect=True)
def test_a_server_that_takes_the_module_back_goes_on(alone: Callable[..., Server]) -> None:
    server = alone()
    with Client(server) as client:
        with pytest.raises(CommandFailed, match="Error loading the extension"):
            client("MODULE", "LOADEX", str(MODULE), "CONFIG", "rapyer.nonsense", "1")
        assert "Loadex configurations were not applied" in server.log()
        lives_on(server, client)


def test_a_module_that_is_loaded_stays_as_it_was_when_it_is_loaded_again(
    alone: Callable[..., Server],
) -> None:
    server = alone()
    with Client(server) as client:
        assert client("MODULE", "LOAD", str(MODULE)) == b"OK"
        client("MODEL.POLICY", "SET", "Doc:", "TTL", 60_000)
        client("MODEL.CREATE", KEY, DOCUMENT)
        with pytest.raises(CommandFailed, match="Error loading the extension"):
            client("MODULE", "LOAD", str(MODULE))
        assert client("MODEL.GET", KEY) == DOCUMENT.encode()
        with pytest.raises(CommandFailed, match="Error unloading module"):
            client("MODULE", "UNLOAD", "rapyer")
        lives_on(server, client)


def lives_on(server: Server, client: Client) -> None:
    """Whatever makes the server call subscribers of its events, up to its end."""
    client("BGSAVE")
    wait_for(lambda: client.info("persistence")["rdb_bgsave_in_progress"] == "0")
    assert client.info("persistence")["rdb_last_bgsave_status"] == "ok"
    client("BGREWRITEAOF")
    wait_for(lambda: client.info("persistence")["aof_rewrite_in_progress"] == "0")
    assert client("FLUSHALL") == b"OK"
    assert client("SWAPDB", 0, 1) == b"OK"
    assert client("PING") == b"PONG"
    client.send(("SHUTDOWN", "NOSAVE"))
    wait_for(lambda: not server.alive())
    assert "crashed by signal" not in server.log()
    assert "ASSERTION" not in server.log()
