"""The price book that a program was told to use: the bundled catalogue, or a file before it."""

from __future__ import annotations

from pathlib import Path

from agentspec_usage.errors import SettingsError
from agentspec_usage.pricebook.catalogue import bundled_catalogue
from agentspec_usage.pricebook.document import MAX_BYTES
from agentspec_usage.pricebook.errors import PriceBookError
from agentspec_usage.pricebook.price_file import read_price_book
from agentspec_usage.pricing.book import PriceBook

__all__ = ["open_price_book"]


def open_price_book(path: str) -> PriceBook:
    """The book in the file at ``path``; "" is the catalogue alone.

    Raises ``SettingsError``: a program whose prices cannot be read must not start with other ones.
    """
    if not path:
        return bundled_catalogue()
    try:
        with Path(path).open("rb") as file:
            text = file.read(MAX_BYTES + 1).decode()
    except OSError as error:
        raise SettingsError(f"price book {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"price book {path}: expected UTF-8") from error
    try:
        return read_price_book(text, bundled_catalogue())
    except PriceBookError as error:
        raise SettingsError(f"{path}: {error}") from error
