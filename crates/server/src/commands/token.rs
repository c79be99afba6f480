//! `enchufe token`: access tokens, from a shell on the server's machine.

use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use domain::TokenId;
use domain::token::Role;
use store::{Commit, Location, MAX_PAGE, NewToken, Store, StoreError};

use crate::app::{new_secret, token_made, token_revoked};
use crate::clock::Clock;
use crate::config::Flags;

/// What `token` takes.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  enchufe token create --role operator --name 'Night shift'
  enchufe token list
  enchufe token revoke 0190c9d2-7d0b-7000-8000-5d7a1f7a2b11

A running server knows of a new token at once, and of a revoked one within two seconds.")]
pub struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token and print it, this once
    Create {
        /// What its holder may do: viewer, operator or admin
        #[arg(long, value_parser = role)]
        role: Role,
        /// Whose it is, or what for
        #[arg(long)]
        name: String,
        #[command(flatten)]
        settings: Flags,
    },
    /// List the tokens, without their secrets
    List {
        #[command(flatten)]
        settings: Flags,
    },
    /// Revoke a token
    Revoke {
        /// Its id, as `list` shows it
        #[arg(value_parser = token_id)]
        id: TokenId,
        #[command(flatten)]
        settings: Flags,
    },
}

fn role(text: &str) -> Result<Role, String> {
    Role::from_word(text).ok_or_else(|| "use viewer, operator or admin".to_owned())
}

fn token_id(text: &str) -> Result<TokenId, String> {
    let id = text.parse();
    id.map_err(|_| "that is no token's id; `enchufe token list` shows them".to_owned())
}

impl TokenCommand {
    /// Does what was asked.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Action::Create {
                role,
                name,
                settings,
            } => {
                let store = open(&settings).await?;
                let secret = new_secret()?;
                let now = Clock::system().now();
                let (token, hash, event) = token_made(name, role, &secret, now);
                let commit = Commit {
                    new_token: Some(NewToken { token, hash }),
                    events: vec![event],
                    ..Commit::default()
                };
                store.commit(commit).await?;
                store.close().await;
                println!("{secret}");
            }
            Action::List { settings } => {
                let store = open(&settings).await?;
                println!("{:<36}  {:<8}  {:<20}  NAME", "ID", "ROLE", "MADE");
                let mut after = None;
                loop {
                    let page = store.tokens(after, MAX_PAGE).await?;
                    let Some(last) = page.last() else { break };
                    after = Some(last.id);
                    for token in &page {
                        let made = token.created_at.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
                        println!(
                            "{}  {:<8}  {made:<20}  {}",
                            token.id, token.role, token.name
                        );
                    }
                }
            }
            Action::Revoke { id, settings } => {
                let store = open(&settings).await?;
                let event = token_revoked(id, Clock::system().now());
                let commit = Commit {
                    revoked_token: Some(id),
                    events: vec![event],
                    ..Commit::default()
                };
                match store.commit(commit).await {
                    Ok(_) => println!("revoked"),
                    Err(StoreError::Conflict) => {
                        anyhow::bail!("there is no token {id}; `enchufe token list` shows them")
                    }
                    Err(error) => return Err(error.into()),
                }
                store.close().await;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn open(settings: &Flags) -> anyhow::Result<Store> {
    let config = settings.load()?;
    let url = config.database_url();
    if let Some(file) = url.expose().strip_prefix("sqlite://")
        && !std::path::Path::new(file).exists()
    {
        anyhow::bail!(
            "there is no database {url} yet: start the server once, or name its own with \
             --data-dir, --database-url or --demo"
        );
    }
    let location = Location::parse(url.expose()).map_err(anyhow::Error::msg)?;
    Store::open(&location)
        .await
        .with_context(|| format!("cannot open the database {url}"))
}
