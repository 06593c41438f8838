//! Values that a codec changes, refuses, or does not read back: the same on every node, refused
//! where they are made, and never the end of a backup.

mod everywhere;
mod scene;
mod states;
mod table;
