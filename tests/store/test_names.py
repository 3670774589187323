import pytest

from app.errors import InvalidValue
from app.store.names import ModelId, check_alias, check_name, check_new_name, parse_version


@pytest.mark.parametrize(
    "name", ["m", "cloze-text", "org/name", "a/b/c", "all-MiniLM-L6-v2", "v1.0_x", "_x", "x" * 128]
)
def test_good_names(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "/m", "m/", "a//b", "a/../b", ".hidden", "a/.b", "a/1", "7", "a b", "a\\b"),
        *("a@1", "a:b", "ü", "m\n", "m\0", "-rf", "x" * 129),
    ],
)
def test_bad_names(name: str) -> None:
    with pytest.raises(InvalidValue, match="not a model name"):
        check_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *("m/aliases.json", "a/aliases.json/b", "m/manifest.json", "a/aliases/b"),
        *("m/archive", "m/card", "m/load", "m/unload"),
    ],
)
def test_names_that_only_what_is_there_already_may_have(name: str) -> None:
    with pytest.raises(InvalidValue, match="of its own"):
        check_new_name(name)
    assert check_name(name) == name


def test_a_preset_is_not_the_name_of_a_new_model() -> None:
    with pytest.raises(InvalidValue, match="it is a preset"):
        check_new_name("bert-tiny")
    assert check_name("bert-tiny") == "bert-tiny" and check_new_name("org/bert-tiny") == "org/bert-tiny"


@pytest.mark.parametrize("name", ["m", "load/m", "card-v2", "my.aliases.json"])
def test_new_names(name: str) -> None:
    assert check_new_name(name) == name


def test_ids() -> None:
    assert ModelId.parse("a/b") == ModelId("a/b")
    assert ModelId.parse("a/b@12") == ModelId("a/b", version=12)
    assert ModelId.parse("a/b:prod") == ModelId("a/b", alias="prod")


@pytest.mark.parametrize("text", ["0", "01", "-1", "1.0", "", " 1", "٣", "1\n", "9" * 10])
def test_what_is_no_version(text: str) -> None:
    assert parse_version(text) is None


@pytest.mark.parametrize("alias", ["", "1", "a/b", "a b", "@", ".x", "x" * 65])
def test_bad_aliases(alias: str) -> None:
    with pytest.raises(InvalidValue, match="not an alias"):
        check_alias(alias)
