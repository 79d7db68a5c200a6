"""Counts the instructions and allocations of one command inside the server, beside the server's own commands.

Exact where rates are not: callgrind executes the server, so the counts of two runs agree to a fraction
of a per cent whatever else the machine does. `--check` compares them with the recorded baseline, `--record`
writes a new one, `--functions` shows where the instructions of the named commands go.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass

import redis
from rich.console import Console
from rich.table import Table

from _servers import Server, ServerMissing
from benchmarks import _baseline
from benchmarks._baseline import Count, Counts
from benchmarks._callgrind import CountedServer, Profile, ValgrindMissing

KEYS = 50
"""Calls sent at once, each to a key of its own: so every call finds a deadline to move."""
BATCHES = 20
CALLS = KEYS * BATCHES
FILLER = 5_000
"""Keys that are there already: the server's tables are large enough for those that are created."""

TTL = 1_800_000
SECONDS = TTL // 1000
HEAD = (
    '{"user_id":"u-184467","email":"ada@example.com","n":42,"tags":["a","b","c","d","e"],'
    '"last_page":"/checkout","theme":"dark","visits":7,"note":"'
)
BODY = f'{HEAD}{"x" * (217 - len(HEAD) - 2)}"}}'
"""A session as canonical JSON text of 217 bytes."""

SETTINGS = ("alone", "aof", "replica")
"""The server alone, with an append-only file, with a replica."""

MARGINAL_GOAL = 1.3
"""What a command may take more in the other settings, against what its anchor takes more there."""
ALLOCATIONS_GOAL = 2
"""How many allocations above the anchor's it may make."""
NEGLIGIBLE = 200
"""Fewer instructions a call are the event loop's, not the command's."""

Word = str | int
Call = Sequence[tuple[Word, ...]]


@dataclass(frozen=True)
class Case:
    """One command that is counted."""

    name: str
    words: Callable[[int, int], Call]
    """What is sent for a key in a batch, both given by number."""
    anchor: str | None = None
    """The server's own command that does the like."""
    goal: float | None = None
    """How many times the anchor's instructions it may take."""
    replicates_like: str | None = None
    """The anchor in the other settings, where it is not the same."""


def _to(*words: Word) -> Callable[[int, int], Call]:
    def fill(key: int, batch: int) -> Call:
        return (tuple(str(word).replace("KEY", str(key)).replace("BATCH", str(batch)) for word in words),)

    return fill


def _transaction(key: int, batch: int) -> Call:
    parts = (
        _to("HSET", "hash:KEY", "theme", "light"),
        _to("HINCRBY", "hash:KEY", "n", 1),
        _to("RPUSH", "list:KEY", '"f"'),
    )
    return [("MULTI",), *(command for part in parts for command in part(key, batch)), ("EXEC",)]


_EXEC: tuple[Word, ...] = (
    *("MODEL.EXEC", 1, "Doc:KEY"),
    *(4, "MODEL.SET", "Doc:KEY", "$.theme", '"light"'),
    *(4, "MODEL.INCRBY", "Doc:KEY", "$.n", 1),
    *(4, "MODEL.APPEND", "Doc:KEY", "$.tags", '"f"'),
)
_PATH = "MODEL.GET of a path"

