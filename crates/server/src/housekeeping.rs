//! What has to be done now and then.

use std::time::Duration;

use jiff::SignedDuration;

use crate::app::App;

/// How often it is done.
const INTERVAL: Duration = Duration::from_secs(30);
/// How long a request with an `Idempotency-Key` is remembered.
const REMEMBER_REQUESTS: SignedDuration = SignedDuration::from_hours(24);

/// Keeps house until the server stops.
pub async fn run(app: App) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = app.stopping.cancelled() => return,
        }
        match app.sweep_commands(false).await {
            Ok(0) => {}
            Ok(lost) => tracing::warn!(lost, "commands ended as lost: nobody carried them on"),
            Err(error) => tracing::warn!(%error, "open commands not swept"),
        }
        let before = app.clock.now().saturating_sub(REMEMBER_REQUESTS);
        if let Ok(before) = before
            && let Err(error) = app.store.forget_requests(before).await
        {
            tracing::warn!(%error, "old requests not forgotten");
        }
    }
}
