"""Published results of other packages on classic data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from sklearn.datasets import load_iris

from daskgmm import GaussianMixture

# R's `faithful`: eruptions (ms here, minutes there) and waiting (minutes), 272 rows. Azzalini
# and Bowman (1990), Applied Statistics 39, 357-365.
FAITHFUL = """
3600,79 1800,54 3333,74 2283,62 4533,85 2883,55 4700,88 3600,85 1950,51 4350,85 1833,54
3917,84 4200,78 1750,47 4700,83 2167,52 1750,62 4800,84 1600,52 4250,79 1800,51 1750,47
3450,78 3067,69 4533,74 3600,83 1967,55 4083,76 3850,78 4433,79 4300,73 4467,77 3367,66
4033,80 3833,74 2017,52 1867,48 4833,80 1833,59 4783,90 4350,80 1883,58 4567,84 1750,58
4533,73 3317,83 3833,64 2100,53 4633,82 2000,59 4800,75 4716,90 1833,54 4833,80 1733,54
4883,83 3717,71 1667,64 4567,77 4317,81 2233,59 4500,84 1750,48 4800,82 1817,60 4400,92
4167,78 4700,78 2067,65 4700,73 4033,82 1967,56 4500,79 4000,71 1983,62 5067,76 2017,60
4567,78 3883,76 3600,83 4133,75 4333,82 4100,70 2633,65 4067,73 4933,88 3950,76 4517,80
2167,48 4000,86 2200,60 4333,90 1867,50 4817,78 1833,63 4300,72 4667,84 3750,75 1867,51
4900,82 2483,62 4367,88 2100,49 4500,83 4050,81 1867,47 4700,84 1783,52 4850,86 3683,81
4733,75 2300,59 4900,89 4417,79 1700,59 4633,81 2317,50 4600,85 1817,59 4417,87 2617,53
4067,69 4250,77 1967,56 4600,88 3767,81 1917,45 4500,82 2267,55 4650,90 1867,45 4167,83
2800,56 4333,89 1833,46 4383,82 1883,51 4933,86 2033,53 3733,79 4233,81 2233,60 4533,82
4817,77 4333,76 1983,59 4633,80 2017,49 5100,96 1800,53 5033,77 4000,77 2400,65 4600,81
3567,71 4000,70 4500,81 4083,93 1800,53 3967,89 2200,45 4150,86 2000,58 3833,78 3500,66
4583,76 2367,63 5000,88 1933,52 4617,93 1917,49 2083,57 4583,77 3333,68 4167,81 4333,81
4500,73 2417,50 4000,85 4167,74 1883,55 4583,77 4250,83 3767,83 2033,51 4433,78 4083,84
1833,46 4417,83 2183,55 4800,81 1833,57 4800,76 4100,84 3966,77 4233,81 3500,87 4366,77
2250,51 4667,78 2100,60 4350,82 4133,91 1867,53 4600,78 1783,46 4367,77 3850,84 1933,49
4500,83 2383,71 4700,80 1867,49 3833,75 3417,64 4233,76 2400,53 4800,94 2000,55 4150,76
1867,50 4267,82 1750,54 4483,75 4000,78 4117,79 4083,78 4267,78 3917,70 4550,79 4083,70
2417,54 4183,86 2217,50 4450,90 1883,54 1850,54 4283,77 3950,79 2333,64 4150,75 2350,47
4933,86 2900,63 4583,85 3833,82 2083,57 4367,82 2133,67 4350,74 2200,54 4450,83 3567,73
4500,73 4150,88 3817,80 3917,71 4450,83 2000,56 4283,79 4767,78 4533,84 1850,58 4250,83
1983,43 2250,60 4750,75 4117,81 2150,46 4417,90 1817,46 4467,74
"""

# Best of many starts, to full convergence and without regularisation, as those packages do.
EXACTLY = {"tol": 1e-9, "reg_covar": 0, "max_iter": 5000, "n_init": 4, "random_state": 0}


def faithful():
    return np.array([pair.split(",") for pair in FAITHFUL.split()], dtype=float) / [1000, 1]


def fitted(X, kind, n_components, **options):
    return GaussianMixture(n_components, covariance_type=kind, **EXACTLY | options).fit(X)


# R package mclust 6 (Scrucca, Fop, Murphy and Raftery, 2016, The R Journal 8, 289-317), table
# of `mclustBIC(iris[, -5])`; its BIC has the other sign. VII, VVI, EEE and VVV are its names of
# spherical, diag, tied and full.
IRIS_BIC = {
    ("spherical", 1): -1804.0854,
    ("diag", 1): -1522.1202,
    ("full", 1): -829.9782,
    ("tied", 1): -829.9782,
    ("spherical", 2): -1012.2352,
    ("diag", 2): -857.5515,
    ("tied", 2): -688.0972,
    ("full", 2): -574.0178,
    ("spherical", 3): -853.8144,
    ("diag", 3): -744.6382,
    ("tied", 3): -632.9647,
}


@pytest.mark.parametrize(("kind", "n_components"), list(IRIS_BIC))
def test_bic_on_iris_is_that_of_mclust(kind, n_components):
    X = load_iris().data
    model = fitted(X, kind, n_components)
    # mclust stops at a relative change of 1e-5: with several components a little too early.
    assert_allclose(model.bic(X), -IRIS_BIC[kind, n_components], rtol=0, atol=0.01)


@pytest.mark.parametrize(("n_components", "expected"), [(2, -214.35), (3, -180.19)])
def test_log_likelihood_on_iris_is_that_of_mclust(n_components, expected):
    X = load_iris().data
    model = fitted(X, "full", n_components)
    assert_allclose(model.score(X) * len(X), expected, rtol=0, atol=0.006)


def test_two_components_of_old_faithful_are_those_of_mixtools():
    # R package mixtools (Benaglia, Chauveau, Hunter and Young, 2009, Journal of Statistical
    # Software 32(6)), mvnormalmixEM(faithful): log-likelihood -1130.264.
    X = faithful()
    model = fitted(X, "full", 2)
    assert_allclose(model.score(X) * 272, -1130.264, rtol=0, atol=1e-3)
    order = np.argsort(model.means_[:, 0])
    assert_allclose(model.weights_[order], [0.3558729, 0.6441271], atol=2e-6)
    assert_allclose(model.means_[order], [[2.036388, 54.47851], [4.289662, 79.96811]], rtol=2e-6)
    expected = [
        [[0.06916767, 0.4351676], [0.4351676, 33.69728]],
        [[0.16996844, 0.9406093], [0.9406093, 36.04621]],
    ]
    assert_allclose(model.covariances_[order], expected, rtol=2e-5)


def test_three_components_of_old_faithful_with_one_covariance_are_those_of_mclust():
    # mclust 6, summary(Mclust(faithful)): EEE, 3 components, log-likelihood -1126.326, df 11,
    # BIC -2314.316; it stops EM at a relative change of 1e-5, a little below the maximum.
    X = faithful()
    model = fitted(X, "tied", 3, n_init=5, tol=1e-7)
    assert_allclose(model.bic(X), 2314.316, rtol=0, atol=0.05)
    assert model.score(X) * 272 >= -1126.3265
