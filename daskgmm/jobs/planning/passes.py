"""Passes of a fit, planned before it reads any row."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

from daskgmm.data.source import Source
from daskgmm.estimators.parameters import check_parameters
from daskgmm.fitting.protocols import MixtureParameters
from daskgmm.fitting.settings import Candidate, Settings, compute_dtype
from daskgmm.passes.engine.gathering import joined_groups
from daskgmm.passes.engine.graph import pass_graph
from daskgmm.passes.engine.grouping import laid_out
from daskgmm.passes.engine.leaves import Group
from daskgmm.passes.engine.persist import held_as
from daskgmm.passes.engine.work import Work
from daskgmm.passes.memory import TaskSizes

USUAL_PASSES, SEEN_PASSES = 4, (3, 6)
"""Median and range of the passes of 57 fits with the defaults (``tests/benchmarks/passes.md``).
One pass counts and samples the rows; then EM continues from its result on the sample."""


@dataclass(frozen=True)
class Tasks:
    """Numbers of tasks in a pass.

    Parameters
    ----------
    reading, adding : int
        Tasks that read rows, and tasks that add up the moments of others.
    """

    reading: int
    adding: int

    @classmethod
    def of(cls, source: Source, groups: Sequence[Group], moments_bytes: int) -> Self:
        """Count the tasks in the graph of a pass whose moments take so many bytes."""
        work = Work(_nothing, _nothing, None, moments_bytes)
        graph, _ = pass_graph(source, groups, work, "gmm-pass", "")
        names = [str(key[0]) for key in graph if isinstance(key, tuple)]
        adding = sum(name.startswith("gmm-reduce") for name in names)
        return cls(len(names) - adding, adding)


@dataclass(frozen=True, eq=False)
class PassPlan:
    """The passes of a fit on a cluster.

    Parameters
    ----------
    source : Source
        Rows in the parts that passes read, with the parts' lengths.
    settings : Settings
    task : TaskSizes
        Sizes of a task, by which a cache is chosen.
    starts : int
        Number of mixtures that share a pass.
    read, held : Tasks
        Tasks where each reads its rows from files, and where workers hold decoded parts: each
        task then runs where its part is, one for each part that is not tiny.
    """

    source: Source
    settings: Settings
    task: TaskSizes
    starts: int
    read: Tasks
    held: Tasks

    @classmethod
    def of(cls, estimator: MixtureParameters, source: Source) -> Self:
        """The passes of a `GaussianMixture`, with a checkpoint, on a source with known lengths.

        Raises
        ------
        ConfigurationError
            A parameter is invalid.
        """
        check_parameters(estimator)
        candidate = Candidate.of(estimator, source, in_memory=False)
        dtype = compute_dtype(estimator, source.dtype)
        settings = Settings.of(estimator, (candidate,), dtype, in_stretches=True)
        lengths = source.lengths or ()
        on_sample = (
            not candidate.refined
            and settings.fit_on_sample
            and candidate.sample_rows < sum(lengths)
        )
        plan = candidate.plan
        starts = plan.most_polished if on_sample else candidate.starts
        cost = settings.cost_a_row(source.n_features)
        cut, groups = laid_out(source, lengths, cost, settings.fewest_rows(source.n_features))
        keys = [str(position) for position in range(len(cut.parts))]
        task = settings.task(source)
        moments = replace(task, n_components=starts * plan.n_components).result_bytes
        kept = held_as(cut, keys) if source.decoded else cut
        held = Tasks.of(kept, joined_groups(kept, groups, cost, moments), moments)
        return cls(cut, settings, task, starts, Tasks.of(cut, groups, moments), held)

    @property
    def rows(self) -> int:
        """Number n of all rows."""
        return sum(self.source.lengths or ())

    @property
    def moments_bytes(self) -> int:
        """Bytes of the moments that a task returns."""
        return replace(self.task, n_components=self.n_components).result_bytes

    @property
    def n_components(self) -> int:
        """Total number of components of the mixtures that share a pass."""
        return self.starts * self.settings.candidates[0].plan.n_components

    @property
    def most_passes(self) -> int:
        """Number of passes of a fit that doesn't converge."""
        return 1 + self.settings.max_iter


def _nothing(*_: Any) -> Any:
    """Stand in for the functions of a graph whose tasks are only counted."""
