import pytest

from bundle.toml_text import TomlError, parse_toml


@pytest.mark.parametrize(
    "text", ["a" + ".a" * 5_000 + " = 1", "a = " + "[" * 5_000, "a = " + "[" * 50 + "]" * 50, "#" * 1_000_001]
)
def test_a_configuration_that_is_no_configuration_is_refused(text: str) -> None:
    with pytest.raises(TomlError):
        parse_toml(text)


def test_tables_and_lists_are_read() -> None:
    assert parse_toml("[a.b]\nc = [[1, 2], [3]]\n") == {"a": {"b": {"c": [[1, 2], [3]]}}}
