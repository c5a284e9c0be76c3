//! What to say to a flag that we do not have. Pure.

use super::python::{FLAGS, Means};
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// More than clap says of an unknown argument: why we do not have it, and what to use instead.
pub fn hint(error: &clap::Error) -> Option<&'static str> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    let name = argument.split(['=', ' ']).next().unwrap_or_default();
    FLAGS.iter().find_map(|known| match known.means {
        Means::Refused(why) if known.name == name => Some(why),
        _ => None,
    })
}
