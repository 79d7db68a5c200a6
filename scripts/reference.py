"""Writes docs/commands.md from the tables of commands and errors; `--check` says whether it is up to date."""

from __future__ import annotations

import sys
from pathlib import Path

from rapyer import _native
from rapyer.errors import command_error

PAGE = Path(__file__).resolve().parent.parent / "docs" / "commands.md"
HEAD = """\
# Commands

Written by `make docs` from the engine's command table; a test keeps it up to date.

Values are JSON text, member names included. A path is a singular query of RFC 9535: `$`, `$.a.b`, `$.a[0]`,
`$.a[-1]`, `$["any key"]`. Options come last. Moments and spans of time are integer milliseconds.

A path may also name an element of an array by the value of one of its members, `$.items[?@.sku=="a1"]`: the
filter of RFC 9535 by `==` with a string, a number, true, false or null, which a member is equal to whose
canonical text is the same (`1` is not `1.0`). It selects one element: none is a path that leads nowhere,
several are an `AMBIGUOUS` error. Finding it costs a look at every element. Whether it is there tells what the
document holds, so that a user who may only write the key is refused with `NOPERM`.

A command refreshes a document's deadline when the policy of the key's prefix holds one of the command's
groups; `NOREFRESH` says not to this time, and a twin whose name ends in `_RO` never does. `EXPECT-POLICY`
creates nothing where no policy covers the key. [Lifetime](lifetime.md) says what a refresh does.

A version is `<created>-<counter>`: when the document was created, and a number that every write counts up, so
that a document created anew under the same key is at another one. `WITHVERSION` makes the reply an array of
two, the usual one and the version afterwards, nil where there is no document; it takes the permission to read
the key, since it shows whether a write changed anything. `IFVERSION` takes a version, or the counter of one,
and refuses to work on a document that is at another: `MODEL.EXPECT key $ IFVERSION version` in a batch guards
what other commands do, such as `MODEL.DEL`.

`DEFAULT path json` is for members that a document may lack, such as one of an older release: where the
path leads nowhere and its parent is an object, the member is set to this value first, as a part of the same
command. A path with no parent is left alone; several are taken in their order. A command that fails, or
finds nothing to do, leaves them out.

`STRICT` makes an error of what is a nil or a zero without it, so that a batch that holds the command is
refused: `NOKEY` of readers where there is no document, `STALE` of writers whose condition is not met.

`REQUIRE relation bound` holds the value at the path to a bound once the command has changed it, else
`CONSTRAINT`: numbers to `GE`, `GT`, `LE`, `LT` a number or to a `MULTIPLE` of one (exactly for integers, to a
part in 10⁹ for others, as pydantic does), arrays, objects and strings to `MINLEN` and `MAXLEN`: items,
characters, or with `BASE64` bytes. What changes nothing is not refused. It costs no more than the command.
`MODEL.EXPECT` holds what is there, so that a batch can hold what any of its operations made.

`AS` says by what elements are the same. Without it they are by their values: numbers as numbers, strings by
their characters. `AS NUMBER` takes strings that are the text of a decimal for that number, exactly, so that
`1.5`, `"1.5"` and `"1.50"` are one; `AS TIME` takes strings that are an ISO 8601 date-time for that instant
in whatever zone it is written, those without a zone among themselves. What is neither goes by its value. A
large array is indexed for one of these at a time: whoever alternates waits for the index anew.

## Errors

An error reply starts with a word that stays, and the text behind it names the input and what helps. After
an error nothing has changed and nothing was refreshed. In a batch the text also names the operation.

"""


def page() -> str:
    """The whole reference."""
    table = _native.commands()
    twins = {entry["name"] for entry in table if entry["twin"]}
    return "\n".join([HEAD + errors(), *(section(entry, twins) for entry in table if not entry["twin"])])


def errors() -> str:
    """The table of the prefixes of error replies, with the package's exception for each."""
    lines = ["| prefix | cause | what helps | exception |", "|---|---|---|---|"]
    for word, cause, remedy in _native.errors():
        exception = type(command_error(f"{word} text", "command")).__name__
        lines.append(f"| `{word}` | {cause} | {remedy} | `{exception}` |")
    return "\n".join([*lines, ""])


def section(entry: _native.Command, twins: set[str]) -> str:
    title = " ".join(filter(None, (entry["name"], entry["subcommand"])))
    facts = [f"- Replies: {entry['reply']}"]
    if groups(entry):
        facts.append(f"- Groups: {groups(entry)}")
    twin = f"{entry['name']}_RO"
    if twin in twins:
        facts.append(f"- Twin: `{twin}`")
    lines = [f"## {title}", "", f"    {entry['synopsis']}", "", entry["summary"], "", *facts, ""]
    return "\n".join(lines)


def groups(entry: _native.Command) -> str:
    usual = " ".join(entry["groups"])
    if entry["special"] is None:
        return usual
    case, special = entry["special"]
    return f"{usual}; {' '.join(special)} {case}"


def main() -> int:
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page(), encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == page():
        return 0
    print(f"{PAGE.name} is not what the command table says: run `make docs`", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
