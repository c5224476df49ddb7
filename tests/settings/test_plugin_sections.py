from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from ffe_core.settings import Settings, SettingsProblems, examine, load_settings

SECRET = "hunter22-s3cr3t"


class Retry(BaseModel):
    tries: int = Field(default=3, ge=1)
    wait: float = 1.0


class Venue(BaseModel):
    api_key: SecretStr | None = Field(default=None, json_schema_extra={"env": "VENUE_API_KEY"})
    api_secret: SecretStr | None = None
    account_id: str = ""
    share: float = Field(default=0.5, le=1, json_schema_extra={"unit": "fraction"})
    products: list[str] = []
    retry: Retry = Retry()
    sandbox: bool = True


def load(home: Path, text: str, env: dict[str, str] | None = None, dotenv: str = "") -> Settings:
    folder = home / "config"
    folder.mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(text, encoding="utf-8")
    (folder / ".env").write_text(dotenv, encoding="utf-8")
    return load_settings(env=env or {}, home=home)


def complaints(settings: Settings, model: type[BaseModel] = Venue) -> list[str]:
    with pytest.raises(SettingsProblems) as caught:
        settings.plugin_section("venue", model)
    told = [str(problem) for problem in caught.value.problems]
    assert SECRET not in f"{told}{caught.value}{caught.value!r}{caught.value.hint}"
    return told


def test_a_section_that_is_nowhere_set_is_the_models_defaults(home: Path) -> None:
    settings = load(home, "")
    assert settings.plugin_section("venue", Venue) == Venue()
    assert settings.plugin_origin("venue", "api_key", Venue) == "default"


def test_a_section_joins_files_and_variables_and_keeps_each_origin(home: Path) -> None:
    settings = load(
        home,
        "plugins:\n  venue:\n    account_id: '001'\n    retry:\n      tries: 5\n",
        {"FFE_PLUGINS__VENUE__API_KEY": SECRET, "FFE_PLUGINS__VENUE__RETRY__WAIT": "2.5"},
        "FFE_PLUGINS__VENUE__PRODUCTS=spot,futures\nFFE_PLUGINS__VENUE__SANDBOX=no\n",
    )
    section = settings.plugin_section("venue", Venue)

    assert section.api_key is not None
    assert section.api_key.get_secret_value() == SECRET
    assert (section.account_id, section.products, section.sandbox) == ("001", ["spot", "futures"], False)
    assert (section.retry.tries, section.retry.wait) == (5, 2.5)
    assert settings.plugin_origin("venue", "api_key", Venue) == "environment FFE_PLUGINS__VENUE__API_KEY"
    assert settings.plugin_origin("venue", "retry.tries", Venue) == "config.yaml:5"
    assert settings.plugin_origin("venue", "products", Venue) == ".env FFE_PLUGINS__VENUE__PRODUCTS"
    assert SECRET not in repr(section)


@pytest.mark.parametrize(
    ("env", "dotenv", "origin", "value"),
    [
        ({"VENUE_API_KEY": "from-env"}, "", "environment VENUE_API_KEY", "from-env"),
        ({}, "VENUE_API_KEY=from-dotenv\n", ".env VENUE_API_KEY", "from-dotenv"),
        ({"VENUE_API_KEY": "from-env"}, "VENUE_API_KEY=x\n", "environment VENUE_API_KEY", "from-env"),
        ({"VENUE_API_KEY": ""}, "VENUE_API_KEY=from-dotenv\n", ".env VENUE_API_KEY", "from-dotenv"),
        (
            {"VENUE_API_KEY": "a", "FFE_PLUGINS__VENUE__API_KEY": "b"},
            "",
            "environment FFE_PLUGINS__VENUE__API_KEY",
            "b",
        ),
    ],
)
def test_a_well_known_variable_stands_in_for_a_key_that_nothing_sets(
    home: Path, env: dict[str, str], dotenv: str, origin: str, value: str
) -> None:
    settings = load(home, "", env, dotenv)
    key = settings.plugin_section("venue", Venue).api_key

    assert key is not None
    assert key.get_secret_value() == value
    assert settings.plugin_origin("venue", "api_key", Venue) == origin


def test_a_well_known_variable_yields_to_a_file(home: Path) -> None:
    settings = load(home, "plugins: {venue: {api_key: '${K}'}}\n", {"VENUE_API_KEY": "a", "K": "b"})
    key = settings.plugin_section("venue", Venue).api_key
    assert key is not None
    assert key.get_secret_value() == "b"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("api_kye: hunter22-s3cr3t", "config.yaml:3 *.api_kye: unknown key; did you mean *.api_key?"),
        ("api_key: [hunter22-s3cr3t]", "config.yaml:3 *.api_key: expected text, found a list"),
        ("api_secret: 12345678", "config.yaml:3 *.api_secret: expected text, found a number; put it in quotes"),
        ("api_key: YOUR_VENUE_KEY", "config.yaml:3 *.api_key: is still a placeholder"),
        ("account_id: 001", "*.account_id: expected text, found a number; put it in quotes"),
        ("share: 70", "config.yaml:3 *.share: 70 is not a fraction; fractions inside: write 0.7 for 70 %"),
        ("retry: {trys: 1}", "config.yaml:3 *.retry.trys: unknown key; did you mean *.retry.tries?"),
        ("retry: {tries: 0}", "config.yaml:3 *.retry.tries: must be at least 1, not 0"),
        ("retry: hunter22-s3cr3t", "config.yaml:3 *.retry: expected a mapping of keys to values, found text"),
        ("sandbox: ${NOWHERE}", "config.yaml:3 *.sandbox: ${NOWHERE} is not set"),
    ],
)
def test_a_mistake_in_a_section_is_one_line_with_file_line_and_key(home: Path, text: str, line: str) -> None:
    told = complaints(load(home, f"plugins:\n  venue:\n    {text}\n"))
    assert len(told) == 1
    assert line.replace("*", "plugins.venue") in told[0]


