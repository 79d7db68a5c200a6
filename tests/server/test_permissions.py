"""A user's permissions hold however the call comes; who has no user is bound by none, and ends no server."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from _calls import DOCUMENT, LOCKS, TABLE, call, keys_of
from _servers import EVERY_KIND, Kind, Server, ServerMissing
from _wire import Client, CommandFailed, wait_for, wait_until_linked

Words = list[str]

NO_PERMISSION = re.compile(r"NOPERM|can't (run|access)|acl verification failed|[Nn]o permissions")
WITH_KEYS = [name for name in TABLE if keys_of(name)]
READERS = {name for name in WITH_KEYS if TABLE[name]["access"] == "read"}
WRITERS = [name for name in WITH_KEYS if name not in READERS]
BATCHED = [name for name in WITH_KEYS if name != "MODEL.EXEC"]
CALL = "return redis.call(unpack(ARGV))"
LIBRARY = (
    "#!lua name=ways\n"
    "redis.register_function('run', function(keys, args) return redis.call(unpack(args)) end)"
)


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def server(kind: Kind, meddler: Path, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Server]:
    try:
        server = Server.start(kind, ["--loadmodule", str(meddler)])
    except ServerMissing as missing:
        left_out(missing)
    with Client(server) as client:
        client("FUNCTION", "LOAD", LIBRARY)
    yield server
    server.stop()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server) as client:
        client("FLUSHALL")
        yield client
        client("PING")
    assert "INTERNAL" not in server.log()


Enter = Callable[..., Client]


@pytest.fixture
def enter(server: Server, client: Client) -> Iterator[Enter]:
    """A function that gives the connection of a user with these rules."""
    entered: list[Client] = []

    def enter(*rules: str) -> Client:
        client("ACL", "SETUSER", "limited", "reset", "on", "nopass", *rules)
        entered.append(Client(server))
        entered[-1]("AUTH", "limited", "any")
        return entered[-1]

    yield enter
    for each in entered:
        each.close()
    client("ACL", "DELUSER", "limited")


def in_batch(words: Words, keys: list[str]) -> Words:
    return ["MODEL.EXEC", str(len(keys)), *keys, str(len(words)), *words]


def directly(user: Client, words: Words) -> Any:
    return user(*words)


def in_transaction(user: Client, words: Words) -> Any:
    user("MULTI")
    try:
        user(*words)
    except CommandFailed:
        user("DISCARD")
        raise
    (reply,) = user("EXEC")
    if isinstance(reply, Exception):
        raise CommandFailed(str(reply))
    return reply


def in_script(user: Client, words: Words) -> Any:
    return user("EVAL", CALL, 0, *words)


def in_function(user: Client, words: Words) -> Any:
    return user("FCALL", "run", 0, *words)


def in_module(user: Client, words: Words) -> Any:
    return user("MEDDLER.CALL", "C", *words)


def in_detached_module(user: Client, words: Words) -> Any:
    return user("MEDDLER.DETACHED", "limited", "C", *words)


def in_script_of_module(user: Client, words: Words) -> Any:
    return user("MEDDLER.CALL", "C", "EVAL", CALL, "0", *words)


def in_script_of_detached_module(user: Client, words: Words) -> Any:
    return user("MEDDLER.DETACHED", "limited", "C", "EVAL", CALL, "0", *words)


def in_function_of_module(user: Client, words: Words) -> Any:
    return user("MEDDLER.CALL", "C!", "FCALL", "run", "0", *words)


def in_module_of_script(user: Client, words: Words) -> Any:
    return user("EVAL", CALL, 0, "MEDDLER.CALL", "C", *words)


WAYS = [
    directly,
    in_transaction,
    in_script,
    in_function,
    in_module,
    in_detached_module,
    in_script_of_module,
    in_script_of_detached_module,
    in_function_of_module,
    in_module_of_script,
]
ways = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
Way = Callable[[Client, Words], Any]


def refused(way: Way, user: Client, words: Words) -> bool:
    """Whether the call fails for want of a permission; other errors are none of permissions' business."""
    try:
        way(user, words)
    except CommandFailed as error:
        return NO_PERMISSION.search(str(error)) is not None
    return False


def fill(client: Client, *keys: str) -> None:
    for key in keys:
        client("MODEL.CREATE", key, DOCUMENT)


