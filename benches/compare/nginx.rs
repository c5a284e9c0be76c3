//! nginx as a plain reverse proxy, as Debian has it, with the settings that its documentation gives for speed.

use crate::proxy::listening;
use benches::process::{Process, free_port};
use benches::programs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program: this machine's, or one that is unpacked below the target folder.
///
/// # Errors
/// If it cannot be had.
pub(crate) fn installed() -> io::Result<PathBuf> {
    programs::installed("nginx()").map_err(|error| {
        let text = format!("no nginx to compare with, so say --without-nginx: {error}");
        io::Error::new(error.kind(), text)
    })
}

/// Starts it in front of the server at this port. It keeps its connections to it, and writes no log of requests.
///
/// # Errors
/// If it cannot be had.
pub(crate) fn start(backend: u16, folder: &Path) -> io::Result<(Process, u16)> {
    let program = installed()?;
    let folder = folder.join("nginx");
    std::fs::create_dir_all(&folder)?;
    let port = free_port()?;
    let config = folder.join("nginx.conf");
    std::fs::write(&config, text(port, backend, &folder))?;
    let log = folder.join("nginx.log");
    let mut command = Command::new(program);
    command
        .arg("-c")
        .arg(&config)
        .arg("-p")
        .arg(&folder)
        .arg("-e")
        .arg(folder.join("error.log"));
    let mut nginx = Process::start(&mut command, &log)?;
    listening(&mut nginx, port, &log)?;
    Ok((nginx, port))
}

/// One worker for each core and no log of requests. Whatever it writes it writes to this folder.
fn text(port: u16, backend: u16, folder: &Path) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display()))
        .collect();
    format!(
        "\
daemon off;
# Who is no root is told that this means nothing.
user root;
worker_processes auto;
pid {folder}/nginx.pid;
events {{ worker_connections 1024; }}
http {{
{temporary}  access_log off;
  keepalive_requests 1000000000;
  upstream backend {{
    server 127.0.0.1:{backend};
    keepalive 128;
    keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
    }}
  }}
}}
",
        folder = folder.display()
    )
}
