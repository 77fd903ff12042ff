import assert from 'node:assert/strict';
import test from 'node:test';

import { analyzer, plugin } from './index.js';

const config = JSON.stringify({ url: 'http://shop/errors', max: 0.05 });

function analyze(...answers) {
  return analyzer.analyze(config, { call: 'measure', answers });
}

function respond(status, body) {
  return { tag: 'ok', val: { status, headers: [], body: new TextEncoder().encode(body) } };
}

test('it requests the URL first', () => {
  const { tag, val } = analyze();
  assert.equal(tag, 'fetch');
  assert.equal(val.requests[0].url, 'http://shop/errors');
});

test('a number passes up to the largest', () => {
  assert.deepEqual(analyze(respond(200, '0.05')).val.verdict, { tag: 'pass' });
  assert.equal(analyze(respond(200, '0.06')).val.verdict.tag, 'fail');
});

test('an answer that is no number is unavailable', () => {
  for (const answer of [respond(503, '0'), respond(200, '<html>'), respond(200, 'null'), { tag: 'err', val: { tag: 'timeout' } }]) {
    assert.throws(() => analyze(answer), { tag: 'unavailable' });
  }
});

test('its schema is JSON', () => {
  assert.equal(JSON.parse(plugin.describe().configSchema).type, 'object');
});
