"""Plans, held against what fits do and against what must hold of any."""

import json
import logging
import math
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from distributed import get_task_stream
from hypothesis import given
from hypothesis import strategies as st

from daskgmm import GaussianMixture, jobs, open_dataset
from daskgmm.errors import ConfigurationError
from daskgmm.jobs.planning import search, search_benchmark
from daskgmm.jobs.planning.benchmark import Rate
from daskgmm.jobs.planning.cluster import Planner
from daskgmm.jobs.planning.passes import PassPlan
from daskgmm.jobs.planning.search import (
    SPREAD,
    USUAL_LAST_STEPS,
    SearchPlan,
    threads_of_search,
)
from daskgmm.jobs.planning.search_benchmark import SearchSeconds, measured_search
from daskgmm.jobs.planning.source import imagined
from daskgmm.model.covariance import COVARIANCES
from daskgmm.passes.cache import choose
from daskgmm.passes.engine.progress import STARTS, tracking
from daskgmm.passes.memory import memory_limit_for, room_under, rows_bytes, worker_bytes
from tests.support.clusters import running
from tests.support.paths import IRIS
from tests.support.plans import brief
from tests.support.rows import correlated, parquet_of

__all__ = ["brief"]

pytestmark = pytest.mark.usefixtures("brief")

DOUBLE = np.dtype(np.float64)
SMALL = {"rows": 1000, "features": 2, "components": 3}


def written(folder, groups, group_rows, n_files, n_features=3):
    """Parquet files of row groups of clustered rows, one smaller at the end of each file."""
    rng = np.random.default_rng(0)
    for number in range(n_files):
        rows = groups * group_rows + group_rows // 2
        values = rng.normal(size=(rows, n_features)) + 6 * rng.integers(2, size=(rows, 1))
        table = pa.table({f"x{i}": values[:, i] for i in range(n_features)})
        pq.write_table(table, folder / f"{number}.parquet", row_group_size=group_rows)
    return str(folder)


@pytest.fixture
def tasks_of_fits(monkeypatch):
    """The sizes by which fits choose a cache."""
    found, chosen = [], choose.CACHES["auto"]
    monkeypatch.setitem(
        choose.CACHES, "auto", lambda source, task: found.append(task) or chosen(source, task)
    )
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("groups", "group_rows", "n_files"),
    [
        pytest.param(150, 100, 2, id="many tiny parts are read together"),
        pytest.param(3, 20_000, 2, id="a task a part"),
    ],
)
def test_a_plan_is_what_a_fit_does(groups, group_rows, n_files, tmp_path, tasks_of_fits, caplog):
    folder = written(tmp_path, groups, group_rows, n_files)
    plan = jobs.plan(folder, components=2, workers=1, threads=2)

    def peak_bytes():  # travels by value: workers don't know this module
        lines = Path("/proc/self/status").read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    limit = plan["memory_a_worker_in_memory_bytes"]
    with (
        caplog.at_level(logging.DEBUG, "daskgmm.passes.cache"),
        running(n_workers=1, threads_per_worker=2, memory_limit=limit) as client,
        get_task_stream(client) as stream,
    ):
        model = GaussianMixture(2, random_state=0, checkpoint=tmp_path / "checkpoint")
        model.fit(open_dataset(folder))
        (peak,) = client.run(peak_bytes).values()
    assert "Decoded rows are cached: memory" in caplog.text
    assert peak <= limit
    (task,) = tasks_of_fits
    assert plan["memory_a_worker_peak_bytes"] == worker_bytes(task, 2)
    assert (plan["rows"], plan["features"]) == (model.n_rows_, model.n_features_in_)
    read, added = counted(stream.data)
    assert set(read) == {plan["tasks_a_pass"]}
    assert set(added) <= {plan["sums_a_pass"]}
    assert len(read) == model.n_passes_ - 1


