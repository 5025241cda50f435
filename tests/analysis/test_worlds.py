"""Findings of several studies side by side: agreement, disagreement, and what is not there."""

from pathlib import Path

import pandas as pd
import pytest

from xailib.analysis import findings, worlds
from xailib.errors import InputError
from xailib.workflow import digests as sources
from xailib.workspace import SHIPPED, findings_path


def with_verdicts(found: pd.DataFrame, **verdicts: str) -> pd.DataFrame:
    changed = found.copy()
    for id, verdict in verdicts.items():
        changed.loc[(changed["finding"] == id) & (changed["part"] == "headline"), "verdict"] = verdict
    return changed


@pytest.fixture(scope="module")
def found(study) -> pd.DataFrame:
    every = {id: "supported" for id in ("F1", "F2", "F3", "F4", "F5", "F6")}
    return with_verdicts(findings.examine(study, 100, 0), **every)


def test_agreement_opposition_and_what_one_world_alone_decides(found: pd.DataFrame) -> None:
    other = with_verdicts(found, F2="contradicted", F3="undecided", F5="undecided")
    text = worlds.verdict_on_worlds({"here": found, "there": other})
    assert "agree on** F1 (supported), F4 (supported) and F6 (supported)." in text
    assert "disagree on** F2:" in text
    assert "some worlds only: F3 and F5." in text and "Undecided in all" not in text


@pytest.mark.parametrize("word", ["supported", "contradicted"])
def test_what_is_decided_in_other_words_is_not_said_to_be_undecided(found: pd.DataFrame, word: str) -> None:
    here, there = with_verdicts(found, F1=word), with_verdicts(found, F1="equivalent", F2="undecided")
    text = worlds.verdict_on_worlds({"here": here, "there": there})
    assert f"Decided differently: F1 ({word} on here, equivalent on there)." in text
    assert "Decided in some worlds only: F2." in text and "disagree on" not in text
    text = worlds.verdict_on_worlds({"here": here, "there": there, "elsewhere": here[here["finding"] != "F1"]})
    assert f"Decided differently: F1 ({word} on here, equivalent on there)." in text


def test_parts_that_disagree_are_told_with_each_worlds_word(found: pd.DataFrame) -> None:
    part = "Insertion with mean confidence"
    here, there = found.copy(), found.copy()
    here.loc[here["part"] == part, "verdict"], there.loc[there["part"] == part, "verdict"] = "supported", "contradicted"
    text = worlds.verdict_on_worlds({"pictograms": here, "photographs": there})
    assert f"disagree on** F4, {part} (supported on pictograms, contradicted on photographs)." in text
    lacking = there[there["part"] != part]  # a world that lacks what the part is about
    text = worlds.verdict_on_worlds({"pictograms": here, "symbols": lacking, "photographs": there})
    assert f"disagree on** F4, {part} (supported on pictograms, contradicted on photographs)." in text
    assert "Behind the verdicts" not in worlds.verdict_on_worlds({"pictograms": here, "photographs": here})


def test_nothing_in_common_is_said(found: pd.DataFrame) -> None:
    other = with_verdicts(found, **{id: "undecided" for id in ("F1", "F2", "F3", "F4", "F5", "F6")})
    text = worlds.verdict_on_worlds({"here": found, "there": other})
    assert "On no finding do all worlds agree" in text and "No finding is supported in one and contradicted" in text
    assert "name its study in `compare`" in worlds.verdict_on_worlds({"here": found})


def test_table_shows_each_world_with_its_number(found: pd.DataFrame) -> None:
    other = with_verdicts(found, F2="undecided")
    table = worlds.side_by_side({"pictograms": found, "tiny_imagenet": other})
    assert list(table.frame.index) == ["F1", "F2", "F3", "F4", "F5", "F6"]
    assert table.frame.loc["F1", "pictograms"].startswith("supported: ")
    assert table.best.loc["F2", "pictograms"] and not table.best.loc["F2", "tiny_imagenet"]
    assert not table.best["Claim"].any()
    near = worlds.side_by_side({"here": found.assign(value=-1e-9, low=-1e-9)})
    assert "+0.000 (+0.000 to" in near.frame.loc["F1", "here"] and "-0.000" not in near.frame.loc["F1", "here"]
    html = table._repr_html_()
    assert "tiny_imagenet" in html and "in 2 worlds" in html


def test_own_run_comes_before_the_shipped_findings(found: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "tiny_imagenet"
    folder.mkdir()
    assert findings_path("pictograms_full", tmp_path) == SHIPPED / "docs" / "findings" / "pictograms_full.csv"
    shipped = sources.findings_code(["pictograms_full"], tmp_path)
    (tmp_path / "pictograms_full").mkdir()
    found.to_csv(tmp_path / "pictograms_full" / "findings.csv", index=False)
    assert findings_path("pictograms_full", tmp_path) == tmp_path / "pictograms_full" / "findings.csv"
    assert sources.findings_code(["pictograms_full"], tmp_path) != shipped
    assert worlds.other_findings(["pictograms_full", "never_run"], folder).keys() == {"pictograms_full"}


def test_a_file_that_is_no_table_of_findings_is_named(tmp_path: Path) -> None:
    for study in ("pictograms_full", "tiny_imagenet"):
        (tmp_path / study).mkdir()
    (tmp_path / "pictograms_full" / "findings.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"findings.csv: has no column 'finding'; delete it"):
        worlds.other_findings(["pictograms_full"], tmp_path / "tiny_imagenet")
