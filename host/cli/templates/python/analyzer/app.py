"""Calls of KULTA: converts between the types of the interface and the policy."""

import json

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.exports import analyzer
from wit_world.exports.plugin import Info
from wit_world.imports import fetch, types

import policy


class Plugin(exports.Plugin):
    def describe(self):
        return Info(policy.NAME, policy.VERSION, policy.SUMMARY, json.dumps(policy.SCHEMA))

    def check_config(self, config):
        """The schema has all rules."""


class Analyzer(exports.Analyzer):
    """Called twice for each measurement: without answers it returns a request, with answers its verdict."""

    def analyze(self, config, occasion):
        config = json.loads(config)
        if occasion.call == analyzer.Call.TERMINATE:
            return analyzer.Action_Measured(analyzer.Measured("null", [], b""))
        if not occasion.answers:
            request = fetch.Request("GET", config["url"], [], b"", fetch.Auth_None_(), 0, False, [])
            return analyzer.Action_Fetch(analyzer.Fetching([request], b""))
        answer = occasion.answers[0]
        if not isinstance(answer, Ok):
            raise Err(types.Error_Unavailable(f"the request came to nothing: {answer.value}"[:1000]))
        try:
            found = policy.number(answer.value.status, answer.value.body)
        except policy.Unavailable as error:
            raise Err(types.Error_Unavailable(str(error)[:1000]))
        passes, why = policy.judge(config, found)
        verdict = types.Verdict_Pass() if passes else types.Verdict_Fail(why)
        return analyzer.Action_Judged(analyzer.Judged(verdict, False, json.dumps(found), [], why, b""))
