// A replicated dictionary over sockets, as a node of Samestate scenarios.
//
// One node orders the actions of a store, applies them and sends them to those that follow it.
// This is a whole adapter to start from: put the client of your own system in place of the
// sockets. Its stores have the reducer `map`.
'use strict';

const net = require('node:net');
const { createInterface } = require('node:readline');
const { run } = require('./samestate-adapter.js');

const stores = {};
const missing = new Set();

const node = run({
  open(init) {
    for (const { name, root } of init.stores) {
      const empty = { state: { entries: {} }, position: 0, last: null };
      stores[name] = { root, ...empty, followers: new Set(), waiting: new Set() };
      if (!root) missing.add(name);
    }
    for (const endpoint of init.listen) serve(endpoint);
    for (const endpoint of init.connect) follow(endpoint);
    if (missing.size === 0) node.ready();
  },

  dispatch(name, id, action) {
    const store = stores[name];
    if (store.root) {
      apply(name, id, action);
      node.ok(name, id);
    } else if (store.upstream) {
      store.waiting.add(id);
      send(store.upstream, { store: name, id, action });
    } else {
      node.error(name, id, 'not_connected');
    }
  },

  state: (name) => stores[name].state,
});

/** Changes the state here, and tells the runner and all that follow this node. */
function apply(name, id, action) {
  const store = stores[name];
  if (action.Put) store.state.entries[action.Put.key] = action.Put.value;
  if (action.Remove) delete store.state.entries[action.Remove.key];
  store.position += 1;
  store.last = id;
  node.applied(name, id);
  if (store.waiting.delete(id)) node.ok(name, id);
  for (const follower of store.followers) send(follower, { store: name, id, action });
}

function serve(endpoint) {
  const server = net.createServer((follower) => {
    for (const name of endpoint.stores) {
      const { state, position, last, followers } = stores[name];
      send(follower, { store: name, state, position, last });
      followers.add(follower);
      follower.on('close', () => followers.delete(follower));
    }
    // What a node below dispatches is ordered here, passed on, or refused.
    lines(follower, ({ store: name, id, action }) => {
      const store = stores[name];
      if (store.root) apply(name, id, action);
      else if (store.upstream) send(store.upstream, { store: name, id, action });
      else send(follower, { store: name, refused: id });
    });
  });
  server.listen(endpoint.unix ?? { port: endpoint.tcp, host: '127.0.0.1' });
}

function follow(endpoint) {
  const upstream = net.connect(endpoint.unix ?? { port: endpoint.tcp, host: '127.0.0.1' });
  lines(upstream, (line) => {
    const store = stores[line.store];
    if (line.state) {
      join(line, upstream);
    } else if (line.refused) {
      if (store.waiting.delete(line.refused)) node.error(line.store, line.refused, 'not_connected');
      else for (const follower of store.followers) send(follower, line);
    } else if (line.left) {
      leave(line.store);
    } else {
      apply(line.store, line.id, line.action);
    }
  });
  upstream.on('close', () => {
    for (const name of endpoint.stores) leave(name);
    setTimeout(() => follow(endpoint), 50);
  });
}

function join(line, upstream) {
  const store = stores[line.store];
  const { state, position, last } = line;
  Object.assign(store, { state, position, last, upstream });
  if (position > 0) node.jumped(line.store, position, last);
  for (const follower of store.followers) send(follower, line);
  node.connected(line.store, true);
  if (missing.delete(line.store) && missing.size === 0) node.ready();
}

function leave(name) {
  const store = stores[name];
  if (store.upstream) node.connected(name, false);
  store.upstream = null;
  for (const id of store.waiting) node.error(name, id, 'unknown', 'the connection was lost');
  store.waiting.clear();
  for (const follower of store.followers) send(follower, { store: name, left: true });
}

function send(to, line) {
  if (to.writable) to.write(`${JSON.stringify(line)}\n`);
}

function lines(from, take) {
  from.setNoDelay(true); // by default TCP holds small lines back, for up to 40 ms
  from.on('error', () => {}); // `close` follows
  const reader = createInterface({ input: from, crlfDelay: Infinity });
  reader.on('line', (line) => take(JSON.parse(line)));
  reader.on('error', () => {});
}
