import re
from typing import get_args

from app.jobs.kinds import Action, JobState
from app.jobs.spec import ACTIONS
from app.web import STATIC


def test_every_action_has_its_states() -> None:
    assert set(ACTIONS) == set(get_args(Action))


def test_the_page_allows_the_same_actions() -> None:
    text = (STATIC / "views" / "jobs" / "allowed.js").read_text(encoding="utf-8")
    table = text[text.index("const ALLOWED = {") : text.index("};")]
    found = {
        name: set(re.findall(r'"(\w+)"', states)) for name, states in re.findall(r"^  (\w+): (\[.*\]),$", table, re.M)
    }
    assert found == {action: set(map(str, states)) for action, states in ACTIONS.items()}
    assert set().union(*found.values()) == set(map(str, JobState))
