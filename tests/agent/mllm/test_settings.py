"""Settings: where they come from, what is refused, and that a key is never among them."""

from pathlib import Path
from typing import Any

import pytest

from maskpilot.agent.mllm.connect import connect
from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle, Message, Request, Role
from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.agent.mllm.families import sent_size
from maskpilot.agent.mllm.memory import Memory, memory_file
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.retry import Patience
from maskpilot.agent.mllm.settings import MllmSettings, default_config, from_env_and_file
from maskpilot.agent.mllm.talk import family_for
from maskpilot.errors import InvalidInput
from maskpilot.testing import FaultyServer, Says
from maskpilot.testing.faults import error

KEY = "sk-canary-0123456789"


def config(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, "utf-8")
    return path


def test_options_win_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = config(
        tmp_path,
        '[mllm]\nmodel = "file"\nbase_url = "http://file/v1"\nverify = false\nprice_in = 2\nprice_out = 4\n',
    )
    env = {"MASKPILOT_MODEL": "environment", "OPENAI_BASE_URL": "http://environment/v1"}
    settings = from_env_and_file({"model": "option", "base_url": None}, env, path)
    assert settings == MllmSettings(
        "option", base_url="http://environment/v1", verify=False, price_in=2, price_out=4
    )
    assert from_env_and_file({}, {}, path) == MllmSettings(
        "file", base_url="http://file/v1", verify=False, price_in=2, price_out=4
    )


def test_without_a_model_there_are_no_settings(tmp_path: Path) -> None:
    assert from_env_and_file({}, {"HOME": str(tmp_path), "OPENAI_API_KEY": KEY}) is None


def test_the_file_is_looked_for_where_configuration_lies(tmp_path: Path) -> None:
    assert default_config({"HOME": "/home/x"}) == Path("/home/x/.config/maskpilot/config.toml")
    place = tmp_path / "maskpilot"
    place.mkdir()
    config(place, '[mllm]\nmodel = "found"\n')
    found = from_env_and_file({}, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert found is not None
    assert found.model == "found"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'[mllm]\napi_key = "{KEY}"\n', "keys do not belong into this file"),
        (f'[mllm]\nopenai_api_key = "{KEY}"\n', "keys do not belong into this file"),
        (f"[mllm]\napi_key = {KEY}\n", "not a readable TOML file, see line 2"),
        (f"[mllm]\nmodel = 'x'\n\nmodel = '{KEY}'\n", "not a readable TOML file, see line 4"),
        (f"[mllm]\nextra = ['{KEY}',", "not a readable TOML file, see its end"),
        ('[mllm]\nmodle = "x"\n', "there is no setting 'modle'"),
        ("[mllm]\nmodel = 3\n", "model: expected str, got int"),
        ('[mllm]\nverify = "yes"\n', "verify: expected bool, got str"),
        ('[mllm]\nextra = "x"\n', "extra: expected dict, got str"),
        ('[mllm]\nmodel = "x"\nextra = {since = 2026-01-01}\n', "extra: expected what JSON can hold"),
        ("[mllm]\nreply_tokens = true\n", "reply_tokens: expected int, got bool"),
        ("mllm = 3\n", "must be a section"),
        ('[mllm]\nmodel = "x"\ncoords = "512"\n', "coords or prices"),
        ('[mllm]\nmodel = "x"\nprice_in = -1\nprice_out = 1\n', "coords or prices"),
        ('[mllm]\nmodel = "x"\nprice_in = 3\n', "both price_in and price_out"),
        ('[mllm]\nmodel = "x"\nprice_out = 3\n', "both price_in and price_out"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_without_repeating_a_key(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        from_env_and_file({}, {}, config(tmp_path, text))
    assert KEY not in str(caught.value)
    assert caught.value.__cause__ is None or KEY not in str(caught.value.__cause__)


def test_a_file_in_another_encoding_is_refused_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(f"[mllm]\nmodel = 'x'\n# für {KEY}\n".encode("latin-1"))
    with pytest.raises(InvalidInput, match=r"see line 3 \(it is not UTF-8\)") as caught:
        from_env_and_file({}, {}, tmp_path / "config.toml")
    assert KEY not in str(caught.value)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no such configuration file"):
        from_env_and_file({"model": "x"}, {}, tmp_path / "missing.toml")


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "  "},
        {"base_url": "localhost:8000"},
        {"base_url": "http://[bad"},
        {"api_key_env": KEY},
        {"temperature": 3},
        {"temperature": float("nan")},
        {"timeout": 0},
        {"base_url": f"http://user:{KEY}@host/v1"},
        {"api": "completions"},
        {"call_style": "xml"},
        {"reply_tokens": 1},
        {"keep_pictures": 0},
        {"max_side": 5},
    ],
)
def test_settings_that_cannot_be_used_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as caught:
        MllmSettings(**{"model": "x", **wrong})
    assert KEY not in str(caught.value)


