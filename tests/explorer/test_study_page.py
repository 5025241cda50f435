"""The explorer of a study as a page: exact to half a step of colour, self-contained, and whole for any study."""

import base64
import dataclasses
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import xailib as xai
from xailib import explorer
from xailib.analysis.frames import Frames, metric_facts
from xailib.analysis.page import remote_loads
from xailib.errors import InputError
from xailib.explorer import facts as facts_of
from xailib.explorer.study_page import FEWEST, LEVELS, PIXELS, _part, main, start, study_facts
from xailib.results import read_maps, write_table

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def facts(planted: tuple[Path, Frames]) -> dict[str, Any]:
    return study_facts(planted[0])


def tiles(uri: str, width: int, height: int, columns: int, count: int) -> np.ndarray:
    """Pictures of a sheet as a browser reads them: the first colour `(n, h, w)`."""
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))).convert("RGB"))[..., 0]
    places = [(i // columns * height, i % columns * width) for i in range(count)]
    return np.stack([sheet[top : top + height, left : left + width] for top, left in places])


@pytest.mark.parametrize("method", ["gradcam", "lime"])  # unsigned and signed
def test_maps_are_the_studys_to_half_a_step(planted: tuple[Path, Frames], facts: dict[str, Any], method: str) -> None:
    slice = facts["slices"][f"mini_resnet_robust/{method}"]
    maps = read_maps(planted[0] / "mini_resnet_robust" / method / "maps.npz")["maps"].numpy()
    found = tiles(facts["sheets"][slice["sheet"]], slice["width"], slice["height"], slice["columns"], len(maps))
    assert slice["signed"] == (method == "lime") and found.max() == LEVELS
    for i, values in enumerate(maps):
        low, high = slice["low"][i], slice["high"][i]
        shown = low + found[i] / LEVELS * (high - low)
        assert np.abs(shown - values.clip(low, high)).max() <= 0.5 * (high - low) / LEVELS + 2e-4
        assert slice["peak"][i] == values.argmax()


def test_scores_curves_and_answers_are_the_studys(planted: tuple[Path, Frames], facts: dict[str, Any]) -> None:
    scores = planted[1].scores
    for method in ("rise", "sobel"):
        rows = scores[(scores["model"] == "mini_resnet_vanilla") & (scores["method"] == method)]
        for metric, part in rows.groupby("metric"):
            expected = part.set_index("image")["value"].reindex(planted[1].images)
            found = facts["slices"][f"mini_resnet_vanilla/{method}"]["scores"][metric]
            assert found == pytest.approx(expected.tolist(), abs=1e-3)
    curve = np.frombuffer(base64.b64decode(facts["slices"]["mini_resnet_vanilla/rise"]["curves"]["deletion"]), np.uint8)
    assert curve.reshape(5, 29)[:, 0].tolist() == [255] * 5
    assert curve.reshape(5, 29)[4, -1] == pytest.approx(0.5 * 255, abs=1)
    answer = facts["answers"]["mini_resnet_robust"][0]
    images = xai.load_images("pictograms", limit=5)
    assert answer["right"] is True and answer["top"][0][0] == images.class_names[0]
    assert [image["label"] for image in facts["images"]] == [images.class_names[i] for i in images.labels.tolist()]
    assert facts["masked"]


def test_first_panes_are_a_network_and_its_robust_twin(facts: dict[str, Any]) -> None:
    one, other = facts["start"]["panes"]
    assert (one["network"], other["network"]) == ("mini_resnet_vanilla", "mini_resnet_robust")
    assert one["method"] == other["method"]


def test_first_panes_are_of_what_has_maps(planted: tuple[Path, Frames]) -> None:
    def shown(*pairs: tuple[str, str]) -> list[tuple[str, ...]]:
        return [tuple(pane.values()) for pane in start(planted[1], list(pairs))]

    robust = "mini_resnet_robust"
    assert shown((robust, "rise"), (robust, "random")) == [(robust, "rise"), (robust, "random")]
    assert shown((robust, "rise")) == [(robust, "rise")] * 2
    assert shown((robust, "rise"), (robust, "sobel"), ("other", "lime")) == [(robust, "rise"), ("other", "lime")]
    assert shown() == []


def test_page_is_one_piece_that_asks_the_network_for_nothing(planted: tuple[Path, Frames]) -> None:
    text = explorer.page(planted[0])
    assert not re.search(r"https?:|//\w+\.|@import|\bfetch\(", text)
    assert "needs JavaScript" in text.partition("<noscript>")[2].partition("</noscript>")[0]
    data = re.search(r'<script type="application/json">(.*?)</script>', text, re.DOTALL)
    assert data and json.loads(data[1])["networks"]


def test_a_range_without_an_end_has_no_number() -> None:
    (row,) = facts_of.metrics(metric_facts(["max_sensitivity"]))
    assert (row["low"], row["high"], json.loads(json.dumps(row, allow_nan=False))) == (0, None, row)


@pytest.mark.parametrize("label", ["</script><b>", "<!-- <script>", "<img src=http://a.org/b>", "<!--/verbatim-->"])
def test_class_names_are_no_html_of_the_page(
    label: str, planted: tuple[Path, Frames], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = study_facts(planted[0])
    found["images"][0]["label"] = label
    monkeypatch.setattr("xailib.explorer.study_page.study_facts", lambda folder: found)
    page = explorer.page(planted[0])
    data = re.search('<script type="application/json">(.*?)</script>', page, re.DOTALL)
    assert label not in page and json.loads(data[1])["images"][0]["label"] == label and not remote_loads(page)


def one_of_everything(folder: Path, frames: Frames) -> Path:
    """A study of one image, one network, one method and one metric."""
    from synthetic import write

    def keep(table: pd.DataFrame) -> pd.DataFrame:
        facts = {"model": "mini_resnet_vanilla", "method": "gradcam", "metric": "deletion", "image": frames.images[0]}
        for key in facts.keys() & set(table):
            table = table[table[key] == facts[key]]
        return table.reset_index(drop=True)

    kept = {name: keep(getattr(frames, name)) for name in ("scores", "reliability", "predictions", "accuracy")}
    folder = write(dataclasses.replace(frames, **kept), folder / "one", side=64)
    write_table(folder / "skipped.csv", pd.DataFrame())
    (folder / "study.yaml").write_text(
        "study: one\ndataset: pictograms\nsplit: test\nlimit: 1\nmodels: mini_resnet_vanilla\nmethods: gradcam\n"
        "metrics: deletion\n"
    )
    return folder


def test_a_study_with_one_of_everything(planted: tuple[Path, Frames], tmp_path: Path) -> None:
    folder = one_of_everything(tmp_path, planted[1])
    found = study_facts(folder)
    assert len(found["images"]) == len(found["networks"]) == len(found["methods"]) == len(found["slices"]) == 1
    assert found["start"]["panes"] == [{"network": "mini_resnet_vanilla", "method": "gradcam"}] * 2
    (folder / "mini_resnet_vanilla" / "gradcam" / "maps.npz").unlink()
    assert explorer.page(folder) == "<p>This study has no maps to explore.</p>"


def test_without_labels_no_choice_of_right_and_wrong_images(
    planted: tuple[Path, Frames], facts: dict[str, Any], tmp_path: Path
) -> None:
    unlabelled = planted[1].predictions.assign(correct=np.nan)
    folder = one_of_everything(tmp_path, dataclasses.replace(planted[1], predictions=unlabelled))
    assert facts["judged"] and not study_facts(folder)["judged"]


def test_large_studies_are_shown_in_part_and_say_so() -> None:
    assert _part(36, 64, 142) == (36, 1)
    for images, side, slices in ((2000, 224, 132), (100, 64, 2400), (20, 224, 28)):
        count, step = _part(images, side, slices)
        assert 1 <= count <= images and (count * slices * (side // step) ** 2 <= PIXELS or count == 1)
        assert count >= min(images, FEWEST) or step == 8


def test_command_writes_a_page_or_says_what_is_wrong(
    planted: tuple[Path, Frames], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(planted[0]), str(tmp_path / "explorer.html")]) == 0
    assert (tmp_path / "explorer.html").read_text().startswith("<!doctype html>")
    assert main([str(tmp_path / "nowhere"), str(tmp_path / "x.html")]) == 2
    assert "no such results folder" in capsys.readouterr().err


def test_maps_of_other_images_are_refused(planted: tuple[Path, Frames], tmp_path: Path) -> None:
    folder = one_of_everything(tmp_path, planted[1])
    values = (folder / "study.yaml").read_text()
    (folder / "study.yaml").write_text(values.replace("split: test", "split: test\nseed: 7"))
    with pytest.raises(InputError, match="has no scores"):
        explorer.page(folder)


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no Chromium here")
def test_page_in_a_browser(planted: tuple[Path, Frames], tmp_path: Path) -> None:
    """Nothing is said on the console, a change is drawn at once, keys work, and a phone need not scroll sideways."""
    playwright = pytest.importorskip("playwright.sync_api")
    assert main([str(planted[0]), str(tmp_path / "explorer.html")]) == 0
    with playwright.sync_playwright() as run:
        browser = run.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 800})
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        text = (tmp_path / "explorer.html").read_text().replace("\nmount(", "\nwindow.explored = mount(")
        (tmp_path / "explorer.html").write_text(text)
        page.goto((tmp_path / "explorer.html").as_uri())
        page.wait_for_selector(".xai[data-ms]")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        pane = page.locator(".xai-pane").first
        before = pane.locator("canvas").last.evaluate("canvas => canvas.toDataURL()")
        pane.locator("select").last.select_option("rise")
        page.wait_for_function("document.querySelector('.xai-pane h3').textContent.includes('RISE')")
        assert pane.locator("canvas").last.evaluate("canvas => canvas.toDataURL()") != before
        assert pane.locator(".xai-curves polyline").count() == 1
        assert float(page.locator(".xai").get_attribute("data-ms")) < 500  # 25 on an idle machine
        page.locator(".xai").focus()
        page.keyboard.press("ArrowRight")
        page.wait_for_function("document.querySelector('.xai-what').textContent.startsWith('Image 2 of 5')")
        page.evaluate("explored.source.answers = (network, i) => ({ top: [['a', 1]], right: i === 2 || i === 4 })")
        page.evaluate("explored.set({ image: 1, filter: 'right' })")
        for key, image in (("ArrowRight", 3), ("ArrowRight", 5), ("ArrowRight", 3), ("ArrowLeft", 5), ("ArrowLeft", 3)):
            page.locator(".xai").focus()
            page.keyboard.press(key)
            page.wait_for_function(f"document.querySelector('.xai-what').textContent.startsWith('Image {image} of 5')")
        assert not said
        browser.close()


def test_an_answer_to_an_image_without_a_label_is_neither_right_nor_wrong() -> None:
    from xailib.explorer.study_page import _said

    row = {"predicted": 0, "confidence": 0.5, "correct": float("nan")}
    assert _said("mini_resnet_vanilla", pd.DataFrame([row, row | {"correct": 1.0}]))[0]["right"] is None
    assert _said("mini_resnet_vanilla", pd.DataFrame([row | {"correct": 1.0}]))[0]["right"] is True