CASES = (
    Case("GET", _to("GET", "string:KEY")),
    Case("SET EX", _to("SET", "string:KEY", BODY, "EX", SECONDS)),
    Case("SET EX, creating", _to("SET", "new:KEY:BATCH", BODY, "EX", SECONDS)),
    Case("GETEX EX", _to("GETEX", "string:KEY", "EX", SECONDS)),
    Case("HGET", _to("HGET", "hash:KEY", "n")),
    Case("HINCRBY", _to("HINCRBY", "hash:KEY", "n", 1)),
    Case("RPUSH", _to("RPUSH", "list:KEY", '"f"')),
    Case("MULTI of HSET, HINCRBY, RPUSH", _transaction),
    Case("MODEL.GET_RO", _to("MODEL.GET_RO", "Doc:KEY"), "GET"),
    Case("MODEL.GET, not due", _to("MODEL.GET", "Doc:late:KEY"), "GETEX EX", 0.85),
    Case("MODEL.GET, refreshing", _to("MODEL.GET", "Doc:KEY"), "GETEX EX", 0.85),
    Case(f"{_PATH}, not due", _to("MODEL.GET", "Doc:late:KEY", "$.n"), "HGET", 1.6, "GETEX EX"),
    Case(f"{_PATH}, refreshing", _to("MODEL.GET", "Doc:KEY", "$.n"), "HGET", 1.6, "GETEX EX"),
    Case("MODEL.SET", _to("MODEL.SET", "Doc:KEY", "$", BODY), "SET EX", 1.5),
    Case("MODEL.SET, creating", _to("MODEL.SET", "Doc:new:KEY:BATCH", "$", BODY), "SET EX, creating", 1.5),
    Case("MODEL.SAVE", _to("MODEL.SAVE", "Doc:KEY", BODY), "SET EX", 1.5),
    Case("MODEL.INCRBY, not due", _to("MODEL.INCRBY", "Doc:late:KEY", "$.n", 1), "HINCRBY", 1.6),
    Case("MODEL.INCRBY", _to("MODEL.INCRBY", "Doc:KEY", "$.n", 1), "HINCRBY", 1.6),
    Case("MODEL.APPEND", _to("MODEL.APPEND", "Doc:KEY", "$.tags", '"f"'), "RPUSH", 3.0),
    Case(
        "MODEL.APPEND MAXLEN 5",
        _to("MODEL.APPEND", "Doc:KEY", "$.tags", '"f"', "MAXLEN", 5),
        "RPUSH",
        3.0,
    ),
    Case("MODEL.EXEC of SET, INCRBY, APPEND", _to(*_EXEC), "MULTI of HSET, HINCRBY, RPUSH"),
)


@contextmanager
def counted_server(setting: str) -> Iterator[CountedServer]:
    """A server under callgrind in one of the settings."""
    with ExitStack() as stack:
        # What the disk makes of the file is none of the command's work.
        options = ("--appendonly", "yes", "--appendfsync", "no") if setting == "aof" else ()
        counted = CountedServer(options)
        stack.callback(counted.stop)
        client = stack.enter_context(counted.server.client())
        if setting == "replica":
            replica = Server.start("redis", ("--enable-debug-command", "yes"))
            stack.callback(replica.stop)
            _attach(stack.enter_context(replica.client()), client, counted.server.port)
        _stop_timer(client)
        _send(client, [("MODEL.POLICY", "SET", "Doc:", "TTL", TTL, "REFRESH", "ALL")])
        _send(client, [("SET", f"filler:{number}", "", "PX", TTL) for number in range(FILLER)])
        yield counted


def _attach(replica: redis.Redis, primary: redis.Redis, port: int) -> None:
    replica.replicaof("127.0.0.1", port)
    while replica.info("replication")["master_link_status"] != "up":
        time.sleep(0.05)
    while primary.info("replication")["slave0"]["state"] != "online":
        time.sleep(0.05)
    # Nor does the replica tell by itself how far it is.
    _stop_timer(replica)


def _stop_timer(client: redis.Redis) -> None:
    _send(client, [("DEBUG", "PAUSE-CRON", 1)])


def measure(counted: CountedServer, case: Case) -> Profile:
    """The counts of CALLS calls of a command, as one client sends them: KEYS at once."""
    with counted.server.client() as client:
        _prepare(client)
        connection = client.connection_pool.get_connection()

        def send(batch: int) -> None:
            commands = [command for key in range(KEYS) for command in case.words(key, batch)]
            # In one piece, which the server reads at once.
            connection.send_packed_command([b"".join(connection.pack_commands(commands))])
            for _ in commands:
                connection.read_response()
            # The next batch comes in a later millisecond, with deadlines to move.
            time.sleep(0.002)

        def send_all() -> None:
            for batch in range(1, BATCHES + 1):
                send(batch)

        try:
            send(0)
            return counted.count(send_all)
        finally:
            client.connection_pool.release(connection)


