"""What is saved of a document, byte by byte: what loads for ever, and what becomes of damage."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from _servers import FORMS, Server
from _wire import Client

Start = Callable[..., Server]

FIXTURES = Path(__file__).parent / "fixtures"
"""A snapshot of every payload version, written by Redis 7.0.

That of version 2 holds fields that no release knows: of a document, a large one, a policy, a table of
policies and the leases.
"""

CREATED = 1_700_000_000_123
VERSION = 7
WINDOW = 7_200_000
TEXT = b'{"a":[1,2.50,{"b":"text"}],"c":null}'
LARGE = b'{"list":[' + b",".join(b"%d" % n for n in range(1500)) + b'],"name":"n"}'
CENTURY = 3_155_760_000_000

# A snapshot's opcodes and forms of length, as the server's own format has them.
MODULE_VALUE, UNSIGNED, STRING, END = b"\x07", b"\x02", b"\x05", b"\x00"
DUMP_VERSION = b"\x0a\x00"
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def _checksums() -> list[int]:
    """The table of CRC-64/Jones, reflected."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x95AC9329AC4BC9B5 if byte & 1 else 0)
        table.append(byte)
    return table


_CHECKSUMS = _checksums()


def checksum(data: bytes) -> bytes:
    value = 0
    for byte in data:
        value = _CHECKSUMS[(value ^ byte) & 0xFF] ^ value >> 8
    return value.to_bytes(8, "little")


def length(number: int) -> bytes:
    if number < 1 << 6:
        return bytes([number])
    if number < 1 << 14:
        return (number | 1 << 14).to_bytes(2, "big")
    return b"\x81" + number.to_bytes(8, "big")


def type_id(version: int) -> bytes:
    """The type's nine characters, six bits each, and ten bits of the payload's version."""
    number = 0
    for character in "rapyermdl":
        number = number << 6 | ALPHABET.index(character)
    return b"\x81" + (number << 10 | version).to_bytes(8, "big")


def unsigned(number: int) -> bytes:
    return UNSIGNED + length(number)


def string(data: bytes) -> bytes:
    return STRING + length(len(data)) + data


def sealed(body: bytes) -> bytes:
    """What RESTORE takes: with the dump's version and a right checksum."""
    return (data := body + DUMP_VERSION) + checksum(data)


def body_of_version_1(
    text: bytes = TEXT,
    created: int = CREATED,
    version: int = VERSION,
    window: int = WINDOW,
    payload_version: int = 1,
) -> bytes:
    parts = (unsigned(created), unsigned(version), unsigned(window), string(text), END)
    return MODULE_VALUE + type_id(payload_version) + b"".join(parts)


def field(tag: int, content: bytes | int) -> bytes:
    if isinstance(content, int):
        content = content.to_bytes((content.bit_length() + 7) // 8, "little")
    return leb128(tag) + leb128(len(content)) + content


def leb128(number: int) -> bytes:
    more, last = divmod(number, 128)
    return bytes([last | 128]) + leb128(more) if more else bytes([last])


def header(created: int = CREATED, version: int = VERSION, window: int = WINDOW) -> bytes:
    return field(1, created) + field(3, version) + (field(5, window) if window else b"")


def body(text: bytes = TEXT, fields: bytes | None = None, payload_version: int = 2) -> bytes:
    parts = (string(header() if fields is None else fields), string(text), END)
    return MODULE_VALUE + type_id(payload_version) + b"".join(parts)


@pytest.fixture
def server(start: Start) -> Server:
    return start()


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server) as client:
        yield client


def refused(client: Client, payload: bytes) -> bool:
    """Whether the server says that the payload is none; what it takes must be a document in every respect."""
    client.send(("RESTORE", "S:2", 0, payload, "REPLACE"))
    client.send(("MODEL.GET_RO", "S:2"))
    client.send(("MODEL.TTL", "GET", "S:2"))
    reply, text, lifetime = client.receive(), client.receive(), client.receive()
    if reply == b"OK":
        json.loads(text)
        assert client("MEMORY", "USAGE", "S:2") > len(text)
        assert 0 <= lifetime[5] < 1 << 48
        assert lifetime[3] is None or 0 < lifetime[3] <= CENTURY
        return False
    assert "Bad data format" in str(reply)
    return True


