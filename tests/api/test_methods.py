from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.methods import METHODS
from app.methods.groups import GROUPS


@pytest.fixture
def methods(client: TestClient) -> dict[str, dict[str, Any]]:
    return {method["id"]: method for method in client.get("/v1/pretraining/methods").json()["data"]}


def test_every_method_is_told_with_its_presets(methods: dict[str, dict[str, Any]]) -> None:
    assert methods.keys() == METHODS.keys()
    for name, method in methods.items():
        assert [preset["id"] for preset in method["presets"]] == list(METHODS[name].presets)
    assert methods["mae"]["modality"] == "image"
    assert methods["mae"]["architectures"] == ["vit_mae"]
    assert methods["mae"]["presets"][0]["config"]["image_size"] == 96


def test_the_schema_has_the_defaults_and_ranges_of_the_method(methods: dict[str, dict[str, Any]]) -> None:
    for name, method in methods.items():
        schema = method["hyperparameters"]
        defaults = {field: rest["default"] for field, rest in schema["properties"].items()}
        assert defaults == METHODS[name].hyperparameters().model_dump()
        assert schema["additionalProperties"] is False
    fields = methods["mae"]["hyperparameters"]["properties"]
    assert fields["schedule"]["enum"] == ["linear", "cosine", "warmup-stable-decay"]
    assert {"type": "number", "exclusiveMinimum": 0, "maximum": 1} in fields["learning_rate"]["anyOf"]
    assert {"type": "integer", "minimum": 2, "maximum": 128} in fields["patch_size"]["anyOf"]


def test_every_hyperparameter_is_described_and_grouped(methods: dict[str, dict[str, Any]]) -> None:
    for method in methods.values():
        for name, field in method["hyperparameters"]["properties"].items():
            assert field["group"] in method["groups"], name
            assert field["description"], name
            # What is chosen instead of null is told, but for the lengths of a run, of which null is none.
            assert field["default"] is not None or ";" in field["description"] or name in _PLAIN, name


_PLAIN = {*GROUPS["length"], "tokenizer_model", "min_characters", "max_characters", "teacher"}


def test_no_group_names_what_does_not_exist() -> None:
    known = {field for method in METHODS.values() for field in method.hyperparameters.model_fields}
    named = [field for names in GROUPS.values() for field in names]
    assert sorted(named) == sorted(known)
