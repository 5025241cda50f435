"""Accuracy, confidence and calibration on planted predictions."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import xailib as xai
from xailib.errors import InputError
from xailib.metrics.accuracy import (
    accuracy_table,
    confidence_histogram,
    expected_calibration_error,
    predictions,
    wilson_interval,
)


class Colour(nn.Module):
    """Class = brightest channel; the logits are 4 times the channels' means."""

    def forward(self, pixels):
        return 4 * pixels.mean(dim=(2, 3))


@pytest.fixture
def model(wrap):
    return wrap(Colour(), 4, classes=3)


@pytest.fixture
def images(batch):
    pixels = torch.zeros(4, 3, 4, 4)
    for i, channel in enumerate((0, 1, 2, 2)):
        pixels[i, channel] = 1 - 0.2 * i
    return batch(pixels, labels=[0, 1, 2, 0])


def test_predictions(model, images):
    frame = predictions(model, images)
    assert list(frame.columns) == ["image", "label", "predicted", "confidence", "label_probability", "correct"]
    assert frame["predicted"].tolist() == [0, 1, 2, 2] and frame["correct"].tolist() == [True, True, True, False]
    powers = np.exp(4 * np.array([1, 0.8, 0.6, 0.4]))
    assert frame["confidence"].tolist() == pytest.approx(powers / (powers + 2), abs=1e-6)
    assert frame["label_probability"][3] == pytest.approx(1 / (powers[3] + 2), abs=1e-6)
    assert predictions(model, images, batch_size=3)["confidence"].tolist() == pytest.approx(
        frame["confidence"].tolist(), abs=1e-6
    )


def test_answers_and_the_classes_among_them_are_counted_as_labels_are(model, images):
    names = [f"class {index}" for index in (2, 0, 1)]  # as the images count them; the answers are classes 0, 1, 2, 2
    counted = replace(images, labels=[1, 2, 0, 0], class_names=names, answers=[(1,), (2,), (0,), (1,)], classes=(0, 1))
    frame = predictions(model, counted)
    assert frame["label"].tolist() == [0, 1, 2, 2]
    assert frame["predicted"].tolist() == [0, 0, 2, 2], "class 1 is not among the classes"
    assert frame["correct"].tolist() == [True, False, True, False]
    assert xai.attribute("random", model, counted).targets.tolist() == [0, 0, 2, 2]
    assert predictions(model, counted.recounted([2, 0, 1]))["predicted"].tolist() == [0, 0, 2, 2]
    unknown = counted.recounted([])
    assert not unknown.has_labels and unknown.classes is None and unknown.answers is None
    with pytest.raises(InputError, match="images: 7 of their classes is no class of model 'planted'; use 0 to 2"):
        xai.attribute("random", model, replace(images, classes=(0, 7)))


def test_accuracy_table(model, images):
    dark = images.with_pixels(images.pixels * 0)
    table = accuracy_table(model, {"clean": images, "dark": dark})
    assert list(table.columns)[:6] == ["model", "shift", "n", "accuracy", "mean_confidence", "ece"]
    assert table["shift"].tolist() == ["clean", "dark"] and (table["model"] == "planted").all()
    assert table["accuracy"].tolist() == [0.75, 0.5]  # black images are all class 0, as two labels are
    assert table["right"].tolist() == ["1110", "".join(str(int(label == 0)) for label in images.labels)]
    assert table["mean_confidence"][1] == pytest.approx(1 / 3) and table["ece"][1] == pytest.approx(0.5 - 1 / 3)
    assert (table["accuracy_low"] < table["accuracy"]).all() and (table["accuracy"] < table["accuracy_high"]).all()
    with pytest.raises(InputError, match="nothing to measure"):
        accuracy_table(model, {})


def test_calibration_error_against_a_plain_loop():
    rng = np.random.default_rng(0)
    confidence = np.concatenate([rng.uniform(size=500), np.arange(16) / 15, [0, 1]])
    correct = rng.uniform(size=len(confidence)) < confidence**2
    for bins in (1, 10, 15):
        expected = 0.0
        for k in range(bins):
            low, high = np.linspace(0, 1, bins + 1)[[k, k + 1]]
            chosen = (confidence > low) & (confidence <= high) | ((k == 0) & (confidence == 0))
            if chosen.any():
                expected += chosen.mean() * abs(correct[chosen].mean() - confidence[chosen].mean())
        assert expected_calibration_error(confidence, correct, bins) == pytest.approx(expected)
    assert confidence_histogram(confidence, correct)["count"].sum() == len(confidence)


def test_calibration_error_of_planted_networks():
    assert expected_calibration_error([1.0] * 10, [True] * 10) == 0
    assert expected_calibration_error([1.0] * 10, [False] * 10) == 1
    assert expected_calibration_error([0.7] * 10, [True] * 7 + [False] * 3) == pytest.approx(0)
    assert np.isnan(expected_calibration_error([], []))
    with pytest.raises(InputError, match=r"outside \[0, 1\]"):
        expected_calibration_error([3.0], [True])


@pytest.mark.parametrize(("successes", "n"), [(0, 10), (10, 10), (7, 10), (950, 1000)])
def test_wilson_interval_against_scipy(successes, n):
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(successes, n).proportion_ci(method="wilson")
    assert wilson_interval(successes, n) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_no_images_have_no_interval():
    assert np.isnan(wilson_interval(0, 0)).all()
