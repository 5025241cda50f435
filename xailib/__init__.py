"""xailib: how explainable are CNNs? Attribution methods, metrics and findings behind the notebooks.

The public names are imported on first use, so that a notebook pays only for what it needs.
"""

import importlib
import os
import sys
from typing import Any

if sys.platform not in ("linux", "darwin"):
    raise ImportError(
        f"xailib runs on Linux and macOS, not on {sys.platform}; on Windows, work inside WSL (wsl --install)"
    )

# Read when torch is loaded, here and in kernels that start from here: OpenMP's threads sleep while they wait. By default
# they spin, and on a busy machine keep from its core the very thread that they wait for: a GradCAM takes 200 times as long.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"

_HOMES = {
    "load_study": "xailib.params",
    "load_images": "xailib.datasets",
    "load_model": "xailib.models",
    "list_models": "xailib.models",
    "wrap": "xailib.models",
    "Model": "xailib.models",
    "attribute": "xailib.attribution",
    "list_methods": "xailib.attribution",
    "as_captum": "xailib.attribution.calls",
    "as_explain_func": "xailib.attribution.calls",
    "list_estimators": "xailib.attribution.estimators",
    "evaluate": "xailib.metrics",
    "list_metrics": "xailib.metrics",
    "ImageBatch": "xailib.images",
    "Maps": "xailib.maps",
    "save_maps": "xailib.results.stored",
    "load_maps": "xailib.results.stored",
    "cite": "xailib.params.citations",
    "show": "xailib.plots",
    "explore": "xailib.explorer",
    "InputError": "xailib.errors",
}

__all__ = ["__version__", *sorted(_HOMES)]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'xailib' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
