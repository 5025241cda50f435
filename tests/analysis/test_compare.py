"""Comparisons whose truth is planted: the words that a rule gives, and how often it is wrong."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic
from bs4 import BeautifulSoup
from cells import drawn, run_cells, texts
from nbconvert.filters import markdown2html
from scipy.special import ndtr, ndtri
from scipy.stats import wilcoxon

from xailib.analysis import advice, compare, controls, limits, scores
from xailib.analysis.frames import Frames, method_facts, metric_facts, model_facts
from xailib.analysis.intervals import holm
from xailib.results import read_table, write_table

MODEL = "mini_resnet_vanilla"

METHODS = ["gradient", "integrated_gradients", "shap", "cam", "gradcam", "rise", "lime"]
CONTROLS = ["random", "centre_gaussian", "sobel"]
METRICS = ["pointing_game", "localisation", "deletion", "insertion"]


def planted(
    seed: int = 0,
    images: int = 24,
    leads: dict[str, float] | None = None,
    controls: float = -0.15,
    methods: list[str] | None = None,
    correlated: float = 0.5,
) -> Frames:
    """Return one network's study: scores of 0.5, plus a method's lead, plus noise of 0.1 to 0.12 between images.

    Args:
        leads: method -> what it is better by, under every metric.
        controls: their lead over a method without one.
        correlated: share of a method's noise on an image that all metrics see.
    """
    random, methods = np.random.default_rng(seed), [*(methods or METHODS), *CONTROLS]
    leads = dict.fromkeys(CONTROLS, controls) | (leads or {})
    rows, ids = [], [f"image_{i}" for i in range(images)]
    image = random.normal(0, 0.1, images)
    for method in methods:
        shared = random.normal(0, 0.1, images)
        for metric in METRICS:
            good = 0.5 + leads.get(method, 0) + image + correlated * shared + random.normal(0, 0.1, images)
            if metric in ("pointing_game", "localisation"):
                value = (random.random(images) < good.clip(0, 1)).astype(float)
            else:
                value = 1 - good if metric == "deletion" else good
            rows.append(pd.DataFrame({"method": method, "metric": metric, "image": ids, "value": value}))
    scores = pd.concat(rows, ignore_index=True).assign(model=MODEL, target=0)
    right = pd.DataFrame({"model": MODEL, "image": ids, "correct": True, "subset": "maps"})
    return Frames(
        scores,
        right,
        pd.DataFrame(columns=["model", "shift", "accuracy"]),
        pd.DataFrame(),
        model_facts([MODEL]),
        method_facts(methods),
        metric_facts(METRICS),
    )


def checked(frames: Frames, failing: set[str]) -> Frames:
    """Add a sanity check that some methods fail."""
    last = {name: 0.95 if name in failing else 0.1 for name in frames.methods.index}
    rows = [(MODEL, name, image, value, value) for name, value in last.items() for image in frames.images[:4]]
    return dataclasses.replace(frames, sanity=pd.DataFrame(rows, columns=list(frames.sanity.columns)))


def test_a_null_names_a_winner_in_at_most_one_study_of_twenty() -> None:
    studies = [planted(seed) for seed in range(60)]
    assert sum(bool(advice.advise(frames).winner) for frames in studies) <= 3
    assert sum((compare.overall(frames)["adjusted"] < 0.05).any() for frames in studies) <= 6


def test_two_equal_leaders_are_not_told_apart() -> None:
    """The null that tempts most: two methods far ahead of all others, and alike."""
    found = [advice.advise(planted(seed, leads={"rise": 0.3, "gradcam": 0.3})) for seed in range(40)]
    assert sum(bool(one.winner) for one in found) <= 2
    assert np.mean([set(one.leaders) == {"rise", "gradcam"} for one in found]) >= 0.8


def test_a_truth_by_a_margin_is_found() -> None:
    """A lead of 0.2 is 1.3 standard deviations of the scores of one method."""
    winners = [advice.advise(planted(seed, leads={"rise": 0.2})).winner for seed in range(40)]
    assert winners.count("rise") >= 32 and set(winners) <= {"rise", ""}


def scored(table: dict[str, np.ndarray], noise: float = 0.01, seed: int = 0) -> Frames:
    """One network's study by one metric, from each method's scores; all are ahead of the controls."""
    random, images = np.random.default_rng(seed), len(next(iter(table.values())))
    ids = [f"image_{i}" for i in range(images)]
    table = table | {name: np.full(images, 0.1) for name in CONTROLS}
    rows = [
        pd.DataFrame(
            {"method": name, "metric": "localisation", "image": ids, "value": own + random.normal(0, noise, images)}
        )
        for name, own in table.items()
    ]
    return Frames(
        pd.concat(rows, ignore_index=True).assign(model=MODEL, target=0),
        pd.DataFrame({"model": MODEL, "image": ids, "correct": True, "subset": "maps"}),
        pd.DataFrame(columns=["model", "shift", "accuracy"]),
        pd.DataFrame(),
        model_facts([MODEL]),
        method_facts(list(table)),
        metric_facts(["localisation"]),
    )


def beaten_first(noise: float = 0.01, seed: int = 0) -> Frames:
    """GradCAM has scores on 12 of 40 images, where it is ahead of RISE, but others are ahead of both on some of these."""
    place, table = np.arange(40), {"gradient": np.full(40, 0.3), "rise": np.full(40, 0.5)}
    for i, name in enumerate(("lime", "integrated_gradients", "shap")):
        table[name] = np.where((place < 12) & (place % 3 != i), 0.8, 0.3)
    return scored({**table, "gradcam": np.where(place < 12, 0.6, np.nan)}, noise, seed)


def test_a_method_that_beats_the_first_is_not_said_to_be_behind_it() -> None:
    frames = beaten_first()
    assert compare.ranking(frames)["method"].iloc[0] == "rise" and ("gradcam", "rise") in compare.won(frames)
    found = advice.advise(frames)
    assert not found.winner and found.leaders == ("rise", "gradcam")
    assert "**RISE** ranks first, but **GradCAM** is ahead of it where both have scores (p = 0.0" in found.text
    assert "would decide" not in found.text and "ahead of every other" not in found.text


def test_no_word_contradicts_a_test_of_two_methods() -> None:
    """Whoever is ahead of a leader is named beside it, whichever scores are missing."""
    beaten = 0
    for seed in range(8):
        frames = beaten_first(0.04, seed)
        rows, label = frames.scores, frames.methods["label"]
        lost = (rows["method"] == METHODS[seed % 3]) & (np.random.default_rng(seed).random(len(rows)) < 0.5)
        frames = dataclasses.replace(frames, scores=rows.assign(value=rows["value"].mask(lost)))
        found, won = advice.advise(frames), compare.won(frames)
        first, *rest = found.leaders
        assert {name for name in label.index if (first, name) in won} == set(METHODS[:7]) - {"cam", first, *rest}
        for better, worse in won:
            if worse in found.leaders:
                beaten += 1
                words = "ranks first, but" if worse == first else f"{label[worse]} is itself behind"
                assert not found.winner and label[better] in found.text.split(words)[1].split(". ")[0]
    assert beaten > 2


def test_a_leader_that_another_method_is_ahead_of_is_said_to_be_behind_it() -> None:
    """RISE has 12 images, where it and the first come out even, and SHAP, behind the first on others, is ahead of it."""
    few, odd = np.arange(40) < 12, np.arange(40) % 2 == 1
    frames = scored({
        "gradcam": np.where(few & odd, 0.4, 0.6), "shap": np.where(few, 0.55, 0.5),
        "rise": np.where(few, 0.5, np.nan), "lime": np.full(40, 0.2),
    }, noise=0.001)  # fmt: skip
    found = advice.advise(frames)
    assert found.leaders == ("gradcam", "rise") and {("gradcam", "shap"), ("shap", "rise")} <= compare.won(frames)
    assert (
        "cannot be told apart" in found.text and "GradCAM is ahead of SHAP. RISE is itself behind SHAP." in found.text
    )


@pytest.mark.parametrize(("low", "high"), [(0, np.inf), (-np.inf, 1), (-np.inf, np.inf)])
def test_a_range_without_an_end_makes_no_metric_void(low: float, high: float) -> None:
    """As of a metric of one's own: what tells methods apart by their values tells them apart here."""
    whole = planted(leads={"rise": 0.3})
    frames = dataclasses.replace(whole, metrics=whole.metrics.assign(low=float(low), high=float(high)))
    assert controls.void(frames, 200) == controls.void(whole, 200)
    assert advice.advise(frames) == advice.advise(whole)
    good, values = scores.goodness(scores.cube(frames), frames).values, scores.cube(whole).values
    signs = np.where(frames.metrics["better"] == "lower", -1, 1)
    for k, sign in enumerate(signs):
        orders = [np.argsort(np.round(one[0, :, k].ravel(), 12), kind="stable") for one in (good, sign * values)]
        assert np.array_equal(*orders), "the order of the scores stays"


