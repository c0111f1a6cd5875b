"""A fitted mixture as an ONNX model, for any runtime that takes these."""

import json
from typing import Any, TypeAlias

import numpy as np

from daskgmm.errors import require_package
from daskgmm.fitting.fitted import Fitted
from daskgmm.model.prediction import NOISE
from daskgmm.model.questions.clusters import ClusterPredictor

_Step: TypeAlias = tuple[str, tuple[str, ...], str, dict[str, Any]]
"""Operator, inputs, output and attributes of a node."""

_OPSET, _IR = 17, 8
"""Versions of the operators and of the file that runtimes from 2022 on read."""


def to_onnx(fitted: Fitted, dtype: np.dtype[np.floating]) -> Any:
    """An ONNX model with the input ``X`` (n, D), for any number n of rows.

    Rows are centred at each component's mean before they are squared. A runtime holds n K D
    numbers at once: give it some thousands of rows at a time.

    Parameters
    ----------
    fitted : Fitted
    dtype : dtype
        Type of ``X`` and of the arithmetic: float32 or float64.

    Returns
    -------
    onnx.ModelProto
        Outputs are ``label`` (n,) of type int64, ``probabilities`` (n, K) and ``log_density`` (n,)
        in nats; of clusters, where components are joined into such. Noise has the label -1 and the
        last probability. The columns of ``X`` are in its metadata as ``columns``, a list in JSON.

    Raises
    ------
    ConfigurationError
        onnx is not installed.
    """
    require_package("onnx", "onnx", "An ONNX model needs onnx")
    from onnx import TensorProto, checker, helper

    kind = TensorProto.FLOAT if dtype == np.float32 else TensorProto.DOUBLE
    n_labels, n_features = fitted.predictor.n_labels, fitted.n_features
    graph = helper.make_graph(
        _nodes(helper, fitted),
        "mixture",
        [helper.make_tensor_value_info("X", kind, ["n", n_features])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, ["n"]),
            helper.make_tensor_value_info("probabilities", kind, ["n", n_labels]),
            helper.make_tensor_value_info("log_density", kind, ["n"]),
        ],
        _constants(fitted, dtype),
    )
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="daskgmm"
    )
    model.ir_version = _IR
    columns = None if fitted.columns is None else list(fitted.columns)
    helper.set_model_props(model, {"columns": json.dumps(columns)})
    checker.check_model(model)
    return model


def _constants(fitted: Fitted, dtype: np.dtype[np.floating]) -> list[Any]:
    from onnx import numpy_helper

    mixture, frame = fitted.predictor.mixture, fitted.predictor.frame
    factors = mixture.covariance.whitening(mixture.factors, mixture.shape)
    values = {
        "origin": frame.origin,
        "scale": frame.scale,
        "means": mixture.means[:, np.newaxis],
        "factors": factors,
        "normalisers": mixture.log_normalisers[:, np.newaxis],
        "half": np.array(0.5),
        "jacobian": np.array(frame.log_jacobian),
    }
    if isinstance(fitted.predictor, ClusterPredictor):
        values["members"] = np.eye(fitted.predictor.n_labels)[:, fitted.predictor.clusters]
    whole = {"components": np.array([0]), "features": np.array([2])}
    if mixture.noise is not None:
        values["noise"] = np.array(mixture.noise.logit)
        whole |= {"one": np.array([1]), "last": np.array(mixture.n_components)}
        whole["label_of_noise"] = np.array(NOISE)
    typed = {name: np.asarray(value, dtype) for name, value in values.items()} | whole
    return [numpy_helper.from_array(value, name) for name, value in typed.items()]


def _nodes(helper: Any, fitted: Fitted) -> list[Any]:
    whiten = "MatMul" if fitted.predictor.mixture.covariance.has_matrices else "Mul"
    labelled, probable, ends = "logits", "shares", list[_Step]()
    beside, label = list[_Step](), list[_Step]()
    if fitted.predictor.mixture.noise is not None:
        beside = [  # a row of the noise's logit for each row of X
            ("Slice", ("distances", "components", "one", "components"), "first", {}),
            ("Less", ("first", "first"), "never", {}),
            ("Where", ("never", "first", "noise"), "of_noise", {}),
            ("Concat", ("of_components", "of_noise"), "logits", {"axis": 0}),
        ]
        label = [
            ("Equal", ("largest", "last"), "is_noise", {}),
            ("Where", ("is_noise", "label_of_noise", "largest"), "label", {}),
        ]
    if isinstance(fitted.predictor, ClusterPredictor):  # whose probabilities are sums
        labelled = probable = "of_labels"
        ends = [("MatMul", ("members", "shares"), "of_labels", {})]
    steps: list[_Step] = [
        ("Sub", ("X", "origin"), "moved", {}),
        ("Div", ("moved", "scale"), "z", {}),
        ("Sub", ("z", "means"), "centred", {}),  # (K, n, D)
        (whiten, ("centred", "factors"), "white", {}),
        ("Mul", ("white", "white"), "squares", {}),
        ("ReduceSum", ("squares", "features"), "distances", {"keepdims": 0}),  # (K, n)
        ("Mul", ("distances", "half"), "below", {}),
        ("Sub", ("normalisers", "below"), "of_components" if beside else "logits", {}),
        *beside,
        ("ReduceMax", ("logits",), "peak", {"axes": [0], "keepdims": 1}),
        ("Sub", ("logits", "peak"), "from_peak", {}),
        ("Exp", ("from_peak",), "densities", {}),
        ("ReduceSum", ("densities", "components"), "total", {"keepdims": 1}),
        ("Div", ("densities", "total"), "shares", {}),
        *ends,
        ("ArgMax", (labelled,), "largest" if label else "label", {"axis": 0, "keepdims": 0}),
        *label,
        ("Transpose", (probable,), "probabilities", {"perm": [1, 0]}),
        ("Log", ("total",), "log_total", {}),
        ("Add", ("peak", "log_total"), "both", {}),
        ("Squeeze", ("both", "components"), "in_frame", {}),
        ("Add", ("in_frame", "jacobian"), "log_density", {}),
    ]
    return [
        helper.make_node(kind, list(inputs), [output], **attributes)
        for kind, inputs, output, attributes in steps
    ]
