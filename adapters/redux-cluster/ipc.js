// Node's IPC between a cluster's master and its workers, for processes that the runner has started:
// JSON lines over a Unix socket, as the channel of a forked process is, by the same interfaces
// (`cluster.workers`, `process.send` and their events), which the package redux-cluster uses.
'use strict';

const cluster = require('node:cluster');
const net = require('node:net');
const { createInterface } = require('node:readline');

/** Makes this process the master of the workers that connect to a socket. */
function master(path) {
  let ids = 0;
  const server = net.createServer((socket) => {
    ids += 1;
    const worker = { id: ids, send: (message) => write(socket, message) };
    cluster.workers[worker.id] = worker;
    socket.on('close', () => delete cluster.workers[worker.id]);
    read(socket, (message) => cluster.emit('message', worker, message, undefined));
  });
  server.listen(path);
}

/** Makes this process a worker, and calls `begin` once its channel is there. */
function worker(path, begin) {
  const socket = net.connect(path);
  socket.once('error', () => setTimeout(() => worker(path, begin), 20)); // no master yet
  socket.once('connect', () => {
    cluster.isMaster = false;
    cluster.isWorker = true;
    process.send = (message) => write(socket, message);
    read(socket, (message) => process.emit('message', message));
    begin();
  });
}

function write(socket, message) {
  return socket.writable && socket.write(`${JSON.stringify(message)}\n`);
}

function read(socket, take) {
  socket.on('error', () => {}); // `close` follows
  const lines = createInterface({ input: socket, crlfDelay: Infinity });
  lines.on('line', (line) => take(JSON.parse(line)));
  lines.on('error', () => {});
}

module.exports = { master, worker };
