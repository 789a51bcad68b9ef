"""From places to documents."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Domain
from streams.errors import PageUnavailable
from topology.ingesting import Choices, Source, document, read_file, sources

NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "a.md").write_text("# The Whale\n\nIt is white.", encoding="utf-8")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "b-file.html").write_text("<title>Tides &amp; Moon</title><p>x", encoding="utf-8")
    (tmp_path / "deep" / "c.txt").write_text("\ufeffplain", encoding="utf-8")
    (tmp_path / "deep" / "d.pdf").write_bytes(b"%PDF-1.7\x00")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "e.md").write_text("no", encoding="utf-8")
    return tmp_path


def names(found: list[Source]) -> list[str]:
    return [Path(source.place).name for source in found]


def test_a_directory_is_all_files_of_known_endings_and_each_is_there_once(folder: Path) -> None:
    found = list(sources([str(folder), str(folder / "a.md"), str(folder / "deep" / ".." / "a.md")]))

    assert names(found) == ["a.md", "b-file.html", "c.txt"]


def test_a_glob_is_what_matches(folder: Path) -> None:
    assert names(list(sources([f"{folder}/**/*.html"]))) == ["b-file.html"]


@pytest.mark.parametrize("place", ["nothing.md", "none/*.md", ""])
def test_a_place_where_nothing_is_is_named(folder: Path, place: str) -> None:
    (folder / "empty").mkdir()

    with pytest.raises(PageUnavailable, match=r"no such file|nothing to read"):
        list(sources([str(folder / (place or "empty"))]))


def test_what_is_to_be_deleted_may_be_gone(folder: Path) -> None:
    (before,) = sources([str(folder / "a.md")])
    (folder / "a.md").unlink()

    (after,) = sources([str(folder / "a.md")], existing=False)

    assert after.document_id == before.document_id


def test_ids_are_readable_the_same_every_time_and_unlike_those_of_other_places(folder: Path) -> None:
    (folder / "deep" / "a.md").write_text("other", encoding="utf-8")

    first, second = sources([str(folder / "a.md"), str(folder / "deep" / "a.md")])

    assert first.document_id != second.document_id
    assert first.document_id.startswith("a-")
    assert [each.document_id for each in sources([str(folder / "a.md")])] == [first.document_id]


def test_a_file_is_one_however_its_path_is_written(folder: Path) -> None:
    (folder / "same.md").symlink_to(folder / "a.md")
    ways = (folder / "a.md", folder / "deep" / ".." / "a.md", folder / "same.md")

    assert len({source.document_id for way in ways for source in sources([str(way)])}) == 1


def test_an_address_is_one_however_it_is_written() -> None:
    found = list(sources(["https://Example.org", "https://example.org/#top", "https://example.org/a?b=1"]))

    assert [source.uri for source in found] == ["https://example.org/", "https://example.org/a?b=1"]
    assert all(source.is_page for source in found)


@pytest.mark.parametrize(
    ("name", "media_type", "title", "text"),
    [
        ("a.md", "text/markdown", "The Whale", "# The Whale\n\nIt is white."),
        ("deep/b-file.html", "text/html", "Tides & Moon", "<title>Tides &amp; Moon</title><p>x"),
        ("deep/c.txt", "text/plain", "c", "plain"),
    ],
)
def test_a_document_is_named_by_its_title_or_its_file(
    folder: Path, name: str, media_type: str, title: str, text: str
) -> None:
    (source,) = sources([str(folder / name)])

    made = document(source, *read_file(source), Choices(domain=Domain.LITERARY, tenant="acme"))

    assert (made.media_type, made.title, made.text) == (media_type, title, text)
    assert (made.domain, made.tenant, made.source_uri) == (Domain.LITERARY, "acme", (folder / name).as_uri())


def test_what_is_said_goes_before_what_is_found(folder: Path) -> None:
    (source,) = sources([str(folder / "a.md")])

    made = document(source, "text", "text/markdown", NOW, Choices(document_id="d", title="T", media_type="text/plain"))

    assert (made.document_id, made.title, made.media_type) == ("d", "T", "text/plain")


def test_what_is_no_text_is_refused_with_advice(folder: Path) -> None:
    with pytest.raises(PageUnavailable, match="convert it"):
        read_file(Source(str(folder / "deep" / "d.pdf"), "file:///d"))
    with pytest.raises(PageUnavailable, match="cannot be read"):
        read_file(Source(str(folder / "gone"), "file:///gone"))
    with pytest.raises(PageUnavailable, match="empty"):
        document(None, " \n", "text/plain", NOW, Choices(document_id="d"))


@given(st.text(min_size=1, max_size=80).filter(lambda text: "\0" not in text))
def test_any_name_makes_an_id_that_can_be_stored(name: str) -> None:
    made = Source(name, f"file:///{name!a}").document_id

    assert 12 <= len(made) <= 100
    assert made.isascii()
