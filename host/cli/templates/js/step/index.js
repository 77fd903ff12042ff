// Tells a URL that a rollout has come to this step, and goes on once that has been taken.

// What a step says below `plugin.config`; KULTA checks it before anything is called.
const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: { url: { type: 'string', description: 'Gets a POST of the rollout and the step' } },
};

// What the host waits at least, in milliseconds.
const retry = 10_000n;
const nothing = new Uint8Array();

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'Tells a URL how far a rollout has come',
    configSchema: JSON.stringify(schema),
  }),
  // The schema says it all.
  checkConfig() {},
};

export const step = {
  // Called until it is finished: it asks for requests, or waits, and is called again.
  act(config, occasion) {
    if (occasion.call !== 'run') return finished({ tag: 'successful' }, 'nothing to undo');
    if (occasion.answers.length === 0) {
      const { namespace, name } = occasion.rollout;
      const told = { rollout: `${namespace}/${name}`, step: occasion.index };
      return { tag: 'fetch', val: { requests: [post(JSON.parse(config).url, told)], memory: nothing } };
    }
    const { tag, val } = occasion.answers[0];
    if (tag === 'err' || val.status >= 500) {
      const reason = `not yet: ${tag === 'err' ? val.tag : val.status}`;
      return { tag: 'wait', val: { until: occasion.now + retry, memory: nothing, reason } };
    }
    if (val.status >= 200 && val.status < 300) return finished({ tag: 'successful' }, 'told');
    return finished({ tag: 'failed', val: `refused: ${val.status}` }, `refused: ${val.status}`);
  },
};

function post(url, told) {
  const body = new TextEncoder().encode(JSON.stringify(told));
  const auth = { tag: 'none' };
  return { method: 'POST', url, headers: [], body, auth, timeout: 0n, skipTlsVerify: false, options: [] };
}

function finished(outcome, reason) {
  return { tag: 'finished', val: { outcome, memory: nothing, reason } };
}
