"""The fixtures of federation tests: an empty federation to fill, and what commands say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cimfed import console
from cimfed.errors import CimfedError
from cimfed_node import cli
from tests.federation.world import City, World


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def said(
    city: City,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Callable[..., str]:
    """What a command prints and logs, called in this process; its exit code must be the expected one."""
    monkeypatch.setenv("CIMFED_NODE_HOME", str(city.home.path))
    monkeypatch.setattr(console.out, "_width", 200)
    caplog.set_level("INFO")

    def said(*argv: str, expect: int = 0) -> str:
        caplog.clear()
        code, error = 0, ""
        try:
            cli.app(list(argv), standalone_mode=False)
        except CimfedError as refused:
            code, error = refused.exit_code, str(refused)
        printed = "".join(capsys.readouterr())
        assert code == expect, printed + error
        return printed if "--json" in argv else printed + error + caplog.text

    return said
