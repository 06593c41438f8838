//! What a state is made of: its digest, and the persistent map that ships with the library.
