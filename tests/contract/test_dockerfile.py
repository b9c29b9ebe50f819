"""What can be said of the image without building it: who runs in it, and how it is filled."""

from __future__ import annotations

import re

import pytest

from tests.contract.crd_schema import ROOT

TEXT = (ROOT / "operator" / "Dockerfile").read_text(encoding="utf-8")


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments, continued lines joined, comments gone."""
    lines = [line for line in TEXT.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [
        (word, rest)
        for word, _, rest in (line.partition(" ") for line in joined.split("\n"))
        if word
    ]


def last(word: str) -> str:
    return [rest for each, rest in instructions() if each == word][-1]


def commands() -> list[str]:
    return [
        command.strip()
        for word, rest in instructions()
        if word == "RUN"
        for command in rest.split("&&")
    ]


def test_it_runs_as_a_numbered_user_that_is_not_root() -> None:
    # By number: Kubernetes cannot see whether a name is root, and refuses it with runAsNonRoot.
    assert re.fullmatch(r"[1-9][0-9]*:[1-9][0-9]*", last("USER"))


def test_every_install_resolves_nothing_and_what_is_fetched_is_locked_by_hash() -> None:
    installs = [command for command in commands() if " install " in command]
    assert len(installs) == 2
    assert "--no-deps --require-hashes" in installs[0]
    assert "-r /build/image.txt" in installs[0]
    assert "--no-deps --no-index" in installs[1]


def test_it_ends_only_if_the_lock_was_whole() -> None:
    assert "/opt/agentspec-usage/bin/pip check" in commands()


def test_the_lock_has_a_hash_for_each_package() -> None:
    lock = (ROOT / "requirements" / "image.txt").read_text(encoding="utf-8")
    packages = re.findall(r"^[a-z0-9][^\n]*==.*?(?=^[a-z0-9]|\Z)", lock, re.MULTILINE | re.DOTALL)
    assert len(packages) > 10
    assert [package for package in packages if "--hash=sha256:" not in package] == []


def test_only_the_lock_and_the_wheel_come_in() -> None:
    copied = [rest.split()[0] for word, rest in instructions() if word in ("COPY", "ADD")]
    assert copied == [
        "requirements/image.txt",
        "dist/agentspec_usage-*-py3-none-any.whl",
        "--from=build",
    ]


@pytest.mark.parametrize("word", ["TOKEN", "PASSWORD", "SECRET", "KEY"])
def test_no_secret_is_built_in(word: str) -> None:
    told = [rest for each, rest in instructions() if each in ("ENV", "ARG")]
    assert [each for each in told if word in each.upper()] == []


def test_it_starts_the_operator() -> None:
    assert last("ENTRYPOINT") == '["agentspec-usage"]'
    assert last("CMD") == '["operator"]'
