"""The price book that a program is told to use."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentspec_usage.errors import SettingsError
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricebook.opening import open_price_book


def test_no_file_is_the_bundled_catalogue() -> None:
    assert open_price_book("") is bundled_catalogue()


def test_a_file_comes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text("currency: USD\nentries: []\n")
    assert open_price_book(str(path)).version.endswith(bundled_catalogue().version)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        pytest.param(None, "No such file", id="no file"),
        pytest.param(b"\xff\xfe", "UTF-8", id="no text"),
        pytest.param(b"currency: USD\nentires: []\n", "line ", id="a mistake"),
        pytest.param(b"#" * (1024 * 1024 + 1), "at most", id="too large"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_setting_that_cannot(
    tmp_path: Path, content: bytes | None, expected: str
) -> None:
    path = tmp_path / "prices.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=expected) as caught:
        open_price_book(str(path))
    assert str(path) in str(caught.value)
