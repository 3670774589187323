import json
import shlex
from collections.abc import Sequence

import pytest

from app.jobs.held_out import HeldOutText
from app.jobs.kinds import Estimate, JobState, PretrainingSpec
from app.jobs.spec import Job, Progress
from app.publishing.card import render
from app.store.manifest import DataSource, Manifest
from app.types import ModalityName, Task

REQUEST = {"model": "minilm", "training_file": "file-1", "method": {"type": "mlm"}}


def make_card(held_out: Sequence[HeldOutText] = (), **changes: object) -> str:
    spec = PretrainingSpec(
        model="minilm@2",
        method="mlm",
        hyperparameters={},
        training_files=("file-1",),
        name="lions",
        request=REQUEST,
        estimate=Estimate(read_as={"lines": 1, "rows": 2}),
    )
    progress = Progress(step=1200, tokens=9_830_400, epoch=1.5)
    job = Job(id="ftjob-1", spec=spec, state=JobState.RUNNING, created_at=0, progress=progress)
    values: dict[str, object] = {
        "modality": ModalityName.TEXT,
        "architecture": "bert",
        "tasks": (Task.FILL_MASK, Task.EMBED),
        "parameters": 22_000_000,
        "license": "apache-2.0",
        "parents": ("minilm@2", "teacher@1"),
        "request": REQUEST,
        "data": (DataSource(filename="a|b.txt", bytes=1234, sha256="ab" * 32),),
        "metrics": {"eval_loss": 2.34567},
    }
    return render(job, Manifest.model_validate({**values, **changes}), "lions", held_out)


def test_a_card_says_what_the_model_is_made_of() -> None:
    card = make_card()
    assert card.startswith("---\nlicense: apache-2.0\n")
    for said in (
        "# lions\n",
        "minilm@2, teacher@1",
        f"| a\\|b.txt | 1,234 | `{'ab' * 32}` |",
        "| Steps | 1,200 |",
        "| One document is | a line (in 1 files), a row (in 2 files) |",
        "| Tokens | 9,830,400 |",
        "| eval_loss | 2.346 |",
        "/v1/fill-mask -H",
        '"model": "lions"',
    ):
        assert said in card
    block = card.split("```json\n")[1].split("\n```")[0]
    assert json.loads(block) == REQUEST


def test_a_card_shows_a_call_that_suits_the_model() -> None:
    card = make_card(modality=ModalityName.IMAGE, architecture="vit_mae", tasks=(Task.EMBED, Task.RECONSTRUCT))
    assert "/v1/reconstruct -F model=lions -F file=@photo.jpg -H 'Accept: image/png'" in card
    assert '{"model": "lions", "input": "data:image/jpeg;base64,…"}' in card


def test_a_card_says_what_transformers_cannot_load() -> None:
    card = make_card(modality=ModalityName.AUDIO, architecture="vit_mae", tasks=(Task.EMBED,))
    assert "## Limitations\n\n- Transformers loads the encoder with" in card
    assert "## Limitations" not in make_card()


def test_a_card_gives_the_verdict_and_what_was_chosen() -> None:
    verdict = {"learnt": False, "summary": "Not learnt yet: ….", "advice": "Train longer."}
    card = make_card(chosen={"learning_rate": 0.0005, "vocab_size": 16384}, verdict=verdict)
    assert "## Verdict\n\n> **Warning:** Not learnt yet: ….\n\nTrain longer." in card
    assert "| Learning rate | 0.0005 |" in card and "| Vocab size | 16,384 |" in card
    assert "Warning" not in make_card(verdict={**verdict, "learnt": True})


def test_a_card_leaves_out_what_there_is_not() -> None:
    card = make_card(license=None, parents=(), data=(), metrics={})
    assert "## Verdict" not in card
    assert "license:" not in card and "## Data" not in card and "## Metrics" not in card
    assert "scratch" in card and "not stated" in card


def inputs_of(card: str) -> list[str]:
    """Returns the inputs of the card's requests, as a shell and a JSON parser read them."""
    commands = card.split("```sh\n")[1].split("\n```")[0].split("\n")
    return [json.loads(shlex.split(command)[-1])["input"] for command in commands]


PROTEIN = "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEV"


@pytest.mark.parametrize(
    ("text", "masked", "expected", "whole"),
    [
        (PROTEIN, PROTEIN[:40] + "[MASK]" + PROTEIN[41:], PROTEIN[13:40] + "[MASK]" + PROTEIN[41:68], PROTEIN[:60]),
        ("MKT", "M[MASK][MASK]", "M[MASK]", "MKT"),
        ('It\'s {a} "lion"\n☃', 'It\'s {a} "[MASK]"\n☃', 'It\'s {a} "[MASK]"\n☃', 'It\'s {a} "lion"\n☃'),
        (
            "The hungry lions chase the zebras through the wide savanna of the south.",
            "The hungry lions chase the zebras [MASK] the wide savanna of the south.",
            "lions chase the zebras [MASK] the wide savanna of the",
            "The hungry lions chase the zebras through the wide savanna",
        ),
    ],
)
def test_a_card_asks_for_an_item_of_the_model_s_own_data(text: str, masked: str, expected: str, whole: str) -> None:
    held_out = [HeldOutText(text="no mask", masked="no mask"), HeldOutText(text=text, masked=masked)]
    first, *others = inputs_of(make_card(held_out))
    assert (first, set(others)) == (expected, {whole})
    assert "Tokyo" in make_card(held_out[:1])
