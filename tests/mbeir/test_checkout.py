from pathlib import Path

import pytest
from tests.mbeir.checkout_files import PAIRS

from trace_retriever.config.prepare import MbeirSource
from trace_retriever.errors import ConfigError, DataError, ImageError
from trace_retriever.mbeir.checkout import link_checkout, needed_files
from trace_retriever.mbeir.layout import Files, Layout
from trace_retriever.mbeir.pairs import OFFICIAL_PAIRS, Pair

CIRR = Pair("cirr", 7)


def link(checkout: Path | None, tmp_path: Path, *pairs: Pair, records: int = 100) -> Layout:
    out = tmp_path / "out"
    out.mkdir()
    path = str(checkout) if checkout else None
    names = tuple(pair.name for pair in pairs or PAIRS)
    link_checkout(MbeirSource(path=path, pairs=names, sample_records=records), out)
    return Layout(out)


def test_a_complete_checkout_is_linked_and_not_copied(checkout: Path, tmp_path: Path) -> None:
    layout = link(checkout, tmp_path)
    assert layout.files.queries(CIRR, "test").is_symlink()
    assert layout.files.images.is_symlink()
    below = [path for path in layout.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in below if not path.is_relative_to(layout.files.images)] == []
    assert list(layout.queries(CIRR, "test")) == list(Layout(checkout).queries(CIRR, "test"))


def test_only_the_selected_pairs_are_linked(checkout: Path, tmp_path: Path) -> None:
    layout = link(checkout, tmp_path, CIRR)
    assert layout.pairs("test") == layout.pairs("train") == [CIRR]


def test_every_missing_file_is_listed_with_role_and_size(checkout: Path, tmp_path: Path) -> None:
    files = Files(checkout)
    gone = {
        files.queries(CIRR, "test"): "test queries of cirr_task7, about 4,000 queries",
        files.pool(CIRR, None): "local val pool of cirr_task7, about 21,000 candidates",
        files.qrels(Pair("oven", 6), "val"): "val relevance judgements of oven_task6",
        files.dataset_queries("mscoco"): "train queries of mscoco_task0, about 100,000 queries",
        files.global_pool("test"): "global test pool, about 5.6 million candidates",
        files.instructions: "four prompts for each pair",
    }
    for path in gone:
        path.unlink()
    with pytest.raises(DataError) as error:
        link(checkout, tmp_path)
    for path, role in gone.items():
        listed = [line for line in str(error.value).splitlines() if path.name in line]
        assert any(role in line for line in listed), (path.name, listed)
    assert "for 8 purposes" in error.value.problem  # the pool serves two splits, the train file two pairs
    assert not any((tmp_path / "out").iterdir())


def test_a_missing_picture_folder_is_listed(checkout: Path, tmp_path: Path) -> None:
    (checkout / "mbeir_images").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="mbeir_images: folder of pictures"):
        link(checkout, tmp_path)


def test_a_pointer_of_git_lfs_counts_as_missing(checkout: Path, tmp_path: Path) -> None:
    Files(checkout).pool(CIRR, None).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(DataError, match="only its Git LFS pointer is here"):
        link(checkout, tmp_path)


def test_all_official_pairs_are_needed_by_default(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(DataError) as error:
        link_checkout(MbeirSource(path=str(checkout)), tmp_path / "out")
    assert all(pair.name in str(error.value) for pair in set(OFFICIAL_PAIRS) - set(PAIRS))


def test_each_pair_needs_queries_qrels_and_pools(checkout: Path) -> None:
    roles = [needed.role for needed in needed_files(Files(checkout), [CIRR])]
    for split in ("train", "val", "test"):
        assert f"{split} queries of cirr_task7" in roles
        assert f"{split} relevance judgements of cirr_task7" in roles
        assert f"global {split} pool" in roles
    assert "local test pool of cirr_task7" in roles


def test_a_bad_record_among_the_first_is_named(checkout: Path, tmp_path: Path) -> None:
    path = Files(checkout).queries(CIRR, "val")
    path.write_text(path.read_text() + "{oops\n")
    with pytest.raises(DataError, match="Invalid JSON") as error:
        link(checkout, tmp_path)
    assert str(error.value.where).endswith("mbeir_cirr_task7_val.jsonl:4")


def test_no_more_than_the_first_records_are_read(checkout: Path, tmp_path: Path) -> None:
    path = Files(checkout).queries(CIRR, "val")
    path.write_text(path.read_text() + "{oops\n")
    link(checkout, tmp_path, records=3)


def test_a_record_of_another_pair_is_named(checkout: Path, tmp_path: Path) -> None:
    path = Files(checkout).queries(CIRR, "val")
    path.write_text(Files(checkout).queries(Pair("infoseek", 6), "val").read_text())
    with pytest.raises(DataError, match="another data set than cirr_task7"):
        link(checkout, tmp_path)


def test_a_missing_picture_is_named_with_its_record(checkout: Path, tmp_path: Path) -> None:
    layout = Layout(checkout)
    query = next(layout.queries(CIRR, "test"))
    (checkout / str(query.query_img_path)).unlink()
    with pytest.raises(ImageError, match=f"record {query.qid}: picture not found"):
        link(checkout, tmp_path)


def test_a_truncated_picture_is_named_with_its_record(checkout: Path, tmp_path: Path) -> None:
    layout = Layout(checkout)
    candidate = next(layout.pool(CIRR, "test"))
    path = checkout / str(candidate.img_path)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ImageError, match=f"record {candidate.did}: picture cannot be decoded"):
        link(checkout, tmp_path)


def test_an_empty_pool_is_an_error(checkout: Path, tmp_path: Path) -> None:
    Files(checkout).pool(CIRR, None).write_text("")
    with pytest.raises(DataError, match="holds no records"):
        link(checkout, tmp_path)


def test_qrels_without_a_positive_are_an_error(checkout: Path, tmp_path: Path) -> None:
    Files(checkout).qrels(CIRR, "test").write_text("8:7200 0 8:7200 0 7\n")
    with pytest.raises(DataError, match="no positive judgement"):
        link(checkout, tmp_path)


def test_a_path_is_required(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs a path"):
        link(None, tmp_path)


def test_a_path_that_is_no_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no M-BEIR checkout here"):
        link(tmp_path / "none", tmp_path)
