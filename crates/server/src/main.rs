//! The binary: reads the command line and does what it asks.

use std::process::ExitCode;

use server::commands::Cli;

/// Small and quick where many small things live long, which is what connections are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::from_args();
    if cli.keeps_secrets() {
        // The database and the tokens beside it are their owner's alone, whatever the shell says.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    }
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(cli.run()));
    done.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}
