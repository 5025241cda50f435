"""The explorer in JupyterLab or Voila: the component as an anywidget, with a kernel behind it."""

import html
from pathlib import Path
from typing import Any

import anywidget
import torch
import traitlets

from xailib.explorer import facts
from xailib.explorer.kernel import Kernel
from xailib.explorer.scene import Scene
from xailib.images import ImageBatch
from xailib.models.model import Model

HERE = Path(__file__).parent


class Explorer(anywidget.AnyWidget):
    """The panel.

    Attributes:
        facts: what there is to choose from.
        state: what is chosen: image, target, and panes with network, method and options; the browser writes it.
        kernel: answers the browser.
    """

    _esm = (HERE / "component.js").read_text(encoding="utf-8")
    _css = (HERE / "component.css").read_text(encoding="utf-8")
    facts = traitlets.Dict().tag(sync=True)
    state = traitlets.Dict().tag(sync=True)

    def __init__(self, scene: Scene, panes: list[dict[str, str]]) -> None:
        self.kernel = Kernel(scene, self._say)
        self._still: Any = None
        super().__init__(facts=scene_facts(scene), state={"panes": panes})
        self.on_msg(lambda _, message, buffers: self._hear(message, buffers))

    @property
    def model(self) -> Model:
        """The network of the first pane."""
        return self.kernel.scene.model(self.state["panes"][0]["network"])

    @property
    def images(self) -> ImageBatch:
        """The images that were there from the start, as that network takes them."""
        return self.kernel.scene.images(self.kernel.scene.about(self.state["panes"][0]["network"]))

    @property
    def shown(self) -> list[dict[str, Any]]:
        """What each pane shows: network, method, image, the class explained, and the scores that are there."""
        return [self.kernel.known(pane, self.state) for pane in self.state["panes"]]

    def _say(self, message: dict[str, Any], buffers: list[Any]) -> None:
        if message["is"] == "added":
            self.facts = scene_facts(self.kernel.scene)
        self.send(message, buffers)

    def _hear(self, message: dict[str, Any], buffers: list[Any]) -> None:
        if "still" in message and self._still:
            self._still.update(still(message["still"], message["caption"]), raw=True)
        else:
            self.kernel.receive(message, buffers)

    def _ipython_display_(self) -> None:
        """Show the panel below a still picture of it, which the notebook keeps; it is hidden while the panel is alive."""
        from IPython.display import display

        data, metadata = self._repr_mimebundle_()
        self._still = display({"text/html": '<div class="xai-still"></div>'}, raw=True, display_id=True)
        display(data, metadata=metadata, raw=True)


def still(picture: str, caption: str) -> dict[str, str]:
    """Return a JPEG in base 64 as what a notebook keeps of a panel: for Jupyter, and for what shows pictures alone."""
    shown = f'<img class="xai-still" alt="{html.escape(caption)}" src="data:image/jpeg;base64,{picture}">'
    return {"image/jpeg": picture, "text/html": shown, "text/plain": caption}


def scene_facts(scene: Scene) -> dict[str, Any]:
    """Return what the component is given at the start: everything but pictures, maps and scores."""
    first = scene.first
    base = scene.images(first)
    rows = [base.pixels, *(scene.image(first, len(base) + i).pixels for i in range(len(scene.added)))]
    added = [{"id": name, "label": ""} for name, _ in scene.added]
    offered = {id: scene.offered(id) for id in scene.methods.index}
    return {
        "live": True,
        "images": [*facts.pictures(base, base.class_names or first.class_names), *added],
        "thumbs": facts.thumbs(torch.cat(rows)),
        "masked": bool(base.masks.any()),
        "networks": [{"id": id, "label": label, "mean": scene.about(id).mean} for id, label in scene.labels.items()],
        "methods": [{**one, "options": offered[one["id"]]} for one in facts.methods(scene.methods)],
        "metrics": facts.metrics(scene.metrics),
        "classes": first.class_names,
        "usual": scene.usual,
        "judged": base.has_labels,  # without labels no answer is right or wrong
        "skipped": scene.skipped(),
        "palettes": facts.palettes(),
    }
