//! The room `faults`.
