"""Events of a fit, as programs of other versions may write them: with few fields."""


def start(run_id="a" * 32, time=0.0):
    return {"event": "fit-start", "run_id": run_id, "time": time, "estimator": "GaussianMixture"}


def made(iteration, run_id="a" * 32, weights=(0.25, 0.75)):
    return {
        "event": "pass",
        "run_id": run_id,
        "time": float(iteration),
        "iteration": iteration,
        "lower_bound": -1 / iteration,
        "change": 0.5**iteration,
        "seconds": 0.5,
        "rows": 10,
        "bytes_read": 80,
        "weights": list(weights),
        "tol": 1e-3,
    }


def end(run_id="a" * 32, stopped="converged"):
    return {"event": "fit-end", "run_id": run_id, "time": 99.0, "stopped": stopped}
