from __future__ import annotations

from pathlib import Path

import pytest

from rapyer import _cli


def test_the_path_is_all_that_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = tmp_path / "librapyer.so"
    module.touch()
    monkeypatch.setattr(_cli, "MODULE", module)

    assert _cli.main(["module-path"]) == 0
    assert capsys.readouterr() == (f"{module}\n", "")


def test_without_a_module_it_says_where_to_get_one_and_prints_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_cli, "MODULE", tmp_path / "librapyer.so")

    assert _cli.main(["module-path"]) == 1
    printed, said = capsys.readouterr()
    assert printed == ""
    assert str(tmp_path) in said
    assert "make module" in said


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["module-path", "extra"]])
def test_what_it_does_not_know_is_a_usage_error(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        _cli.main(arguments)

    assert stopped.value.code == 2
    assert "usage: rapyer" in capsys.readouterr().err
