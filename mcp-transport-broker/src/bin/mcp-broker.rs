//! `mcp-broker`; see `mcp-broker --help`.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    mcp_transport_broker::cli::main()
}
