"""From settings to a wire: the one place where the key is taken from its environment variable."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from maskpilot.agent.mllm.retry import Patience
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.errors import InvalidInput

if TYPE_CHECKING:
    from maskpilot.agent.mllm.wire import API, OpenAIWire

__all__ = ["connect"]

DEFAULT_KEY = "OPENAI_API_KEY"


def connect(settings: MllmSettings, env: Mapping[str, str]) -> OpenAIWire:
    """Open a wire; nothing is sent yet. It loads the `openai` package.

    Args:
        settings: which model, where.
        env: holds the key under the name that the settings give. A key of another name is never a substitute:
            it would be sent to an endpoint that it was not meant for.

    Raises:
        InvalidInput: the variable is empty where it was named on purpose or where the endpoint needs a key,
            or the endpoint's address cannot be used.
    """
    from maskpilot.agent.mllm.wire import OpenAIWire  # noqa: PLC0415 (heavy)

    key = env.get(settings.api_key_env, "").strip()
    if not key and settings.api_key_env != DEFAULT_KEY:
        raise InvalidInput(
            f"the environment variable {settings.api_key_env} is empty; it should hold your key"
        )
    return OpenAIWire(
        settings.model,
        base_url=settings.base_url,
        api_key=key or None,
        key_name=settings.api_key_env,
        api=cast("API", settings.api),
        prices=settings.prices,
        patience=_patience(settings.timeout),
        max_tokens=settings.reply_tokens,
        temperature=settings.temperature,
        reasoning_effort=settings.reasoning_effort,
        extra=settings.extra,
    )


def _patience(timeout: float | None) -> Patience:
    """With room for a second attempt, however long one may take."""
    usual = Patience()
    return usual if timeout is None else Patience(max(usual.seconds, 2 * timeout), timeout)
