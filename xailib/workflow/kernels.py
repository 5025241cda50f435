"""Notebooks through papermill, with kernels that talk over files: ports collide when notebooks run in parallel."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from xailib import devices
from xailib.errors import InputError

SOCKET_PATH_LIMIT = 80  # Linux allows 107 bytes; jupyter_client appends "-ipc-N" to the connection file's stem


class SliceError(Exception):
    """A notebook failed for a reason that is not the user's; `traceback` is the kernel's."""

    def __init__(self, message: str, traceback: str) -> None:
        super().__init__(message)
        self.traceback = traceback


def execute(notebook: Path, log: Path, values: dict[str, Any], timeout: int) -> None:
    """Run papermill with an IPC kernel.

    Args:
        notebook: with a cell tagged `parameters`.
        log: where the executed notebook goes, also when it fails.
        values: of its parameters.
        timeout: seconds that the kernel may take to start.

    Raises:
        InputError: one that the notebook raised, or a GPU that failed.
        SliceError: anything else that failed in it.
        KeyboardInterrupt: it was interrupted.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    # cuBLAS reads this when it starts; without it, GPU results differ from run to run.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"  # figures belong into the notebook
    root = str(Path(__file__).resolve().parents[2])
    path = os.environ.get("PYTHONPATH", "")
    if root not in path.split(os.pathsep):
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, path]))
    for attempt in (1, 2):
        with _socket_folder() as folder:
            try:
                papermill.execute_notebook(
                    notebook, log, values, kernel_name="python3", progress_bar=False, start_timeout=timeout,
                    kernel_manager_class=_kernel_manager(folder), extra_arguments=["--HistoryManager.enabled=False"],
                    shutdown_kernel="immediate",  # all that a slice makes is on disk by then
                )  # fmt: skip
                return
            except PapermillExecutionError as error:
                if error.ename == "InputError":
                    raise InputError(error.evalue) from None
                if error.ename == "KeyboardInterrupt":
                    raise KeyboardInterrupt from None
                lost = devices.failure(error.ename, error.evalue)
                if lost:
                    raise InputError(f"{notebook}: {lost}") from None
                traceback = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(error.traceback))
                raise SliceError(
                    f"{notebook} failed in cell {error.cell_index} with {error.ename}: {error.evalue} (open {log})",
                    traceback,
                ) from None
            except RuntimeError as error:
                # Two kernels can be given the same port; over IPC this cannot happen, so a second try is for TCP only.
                if folder is None and attempt == 1 and "died" in str(error):
                    continue
                name = type(error).__name__
                raise SliceError(f"{notebook}: {name}: {error} (out of memory, or killed? open {log})", "") from None


def _kernel_manager(folder: Path | None) -> type:
    """A kernel manager whose sockets are files in `folder`, or TCP ports where no path is short enough."""
    from jupyter_client.manager import AsyncKernelManager

    class Manager(AsyncKernelManager):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            if folder is not None:
                self.transport = "ipc"
                self.connection_file = str(folder / "k.json")

    return Manager


@contextlib.contextmanager
def _socket_folder() -> Iterator[Path | None]:
    """A private folder whose path is short enough for sockets, or None."""
    for parent in (tempfile.gettempdir(), "/tmp"):
        try:
            folder = Path(tempfile.mkdtemp(prefix="xai-", dir=parent))
        except OSError:
            continue
        try:
            if len(str(folder)) <= SOCKET_PATH_LIMIT:
                yield folder
                return
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    yield None
