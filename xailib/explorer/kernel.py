"""What a running notebook answers the component: maps, scores and answers, computed once, by one thread.

The thread works off what is chosen now; what is no longer chosen is given up at its next pass through the network.
"""

import io
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

import xailib as xai
from xailib import engine
from xailib.errors import InputError
from xailib.explorer import facts
from xailib.explorer.scene import Scene
from xailib.images.colours import is_signed, limits
from xailib.maps import Maps
from xailib.metrics import curves
from xailib.metrics.removal import counts
from xailib.models.targets import counted, masked
from xailib.registry import metric as metrics

TOP = 5  # classes that a network's answer names
PAUSE = 0.2  # seconds between two words on progress
UPLOADS = 64  # pictures at most in a folder or an upload

Message = tuple[dict[str, Any], list[Any]]  # a record, and buffers of bytes


@dataclass(frozen=True)
class Choice:
    """What one pane shows: `key` is the component's name for it, `options` the JSON of those that differ from usual."""

    key: str
    network: str
    method: str
    image: int
    target: str
    options: str


@dataclass(frozen=True)
class Job:
    """One thing to compute: the `map` of a choice, its `score` by a metric, or `answers` of a network to an image."""

    kind: str
    choice: Choice | None = None
    metric: str = ""
    network: str = ""
    image: int = -1


class Superseded(Exception):
    """What is computed is not wanted any more."""


class Kernel:
    """Answers the component about a scene.

    Args:
        scene: what is explored.
        send: takes a message and its buffers; called from the thread that computes, too.
    """

    def __init__(self, scene: Scene, send: Callable[[dict[str, Any], list[Any]], None]) -> None:
        self.scene, self.send = scene, send
        self._wanted: list[Job] = []
        self._done: dict[Job, list[Message]] = {}
        self._maps: dict[Choice, Maps] = {}
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None

    # ---- what the component says

    def receive(self, message: dict[str, Any], buffers: list[Any]) -> None:
        """Take a message of the component; what is wrong with it is answered by one sentence."""
        try:
            if "ask" in message:
                self._ask(message)
            elif "stop" in message:
                self._want([])
                self.send({"is": "stopped"}, [])
            elif "path" in message:
                self._add(_pictures_at(message["path"]))
            elif "upload" in message:
                self._add(_uploaded(message["upload"], buffers))
        except InputError as error:
            self.send({"is": "error", "text": str(error)}, [])

    def _ask(self, message: dict[str, Any]) -> None:
        if message.get("picture") is not None:
            self.send(*self._picture(message["picture"]))
        choices = [Choice(**{**one, "options": json.dumps(one["options"], sort_keys=True)}) for one in message["ask"]]
        networks = dict.fromkeys(choice.network for choice in choices)
        jobs = [Job("map", choice) for choice in choices]
        jobs += [Job("answers", network=network, image=choices[0].image) for network in networks]
        jobs += [Job("score", choice, metric) for choice in choices for metric in self.scene.metrics.index]
        if message.get("filter"):
            jobs += [Job("answers", network=message["filter"], image=i) for i in range(self.images)]
        self._want(list(dict.fromkeys(jobs)))

    @property
    def images(self) -> int:
        """How many images there are."""
        return len(self.scene.images(self.scene.first)) + len(self.scene.added)

    def _picture(self, index: int) -> Message:
        image = self.scene.image(self.scene.first, index)
        height, width = image.pixels.shape[-2:]
        record = {"is": "picture", "image": index, "width": width, "height": height, "masked": bool(image.masks.any())}
        return record, [facts.bytes_of(image.pixels)[0].tobytes(), image.masks[0].numpy().astype(np.uint8).tobytes()]

    def _add(self, pictures: list[tuple[str, Any]]) -> None:
        """Add pictures, once all of them have been looked at, and show the first."""
        for _, picture in pictures:
            xai.load_images([picture], side=self.scene.first.input_size)
        first = self.images
        self.scene.added += pictures
        self.send({"is": "added", "first": first}, [])

    def known(self, pane: dict[str, Any], state: dict[str, Any]) -> dict[str, Any]:
        """Return what a pane shows, with what has been computed of it."""
        place = {"image": state.get("image", 0), "target": state.get("target", "")}
        chosen = {"network": pane["network"], "method": pane["method"], **place}
        options = json.dumps(pane.get("options", {}), sort_keys=True)
        found = next(
            (one for one in self._maps if one.options == options and chosen.items() <= vars(one).items()), None
        )
        if found is None:
            return chosen
        maps = self._maps[found]
        scores = {
            metric: message["value"]
            for metric in self.scene.metrics.index
            for message, _ in self._done.get(Job("score", found, metric), [])
        }
        return {
            **chosen,
            "image": self.scene.image(self.scene.about(found.network), found.image).ids[0],
            "target": maps.target_names[0],
            **scores,
        }

    # ---- the thread

    def _want(self, jobs: list[Job]) -> None:
        """Replace what is wanted; what is known is said at once."""
        with self._news:
            self._wanted = [job for job in jobs if job not in self._done]
            self._news.notify()
        for job in jobs:
            for message in self._done.get(job, []):
                self.send(*message)
        if self._wanted and self._thread is None:
            self._thread = threading.Thread(target=self._work, name="xailib explorer", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._wanted)
                job = self._wanted[0]
            try:
                found = self._compute(job)
            except Superseded:
                continue
            with self._news:
                self._done[job] = found
                wanted = job in self._wanted
                self._wanted = [one for one in self._wanted if one != job]
            for message in found if wanted else []:
                self.send(*message)

    def _compute(self, job: Job) -> list[Message]:
        """What a job gives, or the sentence that says why it gives nothing."""
        began, passes, told = time.perf_counter(), 0, time.perf_counter()

        def hear(more: int) -> None:
            nonlocal passes, told
            if job not in self._wanted:
                raise Superseded
            passes += more
            if job.choice and (now := time.perf_counter()) - told > PAUSE:
                told = now
                self.send({"is": "progress", "key": job.choice.key, "passes": passes, "seconds": now - began}, [])

        try:
            with engine.using(cost=engine.Cost(hear=hear), compile="none"):
                return {"map": self._map, "score": self._score, "answers": self._answers}[job.kind](job)
        except Superseded:
            raise
        except Exception as error:  # a network or a method of the user's may fail in any way, and the panel goes on
            text = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
            return [_failed(job, text)]

    # ---- what is computed

    def _map(self, job: Job) -> list[Message]:
        choice, began = job.choice, time.perf_counter()
        known = None
        if not choice.target and choice.options == "{}":
            known = self.scene.stored(choice.network, choice.method, choice.image)
        maps = self._explain(choice) if known is None else known
        self._maps[choice] = maps
        values = np.ascontiguousarray(maps.values[0].numpy())
        signed = is_signed(values)
        low, high = limits(values, signed)
        height, width = values.shape
        record = {"is": "map", "key": choice.key, "width": width, "height": height, "low": low, "high": high}
        record |= {"signed": signed, "peak": int(values.argmax()), "target": maps.target_names[0]}
        record |= {"seconds": time.perf_counter() - began, "from": "" if known is None else "study"}
        return [(record, [values.tobytes()])]

    def _explain(self, choice: Choice) -> Maps:
        model, about = self.scene.model(choice.network), self.scene.about(choice.network)
        image = self.scene.image(about, choice.image)
        function, options = self.scene.setting(choice.method)
        options = {**options, **self.scene.background(choice.method, about), **json.loads(choice.options)}
        targets: Any = choice.target or self.scene.usual
        if targets == "label" and not image.has_labels:
            targets = "predicted"
        return xai.attribute(function, model, image, targets, **options)

    def _score(self, job: Job) -> list[Message]:
        choice = job.choice
        if choice not in self._maps:  # the map failed, and said why
            return []
        maps = self._maps[choice]
        if not maps.options and (
            known := self.scene.stored_score(choice.network, choice.method, maps.ids[0], job.metric)
        ):
            return [_score(choice, job.metric, *known)]
        model = self.scene.model(choice.network)
        image = self.scene.image(self.scene.about(choice.network), choice.image)
        function, options = self.scene.metric(job.metric)
        if metrics.get(function).curve is None:
            value = xai.evaluate(function, maps, model, image, **options)["value"].iloc[0]
            return [_score(choice, job.metric, value, None)]
        line = curves(function, maps, model, image, **options)[0]
        pixels = maps[0].numel()
        value = torch.trapezoid(line, counts(len(line) - 1, pixels).double() / pixels)
        return [_score(choice, job.metric, value, line)]

    def _answers(self, job: Job) -> list[Message]:
        model = self.scene.model(job.network)
        image = self.scene.image(self.scene.about(job.network), job.image)
        if image.has_labels or image.classes:
            image = counted(model, image)
        shares = masked(engine.logits(model, image.pixels), image.classes)[0].softmax(0)
        top = shares.topk(min(TOP, len(image.classes or shares)))
        right = bool(image.right(shares.argmax()[None])[0]) if image.has_labels else None
        names = [model.class_names[i] for i in top.indices.tolist()]
        answer = {"top": list(zip(names, top.values.tolist(), strict=True)), "right": right}
        return [({"is": "answers", "network": job.network, "answers": {str(job.image): answer}}, [])]


