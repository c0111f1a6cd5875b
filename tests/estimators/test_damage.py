"""Model files that are damaged, edited or of another kind: refused, never used silently."""

import json
import random

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise
from sklearn.mixture import GaussianMixture as Theirs

from daskgmm import BayesianGaussianMixture, GaussianMixture, load
from daskgmm.errors import DaskGMMError, DataError
from tests.support.command import here

__all__ = ["here"]

KINDS = ["full", "tied", "diag", "spherical"]


def some_rows():
    rows = np.random.default_rng(0).normal(size=(200, 3))
    rows[:80] += 5
    return rows


def saved(path, kind="full", **more):
    """A model and the content of its file."""
    model = GaussianMixture(2, covariance_type=kind, random_state=0, refine="none", **more).fit(
        some_rows()
    )
    model.save(path)
    return model, path.read_bytes()


def metadata_of(content):
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["daskgmm"])


def written(tensors, metadata):
    return serialise(tensors, {"daskgmm": json.dumps(metadata)})


def as_before(content):
    """The halves of a file as versions without a digest wrote it."""
    metadata = metadata_of(content)
    del metadata["sha256"], metadata["covariance_type"]
    return dict(parse(content)), metadata


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_from_before_there_was_a_digest_keeps_its_bits(kind, tmp_path):
    model, content = saved(tmp_path / "m", kind)
    (tmp_path / "m").write_bytes(written(*as_before(content)))
    again = load(tmp_path / "m")
    for name in ("weights_", "means_", "covariances_", "precisions_cholesky_"):
        assert_array_equal(getattr(again, name), getattr(model, name))
    again.partial_fit(some_rows())


@pytest.mark.parametrize("place", ["header", "tensors"])
def test_each_flipped_bit_is_seen(place, tmp_path):
    path = tmp_path / "m"
    model, content = saved(path, "diag")
    start = 8 + int.from_bytes(content[:8], "little")
    span = range(start, len(content)) if place == "tensors" else range(start)
    for position in random.Random(0).sample(span, 60):  # noqa: S311  no secret
        changed = bytearray(content)
        changed[position] ^= 1 << position % 8
        path.write_bytes(changed)
        try:
            again = load(path)
        except DataError:
            continue
        # Such as the version that wrote it: nothing that the model is made of.
        assert place == "header"
        assert_array_equal(again.score_samples(some_rows()), model.score_samples(some_rows()))


def with_tensor(name, change):
    def edit(tensors, metadata):
        tensors[name] = change(tensors[name].copy())

    return edit


def with_value(path, value):
    def edit(tensors, metadata):
        *above, last = path.split(".")
        for key in above:
            metadata = metadata[key]
        metadata[last] = value

    return edit


def _set(array, value, place=0):
    array.flat[place] = value
    return array


EDITS = {
    "NaN weights": (with_tensor("weights", lambda a: a * np.nan), "weights holds NaN"),
    "negative weight": (with_tensor("weights", lambda _: np.array([-0.5, 1.5])), "weight is -0.5"),
    "weights that sum to 2": (with_tensor("weights", lambda a: 2 * a), "sum to 2, not to 1"),
    "another weight": (with_tensor("weights", lambda _: np.full(3, 1 / 3)), "weights have the sh"),
    "infinite mean": (with_tensor("means", lambda a: _set(a, np.inf)), "means holds NaN or inf"),
    "a lacking feature": (with_tensor("means", lambda a: a[:, :2]), "covariances have the shape"),
    "no component": (with_tensor("means", lambda a: a[:0]), r"shape \(0, 3\)"),
    "no feature": (with_tensor("means", lambda a: a[:, :0]), r"shape \(2, 0\)"),
    "flat means": (with_tensor("means", np.ravel), "not \\(K, D\\)"),
    "float32": (with_tensor("means", np.float32), "of the type float32"),
    "integers": (with_tensor("weights", np.int64), "of the type int64"),
    "negative variance": (with_tensor("covariances", lambda a: -a), "not positive definite"),
    "askew": (with_tensor("covariances", lambda a: _set(a, 9.0, 1)), "not symmetric"),
    "others' factors": (with_tensor("factors", lambda a: 2 * a), "factors are not those"),
    "a factor below": (with_tensor("factors", lambda a: _set(a, 9.0, 3)), "factors are not those"),
    "no scale": (with_tensor("frame.scale", np.zeros_like), "scale of the frame is 0"),
    "huge scale": (with_tensor("frame.scale", lambda a: a * 1e200), "infinite in the units"),
    "short origin": (with_tensor("frame.origin", lambda a: a[:1]), "origin has the shape"),
    "moments' shape": (with_tensor("moments.sums", lambda a: a[1:]), "moments' sums have the"),
    "moments' counts": (with_tensor("moments.sums", np.negative), "counts of rows are negative"),
    "no moments": (lambda tensors, _: tensors.pop("moments.sums"), "'moments.sums' is missing"),
    "no factors": (lambda tensors, _: tensors.pop("factors"), "'factors' is missing"),
    "null": (with_value("fitted", None), "'fitted' is null"),
    "list": (with_value("parameters", []), "'parameters' is a list"),
    "other type": (with_value("parameters.covariance_type", "round"), "'round' is not known"),
    "other estimator": (with_value("estimator", "KMeans"), "'KMeans'"),
    "method": (with_value("fitted.predict", "x"), "'predict' is not an attribute"),
    "checkpoint": (with_value("parameters.checkpoint", "file"), "'checkpoint' is not a parameter"),
    "tol": (with_value("parameters.tol", "x"), "'tol' parameter"),
    "stopping": (with_value("parameters.stopping", "x"), "stopping"),
    "names": (with_value("feature_names", ["a"]), "1 names for 3 features"),
    "numbers for names": (with_value("feature_names", [1, 2, 3]), "feature_names"),
    "dtype": (with_value("dtype", "int8"), "'int8'"),
    "features": (with_value("fitted.n_features_in_", 7), "n_features_in_"),
    "deep": (with_value("fitted.history_", eval("[" * 90 + "]" * 90)), "nested more than"),  # noqa: S307
    "format": (with_value("format", "1"), "format"),
}


