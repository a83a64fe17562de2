#!/usr/bin/env node
// Takes events off the list that nginx fills, one at a time, at least once.
//
// Put your work into handle(). Needs ioredis (npm install ioredis) and
// Redis 6.2 or later.
//
//     REDIS_URL=redis://127.0.0.1:6379/0 QUEUE=esputnik:events ./worker.js
//
// REDIS_URL, QUEUE  where the events are
// WORKER_ID         unique among the workers of a queue (host name and pid)
// ATTEMPTS          tries before an event goes to QUEUE:dead (3)
// LEASE             seconds that handle() may take; a worker that is silent
//                   for longer is taken for dead, its event given to
//                   another (60)
//
// SIGTERM and SIGINT let the event at hand be finished first.

'use strict';

const crypto = require('node:crypto');
const os = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');
const { Redis } = require('ioredis');

const {
  REDIS_URL = 'redis://127.0.0.1:6379/0',
  QUEUE = 'esputnik:events',
  WORKER_ID = `${os.hostname()}-${process.pid}`,
} = process.env;
const ATTEMPTS = Number(process.env.ATTEMPTS ?? 3);
const LEASE = Number(process.env.LEASE ?? 60);

const stop = new AbortController();
const log = (...words) => console.error(new Date().toISOString(), ...words);
const processing = (worker) => `${QUEUE}:processing:${worker}`;
const alive = (worker) => `${QUEUE}:worker:${worker}`;

// Your work. A rejection means: try again, later give up.
async function handle(event) {
  const data = JSON.parse(event);
  if (!data.activityStatus) {
    throw new Error('no activityStatus');
  }
  process.stdout.write([data.activityStatus, data.contactId, data.iid ?? '-',
    data.externalCustomerId ?? '-'].join('\t') + '\n');
}

// A command is never sent twice by the client: a BLMOVE repeated after a lost
// reply would leave an event behind in the processing list.
const redis = new Redis(REDIS_URL, {
  lazyConnect: true,
  autoResendUnfulfilledCommands: false,
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  commandTimeout: 10000,
  retryStrategy: null,
});
let cause; // the command that fails says no more than "Connection is closed"
redis.on('error', (error) => { cause = error; });

let nextBeat = 0;

async function run() {
  let recover = () => takeBack(WORKER_ID); // a predecessor's event
  while (!stop.signal.aborted) {
    try {
      if (redis.status !== 'ready') {
        await redis.connect();
      }
      await beat();
      await recover();
      // From now on what is found here was lost with a connection.
      recover = () => putBack();
      while (!stop.signal.aborted) {
        await beat();
        const event = await redis.blmove(
          QUEUE, processing(WORKER_ID), 'LEFT', 'RIGHT', 1);
        if (event !== null) {
          await work(event);
        }
      }
      await leave();
    } catch (e) {
      log('redis:', (cause ?? e).message);
      cause = undefined;
      redis.disconnect();
      await pause(1);
    }
  }
  redis.disconnect();
}

async function work(event) {
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    try {
      await handle(event);
    } catch (e) {
      log(`attempt ${attempt}: ${e}`);
      if (attempt === ATTEMPTS) {
        return bury(WORKER_ID, event, attempt, String(e));
      }
      await pause(2 ** (attempt - 1));
      if (stop.signal.aborted) {
        return; // leave() puts it back
      }
      await beat();
      continue;
    }
    if (await redis.lrem(processing(WORKER_ID), 1, event) === 0) {
      log('took longer than LEASE: another worker has been given the event too');
    }
    return;
  }
}

// Once a second: says that this worker lives, and looks for others that do not.
async function beat() {
  if (performance.now() < nextBeat) {
    return;
  }
  await redis.sadd(`${QUEUE}:workers`, WORKER_ID);
  await redis.set(alive(WORKER_ID), '', 'EX', LEASE);
  // The lock is left to expire: one look per LEASE among all workers.
  if (await redis.set(`${QUEUE}:reaper`, WORKER_ID, 'EX', LEASE, 'NX')) {
    for (const worker of await redis.smembers(`${QUEUE}:workers`)) {
      if (!await redis.exists(alive(worker))) {
        log(`worker ${worker} is dead`);
        await takeBack(worker);
        await redis.srem(`${QUEUE}:workers`, worker);
      }
    }
  }
  nextBeat = performance.now() + 1000;
}

// What a dead worker had at hand goes back to the head of the queue; after
// ATTEMPTS deaths the event is held to be their cause.
async function takeBack(worker) {
  let event;
  while ((event = await redis.lindex(processing(worker), -1)) !== null) {
    const digest = crypto.createHash('sha1').update(event).digest('hex');
    const deaths = await redis.hincrby(`${QUEUE}:deaths`, digest, 1);
    await redis.expire(`${QUEUE}:deaths`, 86400);
    if (deaths >= ATTEMPTS) {
      await bury(worker, event, deaths, 'its worker died each time');
    } else {
      await redis.lmove(processing(worker), QUEUE, 'RIGHT', 'LEFT');
    }
  }
}

async function bury(worker, event, attempts, reason) {
  const head = JSON.stringify(
    { reason, attempts, worker, time: new Date().toISOString() });
  await redis.rpush(`${QUEUE}:dead`, `${head}\n${event}`);
  await redis.lrem(processing(worker), 1, event);
}

async function putBack() {
  while (await redis.lmove(processing(WORKER_ID), QUEUE, 'RIGHT', 'LEFT'));
}

async function leave() {
  await putBack();
  await redis.del(alive(WORKER_ID));
  await redis.srem(`${QUEUE}:workers`, WORKER_ID);
}

function pause(seconds) {
  return sleep(seconds * 1000, null, { signal: stop.signal }).catch(() => {});
}

process.on('SIGTERM', () => stop.abort());
process.on('SIGINT', () => stop.abort());
run();
