//! The room `virtual_time`.
