"""The command line, `rapyer`. The standard library's parser: one command is no reason for a dependency."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

MODULE = Path(__file__).resolve().with_name("_module") / "librapyer.so"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="rapyer", description="Rapyer Native on the command line.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser(
        "module-path",
        help='where the server module is: redis-server --loadmodule "$(rapyer module-path)"',
    ).set_defaults(run=module_path)
    run: Callable[[], int] = parser.parse_args(arguments).run
    return run()


def module_path() -> int:
    if MODULE.is_file():
        sys.stdout.write(f"{MODULE}\n")
        return 0
    sys.stderr.write(
        f"rapyer: this installation has no server module ({MODULE} is missing). Wheels carry it: "
        "`pip install rapyer-native`, or `pip install .` in a checkout. An editable installation does not: "
        "run `make module` there and load target/release/librapyer.so.\n"
    )
    return 1
