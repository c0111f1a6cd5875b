"""The first rows of a source, to look at."""

from typing import TYPE_CHECKING

from daskgmm.data.source import Source

if TYPE_CHECKING:
    import pandas as pd


def head(source: Source, n: int, weight_column: str | None) -> "pd.DataFrame":
    """The first rows of a source: features, then the weights and kept columns.

    Parameters
    ----------
    source : Source
        Of parts that need no value of its graph.
    n : int
        Most rows.
    weight_column : str or None
        Name for the weights.
    """
    import pandas as pd

    names = source.columns or tuple(map(str, range(source.n_features)))
    frames, missing = [], n
    for block in (block for part in source.parts for block in part.read()):
        if not missing:
            break
        frame = pd.DataFrame(block.rows.T[:missing].copy(), columns=names)
        if block.weights is not None:
            frame[weight_column] = block.weights[:missing].copy()
        for name in () if block.kept is None else block.kept.column_names:
            frame[name] = block.kept.column(name).slice(0, missing).to_pandas()
        frames.append(frame)
        missing -= len(frame)
    if not frames:
        return pd.DataFrame(columns=names, dtype=source.dtype)
    return pd.concat(frames, ignore_index=True)
