"""The manifests of deploy/kubernetes: their form, their names, and what they refer to."""

import ast
import copy
import json
import re
import shlex
import shutil
import signal
import subprocess
from itertools import chain

import click
import dask
import distributed  # noqa: F401  its configuration
import kubernetes_validate
import pytest
import yaml

from daskgmm.cli.exits import Exit
from daskgmm.cli.main import daskgmm
from daskgmm.jobs.locks.store import STALE_SECONDS
from tests.support import manifests
from tests.support.command import logging_as_it_was
from tests.support.manifests import ALL, FOLDER, built, containers, one
from tests.support.network import Caller, admits

NEWEST = kubernetes_validate.latest_version()
OLDEST = "1.31"  # podFailurePolicy is of this version, as the manifests say
SIGKILLED = 128 + signal.SIGKILL
OTHERS = ("ServiceMonitor",)  # of which no package here has a schema


@pytest.fixture(params=ALL, scope="module")
def applied(request):
    """What one of the two folders puts into a cluster."""
    return built(ALL[request.param])


@pytest.fixture(scope="module")
def nightly():
    return built(FOLDER)


def check(manifest, version=NEWEST):
    if manifest["kind"].startswith("Dask"):
        manifests.strict_validator(manifest["kind"]).validate(manifest)
    elif manifest["kind"] not in OTHERS:
        kubernetes_validate.validate(manifest, version, strict=True)


@pytest.mark.slow
@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_every_manifest_has_the_form_that_kubernetes_and_the_operator_ask(applied, version):
    for manifest in applied:
        check(manifest, version)


def test_what_the_operator_makes_of_them_has_that_form_too(applied):
    made = manifests.made_by_operator(applied)
    assert {each["kind"] for each in made} >= {"Deployment", "Service"}
    for manifest in made:
        check(manifest)