@pytest.mark.parametrize("scale", [1e-12, 1e-6])
def test_small_scores_tell_methods_apart_alike(scale: float) -> None:
    """Infidelity, a mean square of small losses, is 1e-12 where a network is very sure."""
    whole = planted(leads={"rise": 0.3})
    whole = dataclasses.replace(whole, scores=whole.scores[whole.scores["metric"].isin(["deletion", "insertion"])])
    whole = dataclasses.replace(
        whole, metrics=whole.metrics.assign(low=0.0, high=np.inf).loc[["deletion", "insertion"]]
    )
    other = dataclasses.replace(whole, scores=whole.scores.assign(value=scale * whole.scores["value"]))
    assert compare.won(other) == compare.won(whole) and compare.beaten(other).equals(compare.beaten(whole))
    pd.testing.assert_frame_equal(compare.ranking(other, 200), compare.ranking(whole, 200))


def test_words_show_labels_as_they_are() -> None:
    """What is Markdown of a label stays text: a reader of `RISE <small>` would else see `RISE`."""
    frames = planted(leads={"rise": 0.3})
    strange = {"models": "Net <v2> $x$", "methods": "`_` *M* <i>", "metrics": "[a](b) ~~c~~ <u>"}
    told = {kind: getattr(frames, kind) for kind in strange}
    told = {kind: table.assign(label=strange[kind] + " " + table.index) for kind, table in told.items()}
    frames = dataclasses.replace(frames, **told)
    text = advice.advise(frames).text + " " + compare.dispute(frames) + " ".join(limits.limits(frames, 100))
    seen = BeautifulSoup(markdown2html(text), "html.parser").get_text()
    for kind in ("models", "methods", "metrics"):
        assert any(label in seen for label in told[kind]["label"]), kind
    assert seen.count("<u>") == text.count("<u>") and seen.count("<i>") == text.count("<i>") > 0
    assert "Net <v2> $x$" in advice.summary(frames).caption


