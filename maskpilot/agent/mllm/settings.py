"""Which model to ask, where, and how: from the command line, the environment and a file, in this order."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints
from urllib.parse import urlsplit

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.endpoint import shown_url
from maskpilot.agent.mllm.exchange import CallStyle
from maskpilot.agent.mllm.prices import Prices
from maskpilot.errors import InvalidInput

__all__ = ["APIS", "AUTO", "HOW_TO_CONFIGURE", "MllmSettings", "default_config", "from_env_and_file"]

AUTO = "auto"
APIS = (AUTO, "chat", "responses")
SECTION = "mllm"

HOW_TO_CONFIGURE = (
    "no model is configured: name one with --model (and --base-url for an endpoint other than OpenAI's), by "
    "MASKPILOT_MODEL (and OPENAI_BASE_URL), or in the section [mllm] of ~/.config/maskpilot/config.toml; the "
    "key stands in OPENAI_API_KEY, or in the variable that --api-key-env names"
)

VARIABLES = {"model": "MASKPILOT_MODEL", "base_url": "OPENAI_BASE_URL"}


@dataclass(frozen=True, slots=True)
class MllmSettings:
    """All there is to set. A key is never among it: only the name of the variable that holds one.

    Attributes:
        model: as the endpoint calls it.
        base_url: of an OpenAI-compatible endpoint; None for OpenAI's own.
        api_key_env: the environment variable that holds the key.
        api: which API to speak.
        coords: a convention such as "1000-yxyx", or "auto": as measured, else by the model's name.
        call_style: how tools are called; "auto" starts native and falls back on evidence.
        verify: take a second look before `finish` with `complete` stands.
        rulers: draw the model's unit along the pictures' edges.
        reply_tokens: of one reply, reasoning included; a reply that was cut off gets four times as many.
        keep_pictures: how many of the latest observations keep their pictures, whatever happens.
        spare_pictures: how many more may gather before the older ones go, so that they go seldom.
        price_in, price_out, price_cached: per million tokens; the first two together or neither, since half
            the cost would be counted as all of it.
        max_side: longest side of the pictures in pixels; None: as suits the model.
        temperature, reasoning_effort: sent where given; some models refuse the one or the other.
        timeout: seconds for one attempt at a reply; None: as long as `Patience` has it.
        extra: further parameters of the API, for what only one endpoint knows: a table [mllm.extra]. Only
            their names are recorded.

    Raises:
        InvalidInput: a value that cannot be used.
    """

    model: str
    base_url: str | None = field(default=None, repr=False)
    api_key_env: str = "OPENAI_API_KEY"
    api: str = AUTO
    coords: str = AUTO
    call_style: str = AUTO
    verify: bool = True
    rulers: bool = True
    reply_tokens: int = 4096
    keep_pictures: int = 1
    spare_pictures: int = 1
    price_in: float | None = None
    price_out: float | None = None
    price_cached: float | None = None
    max_side: int | None = None
    temperature: float | None = None
    reasoning_effort: str | None = None
    timeout: float | None = None
    extra: dict[str, Any] = field(default_factory=dict, repr=False, hash=False)

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise InvalidInput("the model's name is empty; name one with --model")
        if self.base_url is not None:
            _check_url(self.base_url)
        if not self.api_key_env.isidentifier():
            raise InvalidInput("api_key_env: expected the name of a variable that holds the key, not the key")
        _one_of("api", self.api, APIS)
        _one_of("call_style", self.call_style, (AUTO, *CallStyle))
        for name, least in (("reply_tokens", 64), ("keep_pictures", 1), ("spare_pictures", 0)):
            if getattr(self, name) < least:
                raise InvalidInput(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.max_side is not None and self.max_side < 64:
            raise InvalidInput(f"max_side: expected at least 64 pixels, got {self.max_side}")
        for name, least, most in (("temperature", 0, 2), ("timeout", 1, 86_400)):
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise InvalidInput(f"{name}: expected {least} to {most}, got {value}")
        try:
            json.dumps(self.extra, allow_nan=False)
        except (TypeError, ValueError):  # which may name a value
            raise InvalidInput("extra: expected what JSON can hold: no dates, no nan, no inf") from None
        try:
            _ = self.convention, self.prices
        except ValueError as error:
            raise InvalidInput(f"coords or prices: {error}") from error

    @property
    def convention(self) -> Convention | None:
        """The convention that was asked for; None for auto."""
        return None if self.coords == AUTO else Convention.parse(self.coords)

    @property
    def prices(self) -> Prices | None:
        """What tokens cost; None where the user gave no price."""
        if self.price_in is None or self.price_out is None:
            if self.price_in != self.price_out:
                raise ValueError("expected both price_in and price_out, 0 for what is free")
            return None
        return Prices(self.price_in, self.price_out, self.price_cached)

    @property
    def key(self) -> str:
        """What choices are remembered under: one model at one endpoint. It is logged, so it has no query."""
        return f"{self.model} at {shown_url(self.base_url) if self.base_url else 'OpenAI'}"


def default_config(env: Mapping[str, str]) -> Path:
    """Where the configuration file is looked for when none is named."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "maskpilot" / "config.toml"


