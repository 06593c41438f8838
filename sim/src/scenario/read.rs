//! The way in: from a file and the command line's overrides to the cases that can be run.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::decode::decode;
use super::environment;
use super::error::{Invalid, Problem, ScenarioError};
use super::model::{
    ClusterSpec, EventSpec, ExpectSpec, FORMAT_VERSION, LinkSpec, LoadSpec, MirrorSpec,
    ObserveSpec, PhaseSpec, Scenario, StoreSpec, VirtualTimeSpec,
};
use super::plan::Plan;
use super::quantity::Span;
use super::resolve::resolve;
use super::tree::{FILE_BYTES_MAX, Node, Value, segments};
use crate::faults::FaultSpec;

/// The most cases that a matrix may have.
const CASES_MAX: usize = 256;

/// The most repeats of a case.
const REPEATS_MAX: u32 = 1_000;

/// The changes that the command line makes to a file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Values to put into the file, in this order.
    pub settings: Vec<Setting>,
    /// The seed to use instead of the file's.
    pub seed: Option<u64>,
    /// The number of repeats to use instead of the file's.
    pub repeat: Option<u32>,
    /// The length of the whole run; phases marked `fixed` keep their length.
    pub duration: Option<Span>,
}

/// A value and the path in the file that it goes to: `stores.tasks.mode=snapshot`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Keys and list positions (from 0) with dots between: `phases.0.duration`.
    pub path: String,
    /// The value, as it would stand in the file.
    pub value: String,
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((path, value)) if !path.trim().is_empty() => {
                Ok(Self { path: path.trim().to_owned(), value: value.to_owned() })
            }
            _ => Err("write PATH=VALUE, for example stores.tasks.mode=snapshot".to_owned()),
        }
    }
}

/// A scenario file that has been read, checked and resolved.
#[derive(Clone, Debug)]
pub struct ScenarioFile {
    /// The scenario's name: its file's, without the ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// The scenario of the file, overrides included, with its matrix.
    pub scenario: Scenario,
    /// One case for each combination of the matrix's values; one if there is no matrix.
    pub cases: Vec<Case>,
}

/// One run of a scenario.
#[derive(Clone, Debug)]
pub struct Case {
    /// The matrix's values in this case, by path; empty if there is no matrix.
    pub with: BTreeMap<String, serde_json::Value>,
    /// The scenario with those values, without a matrix.
    pub scenario: Scenario,
    /// The same, resolved.
    pub plan: Plan,
}

impl ScenarioFile {
    /// Returns the number of times that each case is run.
    pub fn repeats(&self) -> u32 {
        self.scenario.repeat.map_or(1, std::num::NonZeroU32::get)
    }

