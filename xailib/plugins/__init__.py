"""Plug-ins: methods, metrics, data sets and architectures of one's own, from the files of the workspace's `plugins/`.

`plugins/mine.py` is the module `xailib.plugins.mine`; the registries find it as they find the shipped files. Files of other
projects, which do not speak of xailib, are left alone.
"""

import importlib
import sys
from pathlib import Path

from xailib import registry
from xailib.errors import warn
from xailib.workspace import place

__path__ = [str(place("plugins"))]

broken: dict[str, str] = {}
"""Plug-ins that cannot be loaded, by the names of their modules: one sentence each."""


def load() -> None:
    """Import the plug-ins, once and after all that is shipped; one that fails is kept in `broken` and warned of.

    Raises:
        RegisteredTwice: a plug-in asks for a name that another one has, or that is shipped.
    """
    files = [path for path in sorted(Path(__path__[0]).glob("[!.]*.py")) if b"xailib" in path.read_bytes()]
    names = [f"{__name__}.{path.stem}" for path in files]
    names = [name for name in names if name not in sys.modules and name not in broken]
    registries = (registry.method, registry.metric, registry.dataset, registry.architecture, registry.estimator)
    for one in registries if names else ():
        one.fill()
    for name in names:
        loaded = False
        try:
            importlib.import_module(name)
            loaded = True
        except registry.RegisteredTwice:
            raise
        except (Exception, SystemExit) as error:  # what the code of a file may raise has no bounds
            broken[name] = _why(name, error)
            warn(f"{broken[name]}; what it defines is left out")
        finally:
            for one in registries if not loaded else ():
                one.forget(name)


def _why(name: str, error: BaseException) -> str:
    """Why a plug-in cannot be loaded, as one sentence."""
    file = f"plugins/{name.removeprefix(f'{__name__}.')}.py"
    if isinstance(error, SyntaxError):
        where = Path(error.filename or file).name
        return f"{file}: line {error.lineno} of {where} cannot be read as Python ({error.msg})"
    return f"{file}: cannot be loaded ({type(error).__name__}: {' '.join(str(error).split())})"
