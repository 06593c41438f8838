//! The room `invariants`.
