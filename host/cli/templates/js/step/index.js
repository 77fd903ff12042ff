// Notifies a URL that a rollout has reached this step, and continues once the URL has accepted it.

// A step's configuration, below `plugin.config`; KULTA validates it before it calls the plugin.
const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url'],
  properties: { url: { type: 'string', description: 'Gets a POST of the rollout and the step' } },
};

// The host's minimum delay, in milliseconds.
const retry = 10_000n;
const nothing = new Uint8Array();

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'Notifies a URL of the reached step',
    configSchema: JSON.stringify(schema),
  }),
  // The schema has all rules.
  checkConfig() {},
};

export const step = {
  // Called until it is finished: after its requests, or after a wait, it is called again.
  act(config, occasion) {
    if (occasion.call !== 'run') return finished({ tag: 'successful' }, 'nothing to undo');
    if (occasion.answers.length === 0) {
      const { namespace, name } = occasion.rollout;
      const content = { rollout: `${namespace}/${name}`, step: occasion.index };
      return { tag: 'fetch', val: { requests: [post(JSON.parse(config).url, content)], memory: nothing } };
    }
    const { tag, val } = occasion.answers[0];
    if (tag === 'err' || val.status >= 500) {
      const reason = `not yet: ${tag === 'err' ? val.tag : val.status}`;
      return { tag: 'wait', val: { until: occasion.now + retry, memory: nothing, reason } };
    }
    if (val.status >= 200 && val.status < 300) return finished({ tag: 'successful' }, 'notified');
    return finished({ tag: 'failed', val: `refused: ${val.status}` }, `refused: ${val.status}`);
  },
};

function post(url, content) {
  const body = new TextEncoder().encode(JSON.stringify(content));
  const auth = { tag: 'none' };
  return { method: 'POST', url, headers: [], body, auth, timeout: 0n, skipTlsVerify: false, options: [] };
}

function finished(outcome, reason) {
  return { tag: 'finished', val: { outcome, memory: nothing, reason } };
}
