"""Trust 28 and 8: no verb asks the network for anything, and nothing in the product can run code from a file."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from manako.samples.scenes import write_shapes

SOURCE = Path(__file__).parent.parent / "src" / "manako"
GUARD = """
import sys
def no_network(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "urllib.Request"):
        raise SystemExit(f"asked the network: {event} {arguments}")
    if event == "socket.connect" and not isinstance(arguments[1], (str, bytes)):
        raise SystemExit(f"asked the network: {event} {arguments}")
sys.addaudithook(no_network)
from manako.cli import main
sys.exit(main(sys.argv[1:]))
"""
VERBS = (
    ["models"],
    ["learn", "perceptron", "--out", "lessons"],
    ["check", "data"],
    ["train", "data", "--model", "efficientnet_lite0", "--epochs", "1", "--imgsz", "32", "--out", "run"],
    ["evaluate", "run"],
    ["predict", "run", "data", "--out", "predictions", "--draw"],
    ["export", "run"],
    ["predict", "run/model.onnx", "data", "--format", "csv"],
    ["cluster", "data", "--out", "clusters"],
)


def test_every_verb_works_without_a_network(tmp_path: Path) -> None:
    write_shapes(tmp_path / "data", seed=1, count=48)
    environment = os.environ | {"MANAKO_LANG": "en", "MANAKO_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    for words in VERBS:
        command = [sys.executable, "-c", GUARD, *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (words, done.stdout[-500:], done.stderr[-2000:])
        assert "asked the network" not in done.stderr


def test_the_guard_notices_a_network(tmp_path: Path) -> None:
    program = GUARD.split("from manako")[0] + "import socket; socket.create_connection(('127.0.0.1', 9))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode and "asked the network" in done.stderr


FORBIDDEN_IMPORTS = {"pickle", "joblib", "dill", "cloudpickle", "marshal", "shelve"}
FORBIDDEN_CALLS = {"eval", "exec", "torch.load", "yaml.load", "numpy.load", "np.load"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: str(p.relative_to(SOURCE)))
def test_nothing_can_run_code_from_a_file(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        assert not FORBIDDEN_IMPORTS & {name.partition(".")[0] for name in names}, f"{path}:{node.lineno}"
        if isinstance(node, ast.Call) and ast.unparse(node.func) in FORBIDDEN_CALLS:
            safe = any(k.arg == "allow_pickle" and ast.unparse(k.value) == "False" for k in node.keywords)
            assert safe, f"{path}:{node.lineno} {ast.unparse(node.func)}"
