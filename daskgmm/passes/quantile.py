"""The quantile of log-densities over all rows, in one or two passes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial, reduce

from daskgmm.data.source import Block, Part, Source
from daskgmm.errors import DataError
from daskgmm.model.prediction import Predictor
from daskgmm.model.quantile import Counts, Question, quantile
from daskgmm.passes.cost import scoring_seconds_a_row
from daskgmm.passes.engine.blas import one_thread
from daskgmm.passes.engine.graph import run_pass
from daskgmm.passes.engine.grouping import group_by_cost
from daskgmm.passes.engine.keys import Phase
from daskgmm.passes.engine.work import OnStretch, Work, each_part
from daskgmm.passes.prediction import explaining
from daskgmm.passes.writing import windows


@dataclass(frozen=True, eq=False)
class _Counting:
    predictor: Predictor
    question: Question
    columns: tuple[str, ...] | None

    @property
    def n_values(self) -> int:
        return self.predictor.mixture.n_features + self.predictor.mixture.n_components


def log_density_quantile(source: Source, predictor: Predictor, share: float) -> float:
    """The quantile of all rows' log-densities (nats), exactly as `numpy.quantile` returns it.

    It takes one pass over up to about a hundred thousand rows, and two over more.

    Raises
    ------
    DataError
        A value is not finite, or there are no rows.
    """
    with one_thread():
        threshold = quantile(partial(_count, source, predictor), share)
    if threshold != threshold:  # NaN: nothing was counted
        raise DataError(
            "There are no rows to take a quantile of.",
            "Check that the input holds the rows that it should.",
        )
    return threshold


def _count(source: Source, predictor: Predictor, question: Question) -> Counts:
    cost = scoring_seconds_a_row(source.n_features, predictor.mixture.n_components)
    work = Work(_begin, question.add, _Counting(predictor, question, source.columns))
    counts: Counts = run_pass(source, group_by_cost(source, cost), work, Phase.PREDICTION)
    return counts


def _begin(counting: _Counting) -> OnStretch:
    return each_part(partial(_count_part, counting=counting), counting.question.add)


def _count_part(position: int, part: Part, blocks: Iterator[Block], counting: _Counting) -> Counts:
    del position
    question = counting.question
    return reduce(question.add, _counted(part, blocks, counting), question.count_none())


def _counted(part: Part, blocks: Iterator[Block], counting: _Counting) -> Iterator[Counts]:
    first = 0
    for block in blocks:
        for window in windows(block.rows.shape[1], counting.n_values):
            rows = block.rows[:, window].T
            where = (part.label, first + window.start, part)
            densities = explaining(
                Predictor.log_densities, counting.predictor, counting.columns, rows, *where
            )
            yield counting.question.count(densities)
        first += block.rows.shape[1]
