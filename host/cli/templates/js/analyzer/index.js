// Judges a number that a URL answers: it passes while it is at most `max`.

// A metric's configuration, below `provider.plugin.<name>`; KULTA validates it before it calls the plugin.
const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['url', 'max'],
  properties: {
    url: { type: 'string', description: 'Answers a JSON number' },
    max: { type: 'number', description: 'The largest number that passes' },
  },
};

const nothing = new Uint8Array();

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'Judges a number that a URL answers',
    configSchema: JSON.stringify(schema),
  }),
  // The schema has all rules.
  checkConfig() {},
};

export const analyzer = {
  // Called twice for each measurement: without answers it returns a request, with answers its verdict.
  analyze(config, occasion) {
    const { url, max } = JSON.parse(config);
    if (occasion.call === 'terminate') {
      return { tag: 'measured', val: { value: 'null', metadata: [], memory: nothing } };
    }
    if (occasion.answers.length === 0) {
      return { tag: 'fetch', val: { requests: [get(url)], memory: nothing } };
    }
    const found = number(occasion.answers[0]);
    const reason = `${found}, at most ${max} passes`;
    const verdict = found <= max ? { tag: 'pass' } : { tag: 'fail', val: reason };
    const judged = { verdict, settles: false, value: JSON.stringify(found), metadata: [], reason, memory: nothing };
    return { tag: 'judged', val: judged };
  },
};

function get(url) {
  const auth = { tag: 'none' };
  return { method: 'GET', url, headers: [], body: nothing, auth, timeout: 0n, skipTlsVerify: false, options: [] };
}

function number(answer) {
  if (answer.tag === 'err') throw unavailable(`the request came to nothing: ${answer.val.tag}`);
  const { status, body } = answer.val;
  if (status < 200 || status > 299) throw unavailable(`the URL answered ${status}`);
  let found;
  try {
    found = JSON.parse(new TextDecoder().decode(body));
  } catch {
    throw unavailable('the URL answered no JSON');
  }
  if (typeof found !== 'number' || !Number.isFinite(found)) throw unavailable('the URL answered no number');
  return found;
}

// There is no number now; KULTA may call again.
function unavailable(why) {
  return { tag: 'unavailable', val: why };
}