def test_where_controls_do_as_well_nothing_is_recommended() -> None:
    found = [advice.advise(planted(seed, controls=0.0)) for seed in range(20)]
    assert not any(one.winner or one.leaders for one in found)
    assert "no metric can tell a method from a map that ignores the network" in found[0].text


def test_a_method_that_fails_the_sanity_check_is_not_recommended() -> None:
    frames = planted(leads={"rise": 0.4, "gradcam": 0.2})
    assert advice.advise(frames).winner == "rise"
    found = advice.advise(checked(frames, {"rise", "random"}))
    assert found.winner == "gradcam" and "RISE fails the sanity check" in found.text
    assert "ahead of every other method that passes the sanity check" in found.text
    nobody = advice.advise(checked(frames, set(METHODS)))
    assert not nobody.leaders and "every method fails the sanity check" in nobody.text


def test_a_method_without_a_result_of_the_sanity_check_is_not_said_to_pass() -> None:
    """Its maps may have been constant, or it was left out of the check."""
    frames = planted(leads={"rise": 0.4, "gradcam": 0.2})
    sanity = checked(frames, {"lime"}).sanity
    lost = {
        "missing": sanity[sanity["method"] != "rise"],
        "not a number": sanity.assign(last=sanity["last"].mask(sanity["method"] == "rise")),
    }
    for case, table in lost.items():
        one = dataclasses.replace(frames, sanity=table)
        found = advice.advise(one)
        assert found.winner == "rise" and "Whether maps of RISE follow the network was not checked." in found.text, case
        assert "ahead of every other method that does not fail the sanity check" in found.text, case
        assert "passes" not in found.text and "LIME fails" in found.text, case
        plain = advice.summary(one).plain.set_index("method")["fails"]
        assert pd.isna(plain["rise"]) and plain["lime"] and not plain["gradcam"], case
    none = advice.advise(dataclasses.replace(frames, sanity=sanity[:0]))
    assert "Whether maps follow the network was not checked." in none.text and "sanity" not in none.text


