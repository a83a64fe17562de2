#!/usr/bin/env node
// Runs each event as a Resque job (npm install node-resque):
//
//     REDIS_URL=redis://127.0.0.1:6379/0 node worker.js
//
// What fails goes to Resque's own list, resque:failed.

'use strict';

const { Worker } = require('node-resque');

const url = new URL(process.env.REDIS_URL ?? 'redis://127.0.0.1:6379/0');

const jobs = {
  esputnik: {
    perform: async (event) => {
      process.stdout.write([event.activityStatus, event.contactId,
        event.iid ?? '-', event.externalCustomerId ?? '-'].join('\t') + '\n');
    },
  },
};

async function main() {
  const worker = new Worker({
    connection: {
      pkg: 'ioredis',
      host: url.hostname,
      port: Number(url.port || 6379),
      username: decodeURIComponent(url.username) || undefined,
      password: decodeURIComponent(url.password) || undefined,
      database: Number(url.pathname.slice(1)) || 0,
    },
    queues: ['esputnik'],
    timeout: 1000, // ms between two looks into an empty queue
  }, jobs);
  worker.on('error', (error) => console.error(`error: ${error}`));
  worker.on('failure', (queue, job, error) => console.error(`failed: ${error}`));
  await worker.connect();
  worker.start();
  for (const signal of ['SIGTERM', 'SIGINT']) {
    process.once(signal, async () => {
      await worker.end(); // finishes the job at hand
      process.exit(0);
    });
  }
}

main();