def held(client: Client, *keys: str) -> list[Any]:
    return [(client("MODEL.GET_RO", key), client("MODEL.TTL", "GET", key)) for key in keys]


@ways
def test_keys_that_a_user_has_no_pattern_for_are_refused(client: Client, enter: Enter, way: Way) -> None:
    user = enter("+@all", "~own:*")
    fill(client, "own:1", "own:2", "other:1")
    before = held(client, "own:1", "own:2", "other:1")
    for name in WITH_KEYS:
        for keys in (["other:1"],) if keys_of(name) == 1 else (["own:1", "other:1"], ["other:1", "own:1"]):
            assert refused(way, user, call(name, keys)), (name, keys)
            if name in BATCHED:
                assert refused(way, user, in_batch(call(name, keys), keys)), (name, keys)
    assert held(client, "own:1", "own:2", "other:1") == before
    for name in WITH_KEYS:
        keys = ["own:1", "own:2"][: keys_of(name)]
        fill(client, *keys)
        assert not refused(way, user, call(name, keys)), name
        if name in BATCHED:
            assert not refused(way, user, in_batch(call(name, keys), keys)), name


@ways
def test_who_may_only_read_keys_may_run_every_reader_and_no_writer(
    client: Client, enter: Enter, way: Way
) -> None:
    user = enter("+@all", "%R~own:*")
    fill(client, "own:1", "own:2")
    before = held(client, "own:1", "own:2")
    for name in WITH_KEYS:
        keys = ["own:1", "own:2"][: keys_of(name)]
        assert refused(way, user, call(name, keys)) == (name not in READERS), name
    assert held(client, "own:1", "own:2") == before


@ways
def test_each_selector_is_for_itself(client: Client, enter: Enter, way: Way) -> None:
    ways = ["+eval", "+fcall", "+meddler.call", "+meddler.detached", "+multi", "+exec", "+discard", "+auth"]
    user = enter(*ways, "+model.exec", "~none:*", "(+model.get ~read:*)", "(+model.exec +model.set ~write:*)")
    fill(client, "read:1", "write:1")
    assert way(user, ["MODEL.GET", "read:1", "$.n"]) == b"1"
    assert way(user, ["MODEL.SET", "write:1", "$.n", "2"]) == b"OK"
    assert way(user, in_batch(["MODEL.SET", "write:1", "$.n", "3"], ["write:1"])) == [b"OK"]
    for words in (
        ["MODEL.GET", "write:1"],
        ["MODEL.GET_RO", "read:1"],
        ["MODEL.SET", "read:1", "$.n", "9"],
        in_batch(["MODEL.GET", "read:1"], ["read:1"]),
        in_batch(["MODEL.GET", "write:1"], ["write:1"]),
        in_batch(["MODEL.SET", "none:1", "$", "9"], ["none:1"]),
    ):
        assert refused(way, user, words), words
    assert client("MODEL.MGET_RO", "read:1", "write:1")[0] == DOCUMENT.encode()
    assert client("EXISTS", "none:1") == 0


@ways
def test_subcommands_are_given_one_by_one(client: Client, enter: Enter, way: Way) -> None:
    user = enter("+@all", "-model.ttl", "+model.ttl|get", "-model.policy", "+model.policy|match", "~*")
    fill(client, "k")
    for name in [name for name in TABLE if name.startswith(("MODEL.TTL ", "MODEL.POLICY "))]:
        given = name in {"MODEL.TTL GET", "MODEL.POLICY MATCH"}
        keys = ["k"][: keys_of(name)]
        words = call(name, keys)
        assert refused(way, user, words) != given, name
        assert refused(way, user, [words[0].lower(), words[1].swapcase(), *words[2:]]) != given, name
        if keys:
            assert refused(way, user, in_batch(words, keys)) != given, name
            mixed = [words[0].lower(), words[1].lower(), *words[2:]]
            assert refused(way, user, in_batch(mixed, keys)) != given, name