@pytest.mark.parametrize("text", [TEXT, LARGE, b"null"], ids=["small", "large", "scalar"])
@pytest.mark.parametrize("window", [0, 1, CENTURY])
@pytest.mark.parametrize("version", [1, 2])
def test_a_payload_of_every_version_loads(client: Client, text: bytes, window: int, version: int) -> None:
    client("CONFIG", "SET", "rdbcompression", "no")
    payload = body_of_version_1(text, window=window) if version == 1 else body(text, header(window=window))
    client("RESTORE", "S:1", 0, sealed(payload))
    assert client("MODEL.GET_RO", "S:1") == text
    told = client("MODEL.TTL", "GET", "S:1")
    assert dict(zip(told[::2], told[1::2], strict=True)) == {
        b"deadline": None,
        b"window": window or None,
        b"created": CREATED,
        b"cap": None,
        b"policy": None,
        b"version": VERSION,
    }
    assert client("DUMP", "S:1")[: -len(DUMP_VERSION) - 8] == body(text, header(window=window))
    client("RESTORE", "S:2", 0, client("DUMP", "S:1"))
    assert client("DUMP", "S:2") == client("DUMP", "S:1")
    assert client("MODEL.TTL", "GET", "S:2") == told
    assert text in client("DUMP", "S:1")


@pytest.mark.parametrize("version", [1, 2])
def test_a_snapshot_of_every_version_loads(server: Server, version: int) -> None:
    server.kill()
    shutil.copy(FIXTURES / f"version-{version}.rdb", server.dir / "dump.rdb")
    server.restart()
    with Client(server) as client:
        assert client("MODEL.GET_RO", "S:small") == '{"n":1.10,"ids":[9007199254740993],"é":null}'.encode()
        assert client("PEXPIRETIME", "S:small") == 4_000_000_000_000
        assert client("MODEL.GET_RO", "Other:own") == b'"own window"'
        assert client("MODEL.TTL", "GET", "Other:own")[:6] == [
            *(b"deadline", None),
            *(b"window", 7_200_000),
            *(b"created", 1_795_460_544_610),
        ]
        large = json.loads(client("MODEL.GET_RO", "Other:large"))
        assert large == {"items": [*range(2000), True], "names": {f"n{n}": n for n in range(400)}}
        assert client("MODEL.TTL", "GET", "Other:large")[-1] == 2
        policies = {
            policy[1]: dict(zip(policy[::2], policy[1::2], strict=True)) for policy in policies_of(client)
        }
        assert policies == {
            b"Other:": policies[b"Other:"] | {b"ttl": None, b"refresh": b"NONE"},
            b"S:": policies[b"S:"] | {b"ttl": 600_000, b"refresh": b"READ,FETCH", b"read-touch-pct": 50},
        }
        client("SELECT", 3)
        ((*_, policy_version),) = policies_of(client)
        assert policy_version == 1


LATER = {
    what: f"what a later release says of {what}".encode()
    for what in ("a document", "a large document", "a policy", "a table", "leases")
}


def said_later(server: Server) -> dict[str, int]:
    """How often each of the fields that no release knows is in what a server has, and in nothing but that."""
    with Client(server) as client:
        client("CONFIG", "SET", "rdbcompression", "no")
        client("SAVE")
    snapshot = (server.dir / "dump.rdb").read_bytes()
    return {what: snapshot.count(field(300, content)) for what, content in LATER.items()}


@pytest.fixture
def of_a_later_release(server: Server) -> Server:
    """A server with documents, policies and leases that have fields of a later release."""
    server.kill()
    shutil.copy(FIXTURES / "version-2.rdb", server.dir / "dump.rdb")
    server.restart()
    return server


