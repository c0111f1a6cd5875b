"""Network policies, as a cluster's network heeds them."""

from dataclasses import dataclass, field
from typing import Any

from tests.support.manifests import NAMESPACE


@dataclass(frozen=True)
class Caller:
    """A pod that connects to another; by default one of the same namespace."""

    labels: dict[str, str] = field(default_factory=dict)
    namespace: str = NAMESPACE


def admits(
    policies: list[dict[str, Any]], labels: dict[str, str], port: str, caller: Caller
) -> bool:
    """Whether network policies let a caller in to a port (its name) of a pod with labels."""
    ours = [each["spec"] for each in policies if _selects(each["spec"]["podSelector"], labels)]
    rules = [rule for each in ours for rule in each["ingress"]]
    return not ours or any(_lets_in(rule, port, caller) for rule in rules)


def _lets_in(rule: dict[str, Any], port: str, caller: Caller) -> bool:
    if "ports" in rule and port not in [each["port"] for each in rule["ports"]]:
        return False
    return any(_is(peer, caller) for peer in rule["from"])


def _is(peer: dict[str, Any], caller: Caller) -> bool:
    name = {"kubernetes.io/metadata.name": caller.namespace}
    there = (
        _selects(peer["namespaceSelector"], name)
        if "namespaceSelector" in peer
        else caller.namespace == NAMESPACE
    )
    return there and _selects(peer.get("podSelector", {}), caller.labels)


def _selects(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    for each in selector.get("matchExpressions", ()):
        assert each["operator"] == "In"
        if labels.get(each["key"]) not in each["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= labels.items()