@ways
def test_a_number_of_keys_in_another_notation_lets_nobody_past_the_patterns(
    client: Client, enter: Enter, way: Way
) -> None:
    user = enter("+@all", "~own:*")
    client("MODEL.CREATE", "secret:1", '{"list":["hidden"],"n":1}')
    before = held(client, "secret:1")
    for name in (name for name in TABLE if TABLE[name]["keys"] == "counted"):
        for count in (
            "+1",
            "01",
            "001",
            "1.0",
            "1e0",
            " 1",
            "1 ",
            "0x1",
            "-1",
            "0",
            "",
            str(2**32 + 1),
            str(2**64 + 1),
        ):
            for keys in (["secret:1"], ["own:1", "secret:1"]):
                words = call(name, keys, count.replace("1", str(len(keys)), 1) if len(keys) > 1 else count)
                for line in (words, in_batch(words, keys)):
                    with pytest.raises(CommandFailed) as failed:
                        way(user, line)
                    assert "hidden" not in str(failed.value)
    assert held(client, "secret:1") == before


# What a writer is asked with, in all the ways that could tell a value from another one.
QUESTIONS: dict[str, list[tuple[str, ...]]] = {
    "MODEL.CREATE": [(DOCUMENT, "NX"), (DOCUMENT,)],
    "MODEL.SAVE": [(DOCUMENT, "XX", "ONLY", "1", '"n"'), (DOCUMENT, "ONLY", "1", '"n"')],
    "MODEL.EDIT": [
        ("SET", "$.n", "1", "SET", "$.text", '"a"'),
        ("ADD", "$.list", "1", "1"),
        ("DISCARD", "$.list", "1", "1"),
        ("UNSET", "$.list[0]"),
    ],
    "MODEL.SET": [("$.n", "1", "NX"), ("$.n", "1", "XX"), ("$.list[1]", "1"), ("$.n.m", "1")],
    "MODEL.GETORCREATE": [(DOCUMENT,)],
    "MODEL.UPDATE": [
        *(("$.text", '"b"', "WHERE", "$.n", sign, "1") for sign in ("EQ", "NE", "LT", "LE", "GT", "GE")),
        ("$.n", "1"),
    ],
    "MODEL.MERGE": [("$", '{"n":1}'), ("$.n", "1"), ("$.map", '{"a":null}'), ("$.text.x", "1")],
    "MODEL.DEL": [()],
    "MODEL.APPEND": [("$.list", "1", "UNIQUE"), ("$.text", '"b"'), ("$.text", '"YQ"', "BASE64")],
    "MODEL.INSERT": [
        ("$.list", "1", "1"),
        ("$.n", "0", "1"),
        ("$.list", "1", "1", "DEFAULT", "$.list", "[]"),
        ("$.x", "1", "1", "DEFAULT", "$.x", "[]"),
    ],
    "MODEL.POP": [("$.list",), ("$.map",), ("$.map", '"a"'), ("$.list", "0"), ("$.n",)],
    "MODEL.REMOVE": [("$.list", "1"), ("$.list", "1", "COUNT", "9")],
    "MODEL.CUT": [
        ("$.list", "0", "1", "REQUIRE", "MINLEN", "1"),
        ("$.list", "0", "1", "REQUIRE", "MINLEN", "2"),
        ("$.list", "0", "9"),
        ("$.list", "-1", "1"),
        ("$.n", "0", "1"),
    ],
    "MODEL.UNSET": [("$.n", "$.x"), ("$.list[0]", "$.list[5]")],
    "MODEL.CLEAR": [("$.list",), ("$.map",), ("$.text",), ("$.n",)],
    "MODEL.INCRBY": [
        ("$.n", "1"),
        ("$.n", "1", "MAX", "3"),
        ("$.n", "1", "MIN", "5"),
        ("$.n", "1", "MAX", "3", "STRICT"),
        ("$.n", "1", "ELSE", DOCUMENT, "DEFAULT", "$.x", "1"),
    ],
    "MODEL.CALC": [("$.n", "MUL", "2"), ("$.n", "DIV", "0"), ("$.list", "REPEAT", "2")],
    "MODEL.ADD": [("$.list", "1"), ("$.list", "1", "STRICT")],
    "MODEL.DISCARD": [("$.list", "1"), ("$.list", "1", "STRICT")],
    "MODEL.PUSH": [("$.queue", "1", '"a"')],
    "MODEL.UNPUSH": [("$.queue", '"a"')],
    "MODEL.POPMIN": [("$.queue",), ("$.queue", "1")],
    "MODEL.LOCK": [("token", "PX", "100")],
    "MODEL.RENEW": [("token", "PX", "100")],
    "MODEL.UNLOCK": [("token",)],
    "MODEL.TTL SET": [("PX", "90000"), ("PXAT", "1"), ("PX", "90000", "ONCE")],
    "MODEL.TTL INHERIT": [()],
    "MODEL.TTL PERSIST": [()],
    "MODEL.TTL TOUCH": [()],
}
VALUES = (
    '{"n":1,"list":[1,2],"map":{"a":1},"queue":[[1,"a"]],"text":"a"}',
    '{"n":5,"list":[5,6],"map":{"a":5},"queue":[[5,"e"]],"text":"e"}',
)
BLIND = {
    "MODEL.CREATE",
    "MODEL.SAVE",
    "MODEL.EDIT",
    "MODEL.SET",
    "MODEL.MERGE",
    "MODEL.DEL",
    "MODEL.INSERT",
    "MODEL.CUT",
} | {name for name in TABLE if name in {"MODEL.UNSET", "MODEL.CLEAR"} or name.startswith("MODEL.TTL ")} - {
    "MODEL.TTL GET"
}