def from_env_and_file(
    options: Mapping[str, Any], env: Mapping[str, str], config: Path | None = None
) -> MllmSettings | None:
    """Put the settings together: options over environment variables over the file.

    Args:
        options: settings by name; those that are None were not given.
        env: MASKPILOT_MODEL and OPENAI_BASE_URL are looked at, and where the user's files lie.
        config: a TOML file with a section [mllm]; the default one may be missing, this one may not.

    Returns:
        the settings; None where no model is named anywhere.

    Raises:
        InvalidInput: the file cannot be read, holds a key or an unknown setting, or a value is of no use.
    """
    given = _file_section(config or default_config(env), must_exist=config is not None)
    given |= {name: env[variable] for name, variable in VARIABLES.items() if env.get(variable)}
    given |= {name: value for name, value in options.items() if value is not None}
    if not given.get("model"):
        return None
    return MllmSettings(**given)


def _file_section(path: Path, *, must_exist: bool) -> dict[str, Any]:
    try:
        content = path.read_bytes()
        section = tomllib.loads(content.decode()).get(SECTION, {})
    except FileNotFoundError:
        if must_exist:
            raise InvalidInput(f"{path}: there is no such configuration file") from None
        return {}
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        # Only where, never what: the line may hold a key.
        raise InvalidInput(f"{path}: is not a readable TOML file, see {_place(error)}") from None
    if not isinstance(section, dict):
        raise InvalidInput(f"{path}: {SECTION} must be a section: [{SECTION}]")
    for name, value in section.items():
        _check(path, name, value)
    return section


def _place(error: ValueError) -> str:
    """Where a file stops being TOML in UTF-8, without a word of what stands there."""
    if isinstance(error, UnicodeDecodeError):
        before: bytes = error.object[: error.start]
        return f"line {before.count(10) + 1} (it is not UTF-8)"
    line = re.search(r"\(at line (\d+), column \d+\)\Z", str(error))
    return f"line {line[1]}" if line else "its end"


def _check(path: Path, name: str, value: object) -> None:
    if "key" in name.lower() and name != "api_key_env":
        raise InvalidInput(
            f"{path}: {name}: keys do not belong into this file; put yours into an environment variable and "
            'name that one: api_key_env = "MY_KEY"'
        )
    known = get_type_hints(MllmSettings)
    names = [one.name for one in fields(MllmSettings)]
    if name not in names:
        raise InvalidInput(f"{path}: there is no setting {name!r}; expected one of {', '.join(names)}")
    hint = known[name]
    options = get_args(hint) if isinstance(hint, UnionType) else (get_origin(hint) or hint,)
    kinds = tuple(kind for kind in options if kind is not NoneType)
    right = isinstance(value, int | float if float in kinds else kinds)
    if not right or (isinstance(value, bool) and bool not in kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise InvalidInput(f"{path}: {name}: expected {expected}, got {type(value).__name__}")


def _check_url(url: str) -> None:
    """An address is recorded and shown, so it must not hold a secret; nor is it repeated here."""
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise InvalidInput("base_url: expected an address such as http://localhost:8000/v1")
    if parts.username or parts.password:
        raise InvalidInput("base_url: holds a user or a password; put the key into an environment variable")


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInput(f"{name}: expected one of {', '.join(known)}, got {value!r}")
