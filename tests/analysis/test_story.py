"""The first screen: which number a verdict hangs on, and the warnings, which only the study's own numbers call up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xailib.analysis import claims, roar_claims, story
from xailib.results import write_table


def findings(rows: list[tuple], **columns: object) -> pd.DataFrame:
    """Make a table of findings of (finding, part, verdict, value, low, high, needs)."""
    names = ["finding", "part", "verdict", "value", "low", "high", "needs"]
    table = pd.DataFrame(rows, columns=names)
    facts = {
        "statistic": "difference",
        "n": 5,
        "unit": "architectures",
        "claim": "A claim.",
        "sentence": "What was found.",
    }
    return table.assign(**(facts | {"rule": "A rule.", "images": 24} | columns))


UNDECIDED = findings(
    [
        ("F1", "headline", "undecided", 0.09, 0.03, 0.19, "gradient beyond CAM: about 9 architectures"),
        ("F1", "gradient methods", "supported", 0.09, 0.03, 0.19, ""),
        ("F1", "CAM methods", "undecided", 0.04, -0.02, 0.08, ""),
        ("F1", "gradient beyond CAM", "undecided", 0.05, -0.02, 0.11, "about 9 architectures"),
    ]
)


def test_every_claim_has_a_short_form() -> None:
    assert set(story.SHORT) == {*claims.CLAIMS, *roar_claims.CLAIMS}
    assert set(story.ANSWERS) <= set(story.SHORT)


def test_the_number_shown_is_the_one_that_the_verdict_hangs_on() -> None:
    assert story.shown(UNDECIDED)[0]["part"] == "gradient beyond CAM"
    without = UNDECIDED.assign(needs="")
    assert story.shown(without)[0]["part"] == "CAM methods"
    against = findings(
        [("R1", "headline", "contradicted", 0.1, 0.0, 0.2, ""), ("R1", "IG", "supported", 0.1, 0.05, 0.2, ""),
         ("R1", "GB", "contradicted", -0.1, -0.2, -0.05, "")]
    )  # fmt: skip
    assert story.shown(against)[0]["part"] == "GB"
    assert story.shown(UNDECIDED.head(1))[0]["part"] == "headline"


def test_the_figure_has_a_row_a_claim_with_number_interval_paper_and_share() -> None:
    roar = findings(
        [("R5", "headline", "supported", 0.2, np.nan, np.nan, "")],
        claimed=1,
        paper_Birdsnap=0.217,
        paper_ImageNet=np.nan,
    )
    text = story.forest({"F": UNDECIDED.assign(share=0.75, specifications=12.0), "R": roar}, Path())
    assert text.count('<th scope="row"') == 2 and "9 of 12 conventions" in text and "not public" in text
    assert "+0.050 <small>-0.020 to +0.110</small>" in text and "+20.0</td>" in text and ">+21.7</td>" in text
    drawn = text[text.index("<svg", text.index("R5")) :]
    assert 'class="side"' in drawn and 'class="theirs"' in drawn and 'class="bar"' not in drawn
    assert 'class="side"' not in story.forest({"F": UNDECIDED}, Path()), (
        "findings of earlier versions do not say the side"
    )


def accuracy(**of_level_90: tuple[str, float]) -> pd.DataFrame:
    """Make a table of accuracies: estimator=(family, accuracy at 90 %)."""
    rows = [("remove", 90, name, family, value) for name, (family, value) in of_level_90.items()]
    table = pd.DataFrame(rows, columns=["mode", "level", "estimator", "family", "accuracy"])
    return table.assign(label=table["estimator"], low=table["accuracy"] - 0.05, high=table["accuracy"] + 0.05, seeds=2)


def test_a_ranking_that_knows_nothing_and_wins_is_told() -> None:
    won = accuracy(blurred=("check", 0.37), vargrad=("ensemble", 0.45), random=("control", 0.6))
    (told,) = story._blurred(won)
    assert "blurred leaves 37.0 % (32.0 to 42.0) at 90 % removed" in told and "vargrad" in told
    assert not list(story._blurred(accuracy(blurred=("check", 0.5), vargrad=("ensemble", 0.45))))
    assert not list(story._blurred(accuracy(random=("control", 0.4))))


def test_masks_that_tell_the_class_are_told() -> None:
    masks = accuracy(ig=("base", 0.9), gb=("base", 0.18), random=("control", 0.9)).assign(mode="mask_only_remove")
    (told,) = story._leak(masks, 1 / 6)
    assert "90 to 90 % (chance 17%) for 1 of 2 rankings" in told
    assert not list(story._leak(masks[masks["estimator"] == "gb"], 1 / 6))


def test_void_metrics_and_few_images_are_told(tmp_path) -> None:
    void = {"label": ["Pointing game", "Deletion"], "centre": [1.0, 0.4], "best": ["RISE", "RISE"], "value": [1.0, 0.2]}
    write_table(tmp_path / "figures" / "void.csv", pd.DataFrame({**void, "void": [True, False]}))
    write_table(tmp_path / "findings.csv", UNDECIDED)
    told = list(story.warnings(tmp_path, None))
    assert len(told) == 2 and "Pointing game is void here" in told[0] and "24 images that every network" in told[1]
    write_table(tmp_path / "findings.csv", UNDECIDED.assign(images=500))
    (tmp_path / "figures" / "void.csv").unlink()
    assert list(story.warnings(tmp_path, None)) == []
    assert "Read with care" not in story.first_screen(tmp_path, None)


@pytest.mark.parametrize("name", ["F1", "R1"])
def test_answers_count_the_verdicts(name) -> None:
    letter = name[0]
    first, *_ = story.answers({letter: UNDECIDED.assign(finding=name)})
    assert "Of 1 claim of" in first and "<b>1 undecided</b>" in first and story.PAPERS[letter][1] in first