def test_who_may_only_write_keys_cannot_find_out_what_they_hold(client: Client, enter: Enter) -> None:
    assert set(QUESTIONS) == {name for name in WRITERS if TABLE[name]["keys"] in {"first", "all"}}
    user = enter("+@all", "%W~own:*")

    def ask(who: Client, name: str, question: tuple[str, ...], value: str) -> str:
        client("DEL", "own:1")
        if name in LOCKS:
            client("MODEL.LOCK", "own:1", "token" if value == VALUES[0] else "another", "PX", 90_000)
        else:
            client("MODEL.CREATE", "own:1", value)
        try:
            return repr(who(*name.split(), "own:1", *question))
        except CommandFailed as error:
            return str(error)

    telling = set()
    for name, questions in QUESTIONS.items():
        for question in questions:
            if ask(client, name, question, VALUES[0]) != ask(client, name, question, VALUES[1]):
                telling.add(name)
    for name, questions in QUESTIONS.items():
        for question in questions:
            answers = [ask(user, name, question, value) for value in VALUES]
            assert answers[0] == answers[1], (name, question)
            assert NO_PERMISSION.search(answers[0]) or name not in telling, (name, question)
            assert not NO_PERMISSION.search(answers[0]) or name not in BLIND, (name, question)
    assert telling.isdisjoint(BLIND)
    for name in READERS:
        assert refused(directly, user, call(name, ["own:1", "own:2"][: keys_of(name)])), name
    # Not through a batch, whose replies and failures tell.
    assert refused(directly, user, in_batch(["MODEL.SET", "own:1", "$.n", "2"], ["own:1"]))


def test_a_copy_needs_to_read_its_source_and_to_write_its_destination(client: Client, enter: Enter) -> None:
    fill(client, "a:1", "b:1")
    words = ["MODEL.COPY", "a:1", "b:1", "REPLACE"]
    for rules in (["%W~a:*", "%RW~b:*"], ["%R~a:*", "%R~b:*"], ["~a:*"], ["~b:*"]):
        assert refused(directly, enter("+@all", *rules), words), rules
    assert not refused(directly, enter("+@all", "%R~a:*", "%W~b:*"), words)


def test_a_module_that_calls_without_a_user_is_not_checked_and_not_asked_for_its_name(client: Client) -> None:
    fill(client, "own:1", "own:2")
    for name in TABLE:
        keys = ["own:1", "own:2"][: keys_of(name)]
        for words in (call(name, keys), in_batch(call(name, keys), keys)):
            if words[0] == "MODEL.EXEC" and name not in BATCHED:
                continue
            for flags in ("-", "!"):
                for how in ([], ["EVAL", CALL, "0"], ["FCALL", "run", "0"]):
                    assert not refused(directly, client, ["MEDDLER.DETACHED", "-", flags, *how, *words])
                    assert not refused(directly, client, ["MEDDLER.CALL", flags, *how, *words])


def test_what_runs_by_the_clock_has_no_user_and_is_refused_where_it_asks_to_run_as_one(
    client: Client,
) -> None:
    fill(client, "own:1")
    batch = in_batch(["MODEL.INCRBY", "own:1", "$.n", "1"], ["own:1"])

    def by_the_clock(flags: str, words: Words) -> str:
        # In the event of the server's cron, which no client calls.
        client("MEDDLER.WHEN", "server:8:0", "*", 1, "CALL", flags, *words)
        wait_for(lambda: client("MEDDLER.SEEN") == 1)
        (seen,) = client("MEDDLER.FORGET")
        return str(seen)

    for words in (batch, ["EVAL", CALL, "0", *batch], ["FCALL", "run", "0", *batch]):
        assert by_the_clock("-", words).startswith("b'did ")
        assert "cannot run as user" in by_the_clock("C", words)
    assert client("MODEL.GET_RO", "own:1", "$.n") == b"4"


