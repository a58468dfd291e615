"""A real llama.cpp server with the tiny vision language model, on the loopback.

`python -m tests.cassettes.serve FOLDER` prints its address and serves until its standard input is closed.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["MODEL", "TINY_VLM", "llama_server"]

MODEL = "tiny-vlm"
TINY_VLM = Path(__file__).parents[1] / "data" / "tiny_vlm"


@contextmanager
def llama_server(*, key: str = "") -> Iterator[str]:
    """Start one in a process of its own.

    Args:
        key: that it asks for; none where empty.

    Yields:
        the base URL of its API.
    """
    command = [sys.executable, "-m", "tests.cassettes.serve", str(TINY_VLM), key]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            address = next((line.strip() for line in process.stdout if line.startswith("http://")), "")
            assert address, "llama.cpp did not start"
            yield f"{address}/v1"
        finally:
            process.kill()


def _serve(folder: Path, key: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(folder / "text.gguf")
    params.mmproj.path = str(folder / "vision.gguf")
    params.model_alias = {MODEL}
    params.hostnames = ["127.0.0.1"]
    params.port = 0  # any that is free
    params.n_ctx = 16384
    params.use_jinja = True
    params.warmup = False
    params.sampling.temp = 0.0
    params.api_keys = [key] if key else []
    server = xllamacpp.Server(params)
    sys.stdout.write(f"{server.listening_address}\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else "")
