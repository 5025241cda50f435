"""The first screen: which number a verdict hangs on, and the warnings, which only the study's own numbers call up."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from xailib import params
from xailib.analysis import claims, roar_claims, story
from xailib.errors import InputError
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


@pytest.mark.parametrize(
    ("claim", "verdict", "title"),
    [
        ("R9", "contradicted", "Noise that knows nothing beats every estimator of ROAR"),
        ("R9", "undecided", "No estimator of ROAR is shown to beat noise that knows nothing"),
        ("R9", "supported", None),
        ("R10", "contradicted", "The masks of ROAR give the class away"),
        ("R10", "undecided", "The masks of ROAR may give the class away"),
        ("R8", "contradicted", None),
    ],
)
def test_what_speaks_against_roar_itself_is_told_in_the_claims_own_words(
    claim: str, verdict: str, title: str | None
) -> None:
    rows = [(claim, "headline", verdict, -0.05, -0.1, 0.0, ""), (claim, "part", "undecided", 0.0, 0.0, 0.0, "")]
    told = list(story._roar(findings(rows)))
    assert told == [] if title is None else f"<b>{title}</b>: What was found. <i>{claim}: {verdict}</i>" in told[0]
    assert not list(story._roar(findings([row[:3] + (np.nan,) * 3 + row[6:] for row in rows]))), "not tested"


def test_void_metrics_and_few_images_are_told(tmp_path) -> None:
    void = {
        "label": ["Pointing game", "Deletion"],
        "centre": [1.0, 0.4],
        "best": ["RISE", "RISE"],
        "value": [1.04, 0.2],
    }
    write_table(tmp_path / "figures" / "void.csv", pd.DataFrame({**void, "void": [True, False]}))
    write_table(tmp_path / "findings.csv", UNDECIDED)
    told = list(story.warnings(tmp_path, None))
    assert (
        len(told) == 2
        and "Pointing game is void here" in told[0]
        and "F1 rests on 24 images that every network" in told[1]
    )
    assert "no method is shown to beat" in told[0] and "(which has 1.00; furthest ahead is RISE, 1.04)" in told[0]
    write_table(tmp_path / "findings.csv", UNDECIDED.assign(images=500))
    (tmp_path / "figures" / "void.csv").unlink()
    assert list(story.warnings(tmp_path, None)) == []
    assert "Read with care" not in story.first_screen(tmp_path, None)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda found: found[:0], "has no headline of any finding"),
        (lambda found: found[found["part"] != "headline"], "has no headline of F1 with its verdict"),
        (lambda found: found.assign(verdict=np.nan), "has no headline of F1 with its verdict"),
        (lambda found: found.drop(columns="images"), "has no column 'images'"),
    ],
)
def test_a_table_without_what_every_study_tells_is_one_sentence(damage, why: str, tmp_path: Path) -> None:
    write_table(tmp_path / "findings.csv", damage(UNDECIDED))
    with pytest.raises(InputError, match=rf"findings.csv: {why}.*; delete it and run the study again"):
        story.first_screen(tmp_path, None)


@pytest.mark.parametrize(
    ("only_correct", "images", "told"),
    [
        (True, 1, "F1 to F6 rest on 1 image that every network classifies correctly."),
        (False, 24, "F1 to F6 rest on 24 images."),  # also of images without labels
        (True, 0, "F1 to F6 rest on no image that every network classifies correctly."),
    ],
)
def test_few_images_are_told_as_they_were_chosen(only_correct: bool, images: int, told: str, tmp_path: Path) -> None:
    values = {**params.read(params.study_path("smoke"), "studies")[0], "only_correct": only_correct}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(values))
    every = pd.concat([UNDECIDED.assign(finding=f"F{i}", images=images) for i in range(1, 7)])
    write_table(tmp_path / "findings.csv", every)
    (said,) = story.warnings(tmp_path, None)
    assert said.endswith(told)


@pytest.mark.parametrize("name", ["F1", "R1"])
def test_answers_count_the_verdicts(name) -> None:
    letter = name[0]
    first, *_ = story.answers({letter: UNDECIDED.assign(finding=name)})
    assert "Of 1 claim of" in first and "<b>1 undecided</b>" in first and story.PAPERS[letter][1] in first
