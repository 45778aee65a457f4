"""Forms cannot name places that the server's owner has not."""

from pathlib import Path

import pytest

from aelle_core.foundation.errors import UserError
from flows.served.settings import ServedSettings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServedSettings:
    """Of a server with a directory of data in which a link leads out of it."""
    (tmp_path / "data" / "mnist").mkdir(parents=True)
    (tmp_path / "data" / "novel.txt").write_text("It is a truth universally acknowledged")
    (tmp_path / "secret").mkdir()
    (tmp_path / "data" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setenv("AELLE_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("AELLE_DATA", str(tmp_path / "data"))
    return ServedSettings()


def test_results_lie_below_the_root(settings: ServedSettings, tmp_path: Path) -> None:
    assert settings.results("digits-2") == str(tmp_path / "runs" / "digits-2")
    assert settings.data_place("novel.txt") == str(tmp_path / "data" / "novel.txt")
    assert settings.data_place("mnist") == str(tmp_path / "data" / "mnist")


def test_results_may_lie_at_an_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AELLE_RUNS", "s3://bucket/runs/")
    assert ServedSettings().results("digits") == "s3://bucket/runs/digits"
    monkeypatch.setenv("AELLE_RUNS", "s3://bucket/runs?region=eu-central-1")
    assert ServedSettings().results("digits") == "s3://bucket/runs/digits?region=eu-central-1"
    with pytest.raises(UserError):
        ServedSettings().results("../other")


@pytest.mark.parametrize(
    "name", ["..", ".", "", "../secret", "/etc", "a/b", "a b", "~", "$HOME", "a\n", "-a", "a" * 65]
)
def test_results_that_are_no_name_are_refused(settings: ServedSettings, name: str) -> None:
    with pytest.raises(UserError, match="expected up to 64 letters, digits, - and _"):
        settings.results(name)


def test_links_out_of_the_roots_are_refused(settings: ServedSettings) -> None:
    with pytest.raises(UserError, match="'link' leads elsewhere"):
        settings.results("link")
    with pytest.raises(UserError, match="'link' leads elsewhere"):
        settings.data_place("link")
    with pytest.raises(UserError, match="leads elsewhere"):
        settings.data_place("link/deeper")


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret", "mnist/../../secret", "..", "~root/x", ".", "nothing", "\0"]
)
def test_data_elsewhere_are_refused(settings: ServedSettings, name: str) -> None:
    with pytest.raises(UserError, match="expected"):
        settings.data_place(name)


def test_without_a_directory_of_data_none_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AELLE_DATA", raising=False)
    with pytest.raises(UserError, match="no directory of data"):
        ServedSettings().data_place("novel.txt")