def test_metrics_that_order_equal_methods_by_chance_are_not_said_to_disagree() -> None:
    """One method leads, which makes metrics count, and the others are alike."""
    studies = [planted(seed, leads={"gradient": 0.2}, methods=METHODS[:5]) for seed in range(40)]
    assert sum("against each other" in advice.advise(frames).text for frames in studies) <= 2


def test_metrics_that_order_methods_the_other_way_round_are_said_to() -> None:
    frames = planted(leads={name: 0.1 + 0.1 * i for i, name in enumerate(METHODS)})
    turned = (frames.scores["metric"] == "deletion") & ~frames.scores["method"].isin(CONTROLS)
    value = frames.scores["value"].mask(turned, -0.7 - frames.scores["value"])
    frames = dataclasses.replace(frames, scores=frames.scores.assign(value=value))
    table = compare.agreement(frames)
    assert (table["p"] * len(table) < 0.05).equals(table["rho"].abs() >= table["critical"])
    assert (
        "Deletion"
        in advice.advise(frames).text.split(" order the methods against each other (ρ = -")[0].split(". ")[-1]
    )


def test_the_words_of_two_leaders() -> None:
    frames = planted(1, leads={"rise": 0.25, "gradcam": 0.2})
    costs = pd.DataFrame({"seconds": [1.3, 0.02], "forward": 1.0, "backward": 0.0}, ["rise", "gradcam"])
    noise = synthetic.repeated(frames.scores, frames.images[:4], {"rise": 0.3})
    found = advice.advise(dataclasses.replace(frames, reliability=noise), costs)
    assert found.leaders == ("rise", "gradcam") and not found.winner
    table = compare.pairs(frames)
    row = table[(table["metric"] == "overall") & table["first"].eq("rise") & table["second"].eq("gradcam")].iloc[0]
    assert (
        f"**RISE** and **GradCAM** cannot be told apart (p = {row['adjusted']:.2f}); both are ahead of " in found.text
    )
    assert f"n = 24 images; about {row['more']:.0f} more would decide between them" in found.text
    assert "GradCAM is the cheapest of them (0.02 s an image in the network, RISE 1.3 s)" in found.text
    assert "Maps of RISE change with the seed" in found.text


def test_how_many_more_images_would_decide() -> None:
    """With that many, the same standardised difference is just beyond the first step of Holm's correction."""
    frames = planted(1, leads={"rise": 0.25, "gradcam": 0.2})
    row = compare.pairs(frames).set_index(["metric", "first", "second"]).loc[("overall", "rise", "gradcam")]
    enough, short = (2 * ndtr(ndtri(row["p"] / 2) * np.sqrt((row["n"] + row["more"] - i) / row["n"])) for i in (0, 1))
    assert enough <= 0.05 / 21 < short


def test_few_images_are_said_to_decide_nothing() -> None:
    found = advice.advise(planted(images=6, leads={"rise": 0.4}))
    assert not found.winner
    # 21 pairs: 2^(1 - n) < 0.05 / 21 from n = 10 on.
    assert "6 images cannot tell any two of 7 methods apart, whatever they show: it takes 10 at least" in found.text
    assert "it takes" not in advice.advise(planted(images=10, leads={"rise": 0.4})).text


