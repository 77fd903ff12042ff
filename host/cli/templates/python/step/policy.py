"""Tells a URL that a rollout has come to this step, and goes on once that has been taken."""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Tells a URL how far a rollout has come"

# What a step says below `plugin.config`; KULTA checks it before anything is called.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["url"],
    "properties": {"url": {"type": "string", "description": "Gets a POST of the rollout and the step"}},
}

# What the host waits at least, in milliseconds.
RETRY = 10_000


def outcome(status):
    """What an answer means: "done", "later" or "failed". None stands for no answer."""
    if status is None or status >= 500:
        return "later"
    return "done" if 200 <= status < 300 else "failed"
