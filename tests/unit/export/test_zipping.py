"""A ZIP that is written in pieces is the ZIP that is written at once."""

import io
import zipfile

from hypothesis import given
from hypothesis import strategies as st

from shared.export.formats import Mbox
from shared.export.model import Position
from shared.export.zipping import Zip

Files = dict[str, list[bytes]]
paths = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=12)


@given(st.dictionaries(paths, st.lists(st.binary(max_size=300), max_size=5), max_size=5), st.data())
def test_interrupted_anywhere_every_file_is_whole(files: Files, data: st.DataObject) -> None:
    out, directory, archive = bytearray(), bytearray(), Zip()

    def interrupted() -> None:
        nonlocal archive
        if data.draw(st.booleans()):
            out.extend(archive.suspend())
            directory.extend(archive.directory)
            kept = archive.position.model_dump_json()
            archive = Zip(Position.model_validate_json(kept))

    for path, parts in files.items():
        out += archive.begin(f"{path}.txt", 1_767_607_203)
        for part in parts:
            interrupted()
            out += archive.write(part)
        interrupted()
        out += archive.end()
    directory += archive.directory
    assert len(out) == archive.position.offset
    assert len(directory) == archive.position.directory
    whole = bytes(out + directory) + archive.close()
    with zipfile.ZipFile(io.BytesIO(whole)) as read:
        assert read.testzip() is None
        assert {name: read.read(name) for name in read.namelist()} == {
            f"{path}.txt": b"".join(parts) for path, parts in files.items()
        }


def test_sizes_beyond_four_gigabytes_are_written_as_zip64() -> None:
    """The records alone: nobody waits for 5 GB here."""
    archive = Zip()
    archive.begin("large.bin", None)
    assert archive.entry is not None
    archive.entry.size, archive.entry.packed = 5 << 30, 5 << 30
    archive.position.offset = 6 << 30
    archive.end()
    archive.begin("behind.txt", None)
    archive.end()
    directory = bytes(archive.directory)
    # What stands before the directory is cut off: a reader takes that for data in front.
    with zipfile.ZipFile(io.BytesIO(directory + archive.close())) as read:
        large, behind = read.infolist()
    assert (large.file_size, large.compress_size) == (5 << 30, (5 << 30) + 2)
    assert behind.header_offset - large.header_offset > 6 << 30


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_mbox_does_not_depend_on_how_a_message_is_cut(parts: list[bytes]) -> None:
    whole, cut = Mbox(0), Mbox(0)
    one = whole.feed(b"".join(parts)) + whole.end()
    other = b"".join(cut.feed(part) for part in parts) + cut.end()
    assert one == other
    assert one.startswith(b"From - Thu Jan  1 00:00:00 1970\n")
    assert one.endswith(b"\n")
    assert b"\nFrom " not in one
