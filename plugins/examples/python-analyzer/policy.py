"""Judges a quantile of numbers that a URL answers: it passes while it is at most `max`."""

import json
import math
import statistics

NAME = "quantile"
VERSION = "0.1.0"
SUMMARY = "Judges a quantile of numbers that a URL answers"

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url", "percent", "max"],
    "properties": {
        "url": {"type": "string", "description": "Answers a JSON list of numbers, such as latencies"},
        "percent": {"type": "integer", "minimum": 1, "maximum": 99, "description": "Which quantile"},
        "max": {"type": "number", "description": "The largest quantile that passes"},
    },
}

# Fewer numbers are not enough for a quantile.
FEWEST = 2
# Limit of a message, in characters; the interface allows 1 KiB.
LONGEST = 200


# The stack in WebAssembly is small: deeper nesting would end the call in a trap, not in an error.
DEEPEST = 100


class Unavailable(Exception):
    """There are no numbers now; KULTA may call again."""


def numbers(status, body):
    """The numbers in an answer."""
    if not 200 <= status < 300:
        raise Unavailable(f"the URL answered {status}")
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        raise Unavailable("the URL answered no list of numbers")
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Unavailable(f"the URL answered no JSON: {error}"[:LONGEST]) from error
    if not isinstance(found, list) or not all(is_number(one) for one in found):
        raise Unavailable("the URL answered no list of numbers")
    if len(found) < FEWEST:
        raise Unavailable(f"the URL answered {len(found)} numbers, at least {FEWEST} are needed")
    return found


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def judge(config, found):
    """The quantile, whether it passes, and why."""
    cuts = statistics.quantiles(found, n=100, method="inclusive")
    value = cuts[config["percent"] - 1]
    return value, value <= config["max"], f"p{config['percent']} is {value:g}, at most {config['max']:g} passes"
