"""The explorer: every map of a study in one page, and a panel in JupyterLab over a study or your own network and pictures.

Both are the same component (`component.js`): `page` gives it a study's files, `explore` a kernel that computes the rest.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xailib.errors import InputError, nearest

if TYPE_CHECKING:
    from xailib.explorer.scene import Scene
    from xailib.explorer.widget import Explorer

__all__ = ["explore", "page"]


def explore(
    source: Any,
    images: Any = None,
    *,
    model: str | None = None,
    method: str | Sequence[str] = "gradcam",
    scale: str = "small",
) -> "Explorer":
    """Return a panel for JupyterLab or Voila: choose a network, a method, an image, a class; see the map and its scores.

    Two panes stand side by side, each with any network and method. A map is drawn as soon as it is there, scores follow,
    and what was computed is remembered. Of a study, maps and scores are read from its results where these are there.

    Args:
        source: a study (its id, or a YAML file); or, with `images`, a network or a list of networks: any
            `torch.nn.Module`, a `Model` from `wrap` or `load_model`, or the id of a model.
        images: in any form that `attribute` takes. More can be added in the panel.
        model: id of the network that is shown first; by default the first two.
        method: that is shown first, or one for each pane; where a network lacks what it needs, the first that is possible.
        scale: of your own networks' methods: the counts that each method's file names so, such as fewer masks for a quick
            look; or full. A study has its own.

    Raises:
        InputError: an unknown study, network or method, images that are none, or anywidget is not installed.
    """
    try:
        from xailib.explorer.widget import Explorer
    except ModuleNotFoundError as error:
        if error.name != "anywidget":
            raise
        raise InputError("explore() needs anywidget; pip install anywidget") from None
    from xailib import registry
    from xailib.explorer.scene import OwnScene, StudyScene

    scene: Scene
    if images is None and isinstance(source, str | Path):
        scene = StudyScene(source)
    else:
        scene = OwnScene(source if isinstance(source, list | tuple) else [source], images, scale)
    wanted = [method] if isinstance(method, str) else method
    if not isinstance(wanted, list | tuple) or len(wanted) not in (1, 2):
        raise InputError(f"method: a name is needed, or a list of one for each pane, not {method!r}")
    known = list(scene.methods.index)
    names = [one if one in known else registry.method.get(one).name for one in wanted]
    return Explorer(scene, _panes(scene, _networks(scene, model), names))


def page(results_dir: str | Path) -> str:
    """Return the explorer of a finished study as a fragment of HTML; see `xailib.explorer.study_page.fragment`."""
    from xailib.explorer.study_page import fragment

    return fragment(results_dir)


def _networks(scene: "Scene", model: str | None) -> list[str]:
    """The networks of the two panes: one, and the one that is called most like it, such as its robust twin."""
    ids = list(scene.labels)
    if not isinstance(model, str | None):
        raise InputError(f"model: the id of a network is needed, not {type(model).__name__}")
    first = {label: id for id, label in scene.labels.items()}.get(model, model) or ids[0]
    if first not in ids:
        raise InputError(f"model: no network '{model}' here{nearest(first, ids)}")
    others = [one for one in ids if one != first]

    def alike(other: str) -> int:
        return next((i for i, pair in enumerate(zip(other, first, strict=False)) if pair[0] != pair[1]), len(first))

    return [first, max(others, key=alike, default=first)]


def _panes(scene: "Scene", networks: list[str], methods: list[str]) -> list[dict[str, Any]]:
    """What the panes show first: with one network and one method, another method beside it."""
    skipped, panes = scene.skipped(), []
    for i, network in enumerate(networks):
        possible = [one for one in scene.methods.index if f"{network}/{one}" not in skipped]
        method = methods[min(i, len(methods) - 1)]
        taken = [pane["method"] for pane in panes if pane["network"] == network]
        first = [one for one in [method, *possible] if one in possible and one not in taken]
        panes.append({"network": network, "method": (first or possible)[0], "options": {}})
    return panes
