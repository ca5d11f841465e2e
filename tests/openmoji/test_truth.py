"""Is what the benchmark calls right really right, and nothing else? Read from the words, by other code."""

import json
from collections import Counter

from tests.openmoji.readers import Asked, Benchmark, beside, follow, read_places, section

from trace_retriever.mbeir.pairs import Split
from trace_retriever.openmoji.scenes import CELLS


def shown(asked: Asked) -> dict[str, str]:
    """What the query's picture shows, by the maker's record."""
    return read_places(json.loads(asked.query.query_src_content or "")["scene"])


def reference(asked: Asked) -> dict[str, str]:
    """What the true trace says of the query's picture, which is what it shows."""
    places = read_places(section(asked.truth.reasoning, "reference")[0])
    assert places == shown(asked)
    return places


def test_an_edits_request_leads_to_its_positive_and_to_nothing_else(benchmark: Benchmark) -> None:
    count = 0
    for asked in benchmark.asked("mojiedit"):
        target, _ = follow(reference(asked), asked.query.query_txt or "")
        assert target == read_places(asked.truth.answer.removeprefix("target : "))
        right = [one.did for one in asked.pool.values() if benchmark.scene_of(one) == target]
        assert right == asked.query.pos_cand_list
        if asked.pair.task == 8:
            assert asked.positive.txt == " , ".join(benchmark.scene(target).names)
        count += 1
    assert count == 2 * (24 + 8 + 24)


def test_several_hops_lead_to_the_positive_and_to_nothing_else(benchmark: Benchmark) -> None:
    for asked in benchmark.asked("mojihop"):
        last, second, first, name = (asked.query.query_txt or "").split(" of ")
        middle = benchmark.world.facts[name, first]
        end = benchmark.world.facts[middle, second]
        assert section(asked.truth.reasoning, "step") == [
            benchmark.fact((name, first)),
            benchmark.fact((middle, second)),
        ]
        assert_answered(benchmark, asked, (end, last))


def test_a_relations_question_leads_to_the_positive_and_to_nothing_else(benchmark: Benchmark) -> None:
    hops = Counter[int]()
    for asked in benchmark.asked("mojirelation"):
        question, where = (asked.query.query_txt or "").split(" of thing ")
        direction, anchor = where.split(" of ")
        (one,), (other,) = (section(asked.truth.reasoning, name) for name in ("anchor", "object"))
        places = reference(asked)
        (thing,) = beside(places, anchor, direction)
        assert (one, other) == (f"{anchor} {places[anchor]}", f"{thing} {places[thing]}")
        relations = question.split(" of ")[::-1]
        if len(relations) == 2:
            assert section(asked.truth.reasoning, "step") == [benchmark.fact((thing, relations[0]))]
            thing = benchmark.world.facts[thing, relations[0]]
        assert_answered(benchmark, asked, (thing, relations[-1]))
        hops[len(relations)] += 1
    assert min(hops[1], hops[2]) > 10


def assert_answered(benchmark: Benchmark, asked: Asked, key: tuple[str, str]) -> None:
    """The positive is the one passage of the pool about these."""
    fact = benchmark.fact(key)
    assert asked.positive.txt == fact == asked.truth.answer.removeprefix("target : ")
    about = [one.did for one in asked.pool.values() if (one.txt or "").startswith(" ".join(key) + " ")]
    assert about == asked.query.pos_cand_list


def test_the_knowledge_base_is_whole_and_the_same_in_each_split(benchmark: Benchmark) -> None:
    facts = {benchmark.fact(key) for key in benchmark.world.facts}
    assert len(facts) == len(benchmark.world.facts) == 5 * len(benchmark.world.names)
    for name in ("mojifact_task1", "mojihop_task1", "mojiobject_task6", "mojirelation_task6"):
        pools = [benchmark.pools[name, split] for split in ("train", "val", "test")]
        assert {one.txt for one in pools[0].values()} == facts
        assert pools[0] == pools[1] == pools[2]


