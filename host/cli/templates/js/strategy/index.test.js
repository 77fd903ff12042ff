import assert from 'node:assert/strict';
import test from 'node:test';

import { strategy } from './index.js';

function decide(changed) {
  const rollout = { maxWeight: 100 };
  const usual = { rollout, goal: 'forward', step: 0, reached: true, promoted: false, now: 0n, stepStartedAt: 0n };
  return strategy.decide('{"keepSeconds":60}', { ...usual, ...changed });
}

test('half of the traffic is kept for the configured time', () => {
  assert.equal(decide({ reached: false }).weight, 50);
  assert.deepEqual(decide({ now: 59_999n }).next, { tag: 'until', val: 60_000n });
  assert.deepEqual(decide({ now: 60_000n }).next, { tag: 'promote' });
});

test('a user may promote earlier', () => {
  assert.equal(decide({ promoted: true }).weight, 100);
});

test('a restore moves all traffic to stable', () => {
  assert.equal(decide({ goal: 'restore' }).weight, 0);
});
