// The adapter protocol of Samestate (version 1) for Node 18 or newer, without dependencies.
//
// Give `run` an object with three functions:
//
//   const node = run({
//     open(init) {},                 // listen and connect; then node.ready()
//     dispatch(store, id, action) {},  // later: node.ok(store, id), node.applied(store, id)
//     state(store) {},               // return the state, as JSON values
//     stop() {},                     // optional: the run is over
//   });
//
// The runner takes the order of your lines for the order of the changes: call `applied` in the
// same turn of the event loop in which the state changes. docs/adapters.md of Samestate describes
// the protocol.
'use strict';

const { createHash } = require('node:crypto');
const { createInterface } = require('node:readline');

/** Canonical JSON (RFC 8785). */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map((item) => canonical(item ?? null)).join(',')}]`;
  if (value === null || typeof value !== 'object') return JSON.stringify(value);
  const names = Object.keys(value).filter((name) => value[name] !== undefined).sort();
  return `{${names.map((name) => `${JSON.stringify(name)}:${canonical(value[name])}`).join(',')}}`;
}

function run(adapter) {
  // What is said in one turn of the event loop goes out as one write.
  let waiting = [];
  const flush = () => {
    const lines = waiting.join('');
    waiting = [];
    process.stdout.write(lines);
  };
  const send = (kind, fields) => {
    if (waiting.length === 0) setImmediate(flush);
    waiting.push(`${JSON.stringify({ [kind]: fields })}\n`);
  };
  console.log = console.error; // what is printed belongs into the log

  const node = {
    /** All stores of this node are in sync. */
    ready: () => send('ready', {}),
    /** These dispatches are, or will be, in the history exactly once. */
    ok: (store, ...ids) => send('ok', { store, ids }),
    /** A dispatch was not accepted: `not_connected`, `busy`, `rejected` or `unknown`. */
    error: (store, id, kind, message = '') => send('error', { store, id, kind, message }),
    /** These actions were applied to the state here, in this order. */
    applied: (store, ...ids) => send('applied', { store, ids }),
    /** The state was replaced by one with so many actions, of which `last` is the last. */
    jumped: (store, position, last = null) => send('jumped', { store, position, last }),
    /** The store came into sync, or fell out of it. */
    connected: (store, connected) => send('connected', { store, connected }),
    /** A text for the node's log; so is what goes to standard error. */
    log: (text) => send('log', { text: String(text) }),
  };

  const end = () => {
    if (adapter.stop) adapter.stop();
    flush();
    process.stdout.write('', () => process.exit(0));
  };
  const take = {
    init(init) {
      const { protocol } = init;
      if (protocol !== 1) throw new Error(`this adapter speaks version 1, not ${protocol}`);
      adapter.open(init);
    },
    dispatch: ({ store, actions }) => {
      for (const { id, action } of actions) adapter.dispatch(store, id, action);
    },
    state: ({ store }) => send('state', { store, state: adapter.state(store) }),
    digest: ({ store }) => {
      const hash = createHash('sha256').update(canonical(adapter.state(store)));
      send('digest', { store, digest: hash.digest('hex') });
    },
    stop: end,
  };
  const lines = createInterface({ input: process.stdin, crlfDelay: Infinity });
  lines.on('line', (line) => {
    for (const [kind, fields] of Object.entries(JSON.parse(line))) take[kind]?.(fields);
  });
  lines.on('close', end);
  return node;
}

module.exports = { canonical, run };
