"""An executed notebook as one page that needs no network: figures and tables numbered, captioned and linked to their files.

`python -m xailib.workflow report results/<study>/report.ipynb [report.html]` writes the page.
"""

import argparse
import base64
import html
import io
import os
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, Tag

from xailib.errors import InputError, command
from xailib.results import atomic

HIDDEN = "not-in-report"  # tag of cells that matter only to whoever runs the notebook
TEMPLATE = Path(__file__).with_name("report.html.j2")
FOLDED = "fold"  # tag of cells that a reader opens
# A picture whose lossless form is larger than this is drawn in fewer pixels, about two a point of the page, and with losses.
LOSSLESS, WIDEST, QUALITY = 90_000, 2000, 70
# What would make a browser ask the network: attributes of elements that load, imports and url() of styles.
_LOADS = re.compile(
    r"""<(?:script|img|iframe|link|source|video|audio|object|embed)\b[^>]*\b(?:src|href|data|srcset)\s*=\s*["']?\s*(?:https?:)?//[^"'\s>]*"""
    r"""|@import\s[^;]*|url\(\s*["']?\s*(?:https?:)?//[^)]*\)""",
    re.IGNORECASE,
)
_HEAD = re.compile(r"\s*(<h\d.*?</h\d>)", re.DOTALL)
_VERBATIM = re.compile(r"<!--verbatim-->.*?<!--/verbatim-->", re.DOTALL)


def write_page(path: str | Path, page: str | Path | None = None) -> Path:
    """Write an executed notebook as one HTML page without code: figures inside, a table of contents beside it.

    Args:
        path: the notebook.
        page: the file to write; by default the notebook's name with `.html`.

    Raises:
        InputError: a missing or damaged notebook, or one that shows what lies elsewhere.
    """
    from jinja2 import Environment, StrictUndefined

    path = Path(path)
    page = Path(page) if page else path.with_suffix(".html")
    body = compose(visible(path))
    kept = _VERBATIM.findall(body)
    soup = BeautifulSoup(_VERBATIM.sub("<!--kept-->", body), "html.parser")
    _number(soup, path.parent, page.parent)
    _accessible(soup)
    heads = [(int(head.name[1]), head["id"], head.get_text().removesuffix("¶")) for head in soup.select("h1,h2,h3")]
    body = str(soup)
    for fragment in kept:
        body = body.replace("<!--kept-->", fragment, 1)
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(body=body, heads=heads)
    loads = remote_loads(text)
    if loads:
        raise InputError(
            f"{path}: the page would load from the network: {loads[0][:120]}; put what it shows into the cell"
        )
    with atomic(page) as partial:
        partial.write_text(text, encoding="utf-8")
    return page


def compose(cells: list[Any], level: int = 0) -> str:
    """Return the prose and outputs of a notebook's cells as HTML.

    A cell tagged `fold` is closed until a reader opens it: a code cell's output under its caption, a text under its heading
    with all that follows up to the next text.

    Args:
        cells: `visible` ones.
        level: by how much headings go down.
    """
    from nbconvert.filters import markdown2html

    parts, heading, opened = [], "", False
    for cell in cells:
        folded = FOLDED in cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            heading = (re.findall(r"^#+ (.*)", cell.source, re.MULTILINE) or [heading])[-1]
            text = markdown2html(re.sub(r"^(#+ .*)", "#" * level + r"\1", cell.source, flags=re.MULTILINE))
            parts += ["</details>" * opened, _folded(text, heading) if folded else text]
            opened = folded
            continue
        shown = "".join(_output(output, heading) for output in cell.get("outputs", []))
        if folded and shown:
            known = re.search(r"<(caption|figcaption)\b[^>]*>(.*?)</\1>", shown, re.DOTALL)
            name = re.sub(r"<[^>]+>", "", known[2]).split(". ")[0].removesuffix(".") if known else heading
            shown = f"<details><summary>{name}</summary>{shown}</details>"
        parts.append(shown)
    return "\n".join([*parts, "</details>" * opened])


def _folded(text: str, heading: str) -> str:
    """The open end of a closed text: its heading stays to be seen."""
    head = _HEAD.match(text)
    summary, rest = (head[1], text[head.end() :]) if head else (html.escape(heading), text)
    return f'<details class="section"><summary>{summary}</summary>{rest}'


def _output(output: Any, heading: str) -> str:
    """One output of a cell as HTML."""
    from nbconvert.filters import markdown2html

    if output.output_type == "stream":
        return f"<pre>{html.escape(output.text)}</pre>"
    data = output.get("data", {})
    pictures = [kind for kind in ("image/png", "image/jpeg") if kind in data]
    if "text/html" in data or "image/svg+xml" in data:
        return data.get("text/html") or data["image/svg+xml"]
    if pictures:
        inside = f"data:{pictures[0]};base64,{data[pictures[0]].strip()}"
        return f'<p><img src="{inside}" alt="{html.escape(heading)}"></p>'
    if "text/markdown" in data:
        return markdown2html(data["text/markdown"])
    return f"<pre>{html.escape(data['text/plain'])}</pre>" if "text/plain" in data else ""


def remote_loads(page: str) -> list[str]:
    """Return everything in a page that a browser would fetch from the network (plain links to follow are not)."""
    return [match[0] for match in _LOADS.finditer(page)]