def _prepare(client: redis.Redis) -> None:
    commands: list[tuple[Word, ...]] = []
    for key in range(KEYS):
        commands += [
            ("DEL", f"list:{key}"),
            ("SET", f"string:{key}", BODY, "PX", TTL),
            ("HSET", f"hash:{key}", "user_id", "u-184467", "n", 42, "theme", "dark", "visits", 7),
            ("RPUSH", f"list:{key}", '"a"', '"b"', '"c"', '"d"', '"e"'),
            ("MODEL.CREATE", f"Doc:{key}", BODY),
            # Its deadline is later than a refresh would put it, as within the millisecond of another refresh.
            ("MODEL.CREATE", f"Doc:late:{key}", BODY),
            ("PEXPIRE", f"Doc:late:{key}", 2 * TTL),
        ]
    _send(client, commands)


def _send(client: redis.Redis, commands: Call) -> None:
    pipeline = client.pipeline(transaction=False)
    for command in commands:
        # redis-py leaves its generic call untyped.
        pipeline.execute_command(*command)  # type: ignore[no-untyped-call]
    pipeline.execute()


def count(settings: Sequence[str] = SETTINGS, cases: Sequence[Case] = CASES) -> Counts:
    """The counts of each command in each setting."""
    counts: Counts = {}
    for setting in settings:
        with counted_server(setting) as counted:
            counts[setting] = {case.name: _count(measure(counted, case)) for case in cases}
    return counts


def _count(profile: Profile) -> Count:
    return Count(
        round(profile.instructions / CALLS),
        round(profile.allocations / CALLS, 2),
        round(profile.by_module / CALLS, 2),
    )


HEADINGS = (
    *("command", "instructions", "ratio", "goal", "allocations", "by the module", "above"),
    *("more with an AOF", "ratio", "more with a replica", "ratio", ""),
)
HOW = f"""\
Counted by callgrind over {CALLS:,} calls of one client, {KEYS} at once and each to a key of its own, with a
document of {len(BODY)} bytes and a policy that refreshes on everything: every call moves a deadline, except
where it says "not due". An allocation is a call of malloc, calloc or realloc; "above" are those that the
server's own command does not make. The last columns are the instructions that a call takes more where
the server also writes an append-only file, or also feeds a replica; reads of a path are compared with GETEX
there. Met is what keeps to its goal, makes at most {ALLOCATIONS_GOAL} allocations more and takes at most
{MARGINAL_GOAL} times what the server's own command takes more there."""


def rows(counts: Counts) -> Iterator[tuple[str, ...]]:
    """The table's rows: ours beside the server's own command that does the like."""
    alone = counts["alone"]
    for case in CASES:
        if case.name not in alone:
            continue
        own = alone[case.name]
        more = [_more(counts, setting, case.name) for setting in SETTINGS[1:]]
        if case.anchor is None:
            first, second = (_instructions(extra) for extra in more)
            yield (
                *(case.name, f"{own.instructions:,}", "", "", f"{own.allocations:.1f}", "", ""),
                *(first, "", second, "", ""),
            )
            continue
        anchor = alone[case.anchor]
        ratio = own.instructions / anchor.instructions
        above = own.allocations - anchor.allocations
        theirs = [_more(counts, setting, case.replicates_like or case.anchor) for setting in SETTINGS[1:]]
        ratios = [_ratio(extra, their) for extra, their in zip(more, theirs, strict=True)]
        verdict = ""
        if case.goal is not None:
            met = ratio <= case.goal and above <= ALLOCATIONS_GOAL
            met = met and all(ratio is None or ratio <= MARGINAL_GOAL for ratio in ratios)
            verdict = "met" if met else "missed"
        yield (
            *(f"{case.name} / {case.anchor}", f"{own.instructions:,}", f"{ratio:.2f}"),
            "" if case.goal is None else f"≤ {case.goal:.2f}",
            *(f"{own.allocations:.1f}", f"{own.by_module:.1f}", f"{above:+.1f}"),
            *(_instructions(more[0]), "" if ratios[0] is None else f"{ratios[0]:.2f}"),
            *(_instructions(more[1]), "" if ratios[1] is None else f"{ratios[1]:.2f}"),
            verdict,
        )


