"""The package's builders of commands: what they build is what the table declares, and every host takes it."""

from __future__ import annotations

import builtins
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from _calls import TABLE, call
from _calls import keys_of as number_of_keys
from _hosts import Host
from _servers import ROOT
from rapyer import _commands as commands
from rapyer._words import Command

SCRIPT = ROOT / "scripts" / "builders.py"
MODULE = ROOT / "python" / "rapyer" / "_commands.py"
DOCUMENT = '{"n":1,"list":[1,2],"map":{"a":1},"queue":[[1,"a"]],"text":"a"}'

# The words are those of the command line, with spaces between.
BUILT: list[tuple[Callable[[], Command], str]] = [
    (lambda: commands.create("k", '{"n":1}'), 'MODEL.CREATE k {"n":1}'),
    (lambda: commands.create("k", "{}", nx=True, norefresh=True), "MODEL.CREATE k {} NX NOREFRESH"),
    (lambda: commands.save("k", DOCUMENT, only=()), f"MODEL.SAVE k {DOCUMENT} ONLY 0"),
    (
        lambda: commands.save("k", DOCUMENT, xx=True, only=('"list"', '"queue"')),
        f'MODEL.SAVE k {DOCUMENT} XX ONLY 2 "list" "queue"',
    ),
    (lambda: commands.set_("k", "$.n", 1), "MODEL.SET k $.n 1"),
    (lambda: commands.set_("k", "$.n", 1, condition="NX"), "MODEL.SET k $.n 1 NX"),
    (
        lambda: commands.edit("k", ("SET", "$.m", 1), ("UNSET", "$.m"), ("ADD", "$.list", 2, 8, 9)),
        "MODEL.EDIT k SET $.m 1 UNSET $.m ADD $.list 2 8 9",
    ),
    (
        lambda: commands.edit("k", ("ADD", "$.list", 1, 8, "AS", "NUMBER"), ("UNSET", "$.m")),
        "MODEL.EDIT k ADD $.list 1 8 AS NUMBER UNSET $.m",
    ),
    (
        lambda: commands.incrby(
            "k", "$.n", 1, require=[("GE", 0), ("MULTIPLE", 1)], default=[("$.m", 0)], else_=DOCUMENT
        ),
        f"MODEL.INCRBY k $.n 1 REQUIRE GE 0 REQUIRE MULTIPLE 1 DEFAULT $.m 0 ELSE {DOCUMENT}",
    ),
    (lambda: commands.add("k", "$.list", 8, as_="NUMBER"), "MODEL.ADD k $.list 8 AS NUMBER"),
    (lambda: commands.len_("k", "$.list", strict=True), "MODEL.LEN k $.list STRICT"),
    (lambda: commands.edit("k", norefresh=True), "MODEL.EDIT k NOREFRESH"),
    (lambda: commands.get("k"), "MODEL.GET k"),
    (lambda: commands.get("k", "$.n", b"$.list", norefresh=True), "MODEL.GET k $.n $.list NOREFRESH"),
    (lambda: commands.get_ro("k", "$.n"), "MODEL.GET_RO k $.n"),
    (lambda: commands.mget("k", "other"), "MODEL.MGET k other"),
    (lambda: commands.copy("k", "other", replace=True), "MODEL.COPY k other REPLACE"),
    (
        lambda: commands.update("k", ("$.n", 2), ("$.m", 3), where=[("$.n", "LT", 9), ("$.n", "GT", 0)]),
        "MODEL.UPDATE k $.n 2 $.m 3 WHERE $.n LT 9 WHERE $.n GT 0",
    ),
    (
        lambda: commands.append("k", "$.list", 3, 4, maxlen=3, unique=True),
        "MODEL.APPEND k $.list 3 4 MAXLEN 3 UNIQUE",
    ),
    (lambda: commands.append("k", "$.list", b"5", maxlen=0), "MODEL.APPEND k $.list 5 MAXLEN 0"),
    (lambda: commands.insert("k", "$.list", 0, 6, 7), "MODEL.INSERT k $.list 0 6 7"),
    (lambda: commands.pop("k", "$.list", 0), "MODEL.POP k $.list 0"),
    (lambda: commands.pop("k", "$.list"), "MODEL.POP k $.list"),
    (lambda: commands.remove("k", "$.list", 1, count=2), "MODEL.REMOVE k $.list 1 COUNT 2"),
    (lambda: commands.incrby("k", "$.n", 1, min_=0, max_=99), "MODEL.INCRBY k $.n 1 MIN 0 MAX 99"),
    (lambda: commands.calc("k", "$.n", "MUL", 2), "MODEL.CALC k $.n MUL 2"),
    (
        lambda: commands.incrby("k", "$.x", 1, default=[("$.x", 4), ("$.y", 5)], else_="{}"),
        "MODEL.INCRBY k $.x 1 DEFAULT $.x 4 DEFAULT $.y 5 ELSE {}",
    ),
    (lambda: commands.len_("k", "$.list"), "MODEL.LEN k $.list"),
    (
        lambda: commands.setop(["k", "k"], ["$.list", "$.list"], "DIFF"),
        "MODEL.SETOP 2 k k $.list $.list DIFF",
    ),
    (lambda: commands.push("k", "$.queue", (2, '"b"'), (3, '"c"')), 'MODEL.PUSH k $.queue 2 "b" 3 "c"'),
    (lambda: commands.popmin("k", "$.queue", 2), "MODEL.POPMIN k $.queue 2"),
    (lambda: commands.lock("Lock:1", "me", px=90_000), "MODEL.LOCK Lock:1 me PX 90000"),
    (
        lambda: commands.exec_([commands.incrby("k", "$.n", 1), commands.mget("other", "k")]),
        "MODEL.EXEC 2 k other 4 MODEL.INCRBY k $.n 1 3 MODEL.MGET other k",
    ),
    (lambda: commands.ttl_set("k", ("PX", 90_000), once=True), "MODEL.TTL SET k PX 90000 ONCE"),
    (lambda: commands.ttl_get("k"), "MODEL.TTL GET k"),
    (
        lambda: commands.policy_set(
            "p:", ttl=9, refresh="READ", absolute=90, read_touch_pct=5, condition="NX"
        ),
        "MODEL.POLICY SET p: TTL 9 REFRESH READ ABSOLUTE 90 READ-TOUCH-PCT 5 NX",
    ),
    (lambda: commands.policy_set("p:", ttl="NONE"), "MODEL.POLICY SET p: TTL NONE"),
    (lambda: commands.policy_list(), "MODEL.POLICY LIST"),
    (lambda: commands.del_("k", "other"), "MODEL.DEL k other"),
]


