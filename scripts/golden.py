"""Records the demo's sessions with the small SAM 3 for tests/test_golden.py.

python -m scripts.golden
"""

from __future__ import annotations

import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from maskpilot.demo import demo_tasks, run_demo
from maskpilot.runfolder import RunFolder
from maskpilot.segmenters import load_segmenter

TARGET = Path(__file__).parent.parent / "tests" / "data" / "golden"


def main() -> None:
    """Run and keep the session logs."""
    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name, closing(load_segmenter("nano", device="cpu")) as segmenter:
        folder = RunFolder.create(Path(name) / "demo", overwrite=False)
        run_demo(folder, segmenter, demo_tasks())
        for log in sorted((folder.path / "sessions").iterdir()):
            shutil.copy(log, TARGET / log.name)


if __name__ == "__main__":
    main()
