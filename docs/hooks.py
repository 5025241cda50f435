"""What MkDocs does beside rendering pages: README.md as the home page, and the default study's report where it was made."""

import re
import shutil
from pathlib import Path
from typing import Any

import xailib

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results"
STUDIES = ("pictograms", "roar_pictograms")  # the report is the first one's; it links to files of both
NO_TEXT = 'alt="No description has been provided for this image"'  # what nbconvert writes


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the home page and the page of the report."""
    if page.file.src_uri == "index.md":
        return home((ROOT / "README.md").read_text(encoding="utf-8"))
    if page.file.src_uri == "report.md" and (RESULTS / STUDIES[0] / "report.html").exists():
        return f'{markdown}\n<a class="md-button" href="results/{STUDIES[0]}/report.html">Open the report</a>\n'
    return markdown.replace("<!-- public names -->", public_names())


def public_names() -> str:
    """Return one entry of the API page for each public name of `xailib`, in the order in which they are declared."""
    return "\n\n".join(f"::: {module}.{name}" for name, module in xailib._HOMES.items())


def home(readme: str) -> str:
    """Return README.md as a page of `docs/`: links into `docs/` made relative, others and badges left out."""
    text = "\n".join(line for line in readme.splitlines() if not line.startswith("[![") and "<!--" not in line)
    text = text.replace("](docs/", "](")
    return re.sub(r"(?<!!)\[([^\]]+)\]\((?:LICENSE|CITATION\.cff|CONTRIBUTING\.md)\)", r"\1", text)


def on_page_content(html: str, **_: Any) -> str:
    """Give a notebook's pictures the heading that they stand under as alternative text."""
    heading = ""

    def described(match: re.Match[str]) -> str:
        nonlocal heading
        heading = re.sub(r"<[^>]*>|\u00b6|&para;", "", match["heading"]).strip() if match["heading"] else heading
        return match[0].replace(NO_TEXT, f'alt="{heading}"')

    return re.sub(rf"<h[1-4][^>]*>(?P<heading>.*?)</h[1-4]>|{NO_TEXT}", described, html, flags=re.DOTALL)


def on_post_build(config: Any, **_: Any) -> None:
    """Copy the report and what it links to: figures, tables and executed notebooks, but no slice's own files."""
    for study in STUDIES:
        if (RESULTS / study).exists():
            to = Path(config["site_dir"]) / "results" / study
            to.mkdir(parents=True, exist_ok=True)
            for path in (RESULTS / study).iterdir():
                if path.name == "figures":
                    shutil.copytree(path, to / path.name, dirs_exist_ok=True)
                elif path.is_file() and path.suffix != ".parquet":
                    shutil.copy(path, to)
