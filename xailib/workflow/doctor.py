"""`xailib doctor`: what is installed, where networks will run, and whether a study's weights and images are there."""

import argparse
import os
import platform
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import xailib
from xailib import params
from xailib.errors import InputError
from xailib.params.facts import broken_plugins
from xailib.results import provenance
from xailib.workspace import SHIPPED, find, place, workspace

LEAST = 2e9  # bytes: results of a small study, and what torch compiles
CORE = (
    "torch",
    "torchvision",
    "timm",
    "captum",
    "numpy",
    "pandas",
    "scipy",
    "scikit-image",
    "matplotlib",
    "safetensors",
)
SUITE = ("snakemake", "papermill", "jupyterlab", "pyarrow", "seaborn")
OPTIONAL = {
    "quantus": "its metrics",
    "torchcam": "its methods",
    "transformers": "networks of Hugging Face",
    "foolbox": "the shipped photographs",
    "zarr": "maps as zarr",
    "rocrate": "RO-Crates",
}


class Line(NamedTuple):
    """One thing that was looked at: whether it is as it must be, and what to say."""

    well: bool
    text: str


def examine(studies: Sequence[str]) -> Iterator[Line]:
    """Look at the machine, the installation and studies, without fetching or running anything.

    Args:
        studies: ids, or YAML files.
    """
    yield from _packages()
    yield from _device()
    yield _disk()
    yield from (Line(False, sentence) for sentence in broken_plugins())
    for study in studies:
        yield from _study(study)


def _packages() -> Iterator[Line]:
    found = {name: provenance.version(name) for name in (*CORE, *SUITE, *OPTIONAL)}
    here = f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, in {workspace()}"
    yield Line(True, f"xailib {xailib.__version__}, {here}")
    for name, parts, install in (("core", CORE, "xailib"), ("suite", SUITE, '"xailib[suite]"')):
        absent = [part for part in parts if found[part] is None]
        listed = ", ".join(f"{part} {found[part]}" for part in parts if found[part])
        yield Line(
            not absent,
            f"{name}: {listed}" + (f"; missing: {', '.join(absent)} (pip install {install})" if absent else ""),
        )
    there = ", ".join(f"{name} {found[name]}" for name in OPTIONAL if found[name])
    absent = ", ".join(f"{name} ({use})" for name, use in OPTIONAL.items() if not found[name])
    yield Line(True, f"optional: {there or 'none'}" + (f"; not installed: {absent}" if absent else ""))


def _device() -> Iterator[Line]:
    import torch

    from xailib.engine.passes import precision_on

    driver = any(map(os.path.exists, ("/dev/nvidiactl", "/dev/kfd")))
    seen = torch.cuda.is_available()
    device = torch.device("cuda" if seen else "cpu")
    precision = precision_on(device, "auto")
    if driver and not seen:
        built = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
        yield Line(
            False,
            f"device: cpu, though there is a GPU: this torch is built for {built}, which its driver does not suit",
        )
    else:
        why = f"of {torch.cuda.device_count()}, shared out by slice" if seen else "no GPU is there"
        yield Line(True, f"device: {provenance.device(device)} ({why}), {torch.get_num_threads()} threads")
    how = "this machine computes bf16" if precision == "bf16" else "this machine would only emulate bf16"
    yield Line(True, f"precision: {precision}, as {how}; gradients of pixels are always fp32")
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CXX", "c++"), "g++", "clang++"))), None)
    yield Line(
        True, f"compiler: {compiler or 'none, so that long loops run as they are (install g++ for faster ones)'}"
    )


def _disk() -> Line:
    if not workspace().is_dir():
        return Line(False, f"disk: {workspace()} is not there; make it, or let XAILIB_WORKSPACE name another folder")
    free = shutil.disk_usage(workspace()).free
    open_for_writing = os.access(workspace(), os.W_OK)
    closed = "" if open_for_writing else "; the folder is not open for writing"
    return Line(free > LEAST and open_for_writing, f"disk: {free / 1e9:.1f} GB free{closed}")


def _study(name: str) -> Iterator[Line]:
    """A study: its files, the weights of its networks, its images and classes."""
    from xailib.workflow import preflight
    from xailib.workflow.study import open_study

    try:
        study = open_study(name)
        missing = {model: why for model in study.models if (why := _missing_weights(model))}
        faults = preflight.check(study.values)
    except InputError as error:
        yield Line(False, f"study {name}: {error}")
        return
    to_fetch = [model for model, (remote, _) in missing.items() if remote]
    later = f"; weights are fetched when it runs: {', '.join(to_fetch)}" if to_fetch else ""
    maps = f"{len(study.models)} networks, {len(study.methods)} methods"
    parts = f"{len(study.estimators)} estimators" if study.estimators else maps
    yield Line(True, f"study {study.name}: {parts}{later}")
    yield from (Line(False, f"study {study.name}: {why}") for remote, why in missing.values() if not remote)
    yield from (Line(False, f"study {study.name}: {fault}") for fault in faults)


def _missing_weights(model: str) -> tuple[bool, str] | None:
    """Whether a model's weights will be fetched, and why they are not there; None where they are."""
    from xailib.models.sources import marker, remote
    from xailib.params.installed import package_file

    record: dict[str, Any] = params.load_params("models", model)
    weights = record["weights"]
    try:
        if remote(record) is not None:
            return None if marker(model).exists() else (True, "")
        if weights["source"] == "package":
            package_file(weights["package"], weights["path"])
        if weights["source"] == "file" and not find(weights["path"]).is_file():
            origin = f" ({weights['origin']})" if weights.get("origin") else ""
            return False, f"{model}: no weights at {place(weights['path'])}; put them there{origin}"
    except InputError as error:
        return False, f"{model}: {error}"
    return None


def own_studies() -> list[str]:
    """Return the studies of this workspace; the default one where it has none of its own, and in a checkout."""
    own = sorted(path.stem for path in place("params/studies").glob("[!.]*.yaml")) if workspace() != SHIPPED else []
    return own or ["pictograms"]


def main(words: list[str] | None = None) -> int:
    """Run the command line and return its exit status: 0 where all is well, 1 where something is missing."""
    parser = argparse.ArgumentParser(prog="xailib doctor", description=__doc__)
    parser.add_argument("studies", nargs="*", help="those to look at; by default those of the workspace")
    lines = list(examine(parser.parse_args(words).studies or own_studies()))
    for well, text in lines:
        print(f"{'ok' if well else '!!'}  {text}")
    return 0 if all(well for well, _ in lines) else 1
