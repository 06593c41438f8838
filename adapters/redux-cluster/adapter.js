// The npm package redux-cluster as a node of Samestate scenarios.
//
// A worker and its master have Node's IPC between them (`ipc.js`), as in the package. The package
// gives no answer to a dispatch, so `ok` means here that the action came back and was applied at
// the node that dispatched it; where nothing comes back for two seconds, the outcome is unknown.
// The package serves one store on one address, so the address of several has the store at its end.
// Each state carries the number of its actions and the id of the last one, so that a snapshot,
// which replaces a state, can be told from an action.
'use strict';

const { run } = require('../javascript/samestate-adapter.js');
const reducers = require('../javascript/reducers.js');
const ipc = require('./ipc.js');

let ReduxCluster;
try {
  ReduxCluster = require('redux-cluster');
} catch {
  console.error('the npm package redux-cluster is missing; install it with: scripts/peers setup');
  process.exit(1);
}

const UNANSWERED_MS = 2000;
const GUEST = { name: 'runner', password: 'runner' }; // the package has no server without a login
const stores = {};

const node = run({
  open(init) {
    const inside = `/${init.node.split('.')[0]}.sock`; // between a master and its workers
    const [upstream] = take(init.connect, inside);
    const [downstream] = take(init.listen, inside);
    if (downstream) ipc.master(downstream.unix);
    if (upstream) ipc.worker(upstream.unix, () => begin(init));
    else begin(init);
  },

  dispatch(name, id, action) {
    const store = stores[name];
    store.waiting.set(id, Date.now());
    store.redux.dispatch({ type: 'RUNNER', id, action });
  },

  state: (name) => stores[name].redux.getState().state,
});

/** Takes the endpoints whose socket has this name out of a list. */
function take(endpoints, name) {
  const index = endpoints.findIndex(({ unix }) => unix?.endsWith(name));
  return index < 0 ? [] : endpoints.splice(index, 1);
}

function begin(init) {
  for (const spec of init.stores) {
    if (!reducers[spec.reducer]) throw new Error(`no reducer ${spec.reducer} in JavaScript`);
    open(spec);
  }
  for (const endpoint of init.listen) {
    const { name, password } = endpoint.login ?? GUEST;
    for (const store of endpoint.stores) {
      const logins = { [name]: password };
      stores[store].redux.createServer({ ...place(endpoint, store), logins });
    }
  }
  for (const endpoint of init.connect) {
    const { name, password } = endpoint.login ?? GUEST;
    for (const store of endpoint.stores) {
      stores[store].redux.createClient({ ...place(endpoint, store), login: name, password });
    }
  }
  let ready = false;
  setInterval(() => {
    for (const name of Object.keys(stores)) watch(name);
    const synced = ({ root, snapshots, redux }) => redux.connected && (root || snapshots > 0);
    if (!ready && Object.values(stores).every(synced)) {
      ready = true;
      node.ready();
    }
  }, 20);
}

function open(spec) {
  const { initial, reduce } = reducers[spec.reducer];
  const store = { root: spec.root, snapshots: 0, waiting: new Map(), connected: true };
  store.told = { position: 0, last: null };
  const begin = { state: initial(), position: 0, last: null };
  const reducer = (before = begin, action) => {
    if (action.type !== 'RUNNER') return before;
    const position = before.position + 1;
    const after = { state: reduce(before.state, action.action), position, last: action.id };
    store.byAction = true;
    node.applied(spec.name, action.id);
    store.told = { position, last: action.id };
    if (store.waiting.delete(action.id)) node.ok(spec.name, action.id);
    return after;
  };
  // The package tells stores apart by the name of their reducer.
  Object.defineProperty(reducer, 'name', { value: `${spec.name}_reducer` });
  store.redux = ReduxCluster.createStore(reducer);
  store.redux.mode = spec.mode;
  if (spec.snapshot_every) store.redux.resync = spec.snapshot_every;
  store.redux.stderr = (text) => node.log(text);
  store.redux.subscribe(() => {
    // What no action did, a snapshot did.
    if (!store.byAction) store.snapshots += 1;
    store.byAction = false;
    const { position, last } = store.redux.getState();
    if (position !== store.told.position || last !== store.told.last) {
      store.told = { position, last };
      node.jumped(spec.name, position, last);
      if (store.waiting.delete(last)) node.ok(spec.name, last);
    }
  });
  stores[spec.name] = store;
}

/** Notices whether a store is in sync, and gives up on dispatches that nothing came back of. */
function watch(name) {
  const store = stores[name];
  if (store.redux.connected !== store.connected) {
    store.connected = store.redux.connected;
    node.connected(name, store.connected);
  }
  const before = Date.now() - UNANSWERED_MS;
  for (const [id, since] of store.waiting) {
    if (since > before) break;
    store.waiting.delete(id);
    node.error(name, id, 'unknown', 'nothing came back');
  }
}

function place(endpoint, store) {
  const several = endpoint.stores.length > 1;
  if (endpoint.unix) return { path: several ? `${endpoint.unix}.${store}` : endpoint.unix };
  if (several) throw new Error('the package serves one store on one port: give each a link');
  return { host: '127.0.0.1', port: endpoint.tcp };
}
