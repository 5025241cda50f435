"""The site builds without a warning, and each of its pages is whole in a browser, wide and narrow, without a network."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("material")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
# What is wrong with an open page; wide things may scroll inside their own boxes, the page itself may not.
LOOK = """() => [
    ...[...document.images].filter(i => !i.alt.trim()).map(i => 'no alternative text: ' + i.src.slice(0, 80)),
    ...[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => 'no picture: ' + i.src.slice(0, 80)),
    ...(document.documentElement.scrollWidth > window.innerWidth + 1
        ? ['scrolls sideways: ' + document.documentElement.scrollWidth + ' px'] : []),
]"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Path:
    """The site with its tutorials as they are committed; `test_docs` runs them."""
    folder = tmp_path_factory.mktemp("site")
    words = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--site-dir", str(folder)]
    without = {**os.environ, "EXECUTE": "false", "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(words, cwd=repository, env=without, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_the_home_page_is_the_front_page(site: Path) -> None:
    text = (site / "index.html").read_text()
    assert "How explainable are CNNs" in text and "verdicts.png" in text
    assert "img.shields.io" not in text


def test_the_api_names_all_that_is_public(site: Path) -> None:
    import xailib

    text = (site / "api.html").read_text()
    assert not [name for name, home in xailib._HOMES.items() if f'id="{home}.{name}"' not in text]


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_whole_in_a_browser(site: Path, width: int) -> None:
    from playwright.sync_api import sync_playwright

    faults: list[str] = []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        pages = set(site.rglob("*.html")) - {site / "404.html"}  # that one has absolute paths
        for path in sorted(page for page in pages if not page.is_relative_to(site / "results")):
            heard: list[str] = []
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("console", lambda said, heard=heard: heard.append(said.text) if said.type == "error" else None)
            page.on(
                "request", lambda sent, heard=heard: heard.append(sent.url) if sent.url.startswith("http") else None
            )
            page.goto(path.as_uri())
            faults += [f"{path.relative_to(site)}: {fault}" for fault in [*heard, *page.evaluate(LOOK)]]
            page.close()
        browser.close()
    assert not faults
