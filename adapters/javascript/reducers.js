// The reducers of Samestate's runner in JavaScript, by name: their first state, and the state after
// an action. A state is never changed: a changed part is a copy.
'use strict';

module.exports = {
  counter: {
    initial: () => ({ value: 0 }),
    reduce: ({ value }, { Add }) => ({ value: value + Add }),
  },
  map: {
    initial: () => ({ entries: {} }),
    reduce: ({ entries }, { Put, Remove }) => {
      if (Put) return { entries: { ...entries, [Put.key]: Put.value } };
      const { [Remove.key]: _, ...rest } = entries;
      return { entries: rest };
    },
  },
  // The article's: once there are more than 500 texts, the oldest 100 go.
  ring: {
    initial: () => ({ versions: [] }),
    reduce: ({ versions }, { Push }) => ({
      versions: [...(versions.length > 500 ? versions.slice(100) : versions), Push],
    }),
  },
  replace: {
    initial: () => ({ content: [] }),
    reduce: (_, { Set }) => ({ content: Set }),
  },
};
