"""What arrives is looked through before a byte of it is unpacked."""

import gzip
import io
import os
import stat
import tarfile
import tempfile
import zipfile

import pytest
from honest_entries import edited

from offbench.errors import OffbenchError
from offbench.leaderboard.archive import Member, check_members, opened
from offbench.leaderboard.contents import read_contents
from offbench.leaderboard.packing import write_archive

RECORD = "records/a--b/seed-0.json"


def zipped(path, *files, kind=zipfile.ZIP_DEFLATED, **changes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = kind
            info.external_attr = changes.get(name, 0o100644) << 16
            archive.writestr(info, content)
    return path


def tarred(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for info in members:
            info = tarfile.TarInfo(info) if isinstance(info, str) else info
            info.size = 2 if info.isreg() else 0
            archive.addfile(info, io.BytesIO(b"{}") if info.isreg() else None)
    return path


def special(name, kind, target=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def encrypted(path):
    content = bytearray(zipped(path, ("entry.json", "{}")).read_bytes())
    content[6] |= 1  # in the local header and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def lying(path):
    """A zip whose directory says that a file is smaller than it is."""
    content = bytearray(zipped(path, ("entry.json", b"a" * 1000)).read_bytes())
    place = content.index(b"PK\x01\x02") + 24
    content[place : place + 4] = (10).to_bytes(4, "little")
    path.write_bytes(content)
    return path


def no_text(path):
    """A zip that says its names are UTF-8, with one that is not."""
    content = zipped(path, ENTRY, ("records/é", "")).read_bytes()
    path.write_bytes(content.replace("é".encode(), b"\xff\xff"))
    return path


def sparse_tar(path):
    """A tar whose extended header has a list of places that holds no numbers."""
    info = tarfile.TarInfo("entry.json")
    info.pax_headers = {"GNU.sparse.map": "0,x", "GNU.sparse.size": "2"}
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    return path


def long_stream(path):
    with gzip.open(path, "wb", compresslevel=9) as file:
        for _ in range(60):
            file.write(bytes(2**20))
    return path


ENTRY = ("entry.json", "{}")
BAD = {
    "parent folder": (lambda p: zipped(p, ENTRY, ("../entry.json", "{}")), "leads out of the entry"),
    "parent folder within": (lambda p: zipped(p, ENTRY, ("records/../../x.json", "{}")), "leads out of the entry"),
    "absolute path": (lambda p: zipped(p, ENTRY, ("/etc/passwd", "{}")), "leads out of the entry"),
    "drive": (lambda p: zipped(p, ENTRY, ("C:/x", "{}")), "leads out of the entry"),
    "backslashes": (lambda p: zipped(p, ENTRY, ("..\\x", "{}")), "leads out of the entry"),
    "another file": (lambda p: zipped(p, ENTRY, ("setup.py", "")), "which is no file of an entry"),
    "control characters": (lambda p: zipped(p, ENTRY, ("a\x1b[2J", "")), r"a\\x1b\[2J, which is no file"),
    "verdict": (lambda p: zipped(p, ENTRY, ("verification.json", "{}")), "brings its own verification.json"),
    "twice": (lambda p: zipped(p, ENTRY, (RECORD, "1"), (RECORD, "2")), "holds .* twice"),
    "twice but for capitals": (lambda p: zipped(p, ENTRY, (RECORD, "1"), (RECORD.replace("a-", "A-"), "")), "twice"),
    "link in a zip": (lambda p: zipped(p, ENTRY, (RECORD, "/etc"), **{RECORD: stat.S_IFLNK | 0o777}), "is a link"),
    "bomb in a zip": (lambda p: zipped(p, ENTRY, (RECORD, bytes(10 * 2**20))), "is taken for a bomb"),
    "large file": (lambda p: zipped(p, ENTRY, (RECORD, os.urandom(17 * 2**20))), "a file of its kind has at most"),
    "no entry.json": (lambda p: zipped(p, (RECORD, "{}")), "has no entry.json"),
    "encrypted": (encrypted, "is encrypted"),
    "longer than it says": (lying, "can be read|longer than"),
    "packed otherwise": (lambda p: zipped(p, ENTRY, kind=zipfile.ZIP_LZMA), "packed in a way of its own"),
    "names that are no text": (no_text, "can be read"),
    "pax header that is no number": (sparse_tar, "can be read|no file of an entry"),
    "one seed written in two ways": (
        lambda p: zipped(p, ENTRY, ("policies/a/seed-1.onnx", ""), ("policies/a/seed-01.onnx", "")),
        "seed-01.onnx, which is no file of an entry",
    ),
    "a seed in other digits": (
        lambda p: zipped(p, ENTRY, ("policies/a/seed-٣.onnx", "")),
        "which is no file of an entry",
    ),
    "no archive": (lambda p: p.write_bytes(b"hello" * 100) and p, "can be read"),
    "empty": (lambda p: p.write_bytes(b"") or p, "can be read|has no entry.json"),
    "tar out of the folder": (lambda p: tarred(p, "entry.json", "../x.json"), "leads out of the entry"),
    "tar with an absolute path": (lambda p: tarred(p, "entry.json", "/etc/x.json"), "leads out of the entry"),
    "symbolic link": (lambda p: tarred(p, "entry.json", special(RECORD, tarfile.SYMTYPE, "/etc/passwd")), "is a link"),
    "hard link": (lambda p: tarred(p, "entry.json", special(RECORD, tarfile.LNKTYPE, "entry.json")), "is a link"),
    "device": (lambda p: tarred(p, "entry.json", special(RECORD, tarfile.CHRTYPE)), "is a device"),
    "pipe": (lambda p: tarred(p, "entry.json", special(RECORD, tarfile.FIFOTYPE)), "is a device"),
    "folder outside": (lambda p: tarred(p, "entry.json", special("../x", tarfile.DIRTYPE)), "leads out of the entry"),
    "tar twice": (lambda p: tarred(p, "entry.json", "entry.json"), "holds entry.json twice"),
    "bomb in a tar": (long_stream, "taken for a bomb|can be read|no entry.json"),
    "bytes that are no tar": (lambda p: p.write_bytes(gzip.compress(os.urandom(5000))) and p, "can be read|no entry"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_could_do_harm_is_refused_before_it_is_unpacked(name, tmp_path, monkeypatch):
    make, sentence = BAD[name]
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "unpacked"))
    (tmp_path / "unpacked").mkdir()
    path = make(tmp_path / "entry.bin")
    with pytest.raises(OffbenchError, match=sentence), opened(path):
        pass
    assert not list((tmp_path / "unpacked").iterdir())
    assert {each.name for each in tmp_path.iterdir()} == {"entry.bin", "unpacked"}


def test_a_bomb_of_many_bytes_is_not_read_to_its_end(tmp_path):
    path = tmp_path / "bomb.tar.gz"
    with gzip.open(path, "wb") as file:
        info = tarfile.TarInfo(RECORD)
        info.size = 100 * 2**20
        file.write(info.tobuf())
        for _ in range(100):
            file.write(bytes(2**20))
    with pytest.raises(OffbenchError, match="a file of its kind has at most"), opened(path):
        pass


def test_too_many_files_are_refused(tmp_path):
    many = (Member(f"records/a/seed-{seed}.json", 0) for seed in range(20_000))
    with pytest.raises(OffbenchError, match="more than 10,000 files"):
        check_members(tmp_path, many)


@pytest.mark.parametrize("name", ["entry.zip", "entry.tar.gz"])
def test_an_archive_is_the_folder_again_and_always_the_same_bytes(name, tmp_path):
    folder = edited(tmp_path / "entry")
    for target in ("one", "two"):
        write_archive(folder, tmp_path / f"{target}-{name}", zipped=name.endswith("zip"))
    assert (tmp_path / f"one-{name}").read_bytes() == (tmp_path / f"two-{name}").read_bytes()
    with opened(tmp_path / f"one-{name}") as found, opened(folder) as original:
        assert read_contents(found) == read_contents(original)


def test_a_verified_folder_is_opened_when_that_is_meant(tmp_path):
    folder = edited(tmp_path / "entry")
    (folder / "verification.json").write_text("{}")
    with opened(folder, verified=True):
        pass
    with pytest.raises(OffbenchError, match="brings its own"), opened(folder):
        pass
