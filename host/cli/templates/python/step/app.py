"""Calls of KULTA: converts between the types of the interface and the policy."""

import json

from componentize_py_types import Ok
from wit_world import exports
from wit_world.exports import step
from wit_world.exports.plugin import Info
from wit_world.imports import fetch

import policy


class Plugin(exports.Plugin):
    def describe(self):
        return Info(policy.NAME, policy.VERSION, policy.SUMMARY, json.dumps(policy.SCHEMA))

    def check_config(self, config):
        """The schema has all rules."""


class Step(exports.Step):
    """Called until it is finished: after its requests, or after a wait, it is called again."""

    def act(self, config, occasion):
        if occasion.call != step.Call.RUN:
            return finished(step.Outcome_Successful(), "nothing to undo")
        if not occasion.answers:
            rollout = f"{occasion.rollout.namespace}/{occasion.rollout.name}"
            body = json.dumps({"rollout": rollout, "step": occasion.index}).encode()
            url = json.loads(config)["url"]
            request = fetch.Request("POST", url, [], body, fetch.Auth_None_(), 0, False, [])
            return step.Action_Fetch(step.Fetching([request], b""))
        answer = occasion.answers[0]
        status = answer.value.status if isinstance(answer, Ok) else None
        outcome = policy.outcome(status)
        if outcome == "later":
            return step.Action_Wait(step.Waiting(occasion.now + policy.RETRY, b"", f"not yet: {status}"))
        if outcome == "failed":
            return finished(step.Outcome_Failed(f"refused: {status}"), f"refused: {status}")
        return finished(step.Outcome_Successful(), "notified")


def finished(outcome, reason):
    return step.Action_Finished(step.Finished(outcome, b"", reason))