def _failed(job: Job, text: str) -> Message:
    """The sentence in place of a map; a score that fails is not defined."""
    if job.kind == "score":
        return _score(job.choice, job.metric, np.nan, None)
    return {"is": "error", "key": job.choice.key if job.choice else None, "text": text}, []


def _score(choice: Choice, metric: str, value: Any, line: Any) -> Message:
    """One score of a choice; None where it is not defined."""
    value = float(value)
    record = {"is": "score", "key": choice.key, "metric": metric, "value": value if np.isfinite(value) else None}
    return record | ({} if line is None else {"curve": [round(float(y), 4) for y in line]}), []


def _pictures_at(path: str) -> list[tuple[str, Any]]:
    """The pictures of a path: one file, or those of a folder."""
    from xailib.datasets.own import find_path

    place = find_path(path.strip())
    if not place.is_dir():
        return [(place.name, place)]
    known = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = sorted(file for file in place.iterdir() if file.suffix.lower() in known)[:UPLOADS]
    if not found:
        raise InputError(f"{place}: the folder holds no pictures")
    return [(file.name, file) for file in found]


def _uploaded(names: list[str], buffers: list[Any]) -> list[tuple[str, Any]]:
    """The pictures of an upload."""
    found = []
    for name, content in list(zip(names, buffers, strict=True))[:UPLOADS]:
        try:
            picture = Image.open(io.BytesIO(bytes(content)))
            picture.load()
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            raise InputError(f"{name}: is no picture that can be read; upload a PNG, JPEG or WebP") from None
        found.append((name, picture))
    return found