def test_the_key_is_taken_from_the_variable_that_is_named_and_from_no_other() -> None:
    settings = MllmSettings("x", base_url="http://localhost:1/v1", api_key_env="MY_KEY")
    with pytest.raises(InvalidInput, match="MY_KEY"):
        connect(settings, {"OPENAI_API_KEY": KEY})
    with connect(settings, {"MY_KEY": f"{KEY}\n"}) as wire:
        described = MllmPolicy(wire, settings, memory=Memory()).description
    assert KEY not in repr((settings, wire, described))
    assert described["wire"]["base_url"] == "http://localhost:1/v1"


def test_an_endpoint_that_refuses_is_told_with_the_variable_that_is_named() -> None:
    with FaultyServer([error(404, "no such model")]) as server:
        settings = MllmSettings("x", base_url=server.url, api_key_env="GEMINI_API_KEY")
        refused = pytest.raises(EndpointError, match=r"\$GEMINI_API_KEY")
        with connect(settings, {"GEMINI_API_KEY": KEY}) as wire, refused as caught:
            wire.send(Request((Message(Role.user, "Find the cups."),)))
    assert KEY not in str(caught.value)


def test_what_was_learned_outlives_the_process(tmp_path: Path) -> None:
    path = memory_file({"XDG_CONFIG_HOME": str(tmp_path)})
    memory = Memory(path)
    memory.remember_style("a at b", CallStyle.schema, "it worked")
    memory.remember_convention("a at b", Convention("1000", "yxyx"))
    memory.remember_style("other", CallStyle.text, "the model talked once", sure=False)
    memory.remember_style("third", CallStyle.native, "calls came this way")
    assert memory.style("other") is CallStyle.text
    again = Memory(path)
    assert again.style("a at b") is CallStyle.schema
    assert again.convention("a at b") == Convention("1000", "yxyx")
    assert again.style("other") is None


@pytest.mark.parametrize("text", ["", "[1]", '{"a": 3}', '{"k": {"call_style": "xml", "coords": []}}'])
def test_a_damaged_memory_is_as_good_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "models.json"
    path.write_text(text)
    assert (Memory(path).style("k"), Memory(path).convention("k")) == (None, None)


def test_a_memory_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    memory = Memory(tmp_path / "file" / "models.json")
    memory.remember_style("k", CallStyle.text, "it worked")
    assert memory.style("k") is CallStyle.text


def test_processes_that_learn_at_the_same_time_do_not_forget_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "models.json"
    one, other = Memory(path), Memory(path)
    one.remember_convention("a at b", Convention("1000", "yxyx"))
    other.remember_style("a at b", CallStyle.schema, "it worked")
    again = Memory(path)
    assert again.convention("a at b") == Convention("1000", "yxyx")
    assert again.style("a at b") is CallStyle.schema


def test_a_key_in_the_query_of_the_address_is_not_remembered() -> None:
    assert MllmSettings("x", base_url=f"http://host/v1/?key={KEY}").key == "x at http://host/v1"


def test_what_a_request_may_set_comes_from_the_file(tmp_path: Path) -> None:
    said = (
        '[mllm]\nmodel = "x"\nbase_url = "http://localhost:1/v1"\ntemperature = 0\n'
        f'reasoning_effort = "low"\ntimeout = 900\n[mllm.extra]\ntop_k = 1\nprompt_cache_key = "{KEY}"\n'
    )
    settings = from_env_and_file({}, {}, config(tmp_path, said))
    assert settings is not None
    with connect(settings, {}) as wire:
        described = wire.description
        assert vars(wire)["_patience"] == Patience(seconds=1800, timeout=900)
    assert described["temperature"] == 0
    assert described["reasoning_effort"] == "low"
    assert described["extra"] == ["prompt_cache_key", "top_k"]
    assert KEY not in repr((settings, described))


@pytest.mark.parametrize("name", ["gpt-5.2", "x"])
def test_small_pictures_go_with_every_convention(name: str) -> None:
    settings = MllmSettings(name, coords="pixels", max_side=200)
    family = family_for(settings, Memory())
    assert max(sent_size(640, 480, family)) <= 200


def test_settings_of_a_request_reach_the_endpoint() -> None:
    with FaultyServer([Says("x")]) as server:
        settings = MllmSettings(
            "x", base_url=server.url, temperature=0.5, reasoning_effort="low", extra={"top_k": 1}
        )
        with connect(settings, {}) as wire:
            wire.send(Request((Message(Role.user, "Find the cups."),)))
        assert {"temperature": 0.5, "reasoning_effort": "low", "top_k": 1}.items() <= server.bodies[0].items()


def test_the_file_in_the_documentation_is_one_that_can_be_used(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "endpoints" / "README.md").read_text("utf-8")
    example = page.partition("```toml\n")[2].partition("```")[0]
    settings = from_env_and_file({}, {}, config(tmp_path, example))
    assert settings is not None
    assert (settings.model, settings.temperature, settings.extra) == ("qwen3-vl:8b", 0.2, {"top_k": 20})


def test_what_an_address_may_hide_in_its_query_is_not_shown() -> None:
    assert KEY not in repr(MllmSettings("m", base_url=f"http://localhost:1/v1?key={KEY}"))
