"""What the comparison of counts with the recorded ones says."""

from __future__ import annotations

from benchmarks._baseline import Baseline, Count, compare

HERE = {"server": "7.0.15", "rustc": "1.95.0"}
ANCHORS = {"MODEL.SET": "SET EX"}


def counts(ours: Count, anchor: Count) -> dict[str, dict[str, Count]]:
    return {"alone": {"MODEL.SET": ours, "SET EX": anchor}}


BEFORE = Baseline(HERE, counts(Count(10_000, 12.0, 1.0), Count(8_000, 10.0, 0.0)))


def test_what_stays_within_the_slack_passes_without_a_word() -> None:
    now = counts(Count(10_299, 12.4, 1.0), Count(8_000, 10.0, 0.0))
    assert compare(BEFORE, HERE, now, ANCHORS) == ([], [])


def test_instructions_beyond_the_slack_are_named_with_both_counts() -> None:
    now = counts(Count(10_400, 12.0, 1.0), Count(8_000, 10.0, 0.0))
    grown, _ = compare(BEFORE, HERE, now, ANCHORS)
    assert grown == ["MODEL.SET (alone): 10,400 instructions instead of 10,000, +4.0%"]


def test_one_allocation_more_in_every_call_is_named() -> None:
    now = counts(Count(10_000, 13.0, 2.0), Count(8_000, 10.0, 0.0))
    grown, _ = compare(BEFORE, HERE, now, ANCHORS)
    assert grown == ["MODEL.SET (alone): 13.00 allocations instead of 12.00"]


def test_the_servers_own_commands_may_change() -> None:
    now = counts(Count(10_000, 12.0, 1.0), Count(16_000, 20.0, 0.0))
    assert compare(BEFORE, HERE, now, ANCHORS)[0] == []


def test_what_has_become_less_is_told_and_passes() -> None:
    now = counts(Count(9_000, 12.0, 1.0), Count(8_000, 10.0, 0.0))
    assert compare(BEFORE, HERE, now, ANCHORS) == (
        [],
        ["MODEL.SET (alone): 9,000 instructions instead of 10,000, -10.0%"],
    )


def test_on_another_server_the_ratio_to_its_own_command_is_what_may_not_rise() -> None:
    there = HERE | {"server": "8.0.2"}
    grown, notes = compare(BEFORE, there, counts(Count(20_000, 14.0, 1.0), Count(16_000, 12.0, 0.0)), ANCHORS)
    assert grown == []
    assert notes == ["Compared by the ratios to the server's own commands: server 8.0.2, not 7.0.15."]
    grown, _ = compare(BEFORE, there, counts(Count(20_000, 13.0, 1.0), Count(8_000, 10.0, 0.0)), ANCHORS)
    assert grown == [
        "MODEL.SET (alone): 13.00 allocations instead of 12.00",
        "MODEL.SET (alone): 20,000 instructions instead of 10,000, +100.0%",
    ]


def test_a_command_that_was_never_recorded_fails() -> None:
    now = counts(Count(1, 0.0, 0.0), Count(1, 0.0, 0.0))
    grown, _ = compare(Baseline(HERE, {}), HERE, now, ANCHORS)
    assert grown == ["MODEL.SET (alone) is not in the baseline"]