@pytest.mark.slow
@pytest.mark.parametrize("what", EDITS)
def test_what_makes_no_mixture_is_refused_where_no_digest_tells(what, tmp_path):
    edit, said = EDITS[what]
    halves = as_before(saved(tmp_path / "m")[1])
    edit(*halves)
    (tmp_path / "m").write_bytes(written(*halves))
    with pytest.raises(DataError, match=said) as caught:
        load(tmp_path / "m")
    assert str(tmp_path / "m") in caught.value.cause
    assert caught.value.remedy


VARIATIONAL = {
    "no log-weights": (lambda tensors, _: tensors.pop("log_weights"), "one is missing"),
    "no posterior": (lambda tensors, _: remove(tensors, "posterior"), "one is missing"),
    "half a posterior": (
        lambda tensors, _: tensors.pop("posterior.mean_precision"), "mean_precision' is missing",
    ),
    "heavy log-weights": (with_tensor("log_weights", np.zeros_like), "sum to more than 1"),
    "huge log-weights": (with_tensor("log_weights", lambda a: a * -1e200), "sum to more than 1"),
    "NaN log-weights": (with_tensor("log_weights", lambda a: a * np.nan), "log-weights holds NaN"),
    "posterior's shape": (
        with_tensor("posterior.degrees_of_freedom", lambda a: a[:, None]), "is not 2 numbers",
    ),
    "negative counts": (with_tensor("posterior.mean_precision", np.negative), "is not 2 numbers"),
    "infinite prior": (with_tensor("priors.mean", lambda a: a * np.inf), "priors' mean holds"),
    "kind of prior": (with_value("priors.concentration_type", "x"), "'x'"),
    "moments of nothing": (with_value("moments.weight", 0), "200 rows with the weight 0"),
}  # fmt: skip


def remove(tensors, beginning):
    for name in [name for name in tensors if name.startswith(beginning)]:
        del tensors[name]


@pytest.mark.parametrize("what", VARIATIONAL)
def test_what_makes_no_variational_mixture_is_refused(what, tmp_path):
    edit, said = VARIATIONAL[what]
    BayesianGaussianMixture(n_components=2, random_state=0).fit(some_rows()).save(tmp_path / "m")
    halves = as_before((tmp_path / "m").read_bytes())
    edit(*halves)
    (tmp_path / "m").write_bytes(written(*halves))
    with pytest.raises(DataError, match=said):
        load(tmp_path / "m")


HEADERS = {
    "brackets": b"[" * 200_000,
    "brackets in an object": b'{"a":' * 100_000,
    "brackets in the metadata": json.dumps({"__metadata__": {"daskgmm": "[" * 200_000}}).encode(),
    "text": b"{} is no JSON",
    "list": b"[1, 2]",
}


@pytest.mark.parametrize("what", HEADERS)
def test_a_header_of_anything_is_no_model(what, tmp_path, here):
    path = tmp_path / "m.safetensors"
    path.write_bytes(len(HEADERS[what]).to_bytes(8, "little") + HEADERS[what])
    with pytest.raises(DataError, match="not a daskgmm model file"):
        load(path)
    assert here("show", path).code == 65


def test_a_length_beyond_the_file_takes_no_memory(tmp_path):
    for length in (2**63, 2**40, 99_999_999, 0):
        (tmp_path / "m").write_bytes(length.to_bytes(8, "little") + b"{}")
        with pytest.raises(DataError, match="not a daskgmm model file"):
            load(tmp_path / "m")


def test_of_a_large_file_of_another_kind_the_beginning_is_read_only(tmp_path):
    with (tmp_path / "m").open("wb") as file:
        file.write(b"PAR1" * 4)
        file.truncate(2**36)  # a hole: nothing could read that much
    with pytest.raises(DataError, match="not a daskgmm model file"):
        load(tmp_path / "m")