def visible(path: Path) -> list[Any]:
    """Read an executed notebook's cells for readers: without those tagged for whoever runs it, and without stderr."""
    import nbformat

    try:
        cells = nbformat.read(path, as_version=4).cells
    except FileNotFoundError:
        raise InputError(f"{path}: no such executed notebook; run the study first (snakemake)") from None
    except (ValueError, nbformat.reader.NotJSONError) as error:
        raise InputError(f"{path}: not a complete notebook ({error}); delete it and run snakemake again") from None
    cells = [cell for cell in cells if HIDDEN not in cell.metadata.get("tags", [])]
    for cell in cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return cells


def _number(soup: BeautifulSoup, start: Path, to: Path) -> None:
    """Number figures and tables, link their files, draw figures from their files, and fill in links to them."""
    numbers = {}
    kinds = {"Fig.": soup.select("figure[data-name]"), "Table": soup.select("table.numbers")}
    sharper = [path for figure in kinds["Fig."] if figure.find("img") and (path := _picture(figure, start)).exists()]
    with ThreadPoolExecutor() as pool:  # the encoder lets others run meanwhile
        drawn = dict(zip(sharper, pool.map(_webp, sharper), strict=True))
    for kind, elements in kinds.items():
        for i, element in enumerate(elements, 1):
            numbers[element.get("id")] = f"{kind}\u00a0{i}"
            caption = element.find(["figcaption", "caption"])
            if caption is None:
                continue
            number = soup.new_tag("b", attrs={"class": "number"})
            number.string = f"{kind}\u00a0{i}. "
            caption.insert(0, number)
            _files(soup, element, caption, start, to)
            image = element.find("img")
            if image and (shown := drawn.get(_picture(element, start))):
                data, width, height = shown
                image.attrs |= {"src": f"data:image/webp;base64,{data}", "width": width // 2, "height": height // 2}
    for link in soup.select('a[href^="#"]'):
        if not link.get_text():
            target = link["href"].removeprefix("#")
            if target in numbers:
                link.string = numbers[target]
            else:
                link.replace_with("not in this report")


def _files(soup: BeautifulSoup, element: Tag, caption: Tag, start: Path, to: Path) -> None:
    """Link the files behind a figure or table, as far as they are there."""
    name, folder, notebook = (element.get(f"data-{key}", "") for key in ("name", "folder", "notebook"))
    if not name or not folder:
        return
    places = {ending.upper(): start / folder / f"{name}.{ending}" for ending in ("pdf", "csv")}
    places |= {"notebook": start / notebook} if notebook else {}
    links = soup.new_tag("span", attrs={"class": "files"})
    for label, place in places.items():
        if place.exists():
            link = soup.new_tag("a", href=os.path.relpath(place, to))
            link.string = label
            links.extend([" ", link])
    caption.append(links)


def _picture(element: Tag, start: Path) -> Path:
    """Where a figure's sharper picture lies, if there is one."""
    return start / str(element.get("data-folder", "")) / f"{element.get('data-name', '')}.png"


def _webp(path: Path) -> tuple[str, int, int]:
    """A picture as WebP in base64, and its size in pixels."""
    from PIL import Image

    picture, buffer = Image.open(path).convert("RGB"), io.BytesIO()
    picture.save(buffer, "WEBP", lossless=True, method=2)
    if len(buffer.getvalue()) > LOSSLESS:
        buffer = io.BytesIO()
        height = round(picture.height * min(1, WIDEST / picture.width))
        smaller = picture.resize((min(picture.width, WIDEST), height), Image.Resampling.LANCZOS)
        smaller.save(buffer, "WEBP", quality=QUALITY)
    return base64.b64encode(buffer.getvalue()).decode(), *picture.size


def _accessible(soup: BeautifulSoup) -> None:
    """Give tables and figures what screen readers and narrow screens need: heads with a scope, boxes to scroll by keyboard."""
    for i, table in enumerate(soup.select("table")):
        for head in table.select("th"):
            if not head.get_text(strip=True):
                head.name = "td"
                head.attrs.pop("scope", None)
            elif not head.get("scope"):
                head["scope"] = "col" if head.find_parent("thead") else "row"
        box = table.wrap(soup.new_tag("div", attrs={"class": "scroll", "tabindex": "0", "role": "region"}))
        caption = table.find("caption")
        if caption is None:
            box["aria-label"] = "Table"
            continue
        caption.name, caption["class"], caption["id"] = "div", "caption", f"caption-{i}"
        table["aria-labelledby"] = box["aria-labelledby"] = caption["id"]
        box.insert_before(caption.extract())
    for figure in soup.select("figure:has(> img)"):
        figure["tabindex"] = "0"


@command
def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, or 2 for a user's error."""
    about = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m xailib.workflow report", description=about)
    parser.add_argument("notebook", help="the executed report.ipynb")
    parser.add_argument("page", nargs="?", help="the HTML file to write (default: report.html beside it)")
    arguments = parser.parse_args(words)
    # Compiles 38 grammars when nbformat's checks are loaded, to know addresses that no notebook holds: a third of the time.
    sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]
    path = write_page(arguments.notebook, arguments.page)
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0
