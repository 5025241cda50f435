"""The toy problem: facts that hold in closed form, an independent regression, and the check run."""

import numpy as np
import pandas as pd
import pytest

from xailib.errors import InputError
from xailib.roar import toy

REMOVED = (0, 2, 4, 8, 12, 14, 16)
# Accuracy in % after removing so many of 16 inputs: a separate implementation's 50 seeds of 10,000 + 10,000 points.
CHECK_RUN = {
    ("scalar", "truth", "retrained"): (99.6, 99.6, 50.0, 50.0, 50.0, 50.0, 49.9),
    ("scalar", "inverted", "retrained"): (99.6, 99.6, 99.6, 99.6, 99.6, 75.3, 49.9),
    ("scalar", "inverted", "not retrained"): (99.6, 82.9, 74.0, 67.8, 63.9, 59.6, 49.9),
    ("scalar", "random", "retrained"): (99.6, 99.6, 98.6, 95.7, 81.8, 58.6, 49.9),
    ("vector", "truth", "retrained"): (82.6, 76.5, 49.9, 50.0, 50.0, 50.0, 50.0),
    ("vector", "inverted", "retrained"): (82.6, 82.5, 82.5, 81.9, 80.3, 67.6, 50.0),
    ("vector", "inverted", "not retrained"): (82.6, 76.8, 73.6, 67.2, 63.6, 57.0, 50.0),
    ("vector", "random", "retrained"): (82.6, 81.8, 80.5, 74.1, 63.5, 57.0, 50.0),
}


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    return toy.curves()  # the size of the check run


