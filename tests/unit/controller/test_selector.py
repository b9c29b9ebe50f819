"""Label selectors select what Kubernetes says, in their object form and as text."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentspec_usage.controller.selector import Operator, Requirement, Selector
from agentspec_usage.errors import UsageError

WEB = {"app": "web", "tier": "front"}


@pytest.mark.parametrize(
    ("text", "labels", "matches"),
    [
        pytest.param("", {}, True, id="empty-matches-all"),
        pytest.param("app=web", WEB, True, id="equal"),
        pytest.param("app==web", WEB, True, id="equal-twice"),
        pytest.param("app=web", {}, False, id="equal-wants-the-key"),
        pytest.param("app!=web", WEB, False, id="unequal"),
        pytest.param("app!=web", {}, True, id="unequal-is-content-without-the-key"),
        pytest.param("app in (web, api)", WEB, True, id="in"),
        pytest.param("app in (api)", WEB, False, id="not-in-the-set"),
        pytest.param("app notin (api,db)", WEB, True, id="notin"),
        pytest.param("app notin (api)", {}, True, id="notin-is-content-without-the-key"),
        pytest.param("tier", WEB, True, id="exists"),
        pytest.param("tier", {}, False, id="does-not-exist"),
        pytest.param("!canary", WEB, True, id="not-exists"),
        pytest.param("!tier", WEB, False, id="not-exists-but-it-does"),
        pytest.param("app=", {"app": ""}, True, id="empty-value"),
        pytest.param("app=web,tier in (front,back),!canary", WEB, True, id="all-of-several"),
        pytest.param("app=web,tier=back", WEB, False, id="one-of-several-fails"),
        pytest.param("agentspec.io/agent=x", {"agentspec.io/agent": "x"}, True, id="prefixed"),
    ],
)
def test_a_text_matches_labels_as_kubectl_does(
    text: str, labels: dict[str, str], matches: bool
) -> None:
    assert Selector.parse(text).matches(labels) is matches


def test_the_object_form_and_the_text_form_are_the_same_value() -> None:
    spec = {
        "matchLabels": {"app": "web"},
        "matchExpressions": [
            {"key": "tier", "operator": "In", "values": ["front", "back"]},
            {"key": "canary", "operator": "DoesNotExist"},
            {"key": "zone", "operator": "NotIn", "values": ["a"]},
            {"key": "team", "operator": "Exists"},
        ],
    }

    selector = Selector.from_spec(spec)

    assert str(selector) == "app=web,!canary,team,tier in (back,front),zone!=a"
    assert Selector.parse(str(selector)) == selector


def test_the_order_of_requirements_and_repetition_do_not_matter() -> None:
    assert Selector.parse("b=2,a=1,b=2") == Selector.of({"a": "1", "b": "2"})


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"matchLabels": {"a b": "x"}}, id="bad-key"),
        pytest.param({"matchLabels": {"a": "x y"}}, id="bad-value"),
        pytest.param({"matchLabels": {"a": 1}}, id="number"),
        pytest.param({"matchLabels": ["a"]}, id="labels-not-an-object"),
        pytest.param({"matchExpressions": {"key": "a"}}, id="expressions-not-a-list"),
        pytest.param({"matchExpressions": ["a"]}, id="expression-not-an-object"),
        pytest.param({"matchExpressions": [{"operator": "Exists"}]}, id="no-key"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "Gt"}]}, id="operator"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": []}]}, id="operator-a-list"),
        pytest.param({"matchExpressions": [{"key": "a", "operator": "In"}]}, id="no-values"),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "Exists", "values": ["x"]}]},
            id="values-too-many",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "In", "values": "x"}]},
            id="values-a-text",
        ),
        pytest.param(
            {"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]},
            id="values-numbers",
        ),
    ],
)
def test_what_kubernetes_refuses_is_refused(spec: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="selector: "):
        Selector.from_spec(spec)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a=b,", id="trailing-comma"),
        pytest.param("=b", id="no-key"),
        pytest.param("a in b", id="no-parentheses"),
        pytest.param("a in (b", id="open-parenthesis"),
        pytest.param("a=b c", id="space"),
        pytest.param("a=../b", id="path"),
        pytest.param("!", id="only-a-bang"),
        pytest.param("a>1", id="numeric-comparison"),
    ],
)
def test_a_text_that_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="selector: "):
        Selector.parse(text)


keys = st.from_regex(r"\A([a-z][a-z0-9.]{0,8}[a-z]/)?[A-Za-z0-9]([-_.A-Za-z0-9]{0,6}[a-z])?\Z")
values = st.from_regex(r"\A([A-Za-z0-9]([-_.A-Za-z0-9]{0,6}[a-z0-9])?)?\Z")
requirements = st.one_of(
    st.builds(
        Requirement,
        keys,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.lists(values, min_size=1, max_size=4).map(tuple),
    ),
    st.builds(Requirement, keys, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
)


@given(st.lists(requirements, max_size=5))
def test_every_selector_survives_its_text(parts: list[Requirement]) -> None:
    selector = Selector(tuple(parts))

    assert Selector.parse(str(selector)) == selector


@given(st.text(max_size=40))
def test_any_text_parses_or_is_refused(text: str) -> None:
    try:
        selector = Selector.parse(text)
    except UsageError:
        return
    assert Selector.parse(str(selector)) == selector
