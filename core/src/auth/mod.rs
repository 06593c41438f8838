//! Proof of password, and the lock-out.
