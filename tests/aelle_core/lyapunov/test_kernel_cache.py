"""Where the compiled kernel is kept, and how prepared code reaches those who cannot write the package."""

from pathlib import Path

import pytest

numba = pytest.importorskip("numba")

from aelle_core.lyapunov.kernels.householder import kept  # noqa: E402


def test_the_users_cache_is_numbas_within_alone_and_a_given_directory_goes_first(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AELLE_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    with kept.in_users_cache():
        assert Path(numba.config.CACHE_DIR).parent == tmp_path / "kernels"
    assert numba.config.CACHE_DIR == ""
    monkeypatch.setattr(numba.config, "CACHE_DIR", "/elsewhere")
    with kept.in_users_cache():
        assert numba.config.CACHE_DIR == "/elsewhere"


def test_prepared_code_is_taken_where_nothing_has_been_compiled_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package, first, second = (tmp_path / name for name in ("package", "first", "second"))
    monkeypatch.setattr(kept, "_prepared", lambda: package)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    kept.take_prepared(first)
    assert not list(first.glob("*"))
    for name in ("algorithm.advance-1.py311.nbi", "algorithm.advance-1.py311.1.nbc", "other.nbi"):
        first.mkdir(exist_ok=True)
        (first / name).write_text(name)
    assert kept.prepare_for_all(first)
    package.chmod(0o555)  # as another user sees it
    kept.take_prepared(second)
    assert sorted(path.name for path in second.iterdir()) == [
        "algorithm.advance-1.py311.1.nbc",
        "algorithm.advance-1.py311.nbi",
    ]
    (second / "algorithm.advance-1.py311.nbi").write_text("newer")
    kept.take_prepared(second)
    assert (second / "algorithm.advance-1.py311.nbi").read_text() == "newer"


def test_a_place_that_cannot_be_written_is_said_and_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_prepared", lambda: Path("/proc/nowhere"))
    assert not kept.prepare_for_all(tmp_path)
    monkeypatch.setattr(numba.config, "CACHE_DIR", "")
    kept.take_prepared("/proc/elsewhere")
