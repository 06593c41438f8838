//! A scenario as a test of one's own: many seeds of it, in a `cargo test`.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::add_reducers;
use crate::load::Registry;
use crate::scenario::{Overrides, ScenarioError, ScenarioFile};
use crate::virtual_time::shrink::{Found, shrink_failure, write_found};
use crate::virtual_time::{Failure, Options, Search, Why};

/// A scenario file, to be simulated on virtual time: deterministic, and so a gate for CI.
///
/// ```no_run
/// # fn test() -> Result<(), samestate_sim::scenario::ScenarioError> {
/// samestate_sim::Scenario::load("scenarios/orders.yaml")?.seeds(0..200).assert_holds();
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Scenario {
    path: PathBuf,
    /// The error of a file that names reducers which are not known yet.
    file: Result<ScenarioFile, ScenarioError>,
}

/// Seeds of a scenario.
#[derive(Clone, Debug)]
pub struct Seeds {
    file: ScenarioFile,
    seeds: Range<u64>,
}

/// The first seed found that shows that something does not hold.
#[derive(Clone, Debug)]
pub struct Failed {
    /// The scenario's name.
    pub name: String,
    /// The seed, what it stands for, and why it fails.
    pub failure: Failure,
    /// The smallest scenario that shows the same, as a file; `None` for what is not shrunk.
    pub found: Option<PathBuf>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Failed { name, failure, found } = self;
        write!(f, "{name}, seed {}: {}", failure.seed, failure.why)?;
        match found {
            Some(path) => write!(
                f,
                "\nsee it, with the program that has these reducers: samestate simulate {} --trace",
                path.display()
            ),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failed {}

impl Scenario {
    /// Reads and checks a scenario file.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or with everything that is wrong in it. Reducers that are not known
    /// are no error yet: [`Scenario::with`] may add them.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ScenarioError> {
        let path = path.as_ref().to_owned();
        match ScenarioFile::load(&path, &Overrides::default()) {
            Err(error) if !error.lacks_reducers() => Err(error),
            file => Ok(Scenario { path, file }),
        }
    }

    /// Adds the reducers of a registry to those that the scenario may name:
    /// `.with::<(Orders, Shipped)>()`. They are known in this whole process from then on.
    pub fn with<R: Registry>(self) -> Self {
        add_reducers::<R>();
        let file = ScenarioFile::load(&self.path, &Overrides::default());
        Scenario { file, ..self }
    }

    /// These seeds, in place of the file's own.
    ///
    /// # Panics
    ///
    /// If the scenario names a reducer that is not known, is wrong with the reducers that were
    /// added, or has nodes that are programs, which virtual time does not run.
    #[track_caller]
    pub fn seeds(&self, seeds: Range<u64>) -> Seeds {
        match &self.file {
            Ok(file) => {
                let mut nodes = file.cases.iter().flat_map(|case| &case.plan.nodes);
                let program = nodes.find(|node| node.program.is_some());
                assert!(program.is_none(), "{}: virtual time runs no programs", file.name);
                Seeds { file: file.clone(), seeds }
            }
            Err(error) => panic!("{error}"),
        }
    }
}

impl Seeds {
    /// Simulates every seed, on all cores: every invariant is checked after every step, and what
    /// the file expects at the end.
    ///
    /// # Errors
    ///
    /// With the first seed found for which something does not hold, or of which nothing can be
    /// said, because what the file expects has no sample. Its scenario is shrunk, and
    /// written to a file in the system's folder for temporary files.
    pub fn check(&self) -> Result<(), Box<Failed>> {
        let cases: Vec<_> = self.file.cases.iter().map(|case| case.scenario.clone()).collect();
        let search = Search {
            name: self.file.name.clone(),
            seeds: self.seeds.clone(),
            options: Options::default(),
            threads: std::thread::available_parallelism().map_or(1, usize::from),
            all: false,
            twice_every: 0,
        };
        let searched = search.run(&|_| cases.clone(), &|_| true);
        let unsure = searched.unsure.and_then(|(seed, why)| {
            let mut scenario = cases.first()?.clone();
            scenario.seed = seed;
            Some(Failure { seed, scenario, why: Why::Inconclusive(why) })
        });
        let failed = searched.failures.into_iter().next().or(unsure);
        let Some(failure) = failed else { return Ok(()) };
        let found = self.shrunk(&failure);
        Err(Box::new(Failed { name: self.file.name.clone(), failure, found }))
    }

    fn shrunk(&self, failure: &Failure) -> Option<PathBuf> {
        let Why::Violation(_, violation) = &failure.why else { return None };
        let shrunk = shrink_failure(failure, &Options::default(), |_| {})?;
        let found = Found {
            invariant: violation.invariant.to_string(),
            detail: violation.to_string(),
            origin: format!("seed {} of {}", failure.seed, self.file.name),
            program: "samestate".to_owned(),
        };
        let name = format!("samestate-{}-{}.yaml", self.file.name, failure.seed);
        let path = std::env::temp_dir().join(name);
        // A file that cannot be written takes nothing away from what was found.
        write_found(&path, &shrunk, &found).ok().map(|()| path)
    }

    /// The same, for a test.
    ///
    /// # Panics
    ///
    /// If something does not hold; or if there is no seed, since that would prove nothing.
    #[track_caller]
    pub fn assert_holds(&self) {
        assert!(!self.seeds.is_empty(), "there is no seed in {:?}", self.seeds);
        if let Err(failed) = self.check() {
            panic!("{failed}");
        }
    }
}
