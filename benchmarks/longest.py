"""The longest time that one command keeps the server's main thread, by the server's own clock.

Each command runs on documents of 1 000 to 1 000 000 elements of ordinary and of hostile shapes. What takes
more than 10 ms has to be listed in docs/production.md with its rate; `--record` writes that table anew.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

from _servers import Server

SIZES = (1_000, 10_000, 100_000, 1_000_000)
LIMIT_MS = 10.0
PAGE = Path(__file__).parent.parent / "docs" / "production.md"
START, END = "<!-- longest: start -->\n", "<!-- longest: end -->\n"
HEADINGS = ("command", "shape", *(f"{size:,}" for size in SIZES), "rate", "")

Words = tuple[str | int, ...]
KEY, OTHER = "Doc:1", "Doc:2"


@dataclass(frozen=True)
class Case:
    """A command on a document of a shape; both are made for a number of elements."""

    command: str
    shape: str
    call: Callable[[int], Words]
    documents: Callable[[int], tuple[str, ...]] = lambda _: ()
    prepare: Callable[[int], tuple[Words, ...]] = lambda _: ()
    unit: str = "elements"
    scale: int = 1
    most: int = SIZES[-1]


@dataclass
class Measured:
    case: Case
    millis: dict[int, float] = field(default_factory=dict)

    @property
    def row(self) -> tuple[str, str]:
        return self.case.command, self.case.shape

    @property
    def above(self) -> bool:
        return max(self.millis.values()) > LIMIT_MS

    @property
    def rate(self) -> str:
        """Elements a millisecond, or bytes, rounded down to one digit: what can be relied on."""
        size, millis = max(self.millis.items())
        rate = int(size * self.case.scale / millis)
        digits = 10 ** (len(str(rate)) - 1)
        return f"{rate // digits * digits:,} {self.case.unit}/ms"

    @property
    def cells(self) -> Iterator[str]:
        yield from self.row
        for size in SIZES:
            yield f"{self.millis[size]:.2f}" if size in self.millis else "-"
        yield self.rate


def array(size: int) -> str:
    return f"[{','.join(map(str, range(size)))}]"


def equal(size: int) -> str:
    return f"[{','.join(['1'] * size)}]"


def strings(size: int, start: int = 0) -> str:
    return json.dumps([f"member {at}" for at in range(start, start + size)], separators=(",", ":"))


def tiny(size: int) -> str:
    return f"[{','.join(['{}'] * size)}]"


def members(size: int) -> str:
    return json.dumps({f"name {at}": at for at in range(size)}, separators=(",", ":"))


def text(size: int) -> str:
    return f'"{"x" * size}"'


def deep(size: int) -> str:
    inner = array(max(1, size // 100))
    for _ in range(100):
        inner = f"[{inner},{array(size // 100)}]"
    return inner


def repeated(size: int) -> str:
    """Names twice, in objects in one another."""
    pad = ",".join(f'"n{at}":0' for at in range(size // 200))
    inner = "0"
    for _ in range(100):
        inner = f'{{"a":0,{pad and pad + ","}"a":{inner}}}'
    return inner


def queue(size: int) -> str:
    return f"[{','.join(f'[{at},{at}]' for at in range(size))}]"


def equals_in_queue(size: int) -> str:
    return f"[{','.join(f'[{at},1]' for at in range(size))}]"


def one(make: Callable[[int], str]) -> Callable[[int], tuple[str, ...]]:
    return lambda size: (make(size),)


def words(*before: str | int, each: Callable[[int], Words], after: Words = ()) -> Callable[[int], Words]:
    """A call with words for each of its elements."""
    return lambda size: (*before, *(word for at in range(size) for word in each(at)), *after)


def indexed(_: int) -> tuple[Words, ...]:
    """Look-ups enough to index an array as a whole."""
    return (("MODEL.CONTAINS", KEY, "$", '"absent"'),) * 64


def prioritised(_: int) -> tuple[Words, ...]:
    return (("MODEL.UNPUSH", KEY, "$", '"absent"'),) * 64


CREATED = {
    "an array of integers": array,
    "an array of strings": strings,
    "an array of empty objects": tiny,
    "an object": members,
    "100 levels deep": deep,
    "repeated names, 100 levels deep": repeated,
}

CASES = (
    *(
        Case("CREATE", shape, lambda n, make=make: ("MODEL.CREATE", KEY, make(n)))  # type: ignore[misc]
        for shape, make in CREATED.items()
    ),
    Case("CREATE", "a string", lambda n: ("MODEL.CREATE", KEY, text(16 * n)), unit="bytes", scale=16),
    Case("SAVE", "the same object again", lambda n: ("MODEL.SAVE", KEY, members(n)), one(members)),
    Case(
        "SAVE ONLY",
        "all of an object's names",
        lambda n: ("MODEL.SAVE", KEY, members(n), "ONLY", n, *(f'"name {at}"' for at in range(n))),
        lambda n: ("{}",),
    ),
    Case("SET", "a member of an object", lambda _: ("MODEL.SET", KEY, '$["name 7"]', 0), one(members)),
    Case("GET", "an array", lambda _: ("MODEL.GET", KEY), one(array)),
    Case("GET", "an element", lambda _: ("MODEL.GET", KEY, "$[-7]"), one(array)),
    Case("GET", "many paths", words("MODEL.GET", KEY, each=lambda at: (f"$[{at}]",)), one(array)),
    Case(
        "GET",
        "many paths beside a string",
        words("MODEL.GET", KEY, each=lambda _: ("$.a",)),
        lambda n: (f'{{"s":{text(16 * n)},"a":1}}',),
    ),
    Case("MGET", "one small document", words("MODEL.MGET", each=lambda _: (KEY,)), lambda n: ("[1]",)),
    Case("GETORCREATE", "one that is there", lambda _: ("MODEL.GETORCREATE", KEY, 1), one(array)),
    Case("COPY", "an array", lambda _: ("MODEL.COPY", KEY, OTHER), one(array)),
    Case(
        "UPDATE",
        "many paths",
        words("MODEL.UPDATE", KEY, each=lambda at: (f"$[{at}]", 7)),
        one(array),
        most=400_000,
    ),
    Case(
        "UPDATE",
        "many conditions on a string",
        words("MODEL.UPDATE", KEY, "$.a", 1, each=lambda _: ("WHERE", "$.s", "GT", '"a"')),
        lambda n: (f'{{"s":{text(16 * n)},"a":1}}',),
        most=200_000,
    ),
    Case(
        "UPDATE",
        "many conditions on an array",
        words("MODEL.UPDATE", KEY, "$.a", 1, each=lambda _: ("WHERE", "$.s", "NE", "[]")),
        lambda n: (f'{{"s":{array(n)},"a":1}}',),
        most=200_000,
    ),
    Case("MERGE", "all of an object", lambda n: ("MODEL.MERGE", KEY, "$", members(n)), one(members)),
    Case("MERGE", "100 levels deep", lambda n: ("MODEL.MERGE", KEY, "$", repeated(n)), one(repeated)),
    Case("DEL", "an array", lambda _: ("MODEL.DEL", KEY), one(array)),
    Case("APPEND", "many elements", words("MODEL.APPEND", KEY, "$", each=lambda at: (at,)), one(array)),
    Case(
        "APPEND",
        "to a string",
        lambda _: ("MODEL.APPEND", KEY, "$", '"x"'),
        lambda n: (text(16 * n),),
        unit="bytes",
        scale=16,
    ),
    Case(
        "APPEND UNIQUE",
        "equal elements",
        words("MODEL.APPEND", KEY, "$", each=lambda _: (1,), after=("UNIQUE",)),
        one(equal),
        indexed,
    ),
    Case(
        "INSERT",
        "many elements in front",
        words("MODEL.INSERT", KEY, "$", 0, each=lambda at: (at,)),
        one(array),
        indexed,
    ),
    Case("POP", "of an array", lambda _: ("MODEL.POP", KEY, "$"), one(array), indexed),
    Case(
        "REMOVE COUNT",
        "equal elements",
        lambda n: ("MODEL.REMOVE", KEY, "$", 1, "COUNT", n),
        one(equal),
        indexed,
    ),
    Case(
        "REMOVE COUNT",
        "every other element",
        lambda n: ("MODEL.REMOVE", KEY, "$", 1, "COUNT", n),
        lambda n: (f"[{','.join(['1,0'] * (n // 2))}]",),
        indexed,
    ),
    Case(
        "CUT",
        "half of equal elements",
        lambda n: ("MODEL.CUT", KEY, "$", n // 4, 3 * n // 4),
        one(equal),
        indexed,
    ),
    Case(
        "UNSET", "many paths", words("MODEL.UNSET", KEY, each=lambda at: (f"$[{at}]",)), one(array), indexed
    ),
    Case("CLEAR", "an array", lambda _: ("MODEL.CLEAR", KEY, "$"), one(array)),
    Case("INCRBY", "an element", lambda _: ("MODEL.INCRBY", KEY, "$[7]", 1), one(array)),
    Case("CALC REPEAT", "an array", lambda _: ("MODEL.CALC", KEY, "$", "REPEAT", 2), one(array)),
    Case(
        "LEN", "of a string", lambda _: ("MODEL.LEN", KEY), lambda n: (text(16 * n),), unit="bytes", scale=16
    ),
    Case("TYPE", "of an array", lambda _: ("MODEL.TYPE", KEY), one(array)),
    Case("KEYS", "of an object", lambda _: ("MODEL.KEYS", KEY), one(members)),
    Case("CONTAINS", "the first look", lambda _: ("MODEL.CONTAINS", KEY, "$", '"absent"'), one(strings)),
    Case("CONTAINS", "of an indexed array", lambda _: ("MODEL.CONTAINS", KEY, "$", 1), one(equal), indexed),
    Case(
        "CONTAINS",
        "text in a string",
        lambda _: ("MODEL.CONTAINS", KEY, "$", '"xy"'),
        lambda n: (text(16 * n),),
        unit="bytes",
        scale=16,
    ),
    Case("EXPECT", "an array", lambda n: ("MODEL.EXPECT", KEY, "$", array(n)), one(array)),
    Case(
        "ADD", "many values", words("MODEL.ADD", KEY, "$", each=lambda at: (at + 500,)), one(array), indexed
    ),
    Case("ADD", "one to equal elements", lambda _: ("MODEL.ADD", KEY, "$", 2), one(equal), indexed),
    Case("DISCARD", "equal elements", lambda _: ("MODEL.DISCARD", KEY, "$", 1), one(equal), indexed),
    Case(
        "DISCARD",
        "many values",
        words("MODEL.DISCARD", KEY, "$", each=lambda at: (2 * at,)),
        one(array),
        indexed,
    ),
    *(
        Case(
            "SETOP",
            f"{operation} of two sets",
            lambda _, operation=operation: ("MODEL.SETOP", 2, KEY, OTHER, "$", "$", operation),  # type: ignore[misc]
            lambda n: (strings(n), strings(n, n // 2)),
        )
        for operation in ("UNION", "INTER", "DIFF")
    ),
    Case(
        "SETOP",
        "UNION of one set many times",
        lambda n: ("MODEL.SETOP", 1000, *[KEY] * 1000, *["$"] * 1000, "UNION"),
        one(strings),
    ),
    Case(
        "PUSH",
        "many values",
        words("MODEL.PUSH", KEY, "$", each=lambda at: (at, f'"{at}"')),
        one(queue),
        most=400_000,
    ),
    Case(
        "PUSH",
        "a value that is there often",
        words("MODEL.PUSH", KEY, "$", each=lambda at: (at, 1)),
        one(equals_in_queue),
        prioritised,
        most=400_000,
    ),
    Case(
        "UNPUSH",
        "a value that is there often",
        lambda _: ("MODEL.UNPUSH", KEY, "$", 1),
        one(equals_in_queue),
        prioritised,
    ),
    Case("POPMIN", "all values", lambda n: ("MODEL.POPMIN", KEY, "$", n), one(queue), prioritised),
    Case("PEEK", "all values", lambda n: ("MODEL.PEEK", KEY, "$", n), one(queue)),
    Case(
        "EXEC",
        "one increment in an array",
        lambda _: ("MODEL.EXEC", 1, KEY, 4, "MODEL.INCRBY", KEY, "$[7]", 1),
        one(array),
    ),
    Case(
        "EXEC",
        "many increments",
        words("MODEL.EXEC", 1, KEY, each=lambda at: (4, "MODEL.INCRBY", KEY, "$[7]", 1)),
        one(array),
        most=200_000,
    ),
    Case(
        "EXEC",
        "many keys, the last one first",
        lambda n: (
            "MODEL.EXEC",
            n,
            *(f"K:{at}" for at in range(n)),
            *(word for at in reversed(range(n)) for word in (3, "MODEL.CREATE", f"K:{at}", 1)),
        ),
        most=200_000,
    ),
)


def measure(server: Server, cases: tuple[Case, ...] = CASES) -> Iterator[Measured]:
    with server.client(socket_timeout=300) as client:
        for case in cases:
            measured = Measured(case)
            for size in sorted({min(size, case.most) for size in SIZES}):
                client.flushall()
                for key, document in zip((KEY, OTHER), case.documents(size), strict=False):
                    client.execute_command("MODEL.CREATE", key, document)
                for prepared in case.prepare(size):
                    client.execute_command(*prepared)
                call = case.call(size)
                client.config_resetstat()
                client.execute_command(*call)
                statistics = client.info("commandstats")[f"cmdstat_{str(call[0]).lower()}"]
                measured.millis[size] = statistics["usec"] / 1000
            yield measured


def listed() -> set[tuple[str, str]]:
    """The rows of the page's table: commands and shapes."""
    lines = _table(PAGE.read_text(encoding="utf-8")).splitlines()
    rows = (line.strip("|").split("|") for line in lines if line.startswith("|"))
    return {(row[0].strip(" `"), row[1].strip()) for row in rows}


