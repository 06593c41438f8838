"""The adapter protocol of Samestate (version 1) for Python 3.8 or newer, without dependencies.

Write a class with three methods, and run it:

    class Node(Adapter):
        def open(self, init):                   # listen and connect; then self.ready()
        def dispatch(self, store, id, action):  # later: self.ok(store, id), self.applied(store, id)
        def state(self, store):                 # return the state, as JSON values

    run(Node())

All three are called with `self.lock` held. Hold it too, in your own threads, while you change a
state and report it: the runner takes the order of your lines for the order of the changes.
docs/adapters.md of Samestate describes the protocol.
"""

import hashlib
import json
import os
import sys
import threading


class Adapter:
    """A node. See the text of this module."""

    def __init__(self):
        self.lock = threading.RLock()

    def open(self, init):
        raise NotImplementedError

    def dispatch(self, store, id, action):
        raise NotImplementedError

    def state(self, store):
        raise NotImplementedError

    def stop(self):
        """The run is over. The process ends when this returns."""

    def ready(self):
        """All stores of this node are in sync."""
        self._send("ready", {})

    def ok(self, store, *ids):
        """These dispatches are, or will be, in the history exactly once."""
        self._send("ok", {"store": store, "ids": ids})

    def error(self, store, id, kind, message=""):
        """A dispatch was not accepted: `not_connected`, `busy`, `rejected` or `unknown`."""
        self._send("error", {"store": store, "id": id, "kind": kind, "message": message})

    def applied(self, store, *ids):
        """These actions were applied to the state here, in this order."""
        self._send("applied", {"store": store, "ids": ids})

    def jumped(self, store, position, last=None):
        """The state was replaced by one with so many actions, of which `last` is the last."""
        self._send("jumped", {"store": store, "position": position, "last": last})

    def connected(self, store, connected):
        """The store came into sync, or fell out of it."""
        self._send("connected", {"store": store, "connected": connected})

    def log(self, text):
        """A text for the node's log; so is what goes to standard error."""
        self._send("log", {"text": str(text)})

    def _send(self, kind, fields):
        line = json.dumps({kind: fields}, ensure_ascii=False, separators=(",", ":"))
        with self.lock:
            sys.__stdout__.write(line + "\n")
            sys.__stdout__.flush()


def canonical(value):
    """Canonical JSON (RFC 8785), for states whose numbers are whole."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def run(adapter):
    """Speaks with the runner until it says stop or is gone."""
    sys.stdout = sys.stderr  # a `print` belongs into the log
    threading.excepthook = give_up
    for line in sys.stdin:
        message = json.loads(line)
        with adapter.lock:
            if "dispatch" in message:
                store = message["dispatch"]["store"]
                for one in message["dispatch"]["actions"]:
                    adapter.dispatch(store, one["id"], one["action"])
            elif "state" in message:
                store = message["state"]["store"]
                adapter._send("state", {"store": store, "state": adapter.state(store)})
            elif "digest" in message:
                store = message["digest"]["store"]
                digest = hashlib.sha256(canonical(adapter.state(store)).encode()).hexdigest()
                adapter._send("digest", {"store": store, "digest": digest})
            elif "init" in message:
                init = message["init"]
                if init["protocol"] != 1:
                    sys.exit(f"this adapter speaks version 1, not {init['protocol']}")
                adapter.open(init)
            elif "stop" in message:
                break
    adapter.stop()
    sys.__stdout__.flush()
    # Threads that still wait for others end with the process.
    os._exit(0)


def give_up(args):
    """A node one of whose threads has failed is no node any more: the runner shows why."""
    threading.__excepthook__(args)
    os._exit(1)