def text(word: bytes | str | int) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)


@pytest.mark.parametrize(("build", "line"), BUILT, ids=[line for _, line in BUILT])
def test_a_builder_writes_the_words_of_the_command_line(build: Callable[[], Command], line: str) -> None:
    assert list(map(text, build())) == line.split()


async def test_every_host_takes_what_builders_build(host: Host) -> None:
    await host.call(*commands.create("k", DOCUMENT))
    for build, _ in BUILT:
        await host.call(*build())


async def test_options_that_refuse_are_built_as_hosts_read_them(host: Host) -> None:
    assert (await host.refused(*commands.create("k", "{}", expect_policy=True))).startswith("NOPOLICY")
    await host.call(*commands.create("k", DOCUMENT))
    stale = commands.set_("k", "$.n", 2, ifversion="7")
    assert (await host.refused(*stale)).startswith("STALE")


async def test_a_command_that_was_built_may_ask_for_the_version(host: Host) -> None:
    await host.call(*commands.create("k", DOCUMENT))
    for words in (commands.append("k", "$.list", "7", maxlen=9), commands.get_ro("k", "$.n", "$.map")):
        reply = await host.call(*commands.with_version(words))
        assert isinstance(reply, list)
        assert isinstance(reply[1], bytes)
        assert reply[1].partition(b"-")[2] == b"2"


def test_every_name_of_the_table_has_a_builder_and_nothing_else_has() -> None:
    def shown(name: str) -> str:
        return name.removeprefix("MODEL.").lower().replace(" ", "_")

    built = set(commands.__all__)
    assert {name.rstrip("_") for name in built} == {*map(shown, TABLE), "keys_of", "with_version"}
    assert built & set(dir(builtins)) == set()


