//! Where the program is. Pure over what the environment says.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// The variable that names the program.
pub const BINARY_VARIABLE: &str = "MCP_BROKER_BIN";

/// Which program is the broker.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Program {
    /// The first of: what [`BINARY_VARIABLE`] names, `mcp-broker` beside this program, `mcp-broker`
    /// on the `PATH`.
    #[default]
    Search,
    /// As [`Search`](Self::Search), and if there is none, this program once more: its `main` calls
    /// [`broker_main`](crate::run::broker_main) first.
    SearchOrSelf,
    /// This one.
    At(PathBuf),
}

/// What is to be started.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Located {
    /// `mcp-broker`, with flags.
    Binary(PathBuf),
    /// Our own program, with its configuration in the environment.
    OurselvesAt(PathBuf),
}

/// What the environment says.
pub(super) struct Surroundings<'a> {
    pub(super) named: Option<&'a OsStr>,
    pub(super) own: Option<&'a Path>,
    pub(super) path: Option<&'a OsStr>,
}

/// The program, or the places where it is not.
pub(super) fn locate(
    program: &Program,
    around: &Surroundings<'_>,
    is_file: impl Fn(&Path) -> bool,
) -> Result<Located, Vec<PathBuf>> {
    if let Program::At(path) = program {
        return Ok(Located::Binary(path.clone()));
    }
    let name = format!("mcp-broker{}", std::env::consts::EXE_SUFFIX);
    let named = around.named.filter(|named| !named.is_empty());
    let beside = around.own.and_then(Path::parent);
    let on_path = around.path.map(std::env::split_paths).into_iter().flatten();
    let searched: Vec<PathBuf> = named
        .map(PathBuf::from)
        .into_iter()
        .chain(beside.map(|folder| folder.join(&name)))
        // An empty entry means the current folder, where anybody may have put something.
        .chain(
            on_path
                .filter(|folder| folder.is_absolute())
                .map(|folder| folder.join(&name)),
        )
        .collect();
    if let Some(found) = searched.iter().find(|place| is_file(place)) {
        return Ok(Located::Binary(found.clone()));
    }
    match (program, around.own) {
        (Program::SearchOrSelf, Some(own)) => Ok(Located::OurselvesAt(own.to_owned())),
        _ => Err(searched),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAME: &str = if cfg!(windows) {
        "mcp-broker.exe"
    } else {
        "mcp-broker"
    };

    fn folder(name: &str) -> PathBuf {
        std::env::temp_dir().join(name)
    }

    #[test]
    fn what_the_variable_names_comes_first_then_our_own_folder_then_the_path() {
        let own = folder("own").join("server");
        let path = std::env::join_paths([PathBuf::from(""), folder("one"), folder("two")]).unwrap();
        let named = folder("named");
        let around = Surroundings {
            named: Some(named.as_os_str()),
            own: Some(&own),
            path: Some(&path),
        };
        let mut places = vec![
            named.clone(),
            folder("own").join(NAME),
            folder("one").join(NAME),
            folder("two").join(NAME),
        ];
        let found = |places: &[PathBuf]| {
            locate(&Program::Search, &around, |place| {
                places.contains(&place.to_owned())
            })
        };
        while let Some(first) = places.first().cloned() {
            assert_eq!(found(&places), Ok(Located::Binary(first)));
            places.remove(0);
        }
        assert_eq!(found(&[]).unwrap_err().len(), 4, "all of them are named");
    }

    #[test]
    fn our_own_program_is_started_only_if_it_said_so_and_nothing_else_is_there() {
        let own = folder("own").join("server");
        let around = Surroundings {
            named: None,
            own: Some(&own),
            path: None,
        };
        let nothing = |_: &Path| false;
        assert!(locate(&Program::Search, &around, nothing).is_err());
        assert_eq!(
            locate(&Program::SearchOrSelf, &around, nothing),
            Ok(Located::OurselvesAt(own.clone()))
        );
        assert_eq!(
            locate(&Program::SearchOrSelf, &around, |_| true),
            Ok(Located::Binary(folder("own").join(NAME)))
        );
    }
}
