"""BLAS has one thread while our code runs, whichever thread of the process asks for it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
from threadpoolctl import threadpool_info, threadpool_limits

from daskgmm.passes.engine.blas import one_thread

np.linalg.norm(np.eye(2))  # BLAS is loaded


def threads_of_blas():
    return {info["num_threads"] for info in threadpool_info() if info["user_api"] == "blas"}


def test_a_thread_of_a_pool_gets_the_limit_though_another_thread_has_set_one():
    def inside():
        with one_thread():
            return threads_of_blas()

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(1) as pool:
        assert threads_of_blas() == {2}
        assert pool.submit(inside).result() == {1}
        assert threads_of_blas() == {2}


def test_the_last_one_out_puts_back_what_the_first_one_in_found():
    both_inside, first_out = Barrier(2), Barrier(2)

    def first():
        with one_thread():
            both_inside.wait(10)
        first_out.wait(10)

    def second():
        with one_thread():
            both_inside.wait(10)
            first_out.wait(10)
            return threads_of_blas()

    with threadpool_limits(2, user_api="blas"), ThreadPoolExecutor(2) as pool:
        one, other = pool.submit(first), pool.submit(second)
        one.result()
        assert other.result() == {1}
        assert threads_of_blas() == {2}


def test_the_limit_holds_through_what_scikit_learn_sets_inside():
    from sklearn.cluster import KMeans

    def inside():
        with one_thread():
            KMeans(2, n_init=1).fit(np.random.default_rng(0).normal(size=(50, 2)))
            return threads_of_blas()

    inside()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result() == {1}
