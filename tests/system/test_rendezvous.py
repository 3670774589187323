from collections import Counter

from app.system.rendezvous import choose_nodes

NODES = [f"http://cloze-{number}:8000" for number in range(8)]
MODELS = [f"acme/model-{number}" for number in range(4000)]


def test_the_same_nodes_in_any_order() -> None:
    assert choose_nodes("acme/tiny", NODES, 3) == choose_nodes("acme/tiny", NODES[::-1], 3)
    assert choose_nodes("acme/tiny", NODES, 3)[:1] == choose_nodes("acme/tiny", NODES)


def test_nodes_have_equal_shares() -> None:
    counts = Counter(choose_nodes(model, NODES)[0] for model in MODELS)
    assert set(counts) == set(NODES)
    assert all(400 < count < 600 for count in counts.values())  # 500 and a standard deviation of 21


def test_only_the_models_of_a_node_that_leaves_move() -> None:
    for model in MODELS[:500]:
        before, after = choose_nodes(model, NODES, 2), choose_nodes(model, NODES[1:], 2)
        kept = [node for node in before if node != NODES[0]]
        assert after[: len(kept)] == kept


def test_fewer_nodes_than_wanted() -> None:
    assert choose_nodes("acme/tiny", ["a", "a"], 3) == ["a"]
    assert choose_nodes("acme/tiny", []) == []
