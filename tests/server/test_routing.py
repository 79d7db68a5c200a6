"""A cluster sends every command where it sends the server's own ones, whatever their number of keys says."""

from __future__ import annotations

import binascii
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from _calls import DOCUMENT, TABLE, call, keys_of
from _servers import EVERY_KIND, Kind, Server, ServerMissing
from _wire import Client, CommandFailed, wait_for

Words = list[str]
REDIRECTIONS = {"MOVED", "ASK", "TRYAGAIN", "CROSSSLOT", "CLUSTERDOWN"}

WITH_KEYS = [name for name in TABLE if keys_of(name)]
ONE_KEY = [name for name in WITH_KEYS if keys_of(name) == 1 or TABLE[name]["keys"] != "from-to"]
TWO_KEYS = [name for name in WITH_KEYS if keys_of(name) == 2]
READERS = {name for name in TABLE if TABLE[name]["access"] == "read"}
COUNTED = [name for name in TABLE if TABLE[name]["keys"] == "counted"]
COUNTS = ["0", "-1", "+1", "+2", "01", "02", "1.0", "2.0", "1e0", " 2", "2 ", "0x2", "two", "", "-0"]
BEYOND = ["100", "100000", "2147483647", "2147483648", "9223372036854775807", "9223372036854775808"]
WRAPPED = str(2**32 + 2)
"""Some servers keep the lower 32 bits of it, and check the permissions for more keys than there are."""


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture(scope="module")
def client(kind: Kind, server_of: Callable[[Kind], Server]) -> Iterator[Client]:
    with Client(server_of(kind)) as client:
        yield client


def keys(client: Client, words: Words) -> list[str]:
    """The keys that the server finds, which have to be the same for its clusters and for its ACL."""

    def ask(subcommand: str) -> list[str]:
        try:
            found = client("COMMAND", subcommand, *words)
        except CommandFailed:
            return []
        return [(key[0] if isinstance(key, list) else key).decode() for key in found]

    found = ask("GETKEYS")
    assert ask("GETKEYSANDFLAGS") == found, words
    return found


def test_the_keys_of_every_command_are_found(client: Client) -> None:
    for name in TABLE:
        named = ["k", "j"][: keys_of(name)]
        assert keys(client, call(name, named)) == named


@pytest.mark.parametrize("name", COUNTED)
def test_a_wrong_number_of_keys_names_none_and_is_refused(client: Client, name: str) -> None:
    client("FLUSHALL")
    client("MODEL.CREATE", "k", DOCUMENT)
    for count in [*COUNTS, *BEYOND]:
        words = call(name, ["k", "j"], count)
        assert keys(client, words) == []
        with pytest.raises(CommandFailed, match=r"^(OUTOFRANGE|BADARG|ERR) "):
            client(*words)
    assert keys(client, call(name, ["k", "j"], WRAPPED)) in ([], ["k", "j"])
    with pytest.raises(CommandFailed, match=r"^OUTOFRANGE "):
        client(*call(name, ["k", "j"], WRAPPED))
    # A number that is right as such, and wrong for what follows, is taken at its word.
    assert keys(client, call(name, ["k", "j"], "1")) == ["k"]


def _slot(tag: str) -> int:
    return binascii.crc_hqx(tag.encode(), 0) % 16384


class Nodes:
    """Two primaries that share all slots but the last, which is nobody's, and a replica of the second."""

    def __init__(self, kind: Kind, meddler: Path) -> None:
        options = (
            *("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"),
            *("--repl-diskless-sync-delay", "0", "--loadmodule", str(meddler)),
        )
        self.servers = [Server.start(kind, options) for _ in range(3)]
        self.here, self.there, self.replica = (Client(server) for server in self.servers)
        clients = (self.here, self.there, self.replica)
        self.here("CLUSTER", "ADDSLOTSRANGE", 0, 8191)
        self.there("CLUSTER", "ADDSLOTSRANGE", 8192, 16382)
        for epoch, client in enumerate(clients, 1):
            client("CLUSTER", "SET-CONFIG-EPOCH", epoch)
        for server in self.servers[1:]:
            self.here("CLUSTER", "MEET", "127.0.0.1", server.port)
        wait_for(lambda: all(self._knows_all(client) for client in clients))
        self.replica("CLUSTER", "REPLICATE", self.there("CLUSTER", "MYID"))
        wait_for(lambda: self.replica.info("replication").get("master_link_status") == "up")
        wait_for(lambda: all(self._knows_all(client) for client in clients))

    @staticmethod
    def _knows_all(node: Client) -> bool:
        assigned = sum(last - first + 1 for first, last, *_ in node("CLUSTER", "SLOTS"))
        lines = node("CLUSTER", "NODES").splitlines()
        known = len(lines) == 3 and not any(b"handshake" in line for line in lines)
        return assigned == 16383 and known and b"cluster_state:ok" in node("CLUSTER", "INFO")

    @staticmethod
    def tag(fits: Callable[[int], bool], start: int = 0) -> str:
        """A hash tag in a slot for which this is true."""
        return next("{" + tag + "}" for tag in map(str, itertools.count(start)) if fits(_slot(tag)))

    def open(self, tag: str) -> None:
        """Opens the slot of a tag for its way from the first server to the second."""
        slot = self.here("CLUSTER", "KEYSLOT", tag)
        here, there = (node("CLUSTER", "MYID") for node in (self.here, self.there))
        self.there("CLUSTER", "SETSLOT", slot, "IMPORTING", here)
        self.here("CLUSTER", "SETSLOT", slot, "MIGRATING", there)

    def close(self, tag: str) -> None:
        slot = self.here("CLUSTER", "KEYSLOT", tag)
        for node in (self.here, self.there):
            node("CLUSTER", "SETSLOT", slot, "STABLE")

    def stop(self) -> None:
        for node in (self.here, self.there, self.replica):
            node.close()
        for server in self.servers:
            server.stop()


