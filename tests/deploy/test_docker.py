"""deploy/docker: what it says, held against its rules; what it starts, as plain processes."""

import json
import re
import shutil
import subprocess
import zipfile
from contextlib import ExitStack
from pathlib import Path
from urllib.request import urlopen

import dask.config
import distributed  # noqa: F401  it brings its own part of Dask's configuration
import pytest
import yaml

from daskgmm import load
from tests.support.command import in_process
from tests.support.containers import (
    FOLDER,
    ROOT,
    compose,
    example,
    image_environment,
    instructions,
    variables_of_compose,
    words,
)
from tests.support.isolated import UV
from tests.support.started import inside, started

FLIGHTS = ROOT / "examples" / "data" / "flights.parquet"
LOOPBACK = ["--host", "127.0.0.1"]


def checked(file):
    """Hold a file against the compose specification."""
    tool = ("check-jsonschema", "--builtin-schema", "vendor.compose-spec")
    return in_process(file, command=tool, env=inside())


def test_the_linter_finds_nothing_in_the_dockerfile():
    done = in_process(FOLDER / "Dockerfile", command=("hadolint",), env=inside())
    assert (done.code, done.out) == (0, "")


@pytest.mark.slow
def test_compose_yaml_follows_the_specification(tmp_path):
    assert checked(FOLDER / "compose.yaml").code == 0
    wrong = (FOLDER / "compose.yaml").read_text(encoding="utf-8").replace("replicas", "replicants")
    (tmp_path / "wrong.yaml").write_text(wrong, encoding="utf-8")
    done = checked(tmp_path / "wrong.yaml")
    assert (done.code, "replicants" in done.out) == (1, True)


def test_compose_yaml_takes_the_variables_of_the_example_and_no_secret_is_elsewhere():
    assert variables_of_compose() == set(example())
    secrets = [
        value
        for service in compose()["services"].values()
        for name, value in service.get("environment", {}).items()
        if re.search("KEY|SECRET|PASSWORD|USER", name)
    ]
    assert secrets
    assert all(value.startswith("${") for value in secrets)


def test_services_wait_for_services_that_can_tell_how_they_are():
    services = compose()["services"]
    built = {name for name, service in services.items() if "build" in service}
    assert any(name == "HEALTHCHECK" for name, _ in instructions())
    for service in services.values():
        for name, needed in service.get("depends_on", {}).items():
            check = services[name].get("healthcheck", {})
            healthy = "test" in check or (name in built and not check)
            assert healthy == (needed["condition"] == "service_healthy")


def test_files_that_containers_see_are_there():
    services = compose(example())["services"]
    volumes = [each for service in services.values() for each in service.get("volumes", ())]
    paths = [each.split(":")[0] for each in volumes if isinstance(each, str) and each[0] == "."]
    assert len(paths) == 7
    assert all((FOLDER / path).exists() for path in paths)


def test_prometheus_asks_scheduler_and_workers_and_grafana_asks_prometheus():
    prometheus, datasources, dashboards = (
        yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
        for name in (
            "prometheus.yaml",
            "grafana/datasources/prometheus.yaml",
            "grafana/dashboards/daskgmm.yaml",
        )
    )
    scheduler, worker = prometheus["scrape_configs"]
    assert scheduler["static_configs"] == [{"targets": ["scheduler:8787"]}]
    (rules,) = prometheus["rule_files"]
    assert f"../prometheus/alerts.yaml:{rules}:ro" in compose()["services"]["prometheus"]["volumes"]
    found = worker["dns_sd_configs"][0]
    assert (found["names"], found["port"]) == (["worker"], 8787)
    services = compose()["services"]
    assert "--dashboard-address :8787" in services["worker"]["command"]
    assert datasources["datasources"][0]["url"] == "http://prometheus:9090"
    folder = dashboards["providers"][0]["options"]["path"]
    assert f"../grafana/daskgmm.json:{folder}/daskgmm.json:ro" in services["grafana"]["volumes"]


def test_plain_processes_get_what_dasks_nanny_gives_workers():
    nannys = {
        name: str(value)
        for name, value in dask.config.get("distributed.nanny.pre-spawn-environ").items()
        if name != "MKL_NUM_THREADS"  # NumPy's wheels come with OpenBLAS
    }
    assert nannys.items() <= image_environment().items()


def test_the_image_runs_as_nobody_in_particular():
    users = [rest for name, rest in instructions() if name == "USER"]
    assert len(users) == 1
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[0])


