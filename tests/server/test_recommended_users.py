"""The users that the pages recommend, made by their own lines: they can do their work, and no more."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from _calls import TABLE, call, keys_of
from _servers import EVERY_KIND, Kind, Server
from _wire import Client, CommandFailed

DOCS = Path(__file__).resolve().parents[2] / "docs"
ACL = re.compile(r"^    (ACL (?:[^\n\\]|\\\n)*)$", re.MULTILINE)
HEADING = re.compile(r"^###? (.*)$", re.MULTILINE)


def lines(page: str, heading: str) -> list[list[str]]:
    """The ACL commands between a heading and the next one."""
    text = (DOCS / page).read_text(encoding="utf-8")
    sections = HEADING.split(text)
    section = sections[sections.index(heading) + 1]
    return [line.replace("\\\n", " ").split() for line in ACL.findall(section)]


@pytest.fixture(scope="module", params=EVERY_KIND)
def kind(request: pytest.FixtureRequest) -> Kind:
    kind: Kind = request.param
    return kind


@pytest.fixture
def client(kind: Kind, server_of: Callable[[Kind], Server]) -> Iterator[Client]:
    with Client(server_of(kind)) as client:
        client.reset()
        yield client
        for name in client("ACL", "USERS"):
            if name != b"default":
                client("ACL", "DELUSER", name)


@pytest.fixture
def has_categories(client: Client) -> bool:
    return b"model" in client("ACL", "CAT")


def enter(kind: Kind, server_of: Callable[[Kind], Server], name: str) -> Client:
    client = Client(server_of(kind))
    client("AUTH", name, "secret")
    return client


def refuses(client: Client, *words: str | int) -> None:
    with pytest.raises(CommandFailed, match=r"^NOPERM "):
        client(*words)


def test_the_application_can_work_and_nothing_else(
    kind: Kind, server_of: Callable[[Kind], Server], client: Client, has_categories: bool
) -> None:
    generation = "Redis 7.4 and newer, Valkey 8 and newer" if has_categories else "Redis 7.0"
    client(*lines("production.md", generation)[0])
    client("MODEL.CREATE", "Other:1", "1")
    with enter(kind, server_of, "shop") as shop:
        for name in TABLE:
            if keys_of(name):
                words = call(name, ["Session:1", "Cart:1"][: keys_of(name)])
                assert client("ACL", "DRYRUN", "shop", *words) == b"OK", name
                assert (
                    client("ACL", "DRYRUN", "shop", *call(name, ["Other:1", "Cart:1"][: keys_of(name)]))
                    != b"OK"
                )
        assert shop("MODEL.SAVE", "Session:1", '{"n":1}') == b"OK"
        assert shop("MODEL.EXEC", 1, "Session:1", 4, "MODEL.INCRBY", "Session:1", "$.n", 1) == [b"2"]
        assert shop("MODEL.GET", "Session:1") == b'{"n":2}'
        assert shop("MODEL.LOCK", "lock:default:Session:1", "t", "PX", 50)
        assert shop("PTTL", "Session:1") == shop("PEXPIRETIME", "Session:1") == -1
        assert shop("SCAN", 0, "MATCH", "Session:*", "COUNT", 1000) == [b"0", [b"Session:1"]]
        refuses(shop, "MODEL.GET", "Other:1")
        refuses(shop, "MODEL.POLICY", "SET", "Session:", "TTL", 1)
        refuses(shop, "MODEL.POLICY", "DEL", "Session:")
        refuses(shop, "FLUSHALL")
        refuses(shop, "GET", "Session:1")
        refuses(shop, "DEL", "Session:1")
        refuses(shop, "RESTORE", "Session:1", 0, "payload")


def test_who_may_do_everything_but_administer_sets_no_policies(
    kind: Kind, server_of: Callable[[Kind], Server], client: Client, has_categories: bool
) -> None:
    rules = ["on", ">secret", "~*", "+@all", "-@admin", "-@dangerous"]
    client("ACL", "SETUSER", "staff", *rules)
    with enter(kind, server_of, "staff") as staff:
        if has_categories:
            refuses(staff, "MODEL.POLICY", "SET", "Session:", "TTL", 1)
        else:
            # What the page warns of.
            assert staff("MODEL.POLICY", "SET", "Session:", "TTL", 1)
    client("ACL", "DELUSER", "staff")
    (line,) = lines("production.md", "Redis 7.0")[1:]
    client(*line)
    with enter(kind, server_of, "staff") as staff:
        assert staff("MODEL.SET", "Session:1", "$", "2") == b"OK"
        for name in TABLE:
            if name.startswith("MODEL.POLICY"):
                refuses(staff, *call(name, []))


def test_the_lines_of_the_page_on_security_do_what_it_says(
    kind: Kind, server_of: Callable[[Kind], Server], client: Client
) -> None:
    staff, check, auditor = lines("security.md", "What it does not protect")
    assert staff in lines("production.md", "Redis 7.0")
    client(*staff)
    assert b"no permissions" in client(*check)
    client("ACL", "SETUSER", "staff", "+model.policy")
    assert client(*check) == b"OK"
    client(*auditor)
    with enter(kind, server_of, "auditor") as user:
        refuses(user, "MODEL.POLICY", "LIST")
        assert user("MODEL.GET", "audit:1") is None
    client("ACL", "SETUSER", "reader", "on", ">secret", "~*", "-@all", "+model.get_ro")
    client("MODEL.POLICY", "SET", "Session:", "TTL", 60_000, "REFRESH", "ALL")
    client("MODEL.CREATE", "Session:1", "1")
    before = client("PEXPIRETIME", "Session:1")
    with enter(kind, server_of, "reader") as reader:
        assert reader("MODEL.GET_RO", "Session:1") == b"1"
        refuses(reader, "MODEL.GET", "Session:1")
    assert client("PEXPIRETIME", "Session:1") == before
