// Adds the ticket of a revision to its events: an annotation names the ticket, a server returns its title.

const schema = {
  type: 'object',
  additionalProperties: false,
  required: ['server'],
  properties: {
    server: { type: 'string', pattern: '^https?://', description: 'Answers GET <server>/<ticket> with {"title": "…"}' },
    annotation: { type: 'string', description: 'Annotation of the Rollout that names the ticket' },
  },
};

const usual = 'example.com/ticket';
// Characters that need no escaping in a URL.
const ticket = /^[A-Za-z0-9]+-[0-9]+$/;
const nothing = { tag: 'add', val: '{}' };

export const plugin = {
  describe: () => ({
    name: 'ticket',
    version: '0.1.0',
    summary: "Adds the ticket of a revision",
    configSchema: JSON.stringify(schema),
  }),
  // The schema has all rules.
  checkConfig() {},
};

export const enricher = {
  enrich(config, occasion) {
    const { server, annotation = usual } = JSON.parse(config);
    const id = object(occasion.annotations)[annotation];
    // Untrusted: any user who may write the Rollout sets it.
    if (typeof id !== 'string' || !ticket.test(id)) return nothing;
    const url = `${server.replace(/\/+$/, '')}/${id}`;
    if (occasion.answers.length === 0) {
      return { tag: 'fetch', val: { requests: [get(url)], memory: new Uint8Array() } };
    }
    return { tag: 'add', val: JSON.stringify({ id, url, title: title(occasion.answers[0]) }) };
  },
};

function get(url) {
  const none = { headers: [], body: new Uint8Array(), options: [] };
  return { method: 'GET', url, auth: { tag: 'none' }, timeout: 0n, skipTlsVerify: false, ...none };
}

function title({ tag, val }) {
  if (tag === 'err') throw { tag: 'unavailable', val: `the request came to nothing: ${val.tag}` };
  if (val.status !== 200) throw { tag: 'unavailable', val: `the server answered ${val.status}` };
  const found = object(new TextDecoder().decode(val.body)).title;
  if (typeof found !== 'string') throw { tag: 'unavailable', val: 'the server answered no title' };
  return found.slice(0, 200);
}

function object(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw { tag: 'unavailable', val: 'expected JSON' };
  }
  if (typeof found !== 'object' || found === null) throw { tag: 'unavailable', val: 'expected a JSON object' };
  return found;
}
