"""A process for a slice: forked from a Python that has torch, Jupyter and xailib loaded, 0.2 s instead of 5, or started cold.

`python -m xailib.workflow slice --warm` asks a server of its own user, interpreter and checkout, started on first use, to
fork. A server is of one state of xailib's files: after an edit slices ask another one. It leaves when it has been idle for
a minute; XAILIB_WARM=0 switches it off. Linux only, and not inside a Slurm job, whose cgroup a slice must stay in; everywhere
else, and whenever anything is wrong with the server, a new Python does the same.

The slice's process has the caller's files, umask, folder and environment, tells its exit status through a socket, and ends when
the caller goes away.
"""

import contextlib
import faulthandler
import fcntl
import functools
import gc
import hashlib
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

from xailib import workspace

PYTHON = [
    sys.executable,
    "-P",
    "-Xfrozen_modules=off",
    "-m",
    "xailib.workflow.warm",
]  # as kernels start, for the debugger
# What slices run, and what these import late; whatever is missing is skipped. Not plug-ins, which a workspace may edit while
# the server lives. Nor matplotlib's backend for notebooks, which joins the shell that is there when it is loaded.
PRELOAD = (
    "xailib.workflow.slices", "xailib.workflow.inprocess", "xailib.workflow.notebooks", "xailib.plots",
    "xailib.training.adversary", "xailib.roar.slices", "xailib.roar.trust", "torchvision", "pyarrow.parquet",
    "safetensors.torch", "black", "ipykernel.debugger", "captum.attr", "scipy.ndimage", "scipy.stats", "seaborn",
    "skimage.segmentation", "sklearn.linear_model",
)  # fmt: skip
LONGEST = 107  # bytes of a socket's path
IDLE_SECONDS = 60
GRACE_SECONDS = 10  # for a slice to clean up when its caller is gone


def execute(words: list[str], warm: bool) -> int | None:
    """Run the slice of this command line in a process of its own.

    Returns:
        its exit status; 130 when this process was interrupted or terminated, and the slice has cleaned up. None if its
        process was killed.
    """
    with contextlib.suppress(ValueError):  # only the main thread may set it
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (_connect() if warm else None) or _start() as connection:
        try:
            socket.send_fds(connection, [b"!"], [0, 1, 2])
            request = {"words": words, "cwd": os.getcwd(), "env": _environment(), "umask": _umask()}
            connection.sendall(json.dumps(request).encode() + b"\n")
            answer = connection.makefile("rb").read()
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
                connection.makefile("rb").read()  # until the slice has cleaned up
            return 130
        except ConnectionError:
            return None
    return int(answer) if answer else None


def _environment(**more: str) -> dict[str, str]:
    """The caller's environment, and what slices need of theirs."""
    return {
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # cuBLAS reads it when it starts; else GPU results differ from run to run
        **workspace.environment(),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",  # figures belong into the notebook
        **more,
    }