    /// Returns a digest of what is run: of the scenario with its overrides, but for its
    /// description, its seed and the number of repeats. `None` if it has no form in YAML.
    pub fn digest(&self) -> Option<String> {
        let mut scenario = self.scenario.without_passwords();
        (scenario.about, scenario.seed, scenario.repeat) = (String::new(), 0, None);
        let digest = Sha256::digest(scenario.to_yaml().ok()?.as_bytes());
        Some(digest[..8].iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Reads and checks a file; `-` is standard input.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or with everything that is wrong in it.
    pub fn load(path: &Path, overrides: &Overrides) -> Result<Self, ScenarioError> {
        let (name, file) = match path.as_os_str() == STDIN {
            true => ("stdin".into(), "<stdin>".to_owned()),
            false => {
                let stem = path.file_stem().unwrap_or(path.as_os_str());
                (stem.to_string_lossy(), path.display().to_string())
            }
        };
        let bytes = read(path).map_err(|source| {
            if path.as_os_str() == STDIN {
                ScenarioError::Read { path: PathBuf::from("standard input"), source }
            } else {
                ScenarioError::Read { path: path.to_owned(), source }
            }
        })?;
        let text = text_of(bytes).map_err(|problem| Invalid::new(&file, "", vec![problem]))?;
        let mut loaded = Self::parse(&name, &file, &text, overrides)?;
        path.clone_into(&mut loaded.path);
        Ok(loaded)
    }

    /// Checks a text. `file` is what messages call it.
    ///
    /// # Errors
    ///
    /// With everything that is wrong in it.
    pub fn parse(
        name: &str,
        file: &str,
        text: &str,
        overrides: &Overrides,
    ) -> Result<Self, Invalid> {
        // Editors of some systems put this mark before a text.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let invalid = |problems| Invalid::new(file, text, problems);
        let tree = Node::parse(text).map_err(invalid)?;
        checked_version(&tree).map_err(|problem| invalid(vec![problem]))?;
        let result = Self::build(name, tree.clone(), overrides);
        let (scenario, cases) = result.map_err(|mut problems| {
            // Where the file alone is right, what was put into it is to blame.
            let alone = Overrides { seed: overrides.seed, ..Overrides::default() };
            if *overrides != alone && Self::build(name, tree, &alone).is_ok() {
                for problem in &mut problems {
                    problem.message = format!("{}: {}", overrides.shown(), problem.message);
                }
            }
            invalid(problems)
        })?;
        Ok(Self { name: name.to_owned(), path: PathBuf::from(file), scenario, cases })
    }

    fn build(
        name: &str,
        mut tree: Node,
        overrides: &Overrides,
    ) -> Result<(Scenario, Vec<Case>), Vec<Problem>> {
        overrides.apply(&mut tree)?;
        let mut scenario = decode_scenario(&tree)?;
        if let Some(duration) = overrides.duration {
            scenario.rescale(duration).map_err(|problem| vec![problem])?;
        }
        if scenario.repeat.is_some_and(|repeat| repeat.get() > REPEATS_MAX) {
            let problem = Problem::new(format!("`repeat` is at most {REPEATS_MAX}"));
            let place = tree.place_of("repeat");
            return Err(vec![problem.at(place)]);
        }
        let matrix = tree.remove("matrix");
        let mut cases = Vec::new();
        let mut problems = Vec::new();
        for combination in combinations(matrix.as_ref()).map_err(|problem| vec![problem])? {
            match case(name, &tree, combination, overrides.duration) {
                Ok(case) => cases.push(case),
                Err(of_case) => problems.extend(of_case),
            }
        }
        if problems.is_empty() { Ok((scenario, cases)) } else { Err(problems) }
    }
}

impl Overrides {
    fn apply(&self, tree: &mut Node) -> Result<(), Vec<Problem>> {
        for setting in &self.settings {
            let value = Node::parse_override(&setting.value)?;
            tree.set(&setting.path, value).map_err(|problem| vec![problem])?;
        }
        if let Some(seed) = self.seed {
            tree.set("seed", Node::new(Value::Unsigned(seed))).map_err(|problem| vec![problem])?;
        }
        if let Some(repeat) = self.repeat {
            let repeat = Node::new(Value::Unsigned(repeat.into()));
            tree.set("repeat", repeat).map_err(|problem| vec![problem])?;
        }
        Ok(())
    }

    /// The overrides as they were given on the command line.
    fn shown(&self) -> String {
        let settings =
            self.settings.iter().map(|setting| format!("--set {}={}", setting.path, setting.value));
        let duration = self.duration.map(|duration| format!("--duration {duration}"));
        let shown: Vec<String> = settings.chain(duration).collect();
        format!("with `{}`", shown.join(" "))
    }
}

impl Scenario {
    /// Checks and resolves a scenario that was made by a program.
    ///
    /// # Errors
    ///
    /// With everything that is wrong in it.
    pub fn plan(&self, name: &str) -> Result<Plan, Invalid> {
        resolve(self, name, None).map_err(|problems| Invalid::new(name, "", problems))
    }

    /// The scenario as a file that reads back as the same.
    ///
    /// # Errors
    ///
    /// If a value of the matrix has no form in YAML.
    pub fn to_yaml(&self) -> Result<String, serde_saphyr::SerializeError> {
        // A `${` stands in values alone, and means itself by now.
        serde_saphyr::to_string(self).map(|yaml| environment::escaped(&yaml))
    }

    /// The scenario without its passwords, to be kept with a run.
    ///
    /// A run takes its passwords from its file alone, so any other ones give the same run.
    #[must_use]
    pub fn without_passwords(&self) -> Self {
        let mut scenario = self.clone();
        for password in scenario.logins.values_mut() {
            REDACTED.clone_into(password);
        }
        for (path, values) in &mut scenario.matrix {
            if is_password(path) {
                values.fill(REDACTED.into());
            }
        }
        scenario
    }
}

/// The path that stands for standard input.
const STDIN: &str = "-";

/// The bytes of a file or of standard input: no more than a scenario may have and one, whatever
/// the file is, because it may be a device or a pipe.
fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    let limit = FILE_BYTES_MAX as u64 + 1;
    let mut bytes = Vec::new();
    if path.as_os_str() == STDIN {
        std::io::stdin().lock().take(limit).read_to_end(&mut bytes)?;
    } else {
        File::open(path)?.take(limit).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn text_of(bytes: Vec<u8>) -> Result<String, Problem> {
    let is_utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let problem = if is_utf16 {
            Problem::new("the file is UTF-16")
        } else {
            Problem::new(format!("the file is not text: byte {at} is not UTF-8"))
        };
        problem.help("save it as UTF-8")
    })
}

/// Lets a file of this program's version pass; any other is not looked at further.
fn checked_version(tree: &Node) -> Result<(), Problem> {
    let Value::Map(_) = tree.value else {
        return Err(match tree.value {
            Value::Null => Problem::new("the file is empty")
                .help("`samestate new FILE` writes one to start from"),
            _ => Problem::new("a scenario has keys: `version`, `stores`, `clusters`, …")
                .at(tree.place)
                .help("`samestate new FILE` writes one to start from"),
        });
    };
    let place = tree.place_of("version");
    match tree.child("version").map(|node| &node.value) {
        Some(Value::Unsigned(version)) if *version == u64::from(FORMAT_VERSION) => Ok(()),
        Some(Value::Unsigned(version)) if *version > u64::from(FORMAT_VERSION) => {
            Err(Problem::new(format!(
                "the file is of version {version}, and this program reads {FORMAT_VERSION}"
            ))
            .at(place)
            .help("use a newer samestate"))
        }
        Some(_) => Err(Problem::new(format!("the only version there is is {FORMAT_VERSION}"))
            .at(place)
            .help(format!("write `version: {FORMAT_VERSION}`"))),
        None => Err(Problem::new("the key `version` is missing")
            .at(tree.place)
            .help(format!("begin the file with `version: {FORMAT_VERSION}`"))),
    }
}

/// Reads each item of each section by itself, so that one bad item does not hide another.
fn decode_scenario(tree: &Node) -> Result<Scenario, Vec<Problem>> {
    let mut problems = Vec::new();
    items::<StoreSpec>(tree, "stores", &mut problems);
    items::<ClusterSpec>(tree, "clusters", &mut problems);
    items::<LinkSpec>(tree, "links", &mut problems);
    items::<MirrorSpec>(tree, "mirrors", &mut problems);
    items::<PhaseSpec>(tree, "phases", &mut problems);
    if let Some(Value::List(phases)) = tree.child("phases").map(|node| &node.value) {
        for phase in phases {
            items::<LoadSpec>(phase, "load", &mut problems);
        }
    }
    items::<FaultSpec>(tree, "faults", &mut problems);
    items::<EventSpec>(tree, "events", &mut problems);
    items::<ObserveSpec>(tree, "observe", &mut problems);
    items::<ExpectSpec>(tree, "expect", &mut problems);
    if let Some(node) = tree.child("virtual_time").filter(|node| node.value != Value::Null) {
        problems.extend(decode::<VirtualTimeSpec>(node).err());
    }
    match decode::<Scenario>(tree) {
        Ok(scenario) if problems.is_empty() => Ok(scenario),
        Ok(_) => Err(problems),
        Err(problem) => {
            // An item that was set from the command line has no place, and the whole file's
            // reading takes one nearby for it: that is the same problem.
            if problems.iter().all(|known| known.message != problem.message) {
                problems.push(problem);
            }
            Err(problems)
        }
    }
}

fn items<'de, T: serde::Deserialize<'de>>(
    tree: &'de Node,
    section: &str,
    problems: &mut Vec<Problem>,
) {
    let nodes: Vec<&Node> = match tree.child(section).map(|node| &node.value) {
        Some(Value::List(items)) => items.iter().collect(),
        Some(Value::Map(entries)) => entries.iter().map(|entry| &entry.node).collect(),
        _ => Vec::new(), // the whole file's reading says what is wrong with it
    };
    problems.extend(nodes.into_iter().filter_map(|node| decode::<T>(node).err()));
}

/// Every combination of the matrix's values, the last path's changing fastest.
fn combinations(matrix: Option<&Node>) -> Result<Vec<Vec<(&str, &Node)>>, Problem> {
    let mut combinations = vec![Vec::new()];
    let Some(Value::Map(entries)) = matrix.map(|matrix| &matrix.value) else {
        return Ok(combinations);
    };
    for entry in entries {
        if entry.key == "repeat" {
            let problem = Problem::new("`repeat` is not for the matrix: all cases take turns");
            return Err(problem.at(entry.key_place).help("write `repeat: 5` beside `matrix`"));
        }
        let Value::List(values) = &entry.node.value else { continue };
        if values.is_empty() {
            let problem = Problem::new(format!("the matrix has no value for `{}`", entry.key));
            return Err(problem.at(entry.node.place).help("list at least one"));
        }
        if combinations.len() * values.len() > CASES_MAX {
            let problem = Problem::new(format!("the matrix has more than {CASES_MAX} cases"));
            return Err(problem.at(entry.key_place));
        }
        combinations = combinations
            .into_iter()
            .flat_map(|chosen: Vec<(&str, &Node)>| {
                values.iter().map(move |value| {
                    let mut chosen = chosen.clone();
                    chosen.push((entry.key.as_str(), value));
                    chosen
                })
            })
            .collect();
    }
    Ok(combinations)
}

fn case(
    name: &str,
    tree: &Node,
    combination: Vec<(&str, &Node)>,
    duration: Option<Span>,
) -> Result<Case, Vec<Problem>> {
    let mut tree = tree.clone();
    let mut with = BTreeMap::new();
    for (path, value) in combination {
        tree.set(path, value.clone()).map_err(|problem| vec![problem.at(value.place)])?;
        with.insert(path.to_owned(), if is_password(path) { REDACTED.into() } else { json(value) });
    }
    let mut scenario = decode_scenario(&tree)?;
    if let Some(duration) = duration {
        scenario.rescale(duration).map_err(|problem| vec![problem])?;
    }
    let plan = resolve(&scenario, name, Some(&tree))?;
    Ok(Case { with, scenario, plan })
}

/// The text in place of a password that is not to be kept.
pub(crate) const REDACTED: &str = "redacted";

/// Returns whether a path of values leads to passwords.
pub(crate) fn is_password(path: &str) -> bool {
    segments(path).next() == Some("logins")
}

fn json(node: &Node) -> serde_json::Value {
    // Only a map with keys that are no texts has no form in JSON, and a tree has none.
    node.serialize(serde_json::value::Serializer).unwrap_or_default()
}
