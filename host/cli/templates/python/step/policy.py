"""Notifies a URL that a rollout has reached this step, and continues once the URL has accepted it."""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Notifies a URL of the reached step"

# A step's configuration, below `plugin.config`; KULTA validates it before it calls the plugin.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {"url": {"type": "string", "description": "Gets a POST of the rollout and the step"}},
}

# The host's minimum delay, in milliseconds.
RETRY = 10_000


def outcome(status):
    """The result of an answer: "done", "later" or "failed". None means no answer."""
    if status is None or status >= 500:
        return "later"
    return "done" if 200 <= status < 300 else "failed"
