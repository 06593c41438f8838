//! The enums of all kinds of faults, made of one list.

/// Declares [`FaultSpec`](super::FaultSpec), [`Fault`](super::Fault), and the way from each to the
/// answers of its kind.
macro_rules! kinds {
    ($(#[$about:meta])* enum FaultSpec {
        $($(#[$text:meta])* $kind:ident($spec:ident),)*
    }) => {
        $(#[$about])*
        #[derive(
            Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum FaultSpec {
            $($(#[$text])* $kind($spec),)*
        }

        impl FaultSpec {
            /// The answers of its kind.
            pub(crate) fn spec(&self) -> &dyn Spec {
                match self {
                    $(Self::$kind(spec) => spec,)*
                }
            }

            /// The answers of its kind, to be changed.
            pub(crate) fn spec_mut(&mut self) -> &mut dyn Spec {
                match self {
                    $(Self::$kind(spec) => spec,)*
                }
            }

            /// Returns when it strikes, as written.
            pub(crate) fn when(&self) -> When {
                match self {
                    $(Self::$kind(spec) => {
                        When { at: spec.at, every: spec.every, times: spec.times }
                    })*
                }
            }

            /// Its period, to be changed, where the file says it.
            pub(crate) fn every_mut(&mut self) -> Option<&mut Span> {
                match self {
                    $(Self::$kind(spec) => spec.every.as_mut(),)*
                }
            }
        }

        /// A fault as planned. A fault of a link strikes all of its connections.
        #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Fault {
            $($(#[$text])* $kind($kind),)*
        }

        /// The names of all kinds, for tests that have to see each.
        #[cfg(test)]
        pub(crate) const KINDS: &[&str] = &[$(stringify!($kind)),*];

        impl Fault {
            /// The answers of its kind.
            fn planned(&self) -> &dyn Planned {
                match self {
                    $(Self::$kind(planned) => planned,)*
                }
            }
        }
    };
}
