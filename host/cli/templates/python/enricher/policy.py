"""Adds the team that answers for a rollout to its events, from an annotation."""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Adds the team that answers for a rollout"

# What the Plugin object says below `spec.config`; KULTA checks it before anything is called.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"annotation": {"type": "string", "description": "Of the Rollout, that names the team"}},
}

ANNOTATION = "example.com/team"


def addition(config, annotations):
    """What goes out as `customData.<name of the plugin>`."""
    team = annotations.get(config.get("annotation", ANNOTATION))
    return {} if team is None else {"name": team}
