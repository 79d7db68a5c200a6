"""Recorded counts, and what has risen above them."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from _servers import MODULE, Server
from benchmarks import _callgrind

FILE = Path(__file__).with_name("instructions.json")
SLACK = 0.03
"""How much the instructions of a command may rise above the baseline."""
ALLOCATION_SLACK = 0.5
"""The same for allocations, as a number: a buffer may grow once more, not every call allocate more."""


@dataclass(frozen=True)
class Count:
    """What one call takes."""

    instructions: int
    allocations: float
    by_module: float
    """Those of the allocations that the module asked for itself."""


Counts = dict[str, dict[str, Count]]
"""By setting, then by command."""


@dataclass(frozen=True)
class Baseline:
    environment: dict[str, str]
    counts: Counts


def environment() -> dict[str, str]:
    """What counts depend on beside the code."""
    compiler = re.search(rb"rustc version ([^\s)\0]+)", MODULE.read_bytes())
    server = Server.start("redis", module=False)
    try:
        with server.client() as client:
            release = str(client.info("server")["redis_version"])
    finally:
        server.stop()
    return {
        "server": release,
        "rustc": compiler[1].decode() if compiler else "unknown",
        "valgrind": _callgrind.version(),
        "libc": " ".join(platform.libc_ver()),
        # Libraries choose their routines by it.
        "processor": platform.machine() + (" with AVX2" if _has_avx2() else ""),
    }


def _has_avx2() -> bool:
    return re.search(r"^flags.*\bavx2\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE) is not None


def write(counts: Counts) -> None:
    FILE.write_text(json.dumps(asdict(Baseline(environment(), counts)), indent=1) + "\n", encoding="utf-8")


def read() -> Baseline:
    content = json.loads(FILE.read_text(encoding="utf-8"))
    counts = {
        setting: {name: Count(**one) for name, one in of.items()} for setting, of in content["counts"].items()
    }
    return Baseline(content["environment"], counts)


def compare(
    baseline: Baseline, here: Mapping[str, str], counts: Counts, anchors: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """What has risen beyond the slack, and what else there is to say.

    `anchors` names the server's own command for each of ours. In another environment than the baseline's,
    ours may have risen as much as it has.
    """
    others = [
        f"{what} {here[what]}, not {was}" for what, was in baseline.environment.items() if here[what] != was
    ]
    notes = [f"Compared by the ratios to the server's own commands: {'; '.join(others)}."] if others else []
    grown: list[str] = []
    for setting, of in counts.items():
        before = baseline.counts.get(setting, {})
        for name in anchors.keys() & of.keys():
            if name not in before:
                grown.append(f"{name} ({setting}) is not in the baseline")
                continue
            now, allowed, calls = of[name], before[name].instructions, before[name].allocations
            if others:
                anchor, was = of[anchors[name]], before[anchors[name]]
                allowed = round(allowed * anchor.instructions / was.instructions)
                calls += anchor.allocations - was.allocations
            rise = now.instructions / allowed - 1
            line = (
                f"{name} ({setting}): {now.instructions:,} instructions instead of {allowed:,}, {rise:+.1%}"
            )
            if rise > SLACK:
                grown.append(line)
            elif rise < -SLACK:
                notes.append(line)
            if now.allocations > calls + ALLOCATION_SLACK:
                grown.append(f"{name} ({setting}): {now.allocations:.2f} allocations instead of {calls:.2f}")
    return sorted(grown), notes
