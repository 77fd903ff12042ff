import assert from 'node:assert/strict';
import test from 'node:test';

import { enricher } from './index.js';

function enrich(id, ...answers) {
  const annotations = JSON.stringify({ 'example.com/ticket': id });
  return enricher.enrich('{"server":"http://tickets/"}', { annotations, answers });
}

function respond(status, body) {
  return { tag: 'ok', val: { status, headers: [], body: new TextEncoder().encode(body) } };
}

test('the ticket is requested from the server', () => {
  assert.equal(enrich('SHOP-7').val.requests[0].url, 'http://tickets/SHOP-7');
});

test("the ticket's title is added", () => {
  const added = JSON.parse(enrich('SHOP-7', respond(200, '{"title":"Faster search"}')).val);
  assert.deepEqual(added, { id: 'SHOP-7', url: 'http://tickets/SHOP-7', title: 'Faster search' });
});

test('an invalid ticket is not requested', () => {
  assert.deepEqual(enrich('../admin'), { tag: 'add', val: '{}' });
});

test('an answer without a title is unavailable', () => {
  for (const answer of [respond(404, ''), respond(200, '{}'), respond(200, 'null'), { tag: 'err', val: { tag: 'timeout' } }]) {
    assert.throws(() => enrich('SHOP-7', answer), { tag: 'unavailable' });
  }
});