@pytest.mark.parametrize("form", FORMS)
def test_fields_of_a_later_release_are_passed_on(
    of_a_later_release: Server, carried: Callable[[Server, str], Server], form: str
) -> None:
    once = dict.fromkeys(LATER, 1)
    assert said_later(of_a_later_release) == once
    with Client(of_a_later_release) as client:
        client("MODEL.SET", "S:small", "$.n", "2")
        client("MODEL.APPEND", "Other:large", "$.items", "1")
        client("MODEL.TTL", "SET", "Other:large", "PX", 5_000_000)
        client("MODEL.POLICY", "SET", "T:", "TTL", 1000)
        client("MODEL.LOCK", "lock", "me", "PX", 100_000)
    another = carried(of_a_later_release, form)
    assert said_later(another) == once
    again = carried(another, form)
    assert said_later(again) == once
    with Client(again) as client:
        assert client("MODEL.GET_RO", "S:small").startswith(b'{"n":2,')


@pytest.mark.parametrize(("key", "what"), [("S:small", "a document"), ("Other:large", "a large document")])
def test_a_document_keeps_fields_of_a_later_release_wherever_it_goes(
    of_a_later_release: Server, what: str, key: str
) -> None:
    said = field(300, LATER[what])
    with Client(of_a_later_release) as client:
        client("CONFIG", "SET", "rdbcompression", "no")
        assert client("DUMP", key).count(said) == 1
        client("RESTORE", "restored", 0, client("DUMP", key))
        client("COPY", key, "copied")
        client("RENAME", "copied", "renamed")
        client("COPY", "renamed", "elsewhere", "DB", 5)
        client("MODEL.SET", "renamed", "$", "[1]")
        client("MODEL.EXEC", 1, "renamed", 4, "MODEL.APPEND", "renamed", "$", 2)
        assert client("MODEL.GET_RO", "renamed") == b"[1,2]"
        for name in (key, "restored", "renamed"):
            assert client("DUMP", name).count(said) == 1, name
        client("SELECT", 5)
        assert client("DUMP", "elsewhere").count(said) == 1


def test_a_policy_that_is_set_anew_is_what_its_client_says(of_a_later_release: Server) -> None:
    with Client(of_a_later_release) as client:
        same = ("TTL", 600_000, "REFRESH", "READ,FETCH", "ABSOLUTE", 9_000_000, "READ-TOUCH-PCT", 50)
        assert client("MODEL.POLICY", "SET", "S:", *same) == 5
        assert client("MODEL.POLICY", "SET", "S:", *same) == 5
    assert said_later(of_a_later_release) == dict.fromkeys(LATER, 1) | {"a policy": 0}


def policies_of(client: Client) -> list[list[bytes | int | None]]:
    policies = client("MODEL.POLICY", "LIST")
    assert isinstance(policies, list)
    return policies


def flipped(whole: bytes, bits: Iterable[int]) -> Iterator[bytes]:
    for bit in bits:
        at = bit // 8
        yield whole[:at] + bytes([whole[at] ^ 1 << bit % 8]) + whole[at + 1 :]


@pytest.mark.parametrize("compressed", ["no", "yes"])
@pytest.mark.parametrize("text", [TEXT, LARGE], ids=["small", "large"])
def test_a_payload_cut_short_or_with_a_bit_flipped_is_refused_or_a_document(
    server: Server, client: Client, text: bytes, compressed: str
) -> None:
    client("CONFIG", "SET", "rdbcompression", compressed)
    client("RESTORE", "S:1", 0, sealed(body(text)))
    whole = client("DUMP", "S:1")[: -len(DUMP_VERSION) - 8]
    bits = 8 * len(whole)
    # Every bit of what is short, and of a long one's head and tail.
    damaged = [*flipped(whole, (bit for bit in range(bits) if min(bit, bits - bit) < 800 or bit % 331 == 0))]
    cut = [whole[:end] for end in range(1, len(whole)) if min(end, len(whole) - end) < 100 or end % 41 == 0]
    assert all(refused(client, sealed(payload)) for payload in cut)
    taken = sum(not refused(client, sealed(payload)) for payload in damaged)
    assert 0 < taken < len(damaged)
    assert client("PING")
    assert "panic" not in server.log()


