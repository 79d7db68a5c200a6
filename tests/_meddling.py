"""Subscribers of another module that act inside the notifications of a command, and what they leave."""

from __future__ import annotations

import json
from typing import Any

import hiredis

from _calls import DOCUMENT
from _servers import Server
from _wire import Client

Words = list[str]

KEY, OTHER, ELSEWHERE, THIRD = "Doc:1", "Doc:2", "Elsewhere:1", "Doc:3"
KEYS = (KEY, OTHER, ELSEWHERE, THIRD)
TYPE = b"rapyermdl"

# What a subscriber does with the event's key, {key}, or with others. Each is done at every event of a call.
GENTLE: dict[str, Words] = {
    "reads it": ["CALL", "-", "MODEL.GET", "{key}"],
    "reads parts of it": ["CALL", "-", "MODEL.GET", "{key}", "$.n", "$.list[0]"],
    "reads it and others": ["CALL", "!", "MODEL.MGET", "{key}", OTHER, THIRD],
    "looks through it": ["CALL", "-", "MODEL.CONTAINS", "{key}", "$.list", "2"],
    "appends to another": ["CALL", "!", "MODEL.APPEND", THIRD, "$.list", "3"],
    "creates another": ["CALL", "!", "MODEL.CREATE", ELSEWHERE, DOCUMENT],
    "deletes another": ["CALL", "!", "DEL", THIRD],
    "sets the policy": ["CALL", "!", "MODEL.POLICY", "SET", "Doc:", "TTL", "5000", "REFRESH", "NONE"],
    "sets policies": ["CALL", "-", "MODEL.POLICY", "SET", "Doc:1", "TTL", "NONE"],
    "removes the policy": ["CALL", "!", "MODEL.POLICY", "DEL", "Doc:"],
    "asks for policies": ["CALL", "-", "MODEL.POLICY", "MATCH", "{key}"],
    "runs a batch on others": ["CALL", "!", "MODEL.EXEC", "1", THIRD, "3", "MODEL.POP", THIRD, "$.list"],
    "takes a lock": ["CALL", "!", "MODEL.LOCK", "Lock:2", "token", "PX", "1000"],
}
ROUGH: dict[str, Words] = {
    "changes it": ["CALL", "!", "MODEL.SET", "{key}", "$.n", "7"],
    "appends to it": ["CALL", "-", "MODEL.APPEND", "{key}", "$.list", "7", "8", "9"],
    "replaces it by a document": ["CALL", "!", "MODEL.CREATE", "{key}", "[1]"],
    "saves it": ["CALL", "!", "MODEL.SAVE", "{key}", DOCUMENT],
    "gets or creates it": ["CALL", "!", "MODEL.GETORCREATE", "{key}", "{}"],
    "copies another over it": ["CALL", "!", "MODEL.COPY", THIRD, "{key}", "REPLACE"],
    "copies a key over it": ["CALL", "!", "COPY", THIRD, "{key}", "REPLACE"],
    "runs a batch on it": [
        *("CALL", "!", "MODEL.EXEC", "2", "{key}", THIRD),
        *("3", "MODEL.CREATE", "{key}", "[2]", "2", "MODEL.DEL", THIRD, "3", "MODEL.CREATE", THIRD, "{}"),
    ],
    "deletes it": ["CALL", "!", "DEL", "{key}"],
    "deletes the document": ["CALL", "!", "MODEL.DEL", "{key}"],
    "unlinks it": ["CALL", "-", "UNLINK", "{key}"],
    "deletes it by a handle": ["DELETE"],
    "writes a string": ["CALL", "!", "SET", "{key}", "text"],
    "writes a string by a handle": ["STRING"],
    "renames it": ["CALL", "!", "RENAME", "{key}", ELSEWHERE],
    "renames another to it": ["CALL", "!", "RENAME", THIRD, "{key}"],
    "moves it": ["CALL", "!", "MOVE", "{key}", "1"],
    "expires it": ["CALL", "!", "PEXPIRE", "{key}", "-1"],
    "gives it a deadline": ["CALL", "!", "PEXPIRE", "{key}", "100000"],
    "sets its lifetime": ["CALL", "!", "MODEL.TTL", "SET", "{key}", "PX", "70000"],
    "persists it": ["CALL", "!", "PERSIST", "{key}"],
    "flushes everything": ["CALL", "!", "FLUSHALL"],
    "swaps databases": ["CALL", "!", "SWAPDB", "0", "1"],
}
ACTIONS = GENTLE | ROUGH
# In the event of a new key, servers themselves fail if a subscriber takes the key away, replaces it or has it
# expire: they hold on to its value. Valkey since 8.1 bears all but the last.
IN_NEW = {"changes it", "appends to it", "gets or creates it", "persists it"}
HAS_EXPIRE = {"expires it", "gives it a deadline", "sets its lifetime"}
EVERYWHERE = {"flushes everything", "swaps databases"}
FOR_EXPIRED = {"reads it", "creates another", "sets the policy"}


class Meddled:
    """A connection that sends many commands at once, to a server that is started anew if it has ended."""

    def __init__(self, server: Server) -> None:
        self._server = server
        if not server.alive():
            server.restart()
        self._client = Client(server)

    def close(self) -> None:
        self._client.close()

    def __call__(self, *commands: Words) -> list[Any]:
        """The replies, errors among them, to commands that are sent together."""
        for words in commands:
            self._client.send(tuple(words))
        return [self._client.receive() for _ in commands]


STATES: dict[str, list[Words]] = {
    "held": [["MODEL.CREATE", key, DOCUMENT] for key in (KEY, OTHER)],
    "absent": [],
    "expired": [
        *(["MODEL.CREATE", key, DOCUMENT] for key in (KEY, OTHER)),
        *(["MODEL.TTL", "SET", key, "PX", "1"] for key in (KEY, OTHER)),
        ["MEDDLER.WAIT", "2"],
    ],
    "a string": [["SET", key, "text"] for key in (KEY, OTHER)],
}


def meddle(
    meddled: Meddled, state: str, words: Words, event: str, action: Words
) -> tuple[list[Any], list[bytes]]:
    """The replies of everything that was sent, and what the subscriber did and saw."""
    prepare = [
        ["MEDDLER.FORGET"],
        ["FLUSHALL"],
        ["MODEL.POLICY", "SET", "Doc:", "TTL", "60000", "REFRESH", "ALL"],
        ["MODEL.CREATE", THIRD, DOCUMENT],
        *STATES[state],
        ["MEDDLER.WHEN", event, "*", "9", *action],
    ]
    replies = meddled(*prepare, words, ["MEDDLER.FORGET"], ["PING"], *(["TYPE", key] for key in KEYS))
    assert replies[-len(KEYS) - 1] == b"PONG"
    held = [key for key, found in zip(KEYS, replies[-len(KEYS) :], strict=True) if found == TYPE]
    for document in meddled(*(["MODEL.GET_RO", key] for key in held)) if held else []:
        # In databases that were swapped a key may expire between the two.
        assert document is None or json.loads(document) is not None
    return replies, replies[len(prepare) + 1]


def faults(replies: list[Any], seen: list[bytes]) -> list[str]:
    errors = [str(reply) for reply in replies if isinstance(reply, hiredis.ReplyError)]
    return [line for line in (*errors, *map(str, seen)) if "INTERNAL" in line]
