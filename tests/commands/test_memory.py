from app.commands.memory import MemoryTrimmer


def test_memory_is_trimmed_when_it_has_grown() -> None:
    size = 100
    trimmed = []

    def trim() -> None:
        nonlocal size
        trimmed.append(size)
        size = 120  # not all can be given back

    trimmer = MemoryTrimmer(lambda: size, trim, growth=50)
    for size in (120, 149, 150, 160, 169, 170):  # noqa: B007 - read by the trimmer
        trimmer.step()
    assert trimmed == [150, 170]