def test_a_module_that_calls_without_the_rights_of_its_user_may_do_what_the_user_may_not(
    client: Client, enter: Enter
) -> None:
    fill(client, "other:1")
    user = enter("+@all", "~own:*")
    batch = in_batch(["MODEL.GET", "other:1", "$.n"], ["other:1"])
    for words in (batch, ["EVAL", CALL, "0", *batch], ["FCALL", "run", "0", *batch]):
        assert user("MEDDLER.CALL", "-", *words) == [b"1"]


def logged(client: Client) -> list[tuple[str, str, str]]:
    """The refusals since the last look: reason, object and user."""
    entries = [dict(zip(entry[::2], entry[1::2], strict=True)) for entry in client("ACL", "LOG")]
    client("ACL", "LOG", "RESET")
    return [
        tuple(entry[field].decode() for field in (b"reason", b"object", b"username")) for entry in entries
    ]


def test_refusals_are_in_the_log_of_the_server(client: Client, enter: Enter) -> None:
    user = enter("+@all", "-model.del", "-model.ttl|set", "~own:*")
    fill(client, "own:1")
    client("ACL", "LOG", "RESET")
    for words in (
        ["MODEL.DEL", "own:1"],
        ["MODEL.GET", "other:1"],
        ["MODEL.SETOP", "2", "own:1", "other:1", "$", "UNION"],
    ):
        assert refused(directly, user, words)
        ((reason, _, name),) = logged(client)
        assert (reason, name) == ("command" if words[0] == "MODEL.DEL" else "key", "limited")
    for words in (["MODEL.DEL", "own:1"], ["MODEL.TTL", "SET", "own:1", "PX", "5"]):
        assert refused(directly, user, in_batch(words, ["own:1"]))
        ((reason, what, name),) = logged(client)
        assert (reason, name) == ("command", "limited")
        assert what.lower().startswith(words[0].lower())


def test_a_policy_needs_the_right_to_write_what_it_covers(client: Client, enter: Enter) -> None:
    client("MODEL.POLICY", "SET", "other:", "TTL", 1000)
    user = enter("+@all", "~own:*", "%R~read:*")
    assert user("MODEL.POLICY", "SET", "own:", "TTL", 1000)
    assert user("MODEL.POLICY", "DEL", "own:") == 1
    for way in WAYS:
        for prefix in ("other:", "read:", "o", "own"):
            assert refused(way, user, ["MODEL.POLICY", "SET", prefix, "TTL", "1"]), prefix
            assert refused(way, user, ["MODEL.POLICY", "DEL", prefix]), prefix
    assert client("MODEL.POLICY", "GET", "other:") is not None
    assert client("MODEL.POLICY", "GET", "read:") is None


INTERNAL = {
    "MODEL._APPLY": ["1", "-", "DEL", "own:1"],
    "MODEL._EXPIREAT": ["own:1", "1"],
    "MODEL._LOAD": ["own:1", "1", "1", "0", "2"],
    "MODEL._POLICIES": ["0", ""],
    "MODEL._LEASES": ["1"],
}


@ways
def test_clients_cannot_use_what_servers_say_among_themselves(client: Client, enter: Enter, way: Way) -> None:
    listed = client("COMMAND", "LIST", "FILTERBY", "MODULE", "rapyer")
    names = {name.decode().upper() for name in listed if b"._" in name} - {"MODEL._MAYGROW"}
    assert names >= set(INTERNAL)
    user = enter("+@all", "~*")
    fill(client, "own:1")
    before = held(client, "own:1")
    for name in names:
        arguments = INTERNAL.get(name, ["own:1", "1"])
        with pytest.raises(CommandFailed, match=r"clients cannot|NOPERM"):
            way(user, [name, *arguments])
        with pytest.raises(CommandFailed, match="unknown command"):
            way(user, in_batch([name, *arguments], ["own:1"]))
    # It does nothing, for nobody: its answer says that memory is not full.
    assert way(user, ["MODEL._MAYGROW"]) == b"OK"
    assert held(client, "own:1") == before