@pytest.fixture(scope="module")
def nodes(kind: Kind, meddler: Path, left_out: Callable[[ServerMissing], NoReturn]) -> Iterator[Nodes]:
    try:
        nodes = Nodes(kind, meddler)
    except ServerMissing as missing:
        left_out(missing)
    yield nodes
    nodes.stop()


def answer(client: Client, words: Words, asking: bool = False) -> str:
    """The redirection that is answered, to the last word; or that the command ran, whatever came of it."""
    if asking:
        client("ASKING")
    try:
        client(*words)
    except CommandFailed as error:
        if str(error).split()[0] in REDIRECTIONS:
            return str(error)
    return "ran"


def of_the_server(name: str, keys: list[str]) -> Words:
    """A command of the server that does as much to as many keys, and finds nothing to do."""
    if TABLE[name]["access"] != "read":
        return ["PERSIST", *keys] if len(keys) == 1 else ["SMOVE", *keys, "member"]
    if TABLE[name]["keys"] == "counted":
        return ["ZINTERCARD", str(len(keys)), *keys]
    return ["MGET", *keys]


def executed(client: Client, name: str) -> bool:
    """Whether the command got past the server's own checks."""
    stats = client.info("commandstats").get(f"cmdstat_{name.lower().replace(' ', '|')}", "calls=0")
    return not stats.startswith("calls=0")


def compare(client: Client, name: str, keys: list[str], asking: bool = False) -> str:
    """What a call answers, and that it is what the server's own command answers."""
    client("CONFIG", "RESETSTAT")
    expected = answer(client, of_the_server(name, keys), asking)
    found = answer(client, call(name, keys), asking)
    assert found == expected, (name, keys)
    assert executed(client, name) == (found == "ran"), (name, keys)
    return found.split()[0]


def key(tag: str, name: str, at: int = 0) -> str:
    """A key of its own for each command, so that none is there or gone because of another one."""
    return f"{tag}{name.replace(' ', '-')}:{at}"


def answers(client: Client, tag: str, names: list[str], count: int = 1, asking: bool = False) -> set[str]:
    return {compare(client, name, [key(tag, name, at) for at in range(count)], asking) for name in names}


def test_keys_of_another_node_are_moved(nodes: Nodes) -> None:
    tag = nodes.tag(lambda slot: 8191 < slot < 16383)
    for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
        assert answers(nodes.here, tag, names, count) == {"MOVED"}
        assert answers(nodes.there, tag, names, count) == {"ran"}


def test_keys_of_several_slots_are_refused(nodes: Nodes) -> None:
    one, other = nodes.tag(lambda slot: slot < 8192), nodes.tag(lambda slot: slot > 8191)
    for name in TWO_KEYS:
        for keys in ([key(one, name), key(other, name)], [key(other, name), key(one, name)]):
            assert compare(nodes.here, name, keys) == "CROSSSLOT"


def test_a_slot_of_nobody_is_down(nodes: Nodes) -> None:
    tag = nodes.tag(lambda slot: slot == 16383)
    for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
        assert answers(nodes.here, tag, names, count) == {"CLUSTERDOWN"}


def test_a_cluster_that_is_down_is_down_for_every_command(nodes: Nodes) -> None:
    tag = nodes.tag(lambda slot: slot < 8192)
    nodes.here("CONFIG", "SET", "cluster-require-full-coverage", "yes")
    # The state is looked at again when something happens to a slot.
    nodes.close(tag)
    try:
        wait_for(lambda: b"cluster_state:fail" in nodes.here("CLUSTER", "INFO"))
        for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
            assert answers(nodes.here, tag, names, count) == {"CLUSTERDOWN"}
        nodes.here("CONFIG", "SET", "cluster-allow-reads-when-down", "yes")
        for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
            assert answers(nodes.here, tag, [name for name in names if name in READERS], count) == {"ran"}
            writers = [name for name in names if name not in READERS]
            assert answers(nodes.here, tag, writers, count) == {"CLUSTERDOWN"}
    finally:
        nodes.here("CONFIG", "SET", "cluster-allow-reads-when-down", "no")
        nodes.here("CONFIG", "SET", "cluster-require-full-coverage", "no")
        nodes.close(tag)
        wait_for(lambda: b"cluster_state:ok" in nodes.here("CLUSTER", "INFO"))