def paths(value, path=()):
    """The places of all fields in a manifest."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in items:
        if isinstance(each, dict | list):
            yield from paths(each, (*path, key))
        if isinstance(key, str):
            yield (*path, key)


FREE = ("selector", "requests", "limits")  # maps, whose keys are the writer's


@pytest.mark.slow
def test_a_field_that_is_misspelt_anywhere_fails(applied):
    manifest = next(each for each in applied if each["kind"] in ("DaskCluster", "DaskJob"))
    validator = manifests.strict_validator(manifest["kind"])
    wrong = [path for path in paths(manifest["spec"]) if not set(FREE) & set(path[:-1])]
    assert len(wrong) > 100
    for path in wrong:
        twin = copy.deepcopy(manifest)
        parent = twin["spec"]
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1] + "s"] = parent.pop(path[-1])
        assert not validator.is_valid(twin), path


def test_a_misspelt_field_of_the_nightly_job_fails(nightly):
    job = copy.deepcopy(one(nightly, "CronJob"))
    job["spec"]["concurencyPolicy"] = job["spec"].pop("concurrencyPolicy")
    with pytest.raises(kubernetes_validate.ValidationError, match="concurencyPolicy"):
        check(job)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here")
@pytest.mark.parametrize("folder", ALL.values(), ids=ALL)
def test_kustomize_builds_the_same(folder):
    done = subprocess.run(
        ["kubectl", "kustomize", folder], capture_output=True, text=True, check=True
    )
    theirs = list(yaml.safe_load_all(done.stdout))
    assert sorted(map(json.dumps, theirs)) == sorted(
        json.dumps(each, sort_keys=True) for each in built(folder)
    )


def test_no_file_is_left_out():
    used = set()
    for path in FOLDER.rglob("kustomization.yaml"):
        asked = yaml.safe_load(path.read_text(encoding="utf-8"))
        sources = [each.get("files", []) + each.get("envs", []) for each in generators(asked)]
        names = chain(asked.get("resources", ()), *sources)
        used |= {path, *(path.parent / name for name in names)}
    assert used == {path for path in FOLDER.rglob("*") if path.is_file()}


def generators(kustomization):
    return kustomization.get("configMapGenerator", ())


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.*")), ids=lambda path: path.name)
def test_each_file_says_at_its_top_what_it_does_and_how_it_starts(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    top = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    assert 2 <= len(top) <= 12
    assert "Start: " in " ".join(top)


def test_image_and_data_are_the_two_edits():
    edits = [
        (path.relative_to(FOLDER), line)
        for path in sorted(FOLDER.rglob("*.*"))
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"EDIT \d", line)
    ]
    assert [str(path) for path, _ in edits] == ["common/kustomization.yaml"] * 2
    assert ["newName" in edits[0][1], "DATA=" in edits[1][1]] == [True, True]


def test_all_containers_run_the_edited_image(applied):
    common = yaml.safe_load((FOLDER / "common" / "kustomization.yaml").read_text("utf-8"))
    (image,) = common["images"]
    wanted = f"{image['newName']}:{image['newTag']}"
    assert {each["image"] for each in containers(applied)} == {wanted}


def test_nothing_names_a_namespace(applied):
    assert [each["metadata"] for each in applied if "namespace" in each["metadata"]] == []


def test_what_containers_take_from_config_maps_and_mount_is_there(applied):
    known = {each["metadata"]["name"] for each in applied if each["kind"] == "ConfigMap"}
    for pod in manifests.pods(applied):
        volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
        for container in containers(pod):
            mounted = {each["name"] for each in container["volumeMounts"]}
            assert mounted <= set(volumes)
            taken = [
                each["configMapRef"] for each in container["envFrom"] if "configMapRef" in each
            ]
            assert {each["name"] for each in taken} <= known
        maps = [each["configMap"]["name"] for each in volumes.values() if "configMap" in each]
        assert set(maps) <= known


def test_each_role_gets_its_own_certificate_and_the_store_s_keys_go_to_who_reads_rows(applied):
    for pod in manifests.pods(applied):
        labels = pod["metadata"]["labels"]
        (secret,) = (each["secret"] for each in pod["spec"]["volumes"] if "secret" in each)
        component = labels["dask.org/component"]
        role = component if component in ("scheduler", "worker") else "client"
        assert secret["secretName"] == f"daskgmm-{role}-tls"
        keys = {
            source["secretRef"]["name"]
            for container in containers(pod)
            for source in container["envFrom"]
            if "secretRef" in source
        }
        assert keys == (set() if role == "scheduler" else {"daskgmm-store"})


def test_pods_run_without_privileges(applied):
    for pod in manifests.pods(applied):
        assert pod["spec"]["securityContext"]["runAsNonRoot"]
        assert not pod["spec"]["automountServiceAccountToken"]
        for container in containers(pod):
            assert not container["securityContext"]["allowPrivilegeEscalation"]
            assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_dask_knows_every_variable_for_it(applied):
    ours = [
        name
        for pod in manifests.pods(applied)
        for container in containers(pod)
        for name in manifests.environment(container, applied)
        if name.startswith("DASK_") and name not in ("DASK_WORKER_NAME", "DASK_SCHEDULER_ADDRESS")
    ]
    assert ours
    for name in ours:
        key = name.removeprefix("DASK_").lower().replace("__", ".")
        missing = object()
        assert dask.config.get(key, missing) is not missing, name


def test_the_scheduler_has_all_of_dask_s_pages_and_the_operator_s(nightly):
    (scheduler,) = containers(one(nightly, "DaskCluster")["spec"]["scheduler"])
    text = manifests.environment(scheduler, nightly)["DASK_DISTRIBUTED__SCHEDULER__HTTP__ROUTES"]
    usual = dask.config.get("distributed.scheduler.http.routes")
    assert ast.literal_eval(text) == [*usual, "distributed.http.scheduler.api"]


def test_blas_has_one_thread_wherever_a_nanny_does_not_see_to_it(applied):
    wanted = dask.config.get("distributed.nanny.pre-spawn-environ")
    threads = {name: str(value) for name, value in wanted.items() if name.endswith("_THREADS")}
    for pod in manifests.pods(applied):
        for container in containers(pod):
            assert threads.items() <= manifests.environment(container, applied).items()


def commands(applied):
    """The command lines of daskgmm, as words, with variables put in."""
    for pod in manifests.pods(applied):
        for container in containers(pod):
            words = manifests.command(container, manifests.environment(container, applied))
            if words[0] == "daskgmm":
                yield words
            for line in re.findall(r"^exec (daskgmm .*)$", words[-1], re.MULTILINE):
                yield shlex.split(line)


def test_every_command_line_is_one_of_ours(applied, tmp_path):
    config = tmp_path / "job.toml"
    config.write_text(one(applied, "ConfigMap", "daskgmm-job")["data"]["job.toml"])
    found = list(commands(applied))
    assert found
    for _, name, *words in found:
        here = [word.replace("/etc/daskgmm/job.toml", str(config)) for word in words]
        with logging_as_it_was(), click.Context(daskgmm, info_name="daskgmm") as parent:
            context = daskgmm.get_command(parent, name).make_context(name, here, parent=parent)
        assert context.params["scheduler"].startswith("tls://daskgmm-")
        assert (context.params["tls_ca"], context.params["tls_key"]) == (
            "/etc/dask/tls/ca.crt",
            "/etc/dask/tls/tls.key",
        )


def test_fits_go_on_from_their_checkpoint_and_runs_lie_in_the_data_s_place(applied):
    data = one(applied, "ConfigMap", "daskgmm-data")["data"]["DATA"]
    for words in commands(applied):
        assert ("--resume" in words) == (words[1] == "fit")
        assert any(word.startswith(f"{data}/rows/") for word in words)


def test_what_may_pass_is_tried_again_and_nothing_else(nightly):
    job = one(nightly, "CronJob")["spec"]["jobTemplate"]["spec"]
    disruption, *by_code = job["podFailurePolicy"]["rules"]
    assert disruption["action"] == "Ignore"
    actions = {rule["action"]: rule["onExitCodes"] for rule in by_code}
    assert {rule["operator"] for rule in actions.values()} == {"In"}
    again, never = (set(actions[name]["values"]) for name in ("Count", "FailJob"))
    assert again - {SIGKILLED} == {
        Exit.TRY_AGAIN,
        Exit.INTERRUPTED,
        Exit.TERMINATED,
        Exit.NO_OUTPUT,  # also where a run that was killed seems to be alive still
    }
    # Nobody reads there what we write, and no pipe breaks.
    assert never == set(Exit) - again - {Exit.DONE, Exit.BROKEN_PIPE}
    assert job["template"]["spec"]["restartPolicy"] == "Never"


def test_tries_last_for_longer_than_the_lock_of_a_pod_that_was_killed(nightly):
    tries = one(nightly, "CronJob")["spec"]["jobTemplate"]["spec"]["backoffLimit"]
    pauses = [min(10 * 2**k, 360) for k in range(tries)]  # Kubernetes' own
    assert sum(pauses[: tries // 2]) > STALE_SECONDS


def test_nights_do_not_overlap_and_all_tries_are_of_one_day(nightly):
    spec = one(nightly, "CronJob")["spec"]
    assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "Etc/UTC")
    minute, hour, *rest = spec["schedule"].split()
    assert rest == ["*", "*", "*"]
    latest = int(hour) * 3600 + int(minute) * 60 + spec["startingDeadlineSeconds"]
    latest += spec["jobTemplate"]["spec"]["activeDeadlineSeconds"]
    assert latest < 24 * 3600


def test_services_and_addresses_are_those_that_the_operator_makes(applied):
    made = manifests.made_by_operator(applied)
    service = one(made, "Service")
    ports = {each["name"]: each for each in service["spec"]["ports"]}
    scheduler, worker = (each["spec"]["template"] for each in made if each["kind"] == "Deployment")
    assert service["spec"]["selector"].items() <= scheduler["metadata"]["labels"].items()
    (container,) = containers(scheduler)
    open_there = {each["name"]: each["containerPort"] for each in container["ports"]}
    assert {name: each["port"] for name, each in ports.items()} == open_there
    address = f"tls://{service['metadata']['name']}:{ports['tcp-comm']['port']}"
    (container,) = containers(worker)
    assert address in container["command"]
    assert "--name=$(DASK_WORKER_NAME)" in container["command"]  # the operator asks by it
    for words in commands(applied):
        assert address in words or f"--scheduler={address}" in words


def test_the_one_shot_s_cluster_runs_as_the_nightly_one():
    (night,), (once,) = (manifests.clusters(built(folder)) for folder in ALL.values())
    for role in ("scheduler", "worker"):
        theirs, ours = (next(containers(each[role])) for each in (night, once))
        assert theirs["command"] == [word.replace("-once", "") for word in ours["command"]]
        probes = [name for name in theirs if name.endswith("Probe")]
        assert {name: theirs[name] for name in probes} == {name: ours[name] for name in probes}


def test_prometheus_finds_the_scheduler_s_metrics(applied):
    monitor = one(applied, "ServiceMonitor")["spec"]
    service = one(manifests.made_by_operator(applied), "Service")
    assert monitor["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["endpoints"]
    assert (set(monitor), set(endpoint)) == (  # its schema is in no package here
        {"selector", "endpoints"},
        {"port", "path", "interval"},
    )
    assert endpoint["port"] in [each["name"] for each in service["spec"]["ports"]]


OURS = {"app.kubernetes.io/part-of": "daskgmm"}
CALLS = [
    ("a pod of ours", Caller(OURS), True, True),
    ("another pod beside it", Caller({"app": "other"}), False, False),
    ("one that looks like ours elsewhere", Caller(OURS, "elsewhere"), False, False),
    ("the operator", Caller({}, "dask-operator"), False, True),
    ("Prometheus", Caller({}, "monitoring"), False, True),
]


@pytest.mark.parametrize(
    ("caller", "comm", "pages"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
def test_the_scheduler_is_reached_by(applied, caller, comm, pages):
    policies = [each for each in applied if each["kind"] == "NetworkPolicy"]
    (scheduler,) = (
        pod["metadata"]["labels"]
        for pod in manifests.pods(applied)
        if pod["metadata"]["labels"]["dask.org/component"] == "scheduler"
    )
    assert admits(policies, scheduler, "tcp-comm", caller) == comm
    assert admits(policies, scheduler, "http-dashboard", caller) == pages


def test_all_pods_are_ours_to_the_network(applied):
    policies = [each for each in applied if each["kind"] == "NetworkPolicy"]
    for pod in manifests.pods(applied):
        labels = pod["metadata"]["labels"]
        assert labels.items() >= OURS.items()
        assert not admits(policies, labels, "any", Caller({"app": "other"}))
        assert admits(policies, labels, "any", Caller(labels))
