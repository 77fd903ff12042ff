"""Calls of KULTA: converts between the types of the interface and the policy."""

import json

from wit_world import exports
from wit_world.exports import strategy
from wit_world.exports.plugin import Info

import policy


class Plugin(exports.Plugin):
    def describe(self):
        return Info(policy.NAME, policy.VERSION, policy.SUMMARY, json.dumps(policy.SCHEMA))

    def check_config(self, config):
        """The schema has all rules."""


class Strategy(exports.Strategy):
    """A pure function: the host calls with `reached` false, applies the decision, and calls again with true."""

    def decide(self, config, situation):
        if situation.goal == strategy.Goal.RESTORE:
            return decision(0, 0, strategy.Next_Hold(strategy.Waiting.PODS), "going back to stable")
        largest = situation.rollout.max_weight
        wanted = policy.decide(
            json.loads(config),
            step=situation.step,
            reached=situation.reached,
            promoted=situation.promoted,
            now=situation.now,
            started=situation.step_started_at,
        )
        if wanted == "all":
            return decision(policy.STEPS, largest, strategy.Next_Promote(), "all of the traffic")
        next = strategy.Next_Hold(strategy.Waiting.PODS) if wanted == "half" else strategy.Next_Until(wanted[1])
        return decision(0, largest // 2, next, "half of the traffic")


def decision(step, weight, next, reason):
    follow = strategy.Scale_FollowWeight()
    return strategy.Decision(
        step=step, steps=policy.STEPS, memory=b"", weight=weight, canary=follow, stable=follow,
        additional=[], routes=[], runs=[], next=next, reason=reason, facts=[],
    )
