"""Judges a number that a URL answers: it passes while it is at most `max`."""

import json
import math

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Judges a number that a URL answers"

# A metric's configuration, below `provider.plugin.<name>`; KULTA validates it before it calls the plugin.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url", "max"],
    "properties": {
        "url": {"type": "string", "description": "Answers a JSON number"},
        "max": {"type": "number", "description": "The largest number that passes"},
    },
}


# The stack in WebAssembly is small: deeper nesting would end the call in a trap, not in an error.
DEEPEST = 100


class Unavailable(Exception):
    """There is no number now; KULTA may call again."""


def number(status, body):
    """The number in an answer."""
    if not 200 <= status < 300:
        raise Unavailable(f"the URL answered {status}")
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        raise Unavailable("the URL answered no number")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Unavailable(f"the URL answered no JSON: {error}") from error
    if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
        raise Unavailable("the URL answered no number")
    return found


def judge(config, found):
    """True if it passes, and the reason."""
    passes = found <= config["max"]
    return passes, f"{found}, at most {config['max']} passes"
