import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import pytrec_eval
from tests.evaluation.colours import CAPTION, EDIT, HOP, NAMES, UNREACHABLE, build_model, write_benchmark

from trace_retriever.config.embed import EmbedConfig
from trace_retriever.config.evaluate import EvaluateConfig
from trace_retriever.errors import ConfigError, DataError
from trace_retriever.evaluation.runs import read_run
from trace_retriever.evaluation.seeds import add_seed
from trace_retriever.io.files import digest_tree, read_json, write_json
from trace_retriever.mbeir.layout import Layout
from trace_retriever.steps.embed import embed
from trace_retriever.steps.evaluate import evaluate
from trace_retriever.store.embeddings import Embeddings
from trace_retriever.store.shards import table_name

CONFIG = EvaluateConfig(resamples=100, examples=4, depth=50)
PAIRS = [CAPTION, HOP, EDIT]
SYSTEMS = {"auto", "never", "always", "oracle", "blend", "budget", "encoder"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with `dataset`, and the embeddings `trace` and `encoder`."""
    root = tmp_path_factory.mktemp("evaluate")
    write_benchmark(root / "dataset")
    for kind, seed in (("trace", 0), ("encoder", 1)):
        build_model(kind, seed).save(root / "models" / kind)
        for folder in (root / kind, root / "report" / kind, root / "work" / kind):
            folder.mkdir(parents=True)
        embed(
            EmbedConfig(),
            dataset=root / "dataset",
            model=root / "models" / kind,
            out=root / kind,
            report=root / "report" / kind,
            work=root / "work" / kind,
        )
    return root


def run(world: Path, root: Path, config: EvaluateConfig = CONFIG, *, baseline: bool = True) -> dict[str, Any]:
    for name in ("out", "report", "work"):
        (root / name).mkdir(parents=True, exist_ok=True)
    return evaluate(
        config,
        dataset=world / "dataset",
        embeddings=world / "trace",
        baseline=world / "encoder" if baseline else None,
        out=root / "out",
        report=root / "report",
        work=root / "work",
    )


@pytest.fixture(scope="module")
def done(world: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    root = tmp_path_factory.mktemp("done")
    return root, run(world, root)


def test_one_row_per_system_pool_and_query(done: tuple[Path, dict[str, Any]]) -> None:
    queries = pd.read_parquet(done[0] / "out/queries.parquet")
    assert set(queries["system"]) == SYSTEMS
    assert len(queries) == len(SYSTEMS) * 2 * len(PAIRS) * len(NAMES)
    assert not queries.duplicated(["system", "pool", "qid"]).any()
    assert set(queries.loc[queries["system"] == "auto", "route"]) == {"simple", "complex"}
    exact = queries.set_index("system")["trace_exact"]
    assert exact["never"].isna().all()
    assert exact["encoder"].isna().all()
    complex_rows = queries[(queries["system"] == "always") & (queries["true_route"] == "complex")]
    assert complex_rows["trace_exact"].notna().all()


@pytest.mark.parametrize("pair", PAIRS, ids=str)
@pytest.mark.parametrize("system", sorted(SYSTEMS))
@pytest.mark.parametrize("folder", ["", "global"])
def test_figures_equal_pytrec_eval_on_the_run_file(
    world: Path, done: tuple[Path, dict[str, Any]], pair: Any, system: str, folder: str
) -> None:
    """Ranks stand in for scores, which may tie and which pytrec_eval then orders its own way."""
    run_file = read_run(done[0] / "out/runs" / system / folder / f"{pair}.trec")
    qrels = {
        query.qid: dict.fromkeys(query.pos_cand_list, 1)
        for query in Layout(world / "dataset").queries(pair, "test")
    }
    ranked = {qid: {line.did: -float(line.rank) for line in lines} for qid, lines in run_file.items()}
    measures = {"success.1,5,10", "recall.10", "ndcg_cut.10"}
    theirs = pytrec_eval.RelevanceEvaluator(qrels, measures).evaluate(ranked)
    results = read_json(done[0] / "out/results.json")
    ours = results["systems"][system][folder or "local"]["pairs"][str(pair)]
    for mine, name in (
        ("hit_1", "success_1"), ("hit_5", "success_5"), ("hit_10", "success_10"),
        ("recall_10", "recall_10"), ("ndcg_10", "ndcg_cut_10"),
    ):  # fmt: skip
        assert ours[mine] == pytest.approx(np.mean([theirs[qid][name] for qid in qrels]), abs=1e-9)
    assert ours["headline"]["mean"] == ours["hit_5"]


def test_scores_of_a_run_fall_and_ties_are_in_order_of_did(done: tuple[Path, dict[str, Any]]) -> None:
    for path in (done[0] / "out/runs").rglob("*.trec"):
        for lines in read_run(path).values():
            keys = [(-line.score, tuple(map(int, line.did.split(":")))) for line in lines]
            assert keys == sorted(keys)


def test_results_tell_what_cannot_be_reached(done: tuple[Path, dict[str, Any]]) -> None:
    results = read_json(done[0] / "out/results.json")
    assert results["pairs"][HOP.name] == {
        "true_route": "complex",
        "queries": 10,
        "pool_size": 10,
        "reachability": 9 / 11,
        "headline_k": 5,
    }
    queries = pd.read_parquet(done[0] / "out/queries.parquet")
    rows = queries[
        (queries["pair"] == HOP.name) & (queries["pool"] == "local") & (queries["system"] == "auto")
    ]
    lost = rows[~rows["reachable"]]
    assert list(lost["rank"]) == [-1]
    half = rows[rows["qid"] == "14:100"]  # one of its two positives is {UNREACHABLE}
    assert half["recall_10"].item() == 0.5, UNREACHABLE
    assert half["hit_10"].item()


def test_the_global_pool_is_the_harder_one_and_shows_wrong_modalities(
    done: tuple[Path, dict[str, Any]],
) -> None:
    queries = pd.read_parquet(done[0] / "out/queries.parquet")
    ranks = queries.assign(rank=queries["rank"].where(queries["rank"] > 0, 10_000)).pivot(
        index=["system", "qid"], columns="pool", values="rank"
    )
    assert (ranks["global"] >= ranks["local"]).all()
    shares = queries.groupby("pool")["wrong_modality"].max()
    assert shares["local"] == 0
    assert shares["global"] > 0


def test_metrics_are_averages_of_the_records(done: tuple[Path, dict[str, Any]]) -> None:
    root, metrics = done
    queries = pd.read_parquet(root / "out/queries.parquet")
    local = queries[queries["pool"] == "local"]
    by_pair = local.groupby(["system", "pair"])["headline"].mean()
    for system in SYSTEMS:
        assert metrics["average"][system] == pytest.approx(by_pair[system].mean())
        for pair in PAIRS:
            assert metrics["headline"][system][pair.name] == pytest.approx(by_pair[system, pair.name])
    auto = local[local["system"] == "auto"]
    assert metrics["routing_accuracy"] == pytest.approx((auto["route"] == auto["true_route"]).mean())


def test_the_report_has_tables_plots_and_pictures(done: tuple[Path, dict[str, Any]]) -> None:
    page = (done[0] / "report/report.html").read_text()
    for words in (
        "auto minus never",
        "auto minus encoder",
        "Reliability",
        "Recall against cost",
        "Does a low P(&lt;|emb|&gt;) predict that a trace helps?",
        "wanted",
        "data:image/png",
        "<svg",
    ):
        assert words in page
    table = pd.read_csv(done[0] / "report/recall.csv")
    assert len(table) == len(SYSTEMS) * 2 * len(PAIRS)


def test_equal_inputs_give_equal_bytes(
    world: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert run(world, tmp_path) == done[1]
    assert digest_tree(tmp_path / "out") == digest_tree(done[0] / "out")
    assert digest_tree(tmp_path / "report") == digest_tree(done[0] / "report")


def test_a_budget_is_chosen_on_val_and_found_again_on_test(world: Path, tmp_path: Path) -> None:
    """By hand from the vectors' own table: who reasons, what it costs, and that the records say the same."""
    config = EvaluateConfig.model_validate(
        CONFIG.model_dump() | {"route_budget": {"tokens": 2.0}, "examples": 0, "global_pool": False}
    )
    metrics = run(world, tmp_path, config, baseline=False)
    choice = read_json(tmp_path / "out/results.json")["budget"]
    assert (choice["limit"], choice["split"]) == (2.0, "val")
    assert metrics["route_threshold"] == choice["threshold"]
    table = Embeddings.load(world / "trace").query_table
    table["used"] = table["trace_tokens"].where(table["p_emb"] < choice["threshold"], 0)
    by_pair = table.groupby(["split", "pair"])["used"].mean()
    assert by_pair["val"].mean() == pytest.approx(choice["expected"]["trace_tokens"])
    assert by_pair["val"].mean() <= 2.0
    assert metrics["average_tokens"]["budget"] == pytest.approx(by_pair["test"].mean())
    assert 0 < metrics["average_tokens"]["budget"] < metrics["average_tokens"]["always"]
    records = pd.read_parquet(tmp_path / "out/queries.parquet")
    mine = records[records["system"] == "budget"].set_index("qid")
    reasoning = table[table["split"] == "test"].set_index("qid")["p_emb"] < choice["threshold"]
    assert (mine["route"].eq("complex") == reasoning[mine.index]).all()
    for system, chosen in (("always", reasoning), ("never", ~reasoning)):
        other = records[records["system"] == system].set_index("qid")
        qids = chosen.index[chosen]
        assert (mine.loc[qids, "rank"] == other.loc[qids, "rank"]).all()


def test_the_curve_has_the_figures_of_the_systems(done: tuple[Path, dict[str, Any]]) -> None:
    root, metrics = done
    curve = pd.read_csv(root / "report/route_curve.csv", keep_default_na=False)
    assert set(curve["split"]) == {"val", "test"}
    rows = curve[(curve["split"] == "test") & (curve["point"] != "")].to_dict("records")
    test: dict[Any, Any] = {(row["pair"], row["point"]): row for row in rows}
    for system in SYSTEMS - {"blend", "encoder"}:
        average = test["average", system]
        assert float(average["headline"]) == pytest.approx(metrics["average"][system], abs=1e-5)
        assert float(average["trace_tokens"]) == pytest.approx(metrics["average_tokens"][system], abs=1e-4)
        for pair in PAIRS:
            found = test[pair.name, system]["headline"]
            assert float(found) == pytest.approx(metrics["headline"][system][pair.name], abs=1e-5)


def test_a_budget_that_direct_answers_exceed_is_refused(world: Path, tmp_path: Path) -> None:
    cost = {"direct_ms": 5.0, "trace_token_ms": 1.0}
    config = EvaluateConfig.model_validate(
        CONFIG.model_dump() | {"route_budget": {"milliseconds": 4.0, "cost": cost}}
    )
    with pytest.raises(ConfigError, match=r"a budget of 4\.0 milliseconds is below the 5"):
        run(world, tmp_path, config)


def test_seeds_stand_in_the_report(world: Path, done: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    queries = pd.read_parquet(done[0] / "out/queries.parquet")
    seeds = tmp_path / "seeds.json"
    for seed in (1, 2, 3):
        add_seed(seeds, seed, queries)
    config = CONFIG.model_copy(update={"seeds_file": str(seeds), "examples": 0})
    run(world, tmp_path / "run", config)
    page = (tmp_path / "run/report/report.html").read_text()
    assert "Training seeds 1, 2, 3" in page
    assert "average of complex pairs" in page


def test_without_baseline_and_global_pool(world: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"global_pool": False, "pairs": (HOP.name,), "examples": 1})
    metrics = run(world, tmp_path, config, baseline=False)
    assert set(metrics["average"]) == SYSTEMS - {"encoder"}
    assert metrics["average_global"] == {}
    assert set(metrics["headline"]["auto"]) == {HOP.name}


def test_a_pair_that_was_not_embedded_is_named(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no test queries of cirr_task7"):
        run(world, tmp_path, CONFIG.model_copy(update={"pairs": ("cirr_task7",)}))


def test_a_pool_that_was_not_embedded_is_refused(world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "world"
    write_benchmark(copy / "dataset")
    for kind in ("trace", "encoder"):
        (copy / kind).symlink_to(world / kind)
    path = next((copy / "dataset/cand_pool/local").glob("*mojihop*"))
    path.write_text(path.read_text().replace('"14:9"', '"14:77"'))
    with pytest.raises(DataError, match="candidate 14:77 was not embedded"):
        run(copy, tmp_path)


def test_an_empty_pool_is_refused(world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "world"
    write_benchmark(copy / "dataset")
    (copy / "trace").symlink_to(world / "trace")
    path = next((copy / "dataset/cand_pool/local").glob("*mojihop*"))
    path.write_text("")
    with pytest.raises(DataError, match="empty") as caught:
        run(copy, tmp_path, baseline=False)
    assert path.name in str(caught.value)


def test_a_baseline_with_other_queries_is_refused(world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "world"
    copy.mkdir()
    for name in ("dataset", "trace"):
        (copy / name).symlink_to(world / name)
    shutil.copytree(world / "encoder", copy / "encoder")
    path = copy / "encoder/queries" / table_name(0)
    table = pd.read_parquet(path)
    table.loc[table["qid"] == "14:100", "qid"] = "14:199"
    table.to_parquet(path)
    with pytest.raises(DataError, match="the baseline has other test queries of mojihop_task1"):
        run(copy, tmp_path)


def test_vectors_without_reasoning_allow_never_only(world: Path, tmp_path: Path) -> None:
    copy = tmp_path / "world"
    (copy / "trace").mkdir(parents=True)
    (copy / "dataset").symlink_to(world / "dataset")
    for path in (world / "trace").iterdir():
        (copy / "trace" / path.name).symlink_to(path)
    about = read_json(world / "trace/embed.json")
    (copy / "trace/embed.json").unlink()
    write_json(copy / "trace/embed.json", about | {"reasons": ["never"]})
    metrics = run(copy, tmp_path, baseline=False)
    assert set(metrics["average"]) == {"never"}