def test_pairs_are_wilcoxons_with_holms_correction() -> None:
    from statsmodels.stats.multitest import multipletests

    frames = planted(3, leads={"rise": 0.1})
    table = compare.pairs(frames)
    assert len(table) == 21 * (1 + len(METRICS)) and (table["lead"] >= 0).all()
    row = table[(table["metric"] == "deletion") & table[["first", "second"]].isin(["rise", "lime"]).all(axis=1)].iloc[0]
    values = frames.scores.query("metric == 'deletion'").pivot(index="image", columns="method", values="value")
    assert row["p"] == pytest.approx(wilcoxon(values[row["first"]], values[row["second"]]).pvalue)
    assert row["lead"] == pytest.approx((values[row["second"]] - values[row["first"]]).mean())
    for part in (table[table["metric"] == "overall"], table[table["metric"] != "overall"]):
        assert np.allclose(part["adjusted"], multipletests(part["p"], method="holm")[1])
    assert holm([]).size == 0


def test_a_pair_has_its_own_p_whatever_is_tested_beside_it() -> None:
    """The hits of the pointing game have ties, deletion has none."""
    frames = planted(3, leads={"rise": 0.1})
    values = frames.scores.query("metric == 'deletion'").pivot(index="image", columns="method", values="value")
    table = compare.over_controls(frames).set_index(["method", "metric", "control"])["p"]
    p = wilcoxon(values["random"], values["rise"], alternative="greater").pvalue
    assert table["rise", "deletion", "random"] == pytest.approx(p)


def test_nobody_is_ahead_by_ranks_that_point_the_other_way() -> None:
    """LIME is better by far on 15 images and a little worse on 85: ahead in the mean, behind by signed ranks."""
    frames = planted(images=100, methods=["lime", "rise"])
    rows = frames.scores["method"].eq("lime") & frames.scores["metric"].eq("insertion")
    other = frames.scores.query("method == 'rise' and metric == 'insertion'")["value"].to_numpy()
    value = frames.scores["value"].copy()
    value[rows] = other + np.where(np.arange(100) < 15, 0.6, -0.1) + np.linspace(0, 0.01, 100)
    table = compare.pairs(dataclasses.replace(frames, scores=frames.scores.assign(value=value)))
    row = table[table["metric"] == "insertion"].iloc[0]
    assert row["first"] == "lime" and row["lead"] > 0
    assert wilcoxon(value[rows], other).pvalue < 0.001 and row["p"] == row["adjusted"] == 1


def test_a_method_without_a_score_does_not_lead() -> None:
    frames = planted(leads={"rise": 0.4})
    value = frames.scores["value"].mask(frames.scores["method"] == "shap")
    assert advice.advise(dataclasses.replace(frames, scores=frames.scores.assign(value=value))).leaders == ("rise",)


def test_the_centre_is_known_under_another_name() -> None:
    """A parameter file may call a control as it likes."""
    frames, names = planted(controls=0.0), {"centre_gaussian": "spot"}
    scores = frames.scores.assign(method=frames.scores["method"].replace(names))
    frames = dataclasses.replace(frames, scores=scores, methods=frames.methods.rename(index=names))
    assert set(compare.judges(frames)["word"]) == {compare.VOID}


def test_a_metric_that_the_centre_wins_is_void_and_carries_no_verdict() -> None:
    frames = planted(leads={"rise": 0.4})
    centred = frames.scores["method"].eq("centre_gaussian") & frames.scores["metric"].eq("deletion")
    frames = dataclasses.replace(frames, scores=frames.scores.assign(value=frames.scores["value"].mask(centred, 0.0)))
    found = compare.judges(frames)
    assert found.loc["deletion", "word"] == compare.VOID and found.loc["insertion", "word"] == compare.COUNTS
    assert "deletion" not in compare.places(frames)
    assert "Deletion" in advice.advise(frames).text and "void here" in advice.advise(frames).text
    assert "Deletion ↓ (void)" in advice.summary(frames).frame