def test_a_facts_question_names_its_fact(benchmark: Benchmark) -> None:
    splits: dict[tuple[str, str], set[Split]] = {}
    for asked in benchmark.asked("mojifact"):
        words = set((asked.query.query_txt or "").split()) - {"the", "of", "a"}
        name, relation, value = (asked.positive.txt or "").split()
        assert words == {name, relation}
        assert benchmark.world.facts[name, relation] == value
        splits.setdefault((name, relation), set()).add(asked.split)
    assert all(len(found) == 1 for found in splits.values())


def test_captions_pictures_and_requests_agree(benchmark: Benchmark) -> None:
    for asked in benchmark.asked("mojicap", "mojiplain", "mojiscene"):
        text = asked.query.query_txt or ""
        found = benchmark.descriptions[asked.positive.did]
        if asked.query.query_img_path:
            assert shown(asked) == read_places(found)
        if asked.pair.name == "mojicap_task0":
            assert text == found
        elif asked.pair.name == "mojicap_task3":
            assert asked.positive.txt == found
        elif asked.pair.name == "mojicap_task2":
            caption, fact = text.split(" note ")
            assert (found, asked.positive.txt) == (f"{caption} ; {fact}", fact)
            name, relation, _ = fact.split()
            assert fact == benchmark.fact((name, relation))
            assert name in read_places(caption)
        elif asked.pair.dataset == "mojiplain":
            assert text.removeprefix("where ") in found.split(" , ")


def test_no_other_candidate_shows_the_same_things(benchmark: Benchmark) -> None:
    for asked in benchmark.asked("mojiconcept"):
        right = [one.did for one in asked.pool.values() if set(benchmark.scene_of(one)) == set(shown(asked))]
        assert right == asked.query.pos_cand_list
        assert benchmark.scene_of(asked.positive) != shown(asked)


def test_a_things_page_shows_the_thing(benchmark: Benchmark) -> None:
    for asked in benchmark.asked("mojiobject"):
        relation, _, _, _, cell = (asked.query.query_txt or "").split()
        name, of, _ = (asked.positive.txt or "").split()
        assert of == relation
        assert shown(asked)[name] == cell
        assert asked.positive.txt == benchmark.fact((name, relation))
        if asked.pair.task == 8:
            assert set(benchmark.scene_of(asked.positive)) == {name}


def test_what_is_held_out_is_in_test_alone(benchmark: Benchmark) -> None:
    world = benchmark.world
    for split in ("train", "val"):
        assert all(truth.held_out == [] for truth in (benchmark.layout.truth(split) or {}).values())
    kinds = Counter(
        what.split(":")[0]
        for truth in (benchmark.layout.truth("test") or {}).values()
        for what in truth.held_out
    )
    assert min(kinds[kind] for kind in ("placement", "operations", "chain")) > 3
    for asked in benchmark.asked("mojiedit", "mojihop", "mojirelation", "mojicap", "mojiscene", "mojiplain"):
        held = set(asked.truth.held_out)
        if asked.pair.dataset == "mojiedit":
            _, done = follow(reference(asked), asked.query.query_txt or "")
            operations = "+".join(sorted(done))
            assert (operations in world.operations) == (f"operations:{operations}" in held)
        elif asked.pair.dataset in ("mojihop", "mojirelation"):
            relations = (asked.query.query_txt or "").split(" of thing ")[0].split(" of ")
            if asked.pair.dataset == "mojihop":
                relations = relations[1:3]
            chain = "+".join(reversed(relations))
            assert (chain in world.chains) == (f"chain:{chain}" in held)
        else:
            places = read_places(benchmark.descriptions[asked.positive.did].split(" ; ")[0])
            found = {
                f"placement:{n}@{cell}"
                for n, cell in places.items()
                if (n, CELLS.index(cell)) in world.placements
            }
            assert found == held