def _table(page: str) -> str:
    return page.partition(START)[2].partition(END)[0]


def record(results: list[Measured]) -> None:
    above = [measured for measured in results if measured.above]
    rows = ["| command | shape | at least |", "|---|---|---|"]
    rows += [f"| `{measured.row[0]}` | {measured.row[1]} | {measured.rate} |" for measured in above]
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(page.replace(START + _table(page), START + "\n".join(rows) + "\n"), encoding="utf-8")


def run(console: Console) -> list[Measured]:
    server = Server.start("redis")
    table = Table(*HEADINGS, title="The longest time on the main thread, in ms")
    results = []
    try:
        known = listed()
        for measured in measure(server):
            unlisted = measured.above and measured.row not in known
            console.print(f"{' '.join(measured.row)}: {max(measured.millis.values()):.2f} ms")
            state = "above, and not listed" if unlisted else "above" if measured.above else ""
            table.add_row(*measured.cells, state, style="bold red" if unlisted else "")
            results.append(measured)
    finally:
        server.stop()
    console.print(table)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.longest", description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"also write the table of {PAGE.name}")
    arguments = parser.parse_args()
    results = run(Console(width=150))
    if arguments.record:
        record(results)
    elif any(measured.above and measured.row not in listed() for measured in results):
        sys.exit("a command takes longer than docs/production.md says: measure again with --record")


if __name__ == "__main__":
    main()
