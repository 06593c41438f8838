//! Links and mirrors: the upstream of each node, and checks of them.

use std::collections::BTreeMap;
use std::path::Path;

use super::Resolver;
use crate::scenario::model::LinkSpec;
use crate::scenario::near::suggest;
use crate::scenario::plan::{Address, LinkPlan, Login, MirrorPlan, NodeId};
use crate::scenario::topology::{looped, upstreams};

/// The longest path of a Unix socket (`sun_path`, without the byte that ends it).
const SOCKET_BYTES_MAX: usize = 107;

/// The same in the folder of a run, whose own path is before it.
const SOCKET_IN_RUN_BYTES_MAX: usize = 64;

impl Resolver<'_> {
    /// The links that are right in themselves, each at its position in the file.
    pub(super) fn links(&mut self) -> Vec<LinkPlan> {
        let scenario = self.scenario;
        self.distinct(
            scenario.links.iter().enumerate().filter_map(|(index, link)| {
                Some((format!("links.{index}.name"), link.name.as_deref()?))
            }),
            "links",
        );
        let mut listeners: BTreeMap<Address, usize> = BTreeMap::new();
        let mut links = Vec::new();
        for (index, spec) in scenario.links.iter().enumerate() {
            let path = format!("links.{index}");
            if let Some(name) = &spec.name {
                self.good_label(&format!("{path}.name"), name);
            }
            if let Some(span) = spec.backoff_max {
                self.timer(&format!("{path}.backoff_max"), span);
            }
            let address = self.address(&path, spec);
            if let Some(address) = &address
                && let Some(first) = listeners.insert(address.clone(), index)
            {
                let key = if spec.tcp.is_some() { "tcp" } else { "unix" };
                self.complain(
                    &format!("{path}.{key}"),
                    format!("two listeners on {address}: link {first} listens there too"),
                    "give each server an address of its own; one link may carry several stores \
                     and have several clients",
                );
            }
            if spec.tls && matches!(address, Some(Address::Unix(_))) {
                self.complain(
                    &format!("{path}.tls"),
                    "TLS is for TCP, and this link listens on a Unix socket",
                    "write `tcp: PORT` in place of `unix`, or remove `tls`",
                );
            }
            let ends = self.ends(&path, spec);
            let login = self.login(&path, spec);
            if let (Some(address), Some((server, clients))) = (address, ends) {
                let name = spec.name.clone().unwrap_or_else(|| {
                    let server = &self.nodes[server.index()].name;
                    let over = address.over(spec.tls);
                    format!("{} from {server} over {over}", spec.store.0.join(", "))
                });
                links.push(LinkPlan {
                    index,
                    name,
                    stores: spec.store.0.clone(),
                    server,
                    address,
                    tls: spec.tls,
                    clients,
                    login,
                    backoff_max: spec.backoff_max.map(|span| span.get()),
                });
            }
        }
        // Positions are only meaningful while every link is there; otherwise no plan comes out.
        links
    }

    fn address(&mut self, path: &str, spec: &LinkSpec) -> Option<Address> {
        match (spec.tcp, &spec.unix) {
            (Some(0), None) => {
                self.complain(
                    &format!("{path}.tcp"),
                    "a port is a number from 1 to 65535",
                    "write one above 1024",
                );
                None
            }
            (Some(port), None) => Some(Address::Tcp(port)),
            (None, Some(socket)) => self.socket(&format!("{path}.unix"), socket),
            (None, None) => {
                let help = "write `tcp: PORT` or `unix: PATH`";
                self.complain(path, "the link does not say where its server listens", help);
                None
            }
            (Some(_), Some(_)) => {
                let message = "a link listens either on `tcp` or on `unix`, not on both";
                self.complain(&format!("{path}.unix"), message, "remove one of the two");
                None
            }
        }
    }

    /// The address of a Unix socket, if a socket can be there.
    fn socket(&mut self, path: &str, socket: &Path) -> Option<Address> {
        let text = socket.to_string_lossy();
        let most = if socket.is_absolute() { SOCKET_BYTES_MAX } else { SOCKET_IN_RUN_BYTES_MAX };
        let message = if text.is_empty() {
            "the socket has no path".to_owned()
        } else if text.len() > most {
            format!("a path of {} bytes is too long for a socket", text.len())
        } else if text.contains(char::is_control) {
            "the socket's path has a control character".to_owned()
        } else if text.ends_with('/') || socket.file_name().is_none() {
            format!("`{text}` is a folder's path")
        } else {
            return Some(Address::Unix(socket.to_owned()));
        };
        self.complain(
            path,
            message,
            format!("write a path such as `a.sock`, of {most} bytes at most"),
        );
        None
    }

    /// The server's node and the clients'; `None` if one of them is wrong.
    fn ends(&mut self, path: &str, spec: &LinkSpec) -> Option<(NodeId, Vec<NodeId>)> {
        let before = self.problems.len();
        let server = self.node(&format!("{path}.server"), &spec.server);
        if spec.store.0.is_empty() {
            self.complain(&format!("{path}.store"), "the link carries no store", "name one");
        }
        let several = spec.store.0.len() > 1;
        for (index, store) in spec.store.0.iter().enumerate() {
            let store_path =
                if several { format!("{path}.store.{index}") } else { format!("{path}.store") };
            if spec.store.0[..index].contains(store) {
                self.complain(
                    &store_path,
                    format!("the link carries `{store}` twice"),
                    "name it once",
                );
            }
            self.store_at(&store_path, store, server);
        }
        let mut clients = Vec::new();
        for (index, name) in spec.client.0.iter().enumerate() {
            let client_path = format!("{path}.client.{index}");
            let Some(client) = self.node(&client_path, name) else { continue };
            if Some(client) == server {
                let message = format!("`{name}` cannot be a client of itself");
                self.complain(&client_path, message, "link it to another node");
                continue;
            }
            for store in &spec.store.0 {
                if self.scenario.stores.contains_key(store) {
                    self.store_at(&client_path, store, Some(client));
                }
            }
            if let Some(server) = server {
                self.same_protocol(&client_path, spec, server, client);
            }
            clients.push(client);
        }
        (self.problems.len() == before).then_some((server?, clients))
    }

    /// Checks that a client speaks the protocol of its server, as far as that is known.
    fn same_protocol(&mut self, path: &str, spec: &LinkSpec, server: NodeId, client: NodeId) {
        let [server, client] = [server, client].map(|node| &self.nodes[node.index()]);
        let message = match (&server.program, &client.program) {
            (Some(_), None) => format!(
                "`{}` is a program, and `{}` is one of Samestate's own nodes",
                server.name, client.name
            ),
            (None, Some(_)) => format!(
                "`{}` is a program, and `{}` is one of Samestate's own nodes",
                client.name, server.name
            ),
            (Some(_), Some(_)) if spec.tls => {
                let help = "remove `tls`";
                self.complain(path, "the runner has no certificates for programs", help);
                return;
            }
            _ => return,
        };
        let help = "give both clusters a `program`, or neither";
        self.complain(path, message, help);
    }

    fn login(&mut self, path: &str, spec: &LinkSpec) -> Option<Login> {
        let name = spec.login.as_ref()?;
        let Some(password) = self.scenario.logins.get(name) else {
            let names: Vec<&str> = self.scenario.logins.keys().map(String::as_str).collect();
            let help = suggest(name, &names);
            self.complain(
                &format!("{path}.login"),
                format!("there is no login `{name}` under `logins`"),
                help,
            );
            return None;
        };
        Some(Login { name: name.clone(), password: password.clone() })
    }

    /// The clients of the links in the file's order, once no node has two servers for one store
    /// and no store's links form a loop.
    pub(super) fn attached(&mut self, links: &[LinkPlan]) -> Vec<(NodeId, usize)> {
        let mut attached = Vec::new();
        if links.len() < self.scenario.links.len() {
            return attached; // some link is wrong in itself: what the others form says nothing
        }
        for link in links {
            for (index, &client) in link.clients.iter().enumerate() {
                let path = format!("links.{}.client.{index}", link.index);
                self.attach(&path, client, link, links, &mut attached);
            }
        }
        attached
    }

    /// Attaches one more client, unless that gives it a second server or closes a loop.
    fn attach(
        &mut self,
        path: &str,
        client: NodeId,
        link: &LinkPlan,
        links: &[LinkPlan],
        attached: &mut Vec<(NodeId, usize)>,
    ) {
        let client_name = self.nodes[client.index()].name.clone();
        for store in &link.stores {
            let other = attached
                .iter()
                .find(|(node, other)| *node == client && links[*other].stores.contains(store));
            if let Some((_, other)) = other {
                let server = &self.nodes[links[*other].server.index()].name;
                self.complain(
                    path,
                    format!(
                        "`{client_name}` would have two upstreams for the store `{store}`: it is \
                         already a client of `{server}` by link {other}"
                    ),
                    "a node has one source of truth for each store (A10)",
                );
                return;
            }
        }
        attached.push((client, link.index));
        for store in &link.stores {
            if let Some(message) = self.loop_in(store, links, attached) {
                attached.pop();
                self.complain(path, message, "a store needs one node that nobody feeds");
                return;
            }
        }
    }

    /// The way around a loop in a store, if there is one.
    pub(super) fn loop_in(
        &self,
        store: &str,
        links: &[LinkPlan],
        attached: &[(NodeId, usize)],
    ) -> Option<String> {
        let nodes = looped(&upstreams(store, &self.nodes, links, attached))?;
        let name = |node: &NodeId| format!("`{}`", self.nodes[node.index()].name);
        let way: Vec<String> = nodes.iter().chain(nodes.first()).map(name).collect();
        Some(format!(
            "this closes a loop in the store `{store}`: {}",
            way.join(", which is fed by ")
        ))
    }

    pub(super) fn mirrors(&mut self) -> Vec<MirrorPlan> {
        let scenario = self.scenario;
        let mut mirrors = Vec::new();
        for (index, spec) in scenario.mirrors.iter().enumerate() {
            let path = format!("mirrors.{index}");
            let at = self.node(&format!("{path}.at"), &spec.at);
            self.store_at(&format!("{path}.from"), &spec.from, at);
            let to_path = format!("{path}.to");
            if self.store_at(&to_path, &spec.to, at)
                && scenario.stores[&spec.to].reducer != "replace"
            {
                let message = format!("the store `{}` cannot take a mirror's states", spec.to);
                self.complain(&to_path, message, "its reducer has to be `replace`");
            }
            if let Some(size) = scenario.stores.get(&spec.from).and_then(|from| from.size) {
                self.payload(&format!("stores.{}.size", spec.from), size);
            }
            if spec.from == spec.to {
                self.complain(&to_path, "a store cannot mirror itself", "name another store");
            }
            if let Some(at) = at {
                mirrors.push(MirrorPlan { at, from: spec.from.clone(), to: spec.to.clone() });
            }
        }
        mirrors
    }
}
