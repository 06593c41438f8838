//! The room `processes`.
