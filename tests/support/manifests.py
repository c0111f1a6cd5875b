"""Manifests of deploy/kubernetes as kustomize, the Dask operator and a kubelet make use of them."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from dask_kubernetes.operator.controller import controller as operator
from jsonschema import Draft202012Validator
from kubernetes.utils import parse_quantity

from tests.support.paths import DEPLOY

FOLDER = DEPLOY / "kubernetes"
ALL = {"nightly": FOLDER, "once": FOLDER / "once"}
"""Folders that are applied."""

NAMESPACE = "somewhere"
_OURS = {
    "apiVersion", "kind", "components", "resources", "images", "configMapGenerator",
    "generatorOptions",
}  # fmt: skip


def built(folder: Path) -> list[dict[str, Any]]:
    """What ``kubectl kustomize`` prints of a folder, in some order.

    Of kustomize it knows what our files use, and fails for anything else.
    """
    return _accumulated(folder, [])


def _accumulated(folder: Path, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    asked = yaml.safe_load((folder / "kustomization.yaml").read_text(encoding="utf-8"))
    assert set(asked) <= _OURS
    found = before.copy()
    for name in asked.get("resources", ()):
        text = (folder / name).read_text(encoding="utf-8")
        found += filter(None, yaml.safe_load_all(text))
    for name in asked.get("components", ()):
        found = _accumulated(folder / name, found)
    options = asked.get("generatorOptions", {})
    for each in asked.get("configMapGenerator", ()):
        assert options == {"disableNameSuffixHash": True}
        found.append(_config_map(folder, **each))
    for image in asked.get("images", ()):
        _name_image(found, **image)
    return found


def _config_map(folder: Path, name: str, **sources: list[str]) -> dict[str, Any]:
    assert set(sources) <= {"literals", "files", "envs"}
    data = {each: (folder / each).read_text("utf-8") for each in sources.get("files", ())}
    lines = list(sources.get("literals", ()))
    for each in sources.get("envs", ()):
        lines += (folder / each).read_text("utf-8").splitlines()
    for line in lines:
        if line and not line.startswith("#"):
            key, _, value = line.partition("=")
            data[key] = value
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def _name_image(value: Any, *, name: str, newName: str, newTag: str) -> None:
    for container in containers(value):
        if container["image"] == name:
            container["image"] = f"{newName}:{newTag}"


def containers(value: Any) -> Iterator[dict[str, Any]]:
    """All containers in a manifest, those that run first included, each once."""
    if isinstance(value, list):
        for each in value:
            yield from containers(each)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if key in ("containers", "initContainers"):
                yield from each
            else:
                yield from containers(each)


def one(manifests: list[dict[str, Any]], kind: str, name: str | None = None) -> dict[str, Any]:
    """The one of a kind and a name."""
    (found,) = (
        each
        for each in manifests
        if each["kind"] == kind and name in (None, each["metadata"]["name"])
    )
    return found


def made_by_operator(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the Dask operator makes: deployments, services and pods, by its own functions."""
    made = []
    for each in manifests:
        if each["kind"] == "DaskCluster":
            made += _of_cluster(each["metadata"], each["spec"])
        elif each["kind"] == "DaskJob":
            made += _of_job(each["metadata"], each["spec"])
    return made


def _of_job(metadata: dict[str, Any], spec: dict[str, Any]) -> list[dict[str, Any]]:
    name, labels, job = metadata["name"], metadata["labels"], spec["job"]
    pod = operator.build_job_pod_spec(name, name, NAMESPACE, job["spec"], {}, labels)
    return [*_of_cluster(metadata, spec["cluster"]["spec"]), pod]


def _of_cluster(metadata: dict[str, Any], spec: dict[str, Any]) -> list[dict[str, Any]]:
    name, labels = metadata["name"], metadata["labels"]
    scheduler, worker = spec["scheduler"], spec["worker"]
    group = f"{name}-default"
    return [
        operator.build_scheduler_deployment_spec(name, scheduler["spec"], {}, labels),
        operator.build_scheduler_service_spec(name, scheduler["service"], {}, labels),
        operator.build_worker_deployment_spec(
            group, NAMESPACE, name, "0123456789", worker["spec"], {}, labels
        ),
    ]


def pods(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Metadata and spec of all pods that come to be, by whoever makes them."""
    found = []
    for each in manifests + made_by_operator(manifests):
        if each["kind"] == "CronJob":
            found.append(each["spec"]["jobTemplate"]["spec"]["template"])
        elif each["kind"] == "Deployment":
            found.append(each["spec"]["template"])
        elif each["kind"] == "Pod":
            found.append(each)
    return found


def pod_of(manifests: list[dict[str, Any]], component: str) -> dict[str, Any]:
    """The pod of a component: ``scheduler``, ``worker``, ``nightly`` or ``job-runner``."""
    (found,) = (
        pod
        for pod in pods(manifests)
        if pod["metadata"]["labels"]["dask.org/component"] == component
    )
    return found


def clusters(manifests: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """What is said of Dask clusters."""
    for each in manifests:
        if each["kind"] == "DaskCluster":
            yield each["spec"]
        elif each["kind"] == "DaskJob":
            yield each["spec"]["cluster"]["spec"]


def environment(container: dict[str, Any], manifests: list[dict[str, Any]]) -> dict[str, str]:
    """A container's variables, but those of secrets."""
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= one(manifests, "ConfigMap", source["configMapRef"]["name"])["data"]
    for each in container.get("env", ()):
        if "value" in each:
            found[each["name"]] = each["value"]
        else:
            section, resource = each["valueFrom"]["resourceFieldRef"]["resource"].split(".")
            quantity = parse_quantity(container["resources"][section][resource])
            found[each["name"]] = str(int(quantity))
    return found


def command(container: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    """The words of a container's command with the variables put in.

    A kubelet does so for ``$(NAME)``; the ``$NAME`` of a shell are as the shell would do it.
    """
    known = "|".join(map(re.escape, variables))
    pattern = re.compile(rf"\$\(({known})\)|\$({known})\b")
    return [
        pattern.sub(lambda found: variables[found[1] or found[2]], word).replace("\\\n", " ")
        for word in container["command"]
    ]


@cache
def strict_validator(kind: str) -> Draft202012Validator:
    """By the operator's own schema of a kind of Dask's; it fails on a field that it doesn't know.

    Reading and checking a schema takes a second each.
    """
    crds = files("dask_kubernetes.operator").joinpath(
        "deployment", "helm", "dask-kubernetes-operator", "crds", f"{kind.lower()}.yaml"
    )
    crd = yaml.safe_load(crds.read_text(encoding="utf-8"))
    (version,) = crd["spec"]["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    group = crd["spec"]["group"]
    schema["properties"] |= {
        "apiVersion": {"const": f"{group}/{version['name']}"},
        "kind": {"const": crd["spec"]["names"]["kind"]},
        "metadata": {"type": "object"},
    }
    closed = _closed(schema)
    Draft202012Validator.check_schema(closed)
    return Draft202012Validator(closed)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _closed(each) for key, each in schema.items()}
    if isinstance(found.get("properties"), dict):
        found["additionalProperties"] = found.get("x-kubernetes-preserve-unknown-fields", False)
    return found
