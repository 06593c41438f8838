//! What the hot paths cost; see the benchmarks beside this file.
