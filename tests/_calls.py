"""A call of every command and twin of the table, on any keys, that succeeds on the document below."""

from __future__ import annotations

from collections.abc import Sequence

from rapyer import _native

TABLE = {" ".join(filter(None, (row["name"], row["subcommand"]))): row for row in _native.commands()}
DOCUMENT = '{"n":1,"list":[1,2],"map":{"a":1},"queue":[[1,"a"]],"text":"a"}'

# The words behind the keys.
_REST: dict[str, tuple[str, ...]] = {
    "MODEL.CREATE": (DOCUMENT,),
    "MODEL.SAVE": ('{"n":3}', "ONLY", "1", '"n"'),
    "MODEL.EDIT": ("SET", "$.n", "2", "UNSET", "$.map.a", "ADD", "$.list", "1", "3"),
    "MODEL.SET": ("$.n", "2"),
    "MODEL.GET": ("$.n", "$.list"),
    "MODEL.MGET": (),
    "MODEL.GETORCREATE": (DOCUMENT,),
    "MODEL.COPY": ("REPLACE",),
    "MODEL.UPDATE": ("$.n", "2", "WHERE", "$.n", "LT", "9"),
    "MODEL.MERGE": ("$", '{"n":null}'),
    "MODEL.DEL": (),
    "MODEL.APPEND": ("$.list", "3"),
    "MODEL.INSERT": ("$.list", "0", "3"),
    "MODEL.POP": ("$.list",),
    "MODEL.REMOVE": ("$.list", "1"),
    "MODEL.CUT": ("$.list", "0", "1"),
    "MODEL.UNSET": ("$.n",),
    "MODEL.CLEAR": ("$.list",),
    "MODEL.INCRBY": ("$.n", "1"),
    "MODEL.CALC": ("$.n", "MUL", "2"),
    "MODEL.LEN": ("$.list",),
    "MODEL.TYPE": ("$.n",),
    "MODEL.KEYS": ("$.map",),
    "MODEL.CONTAINS": ("$.list", "1"),
    "MODEL.EXPECT": ("$.n",),
    "MODEL.ADD": ("$.list", "3"),
    "MODEL.DISCARD": ("$.list", "1"),
    "MODEL.PUSH": ("$.queue", "2", '"b"'),
    "MODEL.UNPUSH": ("$.queue", '"a"'),
    "MODEL.POPMIN": ("$.queue",),
    "MODEL.PEEK": ("$.queue",),
    "MODEL.LOCK": ("token", "PX", "90000"),
    "MODEL.RENEW": ("token", "PX", "90000"),
    "MODEL.UNLOCK": ("token",),
    "MODEL.TTL GET": (),
    "MODEL.TTL SET": ("PX", "90000"),
    "MODEL.TTL INHERIT": (),
    "MODEL.TTL PERSIST": (),
    "MODEL.TTL TOUCH": (),
    "MODEL.POLICY SET": ("Other:", "TTL", "90000"),
    "MODEL.POLICY GET": ("Other:",),
    "MODEL.POLICY LIST": (),
    "MODEL.POLICY DEL": ("Other:",),
    "MODEL.POLICY MATCH": ("Other:1",),
    "MODEL.POLICY DIGEST": (),
}
LOCKS = frozenset({"MODEL.LOCK", "MODEL.RENEW", "MODEL.UNLOCK"})
"""The commands that work on locks, which are no documents of an application."""


def keys_of(name: str) -> int:
    """How many keys a call can name: 2 stands for any number."""
    return {"none": 0, "first": 1}.get(TABLE[name]["keys"], 2)


def call(name: str, keys: Sequence[str], count: str | None = None) -> list[str]:
    """The words of a call on these keys; `count` in place of their right number where a word says it."""
    row = TABLE[name]
    rest = _rest(name, keys)
    if row["keys"] == "counted":
        return [*name.split(), str(len(keys)) if count is None else count, *keys, *rest]
    assert len(keys) == keys_of(name) or row["keys"] == "all"
    return [*name.split(), *keys, *rest]


def _rest(name: str, keys: Sequence[str]) -> Sequence[str]:
    if name == "MODEL.EXEC":
        return [
            word for key in keys for word in ("4", "MODEL.INCRBY", key, "$.n", "1", "2", "MODEL.GET", key)
        ]
    if TABLE[name]["keys"] == "counted":
        return [*(["$.list"] * len(keys)), "UNION"]
    return _REST[name.removesuffix("_RO") if TABLE[name]["twin"] else name]