def _more(counts: Counts, setting: str, name: str) -> int | None:
    """How many instructions more a command takes in a setting than alone."""
    there = counts.get(setting)
    return there[name].instructions - counts["alone"][name].instructions if there else None


def _instructions(more: int | None) -> str:
    return "" if more is None else f"{more:,}"


def _ratio(more: int | None, theirs: int | None) -> float | None:
    if more is None or theirs is None or abs(more) < NEGLIGIBLE:
        return None
    return more / max(theirs, NEGLIGIBLE)


def table(counts: Counts) -> Table:
    shown = Table(*HEADINGS, title="Instructions and allocations of one call")
    for row in rows(counts):
        shown.add_row(*row, style="bold red" if row[-1] == "missed" else "")
    return shown


def _show_functions(console: Console, profile: Profile, limit: int = 40) -> None:
    for title, costs in (("by themselves", profile.own), ("with what they call", profile.inclusive)):
        shown = Table("instructions a call", "function", title=f"The functions that cost most, {title}")
        for name, cost in costs.most_common(limit):
            shown.add_row(f"{cost / CALLS:,.0f}", name)
        console.print(shown)


def _check(counts: Counts) -> int:
    baseline = _baseline.read()
    anchors = {case.name: case.anchor for case in CASES if case.anchor is not None}
    grown, notes = _baseline.compare(baseline, _baseline.environment(), counts, anchors)
    print(*notes, sep="\n")
    if not grown:
        return 0
    print(
        *grown,
        f"More than {_baseline.SLACK:.0%} above {_baseline.FILE.name}: cut it or, where it is worth it, "
        "run `make counts RECORD=1` to record a new baseline and say in the commit what it buys.",
        sep="\n",
        file=sys.stderr,
    )
    return 1


def _chosen(names: Sequence[str]) -> list[Case]:
    """The commands whose names begin with one of these, all without any."""
    cases = [case for case in CASES if not names or case.name.startswith(tuple(names))]
    if not cases:
        every = "; ".join(case.name for case in CASES)
        raise ValueError(f"no command is called {', '.join(names)}; there are: {every}")
    return cases


def _with_anchors(cases: Sequence[Case]) -> list[Case]:
    wanted = {name for case in cases for name in (case.name, case.anchor, case.replicates_like)}
    return [case for case in CASES if case.name in wanted]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument(
        "commands", nargs="*", metavar="COMMAND", help="those to count, by their first letters"
    )
    parser.add_argument(
        "--setting", choices=SETTINGS, action="append", help="beside the server alone; all by default"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--functions", action="store_true", help="show which functions cost most")
    action.add_argument("--check", action="store_true", help="fail if counts rose above the baseline")
    action.add_argument("--record", action="store_true", help="write the counts as the new baseline")
    arguments = parser.parse_args()
    if arguments.record and (arguments.commands or arguments.setting):
        parser.error("a baseline holds every command in every setting")
    console = Console()
    try:
        cases = _chosen(arguments.commands)
        if arguments.functions:
            for setting in arguments.setting or ("alone",):
                with counted_server(setting) as counted:
                    for case in cases:
                        console.rule(f"{case.name}, {setting}")
                        _show_functions(console, measure(counted, case))
            return 0
        wanted = [
            setting
            for setting in SETTINGS
            if setting == "alone" or setting in (arguments.setting or SETTINGS)
        ]
        with console.status("counting"):
            counts = count(wanted, _with_anchors(cases))
    except (ValgrindMissing, ServerMissing, ValueError) as error:
        print(f"benchmarks.instructions: {error}", file=sys.stderr)
        return 2
    if arguments.json:
        print(
            json.dumps(
                {setting: {name: asdict(one) for name, one in of.items()} for setting, of in counts.items()}
            )
        )
    else:
        console.print(table(counts))
    if arguments.record:
        _baseline.write(counts)
    return _check(counts) if arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
