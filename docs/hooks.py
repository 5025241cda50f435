"""What MkDocs does beside rendering pages: README.md as the home page, and the default study's report where it was made."""

import re
import shutil
from pathlib import Path
from typing import Any

import xailib

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "results" / "pictograms"
REPORT = RESULTS / "report.html"
NO_TEXT = 'alt="No description has been provided for this image"'  # what nbconvert writes


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Fill the home page and the page of the report."""
    if page.file.src_uri == "index.md":
        return home((ROOT / "README.md").read_text(encoding="utf-8"))
    if page.file.src_uri == "report.md" and REPORT.exists():
        return markdown + "\n[Open the report](report/report.html){ .md-button .md-button--primary }\n"
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
    """Copy the report and what it links to: figures, tables and executed notebooks of the study's folder."""
    if REPORT.exists():
        kept = shutil.ignore_patterns("mini_*", "*.parquet", "*.npz")
        shutil.copytree(RESULTS, Path(config["site_dir"]) / "report", ignore=kept, dirs_exist_ok=True)
