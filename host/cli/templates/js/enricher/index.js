// Adds the team that owns a rollout to its events, from an annotation.

// The configuration, from `spec.config` of the Plugin object; KULTA validates it before it calls the plugin.
const schema = {
  type: 'object',
  additionalProperties: false,
  properties: { annotation: { type: 'string', description: 'Of the Rollout, that names the team' } },
};

const usual = 'example.com/team';

export const plugin = {
  describe: () => ({
    name: '{{name}}',
    version: '0.1.0',
    summary: 'Adds the team that owns a rollout',
    configSchema: JSON.stringify(schema),
  }),
  // The schema has all rules.
  checkConfig() {},
};

export const enricher = {
  // The addition is stored as `customData.<name of the plugin>`.
  enrich(config, occasion) {
    const { annotation = usual } = JSON.parse(config);
    const annotations = read(occasion.annotations);
    const team = Object.hasOwn(annotations, annotation) ? { name: annotations[annotation] } : {};
    return { tag: 'add', val: JSON.stringify(team) };
  },
};

function read(annotations) {
  let found;
  try {
    found = JSON.parse(annotations);
  } catch {
    throw { tag: 'internal', val: 'the annotations are no JSON' };
  }
  if (typeof found !== 'object' || found === null) throw { tag: 'internal', val: 'the annotations are no object' };
  return found;
}