def counted(stream):
    """Tasks of each pass of EM that read rows, and those that add up what they found."""
    names = [done["key"][0] for done in stream if isinstance(done["key"], tuple)]
    passes = {name.removeprefix("gmm-pass-") for name in names if name.startswith("gmm-pass-")}
    return (
        [names.count(f"gmm-pass-{suffix}") for suffix in passes],
        [names.count(f"gmm-reduce-{suffix}") for suffix in passes],
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_rows_that_do_not_fit_are_read_by_other_tasks(tmp_path):
    folder = written(tmp_path, 150, 100, 2)
    dataset, fits = open_dataset(folder), {"workers": 1, "memory_limit": "600MB"}
    plan = jobs.plan(folder, components=2, **fits)
    source = dataset.source()
    model = GaussianMixture(2, cache="none", random_state=0)
    with running(n_workers=1, processes=False) as client, get_task_stream(client) as stream:
        model.fit(dataset)
    read, added = counted(stream.data)
    pass_plan = PassPlan.of(model, source)
    assert set(read) == {pass_plan.read.reading}
    assert set(added) == {pass_plan.read.adding}
    assert plan["tasks_a_pass"] == pass_plan.held.reading  # so small rows fit anywhere


def test_blocks_and_parts_are_what_tasks_read(tmp_path):
    source = open_dataset(written(tmp_path, 1, 100_000, 1)).source()
    plan = jobs.plan(str(tmp_path), components=2)
    blocks = [block.rows.shape[1] for part in source.parts for block in part.read()]
    assert plan["rows_a_block"] == max(blocks)
    assert (plan["parts"], plan["rows_a_part"]) == (2, 100_000)
    assert plan["rows"] == sum(blocks) == 150_000
    assert plan["data_bytes"] == rows_bytes(source)


def test_chosen_columns_count_only(tmp_path):
    folder = written(tmp_path, 1, 1000, 1)
    plan = jobs.plan(folder, components=2, columns=["x0", "x1"], weight_column="x2")
    assert plan["features"] == 2
    assert plan["data_bytes"] == 1500 * 3 * 8


@pytest.mark.slow
def test_rows_that_are_still_to_be_written_plan_as_those_that_are(tmp_path):
    written(tmp_path, 0, 3000, 1)
    there = jobs.plan(str(tmp_path), components=2)
    yet = jobs.plan(rows=1500, features=3, components=2)
    measured = {"rows_a_second_a_thread", "seconds_a_pass", "seconds", "cheapest"}
    measured |= {"seconds_of_starts"}
    assert {name: there[name] for name in there.keys() - measured} == {
        name: yet[name] for name in yet.keys() - measured
    }


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"n_init": 2}, {"refine": "none", "subsample": 500}])
def test_the_planned_search_for_starts_is_the_one_of_a_fit(options, tmp_path):
    rows, _ = correlated(1500, 3, 2, spread=2, apart=3.0)
    path, searches = parquet_of(rows, tmp_path / "rows.parquet"), []
    plan = jobs.plan(path, components=2, **options)
    with tracking(searches.append):
        GaussianMixture(2, random_state=0, **options).fit(open_dataset(path))
    ((event,),) = [search.events() for search in searches if search.name == STARTS]
    assert (plan["starts_sought"], plan["sample_rows"]) == (event["of"], event["rows"])


def test_a_fit_takes_the_search_for_starts_and_the_usual_passes():
    few, many = (jobs.plan(**SMALL | {"rows": 10_000, "n_init": n}) for n in (1, 50))
    for plan in (few, many):
        passes = plan["passes"] * plan["seconds_a_pass"]
        assert plan["seconds"] == passes + plan["seconds_of_starts"]
        assert plan["cheapest"]["seconds"] > plan["seconds_of_starts"]
    assert many["seconds_of_starts"] > 5 * few["seconds_of_starts"] > 0


@pytest.mark.parametrize(
    ("n_components", "subsample", "ranks"),
    [(1, 20_000, 0), (100, 100_000, 1), (100, 3000, 0)],
)
def test_a_search_ranks_moves_once_where_components_have_rows_for_two(
    n_components, subsample, ranks
):
    pass_plan = prospect_of(10**6, 20, n_components, subsample=subsample)
    assert SearchPlan.of(pass_plan, 0.1).rankings == ranks


def test_a_search_makes_the_em_steps_that_its_budget_has():
    pass_plan = prospect_of(200_000, 50, 30)
    few, many = (SearchPlan.of(pass_plan, share).steps for share in (1.0, 0.05))
    assert few < many == 8 * (2 + 2 * 1) + USUAL_LAST_STEPS
    assert (
        SearchPlan.of(prospect_of(200_000, 50, 20), 0.05).steps
        == 8 * (4 + 2 * 2) + USUAL_LAST_STEPS
    )