@pytest.mark.parametrize(
    "command",
    [
        ("predict", "MODEL", "ROWS", "-o", "OUT"),
        ("score", "MODEL", "ROWS"),
        ("sample", "MODEL", "-n", 9, "-o", "OUT"),
        ("show", "MODEL"),
        ("plot", "MODEL", "-o", "figure.png"),
        ("update", "MODEL", "ROWS", "-o", "OUT"),
    ],
    ids=lambda command: command[0],
)
def test_every_command_refuses_a_damaged_model_and_writes_nothing(
    command, tmp_path, here, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.save("rows.npy", some_rows())
    halves = as_before(saved(tmp_path / "m.safetensors")[1])
    halves[0]["weights"][:] = np.nan
    (tmp_path / "m.safetensors").write_bytes(written(*halves))
    named = {"MODEL": "m.safetensors", "ROWS": "rows.npy", "OUT": "out"}
    done = here(*(named.get(word, word) for word in command))
    assert (done.code, done.out) == (65, "")
    assert "m.safetensors is a damaged model file: the array of weights holds NaN" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.safetensors", "rows.npy"]


def test_a_url_and_a_folder_are_looked_at_as_well(here):
    model = GaussianMixture(2, random_state=0, refine="none").fit(some_rows())
    for path in ("memory://damage/m", "memory://damage/run/model.safetensors"):
        model.save(path)
    import fsspec

    store = fsspec.filesystem("memory")
    for path in ("/damage/m", "/damage/run/model.safetensors"):
        content = store.cat_file(path)
        store.pipe_file(path, content[:-1] + bytes([content[-1] ^ 1]))
    for path in ("memory://damage/m", "memory://damage/run"):
        with pytest.raises(DataError, match="does not match its digest"):
            load(path)
    assert here("show", "memory://damage/m").code == 65
    model.save("memory://damage/m")
    assert here("show", "memory://damage/m").code == 0  # whatever a file's name ends in


def test_a_folder_in_its_place_is_no_model(tmp_path):
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        load(tmp_path)


def test_what_is_set_after_the_fit_changes_no_file(tmp_path):
    model, _ = saved(tmp_path / "m")
    expected = model.score_samples(some_rows())
    model.set_params(covariance_type="diag", n_components=5).save(tmp_path / "m")
    again = load(tmp_path / "m")
    assert again.covariance_type == "diag"
    assert_array_equal(again.score_samples(some_rows()), expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reg_covar", [0.0, 1e-6])
def test_ill_conditioned_models_of_ours_are_no_damaged_ones(kind, reg_covar, tmp_path):
    rows = some_rows() @ np.array([[1, 1, 1e-7], [0, 1e-5, 1], [1e9, 0, 1e-9]])
    for dtype in (np.float32, np.float64):
        model = GaussianMixture(
            2, covariance_type=kind, reg_covar=reg_covar, random_state=0, refine="none"
        )
        try:
            model.fit(rows.astype(dtype))
        except DaskGMMError:  # it collapsed: there is nothing to save
            continue
        model.save(tmp_path / "m")
        again = load(tmp_path / "m")
        assert_array_equal(again.score_samples(rows), model.score_samples(rows))


def test_an_estimator_of_scikit_learn_that_holds_no_mixture_is_refused():
    theirs = Theirs(2, random_state=0).fit(some_rows())
    theirs.weights_ = theirs.weights_ * np.nan
    with pytest.raises(DataError, match="weights holds NaN"):
        GaussianMixture.from_sklearn(theirs)


def mutated(content, draw):
    """The content with something wrong: bits, its end, its header's text, or what that says."""
    changed = bytearray(content)
    header = range(8 + int.from_bytes(content[:8], "little"))
    match draw.randrange(4):
        case 0:
            for _ in range(draw.choice([1, 1, 4])):
                changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
        case 1:
            del changed[draw.randrange(len(changed)) :]
        case 2:
            start = draw.choice(header)
            for place in header[start : start + draw.randrange(1, 9)]:
                changed[place] = draw.choice(b'0123456789{}[]",:nul ')
        case 3:
            halves = dict(parse(content)), metadata_of(content)
            inside = halves[1]
            while inside:
                key = draw.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
                if isinstance(inside[key], dict | list) and inside[key] and draw.random() < 0.7:
                    inside = inside[key]
                    continue
                inside[key] = draw.choice([None, -1, "x", [], {}, float("nan"), 10**30, True, 0.5])
                break
            return written(*halves)
    return bytes(changed)


@pytest.mark.parametrize("kind", KINDS)
def test_mutated_files_are_right_or_refused(kind, tmp_path, here):
    path = tmp_path / "m.safetensors"
    np.save(tmp_path / "rows.npy", some_rows())
    model, content = saved(path, kind)
    expected, draw = model.score_samples(some_rows()), random.Random(kind)  # noqa: S311
    for count in range(50):
        path.write_bytes(mutated(content, draw))
        try:
            found = load(path).score_samples(some_rows())
        except DataError:
            wanted = 65
        else:
            assert_array_equal(found, expected)
            wanted = 0
        if count % 10 == 0:
            assert here("score", path, tmp_path / "rows.npy").code == wanted
