// Yjs with its websocket server (y-websocket) as a node of Samestate scenarios.
//
// The root runs the server, and each other node connects to it. A CRDT has no order of its own: a
// node sees what it does at once, and all end with one state, whatever the order in which changes
// arrive. The order that is reported is that in which the server takes them in: an action counts as
// applied at its origin once it comes back from the server. So the state of a node may be ahead by
// what it did itself, and where several nodes write, the state that all of them end with need not
// be that of the server's order (I2). What comes together after a break is reported in the order
// of the document, since its order at the server is not known.
'use strict';

const fs = require('node:fs');
const http = require('node:http');
const { run } = require('../javascript/samestate-adapter.js');

let Y, WebSocket, WebsocketProvider, decoding, server;
try {
  Y = require('yjs');
  WebSocket = require('ws');
  ({ WebsocketProvider } = require('y-websocket'));
  decoding = require('lib0/decoding');
  server = require('y-websocket/bin/utils');
} catch {
  console.error('the npm packages yjs and y-websocket are missing; install: scripts/peers setup');
  process.exit(1);
}

// The reducers in terms of Yjs: how an action changes the document, and what the state is.
const reducers = {
  map: {
    change(doc, { Put, Remove }) {
      if (Put) doc.getMap('entries').set(Put.key, Put.value);
      else doc.getMap('entries').delete(Remove.key);
    },
    state: (doc) => ({ entries: doc.getMap('entries').toJSON() }),
  },
  ring: {
    change(doc, { Push }) {
      const versions = doc.getArray('versions');
      if (versions.length > 500) versions.delete(0, 100);
      versions.push([Push]);
    },
    state: (doc) => ({ versions: doc.getArray('versions').toArray() }),
  },
  replace: {
    change: (doc, { Set }) => doc.getMap('state').set('content', Set),
    state: (doc) => ({ content: doc.getMap('state').get('content') ?? [] }),
  },
};

const stores = {};
let missing = 0;

const node = run({
  open(init) {
    for (const { name, reducer, mode, root } of init.stores) {
      if (!reducers[reducer]) throw new Error(`the adapter of Yjs has no reducer ${reducer}`);
      if (mode !== 'action' && reducer !== 'replace') throw new Error(`Yjs has no mode ${mode}`);
      const doc = root ? server.getYDoc(name) : new Y.Doc();
      // The lower id comes first where two nodes write at once: the same in each run.
      doc.clientID = (doc.clientID >>> 1) + (root ? 2 ** 31 : 0);
      const store = { ...reducers[reducer], root, doc, ids: doc.getArray('ids'), sent: [] };
      store.ids.observe((event) => arrived(name, event));
      stores[name] = store;
      if (!root) missing += 1;
    }
    for (const endpoint of init.connect) for (const name of endpoint.stores) find(name, endpoint);
    for (const endpoint of init.listen) serve(endpoint);
    if (missing === 0) node.ready();
  },

  dispatch(name, id, action) {
    const { root, doc, ids, change, sent } = stores[name];
    doc.transact(() => {
      change(doc, action);
      ids.push([id]);
    });
    if (root) node.ok(name, id);
    else sent.push({ id, clock: Y.getState(doc.store, doc.clientID) });
  },

  state: (name) => stores[name].state(stores[name].doc),
});

/** Tells which actions came with a change of the document. */
function arrived(name, { changes, transaction }) {
  const { root, ids, synced } = stores[name];
  if (transaction.local && !root) return; // until it comes back
  const more = changes.delta.flatMap(({ insert }) => insert ?? []);
  if (root || synced) node.applied(name, ...more);
  else if (more.length > 0) node.jumped(name, ids.length, ids.get(ids.length - 1));
}

/** Takes what came back from the server, up to a clock of this node. */
function cameBack(name, clock) {
  const { sent } = stores[name];
  const index = sent.findIndex((action) => action.clock > clock);
  const ids = sent.splice(0, index < 0 ? sent.length : index).map(({ id }) => id);
  if (ids.length === 0) return;
  node.applied(name, ...ids);
  node.ok(name, ...ids);
}

function serve({ stores: names, tcp, unix, login }) {
  if (tcp && !names.every((name) => stores[name].root)) {
    throw new Error('every node connects to the server itself: serve it at the root');
  }
  if (unix) {
    // Workers find the server of each store by this file.
    const ways = names.map((name) => [name, stores[name].way ?? { unix, login }]);
    fs.writeFileSync(`${unix}.new`, JSON.stringify(Object.fromEntries(ways)));
    fs.renameSync(`${unix}.new`, `${unix}.ways`);
  }
  const sockets = new WebSocket.Server({ noServer: true });
  sockets.on('connection', server.setupWSConnection);
  const web = http.createServer();
  web.on('upgrade', (request, socket, head) => {
    const { searchParams } = new URL(request.url, 'ws://localhost');
    if (login && searchParams.get(login.name) !== login.password) return socket.destroy();
    return sockets.handleUpgrade(request, socket, head, (peer) => {
      sockets.emit('connection', peer, request);
    });
  });
  web.listen(unix ?? { port: tcp, host: '127.0.0.1' });
}

/** Connects a store to its server, which the node at the other end of a Unix socket names. */
function find(name, endpoint) {
  if (stores[name].root || stores[name].way) return;
  if (!endpoint.unix) join(name, endpoint);
  else if (!fs.existsSync(`${endpoint.unix}.ways`)) setTimeout(find, 20, name, endpoint);
  else join(name, JSON.parse(fs.readFileSync(`${endpoint.unix}.ways`))[name]);
}

function join(name, way) {
  const store = stores[name];
  const { tcp, unix, login } = way;
  const params = login ? { [login.name]: login.password } : {};
  const options = { params, WebSocketPolyfill: WebSocket, disableBc: true };
  store.way = way;
  const url = unix ? `ws+unix://${unix}:` : `ws://127.0.0.1:${tcp}`;
  const provider = new WebsocketProvider(url, name, store.doc, options);
  const [sync] = provider.messageHandlers;
  provider.messageHandlers[0] = (encoder, decoder, ...rest) => {
    const copy = decoding.clone(decoder);
    const update = decoding.readVarUint(copy) > 0 && decoding.readVarUint8Array(copy);
    sync(encoder, decoder, ...rest);
    if (update) cameBack(name, Y.parseUpdateMeta(update).to.get(store.doc.clientID) ?? 0);
  };
  provider.on('sync', (synced) => {
    node.connected(name, synced);
    if (!synced || store.synced) return;
    store.synced = true;
    missing -= 1;
    if (missing === 0) node.ready();
  });
}
