"""Sends half of the traffic to the new version for the configured time, then all of it."""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Half of the traffic for a while, then all"

# A Rollout's configuration, below `strategy.plugin.config`; KULTA validates it before it calls the plugin.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["keepSeconds"],
    "properties": {
        "keepSeconds": {
            "type": "integer",
            "minimum": 0,
            "maximum": 2147483647,
            "description": "How long half of the traffic goes to the new version",
        },
    },
}

# Half, then all.
STEPS = 1


def decide(config, *, step, reached, promoted, now, started):
    """What to do now: "half" (move to it), ("wait", until) or "all". Instants are Unix milliseconds."""
    until = started + config["keepSeconds"] * 1000
    if step >= STEPS:
        return "all"
    if not reached:
        return "half"
    if promoted or now >= until:
        return "all"
    return ("wait", until)
