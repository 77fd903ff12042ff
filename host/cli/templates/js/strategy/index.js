// Sends half of the traffic to the new version for the configured time, then all of it.

// A Rollout's configuration, below `strategy.plugin.config`; KULTA validates it before it calls the plugin.
const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['keepSeconds'],
  properties: {
    keepSeconds: {
      type: 'integer',
      minimum: 0,
      maximum: 2147483647,
      description: 'How long half of the traffic goes to the new version',
    },
  },
};

// Half, then all.
const steps = 1;
const pods = { tag: 'hold', val: 'pods' };

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'Half of the traffic for a while, then all',
    configSchema: JSON.stringify(schema),
  }),
  // The schema has all rules.
  checkConfig() {},
};

export const strategy = {
  // A pure function: the host calls with `reached` false, applies the decision, and calls again with true.
  decide(config, situation) {
    if (situation.goal === 'restore') return decision(0, 0, pods, 'going back to stable');
    const largest = situation.rollout.maxWeight;
    const half = (next) => decision(0, Math.floor(largest / 2), next, 'half of the traffic');
    const all = decision(steps, largest, { tag: 'promote' }, 'all of the traffic');
    if (situation.step >= steps) return all;
    if (!situation.reached) return half(pods);
    // Unix milliseconds, of 64 bits.
    const until = situation.stepStartedAt + BigInt(JSON.parse(config).keepSeconds) * 1000n;
    if (situation.promoted || situation.now >= until) return all;
    return half({ tag: 'until', val: until });
  },
};

function decision(step, weight, next, reason) {
  const follow = { tag: 'follow-weight' };
  const none = { additional: [], routes: [], runs: [], facts: [], memory: new Uint8Array() };
  return { ...none, step, steps, weight, canary: follow, stable: follow, next, reason };
}