def _umask() -> int:
    """The caller's umask, which can only be asked by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


@contextlib.contextmanager
def _start() -> Iterator[socket.socket]:
    """Start a Python for one slice, cold."""
    ours, theirs = socket.socketpair()
    with subprocess.Popen([*PYTHON, str(theirs.fileno())], env=_environment(), pass_fds=[theirs.fileno()]):
        theirs.close()
        with ours:
            yield ours


def _connect() -> socket.socket | None:
    """Connect to the server; start it if there is none. None where there can be none, or it does not come up."""
    if sys.platform != "linux" or "SLURM_JOB_ID" in os.environ or os.environ.get("XAILIB_WARM") == "0":
        return None
    with contextlib.suppress(OSError):
        address = _address()
        if connection := _try(address):
            return connection
        with open(address.with_suffix(".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one of many slices starts the server, the others wait here
            return _try(address) or _start_server(address)
    return None


def _address() -> Path:
    """The socket of this user, interpreter, set of packages, search path, checkout and its state."""
    packages = os.stat(sysconfig.get_path("purelib")).st_mtime_ns
    identity = f"{sys.executable}\n{workspace.PACKAGE}\n{packages}\n{_code()}\n{os.environ.get('PYTHONPATH')}"
    folder = Path(tempfile.gettempdir()) / f"xailib-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise OSError(f"{folder} is open to others")
    address = folder / hashlib.sha256(identity.encode()).hexdigest()[:16]
    if len(os.fsencode(address)) > LONGEST:
        raise OSError(f"{address} is too long for a socket")
    return address


def _code() -> list[tuple[str, int]]:
    """The files of xailib, and when each was written."""
    return sorted((str(path), path.stat().st_mtime_ns) for path in workspace.PACKAGE.rglob("[!.]*.py"))


def _start_server(address: Path) -> socket.socket | None:
    environment = _environment(OPENBLAS_NUM_THREADS="1")
    environment.pop("OMP_NUM_THREADS", None)  # each slice sets its own number of threads
    server = subprocess.Popen(
        [*PYTHON, str(address)], cwd=workspace.PACKAGE, env=environment, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while server.poll() is None and time.monotonic() < deadline:
        if connection := _try(address):
            return connection
        time.sleep(0.05)
    return None


def _try(address: Path) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        return None
    return connection


def serve(address: str) -> None:
    """Load what slices need, then fork for every request until a minute has passed without one."""
    before = _code()
    _load(os.environ.get("XAILIB_WARM", ""))
    if _code() != before:  # edited meanwhile: nobody knows which state this is of
        return
    gc.collect()
    gc.freeze()  # collections in the forks would copy every page that they share
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    children, idle_since = set(), time.monotonic()
    while True:
        if select.select([listener], [], [], 1.0)[0]:
            connection, _ = listener.accept()
            child = os.fork()
            if child == 0:
                listener.close()
                become_slice(connection)
            children.add(child)
            connection.close()
        for child in list(children):
            if os.waitpid(child, os.WNOHANG)[0]:
                children.discard(child)
                idle_since = time.monotonic()
        if not children and not os.path.exists(address):
            return  # a second after nobody could connect any more
        if not children and time.monotonic() - idle_since > IDLE_SECONDS:
            os.unlink(address)


def _load(chosen: str) -> None:
    """Import what slices do, or only what was `chosen`, as tests do; and do what each would do for the first time."""
    for name in chosen.split(",") if chosen else PRELOAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    if chosen:
        return
    with contextlib.suppress(ImportError):
        import nbformat

        from xailib import registry

        nbformat.validate(nbformat.v4.new_notebook())  # compiles its schema
        for kind in (registry.method, registry.metric, registry.dataset, registry.architecture):
            kind.fill()


def become_slice(connection: socket.socket) -> NoReturn:
    """Take over the caller's files, folder and environment, run the slice, answer its exit status, end."""
    status = 1
    try:
        for target, source in enumerate(socket.recv_fds(connection, 1, 3)[1]):
            os.dup2(source, target)
            os.close(source)
        request = json.loads(connection.makefile("rb").readline() or b"null")
        if request is None:  # the caller is gone already
            os._exit(1)
        os.setsid()
        os.umask(request["umask"])
        os.chdir(request["cwd"])
        os.environ.clear()
        os.environ.update(request["env"])
        faulthandler.enable(os.fdopen(os.dup(2), "w"))
        _set_like_a_new_process()
        from xailib.workflow import slices

        give_up = functools.partial(slices.remove, slices.results(slices.parser().parse_args(request["words"])))
        threading.Thread(target=_end_with_caller, args=(connection, give_up), daemon=True).start()
        status = slices.command(request["words"])
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(str(status).encode())
        os._exit(0)


def _set_like_a_new_process() -> None:
    """What a new process reads from its environment or the system, and a fork has from its server."""
    threads = os.environ.get("OMP_NUM_THREADS", "")
    if "torch" in sys.modules and threads.isdigit():
        sys.modules["torch"].set_num_threads(int(threads))
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _end_with_caller(connection: socket.socket, give_up: Callable[[], None]) -> None:
    """Interrupt the slice when the caller hangs up; end it for good where that does not help."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    give_up()
    os._exit(1)


if __name__ == "__main__":
    if sys.argv[1].isdigit():
        become_slice(socket.socket(fileno=int(sys.argv[1])))
    serve(sys.argv[1])