def test_in_a_slot_under_way_what_is_gone_is_asked_for_and_what_is_split_is_tried_again(nodes: Nodes) -> None:
    tag = nodes.tag(lambda slot: slot < 8192, 1000)
    for name in WITH_KEYS:
        for at in (0, 1, 2):
            nodes.here("MODEL.CREATE", key(tag, name, at), DOCUMENT)
    nodes.open(tag)
    try:
        for name in WITH_KEYS:
            held, second, third = (key(tag, name, at) for at in range(3))
            absent, other = (key(tag, name, at) for at in (8, 9))
            if name in ONE_KEY:
                assert compare(nodes.here, name, [absent]) == "ASK"
                assert compare(nodes.there, name, [absent]) == "MOVED"
                assert compare(nodes.here, name, [held]) == "ran"
                assert compare(nodes.there, name, [absent], asking=True) == "ran"
            if name in TWO_KEYS:
                for split in ([second, absent], [absent, second]):
                    assert compare(nodes.here, name, split) == "TRYAGAIN"
                assert compare(nodes.here, name, [absent, other]) == "ASK"
                assert compare(nodes.there, name, [absent, other]) == "MOVED"
                assert compare(nodes.there, name, [other, key(tag, name, 7)], asking=True) == "TRYAGAIN"
                assert compare(nodes.here, name, [second, third]) == "ran"
    finally:
        nodes.close(tag)
    for node in (nodes.here, nodes.there):
        node("FLUSHALL")


def test_a_replica_answers_readers_that_said_readonly_and_nobody_else(nodes: Nodes) -> None:
    tag = nodes.tag(lambda slot: 8191 < slot < 16383)
    for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
        assert answers(nodes.replica, tag, names, count) == {"MOVED"}
    nodes.replica("READONLY")
    for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
        assert answers(nodes.replica, tag, [name for name in names if name in READERS], count) == {"ran"}
        writers = [name for name in names if name not in READERS]
        assert answers(nodes.replica, tag, writers, count) == {"MOVED"}
    nodes.replica("READWRITE")


@pytest.mark.parametrize("name", COUNTED)
def test_a_wrong_number_of_keys_runs_on_no_document_of_a_cluster(nodes: Nodes, name: str) -> None:
    tag = nodes.tag(lambda slot: slot > 8191)
    keys = [key(tag, name, at) for at in range(2)]
    for count in [*COUNTS, *BEYOND, WRAPPED]:
        with pytest.raises(CommandFailed, match=r"^(OUTOFRANGE|BADARG|ERR) "):
            nodes.here(*call(name, keys, count))
    assert nodes.here("KEYS", f"{tag}*") == []


def test_scripts_and_modules_reach_no_key_of_another_node(nodes: Nodes) -> None:
    tag, local = nodes.tag(lambda slot: 8191 < slot < 16383), nodes.tag(lambda slot: slot < 8192)
    for count, names in ((1, ONE_KEY), (2, TWO_KEYS)):
        for name in names:
            words = call(name, [key(tag, name, at) for at in range(count)])
            nodes.here("CONFIG", "RESETSTAT")
            for numkeys, declared in (("0", []), ("1", [key(local, name)])):
                with pytest.raises(CommandFailed, match="non local key"):
                    nodes.here("EVAL", "return redis.call(unpack(ARGV))", numkeys, *declared, *words)
            for how in ("MEDDLER.CALL", "-"), ("MEDDLER.CALL", "C!"), ("MEDDLER.DETACHED", "-", "-"):
                with pytest.raises(CommandFailed, match="non local key"):
                    nodes.here(*how, *words)
            assert not executed(nodes.here, name)


def test_a_transaction_is_redirected_when_it_is_queued_and_when_its_slot_moved_since(nodes: Nodes) -> None:
    away, tag = nodes.tag(lambda slot: 8191 < slot < 16383), nodes.tag(lambda slot: slot < 8192, 2000)
    slot = nodes.here("CLUSTER", "KEYSLOT", tag)
    for name in TWO_KEYS:
        nodes.here("MULTI")
        assert answer(nodes.here, call(name, [key(away, name, 0), key(away, name, 1)])).startswith("MOVED ")
        with pytest.raises(CommandFailed, match="EXECABORT"):
            nodes.here("EXEC")
    with Client(nodes.servers[0]) as queued:
        for name in TWO_KEYS:
            queued("MULTI")
            assert queued(*call(name, [key(tag, name, 0), key(tag, name, 1)])) == b"QUEUED"
            there, here = (node("CLUSTER", "MYID") for node in (nodes.there, nodes.here))
            nodes.here("CLUSTER", "SETSLOT", slot, "NODE", there)
            try:
                with pytest.raises(CommandFailed, match=rf"MOVED {slot} "):
                    queued("EXEC")
            finally:
                nodes.here("CLUSTER", "SETSLOT", slot, "NODE", here)
