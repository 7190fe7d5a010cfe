"""Tables of labels: every encoding, every fault named with file, line and field, no alarm on clean ones."""

from __future__ import annotations

import csv
import io
import subprocess
import sys
import textwrap
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manako.errors import DataError, LabelError
from manako.formats import read_dataset
from manako.types import Dataset, Labels, Problem

IMAGES = tuple(f"images/{name}.png" for name in ("a", "b", "c", "d", "犬", "with space", "com,ma", "e", "f", "g"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("table")
    (root / "images").mkdir()
    for name in IMAGES:
        Image.new("RGB", (4, 4)).save(root / name)
    (root.parent / "outside.png").write_bytes((root / IMAGES[0]).read_bytes())
    (root / "images" / "link.png").symlink_to(root.parent / "outside.png")
    return root


def read(folder: Path, content: str | bytes, name: str = "mine.csv", **options: Any) -> Dataset:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_dataset(path, **options)


def found(dataset: Dataset) -> dict[str, tuple[str, str | None, str | None]]:
    labels = {s.id: s.target.best for s in dataset.samples if isinstance(s.target, Labels)}
    return {s.id: (dataset.classes[labels[s.id]], s.split, s.group) for s in dataset.samples}


def faults(dataset: Dataset) -> list[Problem]:
    return [problem for problem in dataset.problems if problem.code.startswith("table.")]


ROWS = st.lists(
    st.tuples(
        st.sampled_from(IMAGES),
        st.sampled_from(["cat", "dog", "うさぎ", "7", 'say "x"', "a,b", "line\nbreak"]),
        st.sampled_from(["train", "val", "test"]),
        st.sampled_from(["", "g1", "g2"]),
    ),
    min_size=2,
    max_size=10,
    unique_by=lambda row: row[0],
).filter(lambda rows: len({label for _, label, split, _ in rows if split == "train"} - {None}) > 1)


@settings(max_examples=150, deadline=None)
@given(
    rows=ROWS,
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be-marked", "cp932"]),
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    delimiter=st.sampled_from([",", ";", "\t"]),
    names=st.sampled_from([("path", "label", "split", "group"), (" Filename ", "CLASS", "Set", "Group ID")]),
    blank_lines=st.booleans(),
)
def test_clean_tables_are_read_whatever_their_dress(
    folder: Path, rows: Any, encoding: str, line_end: str, delimiter: str, names: Any, blank_lines: bool
) -> None:
    """The oracle is the list of rows itself."""
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if line_end == "\r" else csv.QUOTE_MINIMAL  # minimal would leave a bare line break
    writer = csv.writer(text, delimiter=delimiter, lineterminator=line_end, quoting=quoting)
    writer.writerow(names)
    writer.writerows(rows)
    content = text.getvalue() + (line_end * 3 if blank_lines else "")
    data = b"\xfe\xff" + content.encode("utf-16-be") if encoding.endswith("marked") else content.encode(encoding)
    trained = {label for _, label, split, _ in rows if split == "train"}
    dataset = read(folder, data)
    assert found(dataset) == {path: (label, split, group or None) for path, label, split, group in rows}
    unseen = sum(label not in trained for _, label, split, _ in rows if split != "train")
    codes = [problem.code for problem in faults(dataset) if problem.code != "table.encoding"]
    assert codes == ["table.unseen_label"] * unseen
    assert any(problem.code == "table.encoding" for problem in dataset.problems) <= (encoding == "cp932")


BASE = [
    ("images/a.png", "cat", "train"),
    ("images/f.png", "cat", "train"),
    ("images/b.png", "dog", "train"),
    ("images/c.png", "cat", "val"),
]
FAULTS: dict[str, tuple[tuple[str, str, str], str, str]] = {
    "missing file": (("images/none.png", "cat", "train"), "table.missing", "path"),
    "folder": (("images", "cat", "train"), "table.missing", "path"),
    "absolute": (("/etc/hostname", "cat", "train"), "table.escapes", "path"),
    "escaping": (("../outside.png", "cat", "train"), "table.escapes", "path"),
    "escaping, Windows": (("..\\outside.png", "cat", "train"), "table.escapes", "path"),
    "escaping link": (("images/link.png", "cat", "train"), "table.escapes", "path"),
    "no path": (("", "cat", "train"), "table.empty_field", "path"),
    "no label": (("images/d.png", " ", "train"), "table.empty_field", "label"),
    "unknown split": (("images/d.png", "cat", "trian"), "table.unknown_split", "split"),
    "repeated": (("images/a.png", "cat", "train"), "table.duplicate", "path"),
    "repeated, other spelling": (("./images/../images/a.png", "cat", "train"), "table.duplicate", "path"),
    "contradiction": (("images/a.png", "dog", "train"), "table.contradiction", "path"),
    "two splits": (("images/a.png", "cat", "test"), "table.contradiction", "path"),
    "unseen label": (("images/d.png", "catt", "val"), "table.unseen_label", "label"),
    "very long name": (("x" * 5000 + ".png", "cat", "train"), "table.bad_name", "path"),
}


@settings(max_examples=60, deadline=None)
@given(
    kind=st.sampled_from(sorted(FAULTS)),
    place=st.integers(0, 3),
    other=st.sampled_from(["", "images/e.png,cat,train\n"]),
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_every_fault_is_named_with_its_line(folder: Path, kind: str, place: int, other: str, line_end: str) -> None:
    row, code, field = FAULTS[kind]
    rows = [",".join(r) for r in BASE]
    if code in ("table.duplicate", "table.contradiction"):
        place = 4  # the second of two is the one named
    rows.insert(place, ",".join(row))
    dataset = read(folder, line_end.join(["path,label,split", *rows, *other.splitlines(), ""]))
    (fault,) = faults(dataset)
    assert fault.code == code and fault.facts["field"] == field
    assert fault.facts["line"] == place + 2 and fault.facts["file"] == folder / "mine.csv"
    kept = len(BASE) + bool(other) + (code == "table.unseen_label") - (code == "table.contradiction")
    assert len(dataset.samples) == kept


def refusal(folder: Path, content: str | bytes, **options: Any) -> LabelError:
    with pytest.raises(LabelError) as caught:
        read(folder, content, **options)
    assert str(folder / "mine.csv") in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    ("content", "code", "line"),
    [
        ("path,name\nimages/a.png,cat\n", "table.missing_column", 1),
        ("\n\nname,label\nx,cat\n", "table.missing_column", 3),
        ("path,file,label\nx,x,cat\n", None, None),
        ("file,image,label\nx,x,cat\n", "table.two_columns", 1),
        ("path,label\nimages/a.png,c\0at\n", "table.nul", 2),
        ("path,label\n".encode("utf-16-le"), "table.nul", 1),
        ('path,label\nimages/a.png,"cat\nimages/b.png,dog\n', "table.malformed", 2),
        ('path,label\nimages/a.png,"cat"x\n', "table.malformed", 2),
        ("path,label\nimages/a.png," + "x" * 200_000 + "\n", "table.malformed", 2),
        ("", "table.no_rows", None),
        ("path,label\n", "table.no_rows", None),
        (b"path,label\n\x81\x00\xff\xfe\x9d,x\n", "table.undecodable", None),
        (b"path,label\n\x81\x81\x8d,x\n", "table.undecodable", None),
        ("path,label\n/etc/passwd,cat\n../x.png,dog\n", "table.escapes", 2),
    ],
)
def test_tables_that_cant_be_used(folder: Path, content: str | bytes, code: str | None, line: int | None) -> None:
    error = refusal(folder, content)
    if code is not None:
        assert error.code == code and error.facts.get("line") == line


def test_a_table_without_a_header(folder: Path) -> None:
    dataset = read(folder, "images/a.png,cat,train\nimages/b.png,dog,val\nimages/c.png,dog,train\n")
    assert found(dataset)["images/b.png"] == ("dog", "val", None)


def test_japanese_columns_and_windows_paths(folder: Path) -> None:
    dataset = read(folder, "ファイル名,ラベル\nimages\\a.png,猫\nimages\\犬.png,犬\n".replace("名", "").encode("cp932"))
    assert found(dataset) == {"images/a.png": ("猫", None, None), "images/犬.png": ("犬", None, None)}


def test_western_excel(folder: Path) -> None:
    dataset = read(folder, "path;label\nimages/a.png;Käse\nimages/b.png;Brot\n".encode("cp1252"))
    assert dataset.classes == ("Brot", "Käse")


def test_names_in_the_other_unicode_form(tmp_path: Path) -> None:
    for form, other in (("NFC", "NFD"), ("NFD", "NFC")):
        root = tmp_path / form
        root.mkdir()
        for stem in ("é", "ガ"):
            Image.new("L", (2, 2)).save(root / (unicodedata.normalize(form, stem) + ".png"))  # type: ignore[arg-type]
        rows = unicodedata.normalize(other, "path,label\né.png,ガ\nガ.png,x\n")  # type: ignore[arg-type]
        assert found(read(root, rows)) == {"é.png": ("ガ", None, None), "ガ.png": ("x", None, None)}


def test_numbers_are_sorted_as_numbers(folder: Path) -> None:
    rows = "".join(f"{name},{label}\n" for name, label in zip(IMAGES, ("10", "9", "2", "10"), strict=False))
    assert read(folder, "path,label\n" + rows).classes == ("2", "9", "10")


def test_grouping_by_any_column(folder: Path) -> None:
    content = "path,label,Patient\nimages/a.png,x,p1\nimages/b.png,y,p1\n"
    assert {group for _, _, group in found(read(folder, content)).values()} == {None}
    assert {group for _, _, group in found(read(folder, content, group_by="patient")).values()} == {"p1"}
    assert refusal(folder, content, group_by="subject").facts["field"] == "subject"
    assert refusal(folder, "images/a.png,x\n", group_by="subject").code == "table.missing_column"


def test_of_many_faults_the_first_are_listed(folder: Path) -> None:
    rows = "".join(f"images/none{number}.png,cat\n" for number in range(1300))
    dataset = read(folder, "path,label\nimages/a.png,cat\nimages/b.png,dog\n" + rows)
    assert len(faults(dataset)) == 1001 and faults(dataset)[-1].facts["count"] == 300


def test_a_folder_with_labels_csv(tmp_path: Path) -> None:
    for name in ("x/1.png", "y/1.png"):
        (tmp_path / name).parent.mkdir()
        Image.new("L", (2, 2)).save(tmp_path / name)
    (tmp_path / "labels.csv").write_text("path,label\nx/1.png,one\ny/1.png,two\n")
    dataset = read_dataset(tmp_path)
    assert dataset.format == "table" and dataset.classes == ("one", "two")
    assert read_dataset(tmp_path, format="folders").classes == ("x", "y")


def test_nothing_outside_is_opened_and_nothing_is_fetched(folder: Path) -> None:
    """The interpreter itself reports each file opened, each link followed by open and each connection."""
    rows = "".join(f"{row[0]},cat\n" for row, *_ in FAULTS.values() if row[0])
    (folder / "audit.csv").write_text("path,label\nimages/a.png,cat\nimages/b.png,dog\n" + rows)
    script = """
        import sys, pathlib
        import manako.doctor.data, manako.messages
        from encodings import cp932, utf_16
        manako.messages.catalogue("en")
        seen = []
        sys.addaudithook(lambda event, facts: seen.append((event, str(facts[0]) if facts else "")))
        report = manako.doctor.data.check(sys.argv[1])
        report.text()
        root = pathlib.Path(sys.argv[1]).parent.resolve()
        for event, name in list(seen):
            if event.startswith(("socket.", "subprocess", "urllib", "os.system")):
                print(event, name)
            if event == "open" and not name.isdigit() and not pathlib.Path(name).resolve().is_relative_to(root):
                if not name.endswith((".py", ".pyc", ".so")) and "site-packages" not in name:
                    print(event, name)
        assert any(event == "open" and name.endswith("a.png") for event, name in seen)
        """
    command = [sys.executable, "-c", textwrap.dedent(script), str(folder / "audit.csv")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_only_our_errors(folder: Path) -> None:
    @settings(max_examples=200, deadline=None)
    @given(
        st.binary(max_size=300)
        | st.text(max_size=200).map(lambda text: ("path,label\n" + text).encode("utf-8", "replace"))
    )
    def any_bytes(content: bytes) -> None:
        try:
            read(folder, content)
        except DataError as error:
            assert str(error)

    any_bytes()
