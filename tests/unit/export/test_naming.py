"""Names in an export: nothing climbs, nothing clashes, nothing is remembered."""

from hypothesis import example, given
from hypothesis import strategies as st

from shared.export.model import Folder
from shared.export.naming import file_name, folder_path

A, B = "a" * 64, "b" * 64
names = st.text(min_size=0, max_size=80)


@given(names, st.sampled_from(["", ".eml", ".json"]))
@example("\N{NO-BREAK SPACE}", "")
@example("a\N{NO-BREAK SPACE}.", "")
def test_names_are_one_step_that_every_file_system_takes(name: str, extension: str) -> None:
    text = file_name(name, extension, A)
    assert text == text.strip()
    assert text not in {"", ".", ".."}
    assert not set(text) & set('/\\:*?"<>|\0\r\n')
    assert len(text.encode()) <= 255
    assert text.endswith(extension)


@given(names, names, st.sampled_from(["", ".eml"]))
def test_two_items_never_share_a_name(one: str, other: str, extension: str) -> None:
    """Unless the drive itself holds both under one name, which it cannot."""
    if one == other and not extension and file_name(one, "", A) == one:
        return
    assert file_name(one, extension, A) != file_name(other, extension, B)


def test_a_good_name_is_kept_and_a_changed_one_is_marked() -> None:
    assert file_name("Report 2026.xlsx", "", A) == "Report 2026.xlsx"
    assert file_name("a?b.txt", "", A) == "a_b [aaaaaaaaaaaa].txt"
    assert file_name("CON.txt", "", A) == "_CON [aaaaaaaaaaaa].txt"
    assert file_name("Re: hello", ".eml", A) == "Re_ hello [aaaaaaaaaaaa].eml"
    # Who calls a file as another's changed name would be called does not get that name.
    assert file_name("a_b [bbbbbbbbbbbb].txt", "", A) == "a_b [bbbbbbbbbbbb] [aaaaaaaaaaaa].txt"


def test_folders_that_lead_in_a_ring_or_too_deep_still_have_a_place() -> None:
    ring = {"x": Folder(name="x", parent="y", mark="1" * 12),
            "y": Folder(name="y", parent="x", mark="2" * 12)}  # fmt: skip
    assert folder_path("x", ring) == ["items", "y", "x"]
    deep = {str(n): Folder(name="n", parent=str(n - 1), mark=f"{n:012d}") for n in range(40)}
    assert folder_path("39", deep) == ["items", "_deep", "000000000039"]
    climbing = {"x": Folder(name="..", mark="1" * 12)}
    assert folder_path("x", climbing) == ["items", "_ [111111111111]"]
