import assert from 'node:assert/strict';
import test from 'node:test';

import { step } from './index.js';

function act(...answers) {
  const rollout = { namespace: 'shop', name: 'web' };
  return step.act('{"url":"http://chat"}', { call: 'run', rollout, index: 1, now: 0n, answers });
}

const respond = (status) => ({ tag: 'ok', val: { status, headers: [], body: new Uint8Array() } });

test('it notifies the URL first', () => {
  const { requests } = act().val;
  assert.equal(new TextDecoder().decode(requests[0].body), '{"rollout":"shop/web","step":1}');
});

test('it continues once the URL has accepted it', () => {
  assert.equal(act(respond(204)).val.outcome.tag, 'successful');
  assert.equal(act(respond(503)).val.until, 10_000n);
  assert.equal(act({ tag: 'err', val: { tag: 'timeout' } }).tag, 'wait');
  assert.equal(act(respond(403)).val.outcome.tag, 'failed');
});
