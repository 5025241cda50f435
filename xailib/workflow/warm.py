"""A Python with torch and the Jupyter stack loaded, from which slices fork: 0.2 s to start instead of 5.

`python -m xailib.workflow.run --warm` asks a server of its own user, interpreter and checkout, started on first use, to fork one
process for papermill and one for the kernel; both import `xailib` afresh, so code edits count at once. The server
leaves when it has been idle for a minute; XAILIB_WARM=0 switches it off. Linux only, and not inside a Slurm job (a
slice must stay in its job's cgroup); everywhere else, and whenever anything is wrong with the server, the slice starts
cold and gives the same.
"""

import array
import contextlib
import fcntl
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
import time
from pathlib import Path

# What slices import; whatever is missing is skipped. Never xailib itself: its code may change while the server lives.
PRELOAD = (
    "torch", "torchvision", "numpy", "PIL.Image", "pandas", "pyarrow.parquet", "safetensors.torch", "pydantic",
    "papermill", "nbclient", "ipykernel.kernelapp", "ipykernel.ipkernel", "matplotlib.pyplot", "captum.attr",
    "scipy.ndimage", "skimage.segmentation", "sklearn.linear_model",
)  # fmt: skip
IDLE_SECONDS = 60


def execute(words: list[str]) -> int | None:
    """Run `xailib.workflow.run` with the command line `words` in a fork of the warm server; None when that is not possible."""
    if sys.platform != "linux" or "SLURM_JOB_ID" in os.environ or os.environ.get("XAILIB_WARM") == "0":
        return None
    try:
        connection = _connect()
    except OSError:
        return None
    if connection is None:
        return None
    request = json.dumps({"words": words, "cwd": os.getcwd(), "env": dict(os.environ)}).encode()
    files = array.array("i", [0, 1, 2])
    with connection:
        connection.sendmsg([len(request).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, files)])
        connection.sendall(request)
        answer = b""
        # Interrupted or killed, this process closes the connection; the fork sees that and ends.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            while chunk := connection.recv(16):
                answer += chunk
        except KeyboardInterrupt:
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(16):  # until the fork has cleaned up
                pass
            return 130
    if not answer:
        print(
            "error: the slice's process was killed (out of memory?); see its notebook in the log folder",
            file=sys.stderr,
        )
        return 1
    return int(answer)


def _address() -> Path:
    """The socket of this user, interpreter, set of packages and checkout."""
    packages = Path(sysconfig.get_path("purelib"))
    identity = f"{sys.executable}\n{packages.stat().st_mtime_ns}\n{Path(__file__).resolve().parents[1]}"
    folder = Path(tempfile.gettempdir()) / f"xailib-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o077:
        raise OSError(f"{folder} is open to others")
    return folder / hashlib.sha256(identity.encode()).hexdigest()[:16]


def _connect() -> socket.socket | None:
    """Connect to the server; start it if there is none. None if it does not come up."""
    address = _address()
    connection = _try(address)
    if connection is not None:
        return connection
    with open(address.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one of many slices starts the server, the others wait here
        connection = _try(address)
        if connection is not None:
            return connection
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        }
        environment.pop("OMP_NUM_THREADS", None)  # each slice sets its own number of threads
        root = Path(__file__).resolve().parents[2]
        server = subprocess.Popen(
            [sys.executable, "-m", "xailib.workflow.warm", str(address)], cwd=root, env=environment, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while server.poll() is None and time.monotonic() < deadline:
            connection = _try(address)
            if connection is not None:
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
    chosen = os.environ.get("XAILIB_WARM", "").split(",")  # tests load less
    for name in chosen if chosen[0] else PRELOAD:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # collections in the forks would copy every page that they share
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen(64)
    children, idle_since = set(), time.monotonic()
    while children or (time.monotonic() - idle_since < IDLE_SECONDS and os.path.exists(address)):
        if select.select([listener], [], [], 1.0)[0]:
            connection, _ = listener.accept()
            child = os.fork()
            if child == 0:
                listener.close()
                _become_slice(connection)
            children.add(child)
            connection.close()
        for child in list(children):
            if os.waitpid(child, os.WNOHANG)[0]:
                children.discard(child)
                idle_since = time.monotonic()
    with contextlib.suppress(FileNotFoundError):
        os.unlink(address)


def _become_slice(connection: socket.socket) -> None:
    """In the fork: take over the asker's files, folder and environment, run the slice, answer its status, end."""
    status = 1
    try:
        for name in [name for name in sys.modules if name == "xailib" or name.startswith("xailib.")]:
            del sys.modules[name]
        from xailib.workflow import forked

        status = forked.run_slice(connection)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            connection.sendall(str(status).encode())
        os._exit(0)


if __name__ == "__main__":
    serve(sys.argv[1])