@pytest.mark.parametrize("name", TABLE)
def test_the_keys_of_a_command_are_found_by_its_name(name: str) -> None:
    keys = tuple(f"key{number}" for number in range(number_of_keys(name)))
    words = tuple(call(name, keys))
    assert commands.keys_of(words) == keys
    assert commands.keys_of(tuple(word.encode() for word in words)) == tuple(key.encode() for key in keys)


def test_a_command_that_is_not_of_the_table_has_no_keys_to_find() -> None:
    with pytest.raises(KeyError):
        commands.keys_of(("GET", "key"))


# -- the generator


def run(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, script, *arguments], stderr=subprocess.PIPE, text=True, check=False
    )


def test_the_builders_are_those_of_the_command_table() -> None:
    outcome = run(SCRIPT, "--check")
    assert outcome.returncode == 0, outcome.stderr


def test_builders_of_another_table_are_told_and_written_anew(tmp_path: Path) -> None:
    package = tmp_path / "python" / "rapyer"
    package.mkdir(parents=True)
    (tmp_path / "scripts").mkdir()
    script = Path(shutil.copy(SCRIPT, tmp_path / "scripts"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (library,) = MODULE.parent.glob("_native*.so")
    (package / library.name).symlink_to(library)
    stale = package / MODULE.name
    stale.write_text(MODULE.read_text(encoding="utf-8").replace("MAXLEN", "MOST"), encoding="utf-8")
    outcome = run(script, "--check")
    assert outcome.returncode == 1
    assert "run `make builders`" in outcome.stderr
    assert run(script).returncode == 0
    assert stale.read_text(encoding="utf-8") == MODULE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("builders", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def argument(name: str, kind: str = "integer", *parts: Any, **more: bool) -> dict[str, object]:
    token = name if kind == "token" else None
    return {
        "name": name,
        "kind": kind,
        "token": token,
        "parts": list(parts),
        "optional": False,
        "multiple": False,
        **more,
    }


FORMS = [
    (
        argument("as", "block", argument("AS", "token"), argument("of", "one-of", argument("A", "token"))),
        "as_: Literal['A'] | None = None",
        ["'AS'", "as_"],
    ),
    (
        argument(
            "life", "one-of", argument("NONE", "token"), argument("b", "block", argument("PX", "token"))
        ),
        "life: tuple[Literal['NONE', 'PX']] | None = None",
        ["*life"],
    ),
    (
        argument("with", "block", argument("WITH", "token"), argument("SCORES", "token")),
        "with_: bool = False",
        ["'WITH'", "'SCORES'"],
    ),
    (
        argument("by", "block", argument("BY", "token"), argument("name", "text", multiple=True)),
        "by: Sequence[Text] | None = None",
        ["'BY'", "*by"],
    ),
    # What has no type of its own is given as it is written.
    (
        argument(
            "to", "one-of", argument("x", "block", argument("X", "token"), argument("n", optional=True))
        ),
        "to: Sequence[Word] | None = None",
        ["*to"],
    ),
    (
        argument("at", "block", argument("AT", "token"), argument("a"), argument("b", optional=True)),
        "at: Sequence[Word] | None = None",
        ["'AT'", "*at"],
    ),
    (
        argument(
            "sum", "one-of", argument("x", "block", argument("X", "token"), argument("n", multiple=True))
        ),
        "sum_: tuple[Literal['X'], Unpack[tuple[int, ...]]] | None = None",
        ["*sum_"],
    ),
]


@pytest.mark.parametrize(("declared", "signature", "words"), FORMS, ids=[form[1] for form in FORMS])
def test_every_form_of_an_option_has_a_parameter(
    generator: ModuleType, declared: dict[str, object], signature: str, words: list[str]
) -> None:
    parameter = generator.parameter(declared | {"optional": True}, is_counted=False, is_last=False)
    assert str(parameter) == signature
    assert parameter.is_keyword
    assert parameter.words == words


def test_only_the_builders_name_commands() -> None:
    package = MODULE.parent
    named = [
        str(path.relative_to(package))
        for path in sorted(package.rglob("*.py"))
        if path.name != "_commands.py" and re.search(r"""["']MODEL\.""", path.read_text(encoding="utf-8"))
    ]
    assert named == []
