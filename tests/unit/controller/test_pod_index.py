"""The index finds what a look at every pod would find, and follows every change."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentspec_usage.controller.pod_index import PodIndex
from agentspec_usage.controller.pods import PodView, project
from agentspec_usage.controller.selector import Selector
from tests.fakes.kube import pod_json


def view(uid: str, namespace: str = "team", **labels: str) -> PodView:
    return replace(project(pod_json(uid)), namespace=namespace, labels=labels)


def uids(pods: list[PodView]) -> set[str]:
    return {pod.uid for pod in pods}


def test_a_selector_finds_its_pods_and_no_other_namespaces() -> None:
    index = PodIndex()
    for pod in (view("a", app="web"), view("b", app="api"), view("c", "other", app="web")):
        index.put(pod)

    assert uids(index.select("team", Selector.parse("app=web"))) == {"a"}
    assert index.select("nowhere", Selector.parse("app=web")) == []


def test_a_pod_whose_label_changes_moves_and_one_that_is_removed_is_gone() -> None:
    index = PodIndex()
    for n in range(100):
        index.put(view(f"p{n}", app="web"))
    web, api = Selector.parse("app=web"), Selector.parse("app=api")
    assert len(index.select("team", web)) == 100

    index.put(view("p0", app="api"))
    index.remove("p1")

    assert len(index.select("team", web)) == 98
    assert uids(index.select("team", api)) == {"p0"}


def test_a_name_leads_to_the_pod_that_has_it_now_also_when_the_old_one_is_removed_late() -> None:
    index = PodIndex()
    old, new = view("old"), replace(view("new"), name="pod-old")
    index.put(old)
    index.put(new)
    index.remove("old")

    assert index.named("team", "pod-old") is new
    assert index.get("old") is None


def test_what_was_known_before_is_told() -> None:
    index = PodIndex()
    first, second = view("a", app="web"), view("a", app="api")

    assert index.put(first) is None
    assert index.put(second) is first
    assert index.remove("a") is second
    assert index.remove("a") is None
    assert len(index) == 0
    assert not index.by_namespace("team")


def test_more_selector_keys_than_are_indexed_still_find_their_pods() -> None:
    index = PodIndex()
    keys = [f"k{n}" for n in range(40)]
    for n in range(50):
        index.put(view(f"p{n}", **dict.fromkeys(keys, str(n))))

    for key in keys * 2:
        assert uids(index.select("team", Selector.of({key: "7"}))) == {"p7"}


label = st.dictionaries(st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y", ""]))
change = st.tuples(st.integers(0, 60), st.none() | label)
selectors = st.sampled_from(
    ["", "app=x", "app=x,tier=y", "app in (x,y)", "app!=x", "tier", "!tier,app=y", "app="]
)


@settings(max_examples=60)
@given(st.lists(change, max_size=120), st.lists(selectors, min_size=1, max_size=4))
def test_an_indexed_search_equals_a_look_at_every_pod(
    changes: list[tuple[int, dict[str, str] | None]], texts: list[str]
) -> None:
    index = PodIndex()
    truth: dict[str, PodView] = {}
    for n in range(60):
        truth[f"p{n}"] = view(f"p{n}", app="x")
        index.put(truth[f"p{n}"])
    for text in texts:
        selector = Selector.parse(text)
        index.select("team", selector)
        for number, labels in changes:
            uid = f"p{number}"
            if labels is None:
                truth.pop(uid, None)
                index.remove(uid)
            else:
                truth[uid] = view(uid, **labels)
                index.put(truth[uid])
        wanted = {uid for uid, pod in truth.items() if selector.matches(pod.labels)}
        assert uids(index.select("team", selector)) == wanted


@pytest.mark.parametrize(
    "namespace", [pytest.param("team", id="known"), pytest.param("x", id="not")]
)
def test_the_view_of_a_namespace_cannot_be_changed_from_outside(namespace: str) -> None:
    index = PodIndex()
    index.put(view("a"))

    with pytest.raises(TypeError):
        index.by_namespace(namespace)["b"] = view("b")  # type: ignore[index]
