#!/usr/bin/env bash
# Build the wheel, then use it in two fresh environments: without PyTorch (predict, learn) and with it (train, export).
set -euo pipefail
python=$(realpath -s "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$python" -m build --quiet --outdir "$work/dist" .
wheel=$(echo "$work"/dist/*.whl)
install() { "$python" -m venv "$work/$1" && "$work/$1/bin/python" -m pip install --quiet --disable-pip-version-check "$2"; }
cd "$work"

install with "$wheel[train]"
with/bin/manako demo --minutes 0.3 --out demo
test -s demo/run/report.html

install without "$wheel"
without/bin/python -c 'import importlib.util as u; assert u.find_spec("torch") is None'
without/bin/manako models >/dev/null
without/bin/manako learn perceptron --out lessons
without/bin/manako predict demo/run/model.onnx demo/data/test >lines.jsonl
"$python" - <<'PY'
import json
lines = [json.loads(line) for line in open("lines.jsonl")]
right = sum(line["predictions"][0]["class"] == line["image"].split("/")[-2] for line in lines)
assert len(lines) > 100 and right > 0.8 * len(lines), (right, len(lines))
print(f"The wheel works: {right} of {len(lines)} digits read without PyTorch.")
PY
