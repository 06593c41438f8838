"""The names of the programs that scenarios/peers/ runs, and text for pages about them."""

import textwrap

NAMES = {
    "samestate": "Samestate",
    "adapter": "Samestate, by an adapter",
    "redux-cluster": "redux-cluster 1.10.0",
    "redis-streams": "Redis Streams",
    "redis-pubsub": "Redis Pub/Sub, batches",
    "redis-pubsub-single": "Redis Pub/Sub, single",
    "nats-core": "NATS core, batches",
    "nats-core-single": "NATS core, single",
    "nats-jetstream": "NATS JetStream",
    "yjs": "Yjs",
}


def paragraph(text):
    """Text in lines as long as those of the other pages."""
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)
