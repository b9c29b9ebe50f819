"""Where things live follows from the environment that is handed in, by the XDG rules."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.devcluster import DevclusterError, Places


def test_without_settings_everything_is_below_home() -> None:
    places = Places.from_environment({"HOME": "/home/ada", "PATH": "/bin"})
    assert places == Places(
        assets=None,
        cache=Path("/home/ada/.cache/agentspec-usage/devcluster"),
        clusters=Path("/home/ada/.local/state/agentspec-usage/devcluster"),
        search_path="/bin",
    )


def test_the_xdg_directories_win_over_home() -> None:
    environ = {"HOME": "/home/ada", "XDG_CACHE_HOME": "/c", "XDG_STATE_HOME": "/s"}
    places = Places.from_environment(environ)
    assert places.cache == Path("/c/agentspec-usage/devcluster")
    assert places.clusters == Path("/s/agentspec-usage/devcluster")


def test_a_relative_xdg_directory_is_ignored() -> None:
    places = Places.from_environment({"HOME": "/home/ada", "XDG_CACHE_HOME": "cache"})
    assert places.cache == Path("/home/ada/.cache/agentspec-usage/devcluster")


def test_ready_binaries_are_where_kubebuilder_has_them() -> None:
    places = Places.from_environment({"HOME": "/h", "KUBEBUILDER_ASSETS": "/opt/envtest"})
    assert places.assets == Path("/opt/envtest")


def test_without_any_home_the_error_names_what_to_set() -> None:
    with pytest.raises(DevclusterError, match="neither XDG_CACHE_HOME nor HOME"):
        Places.from_environment({})