def test_an_unknown_variable_of_a_section_is_named_with_the_nearest(home: Path) -> None:
    settings = load(home, "", {"FFE_PLUGINS__VENUE__API_KYE": SECRET})
    assert complaints(settings) == [
        "environment FFE_PLUGINS__VENUE__API_KYE: unknown key; did you mean FFE_PLUGINS__VENUE__API_KEY?"
    ]


def test_a_plugins_own_validator_cannot_print_a_secret(home: Path) -> None:
    class Careless(BaseModel):
        api_key: str = ""
        pin: SecretStr = SecretStr("")

        @field_validator("api_key")
        @classmethod
        def _loud(cls, value: str) -> str:
            raise ValueError(f"cannot use {value!r}")

        @model_validator(mode="before")
        @classmethod
        def _louder(cls, values: dict[str, str]) -> dict[str, str]:
            if "pin" in values:
                raise ValueError(f"what is\n{values['pin']}?")
            return values

    settings = load(home, f"plugins:\n  venue:\n    api_key: {SECRET}\n")
    assert complaints(settings, Careless) == ["config.yaml:3 plugins.venue.api_key: cannot use '***'"]
    settings = load(home, f"plugins:\n  venue:\n    pin: {SECRET}\n")
    assert complaints(settings, Careless) == ["config.yaml:2 plugins.venue: what is ***?"]


def test_a_broken_section_does_not_stop_settings_from_loading(home: Path) -> None:
    settings = load(home, "plugins:\n  venue: {api_key: '${NOWHERE}'}\n  other: {a: 1}\n  third: [1]\n")

    assert settings.plugin_sections["other"] == {"a": 1}
    assert len(complaints(settings)) == 1
    with pytest.raises(SettingsProblems, match=r"config.yaml:4 plugins.third: expected a mapping"):
        settings.plugin_section("third", Venue)


def test_a_model_may_use_aliases_and_stay_open(home: Path) -> None:
    class Open(BaseModel):
        model_config = ConfigDict(extra="allow")
        key_id: str = Field(default="", alias="key-id")

    settings = load(home, "plugins: {venue: {key-id: a, anything: {else: 1}}}\n")
    section = settings.plugin_section("venue", Open)

    assert section.key_id == "a"
    assert section.model_extra == {"anything": {"else": 1}}


def test_a_hyphen_in_a_plugins_name_is_an_underscore_in_variables(home: Path) -> None:
    settings = load(home, "", {"FFE_PLUGINS__MY_VENUE__ACCOUNT_ID": "7"})
    assert settings.plugin_section("my-venue", Venue).account_id == "7"
    assert settings.unknown_plugin_sections(["my-venue"]) == []


def test_sections_of_no_known_plugin_are_problems_with_the_nearest_name(home: Path) -> None:
    settings = load(home, "plugins:\n  coinbsae: {}\n  enabeld: {}\n  coinbase: {}\n", {"FFE_PLUGINS__OANDDA__X": "1"})
    told = {str(problem) for problem in settings.unknown_plugin_sections(["coinbase", "oanda"])}
    assert told == {
        "environment FFE_PLUGINS__OANDDA__X: unknown key; did you mean FFE_PLUGINS__OANDA?",
        "config.yaml:2 plugins.coinbsae: unknown key; did you mean plugins.coinbase?",
        "config.yaml:3 plugins.enabeld: unknown key; did you mean plugins.enabled?",
    }


def test_a_section_set_as_one_json_variable_is_a_mapping(home: Path) -> None:
    settings = load(home, "", {"FFE_PLUGINS__VENUE": '{"account_id": "1", "retry": {"tries": 2}}'})
    section = settings.plugin_section("venue", Venue)
    assert (section.account_id, section.retry.tries) == ("1", 2)


def test_what_only_one_plugin_has_wrong_is_kept_apart(home: Path) -> None:
    folder = home / "config"
    folder.mkdir()
    (folder / "config.yaml").write_text("plugins: {venue: 5}\n", encoding="utf-8")
    settings, found = examine(env={}, home=home)
    assert settings is not None
    assert found == []
    assert [problem.path for problem in settings.plugin_problems] == ["plugins.venue"]
