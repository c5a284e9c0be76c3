//! Which project a person means. Pure.

use super::projects::{Project, Projects};
use mcp_transport_core::{Error, ErrorKind};
use std::fmt;

/// One project, as it is offered to whoever has to choose.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Choice {
    /// `Name@key`: selects it, whatever else is open.
    pub id: String,
    /// Its port.
    pub port: u16,
    /// Its `Assets` directory.
    pub path: String,
}

/// Why no project was selected. The text lists the choices.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SelectError {
    /// No project is open.
    None,
    /// None of the open projects is meant.
    Unknown {
        /// What was asked for.
        hint: String,
        /// What there is.
        choices: Vec<Choice>,
    },
    /// Several may be meant.
    Ambiguous {
        /// What was asked for; `None` if nothing was.
        hint: Option<String>,
        /// Which may be meant.
        choices: Vec<Choice>,
    },
}

impl Projects {
    /// The project that is meant: by its id (`Name@key`), its name, its key or the beginning of that, `Name@` with either a
    /// beginning of the key or the port, the port, or the path. The 16 digits by which the HTTP mode knows a project
    /// will do for its key. White space at the ends of a hint or of a name means nothing. Without a hint it is the only
    /// one.
    ///
    /// # Errors
    /// A hint that fits several is refused, with the list; nobody's project is chosen by chance.
    pub fn select(&self, hint: Option<&str>) -> Result<&Project, SelectError> {
        let hint = hint.map(str::trim).filter(|hint| !hint.is_empty());
        if self.is_empty() {
            return Err(SelectError::None);
        }
        let exact = hint.and_then(|hint| self.iter().find(|project| project.id().trim() == hint));
        if let Some(project) = exact {
            return Ok(project);
        }
        let meant: Vec<&Project> = self
            .iter()
            .filter(|project| hint.is_none_or(|hint| is_meant(project, hint)))
            .collect();
        match (&meant[..], hint) {
            ([project], _) => Ok(project),
            ([], Some(hint)) => Err(SelectError::Unknown {
                hint: hint.to_owned(),
                choices: self.iter().map(choice).collect(),
            }),
            _ => Err(SelectError::Ambiguous {
                hint: hint.map(str::to_owned),
                choices: meant.into_iter().map(choice).collect(),
            }),
        }
    }
}

impl fmt::Display for SelectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let choices = match self {
            Self::None => {
                return f.write_str("no Unity project is open here; open one and start its bridge");
            }
            Self::Unknown { hint, choices } => {
                write!(f, "no open Unity project is meant by {hint:?}; there are ")?;
                choices
            }
            Self::Ambiguous {
                hint: Some(hint),
                choices,
            } => {
                write!(
                    f,
                    "{hint:?} may mean several Unity projects; choose one by its id: "
                )?;
                choices
            }
            Self::Ambiguous {
                hint: None,
                choices,
            } => {
                f.write_str("several Unity projects are open; choose one by its id: ")?;
                choices
            }
        };
        for (n, choice) in choices.iter().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(
                f,
                "{comma}{} (port {}, {})",
                choice.id, choice.port, choice.path
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for SelectError {}

impl From<SelectError> for Error {
    /// What is not open may be opened, so it is tried again; what is ambiguous needs a person.
    fn from(error: SelectError) -> Self {
        let kind = match error {
            SelectError::None | SelectError::Unknown { .. } => ErrorKind::Unreachable,
            SelectError::Ambiguous { .. } => ErrorKind::Incompatible,
        };
        Self::new(kind).context(error.to_string()).because(error)
    }
}

fn is_meant(project: &Project, hint: &str) -> bool {
    let status = &project.status;
    let project_name = status.project_name.trim();
    if let Some((name, rest)) = hint.rsplit_once('@') {
        if name.trim() == project_name && (is_key(project, rest) || is_port(project, rest)) {
            return true;
        }
    }
    hint == project_name
        || is_port(project, hint)
        || is_key(project, hint)
        || (!status.project_path.is_empty() && root(hint) == root(&status.project_path))
}

fn is_port(project: &Project, hint: &str) -> bool {
    hint.parse() == Ok(project.status.unity_port)
}

/// A beginning of the key, or a longer hash of which the key is the beginning.
fn is_key(project: &Project, hint: &str) -> bool {
    let hint = hint.to_ascii_lowercase();
    let key = project.key.to_ascii_lowercase();
    let is_long = hint.len() == 16 && hint.bytes().all(|byte| byte.is_ascii_hexdigit());
    !hint.is_empty() && (key.starts_with(&hint) || (is_long && hint.starts_with(&key)))
}

/// The project's directory, however it was written; the plugin compares paths without regard to case, too.
fn root(path: &str) -> String {
    let path = path.replace('\\', "/").to_lowercase();
    let path = path.trim_end_matches('/');
    path.strip_suffix("/assets").unwrap_or(path).to_owned()
}

fn choice(project: &Project) -> Choice {
    Choice {
        id: project.id(),
        port: project.status.unity_port,
        path: project.status.project_path.clone(),
    }
}
