"""Tables in Markdown hold any text."""

from app.evaluation.markdown import write_table


def test_cells_stay_in_their_row() -> None:
    table = write_table(["group", "a|b"], [["first\r\nsecond\u2028third", "\t1  "], ["", "2"]])
    assert table.split("\n") == ["| group | a\\|b |", "| --- | --- |", "| first second third | 1 |", "|  | 2 |"]
