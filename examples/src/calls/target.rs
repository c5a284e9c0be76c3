//! Which editor a call is for. Pure.

use crate::hub::{Instance, Phase};
use std::time::{Duration, Instant};

/// Why no editor was chosen.
#[derive(Clone, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "each has a text of its own")]
pub enum NoTarget {
    /// No editor is known.
    Nobody,
    /// Nobody of that name. The known ones are listed.
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The ids that there are.
        known: Vec<String>,
    },
    /// Several fit, and a guess could change the wrong project.
    Ambiguous {
        /// The ids that fit.
        candidates: Vec<String>,
    },
}

/// An editor that is away for longer than this does not make a choice ambiguous any more.
pub(super) const EXPECTED_BACK: Duration = Duration::from_secs(120);

/// Chooses an editor: by `Name@hash`, name, hash or its beginning, `Name@` with the beginning of a hash, or path; with no
/// selector the only one there is. An editor that listens is also meant by its port. Hashes are read in either case.
///
/// ```
/// use examples::calls::target::{NoTarget, choose};
///
/// # fn doc(now: std::time::Instant) {
/// assert_eq!(choose(now, &[], None), Err(NoTarget::Nobody));
/// # }
/// # doc(std::time::Instant::now());
/// ```
///
/// # Errors
/// [`NoTarget`] lists what there is.
pub fn choose(
    now: Instant,
    instances: &[Instance],
    selector: Option<&str>,
) -> Result<String, NoTarget> {
    let fitting = match selector
        .map(str::trim)
        .filter(|selector| !selector.is_empty())
    {
        Some(selector) => {
            let fitting = matching(instances, selector);
            if fitting.is_empty() {
                let known = instances.iter().map(Instance::id).collect();
                return Err(NoTarget::Unknown {
                    wanted: selector.to_owned(),
                    known,
                });
            }
            fitting
        }
        None => likely(now, instances),
    };
    match fitting.as_slice() {
        [] => Err(NoTarget::Nobody),
        [only] => Ok(only.hash.clone()),
        several => Err(NoTarget::Ambiguous {
            candidates: several.iter().map(|one| one.id()).collect(),
        }),
    }
}

/// The same; where nobody is named and several fit, the one that the fallback means (`--default-instance`).
///
/// # Errors
/// [`NoTarget`] lists what there is; that the fallback fits none of several makes them no clearer.
pub fn choose_or(
    now: Instant,
    instances: &[Instance],
    selector: Option<&str>,
    fallback: Option<&str>,
) -> Result<String, NoTarget> {
    match (choose(now, instances, selector), fallback) {
        (Err(several @ NoTarget::Ambiguous { .. }), Some(fallback)) if is_absent(selector) => {
            choose(now, instances, Some(fallback)).map_err(|_| several)
        }
        (chosen, _) => chosen,
    }
}

/// The editors that are here, and those that are about to be back: none of them was meant.
pub(super) fn besides(here: &[Instance], missing: Vec<String>) -> NoTarget {
    let here = here
        .iter()
        .filter(|one| !matches!(one.phase, Phase::Quit { .. }));
    NoTarget::Ambiguous {
        candidates: here.map(Instance::id).chain(missing).collect(),
    }
}

/// Whether nobody is named.
pub(super) fn is_absent(selector: Option<&str>) -> bool {
    selector.is_none_or(|selector| selector.trim().is_empty())
}

/// The editors that an unnamed call can mean: those that are here, those that a call connects, and those that are expected
/// back; else those that are away; else those that have quit, so that the answer can say so.
fn likely(now: Instant, instances: &[Instance]) -> Vec<&Instance> {
    let some = |wanted: fn(&Phase) -> bool| -> Vec<&Instance> {
        instances
            .iter()
            .filter(|instance| wanted(&instance.phase))
            .collect()
    };
    if instances
        .iter()
        .any(|instance| matches!(instance.phase, Phase::Connected | Phase::Listening { .. }))
    {
        return instances
            .iter()
            .filter(|instance| match instance.phase {
                Phase::Connected | Phase::Listening { .. } => true,
                Phase::Away { since } => now.saturating_duration_since(since) <= EXPECTED_BACK,
                Phase::Quit { .. } => false,
            })
            .collect();
    }
    let away = some(|phase| matches!(phase, Phase::Away { .. }));
    if away.is_empty() {
        some(|phase| matches!(phase, Phase::Quit { .. }))
    } else {
        away
    }
}

/// An exact match beats a partial one.
fn matching<'a>(instances: &'a [Instance], selector: &str) -> Vec<&'a Instance> {
    let (name, hash) = match selector.rsplit_once('@') {
        Some((name, hash)) => (Some(name), hash),
        None => (None, selector),
    };
    let exact = |instance: &&Instance| {
        instance.id() == selector
            || instance.hash == selector
            || instance.project == selector
            || instance.path.as_deref() == Some(selector)
            || instance
                .port
                .is_some_and(|port| selector.parse() == Ok(port))
    };
    let partial = |instance: &&Instance| {
        !hash.is_empty()
            && instance
                .hash
                .get(..hash.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(hash))
            && name.is_none_or(|name| instance.project == name)
    };
    let found: Vec<_> = instances.iter().filter(exact).collect();
    if found.is_empty() {
        instances.iter().filter(partial).collect()
    } else {
        found
    }
}