@pytest.mark.slow
def test_each_part_of_a_search_is_measured_and_counted(monkeypatch):
    pass_plan = prospect_of(1000, 20, 4)
    # Of a ranking what is timed is the same for any number of rows, but at busy moments it is not.
    for name in ("_density_seconds", "_step_seconds"):
        seconds = cache(getattr(search_benchmark, name))
        monkeypatch.setattr(search_benchmark, name, seconds)
    few, more = (measured_search(pass_plan, rows, 1.0) for rows in (10**4, 10**6))
    assert 0 < 10 * few.clustering < more.clustering
    assert 0 < 10 * few.ranking < more.ranking
    parts = SearchSeconds(clustering=100.0, m_step=1.0, ranking=10_000.0)
    assert SearchPlan(1000, 3, 7, 2).seconds(parts, 1.0) == 300 + 14 + 20_000


@pytest.mark.parametrize(("parts", "threads"), [(1, 8), (8, 1), (2, 2), (2, 8), (8, 4)])
def test_a_search_is_spread_over_as_many_threads_as_it_has_parts(parts, threads):
    measured = SearchSeconds(clustering=100.0, m_step=1.0, ranking=10_000.0)
    alone = SearchPlan(1000, 3, 7, 2, 1).seconds(measured, 1.0)
    found = SearchPlan(1000, 3, 7, 2, parts).seconds(measured, 1.0, threads)
    assert found == pytest.approx(alone * (1 - SPREAD + SPREAD / min(parts, threads)))


def test_the_threads_of_a_search_are_those_of_workers_on_this_machine(monkeypatch):
    monkeypatch.setattr(search, "threads_here", lambda: 4)
    assert threads_of_search(workers=3, threads=1, helpers=9) == 3
    assert threads_of_search(workers=100, threads=1, helpers=9) == 4
    assert threads_of_search(workers=2, threads=8, helpers=9) == 8


def test_a_search_is_planned_on_no_more_threads_than_there_is_memory_for(monkeypatch):
    monkeypatch.setattr(search, "threads_here", lambda: 4)
    sizes = {"rows": 100_000, "features": 40, "components": 200, "workers": 4}
    least = jobs.plan(**sizes)["memory_a_worker_bytes"]
    few, many = (
        jobs.plan(**sizes, memory_limit=str(limit))["search_threads"] for limit in (least, 10**11)
    )
    assert few < many == 4


def test_a_plan_warns_of_a_sample_with_too_few_rows(caplog):
    jobs.plan(rows=10_000, features=30, components=20, subsample=400)
    assert "The 400 sampled rows, on which starts are sought, are 20 for each" in caplog.text


ROWS = st.integers(1, 10**9)
SHAPES = st.tuples(st.integers(1, 60), st.integers(1, 100), st.sampled_from(["full", "diag"]))


def prospect_of(rows, n_features, n_components, kind="full", **parameters):
    estimator = GaussianMixture(n_components, covariance_type=kind, **parameters)
    return PassPlan.of(estimator, imagined(rows, n_features, DOUBLE))


@pytest.mark.slow
@given(ROWS, ROWS, SHAPES)
def test_more_rows_take_no_less_memory_and_no_fewer_tasks(one, other, shape):
    few, many = (prospect_of(rows, *shape) for rows in sorted((one, other)))
    assert worker_bytes(few.task) <= worker_bytes(many.task)
    assert rows_bytes(few.source) <= rows_bytes(many.source)
    assert few.read.reading <= many.read.reading
    assert few.held.reading <= many.held.reading


@pytest.mark.parametrize("in_memory", [False, True])
def test_more_workers_take_no_longer_where_kernels_do(in_memory):
    pass_plan = prospect_of(10**9, 50, 100)
    planner = Planner(pass_plan, rows_bytes(pass_plan.source), 1, Rate(1e-5))
    seconds = [planner.seconds_a_pass(2**n, in_memory=in_memory) for n in range(9)]
    assert seconds == sorted(seconds, reverse=True)
    assert 10**4 < seconds[0] < 1.001 * 10**4


def test_moments_of_tasks_and_what_a_step_takes_at_any_size_are_counted():
    pass_plan = prospect_of(10**9, 50, 100)
    size = rows_bytes(pass_plan.source)
    planners = (Planner(pass_plan, size, 1, Rate(1e-5, 1, part), 7.0) for part in (0, 2.0))
    less, more = (planner.seconds_a_pass(10, in_memory=True) for planner in planners)
    tasks = pass_plan.held.reading / 10
    assert less > 7 + 10**3
    assert 2 * tasks <= more - less <= 2 * (tasks + 2)


@pytest.mark.slow
def test_the_scheduler_s_cost_is_counted():
    pass_plan = prospect_of(10**10, 2, 2)
    planner = Planner(pass_plan, rows_bytes(pass_plan.source), 1, Rate(1e-12))
    few, many = (planner.seconds_a_pass(n, in_memory=True) for n in (1, 1000))
    assert few < many


