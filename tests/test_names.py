"""What ``import daskgmm`` offers."""

import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import daskgmm.jobs
import daskgmm.monitoring
import daskgmm.plotting

MODULES = ["errors", "jobs", "monitoring"]


def in_a_new_process(code):
    return subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_loaded_when_it_is_first_named(name):
    assert in_a_new_process(f"import daskgmm; print(daskgmm.{name})").startswith("<module")


@pytest.mark.slow
def test_packages_that_only_extras_bring_wait_until_they_are_used():
    extras = {"dask_ml", "h5py", "matplotlib", "mlflow", "polars", "s3fs", "zarr"}
    named = "import daskgmm, sys; daskgmm.GaussianMixture; print(daskgmm.plotting.__name__"
    assert in_a_new_process(f"{named}, *{extras} & sys.modules.keys())") == "daskgmm.plotting"


@pytest.mark.parametrize("place", ["daskgmm", "daskgmm.jobs", "daskgmm.monitoring"])
def test_what_is_offered_can_be_completed_and_nothing_else(place):
    """Before anything is loaded, and of what only the package itself uses."""
    offered = in_a_new_process(f"import {place}; print(*dir({place}))").split()
    assert {name for name in offered if not name.startswith("_")} == (
        set(sys.modules[place].__all__)
    )


def test_naming_loads_nothing_else():
    loaded = "import daskgmm, sys; dir(daskgmm); daskgmm.errors; print('numpy' in sys.modules)"
    assert in_a_new_process(loaded) == "False"


def test_the_version_is_told_and_loads_nothing_else():
    told = "import daskgmm, sys; print(daskgmm.__version__, 'numpy' in sys.modules)"
    assert in_a_new_process(told) == f"{version('daskgmm')} False"
    assert "__version__" in dir(daskgmm)


def test_what_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'job'"):
        _ = daskgmm.job


def offered():
    for place in (daskgmm, daskgmm.jobs, daskgmm.monitoring, daskgmm.plotting):
        things = {name: getattr(place, name) for name in place.__all__}
        for name, thing in things.items():
            if not inspect.ismodule(thing):
                yield name, thing
            if inspect.isclass(thing):
                methods = inspect.getmembers(thing, inspect.isroutine)
                yield from ((f"{name}.{own}", f) for own, f in methods if own[0] != "_")


def test_help_gives_types_the_names_that_users_know():
    shown = {name: str(inspect.signature(thing)) for name, thing in offered()}
    assert "GaussianMixture.fit" in shown
    assert [name for name, text in shown.items() if "_typing" in text] == []
    assert len(shown["GaussianMixture"]) < 1000
