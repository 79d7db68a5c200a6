"""Memory as the server manages it: counted, freed in the background, evicted, refused and defragmented."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from _servers import Server
from _wire import Client, CommandFailed, wait_for

Start = Callable[..., Server]

MIB = 1 << 20
LARGE = "[" + ",".join(['"' + "x" * 500 + '"'] * 100_000) + "]"
"""Fifty megabytes, which the module keeps in tens of thousands of chunks."""


def memory(client: Client) -> int:
    return int(client.info("memory")["used_memory"])


@pytest.fixture
def freed(client: Client) -> Callable[[], int]:
    """How many objects were freed in the background."""
    client("CONFIG", "RESETSTAT")
    return lambda: int(client.info("memory")["lazyfreed_objects"])


def test_a_document_counts_as_the_memory_it_takes(primary: Server, client: Client) -> None:
    before = memory(client)
    # The connection and its buffers go before the look.
    with Client(primary) as creating:
        creating("MODEL.CREATE", "large", LARGE)
    wait_for(lambda: memory(client) - before < 1.5 * len(LARGE))
    taken = memory(client) - before
    told = client("MEMORY", "USAGE", "large", "SAMPLES", 0)
    assert len(LARGE) < told
    # What the server keeps for the key and what the allocator rounds up are not the document's to know.
    assert 0.9 < told / taken <= 1.1
    client("MODEL.CREATE", "small", '"' + "x" * 1000 + '"')
    assert 1016 <= client("MEMORY", "USAGE", "small") < 1200


@pytest.mark.parametrize(
    "freeing",
    [
        (("UNLINK", "large"),),
        (("FLUSHDB", "ASYNC"),),
        (("FLUSHALL", "ASYNC"),),
        (("CONFIG", "SET", "lazyfree-lazy-expire", "yes"), ("PEXPIRE", "large", 1)),
        (("CONFIG", "SET", "lazyfree-lazy-server-del", "yes"), ("MODEL.DEL", "large")),
        (("CONFIG", "SET", "lazyfree-lazy-server-del", "yes"), ("RENAME", "small", "large")),
    ],
    ids=lambda commands: commands[-1][0],
)
def test_a_large_document_is_freed_in_the_background(
    client: Client, freed: Callable[[], int], freeing: tuple[tuple[str | int, ...], ...]
) -> None:
    client("MODEL.CREATE", "large", LARGE)
    client("MODEL.CREATE", "small", "1")
    for command in freeing:
        client(*command)
    wait_for(lambda: client("EXISTS", "large") == 0 or client("MODEL.GET", "large") == b"1")
    wait_for(lambda: freed() >= 1)
    wait_for(lambda: memory(client) < len(LARGE) // 2)


def test_a_small_document_is_freed_at_once(client: Client, freed: Callable[[], int]) -> None:
    client("MODEL.CREATE", "small", json.dumps("x" * 10_000))
    client("UNLINK", "small")
    assert client.info("memory")["lazyfree_pending_objects"] == "0"
    assert freed() == 0


GROWING = {
    "CREATE": ("MODEL.CREATE", "new", "1"),
    "SAVE": ("MODEL.SAVE", "doc", '{"list":[1],"n":2}'),
    "EDIT": ("MODEL.EDIT", "doc", "SET", "$.n", "2"),
    "SET": ("MODEL.SET", "doc", "$.n", "2"),
    "APPEND": ("MODEL.APPEND", "doc", "$.list", "2"),
    "INCRBY": ("MODEL.INCRBY", "doc", "$.n", "1"),
}
OTHERS: dict[str, tuple[str | int, ...]] = {
    "GET": ("MODEL.GET", "doc"),
    "GET_RO": ("MODEL.GET_RO", "doc"),
    "TTL GET": ("MODEL.TTL", "GET", "doc"),
    "TTL SET": ("MODEL.TTL", "SET", "doc", "PX", 100_000),
    "POP": ("MODEL.POP", "doc", "$.list"),
    "DEL": ("MODEL.DEL", "doc"),
    "POLICY SET": ("MODEL.POLICY", "SET", "S:", "TTL", 1000),
}


def test_a_server_out_of_memory_refuses_what_makes_documents_grow_and_nothing_else(client: Client) -> None:
    client("MODEL.POLICY", "SET", "doc", "TTL", 60_000, "REFRESH", "ALL")
    client("MODEL.CREATE", "doc", '{"list":[1],"n":1}')
    before = client("MODEL.GET_RO", "doc")
    client("CONFIG", "SET", "maxmemory", 1)
    for growing in GROWING.values():
        with pytest.raises(CommandFailed, match="OOM"):
            client(*growing)
    assert client("MODEL.GET_RO", "doc") == before
    for other in OTHERS.values():
        client(*other)
    assert client("DBSIZE") == 0


def batch(key: str, *operations: tuple[str | int, ...]) -> tuple[str | int, ...]:
    words = [word for operation in operations for word in (len(operation), *operation)]
    return ("MODEL.EXEC", 1, key, *words)


def directly(client: Client, words: tuple[str | int, ...]) -> object:
    return client(*words)


def in_a_script(client: Client, words: tuple[str | int, ...]) -> object:
    script = "return redis.call(unpack(ARGV))"
    return client("EVAL", script, 1, words[2], *words)


def in_a_transaction(client: Client, words: tuple[str | int, ...]) -> object:
    client("MULTI")
    client(*words)
    (reply,) = client("EXEC")
    if isinstance(reply, Exception):
        raise CommandFailed(str(reply))
    return reply


Way = Callable[[Client, tuple[str | int, ...]], object]


# Old servers that are full refuse to queue any command of a transaction.
@pytest.mark.parametrize("run", [directly, in_a_script])
def test_on_a_full_server_a_batch_may_do_what_needs_no_memory(client: Client, run: Way) -> None:
    client("MODEL.CREATE", "doc", '{"list":[1,2,3],"n":1,"text":"abc"}')
    client("CONFIG", "SET", "maxmemory", 1)
    shrinking = [
        ("MODEL.POP", "doc", "$.list"),
        ("MODEL.REMOVE", "doc", "$.list", 1),
        ("MODEL.GET", "doc", "$.list"),
        ("MODEL.CLEAR", "doc", "$.text"),
        ("MODEL.UNSET", "doc", "$.n"),
        ("MODEL.EXPECT", "doc", "$.list", "[2]"),
    ]
    assert run(client, batch("doc", *shrinking)) == [b"3", 1, b"[2]", 3, 1, b"OK"]
    assert client("MODEL.GET_RO", "doc") == b'{"list":[2],"text":""}'
    assert run(client, batch("doc", ("MODEL.DEL", "doc"))) == [1]
    assert client("DBSIZE") == 0


@pytest.mark.parametrize("run", [directly, in_a_script])
@pytest.mark.parametrize("growing", GROWING.values(), ids=GROWING)
def test_on_a_full_server_a_batch_that_needs_memory_changes_nothing(
    client: Client, run: Way, growing: tuple[str, ...]
) -> None:
    client("MODEL.CREATE", "doc", '{"list":[1],"n":1}')
    before = client("MODEL.GET_RO", "doc")
    words = batch("doc", ("MODEL.POP", "doc", "$.list"), (growing[0], "doc", *growing[2:]))
    client("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(
        CommandFailed,
        match=r"OOM operation 2 .*command not allowed when used memory > 'maxmemory'; free memory",
    ):
        run(client, words)
    assert client("MODEL.GET_RO", "doc") == before
    client("CONFIG", "SET", "maxmemory", 0)
    run(client, words)
    assert client("MODEL.GET_RO", "doc") != before


REPEATS = [("MODEL.CALC", "doc", "$.text", "REPEAT", 5)] * 8
"""From ten kilobytes to four gigabytes."""


@pytest.mark.parametrize("run", [directly, in_a_script, in_a_transaction])
def test_a_batch_that_would_need_more_memory_than_is_left_is_refused_before_it_has_it(
    client: Client, run: Way
) -> None:
    client("MODEL.CREATE", "doc", json.dumps({"text": "x" * 10_000}))
    before = client("MODEL.GET_RO", "doc")
    client("CONFIG", "SET", "maxmemory", memory(client) + 16 * MIB)
    client("CONFIG", "RESETSTAT")
    with pytest.raises(CommandFailed, match=r"OOM operation [56] .*more than there is left; free memory"):
        run(client, batch("doc", *REPEATS))
    assert client("MODEL.GET_RO", "doc") == before
    assert int(client.info("memory")["used_memory_peak"]) < memory(client) + 40 * MIB
    # Another setting counts at once.
    client("CONFIG", "SET", "maxmemory", 0, "rapyer.max-batch", 100_000)
    with pytest.raises(CommandFailed, match=r"LIMIT operation 2 .*rapyer.max-batch is 100000 bytes"):
        run(client, batch("doc", *REPEATS))
    assert client("MODEL.GET_RO", "doc") == before


def test_where_the_server_evicts_a_batch_may_grow_as_other_commands_may(client: Client) -> None:
    client("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    client("CONFIG", "SET", "maxmemory", memory(client) + 4 * MIB)
    text = json.dumps("x" * 100_000)
    for at in range(200):
        key = f"S:{at}"
        assert client(*batch(key, ("MODEL.CREATE", key, text))) == [b"OK"]
    assert int(client.info("stats")["evicted_keys"]) > 100
    # Nothing that may be evicted is left.
    client("FLUSHALL")
    client("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
    client("MODEL.CREATE", "doc", "[1]")
    client("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(CommandFailed, match="OOM"):
        client(*batch("doc", ("MODEL.APPEND", "doc", "$", 2)))


def test_a_replica_that_is_full_applies_the_batches_of_its_primary(client: Client, replica: Server) -> None:
    with Client(replica) as at_replica:
        at_replica("CONFIG", "SET", "maxmemory", 1)
        client("MODEL.CREATE", "doc", json.dumps({"text": "x" * 10_000}))
        client(*batch("doc", *REPEATS[:4]))
        assert client("WAIT", 1, 5000) == 1
        at_replica("CONFIG", "SET", "maxmemory", 0)
        assert at_replica("MODEL.GET_RO", "doc") == client("MODEL.GET_RO", "doc")


@pytest.mark.parametrize("policy", ["allkeys-lru", "volatile-ttl", "allkeys-lfu"])
def test_documents_are_evicted_and_the_others_stay_whole(client: Client, policy: str) -> None:
    client("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "ALL")
    client("CONFIG", "SET", "maxmemory-policy", policy)
    client("CONFIG", "SET", "maxmemory", memory(client) + 4 * MIB)
    text = json.dumps(["x" * 100] * 100)
    for at in range(1000):
        client("MODEL.CREATE", f"S:{at}", text)
    assert int(client.info("stats")["evicted_keys"]) > 100
    client("CONFIG", "SET", "maxmemory", 0)
    kept = client("KEYS", "S:*")
    assert 100 < len(kept) < 900
    for key in kept:
        assert json.loads(client("MODEL.GET", key)) == json.loads(text)


def test_reads_warm_a_document_unless_the_client_says_no_touch(client: Client) -> None:
    client("CONFIG", "SET", "maxmemory-policy", "allkeys-lfu")
    client("CONFIG", "SET", "lfu-log-factor", 0)
    client("MODEL.POLICY", "SET", "S:", "TTL", 600_000, "REFRESH", "ALL")
    client("MODEL.CREATE", "S:1", "1")
    before = client("OBJECT", "FREQ", "S:1")
    for _ in range(10):
        client("MODEL.GET", "S:1")
    warm = client("OBJECT", "FREQ", "S:1")
    assert warm >= before + 10
    if tuple(map(int, client.info("server")["redis_version"].split(".")[:2])) < (7, 2):
        return  # CLIENT NO-TOUCH came with 7.2
    client("CLIENT", "NO-TOUCH", "ON")
    for _ in range(10):
        client("MODEL.GET", "S:1")
        client("MODEL.GET_RO", "S:1")
    assert client("OBJECT", "FREQ", "S:1") == warm


@pytest.mark.parametrize("kind", ["redis-8.2"])
def test_active_defragmentation_moves_every_part_of_documents(start: Start) -> None:
    # Of the servers at hand the one with an allocator that can tell fragmented blocks.
    with Client(start("--enable-debug-command", "yes")) as client:
        client("MODEL.CREATE", "large", '{"list":[],"names":{}}')
        text = json.dumps("x" * 900)
        for at in range(4000):
            client("MODEL.APPEND", "large", "$.list", text)
            client("MODEL.SET", "large", f"$.names.n{at}", str(at))
            client("MODEL.CREATE", f"small:{at}", text)
            for filler in range(3):
                client("SET", f"filler:{at}:{filler}", text)
        for at in range(4000):
            client("DEL", *(f"filler:{at}:{filler}" for filler in range(3)))
        digest = client("DEBUG", "DIGEST")
        # The server takes stock of its allocator ten times a second.
        wait_for(lambda: int(client.info("memory")["allocator_frag_bytes"]) > 4 * MIB)
        wasted = int(client.info("memory")["allocator_frag_bytes"])
        client("CONFIG", "SET", "active-defrag-ignore-bytes", 1, "active-defrag-threshold-lower", 1)
        client("CONFIG", "SET", "active-defrag-cycle-min", 50, "active-defrag-cycle-max", 75)
        client("CONFIG", "SET", "activedefrag", "yes")
        wait_for(lambda: int(client.info("memory")["allocator_frag_bytes"]) < wasted // 4)
        # More blocks than keys: the chunks of the one large document are among them.
        assert int(client.info("stats")["active_defrag_hits"]) > 6000
        assert client("DEBUG", "DIGEST") == digest
        for at in range(4000):
            client("MODEL.SET", "large", f"$.names.n{at}", str(-at))
        client("CONFIG", "SET", "activedefrag", "no")
        document = json.loads(client("MODEL.GET", "large"))
        assert document == {"list": ["x" * 900] * 4000, "names": {f"n{at}": -at for at in range(4000)}}
