"""Loading of estimators from model files."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from daskgmm.estimators.bayesian import BayesianGaussianMixture
from daskgmm.estimators.gaussian_mixture import GaussianMixture
from daskgmm.estimators.merged import MergedMixture
from daskgmm.estimators.parameters import check_settings
from daskgmm.fitting.stored.identity import plain_parameters
from daskgmm.fitting.stored.model_file import FITTED, MERGED, Stored, explained_as_damaged
from daskgmm.model.prediction import Predictor
from daskgmm.model.prior import Prior

_KINDS = (GaussianMixture.__name__, BayesianGaussianMixture.__name__)


def load(
    path: Any, *, storage_options: dict[str, Any] | None = None
) -> GaussianMixture | MergedMixture:
    """Load a fitted estimator that ``save`` wrote.

    Parameters
    ----------
    path : path or fsspec URL
        A model file, or a run directory with one in it.
    storage_options : dict, optional
        Options for fsspec.

    Returns
    -------
    GaussianMixture, BayesianGaussianMixture or MergedMixture

    Raises
    ------
    MissingInputError
        The file doesn't exist.
    DataError
        The file is not a model, or damaged.
    ClusterError
        The store doesn't answer.
    """
    return restored(Stored.at(path, storage_options))


def restored(model: Stored) -> GaussianMixture | MergedMixture:
    """Build the estimator that was saved.

    Raises
    ------
    DataError
        The file has parameters or attributes that the estimator doesn't have.
    """
    with explained_as_damaged(model.name):
        found, merging = _restored(model), model.merging()
        return found if merging is None else MergedMixture(found, merging)


def _restored(model: Stored) -> GaussianMixture:
    metadata, n_features = model.file.metadata, model.fitted.n_features
    if metadata["estimator"] not in (*_KINDS, MERGED):
        raise ValueError(f"its estimator is {metadata['estimator']!r}")
    priors = model.priors()
    kind = GaussianMixture if priors is None else BayesianGaussianMixture
    estimator = kind(**_parameters(kind, metadata["parameters"]))
    check_settings(estimator)
    if isinstance(estimator, BayesianGaussianMixture) and priors is not None:
        estimator._priors = priors  # noqa: SLF001
    own = model.fitted.predictor
    estimator._predictor = Predictor(  # noqa: SLF001
        own.mixture, own.frame, own.dtype, missing=own.missing
    )
    estimator._dtype = np.dtype(metadata["dtype"])  # noqa: SLF001
    estimator._moments = model.moments()  # noqa: SLF001
    if metadata["fitted"]["n_features_in_"] != n_features:
        raise ValueError(f"its n_features_in_ is not {n_features}")
    for key, value in metadata["fitted"].items():
        if key not in FITTED:
            raise ValueError(f"{key!r} is not an attribute of the estimator")
        setattr(estimator, key, value)
    if model.fitted.columns is not None:
        estimator.feature_names_in_ = np.asarray(model.fitted.columns, dtype=object)
    return estimator


def _parameters(kind: type[GaussianMixture], found: Mapping[str, Any]) -> Mapping[str, Any]:
    known = plain_parameters(kind()).keys()
    for name in found:
        if name not in known:  # such as a checkpoint, which a fit would write
            raise ValueError(f"{name!r} is not a parameter of the estimator")
    prior = found.get("prior")
    return {**found, "prior": Prior(**prior)} if isinstance(prior, dict) else found
