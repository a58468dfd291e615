"""The options that say which model decides, and the policy that they make."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from maskpilot.cli.console import say
from maskpilot.cli.options import refuse

if TYPE_CHECKING:
    from maskpilot.agent import Policy
    from maskpilot.agent.mllm.settings import MllmSettings

__all__ = [
    "ApiName",
    "ApiOption",
    "BaseUrlOption",
    "CallStyleName",
    "CallStyleOption",
    "ConfigOption",
    "CoordsOption",
    "KeyOption",
    "ModelOption",
    "PriceCachedOption",
    "PriceInOption",
    "PriceOutOption",
    "VerifyOption",
    "hint_at_models",
    "mllm_policy",
    "mllm_settings",
]

PANEL = "The model (also by environment or configuration file)"


class ApiName(StrEnum):
    """The APIs that endpoints speak."""

    auto = "auto"
    chat = "chat"
    responses = "responses"


class CallStyleName(StrEnum):
    """How tools are called."""

    auto = "auto"
    native = "native"
    schema = "schema"
    text = "text"


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=PANEL, **more)


ModelOption = Annotated[str | None, _option(help="The model's name; MASKPILOT_MODEL.")]
BaseUrlOption = Annotated[
    str | None, _option(help="An OpenAI-compatible endpoint; OPENAI_BASE_URL, else OpenAI's own.")
]
KeyOption = Annotated[
    str | None, _option("--api-key-env", help="The variable that holds the key; OPENAI_API_KEY.")
]
ApiOption = Annotated[ApiName | None, _option(help="The API to speak; auto.")]
CoordsOption = Annotated[
    str | None, _option(help="How the model counts, e.g. 1000, 1000-yxyx, pixels; auto: by its name.")
]
CallStyleOption = Annotated[CallStyleName | None, _option(help="How the model calls tools; auto.")]
VerifyOption = Annotated[
    bool | None, _option("--verify/--no-verify", help="A second look before the end; on.")
]
PriceInOption = Annotated[float | None, _option("--price-in", help="Of a million prompt tokens.")]
PriceOutOption = Annotated[float | None, _option("--price-out", help="Of a million reply tokens.")]
PriceCachedOption = Annotated[
    float | None, _option("--price-cached", help="Of a million cached prompt tokens.")
]
ConfigOption = Annotated[Path | None, _option(help="Configuration file; ~/.config/maskpilot/config.toml.")]


def mllm_settings(config: Path | None, *, policy: str | None = "mllm", **options: Any) -> MllmSettings | None:
    """What the command line, the environment and the file say; None where no model is asked.

    Args:
        config: the file.
        policy: who decides; None: a model where one is configured.
        options: of the command line, None where not given. A model that is not asked has none.

    Raises:
        InvalidInput: something about it cannot be used, or is about a model that is not asked.
    """
    from maskpilot.agent.mllm.settings import HOW_TO_CONFIGURE, from_env_and_file
    from maskpilot.errors import InvalidInput

    given = {**options, "config": config}
    if policy not in {"mllm", None}:
        refuse(given, f"--policy {policy} asks no model; leave this out, or take --policy mllm")
        return None
    plain = {name: str(value) if isinstance(value, StrEnum) else value for name, value in options.items()}
    settings = from_env_and_file(plain, os.environ, config)
    if settings is None and policy is None:
        refuse(given, HOW_TO_CONFIGURE)
    if settings is not None and settings.price_cached is not None and settings.prices is None:
        raise InvalidInput("--price-cached needs --price-in and --price-out, per million tokens")
    return settings


def mllm_policy(settings: MllmSettings | None) -> Policy:
    """A model in the seat, with what earlier processes learned about it.

    Raises:
        InvalidInput: no model is configured, or its endpoint or key cannot be used.
    """
    from maskpilot.agent.mllm.connect import connect
    from maskpilot.agent.mllm.memory import Memory, memory_file
    from maskpilot.agent.mllm.policy import MllmPolicy
    from maskpilot.agent.mllm.settings import HOW_TO_CONFIGURE
    from maskpilot.errors import InvalidInput

    if settings is None:
        raise InvalidInput(f"--policy mllm: {HOW_TO_CONFIGURE}")
    return MllmPolicy(connect(settings, os.environ), settings, memory=Memory(memory_file(os.environ)))


def hint_at_models() -> None:
    """Say what is missing where a session goes without a model because none is configured."""
    from maskpilot.agent.mllm.settings import HOW_TO_CONFIGURE

    say(f"one shot, since {HOW_TO_CONFIGURE}")