@pytest.mark.slow
@given(st.integers(10**6, 10**13), st.integers(2**20, 2**40), st.integers(1, 8))
def test_the_cheapest_cluster_is_the_fewest_workers_that_hold_all_rows(data, spare, threads):
    pass_plan = prospect_of(10**6, 20, 8)
    limit = memory_limit_for(pass_plan.task, threads) + spare
    found = Planner(pass_plan, data, threads, Rate(1e-6)).cheapest(limit)
    assert found.memory_a_worker_bytes <= limit
    assert found.memory_bytes == found.workers * found.memory_a_worker_bytes

    def held(workers, each):
        return workers * room_under(each, pass_plan.task, threads)

    assert data <= held(found.workers, found.memory_a_worker_bytes)
    assert held(found.workers - 1, limit) < data


def test_starts_that_share_the_passes_are_counted():
    assert prospect_of(10**6, 2, 3, n_init=10).starts == 1  # the best of a search
    assert prospect_of(10**6, 2, 3, n_init=10, refine="none").starts == 10
    on_sample = {"refine": "none", "subsample": 1000}
    assert prospect_of(10**6, 2, 3, n_init=10, **on_sample).starts == 3
    assert prospect_of(10**6, 2, 3, n_init=2, **on_sample).starts == 2


@pytest.mark.parametrize("kind", list(COVARIANCES))
def test_every_covariance_type_and_float_is_measured(kind):
    for dtype in ("float32", "float64"):
        plan = jobs.plan(rows=500_000, features=3, components=4, covariance=kind, dtype=dtype)
        assert plan["dtype"] == dtype
        assert 0 < plan["rows_a_second_a_thread"] < math.inf
        passes = plan["passes"] * plan["seconds_a_pass"]
        assert plan["seconds"] == passes + plan["seconds_of_starts"]
        assert plan["data_bytes"] == 500_000 * (3 * np.dtype(dtype).itemsize + 8)
        assert json.loads(json.dumps(plan)) == plan


def test_a_thousand_million_rows_may_be_a_float():
    plan = jobs.plan(rows=1e9, features=2, components=3, workers=4, threads=2, memory_limit="8GB")
    assert plan["rows"] == 10**9
    assert isinstance(plan["rows"], int)
    assert (plan["workers"], plan["threads"], plan["memory_limit_bytes"]) == (4, 2, 8 * 10**9)
    assert plan["rows_in_memory"] == (plan["memory_a_worker_in_memory_bytes"] <= 8 * 10**9)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"rows": 0}, "rows is 0"),
        ({"rows": 10.5}, "rows is 10.5"),
        ({"rows": 1e13}, "rows is 1e\\+13"),
        ({"rows": math.nan}, "rows is nan"),
        ({"rows": None}, "Neither inputs nor the number of rows"),
        ({"features": 0}, "features is 0"),
        ({"features": None}, "Neither inputs nor the number of features"),
        ({"inputs": str(IRIS)}, "Both .*iris.csv and a number"),
        ({"inputs": str(IRIS), "features": None}, "Both .*iris.csv and a number"),
        ({"components": 1001}, "1001 components were requested, but there are only 1000 rows"),
        ({"components": 0}, "n_components"),
        ({"n_init": 0}, "n_init"),
        ({"covariance": "round"}, "round"),
        ({"dtype": "int8"}, "int8"),
        ({"workers": 0}, "workers is 0"),
        ({"memory_limit": "400MB"}, "The memory limit is 400MB"),
        (
            {"features": 300, "components": 100, "memory_limit": "1GB"},
            "A fit of .* needs .* of memory; the memory limit is 0.93 GiB",
        ),
        ({"features": 5000, "components": 850}, "a worker's share of this machine is"),
        (
            {"features": 5000, "components": 850, "memory_limit": "9TB"},
            "Measuring the speed of a pass takes",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_a_remedy(changes, cause):
    with pytest.raises(ConfigurationError, match=cause) as refused:
        jobs.plan(**SMALL | changes)
    assert refused.value.remedy


def test_inputs_that_do_not_tell_their_rows_are_refused():
    columns = ["sepal_length", "sepal_width"]
    with pytest.raises(
        ConfigurationError, match=r"The number of rows of .* is not in its metadata"
    ):
        jobs.plan(str(IRIS), components=3, columns=columns)


def test_an_unknown_option_is_a_type_error():
    with pytest.raises(TypeError, match="'tol' is not an option"):
        jobs.plan(**SMALL, tol=1)
