"""What is no dataset is told for what it is, with what to do: real bytes of each kind, made here."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import pickle
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from safetensors.numpy import save_file

from offbench.errors import DataError
from offbench.formats import unread
from offbench.formats.source import HDF5_SIGNATURE, Source
from offbench.formats.table import load, recognise

ROWS = {
    "observations": np.arange(12, dtype=np.float32).reshape(6, 2),
    "actions": np.zeros((6, 1), np.float32),
    "rewards": np.ones(6, np.float32),
    "terminals": np.arange(6) == 5,
}
TABLE = pa.table({"observations": [1.0, 2.0], "rewards": [0.0, 1.0]})
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 152756557\n"
DENIED = b'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>AccessDenied</Code></Error>'


def hdf5(columns: dict[str, Any], attributes: dict[str, Any] | None = None) -> bytes:
    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        for name, column in columns.items():
            file[name] = column
        file.attrs.update(attributes or {})
    return content.getvalue()


def npy() -> bytes:
    content = io.BytesIO()
    np.save(content, ROWS["observations"])
    return content.getvalue()


def saved(write: Callable[[Any], object]) -> bytes:
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def tar(members: dict[str, bytes], mode: str = "w") -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return content.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


def arrow(new: Callable[..., Any] = pa.ipc.new_file) -> bytes:
    sink = pa.BufferOutputStream()
    with new(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return sink.getvalue().to_pybytes()


def tensors(folder: Path) -> bytes:
    save_file({"layer.weight": np.ones(3)}, folder / "made", {"format": "pt"})
    content = (folder / "made").read_bytes()
    (folder / "made").unlink()
    return content


def table() -> bytes:
    content = io.StringIO()
    writer = csv.writer(content)
    writer.writerows([("x", "y", "reward"), *((row, row / 2, 1.0) for row in range(5))])
    return content.getvalue().encode()


EPISODE = {f"episode_0/{name}": column for name, column in ROWS.items()}
# As minari 0.4.3 wrote them: no metadata.json, and these attributes among others.
OLD_MINARI = {"total_episodes": 1, "total_steps": 6, "dataset_id": "door-human-v1", "minari_version": "0.4.3"}

# Name of the file, its content, and what must be told, the remedy last.
FILES: list[tuple[str, Callable[[Path], bytes], str, str]] = [
    ("hopper.hdf5", lambda _: b"", "is empty", "do that again"),
    ("hopper.hdf5", lambda _: LFS, "git-lfs's pointer", "git lfs pull"),
    (
        "hopper.npz",
        lambda _: b"<!DOCTYPE html>\n<html><body>Sign in</body></html>",
        "is a web page",
        "fetch the data anew",
    ),
    ("hopper.hdf5", lambda _: b"\n<HTML><head></head></HTML>", "is a web page", "fetch the data anew"),
    ("hopper.hdf5", lambda _: DENIED, "is a web page", "what went wrong"),
    ("h.hdf5.gz", lambda _: gzip.compress(hdf5(ROWS)), "is packed with gzip", "unpack it first (gunzip h.hdf5.gz)"),
    ("h.hdf5", lambda _: bz2.compress(hdf5(ROWS)), "is packed with bzip2", "unpack it first (bunzip2 h.hdf5)"),
    ("h.xz", lambda _: lzma.compress(hdf5(ROWS)), "is packed with xz", "unpack it first (unxz h.xz)"),
    ("h.zst", lambda _: pa.compress(npy(), "zstd", asbytes=True), "is packed with zstd", "(unzstd h.zst)"),
    ("h.lz4", lambda _: pa.compress(npy(), "lz4", asbytes=True), "is packed with lz4", "(unlz4 h.lz4)"),
    ("h.7z", lambda _: b"7z\xbc\xaf\x27\x1c\x00\x04" + bytes(24), "is packed with 7-Zip", "(7z x h.7z)"),
    ("h.rar", lambda _: b"Rar!\x1a\x07\x01\x00" + bytes(24), "is packed with RAR", "(unrar x h.rar)"),
    ("set.tar.gz", lambda _: tar({"a.npy": npy()}, "w:gz"), "is packed with gzip", "(tar -xf set.tar.gz)"),
    ("set.tgz", lambda _: tar({"a.npy": npy()}, "w:gz"), "is packed with gzip", "(tar -xf set.tgz)"),
    # A tar of one HDF5 file has its signature where HDF5's library looks for it too.
    ("set.tar", lambda _: tar({"a.hdf5": hdf5(ROWS)}), "is packed with tar", "(tar -xf set.tar)"),
    ("data.npy", lambda _: npy(), "is one array of numpy", "numpy.savez"),
    ("model.pt", lambda _: saved(lambda f: torch.save(ROWS["rewards"], f)), "written by torch.save", "numpy.savez"),
    (
        "old.pth",
        lambda _: saved(lambda f: torch.save({"a": 1}, f, _use_new_zipfile_serialization=False)),
        "written by torch.save",
        "can run code and is not opened",
    ),
    *(
        (f"data.{number}", lambda _, n=number: pickle.dumps(ROWS, protocol=n), "is a pickle", "can run code")
        for number in range(6)
    ),
    *(
        (f"list.{number}", lambda _, n=number: pickle.dumps([1, 2], protocol=n), "is a pickle", "can run code")
        for number in range(6)
    ),
    ("array", lambda _: pickle.dumps(ROWS["rewards"], protocol=0), "is a pickle", "numpy.savez"),
    ("number.pkl", lambda _: pickle.dumps(1, protocol=0), "is a pickle", "numpy.savez"),
    ("t", lambda _: saved(lambda f: parquet.write_table(TABLE, f)), "is a Parquet table", "read it with pyarrow"),
    ("t.hdf5", lambda _: arrow(), "is an Arrow table", "read it with pyarrow"),
    ("t.feather", lambda _: b"FEA1" + bytes(40), "is an Arrow table", "read it with pyarrow"),
    ("t.arrows", lambda _: arrow(pa.ipc.new_stream), "is an Arrow table", "read it with pyarrow"),
    (
        "run.zip",
        lambda _: zipped({"hopper.hdf5": hdf5(ROWS), "readme.txt": b"hello"}),
        "is a zip that holds 'hopper.hdf5', 'readme.txt' and no arrays",
        "unpack it",
    ),
    ("none.npz", lambda _: saved(np.savez), "is a zip that holds nothing and no arrays", "unpack it"),
    ("main_data.hdf5", lambda _: hdf5(EPISODE, OLD_MINARI), "written by Minari 0.4 or before", "fetch it anew"),
    ("main_data.hdf5", lambda _: hdf5(EPISODE), "metadata.json is not beside it", "the folder of a whole dataset"),
    (
        "lift.hdf5",
        lambda _: hdf5({"data/scene_0/obs/object": np.ones((3, 2)), "mask/train": np.ones(1)}),
        "HDF5 of no layout that is read: its root holds 'data', 'mask'",
        "D4RL's has observations, actions, rewards and terminals there",
    ),
    ("none.hdf5", lambda _: hdf5({}), "its root holds nothing", "D4RL's has observations"),
    (
        "names.hdf5",
        lambda _: hdf5({f"\x1b[31m{number}": 1 for number in range(10)}),
        r"'\x1b[31m7' and 2 more",  # no command to the terminal
        "D4RL's has observations",
    ),
    ("w.safetensors", tensors, "of the format 'pt' that holds 'layer.weight'", "one of trajectories"),
    ("data.json", lambda _: json.dumps({"observations": [[1, 2]]}).encode(), "is JSON", "numpy.savez"),
    ("steps.jsonl", lambda _: b'{"reward": 1}\n{"reward": 2}\n', "is JSON", "numpy.savez"),
    ("data.csv", lambda _: table(), "is a table of text (CSV)", "pandas"),
    ("data.txt", lambda _: table().replace(b",", b"\t"), "is a table of text (CSV)", "pandas"),
    ("data.csv", lambda _: table().decode().encode("utf-16"), "is a table of text (CSV)", "pandas"),
    ("notes.txt", lambda _: "Größe\n".encode() * 900, "holds text and is of no format", "a D4RL-style HDF5 file"),
    ("notes.hdf5", lambda _: b"hello", "holds text, as no .hdf5 file does", "fetch or write it anew"),
    ("noise.npz", lambda _: bytes(range(200)), "as no .npz file does, so it is damaged or misnamed", "anew"),
    ("picture", lambda _: b"\x89PNG\r\n\x1a\n" + bytes(9), r"begins with b'\x89PNG\r\n", "a Minari dataset"),
    ("cut.npz", lambda _: saved(lambda f: np.savez(f, **ROWS))[:-30], "truncated or damaged zip file", "anew"),
    ("cut.hdf5", lambda _: hdf5(ROWS)[:900], "is truncated or damaged", "anew"),
    ("cut.safetensors", lambda folder: tensors(folder)[:-4], "truncated or damaged safetensors", "anew"),
]


@pytest.mark.parametrize(("name", "make", "what", "remedy"), FILES, ids=[f"{each[0]}, {each[2]}" for each in FILES])
def test_a_file_is_told_for_what_it_is(tmp_path: Path, name: str, make: Any, what: str, remedy: str):
    path = tmp_path / name
    path.write_bytes(make(tmp_path))
    for read in (recognise, load):
        with pytest.raises(DataError) as caught:
            read(path)
        sentence = str(caught.value)
        assert sentence.startswith(f"{path} ")
        assert what in sentence
        assert remedy in sentence.partition(what)[2]
        assert sentence.isprintable()
    assert [each.name for each in tmp_path.iterdir()] == [name]


# -------------------------------------------------------------------- folders


def made(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


FOLDERS: list[tuple[dict[str, bytes], str, str]] = [
    ({}, "is an empty folder", "the folder of a Minari dataset"),
    ({".DS_Store": b"x"}, "is an empty folder", "the folder of a Minari dataset"),
    ({"notes.txt": b"x", "old/a": b"y"}, "is a folder that holds 'notes.txt', 'old'", "data/metadata.json"),
    ({"hopper.hdf5": hdf5(ROWS)}, "is a folder with files of data, 'hopper.hdf5'", "name one of them"),
    (
        {"a.hdf5": hdf5(ROWS), "b.npz": b"", "a.hdf5.offbench": b"cache"},
        "with files of data, 'a.hdf5', 'b.npz'",
        "name one of them; several are joined by offbench.concatenate",
    ),
    ({"data/main_data.hdf5": hdf5(EPISODE, OLD_MINARI)}, "written by Minari 0.4 or before", "minari 0.5 or later"),
    ({"main_data.hdf5": hdf5(EPISODE, OLD_MINARI)}, "written by Minari 0.4 or before", "minari 0.5 or later"),
    (
        {"hopper/data/metadata.json": b"{}", "ant/data/metadata.json": b"{}", "namespace_metadata.json": b"{}"},
        "is a folder of Minari datasets, 'ant', 'hopper'",
        "name one of these",
    ),
    (
        {"features.json": b"{}", "dataset_info.json": b"{}", "x-train.tfrecord-00000-of-00001": b"x"},
        "is a TFDS folder of RLDS episodes in TFRecords",
        "tensorflow_datasets.builder_from_directory",
    ),
    ({"label_human": b"", "indices_num9": b""}, "has labels of preferences", "preference_files.read_labels(folder"),
]


@pytest.mark.parametrize(("files", "what", "remedy"), FOLDERS, ids=[each[1] for each in FOLDERS])
def test_a_folder_is_told_for_what_it_is(tmp_path: Path, files: dict[str, bytes], what: str, remedy: str):
    folder = made(tmp_path, files)
    with pytest.raises(DataError) as caught:
        load(folder)
    assert str(caught.value).startswith(f"{folder} ")
    assert what in str(caught.value)
    assert remedy in str(caught.value).partition(what)[2]


def test_a_part_of_a_minari_dataset_names_its_folder(tmp_path: Path):
    made(tmp_path, {"data/metadata.json": b"{}", "data/0/part-0.arrow": arrow()})
    with pytest.raises(DataError, match=r"is an Arrow table; give the whole Minari dataset, .*/data$"):
        recognise(tmp_path / "data" / "0" / "part-0.arrow")


def test_every_kind_in_the_table_is_met_here(tmp_path: Path):
    paths = [made(tmp_path / f"folder{number}", files) for number, (files, _, _) in enumerate(FOLDERS)]
    for number, (name, make, what, _) in enumerate(FILES):
        if "damaged" not in what:
            paths.append(made(tmp_path / f"file{number}", {name: make(tmp_path)}) / name)
    met = [next((kind for kind in unread.UNREAD if kind.recognises(Source(path))), None) for path in paths]
    assert all(kind in met for kind in unread.UNREAD)


# -------------------------------------------------------------------- HDF5 that cannot be read as it is


@contextmanager
def writer(path: Path, swmr: bool) -> Iterator[subprocess.Popen[str]]:
    """A process that has an HDF5 file open for writing."""
    options = ", libver='latest'" if swmr else ""
    program = (
        f"import h5py, sys; file = h5py.File({str(path)!r}, 'w'{options}); file['observations'] = [1.0]\n"
        f"file.flush(); {'file.swmr_mode = True' if swmr else ''}\nprint('open', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_an_hdf5_file_that_is_being_written_says_so(tmp_path: Path):
    told = r"x\.hdf5 is locked by a program that writes to it; wait until"
    with writer(tmp_path / "x.hdf5", swmr=False), pytest.raises(DataError, match=told):
        load(tmp_path / "x.hdf5")


def test_an_hdf5_file_whose_writer_was_killed_says_how_to_clear_it(tmp_path: Path):
    with writer(tmp_path / "x.hdf5", swmr=True) as process:
        process.kill()
        process.wait()
        with pytest.raises(DataError, match=r"x\.hdf5 was not closed by the program .* run h5clear -s x\.hdf5"):
            load(tmp_path / "x.hdf5")


def packed(path: Path, code: int, applied: bool) -> Path:
    """An HDF5 file whose observations are packed with an optional filter that is not installed."""
    with h5py.File(path, "w") as file:
        for name, column in ROWS.items():
            if name != "observations":
                file[name] = column
        properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        properties.set_chunk((6, 2))
        properties.set_filter(code, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple((6, 2))
        dataset = h5py.h5d.create(file.id, b"observations", h5py.h5t.IEEE_F32LE, space, properties)
        if applied:
            dataset.write_direct_chunk((0, 0), b"packed by something", 0)
        else:  # HDF5 leaves out what it lacks, if that is optional
            h5py.Dataset(dataset)[...] = ROWS["observations"]
    return path


@pytest.mark.parametrize(("code", "name"), [(32001, "Blosc"), (32015, "Zstandard"), (305, "unknown")])
def test_a_filter_that_is_missing_is_named(tmp_path: Path, code: int, name: str):
    told = rf"'/observations' of .*x\.hdf5 is packed with filter {code} \({name}\).*h5repack -f GZIP=4 x\.hdf5 NEW"
    with pytest.raises(DataError, match=told):
        load(packed(tmp_path / "x.hdf5", code, applied=True))


def test_a_filter_that_was_left_out_when_writing_is_not_missed(tmp_path: Path):
    assert load(packed(tmp_path / "x.hdf5", 32001, applied=False)).steps == 6


# -------------------------------------------------------------------- what must not happen


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: str):
        self.folder = folder

    def __reduce__(self) -> Any:
        return os.mkdir, (self.folder,)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ["x.pkl", "x.npz", "x.hdf5", "x.pt", "x"])
def test_nothing_is_unpickled(tmp_path: Path, name: str, protocol: int):
    path = made(tmp_path, {name: pickle.dumps(Trap(str(tmp_path / "sprung")), protocol)}) / name
    with pytest.raises(DataError, match="is a pickle"):
        load(path)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("x/data.pkl", path.read_bytes())
    with pytest.raises(DataError, match=r"written by torch\.save"):
        load(tmp_path / "x.zip")
    assert not (tmp_path / "sprung").exists()


def test_what_is_no_plain_file_is_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.hdf5")
    with pytest.raises(DataError, match=r"pipe\.hdf5 is neither a file nor a folder"):
        recognise(tmp_path / "pipe.hdf5")
    with pytest.raises(DataError, match=r"none\.hdf5 does not exist; give the path of a dataset"):
        recognise(tmp_path / "none.hdf5")


BEGINNINGS = [b"", HDF5_SIGNATURE, b"PK\x03\x04", b"PK\x05\x06", b"\x80\x04", b"\x93NUMPY", b"PAR1", b"\x1f\x8b", b"{"]
BEGINNINGS += [b"(\x00\x00\x00\x00\x00\x00\x00{", bytes(512) + HDF5_SIGNATURE, b"\xff\xfe", b"<html", b"(dp0\n"]


def told(path: Path) -> str:
    """What is said of a path, nothing if it is recognised."""
    try:
        recognise(path)
    except DataError as error:
        return str(error)
    return ""


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(BEGINNINGS), st.binary(max_size=80), st.sampled_from(["x", "x.hdf5", "x.npz", "x.offbench"]))
def test_whatever_the_bytes_one_sentence_is_told(tmp_path_factory, beginning: bytes, rest: bytes, name: str):
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(beginning + rest)
    assert told(path).startswith(str(path))
    assert told(path).isprintable()
