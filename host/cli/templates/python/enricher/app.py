"""Calls of KULTA: converts between the types of the interface and the policy."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports import enricher
from wit_world.exports.plugin import Info
from wit_world.imports import types

import policy


class Plugin(exports.Plugin):
    def describe(self):
        return Info(policy.NAME, policy.VERSION, policy.SUMMARY, json.dumps(policy.SCHEMA))

    def check_config(self, config):
        """The schema has all rules."""


class Enricher(exports.Enricher):
    def enrich(self, config, occasion):
        try:
            annotations = json.loads(occasion.annotations)
        except ValueError as error:
            raise Err(types.Error_Internal(f"read the annotations: {error}"[:1000]))
        if not isinstance(annotations, dict):
            raise Err(types.Error_Internal("the annotations are no object"))
        return enricher.Action_Add(json.dumps(policy.addition(json.loads(config), annotations)))