@pytest.mark.slow
def test_the_wheel_is_built_from_what_the_image_may_see_and_has_what_it_needs(tmp_path):
    rules = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").split("\n")
    seen = [rule.removeprefix("!") for rule in rules if rule.startswith("!")]
    copied = [rest.split()[:-1] for name, rest in instructions() if name == "COPY"]
    assert sorted(seen) == sorted(name for each in copied[:2] for name in each)
    for name in seen:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    subprocess.run(
        ["uv", "build", "--quiet", "--wheel", "--out-dir", tmp_path / "wheels", tmp_path],
        check=True,
        env=inside(UV),
    )
    (path,) = (tmp_path / "wheels").glob("*.whl")
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith(".pyc")}
        (metadata,) = (name for name in names if name.endswith("/METADATA"))
        provided = re.findall(r"(?m)^Provides-Extra: (\S+)", wheel.read(metadata).decode())
    tops = {Path(name).parts[0] for name in names}
    assert tops == {"daskgmm", Path(metadata).parent.name}
    preload = re.search(r"--preload (\S+)", compose()["services"]["scheduler"]["command"])[1]
    assert {preload.replace(".", "/") + ".py", "daskgmm/cli/__init__.py"} <= names
    wanted = next(rest for name, rest in instructions() if name == "ARG").partition("=")[2]
    assert set(wanted.split(",")) <= set(provided)


@pytest.fixture
def variables(s3):
    """Those of .env, edited for a fresh bucket."""
    bucket = s3.url.removeprefix("s3://")
    store = s3.filesystem
    store.rmdir(bucket)  # it is made by a service
    found = {name: value.replace("//daskgmm/", f"//{bucket}/") for name, value in example().items()}
    return found | {"AWS_ENDPOINT_URL": s3.endpoint}


@pytest.fixture
def environment(tmp_path, variables):
    """What our containers have in theirs; OpenBLAS is the test run's own affair.

    So is where compiled kernels are kept: each process would compile them anew.
    """
    image = {
        name: value.replace("/var", str(tmp_path))
        for name, value in image_environment().items()
        if not name.startswith(("OPENBLAS_", "NUMBA_"))
    }
    return inside(image | compose(variables)["services"]["job"]["environment"])


def healthy(port, environment):
    """Whether the image's health check is content with a port."""
    check = next(rest for name, rest in instructions() if name == "HEALTHCHECK")
    command = json.loads(check.partition("CMD")[2])
    asked = [word.replace(":8787", f":{port}") for word in command]
    return subprocess.run(asked, env=environment, check=False).returncode == 0


@pytest.mark.long
@pytest.mark.slow
def test_the_services_commands_fit_from_and_to_a_store_what_a_local_fit_gives(
    tmp_path, s3, variables, environment
):
    services = compose(variables)["services"]
    put = {"/bucket.py": FOLDER / "bucket.py", "/files": FLIGHTS.parent}
    with ExitStack() as stack:
        for _ in range(2):  # the second time nothing is left to do
            subprocess.run(words(services["bucket"], put), env=environment, check=True)
        command = [*words(services["scheduler"], {}), *LOOPBACK, "--port", "0"]
        command += ["--dashboard-address", "127.0.0.1:0"]
        scheduler = stack.enter_context(started(command, environment))
        address = scheduler.until(r"Scheduler at:\s+(tcp://\S+)")
        port = scheduler.until(r"dashboard at:\s+http://127.0.0.1:(\d+)")
        assert healthy(port, environment)
        there = {"tcp://scheduler:8786": address}
        for _ in range(int(services["worker"]["deploy"]["replicas"])):
            command = words(services["worker"], there | {" :8787": " 127.0.0.1:0"})
            worker = stack.enter_context(started([*command, *LOOPBACK], environment))
            assert healthy(worker.until(r"dashboard at:\s+127.0.0.1:(\d+)"), environment)
        job = words(services["job"], there)
        assert in_process(*job[1:], command=job[:1], env=environment).code == 0
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert "daskgmm_lower_bound{" in answer.read().decode()
        again = in_process(*job[1:], command=job[:1], env=environment)
        assert (again.code, "complete" in again.err) == (0, True)
    s3.filesystem.get(f"{variables['RUN']}/model.safetensors", str(tmp_path / "theirs"))
    options = variables["OPTIONS"].split()
    local = in_process("fit", FLIGHTS, *options, "-o", tmp_path / "run", env=environment)
    assert local.code == 0
    theirs, ours = load(tmp_path / "theirs"), load(tmp_path / "run" / "model.safetensors")
    assert (theirs.means_ == ours.means_).all()
    assert (theirs.covariances_ == ours.covariances_).all()
    assert theirs.n_rows_ == 327_346