def curve(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    chosen = (frame[["noise_term", "ranking", "mode"]] == list(names)).all(axis=1)
    return frame[chosen].set_index("removed")


@pytest.mark.parametrize("names", CHECK_RUN, ids="-".join)
def test_it_matches_the_check_run(frame: pd.DataFrame, names: tuple[str, str, str]) -> None:
    """Within 1.5 points, and twice the standard error of the difference of two means over 50 draws of a and d.

    That error is below 0.2 points while accuracy hangs on no draw, and up to 4.6 where one input more decides (Random).
    """
    ours = curve(frame, *names).loc[list(REMOVED)]
    allowed = 1.5 + 2 * 100 * ours["sd"] * np.sqrt(2 / 50)
    assert (abs(100 * ours["accuracy"] - np.array(CHECK_RUN[names])) <= allowed).all()
    assert allowed[0] < 4 and allowed[16] < 2  # the ends are pinned tightly


def test_three_informative_inputs_determine_z_when_inputs_share_their_noise(frame: pd.DataFrame) -> None:
    inverted = curve(frame, "scalar", "inverted", "retrained")["accuracy"]
    assert inverted.loc[:13].min() > 0.99 and inverted.loc[:13].max() - inverted.loc[:13].min() < 0.002
    truth = curve(frame, "scalar", "truth", "retrained")["accuracy"]
    assert truth.loc[:3].min() > 0.99
    flat = toy.flat_until(frame).set_index(["noise_term", "ranking", "mode"])["flat_until"]["scalar"]
    assert flat["inverted", "retrained"] == 13 and flat["truth", "retrained"] == 3
    assert (flat.xs("not retrained", level="mode") == 0).all()


@pytest.mark.parametrize("noise_term", toy.NOISE_TERMS)
@pytest.mark.parametrize("mode", toy.MODES)
def test_nothing_informative_left_is_chance(frame: pd.DataFrame, noise_term: str, mode: str) -> None:
    without = curve(frame, noise_term, "truth", mode)["accuracy"].loc[4:]
    assert (abs(without - 0.5) < 0.004).all()  # 4 standard errors over 50 seeds are 0.003
    for ranking in toy.RANKINGS:
        assert curve(frame, noise_term, ranking, mode)["accuracy"].loc[16] == without.loc[16]


@pytest.mark.parametrize("noise_term", toy.NOISE_TERMS)
def test_without_removal_there_is_nothing_to_retrain_or_to_rank(frame: pd.DataFrame, noise_term: str) -> None:
    start = frame[(frame["noise_term"] == noise_term) & (frame["removed"] == 0)]
    assert len(start) == 6 and start["accuracy"].nunique() == 1


@pytest.mark.parametrize("noise_term", toy.NOISE_TERMS)
def test_every_ranking_looks_good_without_retraining(frame: pd.DataFrame, noise_term: str) -> None:
    """The paper's point: even uninformative inputs seem to matter, because their removal is new to the classifier."""
    fixed = curve(frame, noise_term, "inverted", "not retrained")["accuracy"]
    retrained = curve(frame, noise_term, "inverted", "retrained")["accuracy"]
    assert fixed[2] < retrained[2] - 0.03 and fixed[8] < retrained[8] - 0.1


@pytest.mark.parametrize("noise_term", toy.NOISE_TERMS)
def test_it_equals_regressions_on_data_with_the_means_filled_in(noise_term: str) -> None:
    from sklearn.linear_model import LinearRegression

    stream = np.random.default_rng(3)
    a, d = np.concatenate([stream.standard_normal(4), np.zeros(12)]), stream.standard_normal(16)
    train, classes = toy.examples(stream, a, d, 600, noise_term)
    test, test_classes = toy.examples(stream, a, d, 500, noise_term)
    orders = toy.rankings(stream, 16, 4)
    ours = toy.accuracies(3, noise_term, 600, 500, 16, 4)
    fixed = LinearRegression().fit(train, classes)
    for i, order in enumerate(orders.values()):
        for removed in (0, 1, 5, 11, 13, 16):
            filled, filled_test = train.copy(), test.copy()
            filled[:, order[:removed]] = train[:, order[:removed]].mean(axis=0)
            filled_test[:, order[:removed]] = train[:, order[:removed]].mean(axis=0)
            for j, model in enumerate((LinearRegression().fit(filled, classes), fixed)):
                expected = ((model.predict(filled_test) > 0.5) == test_classes).mean()
                assert abs(ours[i, j, removed] - expected) <= 1 / 500 + 1e-12  # one example may lie on the border


def test_accuracy_is_what_the_weights_correlation_with_z_says() -> None:
    """A score and z are jointly normal: they agree in sign with probability 1/2 + arcsin(correlation) / pi (Sheppard)."""
    stream = np.random.default_rng(5)
    a, d = np.concatenate([stream.standard_normal(4), np.zeros(12)]), stream.standard_normal(16)
    train, classes = toy.examples(stream, a, d, 20_000, "vector")
    toy.examples(stream, a, d, 20_000, "vector")
    weights = toy.all_weights(train, classes, toy.rankings(stream, 16, 4))
    covariance = np.outer(a, a) / 100 + np.outer(d, d) + np.eye(16) / 100
    spread = np.sqrt(np.einsum("...i,ij,...j", weights, covariance, weights))
    correlation = np.divide(weights @ a / 10, spread, out=np.zeros_like(spread), where=spread > 0)
    measured = toy.accuracies(5, "vector", 20_000, 20_000, 16, 4)
    assert np.abs(measured - 0.5 - np.arcsin(correlation) / np.pi).max() < 0.016  # 4 binomial errors, and the intercept


def test_it_is_the_same_again_and_in_any_order_of_seeds() -> None:
    small = {"train_points": 200, "test_points": 100}
    pd.testing.assert_frame_equal(toy.curves([2, 0, 1], **small), toy.curves([0, 1, 2], **small), check_exact=True)
    apart = [toy.curves([seed], **small) for seed in range(3)]
    together = toy.curves(range(3), **small)
    np.testing.assert_allclose(together["accuracy"], np.mean([one["accuracy"] for one in apart], axis=0), atol=1e-12)
    np.testing.assert_allclose(together["sd"], np.std([one["accuracy"] for one in apart], axis=0, ddof=1), atol=1e-12)
    assert apart[0]["sd"].isna().all() and (apart[0]["accuracy"] != apart[1]["accuracy"]).any()


def test_the_frame_is_tidy() -> None:
    frame = toy.curves([7], train_points=50, test_points=20, features=5, informative=2)
    assert frame.columns.tolist() == ["noise_term", "ranking", "mode", "removed", "accuracy", "sd", "n"]
    assert len(frame) == 2 * 3 * 2 * 6 and not frame.duplicated(["noise_term", "ranking", "mode", "removed"]).any()
    assert frame["accuracy"].between(0, 1).all() and (frame["n"] == 1).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seeds": []}, "seeds"),
        ({"seeds": [1, 1]}, "different"),
        ({"train_points": 1}, "train_points: 1"),
        ({"features": 1}, "features: 1"),
        ({"informative": 16}, "from 1 to 15"),
    ],
)
def test_bad_input_is_named(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        toy.curves(**options)


@pytest.mark.parametrize("noise_terms", [["scalar"], ["scalar", "vector"]])
def test_the_figure_has_two_panels_a_noise_term(frame: pd.DataFrame, noise_terms: list[str]) -> None:
    from xailib.plots.roar import toy_curves

    figure = toy_curves(frame[frame["noise_term"].isin(noise_terms)])
    panels = figure.axes
    assert len(panels) == 2 * len(noise_terms)
    shown = {line.get_label(): line.get_ydata() for line in panels[0].lines}
    expected = curve(frame, "scalar", "inverted", "retrained")["accuracy"]
    np.testing.assert_allclose(shown["inverted ranking: informative inputs last"], 100 * expected)
    assert "Without" in panels[1].get_title()