def test_a_replica_runs_what_its_primary_sends_whoever_has_a_user_there(
    kind: Kind, meddler: Path, server: Server, client: Client
) -> None:
    client("CONFIG", "SET", "repl-diskless-sync-delay", "0")
    replica = Server.start(kind, ["--loadmodule", str(meddler), "--replicaof", "127.0.0.1", str(server.port)])
    try:
        wait_until_linked(replica)
        fill(client, "own:1", "own:2")
        batch = in_batch(["MODEL.SET", "own:1", "$.n", "7"], ["own:1"])
        for words in (batch, ["EVAL", CALL, "0", *batch], ["FCALL", "run", "0", *batch]):
            client("MEDDLER.REPLICATE", *words)
            client("MEDDLER.REPLICATE", *(word.replace("MODEL.SET", "MODEL.MERGE") for word in words))
        client("MEDDLER.REPLICATE", "MODEL.APPEND", "own:2", "$.list", "9")
        assert client("WAIT", 1, 5000) == 1
        with Client(replica) as at_replica:
            wait_for(lambda: at_replica("MODEL.GET_RO", "own:2", "$.list") == b"[1,2,9]")
            assert at_replica("MODEL.GET_RO", "own:1", "$.n") == b"7"
            assert at_replica("PING") == b"PONG"
        assert "INTERNAL" not in replica.log()
    finally:
        replica.stop()


def test_a_file_is_loaded_whoever_has_a_user_there(kind: Kind, meddler: Path) -> None:
    server = Server.start(
        kind, ["--loadmodule", str(meddler), "--appendonly", "yes", "--appendfsync", "always"]
    )
    try:
        with Client(server) as client:
            client("FUNCTION", "LOAD", LIBRARY)
            fill(client, "own:1")
            batch = in_batch(["MODEL.INCRBY", "own:1", "$.n", "1"], ["own:1"])
            for words in (batch, ["EVAL", CALL, "0", *batch], ["FCALL", "run", "0", *batch]):
                client("MEDDLER.REPLICATE", *words)
        server.restart()
        with Client(server) as client:
            assert json.loads(client("MODEL.GET_RO", "own:1", "$.n")) == 4
    finally:
        server.stop()


@ways
def test_the_version_of_a_blind_write_is_told_to_those_who_may_read(
    client: Client, enter: Enter, way: Way
) -> None:
    client("MODEL.CREATE", "own:1", VALUES[0])
    words = ["MODEL.EDIT", "own:1", "SET", "$.n", "7", "WITHVERSION"]
    before = held(client, "own:1")
    with pytest.raises(CommandFailed, match="no permissions to read 'own:1'"):
        way(enter("+@all", "%W~own:*"), words)
    assert held(client, "own:1") == before
    way(enter("+@all", "~own:*"), words)
    assert held(client, "own:1") != before


def test_who_may_only_write_keys_cannot_guess_values_by_filters(client: Client, enter: Enter) -> None:
    user = enter("+@all", "%W~own:*")
    document = '{"items":[{"sku":"a","n":1}]}'
    for words in (
        ["MODEL.SET", "own:1", "$.items[?@.sku=='a'].n", "2", "NX"],
        ["MODEL.UNSET", "own:1", "$.n", "$.items[?@.sku=='a'].n"],
        ["MODEL.MERGE", "own:1", "$.items[?@.sku=='a']", "{}"],
        ["MODEL.EDIT", "own:1", "SET", "$.items[?@.sku=='a'].n", "2"],
        ["MODEL.CLEAR", "own:1", "$.items[?@.sku=='a'].sku"],
        ["MODEL.INSERT", "own:1", "$.items[?@.sku=='a'].n", "0", "2"],
        ["MODEL.CUT", "own:1", "$.items[?@.sku=='a'].n", "0", "2"],
        ["MODEL.SET", "own:1", "$.n", "2", "DEFAULT", "$.items[?@.sku=='a'].n", "2"],
    ):
        client("MODEL.CREATE", "own:1", document)
        for guess in (words, [word.replace("'a'", "'b'") for word in words]):
            with pytest.raises(CommandFailed, match="no permissions to read 'own:1'"):
                user(*guess)
        assert client("MODEL.GET_RO", "own:1") == document.encode()