REFUSAL = "a document's payload cannot be loaded: "
READS = "this module reads versions 1 to 2"
REFUSED = {
    "text": (body(b"[1,]"), REFUSAL + "BADJSON"),
    "no text": (body(b""), REFUSAL + "BADJSON"),
    "UTF-8": (body(b"\xff"), REFUSAL + "BADJSON"),
    "surrogate": (body(b'"\\ud800"'), REFUSAL + "BADJSON"),
    "depth": (body(b"[" * 129 + b"]" * 129), REFUSAL + "LIMIT"),
    "great depth": (body(b"[" * 100_000), REFUSAL + "LIMIT"),
    "digits": (body(b"1" * 4301), REFUSAL + "LIMIT"),
    "created": (
        body_of_version_1(created=1 << 48),
        REFUSAL + f"OUTOFRANGE '{1 << 48}': a document's creation time is out of range",
    ),
    "created far out": (
        body_of_version_1(created=1 << 63),
        REFUSAL + "LIMIT the creation time is out of range",
    ),
    "version": (body_of_version_1(version=1 << 32), REFUSAL + "LIMIT the version is out of range"),
    "window": (
        body_of_version_1(window=CENTURY + 1),
        REFUSAL + f"OUTOFRANGE '{CENTURY + 1}': a document's window is 1 ms to 100 years",
    ),
    "window far out": (body_of_version_1(window=1 << 63), REFUSAL + "LIMIT the window is out of range"),
    "created in fields": (body(fields=header(created=1 << 48)), REFUSAL + f"OUTOFRANGE '{1 << 48}'"),
    "version in fields": (
        body(fields=header(version=1 << 32)),
        REFUSAL + "LIMIT the saved fields are damaged",
    ),
    "window in fields": (body(fields=header(window=CENTURY + 1)), REFUSAL + f"OUTOFRANGE '{CENTURY + 1}'"),
    "window of 0": (body(fields=header(window=0) + field(5, 0)), REFUSAL + "OUTOFRANGE '0'"),
    "no created": (body(fields=field(3, 1)), REFUSAL + "LIMIT the saved fields are damaged"),
    "created twice": (body(fields=header() + field(1, 1)), REFUSAL + "LIMIT the saved fields are damaged"),
    "half a field": (body(fields=header() + b"\x64\x05late"), REFUSAL + "LIMIT the saved fields are damaged"),
    "a long number": (body(fields=field(1, bytes(9))), REFUSAL + "LIMIT the saved fields are damaged"),
    "a field that must be understood": (
        body(fields=header() + field(101, b"later")),
        REFUSAL
        + "OUTOFRANGE '101': the tag of a saved field that must be understood and that this release does not "
        "know: load the release of the module that wrote it, or a later one",
    ),
    "payload before the first": (
        body_of_version_1(payload_version=0),
        f"version 0 cannot be loaded: {READS}",
    ),
    "later payload": (body(payload_version=3), f"version 3 cannot be loaded: {READS}"),
    "last payload": (body(payload_version=1023), f"version 1023 cannot be loaded: {READS}"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_payload_that_is_no_document_is_refused_with_the_reason_in_the_log(
    server: Server, client: Client, what: str
) -> None:
    payload, reason = REFUSED[what]
    assert refused(client, sealed(payload))
    assert client("EXISTS", "S:2") == 0
    assert reason in server.log()


@pytest.mark.parametrize("what", ["policies", "documents"])
def test_a_server_does_not_start_on_a_snapshot_of_a_later_version_and_says_why(
    server: Server, client: Client, what: str
) -> None:
    if what == "policies":
        client("MODEL.POLICY", "SET", "S:", "TTL", 1000)
    client("MODEL.CREATE", "S:1", "1")
    client("SAVE")
    snapshot = server.dir / "dump.rdb"
    # Policies come before keys; without any, Redis 7.0 still writes that there are none.
    before, found, after = snapshot.read_bytes().partition(type_id(2))
    if what == "documents" and type_id(2) in after:
        head, found, after = after.partition(type_id(2))
        before += type_id(2) + head
    assert found
    # A checksum of zero is none.
    snapshot.write_bytes(before + type_id(3) + after[:-8] + bytes(8))
    server.kill()
    with pytest.raises(RuntimeError, match="payload version 3 cannot be loaded"):
        server.restart()
