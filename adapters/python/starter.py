"""A replicated dictionary over sockets, as a node of Samestate scenarios.

One node orders the actions of a store, applies them and sends them to those that follow it. This
is a whole adapter to start from: put the client of your own system in place of the sockets.
Its stores have the reducer `map`.
"""

import json
import socket
import threading
import time

from samestate_adapter import Adapter, run


class Node(Adapter):
    def open(self, init):
        self.stores = {store["name"]: Store(store["root"]) for store in init["stores"]}
        self.missing = {store["name"] for store in init["stores"] if not store["root"]}
        for endpoint in init["listen"]:
            threading.Thread(target=self.serve, args=[endpoint], daemon=True).start()
        for endpoint in init["connect"]:
            threading.Thread(target=self.follow, args=[endpoint], daemon=True).start()
        if not self.missing:
            self.ready()

    def dispatch(self, name, id, action):
        store = self.stores[name]
        if store.root:
            self.apply(name, id, action)
            self.ok(name, id)
        elif store.upstream is None:
            self.error(name, id, "not_connected")
        else:
            store.waiting.add(id)
            send(store.upstream, {"store": name, "id": id, "action": action})

    def state(self, name):
        return self.stores[name].state

    def apply(self, name, id, action):
        """Changes the state here, and tells the runner and all that follow this node."""
        store = self.stores[name]
        if "Put" in action:
            store.state["entries"][action["Put"]["key"]] = action["Put"]["value"]
        elif "Remove" in action:
            store.state["entries"].pop(action["Remove"]["key"], None)
        store.position, store.last = store.position + 1, id
        self.applied(name, id)
        if id in store.waiting:
            store.waiting.remove(id)
            self.ok(name, id)
        for follower in list(store.followers):
            if not send(follower, {"store": name, "id": id, "action": action}):
                store.followers.remove(follower)

    def serve(self, endpoint):
        family, address = place(endpoint)
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
        while True:
            follower, _ = listener.accept()
            hurry(follower)
            with self.lock:
                for name in endpoint["stores"]:
                    store = self.stores[name]
                    whole = {"state": store.state, "position": store.position, "last": store.last}
                    send(follower, {"store": name, **whole})
                    store.followers.append(follower)
            threading.Thread(target=self.hear, args=[follower], daemon=True).start()

    def hear(self, follower):
        """Takes what a node below dispatches: orders it, passes it on, or refuses it."""
        for line in lines(follower):
            with self.lock:
                store = self.stores[line["store"]]
                if store.root:
                    self.apply(line["store"], line["id"], line["action"])
                elif store.upstream is not None:
                    send(store.upstream, line)
                else:
                    send(follower, {"store": line["store"], "refused": line["id"]})

    def follow(self, endpoint):
        family, address = place(endpoint)
        while True:
            upstream = socket.socket(family, socket.SOCK_STREAM)
            try:
                upstream.connect(address)
                hurry(upstream)
            except OSError:
                time.sleep(0.05)
                continue
            for line in lines(upstream):
                with self.lock:
                    if "state" in line:
                        self.join(line, upstream)
                    elif "refused" in line:
                        self.refused(line)
                    elif "left" in line:
                        self.leave(line["store"])
                    else:
                        self.apply(line["store"], line["id"], line["action"])
            with self.lock:
                for name in endpoint["stores"]:
                    self.leave(name)

    def refused(self, line):
        name, store = line["store"], self.stores[line["store"]]
        if line["refused"] in store.waiting:
            store.waiting.remove(line["refused"])
            self.error(name, line["refused"], "not_connected")
        else:
            for follower in store.followers:
                send(follower, line)

    def join(self, line, upstream):
        name, store = line["store"], self.stores[line["store"]]
        store.state, store.position, store.last = line["state"], line["position"], line["last"]
        store.upstream = upstream
        if store.position > 0:
            self.jumped(name, store.position, store.last)
        for follower in store.followers:
            send(follower, line)
        self.connected(name, True)
        if name in self.missing:
            self.missing.remove(name)
            if not self.missing:
                self.ready()

    def leave(self, name):
        store = self.stores[name]
        if store.upstream is not None:
            self.connected(name, False)
        store.upstream = None
        for id in store.waiting:
            self.error(name, id, "unknown", "the connection was lost")
        store.waiting.clear()
        for follower in store.followers:
            send(follower, {"store": name, "left": True})


class Store:
    def __init__(self, root):
        self.root = root
        self.state = {"entries": {}}
        self.position, self.last = 0, None
        self.upstream = None
        self.followers, self.waiting = [], set()


def place(endpoint):
    if "unix" in endpoint:
        return socket.AF_UNIX, endpoint["unix"]
    return socket.AF_INET, ("127.0.0.1", endpoint["tcp"])


def hurry(link):
    """Sends each line at once. By default TCP holds small ones back, for up to 40 ms."""
    if link.family == socket.AF_INET:
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def send(to, line):
    try:
        to.sendall((json.dumps(line) + "\n").encode())
        return True
    except OSError:
        return False


def lines(source):
    try:
        for line in source.makefile("r", encoding="utf-8"):
            yield json.loads(line)
    except (OSError, ValueError):
        pass
    source.close()


if __name__ == "__main__":
    run(Node())
