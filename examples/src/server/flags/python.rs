//! Each flag and each variable of the Python server (10.3.0), and what it means here. The readme's table says the same; a
//! test compares them.

/// One name.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "a row of a table")]
pub struct Known {
    /// As it is spelled.
    pub name: &'static str,
    /// What it means here.
    pub means: Means,
}

/// What a name of the Python server's means here.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_enums, reason = "a test walks them all")]
pub enum Means {
    /// It is taken; as what.
    Accepted(&'static str),
    /// It is taken, and changes nothing. That is said once in the log; why.
    Nothing(&'static str),
    /// It asks for what this server does anyway; what.
    Always(&'static str),
    /// It is read by another program; by which.
    Others(&'static str),
    /// It is refused; why, and what to do instead.
    Refused(&'static str),
}

use Means::{Accepted, Always, Nothing, Others, Refused};

const fn known(name: &'static str, means: Means) -> Known {
    Known { name, means }
}

const UVX: &str = "That is an option of uvx, and this program needs no uvx: leave out everything up to and including mcp-for-unity, and keep what follows.";
const CLI: &str = "That is an option of the command-line tool unity-mcp, not of the server. For the server's own address use --http-host and --http-port.";

/// The flags of its command line, and those that stand beside it.
pub const FLAGS: &[Known] = &[
    known("--transport", Accepted("the same; left out, it is guessed")),
    known("--http-url", Accepted("the same")),
    known(
        "--http-host",
        Accepted("the same; beyond loopback only with --http-remote-hosted"),
    ),
    known("--http-port", Accepted("the same; 0 chooses a free one")),
    known(
        "--default-instance",
        Accepted("where a call names no editor and several fit"),
    ),
    known("--http-remote-hosted", Accepted("the same")),
    known("--api-key-validation-url", Accepted("the same")),
    known("--api-key-login-url", Accepted("the same")),
    known("--api-key-cache-ttl", Accepted("the same")),
    known("--api-key-service-token-header", Accepted("the same")),
    known("--api-key-service-token", Accepted("the same")),
    known(
        "--unity-instance-token",
        Accepted("for whoever looks for it in our command line"),
    ),
    known(
        "--pidfile",
        Accepted("the same, and removed at an orderly end"),
    ),
    known(
        "--project-scoped-tools",
        Accepted("nothing more: custom tools are always kept to their project"),
    ),
    known("--from", Refused(UVX)),
    known("--with", Refused(UVX)),
    known("--refresh", Refused(UVX)),
    known("--no-cache", Refused(UVX)),
    known("--offline", Refused(UVX)),
    known("--prerelease", Refused(UVX)),
    known("--python", Refused(UVX)),
    known("--directory", Refused(UVX)),
    known("mcp-for-unity", Refused(UVX)),
    known("--host", Refused(CLI)),
    known("--port", Refused(CLI)),
    known(
        "--timeout",
        Refused(
            "That is an option of the command-line tool unity-mcp. How long calls wait here is said by --hold and --client-budget.",
        ),
    ),
    known("--format", Refused(CLI)),
    known(
        "--instance",
        Refused(
            "That is an option of the command-line tool unity-mcp. The server's is --default-instance.",
        ),
    ),
    known(
        "--verbose",
        Refused("Set RUST_LOG=debug to have more in the log."),
    ),
];

/// The variables that it reads, and those that its tools and its plugin read.
pub const VARIABLES: &[Known] = &[
    known(
        "UNITY_MCP_HTTP_URL",
        Accepted("as --http-url, and before it"),
    ),
    known("UNITY_MCP_HTTP_HOST", Accepted("as --http-host")),
    known("UNITY_MCP_HTTP_PORT", Accepted("as --http-port")),
    known(
        "UNITY_MCP_DEFAULT_INSTANCE",
        Accepted("as --default-instance"),
    ),
    known(
        "UNITY_MCP_HTTP_REMOTE_HOSTED",
        Accepted("as --http-remote-hosted"),
    ),
    known(
        "UNITY_MCP_API_KEY_VALIDATION_URL",
        Accepted("as --api-key-validation-url"),
    ),
    known(
        "UNITY_MCP_API_KEY_LOGIN_URL",
        Accepted("as --api-key-login-url"),
    ),
    known(
        "UNITY_MCP_API_KEY_CACHE_TTL",
        Accepted("as --api-key-cache-ttl, and before it"),
    ),
    known(
        "UNITY_MCP_API_KEY_SERVICE_TOKEN_HEADER",
        Accepted("as --api-key-service-token-header"),
    ),
    known(
        "UNITY_MCP_API_KEY_SERVICE_TOKEN",
        Accepted("as --api-key-service-token"),
    ),
    known(
        "UNITY_MCP_STATUS_DIR",
        Accepted("the same: where editors say that they listen"),
    ),
    known(
        "UNITY_MCP_RELOAD_MAX_WAIT_S",
        Accepted("as --hold; the longer of the two counts"),
    ),
    known(
        "UNITY_MCP_SESSION_RESOLVE_MAX_WAIT_S",
        Accepted("as --hold; the longer of the two counts"),
    ),
    known(
        "UNITY_MCP_COMMAND_TOTAL_TIMEOUT",
        Accepted("as --client-budget"),
    ),
    known(
        "UNITY_MCP_TRANSPORT",
        Nothing(
            "the Python server does not get to read it either, since its flag's default comes first; use --transport",
        ),
    ),
    known(
        "UNITY_MCP_CONNECTION_TIMEOUT",
        Nothing(
            "nothing is cut here because it takes long: a command keeps its connection, and its result",
        ),
    ),
    known(
        "UNITY_MCP_SESSION_READY_WAIT_SECONDS",
        Nothing("no command is preceded by pings here; it waits until the editor takes it"),
    ),
    known(
        "UNITY_MCP_LOG_DIR",
        Nothing("the log goes to standard error"),
    ),
    known(
        "UNITY_MCP_ENABLE_HTTP_SERVER",
        Nothing("the Python server only logs it; HTTP is always there"),
    ),
    known(
        "UNITY_MCP_TELEMETRY_ENABLED",
        Nothing("this server sends no telemetry"),
    ),
    known(
        "UNITY_MCP_TELEMETRY_ENDPOINT",
        Nothing("this server sends no telemetry"),
    ),
    known(
        "UNITY_MCP_TELEMETRY_TIMEOUT",
        Nothing("this server sends no telemetry"),
    ),
    known(
        "UNITY_MCP_NUDGE_BASE_INTERVAL_S",
        Nothing("this server brings no window to the front"),
    ),
    known(
        "UNITY_MCP_NUDGE_DURATION_S",
        Nothing("this server brings no window to the front"),
    ),
    known(
        "UNITY_MCP_NUDGE_MAX_INTERVAL_S",
        Nothing("this server brings no window to the front"),
    ),
    known(
        "UNITY_MCP_PROJECT_SCOPED_TOOLS",
        Always("custom tools are kept to their project"),
    ),
    known(
        "UNITY_MCP_SKIP_STARTUP_CONNECT",
        Always("editors are dialled when a call needs one"),
    ),
    known(
        "UNITY_MCP_DISABLE_FOCUS_NUDGE",
        Always("no window is brought to the front"),
    ),
    known(
        "UNITY_MCP_DISABLE_TELEMETRY",
        Always("no telemetry is sent"),
    ),
    known("DISABLE_TELEMETRY", Always("no telemetry is sent")),
    known("MCP_DISABLE_TELEMETRY", Always("no telemetry is sent")),
    known(
        "UNITY_MCP_INSTANCE_TOKEN",
        Others("the Python server sets it for itself"),
    ),
    known("UNITY_MCP_HOST", Others("the command-line tool unity-mcp")),
    known(
        "UNITY_MCP_TIMEOUT",
        Others("the command-line tool unity-mcp"),
    ),
    known(
        "UNITY_MCP_FORMAT",
        Others("the command-line tool unity-mcp"),
    ),
    known(
        "UNITY_MCP_INSTANCE",
        Others("the command-line tool unity-mcp"),
    ),
    known("UNITY_MCP_ALLOW_BATCH", Others("the editor's plugin")),
    known(
        "UNITY_MCP_STDIO_COMMAND_TIMEOUT_MS",
        Others("the editor's plugin"),
    ),
];
