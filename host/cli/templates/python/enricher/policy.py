"""Adds the team that owns a rollout to its events, from an annotation."""

NAME = "{{name}}"
VERSION = "0.1.0"
SUMMARY = "Adds the team that owns a rollout"

# The configuration, from `spec.config` of the Plugin object; KULTA validates it before it calls the plugin.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"annotation": {"type": "string", "description": "Of the Rollout, that names the team"}},
}

ANNOTATION = "example.com/team"


def addition(config, annotations):
    """The addition, stored as `customData.<name of the plugin>`."""
    team = annotations.get(config.get("annotation", ANNOTATION))
    return {} if team is None else {"name": team}
