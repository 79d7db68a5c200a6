"""Runs every benchmark and prints the ratios; with --record, writes them to benchmarks/RESULTS.md."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks import instructions, longest, package, server
from benchmarks._baseline import Counts
from benchmarks._callgrind import ValgrindMissing
from benchmarks._ratio import HEADINGS, ROUNDS, Result

RECORD = Path(__file__).with_name("RESULTS.md")
HOW = f"""\
Each ratio is the median over {ROUNDS} rounds that measure ours and the anchor in turns on one machine with
two shared cores, so only ratios say something. Server figures: `redis-benchmark -P 32 -c 20`, server and
client on a core each, no persistence. Memory: the difference of `used_memory`. Package figures: one
process, redis-py with hiredis as the anchor; the server on the same core, because waking up another one
takes a virtual machine longer than a command and would hide what either client does."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--record", action="store_true", help=f"also write {RECORD.name}")
    arguments = parser.parse_args()
    console = Console()
    table = Table(*HEADINGS, title="Ratios")
    results: list[Result] = []
    for section in (
        server.reads,
        server.memory,
        package.loads,
        package.accesses,
        package.reads,
        package.growth,
    ):
        for result in section():
            console.print(f"{result.claim}: {result.ratio:.2f}")
            results.append(result)
            table.add_row(*result.cells, style="" if result.met else "bold red")
    console.print(table)
    longest.run(console)
    counts: Counts | None = None
    try:
        with console.status("counting instructions"):
            counts = instructions.count()
    except ValgrindMissing as missing:
        console.print(f"Without counts: {missing}")
    else:
        console.print(instructions.table(counts))
    if arguments.record:
        RECORD.write_text(markdown(results, counts), encoding="utf-8")


def markdown(results: list[Result], counts: Counts | None) -> str:
    parts = [
        "# One run of the benchmarks",
        _table(HEADINGS, (tuple(result.cells) for result in results)),
        HOW,
    ]
    if counts is not None:
        parts += ["## Instructions and allocations of one call"]
        parts += [_table(instructions.HEADINGS, instructions.rows(counts)), instructions.HOW]
    return "\n\n".join(parts) + "\n"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (headings, ("---",) * len(headings), *rows)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
