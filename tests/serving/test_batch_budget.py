from app.serving.batch_budget import BatchBudget


def test_the_budget_shrinks_and_recovers() -> None:
    budget = BatchBudget(64)
    budget.shrink(40)
    budget.shrink(40)  # its twin, taken before the first failed
    assert budget.tokens == 20
    budget.shrink(1)
    assert budget.tokens == 1
    seen = set()
    for _ in range(64 * 10):
        budget.recover()
        seen.add(budget.tokens)
    assert seen == {1, 2, 4, 8, 16, 32, 64}
