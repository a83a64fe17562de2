// The peer that a user of Node.js would write: Fastify with a JSON schema of
// the same rules (an array of objects, required fields, documented types), one
// RPUSH a POST, pipelined by ioredis itself.
//
//   node server.js PORT REDIS_PORT KEY FIELDS_JSON
//
// What it cannot do as the module does: numbers are doubles, and an event is
// encoded anew instead of passed on as received.

'use strict';

const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');

const [port, redisPort, key, fieldsPath, modules] = process.argv.slice(2);

// The packages live in the build folder, not beside this file.
const load = createRequire(modules + '/package.json');
const Fastify = load('fastify');
const Redis = load('ioredis');

const types = {
  string: { type: ['string', 'null'] },
  integer: { type: ['integer', 'null'] },
  boolean: { type: ['boolean', 'null'] },
  container: { type: ['object', 'array', 'null'] },
  string_array: { type: ['array', 'null'], items: { type: 'string' } },
};

const required = ['activityStatus', 'activityDateTime', 'contactId'];
const properties = {};
const fields = JSON.parse(readFileSync(fieldsPath, 'utf8'));
for (const [name, kind] of Object.entries(fields)) {
  properties[name] = required.includes(name) ? { type: kind } : types[kind];
}

const app = Fastify({
  logger: false,
  bodyLimit: 16 * 1024 * 1024,
  keepAliveTimeout: 600000,
  ajv: {
    customOptions: {
      coerceTypes: false,
      removeAdditional: false,
      allowUnionTypes: true,
    },
  },
});

const redis = new Redis({
  host: '127.0.0.1',
  port: Number(redisPort),
  enableAutoPipelining: true,
});
redis.on('error', (err) => console.error('redis:', err.message));

app.post('/', {
  schema: {
    body: {
      type: 'array',
      items: { type: 'object', properties, required },
    },
  },
}, async (request, reply) => {
  const events = request.body;
  const values = new Array(events.length);
  for (let i = 0; i < events.length; i++) {
    values[i] = JSON.stringify(events[i]);
  }
  if (values.length > 0) {
    try {
      await redis.rpush(key, values);
    } catch (err) {
      return reply.code(503).header('Retry-After', '1').send();
    }
  }
  return { accepted: events.length };
});

app.listen({ host: '127.0.0.1', port: Number(port) }).catch((err) => {
  console.error(err.message);
  process.exit(1);
});
