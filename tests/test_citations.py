"""Every shipped method, metric and estimator has its papers; a study has those of all that it uses."""

import fnmatch
import re
from collections import Counter
from pathlib import Path

import pytest

import xailib as xai
from xailib import params
from xailib.errors import InputError
from xailib.params import citations
from xailib.params.facts import registry_facts


@pytest.mark.parametrize("kind", ["methods", "metrics", "estimators", "models"])
def test_everything_shipped_has_an_entry(kind: str) -> None:
    for id in params.ids(kind):
        words = [id, *citations._of(kind, params.load_params(kind, id))]
        assert any(citations._named(word) for word in words), (
            f"{kind}/{id}: add it to the keywords of xailib/params/citations.bib"
        )


def test_entries_are_whole() -> None:
    text = citations.SHIPPED.read_text(encoding="utf-8")
    entries = citations._parsed(text)
    assert len(entries) == text.count("\n@") > 60
    for key, (words, entry) in entries.items():
        assert words and {"author", "title", "year"} <= set(re.findall(r"^  (\w+) = ", entry, flags=re.M)), key
        assert entry.count("{") == entry.count("}") and "keywords" not in entry, key
        year, eprint = re.search(r"year = \{(\d{4})\}", entry)[1], re.search(r"eprint = \{(\d\d)(\d\d)\.\d+\}", entry)
        assert year in key, key
        # A preprint is at most a few years older than the paper, and no year younger.
        assert eprint is None or -1 <= int(year) - 2000 - int(eprint[1]) <= 3, key


def test_every_entry_is_for_something() -> None:
    """Networks of timm and torchvision, which anyone may name, apart."""
    words = {word for kind in params.KINDS for id in params.ids(kind) for word in citations._words(id)}
    words |= {name for known in registry_facts().values() for name in known}
    for key, (patterns, _) in citations._entries().items():
        used = any(fnmatch.filter(words, pattern) for pattern in patterns)
        assert used or all(pattern.startswith("architecture:") for pattern in patterns), key


def test_a_name_gives_its_own_papers_alone() -> None:
    assert re.findall(r"^@\w+\{(\w+),", xai.cite("rise"), flags=re.M) == ["petsiuk2018rise"]
    both = re.findall(r"^@\w+\{(\w+),", xai.cite("rise", "deletion", "vargrad_gradient"), flags=re.M)
    assert Counter(both).most_common(1)[0][1] == 1 and "adebayo2018sanity" in both and "hooker2019benchmark" in both
    assert "sandler2018mobilenetv2" in xai.cite("mobilenet_v2_robust") and "madry2018towards" in xai.cite(
        "mobilenet_v2_robust"
    )


def test_a_study_gives_the_papers_of_all_that_it_uses() -> None:
    assert "benavoli2016should" in xai.cite("compare_example") and "rong2022consistent" in xai.cite("pictograms")
    found = xai.cite("tiny_imagenet")
    for key in ("petsiuk2018rise", "le2015tiny", "huang2017densely", "xie2020adversarial", "nourelahi2022explainable"):
        assert f"{{{key}," in found
    roar = xai.cite("roar_smoke")
    assert (
        "{hooker2019benchmark," in roar and "{petsiuk2018rise," not in roar and "{smilkov2017smoothgrad," not in found
    )


def test_a_workspace_adds_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "citations.bib").write_text("@misc{me2026,\n  title = {Mine},\n  keywords = {my_method},\n}\n")
    assert xai.cite("my_method") == "@misc{me2026,\n  title = {Mine},\n}"
    (tmp_path / "citations.bib").write_text(
        '@misc{a, title = {A}, Keywords = "mine"}\n@misc{b,\n  keywords={other}\n}\n'
    )
    assert xai.cite("mine") == "@misc{a, title = {A},}" and xai.cite("other") == "@misc{b,\n}"
    (tmp_path / "citations.bib").write_bytes(b"\xff")
    with pytest.raises(InputError, match="cannot be read as BibTeX"):
        xai.cite("mine")


def test_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"there is no entry for 'gradcan'; did you mean 'gradcam'\?"):
        xai.cite("gradcan")
    assert citations.main(["gradcan"]) == 2 and "did you mean" in capsys.readouterr().err
    assert citations.main(["gradcam"]) == 0 and "selvaraju2017gradcam" in capsys.readouterr().out


def test_values_cite_the_study_that_they_name_and_leave_out_what_is_not_here() -> None:
    values = params.load_study("pictograms")
    assert "rong2022consistent" in citations.of_study(values)
    elsewhere = {**values, "models": ["someones_net"], "roar": "someones_study"}
    assert "petsiuk2018rise" in citations.of_study(elsewhere) and "rong2022" not in citations.of_study(elsewhere)


@pytest.mark.parametrize("name", [["rise", "deletion"], None], ids=["list", "none"])
def test_what_is_no_name(name: object) -> None:
    with pytest.raises(InputError, match="names: ids are needed, one after the other"):
        xai.cite(name)  # type: ignore[arg-type]
