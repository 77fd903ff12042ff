import assert from 'node:assert/strict';
import test from 'node:test';

import { enricher } from './index.js';

function added(config, annotations) {
  const { tag, val } = enricher.enrich(JSON.stringify(config), { annotations: JSON.stringify(annotations) });
  assert.equal(tag, 'add');
  return JSON.parse(val);
}

test("the annotation's team is added", () => {
  assert.deepEqual(added({}, { 'example.com/team': 'checkout' }), { name: 'checkout' });
  assert.deepEqual(added({ annotation: 'owner' }, { owner: 'ada' }), { name: 'ada' });
});

test('without the annotation nothing is added', () => {
  assert.deepEqual(added({}, {}), {});
});

test('invalid annotations are an error of the interface', () => {
  assert.throws(() => added({}, null), { tag: 'internal' });
});
