//! How long the plugin may take for a command: the `timeout` field of an `execute`.

use std::time::Duration;

use serde_json::Value;

/// The time-out that goes to the plugin with this command, as the Python server (10.3.0) picks it.
///
/// 2 s for `ping`, `read_console` and `get_editor_state`, which an editor that is well answers at
/// once; else 30 s, or more if the parameters ask for it (`timeout_seconds`, up to an hour).
/// The plugin reads whole seconds. It does not stop a command whose time is over.
///
/// ```
/// use std::time::Duration;
/// use examples::catalogue::wire_timeout;
/// use serde_json::json;
///
/// assert_eq!(wire_timeout("ping", &json!({})), Duration::from_secs(2));
/// assert_eq!(wire_timeout("run_tests", &json!({"timeoutSeconds": "45"})), Duration::from_secs(45));
/// ```
pub fn wire_timeout(command: &str, params: &Value) -> Duration {
    match command {
        "ping" | "read_console" | "get_editor_state" => FAST,
        "blender_bridge" => {
            let asked = asked(params).unwrap_or(BLENDER);
            Duration::from_secs_f64(asked.clamp(5.0, HOUR)) + USUAL
        }
        _ => match asked(params) {
            Some(asked) => USUAL.max(Duration::from_secs_f64(asked.clamp(1.0, HOUR))),
            None => USUAL,
        },
    }
}

/// What the parameters ask for, in seconds; never NaN, so that it can be clamped.
fn asked(params: &Value) -> Option<f64> {
    let given = ["timeout_seconds", "timeoutSeconds"].map(|name| params.get(name));
    let given = given.into_iter().flatten().find(|value| !value.is_null())?;
    let seconds = match given {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    seconds.filter(|seconds| !seconds.is_nan())
}

/// For what may take minutes: an hour, the most that anybody may ask for. With the Python server's 30 s the plugin gives a build
/// up that goes on, and its result is lost.
pub(super) const LONG: Duration = Duration::from_secs(3_600);

const FAST: Duration = Duration::from_secs(2);
const USUAL: Duration = Duration::from_secs(30);
const BLENDER: f64 = 180.0;
const HOUR: f64 = 3600.0;
