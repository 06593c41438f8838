//! The published schemas, which tests compare with the types.

use serde::Serialize;

/// Checks that a schema file of this crate is the schema that the types have, or writes it if
/// `UPDATE_SCHEMA` is set.
pub(crate) fn assert_published(file: &str, schema: &impl Serialize) {
    let path = format!("{}/{file}", env!("CARGO_MANIFEST_DIR"));
    let fresh = serde_json::to_string_pretty(schema).expect("plain JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &fresh).expect("the crate's own folder is writable");
    }
    let published = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        published == fresh,
        "{path} has drifted: run `UPDATE_SCHEMA=1 cargo test -p samestate-report published` and \
         commit the change"
    );
}