def test_a_metric_without_scores_is_left_out_and_said() -> None:
    frames = planted(leads={"rise": 0.4})
    boxless = frames.scores["metric"].isin(["pointing_game", "localisation"])
    frames = dataclasses.replace(frames, scores=frames.scores.assign(value=frames.scores["value"].mask(boxless)))
    found = advice.advise(frames)
    assert found.winner == "rise" and "Pointing game and WSL localisation are left out" in found.text


def test_a_network_that_is_right_on_no_image_has_a_notebook_that_says_so(tmp_path: Path) -> None:
    frames = checked(planted(leads={"rise": 0.3}), {"lime"})
    wrong = dataclasses.replace(frames, predictions=frames.predictions.assign(correct=False))
    folder = written(wrong, tmp_path / "study")
    run_cells(
        "compare", {"study": "study", "results_dir": str(folder), "out_dir": str(tmp_path / "out"), "bootstrap": 100}
    )
    assert "nothing can be recommended" in read_table(tmp_path / "out" / "advice.csv")["text"][0]


def test_costs_are_those_of_the_records(tmp_path: Path) -> None:
    frames = planted(images=10)
    record = {"parameters": {"reliability_images": 2}, "passes": {"seconds": 6.0, "forward": 1200, "backward": 0}}
    path = tmp_path / MODEL / "rise" / "attribute.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(record))
    found = compare.costs(frames, tmp_path, 10)
    assert list(found.index) == ["rise"] and found.loc["rise"].tolist() == [0.5, 100, 0]


def written(frames: Frames, folder: Path) -> Path:
    write_table(synthetic.write(frames, folder, side=4) / "sanity.parquet", frames.sanity)
    return folder


def test_the_notebook_of_a_planted_truth(tmp_path: Path) -> None:
    frames = checked(planted(leads={"rise": 0.3}), {"lime", "random", "sobel", "centre_gaussian"})
    folder = written(frames, tmp_path / "study")
    given = {"study": "study", "results_dir": str(folder), "out_dir": str(tmp_path / "out"), "bootstrap": 100}
    run_cells("compare", given)
    found = read_table(tmp_path / "out" / "advice.csv")
    assert found["winner"].tolist() == ["rise"] and "LIME fails the sanity check" in found["text"][0]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    figures = [f"{name}_{MODEL}" for name in ("ranks", "metrics", "agreement")] + ["sanity"]
    assert names >= {f"{name}.{ending}" for name in figures for ending in ("png", "pdf", "csv")}
    assert names >= {f"table_{MODEL}.csv", f"pairs_{MODEL}.csv"}
    figures = drawn("compare", given)
    assert {"RISE (1.3)", "LIME"} & set(texts(figures[f"ranks_{MODEL}"]).splitlines())
    assert "Centre" in texts(figures[f"metrics_{MODEL}"])


def alone(frames: Frames, methods: list[str]) -> Frames:
    kept = frames.scores["method"].isin(methods)
    return dataclasses.replace(frames, scores=frames.scores[kept], methods=frames.methods.loc[methods])


CASES: dict[str, Callable[[], Frames]] = {
    "one method": lambda: alone(planted(), ["rise"]),
    "controls alone": lambda: alone(planted(), CONTROLS),
    "two methods, no control": lambda: alone(planted(leads={"rise": 0.3}), ["rise", "lime"]),
    "one image": lambda: planted(images=1),
    "nothing right": lambda: (found := planted()) and dataclasses.replace(
        found, predictions=found.predictions.assign(correct=False)
    ),
    "no score": lambda: (found := planted()) and dataclasses.replace(found, scores=found.scores.assign(value=np.nan)),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_notebook_of_a_small_study(case: str, tmp_path: Path) -> None:
    folder = written(CASES[case](), tmp_path / "study")
    given = {"study": "study", "results_dir": str(folder), "out_dir": str(tmp_path / "out"), "bootstrap": 100}
    run_cells("compare", given)
    text = read_table(tmp_path / "out" / "advice.csv")["text"][0]
    assert ("nothing can be recommended" in text) == (case != "two methods, no control")
